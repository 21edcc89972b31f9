"""`Wal`: the log, as its one writer holds it. Each verb is a paragraph; what it calls is one layer down."""

from __future__ import annotations

import os
import threading
import warnings
from dataclasses import replace
from operator import countOf
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from walogs.engine.reading import Reading, Snapshot
from walogs.errors import Checkpointed, Closed, EntryTooLarge, Reentered
from walogs.types import SegmentSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import NoReturn, Self

    from typing_extensions import Buffer

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.chain import ChainWriter
    from walogs.engine.segments import ActiveSegment, CompletedSegment
    from walogs.engine.source import Source
    from walogs.types import Commit, RecoveryReport, TailState

P = ParamSpec("P")
T = TypeVar("T")


class Limits(NamedTuple):
    """Of what is appended, bytes, inclusive."""

    entry: int
    batch: int


class Wal:
    """An open log. Made by `walogs.open`; safe to use from several threads; never pickled; not to be used after a fork.

    Has no `len()`: an empty log would be false.
    """

    def __init__(
        self,
        path: str | None,
        source: Source,
        writer: AppendableWriter | ChainWriter,
        limits: Limits,
        report: RecoveryReport,
    ) -> None:
        self.path = path
        """The directory of a local log; None: the store is an object."""
        self.recovery_report = report
        """What the open that made this handle found and did."""
        self._source = source
        self._writer = writer
        self._limits = limits
        self._reading = Reading(source, lambda: writer.base_lsn)  # not this handle: a circle would keep it
        self._mutex = threading.RLock()
        self._is_busy = False
        self._pid = os.getpid()
        self.closed = False
        """Whether `close()` was called."""

    # Writing

    def append(self, data: Buffer) -> int:
        """Append one entry: any C-contiguous buffer, empty too. Returns its LSN, dense from 1.

        When it returns, the sync policy's promise holds: by default, the entry is durable (G1). Raises `EntryTooLarge`
        or `OSError` (no space): nothing was written and the handle is as usable as before; `Indefinite`: the outcome is
        unknown and the handle is poisoned; `Poisoned`, `Closed`: nothing was written (G7, G9).
        """
        entry = data if type(data) is bytes else owned(data)
        size = len(entry)
        if size > self._limits.entry:
            self._refuse_size("an entry", size, self._limits.entry)
        return self._in_turn(self._writer.append, [entry])

    def append_batch(self, entries: Iterable[Buffer]) -> range:
        """Append entries all or nothing: one frame, one sync (G12). Returns their LSNs.

        An empty batch is an empty range, and no write. Raises what `append` raises.
        """
        batch = all_owned(entries)
        total = sum(map(len, batch))
        if total > self._limits.entry and max(map(len, batch)) > self._limits.entry:
            self._refuse_size("an entry", max(map(len, batch)), self._limits.entry)
        whole = self._source.format.body_bytes(len(batch), total)
        if len(batch) > 1 and whole > self._limits.batch:
            self._refuse_size("a batch", whole, self._limits.batch)
        if not batch:
            next_lsn = self._in_turn(lambda: self._writer.next_lsn)
            return range(next_lsn, next_lsn)
        first_lsn = self._in_turn(self._writer.append, batch)
        return range(first_lsn, first_lsn + len(batch))

    def sync(self) -> None:
        """Make every entry appended so far durable; nothing to do under a policy that promises it already (G1).

        Raises `Indefinite`: the outcome is unknown, and the handle is poisoned.
        """
        self._in_turn(self._writer.sync)

    def rotate(self) -> None:
        """Begin the next segment now; nothing happens on an empty one (G10). Raises `OSError` (no space): as before."""
        self._in_turn(self._writer.rotate)

    def checkpoint(self, lsn: int) -> int:
        """The entries up to *lsn* are no longer needed: remove completed segments wholly within that; how many (G11).

        Never removes the active segment; 0 and beyond the end are fine. Works on a full disk. An `OSError` from the
        removal leaves the handle usable: the next checkpoint, or open, finishes it.
        """
        return self._in_turn(self._writer.checkpoint, lsn)

    # Reading

    def iter(self, start: int | None = None, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(LSN, data) from *start* (None: the first there is) up to, not including, *stop* (None: the end).

        Hands out every entry whose append had returned when this was called. Raises `Checkpointed` below the base
        (also while iterating, when a checkpoint overtakes it), `IndexError` for LSN 0 and `Corrupt`.
        """
        snapshot, first, end = self._snapshot(start, stop)
        return snapshot.entries(first, end)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self.iter()

    def commits(self, start: int | None = None, stop: int | None = None) -> Iterator[Commit]:
        """Time and LSNs of every commit that holds an entry of [start, stop). Raises what `iter` raises."""
        snapshot, first, end = self._snapshot(start, stop)
        return snapshot.commits(first, end)

    def read(self, lsn: int) -> bytes:
        """The data of one entry, found through its segment's index. Raises `Checkpointed`, `IndexError`, `Corrupt`."""
        snapshot, first, end = self._snapshot(lsn, lsn + 1)
        data = snapshot.entry(lsn) if first < end else None
        if data is not None:
            return data
        raise IndexError(f"{self._source.store.name} holds no entry {lsn}: it ends at {self.last_lsn}")

    def _snapshot(self, start: int | None, stop: int | None) -> tuple[Snapshot, int, int]:
        """What [start, stop) is now, and where it can be read."""
        snapshot, base, next_lsn = self._in_turn(self._readable)
        first = base if start is None else start
        if first < 1:
            raise IndexError(f"LSN {first}: entries are numbered from 1")
        if first < base:
            message = f"entry {first} was checkpointed: {self._source.store.name} begins at {base}"
            raise Checkpointed(message, lsn=first, base_lsn=base)
        return snapshot, first, next_lsn if stop is None else min(stop, next_lsn)

    def _readable(self) -> tuple[Snapshot, int, int]:
        writer = self._writer
        snapshot = Snapshot(self._reading, writer.completed, writer.active_extent())
        return snapshot, writer.base_lsn, writer.next_lsn

    # What it is

    @property
    def next_lsn(self) -> int:
        """The LSN that the next entry will have."""
        return self._writer.next_lsn

    @property
    def first_lsn(self) -> int:
        """The first LSN that can be read; `next_lsn` when there is none."""
        return self._writer.base_lsn

    @property
    def last_lsn(self) -> int:
        """The LSN of the last entry, checkpointed or not; 0 for a fresh log."""
        return self._writer.next_lsn - 1

    @property
    def durable_lsn(self) -> int:
        """Every entry up to this one is durable; tells the truth under every sync policy."""
        return self._writer.durable_lsn

    @property
    def tail_state(self) -> TailState:
        """How the log ended when it was opened: `Clean` or `TruncatedAt`."""
        return self.recovery_report.tail_state

    @property
    def segment_count(self) -> int:
        """How many segments there are, the active one included."""
        return self._in_turn(lambda: len(self._writer.completed) + (self._writer.active is not None))

    def segments(self) -> list[SegmentSummary]:
        """Every segment, oldest first, from what is known without reading."""
        return self._in_turn(self._summaries)

    def _summaries(self) -> list[SegmentSummary]:
        name, writer = self._source.store.segment_name, self._writer
        active = writer.active
        found = [summary(segment, name(segment.header.number)) for segment in writer.completed]
        if active is not None:
            found.append(active_summary(active, name(active.header.number)))
        elif found:
            found[-1] = replace(found[-1], is_active=True)
        return found

    def __repr__(self) -> str:
        state = "closed" if self.closed else "poisoned" if self._writer.is_poisoned else "open"
        lsns = f"{self.first_lsn}..{self.last_lsn}" if self.last_lsn >= self.first_lsn else "no entries"
        return f"<walogs.Wal {self._source.store.name!r} {lsns}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Wal cannot be pickled: open the log in the other process")

    # Closing

    def close(self) -> None:
        """Sync what is pending, free the lock. Called again, it does nothing.

        A poisoned log writes, syncs and cuts nothing: the next open decides. Raises `Indefinite` when the last sync
        fails; the lock is free all the same.
        """
        if os.getpid() != self._pid:
            self.closed = True
            return
        with self._mutex:
            if self._is_busy:
                self._refuse_call()
            if self.closed:
                return
            self.closed = self._reading.closed = True
            try:
                self._writer.close()
            finally:
                try:
                    self._source.store.close()
                except BaseException:  # once more, so that an interrupt in the middle of it does not keep the lock
                    self._source.store.close()
                    raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "closed", True) and os.getpid() == self._pid:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=1)
            self.closed = True
            self._source.store.close()

    # Turns

    def _in_turn(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One verb at a time: waits for other threads, refuses this thread's own call in the middle of another (G18).

        Taken by `with`, and the flag set and cleared with no call between it and its `try`: acquire-then-try leaked in
        every trial of asynchronous exceptions."""
        if os.getpid() != self._pid:
            name = self._source.store.name
            raise Closed(f"{name} was opened before the fork, by its parent: open it in this process")
        with self._mutex:
            if self._is_busy or self.closed:
                self._refuse_call()
            self._is_busy = True
            try:
                return verb(*args, **kwargs)
            finally:
                self._is_busy = False

    def _refuse_call(self) -> NoReturn:
        name = self._source.store.name
        if self.closed:
            raise Closed(f"{name} was closed: open it again")
        raise Reentered(f"{name} was called in the middle of this thread's own call to it: nothing was done")

    def _refuse_size(self, what: str, size: int, largest: int) -> NoReturn:
        message = f"{what} of {size} bytes is larger than the limit of {largest}. Nothing was written."
        raise EntryTooLarge(message, size=size, max=largest)


def owned(data: Buffer) -> bytes:
    """A copy that no other thread can change between its check and its write. Raises `TypeError`, `BufferError`."""
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("an entry is a C-contiguous buffer; make a copy of this one first")
    return view.tobytes()


def all_owned(entries: Iterable[Buffer]) -> list[bytes]:
    """`owned`, as each is handed over: an iterator may hand out one buffer again and again. Without a Python statement
    for each where they are a list of `bytes`."""
    if type(entries) is list:
        entries = entries.copy()
        if countOf(map(type, entries), bytes) == len(entries):
            return entries
    return [entry if type(entry) is bytes else owned(entry) for entry in entries]


def summary(segment: CompletedSegment, name: str) -> SegmentSummary:
    return SegmentSummary(
        number=segment.header.number,
        name=name,
        size=segment.size,
        first_lsn=segment.header.first_lsn,
        last_lsn=segment.last_lsn,
        created_ns=segment.header.created_ns,
        first_commit_ns=segment.first_commit_ns,
        last_commit_ns=segment.last_commit_ns,
        is_sealed=segment.seal_end > 0,
        is_active=False,
    )


def active_summary(segment: ActiveSegment, name: str) -> SegmentSummary:
    return SegmentSummary(
        number=segment.header.number,
        name=name,
        size=segment.size,
        first_lsn=segment.header.first_lsn,
        last_lsn=segment.header.first_lsn + segment.entries - 1,
        created_ns=segment.header.created_ns,
        first_commit_ns=segment.first_commit_ns,
        last_commit_ns=segment.last_commit_ns if segment.entries else None,
        is_sealed=False,
        is_active=True,
    )
