"""`WalReader`: a log read beside its writer, from any process, without a lock and without a change (G14)."""

from __future__ import annotations

import threading
from bisect import bisect_right
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from walogs.engine.beside import (
    LOOKS_MAX,
    SUSPICIONS,
    Mark,
    beginning_of,
    believed,
    completed_extent,
    evidence,
    last_kept,
    look_beside,
    look_once,
    mark_at,
    never_settled,
)
from walogs.engine.reading import Extent, Reading
from walogs.errors import Checkpointed, Closed, CutBelow, Missing
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

HEADERS_KEPT: Final = 1024
"""So many segment headers at most are remembered."""
POLL_SECONDS: Final = 0.01
PULSE_BYTES: Final = 64
LOOK_EVERY: Final = 100
"""So many polls that saw nothing, and then a whole look: where the witness cannot be written it says nothing."""


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
        self._mark: Mark | None = None
        self._cuts = 0
        """How often this reader has seen that what it had handed out was cut."""
        self._last_cut = "", 0
        self._places_in: SegmentHeader | None = None
        self._forget()
        self._bound = look_beside(source, upto)

    # Reading

    def iter(self, start: int | None = None, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(LSN, data) from *start* (None: the first there is) up to, not including, *stop* (None: the end as it is).

        Raises `Checkpointed` below the base (also while iterating, when a checkpoint overtakes it), `IndexError` for
        LSN 0, `CutBelow`, and `Corrupt` when a second look has found the same.
        """
        first, end = self._range(start, stop)
        return self._entries(first, end, self._cuts)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self.iter()

    def read(self, lsn: int) -> bytes:
        """The data of one entry. Raises `Checkpointed`, `IndexError` (also: not durable yet), `CutBelow`, `Corrupt`."""
        first, end = self._range(lsn, lsn + 1)
        for _, data in list(self._entries(first, end, self._cuts)):  # to its end: only then is it certain
            return data
        name, last_lsn = self._source.store.name, self._bound.last_lsn
        raise IndexError(f"{name} holds no entry {lsn} that can be read: they end at {last_lsn} ({self.upto})")

    def commits(self, start: int | None = None, stop: int | None = None) -> Iterator[Commit]:
        """Time and LSNs of every commit that holds an entry of [start, stop). Raises what `iter` raises."""
        first, end = self._range(start, stop)
        return self._surely(first, end, self._commits, self._cuts)

    def follow(
        self, start: int | None = None, timeout: float | None = None, *, poll: float = POLL_SECONDS
    ) -> Iterator[tuple[int, bytes]]:
        """As `iter`, and then each entry as it becomes readable; looks every *poll* seconds.

        Ends after *timeout* seconds without a new entry (None: never). Raises what `iter` raises, and `Closed`.
        """
        first, _ = self._range(start, None)
        return self._following(first, timeout, poll, self._cuts)

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

    def _following(self, lsn: int, timeout: float | None, poll: float, cuts: int) -> Iterator[tuple[int, bytes]]:
        since = monotonic()
        while True:
            pulse = self._pulse()  # before the look: what comes after that look changes it
            end = self._range(None, None)[1]
            self._refuse_cut_since(cuts)
            if lsn < end:
                self._refuse_below_base(lsn)
                yield from self._entries(lsn, end, cuts)
                lsn, since = end, monotonic()
                continue
            if timeout is not None and monotonic() - since >= timeout:
                return
            for _ in range(LOOK_EVERY):
                left = poll if timeout is None else min(poll, since + timeout - monotonic())
                if self._ended.wait(max(left, 0)) or left < poll or self._pulse() != pulse:
                    break

    def _pulse(self) -> object:
        """Something cheap that changes when there is more to read."""
        store, bound = self._source.store, self._bound
        try:
            if not is_appendable(store):
                return store.segments()[-1:]
            witness = store.read_witness() if self.upto == "durable" else None
            return witness or store.read(bound.newest.number, bound.end, bound.end + PULSE_BYTES)
        except (Missing, OSError):
            return object()  # a whole look will tell

    def _entries(self, lsn: int, end: int, cuts: int) -> Iterator[tuple[int, bytes]]:
        for first, entries in self._surely(lsn, end, self._pieces, cuts):
            yield from enumerate(entries, first)

    def _pieces(self, extent: Extent, lsn: int, end: int) -> Iterator[tuple[int, tuple[int, list[bytes]]]]:
        for first, entries in self._reading.payloads(extent, lsn, end):
            self._refuse_gap(extent, lsn, first)
            kept = entries[max(lsn - first, 0) : end - first]
            if kept:  # a run that only holds entries before these is no progress
                yield lsn + len(kept), (lsn, kept)
                lsn += len(kept)

    def _commits(self, extent: Extent, lsn: int, end: int) -> Iterator[tuple[int, Commit]]:
        for header in self._reading.frame_headers(extent, lsn, end):
            self._refuse_gap(extent, lsn, header.first_lsn)
            lsn = header.first_lsn + header.entries
            yield lsn, Commit(header.first_lsn, lsn - 1, header.time_ns)

    def _refuse_gap(self, extent: Extent, lsn: int, first: int) -> None:
        if first > lsn:
            raise self._source.corrupt(f"entry {first} comes where {lsn} belongs", extent.header.number, None, lsn)

    def _surely(
        self, lsn: int, end: int, items: Callable[[Extent, int, int], Iterator[tuple[int, T]]], cuts: int
    ) -> Iterator[T]:
        """What *items* finds, with the LSN after each, in every extent of [lsn, end). A suspicion is looked into anew,
        from where it came up; it is believed when it comes up there again. *cuts*: as they were when it was begun."""
        doubt: object = None
        looks = 0
        while lsn < end:
            try:
                for extent in self._extents(lsn, end):
                    beginning = self._beginning(extent.header)
                    for after, item in items(extent, lsn, end):
                        self._refuse_closed()
                        self._refuse_cut_since(cuts)
                        lsn, doubt, looks = after, None, 0
                        self._remember(Mark(min(after, end) - 1, extent.header, beginning))
                        yield item
                    if self._beginning(extent.header) != beginning:
                        raise self._source.corrupt("it begins with another frame now", extent.header.number)
                if lsn < end:
                    raise self._source.corrupt("there was more when this reading was begun", None, None, lsn)
            except SUSPICIONS as suspicion:
                looks += 1
                if evidence(suspicion) == doubt:
                    raise
                if looks > LOOKS_MAX:
                    raise never_settled(self._source) from suspicion
                doubt = evidence(suspicion)
                self._look(is_doubted=True)
                self._refuse_cut_since(cuts)
                self._refuse_below_base(lsn)
                if self._bound.last_lsn < lsn:
                    raise self._cut(self._bound.last_lsn, end - 1) from None

    def _beginning(self, segment: SegmentHeader) -> bytes:
        found, mark = beginning_of(self._source, segment), self._mark
        if mark is not None and mark.segment == segment and mark.beginning != found:
            raise self._source.corrupt("it begins with another frame now", segment.number)
        return found

    def _remember(self, mark: Mark) -> None:
        """The highest counts: whoever reads an early entry again has still been handed the later ones."""
        if self._mark is None or mark.lsn >= self._mark.lsn:
            self._mark = mark

    def _extents(self, lsn: int, end: int) -> Iterator[Extent]:
        """The segments that hold [lsn, end), as far as each can be read."""
        bound = self._bound
        numbers = bound.numbers
        at = max(bisect_right(numbers, lsn, key=lambda number: self._header(number).first_lsn) - 1, 0)
        for number in numbers[at:]:
            extent = self._newest(bound) if number == bound.newest.number else self._completed(number)
            if extent.header.first_lsn >= end:
                return
            if extent.last_lsn >= max(extent.header.first_lsn, lsn):
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
            if len(self._headers) >= HEADERS_KEPT:
                self._headers.clear()
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

    def _look(self, *, is_doubted: bool = False) -> None:
        """See how far the log can be read. What was handed out must be there as it was, or it was cut."""
        self._refuse_closed()
        if is_doubted:
            self._forget()
        before = self._mark
        self._bound, self._mark, kept_lsn = believed(
            self._source, lambda doubted: self._look_once(from_start=doubted or is_doubted)
        )
        bound = self._bound
        if before is not None and kept_lsn < before.lsn:
            raise self._cut(kept_lsn, before.lsn)
        if bound.newest == self._places_in and bound.end >= self._places.offsets[-1] + RUN_BYTES:
            self._places.append(bound.end, bound.last_lsn + 1, 0)

    def _look_once(self, *, from_start: bool) -> tuple[Bound, Mark | None, int]:
        """(how far it can be read; what was handed out and is still there; its last entry)."""
        bound, mark = look_once(self._source, self.upto, self._bound, from_start=from_start), self._mark
        if mark is None:
            return bound, None, 0
        kept_lsn = last_kept(self._source, bound, mark)
        return bound, mark if kept_lsn == mark.lsn else mark_at(self._source, bound, kept_lsn, mark), kept_lsn

    def _cut(self, end_lsn: int, last_lsn: int) -> CutBelow:
        """Entries up to *last_lsn* were there for this reader. Every iteration that was begun before ends with it."""
        self._cuts += 1
        self._forget()
        message = f"{self._source.store.name} was cut after entry {end_lsn}; up to {last_lsn} it had been read here"
        self._last_cut = f"{message}. Read on from {end_lsn + 1}, without them.", end_lsn
        return CutBelow(self._last_cut[0], end_lsn=end_lsn)

    def _refuse_cut_since(self, cuts: int) -> None:
        if self._cuts != cuts:
            raise CutBelow(self._last_cut[0], end_lsn=self._last_cut[1])

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
