"""`open(path, config) -> Wal`: the only file that knows both the engine and the concretes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from walogs import registry
from walogs.config import Overrides, WalConfig, config_error, overridden, path_text
from walogs.engine.appendable import AppendableWriter, open_appendable
from walogs.engine.chain import ChainWriter, open_chain
from walogs.engine.commit import GroupCommit
from walogs.engine.recovery import Examined, look
from walogs.engine.source import Environment, Source
from walogs.errors import UnsupportedFormat, WalError
from walogs.formats.native import CODEC_NAME_MAX, CODEC_PARAMETERS_MAX, NativeFormat
from walogs.protocols import (
    Codec,
    ReadsOtherParameters,
    RefusesOtherCodecs,
    SegmentStore,
    SyncPolicy,
    is_appendable,
)
from walogs.types import Clean, RecoveryReport, TruncatedAt
from walogs.wal import Limits, Wal

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from walogs.engine.beside import Upto
    from walogs.observed import Observers
    from walogs.specs import Kind
    from walogs.wal_reader import WalReader

ENVIRONMENT = Environment(clock=time.time_ns, entropy=os.urandom, sleep=time.sleep)


def open(
    path: str | os.PathLike[str] | None = None, config: WalConfig | None = None, **overrides: Unpack[Overrides]
) -> Wal:
    """Open a log for writing; make it where there is none; recover it where it ended badly.

    *path* is the directory of a local log (None: `store=` is an object). *overrides* are keys of `WalConfig`. Raises
    `ConfigError`, `Locked` (G13), `Corrupt` (G6), `UnsupportedFormat`, `OSError`: then nothing of the log was changed.
    """
    return assemble(path, overridden(config, overrides), ENVIRONMENT)


def assemble(path: str | os.PathLike[str] | None, config: WalConfig, environment: Environment) -> Wal:
    """Names become objects here and nowhere else."""
    source, observers = source_of(path, config), observers_of(config)
    if observers is not None:
        source = observers.source(source)
    store = source.store
    policy: SyncPolicy = component("sync", config.sync, SyncPolicy)
    refuse_weak_store(store, policy)
    started = time.monotonic()
    refuse_other_codec(source, config)
    writer: AppendableWriter | ChainWriter
    store.acquire()
    try:
        refuse_other_codec(source, config)
        if is_appendable(store):
            written = store if observers is None else observers.store(store)
            writer, examined = open_appendable(
                source, written, policy, environment, config.max_segment_size, config.verify, config.recovery
            )
        else:
            writer, examined = open_chain(source, environment, config.verify, config.recovery)
        report = report_of(source, writer, examined, time.monotonic() - started)
    except BaseException:
        store.close()
        raise
    if observers is not None:
        writer = observers.writer(writer, store.name, report)
    limits = Limits(config.max_entry_size, config.max_batch_size)
    commits = GroupCommit(store.name, writer, environment, config.max_queued_size, config.max_batch_size)
    return Wal(None if path is None else os.fspath(path), source, writer, commits, limits, report)


def open_reader(
    path: str | os.PathLike[str] | None = None,
    upto: Upto = "durable",
    config: WalConfig | None = None,
    **overrides: Unpack[Overrides],
) -> WalReader:
    """Read a log beside its writer, in any process: without its lock, changing nothing (G14).

    *upto*: `durable` entries only, or every one that is `written`. Of the configuration, `store` and `codec` matter.
    Raises `Missing` (there is no log yet), `ConfigError`, `Corrupt`, `UnsupportedFormat`, `OSError`.
    """
    from walogs.wal_reader import WalReader

    if upto not in ("durable", "written"):
        raise config_error(f"upto={upto!r}: 'durable' or 'written'")
    source = source_of(path, overridden(config, overrides))
    return WalReader(None if path is None else os.fspath(path), source, upto)


def source_of(path: str | os.PathLike[str] | None, config: WalConfig) -> Source:
    """The components that reading needs."""
    store, codec = store_of(path, config.store), component("codec", config.codec, Codec)
    return Source(store, NativeFormat(), codec, parameters_of(codec), codecs_beside(codec))


def observers_of(config: WalConfig) -> Observers | None:
    """None: nothing of a log that nobody watches is any slower for those that are."""
    if not config.observers:
        return None
    from walogs.observed import Observers

    found = [registry.made("observer", each) if isinstance(each, str) else each for each in config.observers]
    wrong = [each for each in found if not callable(each) or isinstance(each, type)]
    if wrong:
        raise config_error(f"observers={wrong[0]!r}: names, or objects that are called with each event")
    return Observers(found)


def refuse_other_codec(source: Source, config: WalConfig) -> None:
    newest = look(source)
    if newest is not None and not config.change_codec:
        source.refuse_other_codec(newest)


def codecs_beside(codec: Codec) -> Callable[[str, bytes], Codec]:
    """Those that read what is stamped with another name, or other parameters, than *codec*'s; each made once."""
    made: dict[tuple[str, bytes], Codec] = {}

    def codec_named(name: str, parameters: bytes) -> Codec:
        found = made.get((name, parameters))
        if found is None:
            found = made[name, parameters] = codec_by_stamp(codec, name, parameters)
        return found

    return codec_named


