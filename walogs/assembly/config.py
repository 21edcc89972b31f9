"""`WalConfig`: the keys of a log's configuration, their defaults and units, and the checks of their values.

`Retention` is the value of one key.
"""

from __future__ import annotations

from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Final, Literal, TypedDict, TypeGuard

from walogs.errors import ConfigError
from walogs.foundation.foreign import describe
from walogs.foundation.quantities import Duration, Size
from walogs.foundation.records import Record, replace
from walogs.foundation.suggestions import did_you_mean
from walogs.types import MAX_ENTRY_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from walogs.events import Observer
    from walogs.protocols import Codec, SegmentStore, SyncPolicy

BATCH_SIZE_MAX: Final = 1 << 30
LOCAL_STORE: Final = "local"
"""Name of the store that keeps a log as a directory at its path."""


class Retention(Record):
    """How much of a log its writer keeps. Making one raises a `ConfigError` that lists every problem.

    When the writer has rotated, it gives up the oldest completed segments that are beyond a bound, as a checkpoint does
    (G11). Two bounds are both kept.
    """

    size: Size | None = None
    """Most bytes that the segments have together, 1 or more. The active segment counts, and always stays."""
    time: Duration | None = None
    """Seconds, more than 0. A segment is given up when its last entry was committed longer ago than this."""
    keep_for_cursors: bool = True
    """Whether a segment stays, beyond all bounds, until every cursor of the log has passed it (G21)."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if self.size is not None and not is_size(self.size, 1):
            problems.append(f"size={describe(self.size)}: bytes, 1 or more, or None")
        if self.time is not None and not (is_duration(self.time) and self.time > 0):
            problems.append(f"time={describe(self.time)}: seconds, more than 0, or None")
        keeps: object = self.keep_for_cursors
        if not isinstance(keeps, bool):
            problems.append(f"keep_for_cursors={describe(keeps)}: True or False")
        if self.size is None and self.time is None:
            problems.append("a retention has a size, a time, or both")
        if problems:
            raise config_error(*problems)

    @property
    def age_ns(self) -> int | None:
        """The time in nanoseconds, or None."""
        return None if self.time is None else round(min(self.time, TIMEOUT_MAX) * 1e9)


class WalConfig(Record):
    """How a log is opened. Sizes are in bytes. Making one raises a `ConfigError` that lists every problem."""

    store: str | SegmentStore = LOCAL_STORE
    """The store that holds the segments: a name or an object. With `local`, an address (`s3://…`) as path finds the
    installed store that takes such addresses."""
    codec: str | Codec = "crc32"
    """The codec that stores and checks bodies: a name or an object. Its name is written into every segment."""
    sync: str | SyncPolicy = "fdatasync"
    """When commits are synced: `fdatasync`, `fsync`, `interval`, `none`, or an object."""
    max_segment_size: int | None = 64 * 1024 * 1024
    """Most bytes in a segment, its header included; 1 or more. The log rotates before a commit that would pass it.
    A commit that is larger gets a segment of its own. None: only `rotate()` rotates, except before 4 GiB."""
    max_entry_size: int = MAX_ENTRY_SIZE
    """Most bytes in an entry. It limits appending only: larger entries can still be read."""
    max_batch_size: int = 64 * 1024 * 1024
    """Most bytes in a batch: its data, 4 bytes for each entry, and 4 more."""
    max_queued_size: int = 64 * 1024 * 1024
    """Most bytes that wait to be committed: data, and 3 KiB for each entry. Above it, `submit` waits for space. A
    larger append is queued alone."""
    recovery: Literal["acked", "prefix"] = "acked"
    """`acked`: a log with damaged acknowledged bytes does not open. `prefix`: the log is cut before the damage."""
    verify: Literal["full", "last"] = "full"
    """`full`: opening checks every byte. `last`: of sealed segments, it checks only the header and the seal."""

    retention: Retention | None = None
    """How much of the log the writer keeps. It gives up older segments when it has rotated. None: all of the log."""
    wait: float = 0.0
    """How many seconds to wait while another writer has the log open, before `Locked` is raised. 0: raise it at once.
    This has no effect on a store without a lock, where the later writer takes the log."""
    change_codec: bool = False
    """True: if the log was written with another codec, continue with this one in a new segment. False: refuse it.
    Older segments are still read with the codec that each of them names."""
    observers: Sequence[str | Observer] = ()
    """Observers, called with each event of the log: names, or callables that take an event."""

    def __new__(cls, *_: object, **values: object) -> Self:
        """Refuse unknown keys with a `ConfigError`, as `walogs.open` does, instead of Python's `TypeError`."""
        problems = unknown(values, KEYS)
        if problems:
            raise config_error(*problems)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        problems = tuple(
            f"{key}={describe(value)}: {allowed}"
            for key, value, allowed in refused({key: getattr(self, key) for key in KEYS})
        )
        if problems:
            raise config_error(*problems)


