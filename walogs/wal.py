"""`Wal`: the log, as its one writer holds it. Each verb is a paragraph; what it calls is one layer down."""

from __future__ import annotations

import atexit
import contextlib
import os
import warnings
import weakref
from dataclasses import replace
from operator import countOf
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, ParamSpec, TypeVar

from walogs.engine.reading import Reading, Snapshot
from walogs.errors import Checkpointed, Closed, EntryTooLarge, Poisoned
from walogs.types import SegmentSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from types import TracebackType
    from typing import NoReturn, Self

    from typing_extensions import Buffer

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.chain import ChainWriter
    from walogs.engine.commit import GroupCommit
    from walogs.engine.segments import ActiveSegment, CompletedSegment
    from walogs.engine.source import Source
    from walogs.futures import Teller
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
        commits: GroupCommit,
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
        self._commits = commits
        self._tellers: dict[None, Teller] = {}
        """One, since the first future. A dictionary, since two threads that submit at once must agree on it, and a lock
        could be held by the thread that a signal handler submits in."""
        self._pid = os.getpid()
        self.closed = False
        """Whether `close()` has done its work."""
        OPEN.add(self)

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
        if os.getpid() != self._pid:
            self._refuse_child()
        return self._commits.append([entry], size)

    def submit(self, data: Buffer) -> Future[int]:
        """Append one entry without waiting: the future of its LSN, which is done when `append` would have returned.

        Many can be in flight and share one sync; those of one thread get ascending LSNs. Waits while more than
        `max_queued_size` bytes are queued, its own included. The data is copied unless it is `bytes`. A future can be
        cancelled until its commit begins. Its exception is what `append` would have raised. Its callbacks run on a
        thread of their own, may call the log and may wait for whom they like; `close` waits for each of them for two
        seconds. Raises `EntryTooLarge`, `Closed`: nothing was queued (G7, G18).
        """
        from walogs.futures import LsnFuture, Teller  # 10 ms that only its user pays

        entry = data if type(data) is bytes else owned(data)
        size = len(entry)
        if size > self._limits.entry:
            self._refuse_size("an entry", size, self._limits.entry)
        if os.getpid() != self._pid:
            self._refuse_child()
        teller = self._tellers.get(None) or self._tellers.setdefault(None, Teller(self._commits.spawn))
        future = LsnFuture(teller)
        self._commits.submit([entry], size, future)
        return future

    def append_batch(self, entries: Iterable[Buffer]) -> range:
        """Append entries all or nothing: in one frame, with one sync (G12). Returns their LSNs.

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
        if os.getpid() != self._pid:
            self._refuse_child()
        first_lsn = self._commits.append(batch, total)
        return range(first_lsn, first_lsn + len(batch))

    def sync(self) -> None:
        """Make every entry appended or submitted so far durable (G1).

        Under a policy that promises durable appends, that is: wait for what was submitted. Raises `Indefinite`: the
        outcome is unknown, and the handle is poisoned.
        """
        if os.getpid() != self._pid:
            self._refuse_child()
        self._commits.turn_after_queue(self._writer.sync)

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

    def follow(self, start: int | None = None, timeout: float | None = None) -> Iterator[tuple[int, bytes]]:
        """As `iter`, and then each entry as soon as its append has returned; waits for more.

        Ends after *timeout* seconds without a new entry (None: never). Raises what `iter` raises, `Closed` when the log
        is closed meanwhile, and `Poisoned` when nothing more can come.
        """
        snapshot, first, end = self._snapshot(start, None)
        return self._following(snapshot, first, end, timeout)

    def _following(
        self, snapshot: Snapshot, first: int, end: int, timeout: float | None
    ) -> Iterator[tuple[int, bytes]]:
        since = monotonic()
        while True:
            if first < end:
                yield from snapshot.entries(first, end)
                first, since = end, monotonic()
            left = None if timeout is None else max(since + timeout - monotonic(), 0)
            if os.getpid() != self._pid:
                self._refuse_child()
            if not self._commits.wait_beyond(first, left):
                return
            (snapshot, _, end), is_poisoned = self._in_turn(lambda: (self._readable(), self._writer.is_poisoned))
            if end <= first and is_poisoned:
                raise Poisoned(f"{self._source.store.name} is poisoned: nothing more will come. Open the log again.")

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
        state = "closed" if self.closed else "poisoned" if self._commits.is_poisoned() else "open"
        lsns = f"{self.first_lsn}..{self.last_lsn}" if self.last_lsn >= self.first_lsn else "no entries"
        return f"<walogs.Wal {self._source.store.name!r} {lsns}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Wal cannot be pickled: open the log in the other process")

    # Closing

    def close(self) -> None:
        """Commit what is queued, sync what is pending, free the lock. Called again, it does nothing.

        A poisoned log writes, syncs and cuts nothing: the next open decides. Raises `Indefinite` when the last sync
        fails; the lock is free all the same.
        """
        if os.getpid() != self._pid:
            self.closed = True
            return
        self._commits.close(self._end)
        self._await_callbacks()

    def _await_callbacks(self) -> None:
        for teller in self._tellers.values():
            teller.wait()

    def _end(self) -> None:
        if self.closed:
            return
        self._reading.closed = True
        try:
            self._writer.close()
        finally:
            try:
                self._source.store.close()
            except BaseException:  # once more, so that an interrupt in the middle of it does not keep the lock
                self._source.store.close()
                raise
            finally:
                self.closed = True

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
            self._commits.abandon(self._source.store.close)

    # Turns

    def _in_turn(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One verb at a time. The process is asked first, before any lock: a fork may have copied one that is held."""
        if os.getpid() != self._pid:
            self._refuse_child()
        return self._commits.turn(verb, *args, **kwargs)

    def _refuse_child(self) -> NoReturn:
        name = self._source.store.name
        raise Closed(f"{name} was opened before the fork, by its parent: open it in this process")

    def _refuse_size(self, what: str, size: int, largest: int) -> NoReturn:
        message = f"{what} of {size} bytes is larger than the limit of {largest}. Nothing was written."
        raise EntryTooLarge(message, size=size, max=largest)


OPEN: Final[weakref.WeakSet[Wal]] = weakref.WeakSet()


def commit_at_exit() -> None:
    """An interpreter that ends without `close()` commits what is queued. What fails then, the next open finds."""
    for wal in list(OPEN):
        if not wal.closed and os.getpid() == wal._pid:
            with contextlib.suppress(Exception):
                wal._commits.commit_at_exit()
                wal._await_callbacks()


atexit.register(commit_at_exit)


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
