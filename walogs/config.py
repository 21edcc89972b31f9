"""`WalConfig`: every key, its default, its unit, and what is wrong with a value."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, Literal, TypedDict, TypeGuard

from walogs.errors import ConfigError
from walogs.types import MAX_ENTRY_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from walogs.events import Observer
    from walogs.protocols import Codec, SegmentStore, SyncPolicy

BATCH_SIZE_MAX: Final = 1 << 30
WORD_MAX: Final = 64
"""Longer words are compared with nothing."""


@dataclass(frozen=True, slots=True)
class WalConfig:
    """How a log is opened. Sizes are bytes. Raises `ConfigError` with every mistake at once."""

    store: str | SegmentStore = "local"
    """Where segments are held: a name, or an object."""
    codec: str | Codec = "crc32"
    """How bodies are stored and checked: a name, or an object. Stamped in every segment."""
    sync: str | SyncPolicy = "fdatasync"
    """When commits are synced: `fdatasync`, `fsync`, `interval`, `none`, or an object."""
    max_segment_size: int | None = 64 * 1024 * 1024
    """Header and frames; rotation comes before the commit that would pass it, and a bigger one goes alone. Any value
    from 1; None: by hand with `rotate()`, and by itself before 4 GiB."""
    max_entry_size: int = MAX_ENTRY_SIZE
    """Inclusive. Limits what is appended, never what is read."""
    max_batch_size: int = 64 * 1024 * 1024
    """Inclusive: a batch's data and 4 bytes an entry (and 4 more)."""
    max_queued_size: int = 64 * 1024 * 1024
    """Of data that waits to be committed: `submit` waits while there is more. A larger one goes alone."""
    recovery: Literal["acked", "prefix"] = "acked"
    """`acked`: damage to acknowledged bytes refuses to open. `prefix`: it is cut, with what follows, and reported."""
    verify: Literal["full", "last"] = "full"
    """`full`: every segment is checked at open. `last`: of completed ones, headers and SEALs only."""

    change_codec: bool = False
    """Go on with another codec than the log was written with, in a new segment. False: such a log is refused. What is
    there is read by what each segment says of itself."""
    observers: Sequence[str | Observer] = ()
    """Who is told what the log does: names, or callables that take an event."""

    def __post_init__(self) -> None:
        problems = tuple(
            f"{key}={value!r}: {allowed}" for key, value, allowed in refused({key: getattr(self, key) for key in KEYS})
        )
        if problems:
            raise config_error(*problems)


def refused(values: Mapping[str, object]) -> Iterator[tuple[str, object, str]]:
    """(key, value, what is allowed) of every value that is wrong; components are checked at open."""
    segment, entry, batch, queued = (values[f"max_{what}_size"] for what in ("segment", "entry", "batch", "queued"))
    if segment is not None and not is_size(segment, 1):
        yield "max_segment_size", segment, "bytes, 1 or more, or None"
    if not is_size(entry, 0):
        yield "max_entry_size", entry, "bytes, 0 or more"
    if not is_size(batch, 1) or batch > BATCH_SIZE_MAX:
        yield "max_batch_size", batch, f"bytes, 1 to {BATCH_SIZE_MAX}"
    elif is_size(entry, 0) and entry > BATCH_SIZE_MAX:
        yield "max_entry_size", entry, f"at most {BATCH_SIZE_MAX}"
    if not is_size(queued, 1):
        yield "max_queued_size", queued, "bytes, 1 or more"
    if values["recovery"] not in ("acked", "prefix"):
        yield "recovery", values["recovery"], "'acked' or 'prefix'"
    if values["verify"] not in ("full", "last"):
        yield "verify", values["verify"], "'full' or 'last'"
    if not isinstance(values["change_codec"], bool):
        yield "change_codec", values["change_codec"], "True or False"
    if isinstance(values["observers"], str) or not hasattr(values["observers"], "__len__"):
        yield "observers", values["observers"], "names, or callables that take an event, in a list or tuple"


class Overrides(TypedDict, total=False):
    """`WalConfig`'s keys, as keywords of `walogs.open`."""

    store: str | SegmentStore
    codec: str | Codec
    change_codec: bool
    sync: str | SyncPolicy
    max_segment_size: int | None
    max_entry_size: int
    max_batch_size: int
    max_queued_size: int
    recovery: Literal["acked", "prefix"]
    verify: Literal["full", "last"]
    observers: Sequence[str | Observer]


KEYS: Final = tuple(field.name for field in fields(WalConfig))


def is_size(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def overridden(config: WalConfig | None, overrides: Mapping[str, object]) -> WalConfig:
    """*config* (None: the defaults) with *overrides*. Raises `ConfigError` for a key that is not one."""
    unknown = tuple(f"{key}: no such key{did_you_mean(key, KEYS)}" for key in overrides if key not in KEYS)
    if unknown:
        raise config_error(*unknown)
    if config is not None and not isinstance(config, WalConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise config_error(f"config={config!r}: a WalConfig; its keys can be keywords too")
    base = config if config is not None else WalConfig()
    return replace(base, **overrides) if overrides else base  # type: ignore[arg-type]


def path_text(path: object) -> str:
    """A path, as text. Raises `ConfigError`."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise config_error(f"path={path!r}: the name of a directory, as str or pathlib.Path")
    return text


def config_error(*problems: str) -> ConfigError:
    """For every mistake, at once."""
    return ConfigError("; ".join(problems), problems=problems)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to say of a word that is none of *known*."""
    names = tuple(known)
    close = near(word, names)
    if close is not None:
        return f"; did you mean {close!r}?"
    return f" (there are: {', '.join(names)})" if names else " (there are none)"


def near(word: str, known: tuple[str, ...]) -> str | None:
    """The one that was probably meant: - for _, capitals, a letter more or less."""
    if len(word) > WORD_MAX:
        return None
    from difflib import get_close_matches  # 3 ms that only a mistake has to pay

    folded = word.replace("-", "_").casefold()
    same = (name for name in known if name.replace("-", "_").casefold() == folded)
    return next(same, None) or next(iter(get_close_matches(word, known, n=1)), None)