def refused(values: Mapping[str, object]) -> Iterator[tuple[str, object, str]]:
    """Yield (key, value, what is allowed) for every wrong value. Components are checked when a log is opened."""
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
    if values["retention"] is not None and not isinstance(values["retention"], Retention):
        yield "retention", values["retention"], "a Retention, or None"
    if not is_duration(values["wait"]):
        yield "wait", values["wait"], "seconds, 0 or more"
    if not isinstance(values["change_codec"], bool):
        yield "change_codec", values["change_codec"], "True or False"
    if isinstance(values["observers"], str) or not hasattr(values["observers"], "__len__"):
        yield "observers", values["observers"], "names, or callables that take an event, in a list or tuple"


class Overrides(TypedDict, total=False):
    """The keys of `WalConfig`, as keywords of `walogs.open`."""

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
    retention: Retention | None
    wait: float
    observers: Sequence[str | Observer]


class ReadingOverrides(TypedDict, total=False):
    """The keys of `WalConfig` that have an effect on reading, as keywords."""

    store: str | SegmentStore
    codec: str | Codec


KEYS: Final = WalConfig.__match_args__
READING_KEYS: Final = ("store", "codec")
OWN_KEYWORDS: Final = ("path", "config")
"""The parameters that every function with these keys has beside them, unless it names others."""


def is_size(value: object, least: int) -> TypeGuard[int]:
    """Return whether *value* is a whole number of at least *least* bytes. `True` and `False` are no numbers here."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_duration(value: object) -> TypeGuard[float]:
    """Return whether *value* is a number of seconds, 0 or more. NaN, `True` and `False` are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def overridden(
    config: WalConfig | None, overrides: Mapping[str, object], own: tuple[str, ...] = OWN_KEYWORDS
) -> WalConfig:
    """Return *config* (None means the defaults) with *overrides*. Raise `ConfigError` for a key that does not exist.

    *own* are the parameters that the calling function has beside the keys: its caller may have meant one of them.
    """
    problems = (*unknown_keywords(overrides, (*KEYS, *own)), *no_configuration(config))
    base = config if isinstance(config, WalConfig) else WalConfig()
    known = {key: value for key, value in overrides.items() if key in KEYS}
    try:
        base = replace(base, **known) if known else base
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise config_error(*problems)
    return base


def refuse_unread(config: object, overrides: Mapping[str, object], own: tuple[str, ...] = OWN_KEYWORDS) -> None:
    """Raise `ConfigError` for a key that has no effect on reading, and for a *config* that is no configuration.

    *own* are the parameters that the calling function has beside these keys.
    """
    why = "it has no effect on reading, for which `store` and `codec` are keywords; leave it out"
    unread = tuple(
        f"{key}={describe(overrides[key])}: {why}" for key in overrides if key in KEYS and key not in READING_KEYS
    )
    problems = (*unknown_keywords(overrides, (*READING_KEYS, *own)), *unread, *no_configuration(config))
    if problems:
        raise config_error(*problems)


def unknown_keywords(overrides: Mapping[str, object], allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return a problem for each keyword that is no key. It suggests one of the *allowed* names."""
    if all(key in KEYS for key in overrides):
        return ()
    return unknown(overrides, allowed)


def unknown(keys: Iterable[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a problem for each key that does not exist. It suggests one of *names*."""
    return tuple(f"{key}: no such key{did_you_mean(key, names)}" for key in keys if key not in KEYS)


def refuse_uncallable(progress: object) -> None:
    """Raise `ConfigError` if *progress* cannot be called. Otherwise the call would fail in the middle of the work."""
    if progress is not None and not callable(progress):
        hint = "; did you mean config=?" if isinstance(progress, WalConfig) else ""
        raise config_error(f"progress={describe(progress)}: None, or what is called with two numbers of bytes{hint}")


def refuse_unless(key: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise `ConfigError` if *value* is none of the *allowed* words."""
    if value not in allowed:
        raise config_error(f"{key}={describe(value)}: {' or '.join(map(repr, allowed))}")


def no_configuration(config: object) -> tuple[str, ...]:
    """Return what is wrong with *config* as a configuration: nothing if it is a `WalConfig` or None.

    The result holds one problem at most, as a text for `config_error`.
    """
    if config is None or isinstance(config, WalConfig):
        return ()
    hint = f" (of a reader: did you mean visibility={config!r}?)" if config in ("durable", "written") else ""
    return (f"config={describe(config)}: a WalConfig; its keys can be keywords too{hint}",)


def as_values(config: object) -> dict[str, object]:
    """Return the value of every key, or the defaults if *config* is no configuration."""
    base = config if isinstance(config, WalConfig) else WalConfig()
    return {key: getattr(base, key) for key in KEYS}


def config_error(*problems: str) -> ConfigError:
    """Return one error for all *problems*."""
    return ConfigError("; ".join(problems), problems=problems)
