"""Open a log: turn a configuration into components, recover the log with them, and put the handle together."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from walogs.assembly import registry
from walogs.assembly.choice import Problems, component, observers_of, store_of
from walogs.assembly.config import (
    OWN_KEYWORDS,
    Overrides,
    ReadingOverrides,
    Retention,
    WalConfig,
    as_values,
    config_error,
    overridden,
    refuse_unless,
    refuse_unread,
)
from walogs.assembly.waiting import acquire_within
from walogs.engine.appendable import AppendableWriter
from walogs.engine.commit import GroupCommit
from walogs.engine.commit_pace import CommitPace
from walogs.engine.immutable_segments import ImmutableSegmentWriter
from walogs.engine.log_source import Environment, LogSource
from walogs.engine.recovery import peek_header
from walogs.engine.takeover import limit_segments, open_appendable, open_immutable
from walogs.errors import Corrupt, UnsupportedFormat, WalError
from walogs.formats.crc32 import is_checked_by_crc
from walogs.formats.native import CHECK_BYTES_MAX, CODEC_NAME_MAX, CODEC_PARAMETERS_MAX, NativeFormat
from walogs.foundation.foreign import error_text
from walogs.foundation.lazy import lazy_import, log_warning
from walogs.foundation.process_name import process_name
from walogs.handles.limits import Limits
from walogs.handles.wal import Wal
from walogs.protocols import (
    Codec,
    ExclusiveCodec,
    ReparameterizableCodec,
    SegmentStore,
    SyncPolicy,
    is_appendable,
)
from walogs.types import Clean, RecoveryReport, TruncatedAt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Unpack

    from walogs.engine.observation import Visibility
    from walogs.engine.recovery import RecoveredLog
    from walogs.engine.segments import ActiveSegment
    from walogs.engine.takeover import Takeover
    from walogs.handles.observed import Observers
    from walogs.handles.reader import WalReader

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
ENVIRONMENT = Environment(clock=time.time_ns, entropy=os.urandom, sleep=time.sleep, writer_name=process_name)


def open(
    path: str | os.PathLike[str] | None = None, config: WalConfig | None = None, **overrides: Unpack[Overrides]
) -> Wal:
    """Open a log for writing. Create it if there is none, and recover it if it was not closed.

    *path* is the directory of a local log, or None if `store=` is an object. *overrides* are keys of `WalConfig`. With
    `wait=5.0`, an open tries again for five seconds while another writer has the log open. Raises `ConfigError`,
    `Locked` (G13), `Corrupt` (G6), `UnsupportedFormat` or `OSError`. None of them has changed an entry of the log.
    """
    return assemble(path, config, ENVIRONMENT, overrides)


def assemble(
    path: str | os.PathLike[str] | None,
    given: WalConfig | None,
    environment: Environment,
    overrides: Mapping[str, Any] = NOTHING,
) -> Wal:
    """Open a log in a given environment. `open` does this in the real one; tests replace the clock and the entropy."""
    config, source, policy, observers = resolve_all(path, given, overrides)
    with name_exchanged_files(source):
        return open_resolved(path, config, source, policy, observers, environment)


def open_resolved(
    path: str | os.PathLike[str] | None,
    config: WalConfig,
    source: LogSource,
    policy: SyncPolicy,
    observers: Observers | None,
    environment: Environment,
) -> Wal:
    """Recover a log whose components are made, and return its handle."""
    store = source.store
    refuse_weak_store(store, policy)
    started = time.monotonic()
    has_lock = store.capabilities.exclusion == "lock"
    if has_lock:  # a store without one tells the codec when the log is examined, before anything is created
        refuse_other_codec(source, config)  # before the lock, so that a refused open leaves no file behind
    acquire_within(store, config.wait, environment)
    try:
        if has_lock:
            refuse_other_codec(source, config)  # again, because the writer that held the lock may have rotated since
        writer, report = recover(source, config, policy, observers, environment, started)
        if observers is not None:
            writer = observers.writer(writer, store.name, report)
        if config.retention is not None:
            writer = retaining(writer, source, environment, config.retention)
        limits = Limits(config.max_entry_size, config.max_batch_size)
        commits = GroupCommit(
            name=store.name,
            writer=writer,
            environment=environment,
            queued_bytes_max=config.max_queued_size,
            body_bytes_max=config.max_batch_size,
            pace=pace_of(store, policy, environment, config.max_batch_size),
        )
        return Wal(
            path=None if path is None else os.fspath(path),
            source=source,
            writer=writer,
            commits=commits,
            limits=limits,
            report=report,
        )
    except BaseException:  # an interrupt can arrive at each of these calls
        store.close()
        raise


def retaining(
    writer: AppendableWriter | ImmutableSegmentWriter,
    source: LogSource,
    environment: Environment,
    retention: Retention,
) -> AppendableWriter | ImmutableSegmentWriter:
    """Return the same writer, which also gives up what is beyond the retention."""
    with lazy_import:
        from walogs.engine.retention import RetainingWriter
        from walogs.handles.cursor import needed_by_cursors

    log_id = (writer.active or writer.completed[-1]).header.log_id

    def at_most() -> int | None:
        return needed_by_cursors(source, log_id, lambda: writer.next_lsn - 1) if retention.keep_for_cursors else None

    made = RetainingWriter(
        writer, source.store.name, environment, size=retention.size, age_ns=retention.age_ns, at_most=at_most
    )
    return cast("AppendableWriter | ImmutableSegmentWriter", made)


def recover(
    source: LogSource,
    config: WalConfig,
    policy: SyncPolicy,
    observers: Observers | None,
    environment: Environment,
    started: float,
) -> tuple[AppendableWriter | ImmutableSegmentWriter, RecoveryReport]:
    """Take over a log whose store was acquired, and return its writer and the report of the recovery."""
    store = source.store
    if not is_appendable(store):
        fenced = open_immutable(source, environment, config.verify, config.recovery, change_codec=config.change_codec)
        writer = ImmutableSegmentWriter(source, environment, fenced)
        return writer, report_takeover(source, fenced, time.monotonic() - started)
    written = store if observers is None else observers.store(store)
    sizes = limit_segments(source, written, config.max_segment_size)
    takeover = open_appendable(source, written, environment, sizes, config.verify, config.recovery)
    appendable = AppendableWriter(
        source=source,
        store=written,
        policy=policy,
        environment=environment,
        limits=sizes,
        takeover=takeover,
    )
    return appendable, report_takeover(source, takeover, time.monotonic() - started)


def pace_of(
    store: SegmentStore, policy: SyncPolicy, environment: Environment, body_bytes_max: int
) -> CommitPace | None:
    """Return what delays the commits of an immutable-segment store, or None if the policy asks for each at once."""
    if is_appendable(store) or policy.durability != "eventually":
        return None
    return CommitPace(policy, body_bytes_max, environment.monotonic)


def resolve_all(
    path: str | os.PathLike[str] | None, config: WalConfig | None, overrides: Mapping[str, Any]
) -> tuple[WalConfig, LogSource, SyncPolicy, Observers | None]:
    """Return the configuration, and its components as objects. Raises all problems in one `ConfigError`."""
    values = {**as_values(config), **overrides}
    problems = Problems()
    settled = problems.attempt(overridden, config, overrides)
    source = problems.attempt(resolve_source, path, values)
    policy: SyncPolicy = problems.attempt(component, "sync", values["sync"], SyncPolicy)
    watched = problems.attempt(observers_of, values["observers"])
    problems.refuse()
    if not watched:  # a log without observers pays nothing for them
        return settled, source, policy, None
    with lazy_import:
        from walogs.handles.observed import Observers

    observers = Observers(watched)
    return settled, observers.source(source), policy, observers


def reader(
    path: str | os.PathLike[str] | None = None,
    config: WalConfig | None = None,
    *,
    visibility: Visibility = "durable",
    **overrides: Unpack[ReadingOverrides],
) -> WalReader:
    """Open a log for reading, beside its writer and in any process. It takes no lock and changes nothing (G14).

    *visibility* is "durable" for durable entries only, or "written" for all that have been written. Only `store` and
    `codec` of a configuration matter to a reader, and only they can be keywords. Raises `LogNotFound` if there is
    no log yet, `ConfigError`, `Corrupt`, `UnsupportedFormat`, `OSError`.
    """
    with lazy_import:
        from walogs.handles.reader import WalReader

    problems = Problems()
    problems.attempt(refuse_unless, "visibility", visibility, ("durable", "written"))
    source = problems.attempt(source_of, path, config, overrides, ("path", "config", "visibility"))
    problems.refuse()
    with name_exchanged_files(source):
        return WalReader(None if path is None else os.fspath(path), source, visibility)


@contextmanager
def name_exchanged_files(source: LogSource) -> Iterator[None]:
    """Add the commands that rename the files to a `Corrupt`, if segment files have each other's names."""
    try:
        yield
    except Corrupt as error:
        with lazy_import:
            from walogs.defaults.renaming import tell_names

        tell_names(source, error)
        raise


