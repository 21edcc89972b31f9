"""`WalReader`: a log read beside its writer, from any process, without a lock and without a change (G14)."""

from __future__ import annotations

import threading
from bisect import bisect_right
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from walogs.engine.beside import completed_extent, look_beside
from walogs.engine.reading import Extent, Reading
from walogs.errors import Checkpointed, Closed, Corrupt, CutBelow, Missing
from walogs.formats.segment_format import RUN_BYTES, RunIndex
from walogs.protocols import is_appendable
from walogs.types import Commit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import NoReturn, Self

    from walogs.engine.beside import Bound, Upto
    from walogs.engine.source import Source
    from walogs.formats.segment_format import SegmentHeader

T = TypeVar("T")

SUSPICIONS: Final = (Corrupt, Missing, Checkpointed, OSError)
"""What a writer at work can look like for a moment, and damage too."""
DOUBTS_MAX: Final = 3
"""A suspicion is looked at again so often before it is believed; what a writer does under a reader is over by then."""
POLL_SECONDS: Final = 0.01
PULSE_BYTES: Final = 64
LOOK_EVERY: Final = 100
"""So many polls that saw nothing, and then a whole look: where the witness cannot be written it says nothing."""


class Mark(NamedTuple):
    """The highest entry that was handed out, and the segment that it was in."""

    lsn: int
    number: int
    salt: int