def codec_by_stamp(codec: Codec, name: str, encoded: bytes) -> Codec:
    """By the codec at hand when it knows other parameters of its own (keys); else one of that name, made with the
    parameters as its options. Raises `ConfigError`, `PluginError`; `UnsupportedFormat`: the one at hand refuses it."""
    import json

    if name != codec.name and isinstance(codec, RefusesOtherCodecs) and (why := codec.refuses_codec(name)):
        raise UnsupportedFormat(why, found=name)
    try:
        parameters = json.loads(encoded)
        if name == codec.name and isinstance(codec, ReadsOtherParameters):
            found = codec.with_parameters(parameters)
        else:
            dataclass = registry.options("codec", name)
            found = registry.made("codec", name, options=dataclass(**parameters) if dataclass is not None else None)
        stamp = found.name, parameters_of(found)
    except WalError:
        raise
    except (TypeError, ValueError) as error:
        raise config_error(f"codec {name!r} cannot be made from the parameters {encoded!r}: {error}") from error
    if stamp != (name, encoded):
        raise config_error(f"codec {name!r}, made from the parameters {encoded!r}, says of itself {stamp}")
    return found


def store_of(path: str | os.PathLike[str] | None, store: str | SegmentStore) -> SegmentStore:
    if isinstance(store, str):
        if path is None:
            raise config_error(f"store={store!r} needs a path")
        path_text(path)
        made: SegmentStore = registry.made("store", store, path)
        return made
    if path is not None:
        raise config_error(f"path={path!r}: with a store object there is no path")
    kept: SegmentStore = component("store", store, SegmentStore)
    return kept


def component(kind: Kind, value: Any, protocol: type) -> Any:
    """The object of that name, or the object given."""
    if isinstance(value, str):
        return registry.made(kind, value)
    if isinstance(value, type) or not isinstance(value, protocol):
        raise config_error(f"{kind}={value!r}: a name, or an object with the members of {protocol.__name__}")
    return value


def refuse_weak_store(store: SegmentStore, policy: SyncPolicy) -> None:
    """A store that cannot give G1 is refused by a policy that promises it (G19)."""
    capabilities, durability = store.capabilities, store.capabilities.durability
    if not capabilities.appendable and not capabilities.exists_means_durable:
        raise config_error(f"{store.name} shows segments that are not durable yet: no open could vouch for them (G4)")
    if policy.promise == "durable" and durability in ("none", "page-cache"):
        problem = f"sync={policy.name!r} promises durable appends, and {store.name} holds them in {durability!r} only"
        raise config_error(f"{problem}; sync='none' promises nothing")


def parameters_of(codec: Codec) -> bytes:
    """As they stand in segment headers. Raises `ConfigError` before anything is written when they do not fit."""
    parameters = codec.parameters()
    encoded = b"{}"
    if parameters:
        import json

        text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        encoded = text.encode()
    problems: list[str] = []
    if len(encoded) > CODEC_PARAMETERS_MAX:
        problems.append(f"codec={codec.name!r}: its parameters are {len(encoded)} bytes; {CODEC_PARAMETERS_MAX} fit")
    if not 0 < len(codec.name.encode()) <= CODEC_NAME_MAX:
        problems.append(f"codec={codec.name!r}: a name is 1 to {CODEC_NAME_MAX} bytes of UTF-8")
    if problems:
        raise config_error(*problems)
    return encoded


def report_of(
    source: Source, writer: AppendableWriter | ChainWriter, examined: Examined | None, seconds: float
) -> RecoveryReport:
    completed, active = writer.completed, writer.active
    is_sealed_shape = active is not None
    tail = tail_state_of(examined)
    if isinstance(tail, TruncatedAt):
        name = source.store.segment_name(tail.segment)
        import logging

        logging.getLogger("walogs").warning("%s: %s was cut at byte %d", source.store.name, name, tail.offset)
    return RecoveryReport(
        segments=len(completed) + (active is not None),
        entries=writer.next_lsn - writer.base_lsn,
        bytes=sum(segment.end for segment in completed) + (active.end if active is not None else 0),
        duration_seconds=seconds,
        verdict=examined.verdict if examined is not None else "clean",
        tail_state=tail,
        rewritten_bytes=writer.rewritten_bytes,
        removed_segments=writer.removed_segments,
        unsealed_segments=tuple(s.header.number for s in completed if not s.seal_end) if is_sealed_shape else (),
    )


def tail_state_of(examined: Examined | None) -> Clean | TruncatedAt:
    if examined is None or examined.verdict == "clean":
        return Clean()
    scan = examined.newest
    return TruncatedAt(scan.header.number, scan.end, max(examined.bytes_end - scan.end, 0))