def source_of(
    path: str | os.PathLike[str] | None,
    config: WalConfig | None,
    overrides: Mapping[str, Any] = NOTHING,
    own: tuple[str, ...] = OWN_KEYWORDS,
) -> LogSource:
    """Return the components that reading needs. Raise every problem in one `ConfigError`.

    *own* are the parameters of the calling function: they are suggested where a keyword is misspelled.
    """
    values = {**as_values(config), **overrides}
    problems = Problems()
    problems.attempt(refuse_unread, config, overrides, own)
    source = problems.attempt(resolve_source, path, values)
    problems.refuse()
    return source


def resolve_source(path: str | os.PathLike[str] | None, values: Mapping[str, Any]) -> LogSource:
    """Return the store and the codec of these values, as objects. Raises all problems in one `ConfigError`."""
    problems = Problems()
    store = problems.attempt(store_of, path, values["store"])
    chosen = problems.attempt(resolve_codec, values["codec"])
    problems.refuse()
    codec, parameters = chosen
    return LogSource(
        store=store,
        store_of_log=store,
        format=NativeFormat(),
        codec=codec,
        asked_codec=None if is_checked_by_crc(codec) else codec,
        codec_parameters=parameters,
        codec_named=codecs_beside(codec),
    )


def resolve_codec(value: str | Codec) -> tuple[Codec, bytes]:
    """Return the codec, and its parameters as segment headers hold them. Raises `ConfigError`, `PluginError`."""
    codec: Codec = component("codec", value, Codec)
    return codec, parameters_of(codec)