class WalReader:
    """A log as it can be read beside its one writer, or without one. Made by `walogs.reader`.

    It takes no lock, changes nothing, and hands out durable entries only (`upto="durable"`), or every intact one
    (`upto="written"`: some may be gone after a crash). Each verb looks at the log anew. Rotation, checkpoint, recovery
    and the end of the writer do not disturb it. Not safe to use from several threads, but for `close()`; never pickled.
    """

    def __init__(self, path: str | None, source: Source, upto: Upto) -> None:
        self.path = path
        """The directory of a local log; None: the store is an object."""
        self.upto: Upto = upto
        """`durable` or `written`."""
        self._source = source
        self._ended = threading.Event()
        self._mark = Mark(0, 0, 0)
        self._places_in: SegmentHeader | None = None
        self._forget()
        self._bound = self._sure(lambda: look_beside(source, upto))

    # Reading

    def iter(self, start: int | None = None, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(LSN, data) from *start* (None: the first there is) up to, not including, *stop* (None: the end as it is).

        Raises `Checkpointed` below the base (also while iterating, when a checkpoint overtakes it), `IndexError` for
        LSN 0, `CutBelow`, and `Corrupt` when a second look has found the same.
        """
        first, end = self._range(start, stop)
        return self._entries(first, end)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self.iter()

    def read(self, lsn: int) -> bytes:
        """The data of one entry. Raises `Checkpointed`, `IndexError` (also: not durable yet), `CutBelow`, `Corrupt`."""
        first, end = self._range(lsn, lsn + 1)
        for _, data in self._entries(first, end):
            return data
        name, last_lsn = self._source.store.name, self._bound.last_lsn
        raise IndexError(f"{name} holds no entry {lsn} that can be read: they end at {last_lsn} ({self.upto})")

    def commits(self, start: int | None = None, stop: int | None = None) -> Iterator[Commit]:
        """Time and LSNs of every commit that holds an entry of [start, stop). Raises what `iter` raises."""
        first, end = self._range(start, stop)
        return self._surely(first, end, self._commits)

    def follow(
        self, start: int | None = None, timeout: float | None = None, *, poll: float = POLL_SECONDS
    ) -> Iterator[tuple[int, bytes]]:
        """As `iter`, and then each entry as it becomes readable; looks every *poll* seconds.

        Ends after *timeout* seconds without a new entry (None: never). Raises what `iter` raises, and `Closed`.
        """
        first, _ = self._range(start, None)
        return self._following(first, timeout, poll)

    @property
    def first_lsn(self) -> int:
        """The first LSN that can be read now; `last_lsn` + 1 when there is none."""
        return self._range(None, None)[0]

    @property
    def last_lsn(self) -> int:
        """The LSN of the last entry that can be read now, checkpointed or not; 0 for a fresh log."""
        return self._range(None, None)[1] - 1

    def close(self) -> None:
        """End every iteration, a following one in another thread too. Called again, it does nothing."""
        self._ended.set()

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._ended.is_set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        bound, state = self._bound, "closed" if self.closed else "open"
        lsns = f"{bound.base_lsn}..{bound.last_lsn}" if bound.last_lsn >= bound.base_lsn else "no entries"
        return f"<walogs.WalReader {self._source.store.name!r} {self.upto} {lsns}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a WalReader cannot be pickled: make one in the other process")

    # What is there

    def _following(self, lsn: int, timeout: float | None, poll: float) -> Iterator[tuple[int, bytes]]:
        since = monotonic()
        while True:
            end = self._range(None, None)[1]
            if lsn < end:
                self._refuse_below_base(lsn)
                yield from self._entries(lsn, end)
                lsn, since = end, monotonic()
                continue
            if timeout is not None and monotonic() - since >= timeout:
                return
            pulse = self._pulse()
            for _ in range(LOOK_EVERY):
                left = poll if timeout is None else min(poll, since + timeout - monotonic())
                if self._ended.wait(max(left, 0)) or left < poll or self._pulse() != pulse:
                    break

    def _pulse(self) -> object:
        """Something cheap that changes when there is more to read."""
        store, bound = self._source.store, self._bound
        if not is_appendable(store):
            return store.segments()[-1:]
        try:
            witness = store.read_witness() if self.upto == "durable" else None
            return witness or store.read(bound.newest.number, bound.end, bound.end + PULSE_BYTES)
        except Missing:
            return None

    def _entries(self, lsn: int, end: int) -> Iterator[tuple[int, bytes]]:
        for first, entries in self._surely(lsn, end, self._pieces):
            yield from enumerate(entries, first)

    def _pieces(self, extent: Extent, lsn: int, end: int) -> Iterator[tuple[int, tuple[int, list[bytes]]]]:
        for first, entries in self._reading.payloads(extent, lsn, end):
            kept, at = entries[max(lsn - first, 0) : end - first], max(first, lsn)
            if kept:  # a run that only holds entries before these is no progress
                yield at + len(kept), (at, kept)

    def _commits(self, extent: Extent, lsn: int, end: int) -> Iterator[tuple[int, Commit]]:
        for header in self._reading.frame_headers(extent, lsn, end):
            after = header.first_lsn + header.entries
            yield after, Commit(header.first_lsn, after - 1, header.time_ns)

    def _surely(self, lsn: int, end: int, items: Callable[[Extent, int, int], Iterator[tuple[int, T]]]) -> Iterator[T]:
        """What *items* finds, with the LSN after each, in every extent of [lsn, end). A suspicion is looked into anew,
        from where it came up; damage is what is there again and again."""
        doubts = 0
        while lsn < end:
            try:
                for extent in self._extents(lsn, end):
                    for after, item in items(extent, lsn, end):
                        self._refuse_closed()
                        lsn, doubts = after, 0
                        self._mark = Mark(min(after, end) - 1, extent.header.number, extent.header.salt)
                        yield item
            except SUSPICIONS:
                doubts += 1
                if doubts > DOUBTS_MAX:
                    raise
                self._forget()
                self._look()
                self._refuse_below_base(lsn)

    def _extents(self, lsn: int, end: int) -> Iterator[Extent]:
        """The segments that hold [lsn, end), as far as each can be read."""
        bound = self._bound
        numbers = bound.numbers
        at = max(bisect_right(numbers, lsn, key=lambda number: self._header(number).first_lsn) - 1, 0)
        for number in numbers[at:]:
            extent = self._newest(bound) if number == bound.newest.number else self._completed(number)
            if extent.header.first_lsn >= end:
                return
            if extent.last_lsn >= extent.header.first_lsn:
                yield extent

    def _newest(self, bound: Bound) -> Extent:
        if bound.newest != self._places_in:
            self._places_in, self._places = bound.newest, RunIndex()
            self._places.append(self._source.format.traits.header_bytes, bound.newest.first_lsn, 0)
        return Extent(bound.newest, bound.last_lsn, bound.end, 0, self._places)

    def _completed(self, number: int) -> Extent:
        return completed_extent(self._source, self._header(number), self._header(number + 1))

    def _header(self, number: int) -> SegmentHeader:
        header = self._headers.get(number)
        if header is None:
            header = self._headers[number] = self._source.header(number)
        return header

    # How far

    def _range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        """[start, stop), as far as it can be read now."""
        if start is not None and start < 1:
            raise IndexError(f"LSN {start}: entries are numbered from 1")
        self._look()
        bound = self._bound
        first = bound.base_lsn if start is None else start
        self._refuse_below_base(first)
        return first, bound.last_lsn + 1 if stop is None else min(stop, bound.last_lsn + 1)

    def _look(self) -> None:
        """See how far the log can be read. What was handed out must be there as it was, or it was cut."""
        self._refuse_closed()
        bound = self._sure(lambda: look_beside(self._source, self.upto, self._bound))
        self._refuse_cut(bound)
        self._bound = bound
        if bound.newest == self._places_in and bound.end >= self._places.offsets[-1] + RUN_BYTES:
            self._places.append(bound.end, bound.last_lsn + 1, 0)

    def _refuse_cut(self, bound: Bound) -> None:
        mark = self._mark
        if mark.lsn < bound.base_lsn:
            return
        end_lsn = min(self._sure(lambda: self._kept(bound, mark)), mark.lsn)
        if end_lsn < mark.lsn:
            self._mark = mark._replace(lsn=end_lsn)
            self._bound = bound
            self._forget()
            message = f"{self._source.store.name} was cut after entry {end_lsn}; {mark.lsn} had been handed out"
            raise CutBelow(f"{message}. Read on from {end_lsn + 1}, without them.", end_lsn=end_lsn)

    def _kept(self, bound: Bound, mark: Mark) -> int:
        """The last entry of the segment of *mark* that is still what it was."""
        if mark.number not in bound.numbers:
            return bound.base_lsn - 1 if mark.number < bound.numbers[0] else bound.last_lsn
        is_newest = mark.number == bound.newest.number
        header = bound.newest if is_newest else self._source.header(mark.number)
        if header.salt != mark.salt:
            return header.first_lsn - 1
        return bound.last_lsn if is_newest else self._source.header(mark.number + 1).first_lsn - 1

    def _sure(self, look: Callable[[], T]) -> T:
        """A suspicion is believed when nothing that was read before is needed for it, and it is there again."""
        for _ in range(DOUBTS_MAX):
            try:
                return look()
            except SUSPICIONS:
                self._forget()
        return look()

    def _forget(self) -> None:
        """What is remembered of segments, only to be quicker."""
        self._headers: dict[int, SegmentHeader] = {}
        self._places = RunIndex()
        self._places_in = None
        self._reading = Reading(self._source, lambda: self._bound.base_lsn)

    def _refuse_below_base(self, lsn: int) -> None:
        base = self._bound.base_lsn
        if lsn < base:
            message = f"entry {lsn} was checkpointed: {self._source.store.name} begins at {base}"
            raise Checkpointed(message, lsn=lsn, base_lsn=base)

    def _refuse_closed(self) -> None:
        if self._ended.is_set():
            raise Closed(f"this reader of {self._source.store.name} was closed: make another")
