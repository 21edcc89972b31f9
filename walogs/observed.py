"""A log that is watched: the writer and the source, each with what tells the observers. One that is not has neither."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from walogs.engine.source import Source
from walogs.events import (
    AppendEvent,
    CheckpointEvent,
    CorruptionEvent,
    RecoveryEvent,
    RotationEvent,
    SyncEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.chain import ChainWriter
    from walogs.errors import Corrupt
    from walogs.events import Event, Observer
    from walogs.protocols import AppendableStore, Barrier
    from walogs.types import RecoveryReport

    Writer: TypeAlias = AppendableWriter | ChainWriter

T = TypeVar("T")
LOGGER: Final = logging.getLogger("walogs")


class Observers:
    """Tells each of them. One that raises is told of again: what it missed is its own."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        self._failed: set[int] = set()
        self._timed: TimedStore | None = None

    def tell(self, event: Event) -> None:
        for at, observer in enumerate(self._observers):
            try:
                observer(event)
            except Exception:
                if at not in self._failed:  # said once: it may be called a hundred thousand times a second
                    self._failed.add(at)
                    LOGGER.exception(
                        "observer %r failed on %r; it is called again, and not complained of", observer, event
                    )

    def source(self, source: Source) -> Source:
        """The same, which tells of damage wherever it is found."""
        made = ObservedSource(*source)
        made.tell = self.tell
        return made

    def store(self, store: AppendableStore) -> AppendableStore:
        """The same, for the writer alone, with its syncs timed."""
        self._timed = TimedStore(store)
        return cast("AppendableStore", self._timed)

    def writer(self, writer: Writer, log: str, report: RecoveryReport) -> Writer:
        """The same, which tells what it does; that the log was opened is told now."""
        self.tell(RecoveryEvent(log, report))
        return cast("Writer", ObservedWriter(writer, log, self.tell, self._timed))


class ObservedSource(Source):
    tell: Callable[[Event], None]

    def corrupt(self, *args: Any, **kwargs: Any) -> Corrupt:
        error = super().corrupt(*args, **kwargs)
        self.tell(CorruptionEvent(self.store.name, error))
        return error


class TimedStore:
    """Counts how long syncs take."""

    def __init__(self, store: AppendableStore) -> None:
        self._store = store
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def sync(self, number: int, barrier: Barrier) -> None:
        began = perf_counter()
        try:
            self._store.sync(number, barrier)
        finally:
            self.seconds += perf_counter() - began


class ObservedWriter:
    """The writer, with what it does told. Called under the log's mutex, as the writer is."""

    def __init__(self, writer: Writer, log: str, tell: Callable[[Event], None], timed: TimedStore | None) -> None:
        self._writer = writer
        self._log = log
        self._tell = tell
        self._timed = timed
        """None: segments appear whole, and are durable then."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def append(self, entries: list[bytes]) -> int:
        first_lsn, seconds = self._told(lambda: self._writer.append(entries))
        size, durable_lsn = sum(map(len, entries)), self._writer.durable_lsn
        self._tell(AppendEvent(self._log, first_lsn, len(entries), size, seconds, durable_lsn))
        return first_lsn

    def sync(self) -> None:
        self._told(self._writer.sync)

    def rotate(self) -> None:
        self._told(self._writer.rotate)

    def close(self) -> None:
        self._told(self._writer.close)

    def checkpoint(self, lsn: int) -> int:
        removed, seconds = self._told(lambda: self._writer.checkpoint(lsn))
        self._tell(CheckpointEvent(self._log, lsn, self._writer.base_lsn, removed, seconds))
        return removed

    def _told(self, verb: Callable[[], T]) -> tuple[T, float]:
        """What it returns, and its seconds; what became durable and which segment is active are told, also when it
        raises."""
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
                self._tell(SyncEvent(self._log, writer.durable_lsn, made_durable, in_store))
            if writer.active is not None and writer.active is not active:
                header = writer.active.header
                self._tell(RotationEvent(self._log, header.number, header.first_lsn - 1))
        return result, seconds