def refuse_other_codec(source: LogSource, config: WalConfig) -> None:
    """Raise `UnsupportedFormat` if the log has another codec, unless the configuration allows the change."""
    newest = peek_header(source)
    if newest is not None and not config.change_codec:
        source.refuse_other_codec(newest)


def codecs_beside(codec: Codec) -> Callable[[str, bytes], Codec]:
    """Return a function that makes the codecs of segments which another codec than *codec* wrote; each only once."""
    made: dict[tuple[str, bytes], Codec] = {}

    def codec_named(name: str, parameters: bytes) -> Codec:
        found = made.get((name, parameters))
        if found is None:
            found = made[name, parameters] = codec_by_stamp(codec, name, parameters)
        return found

    return codec_named


def codec_by_stamp(codec: Codec, name: str, encoded: bytes) -> Codec:
    """Return the codec of segments that are stamped with this name and these parameters.

    The configured codec makes it if it can read other parameters of its own kind (keys, for example). Otherwise a codec
    of that name is made, with the parameters as its options. Raises `ConfigError`, `PluginError`, or
    `UnsupportedFormat` if the configured codec refuses to be mixed with it.
    """
    with lazy_import:
        from json import loads

    if name != codec.name and isinstance(codec, ExclusiveCodec) and (why := codec.refuses_codec(name)):
        raise UnsupportedFormat(why, found=name)
    try:
        parameters = loads(encoded)
        if name == codec.name and isinstance(codec, ReparameterizableCodec):
            found = codec.with_parameters(parameters)
        else:
            dataclass = registry.options("codec", name)
            found = registry.make("codec", name, options=dataclass(**parameters) if dataclass is not None else None)
        stamp = found.name, parameters_of(found)
    except WalError:
        raise
    except (TypeError, ValueError) as error:
        why = error_text(error)
        raise config_error(f"codec {name!r} cannot be made from the parameters {encoded!r}: {why}") from error
    if stamp != (name, encoded):
        raise config_error(f"codec {name!r}, made from the parameters {encoded!r}, says of itself {stamp}")
    return found


