"""The writer and the log source of a log that has observers. A log without observers uses neither."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from walogs.engine.log_source import LogSource
from walogs.events import (
    AppendEvent,
    CheckpointEvent,
    CorruptionEvent,
    RecoveryEvent,
    RotationEvent,
    SyncEvent,
)
from walogs.foundation.foreign import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.immutable_segments import ImmutableSegmentWriter
    from walogs.errors import Corrupt
    from walogs.events import Event, Observer
    from walogs.protocols import AppendableStore, SegmentStore, SyncKind
    from walogs.types import RecoveryReport

    Writer: TypeAlias = AppendableWriter | ImmutableSegmentWriter

T = TypeVar("T")
LOGGER: Final = logging.getLogger("walogs")


class Observers:
    """Passes each event to each observer. An observer that raises is called again for the next event."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        self._failed: set[int] = set()
        self._timed: TimedStore | None = None

    def tell(self, event: Event) -> None:
        """Call each observer with the event. Log the first exception of each."""
        for at, observer in enumerate(self._observers):
            try:
                observer(event)
            except (KeyboardInterrupt, SystemExit):  # they are for the program, which a handler of a signal ends
                raise
            except BaseException:  # also a cancelled task's: the entry that was told of is in the log all the same
                if at not in self._failed:  # said once: it may be called a hundred thousand times a second
                    self._failed.add(at)
                    LOGGER.exception(
                        "observer %s failed on %s; it is called again, and not complained of",
                        describe(observer),
                        describe(event),
                    )

    def source(self, source: LogSource) -> LogSource:
        """Return the same log source, which also reports damage to the observers."""
        return observe_source(source, self.tell)

    def store(self, store: AppendableStore) -> AppendableStore:
        """Return the same store for the writer, which also measures the time of its syncs."""
        self._timed = TimedStore(store)
        return cast("AppendableStore", self._timed)

    def writer(self, writer: Writer, log: str, report: RecoveryReport) -> Writer:
        """Return the same writer, which also reports what it does. Report now that the log was opened."""
        self.tell(RecoveryEvent(log, report))
        return cast("Writer", ObservedWriter(writer, log, self.tell, self._timed))


class ObservedLogSource(LogSource):
    tell: Callable[[Event], None]

    def with_store(self, store: SegmentStore) -> LogSource:
        return observe_source(super().with_store(store), self.tell)

    def corrupt(self, *args: Any, **kwargs: Any) -> Corrupt:
        return self._told(super().corrupt(*args, **kwargs))

    def missing(self, *args: Any, **kwargs: Any) -> Corrupt:
        return self._told(super().missing(*args, **kwargs))

    def _told(self, error: Corrupt) -> Corrupt:
        self.tell(CorruptionEvent(self.store.name, error))
        return error


def observe_source(source: LogSource, tell: Callable[[Event], None]) -> LogSource:
    """Return the same log source, which also reports damage through *tell*."""
    made = ObservedLogSource(*source)
    made.tell = tell
    return made


class TimedStore:
    """A store that adds up the time of its syncs, in seconds."""

    def __init__(self, store: AppendableStore) -> None:
        self._store = store
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def sync(self, number: int, kind: SyncKind) -> None:
        began = perf_counter()
        try:
            self._store.sync(number, kind)
        finally:
            self.seconds += perf_counter() - began


class ObservedWriter:
    """A writer that reports what it does. As any writer, it is called by the thread that holds the log's mutex."""

    def __init__(self, writer: Writer, log: str, tell: Callable[[Event], None], timed: TimedStore | None) -> None:
        self._writer = writer
        self._log = log
        self._tell = tell
        self._timed = timed
        """None: the store has no sync, because its segments are durable when they appear."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def write_commit(self, entries: list[bytes]) -> int:
        first_lsn, seconds = self._report(lambda: self._writer.write_commit(entries))
        size, durable_lsn = sum(map(len, entries)), self._writer.durable_lsn
        self._tell(
            AppendEvent(
                log=self._log,
                first_lsn=first_lsn,
                entries=len(entries),
                bytes=size,
                seconds=seconds,
                durable_lsn=durable_lsn,
            )
        )
        return first_lsn

    def sync(self) -> None:
        self._report(self._writer.sync)

    def rotate(self) -> None:
        self._report(self._writer.rotate)

    def close(self) -> None:
        self._report(self._writer.close)

    def checkpoint(self, lsn: int) -> int:
        removed, seconds = self._report(lambda: self._writer.checkpoint(lsn))
        self._tell(
            CheckpointEvent(
                log=self._log, lsn=lsn, first_lsn=self._writer.log_first_lsn, removed_segments=removed, seconds=seconds
            )
        )
        return removed

    def _report(self, verb: Callable[[], T]) -> tuple[T, float]:
        """Return the result of *verb* and its duration in seconds.

        Report which entries became durable, and a new segment, also when *verb* raises.
        """
        writer, timed = self._writer, self._timed
        durable_lsn, active = writer.durable_lsn, writer.active
        if timed is not None:
            timed.seconds = 0.0
        began = perf_counter()
        try:
            result = verb()
        finally:
            seconds = perf_counter() - began
            made_durable = writer.durable_lsn - durable_lsn
            if made_durable:
                in_store = timed.seconds if timed is not None else seconds
                self._tell(
                    SyncEvent(log=self._log, last_lsn=writer.durable_lsn, entries=made_durable, seconds=in_store)
                )
            if writer.active is not None and writer.active is not active:
                header = writer.active.header
                self._tell(RotationEvent(self._log, header.number, header.first_lsn - 1))
        return result, seconds