def refuse_weak_store(store: SegmentStore, policy: SyncPolicy) -> None:
    """Raise `ConfigError` if the policy promises more than the store can keep (G1, G19)."""
    capabilities, persistence = store.capabilities, store.capabilities.persistence
    if not capabilities.appendable and not capabilities.exists_means_durable:
        raise config_error(f"{store.name} shows segments that are not durable yet: no open could vouch for them (G4)")
    if policy.durability == "durable" and persistence in ("none", "page-cache"):
        problem = f"sync={policy.name!r} promises durable appends, and {store.name} holds them in {persistence!r} only"
        raise config_error(f"{problem}; sync='none' promises nothing")


def parameters_of(codec: Codec) -> bytes:
    """Return a codec's parameters as segment headers hold them. Raises `ConfigError` if they do not fit there."""
    parameters = codec.parameters()
    encoded = b"{}"
    if parameters:
        with lazy_import:
            from json import dumps

        text = dumps(parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        encoded = text.encode()
    problems: list[str] = []
    if len(encoded) > CODEC_PARAMETERS_MAX:
        problems.append(f"codec={codec.name!r}: its parameters are {len(encoded)} bytes; {CODEC_PARAMETERS_MAX} fit")
    if not 0 < len(codec.name.encode()) <= CODEC_NAME_MAX:
        problems.append(f"codec={codec.name!r}: a name is 1 to {CODEC_NAME_MAX} bytes of UTF-8")
    if not 0 < codec.check_bytes <= CHECK_BYTES_MAX:
        problems.append(f"codec={codec.name!r}: its check is {codec.check_bytes} bytes; 1 to {CHECK_BYTES_MAX} fit")
    if problems:
        raise config_error(*problems)
    return encoded


def report_takeover(
    source: LogSource, takeover: Takeover[ActiveSegment] | Takeover[None], seconds: float
) -> RecoveryReport:
    """Return the report of an open that took so many seconds. Logs a warning if the end of the log was cut."""
    completed, active, recovered = takeover.completed, takeover.active, takeover.recovered
    tail = tail_state_of(recovered)
    if isinstance(tail, TruncatedAt):
        name = source.store.segment_name(tail.segment)
        log_warning("%s: %s was cut at byte %d", source.store.name, name, tail.offset)
    unsealed = () if active is None else tuple(each.header.number for each in completed if not each.seal_end)
    return RecoveryReport(
        segments=len(completed) + (active is not None),
        entries=takeover.next_lsn - takeover.log_first_lsn,
        bytes=sum(segment.end for segment in completed) + (active.end if active is not None else 0),
        duration_seconds=seconds,
        verdict=recovered.verdict if recovered is not None else "clean",
        tail_state=tail,
        rewritten_bytes=takeover.rewritten_bytes,
        removed_segments=takeover.removed_segments,
        unsealed_segments=unsealed,
    )


def tail_state_of(recovered: RecoveredLog | None) -> Clean | TruncatedAt:
    """Return what was done with the end of the log."""
    if recovered is None or recovered.verdict == "clean":
        return Clean()
    scan = recovered.newest
    return TruncatedAt(scan.header.number, scan.end, max(recovered.bytes_end - scan.end, 0))
