"""Find the intact commits of a log, and the gaps between them, whatever is damaged.

It takes no lock and changes nothing. This file alone decides what a gap is and where it lies. `salvage`, `verify`,
`repair` and `info` take it from here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeAlias, TypeVar

from walogs.engine.extent_reader import context_of
from walogs.engine.observation import no_log
from walogs.engine.verdict import link_problem
from walogs.engine.whole_segments import read_ahead
from walogs.errors import Corrupt, SegmentNotFound
from walogs.formats.segment_format import Kind, Malformed
from walogs.foundation.foreign import error_text
from walogs.inspection.scan import Frame, frames_of
from walogs.inspection.survey import NOT_THERE, Break, Survey, current_first_lsn, header_break
from walogs.types import Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import SegmentHeader
    from walogs.inspection.scan import Piece

T = TypeVar("T")


def intact_commits(
    source: LogSource,
    entries_in: Callable[[LogSource, SegmentHeader, Frame], Sequence[T]],
    foreign: set[tuple[int, int]] | None = None,
) -> Iterator[tuple[int, Sequence[T]] | Gap]:
    """Yield (first LSN, entries) of each intact commit, and the gaps between the commits.

    *entries_in* turns a frame into its entries. If two consecutive commits say that they do not belong together, one of
    them was put there from elsewhere, and it is a gap. What a checkpoint removes meanwhile is no gap. *foreign* takes
    the place (segment, offset) of each intact frame whose entries are none of this log, or cannot be told apart.
    """
    survey = Survey(source)
    numbers, headers, listed = survey.numbers, survey.headers, frozenset(survey.numbers)
    if not numbers:
        raise no_log(source)
    reader = CommitReader(read_ahead(source, numbers), entries_in, survey.named_first_lsn())
    reader.foreign = foreign
    removed = frozenset() if headers.keys() == listed else survey.removed_since()
    if removed:
        reader.log_first_lsn = max(reader.log_first_lsn, current_first_lsn(source))
    end_lsns = {older: headers[newer].first_lsn for older, newer in pairwise(headers)}
    for number in numbers:
        header = headers.get(number)
        if number in removed:
            continue
        if number - 1 not in listed and reader.expected_lsn >= reader.log_first_lsn:  # it is missing, or is the first
            reader.skip_unreadable(NOT_THERE)
        if header is None:
            reader.skip_unreadable(header_break(source, number))
            continue
        try:
            is_intact = number in survey.intact_headers
            yield from reader.read_segment(header, end_lsns.get(number), is_intact=is_intact)
        except SegmentNotFound:
            removed = survey.removed_since()
            first_lsn = max(reader.log_first_lsn, current_first_lsn(source)) if removed else reader.log_first_lsn
            yield from reader.skip_to(first_lsn)
            continue
        if not reader.is_damaged and (number + 1 in listed or number == numbers[-1]):
            reader.place = Break(number, reader.end, "its intact entries end before them")
    yield from reader.release()
    yield from gap_at_end(source, survey, reader)


class HeldCommit(NamedTuple, Generic[T]):
    """An intact commit that waits for the next one, which tells whether it belongs to this log."""

    first_lsn: int
    entries: Sequence[T]
    link: bytes
    follows: bool
    """Whether it follows the commit before it, as far as its frame says. Also True if the header of its segment says
    the same as its frame: then the commit before it came from elsewhere."""
    at: tuple[int, int]
    """Segment and offset."""

    @property
    def place(self) -> Break:
        return Break(*self.at, "it is intact, and of another history than what is beside it")


Commits: TypeAlias = "Iterator[tuple[int, Sequence[T]] | Gap]"


class CommitReader(Generic[T]):
    """Reads the commits of one segment after the other, and finds the gaps between them."""

    def __init__(
        self,
        source: LogSource,
        entries_in: Callable[[LogSource, SegmentHeader, Frame], Sequence[T]],
        log_first_lsn: int,
    ) -> None:
        self._source = source
        self._entries_in = entries_in
        self._held: HeldCommit[T] | None = None
        self.log_first_lsn = log_first_lsn
        self.foreign: set[tuple[int, int]] | None = None
        """Takes the places (segment, offset) of intact frames that hold no entry of this log, if they are wanted."""
        self._header: SegmentHeader | None = None
        """The header of the segment that is being read."""
        self._is_of_held_history = True
        """Whether the segment of the next commit was made after that of the held one."""
        self.expected_lsn = 0
        """The LSN after the last entry that was found; 0 if none was."""
        self.place = NOT_THERE
        """Where intact frames have stopped."""
        self.is_damaged = False
        """Whether damage that can have taken an entry follows the last entry that was found."""
        self.end = 0
        """The offset after the last intact frame with entries in this segment."""

    def read_segment(self, header: SegmentHeader, end_lsn: int | None, *, is_intact: bool) -> Commits[T]:
        """Yield the segment's commits before *end_lsn*, and the gaps before them.

        *end_lsn* is where the next segment begins whose header is known (None: there is none). Frames beyond it belong
        to another history: an open returns what the later segment holds. Only a header that *is_intact* says where the
        segment begins, and only if the next one does not begin before it. A reconstructed one names its first intact
        frame. Raises `SegmentNotFound`: the segment was removed.
        """
        before, self._header = self._header, header
        is_next = before is not None and before.number + 1 == header.number and is_intact
        self._is_of_held_history = before is None or not is_next or link_problem(before, header) is None
        expected = self.expected_lsn or self.log_first_lsn
        is_believed = is_intact and (end_lsn is None or header.first_lsn <= end_lsn)
        if is_believed and header.first_lsn > expected:
            yield from self.release()
            yield Gap(expected, header.first_lsn - 1, *self.place)
            self.expected_lsn = header.first_lsn
        self.is_damaged, self.end = self.is_damaged and not is_intact, self._source.format.traits.header_bytes
        for found in frames_of(self._source, header):
            if not isinstance(found, Frame):
                self._skip_piece(header, found)
            elif end_lsn is not None and found.header.first_lsn + found.header.entries > end_lsn:
                why = "it is intact, and beyond the entry at which the next segment begins"
                self._refuse(header, found, why)
            elif found.header.first_lsn >= self.expected_lsn:  # otherwise it is a copy of a commit that was found
                yield from self._add(header, found)

    def _add(self, header: SegmentHeader, frame: Frame) -> Commits[T]:
        """Hold this commit back, and release the one before it."""
        first_lsn, source = frame.header.first_lsn, self._source
        link = frame.header.link if first_lsn == self.expected_lsn else None
        follows = self._held is None or link is None or link in (self._held.link, header.previous_link)
        yield from self.release(link)
        self._is_of_held_history = True
        expected = self.expected_lsn or self.log_first_lsn
        if first_lsn > expected:
            yield Gap(expected, first_lsn - 1, *self.place)
        self.is_damaged = False
        try:
            entries = self._entries_in(source, header, frame)
        except (Malformed, Corrupt) as error:  # Corrupt: from a codec that authenticates, or limits sizes
            self._refuse(header, frame, error_text(error))
            self.expected_lsn = first_lsn
            return
        at = header.number, frame.header.offset
        own_link = source.format.link_at(frame.buffer, 0, frame.header, source.codec_of(header).check_bytes)
        self._held = HeldCommit(first_lsn, entries, own_link, follows=follows, at=at)
        self.expected_lsn = first_lsn + len(entries)
        self.place, self.end = NOT_THERE, source.format.frame_end(frame.header)

    def _skip_piece(self, header: SegmentHeader, piece: Piece) -> None:
        """Continue after damage or a SEAL. If the SEAL says that no entry is missing, the damage has taken none."""
        seal = piece.header if piece.header is not None and piece.header.kind == Kind.SEAL.value else None
        if seal is not None and seal.first_lsn == (self.expected_lsn or self.log_first_lsn):
            self.place, self.is_damaged = NOT_THERE, False
        elif piece.frame is None:
            self.skip_unreadable(Break(header.number, piece.start, piece.why))

    def _refuse(self, header: SegmentHeader, frame: Frame, why: str) -> None:
        self._disown((header.number, frame.header.offset))
        self.skip_unreadable(Break(header.number, frame.header.offset, why))

    def _disown(self, at: tuple[int, int]) -> None:
        if self.foreign is not None:
            self.foreign.add(at)

    def skip_unreadable(self, place: Break) -> None:
        """Continue after bytes or a segment of which nothing can be read. A gap that has begun keeps its place."""
        if not self.is_damaged:
            self.place, self.is_damaged = place, True

    def release(self, link: bytes | None = None) -> Commits[T]:
        """Yield the held commit, or a gap if the next commit contradicts it.

        *link* is what the next commit says of the one before it. None: no commit follows directly.
        """
        held, self._held = self._held, None
        if held is None:
            return
        if held.follows if link is None else link == held.link:
            yield held.first_lsn, held.entries
        else:
            if self._is_of_held_history:  # otherwise both segments are whole, and either can be kept
                self._disown(held.at)
            yield Gap(held.first_lsn, held.first_lsn + len(held.entries) - 1, *held.place)

    def skip_to(self, log_first_lsn: int) -> Commits[T]:
        """Continue at *log_first_lsn*, which a checkpoint has set: entries that are missing below it are no gap."""
        yield from self.release()
        self.log_first_lsn = log_first_lsn
        self.expected_lsn = max(self.expected_lsn, log_first_lsn) if self.expected_lsn else 0
        self.place, self.is_damaged = NOT_THERE, False


def gap_at_end(source: LogSource, survey: Survey, reader: CommitReader[T]) -> Iterator[Gap]:
    """Yield a gap if the durable mark, a frame header or a SEAL says that more was synced than was found."""
    newest, mark = survey.numbers[-1], survey.own_durable_mark
    expected_lsn, place = reader.expected_lsn or reader.log_first_lsn, reader.place
    if mark is not None and mark.last_lsn >= expected_lsn:
        expected_lsn = max(expected_lsn, current_first_lsn(source)) if survey.removed_since() else expected_lsn
        if mark.last_lsn >= expected_lsn:
            is_in_newest = mark.segment <= newest or reader.is_damaged
            yield Gap(expected_lsn, mark.last_lsn, *(place if is_in_newest else NOT_THERE))
        return
    try:
        is_end_unknown, segment = survey.is_end_unknown, survey.newest
    except SegmentNotFound:  # a checkpoint has removed it
        return
    if is_end_unknown and max(source.store.segments(), default=0) == newest:  # otherwise a writer has rotated the log
        is_in_newest = segment is None or not segment.had_successor or reader.is_damaged
        yield Gap(expected_lsn, None, *(place if is_in_newest else NOT_THERE))


class Contents(NamedTuple):
    """What is intact of a log, and what is not."""

    stretches: tuple[tuple[int, int], ...]
    """(first LSN, last LSN) of consecutive intact entries."""
    gaps: tuple[Gap, ...]
    foreign: frozenset[tuple[int, int]] = frozenset()
    """The places (segment, offset) of intact frames that hold no entry of this log."""

    def gaps_below(self, lsn: int) -> tuple[Gap, ...]:
        """Return the gaps below *lsn*, without the parts of them that lie above."""
        below = (gap for gap in self.gaps if gap.first_lsn < lsn)
        return tuple(gap._replace(last_lsn=min(gap.last_lsn or lsn, lsn - 1)) for gap in below)

    def gaps_from(self, lsn: int) -> tuple[Gap, ...]:
        """Return the gaps from *lsn* on, without the parts of them that lie below."""
        above = (gap for gap in self.gaps if gap.last_lsn is None or gap.last_lsn >= lsn)
        return tuple(gap._replace(first_lsn=max(gap.first_lsn, lsn)) for gap in above)


def contents_of(source: LogSource) -> Contents:
    """Return what `salvage` would return, without the data."""
    stretches: list[tuple[int, int]] = []
    gaps: list[Gap] = []
    foreign: set[tuple[int, int]] = set()
    for found in intact_commits(source, count_entries, foreign):
        if isinstance(found, Gap):
            gaps.append(found)
            continue
        first_lsn, entries = found
        if stretches and stretches[-1][1] == first_lsn - 1:
            first_lsn = stretches.pop()[0]
        stretches.append((first_lsn, found[0] + len(entries) - 1))
    return Contents(tuple(stretches), tuple(gaps), frozenset(foreign))


def count_entries(source: LogSource, segment: SegmentHeader, frame: Frame) -> Sequence[object]:
    """Return as many items as the frame has entries, without decoding it: checking a log needs no key."""
    if source.codec_of(segment).identity:
        return entries_of(source, segment, frame)
    return range(frame.header.entries)


def entries_of(source: LogSource, segment: SegmentHeader, frame: Frame) -> list[bytes]:
    """Return the entries of a frame. Raises `Malformed`, and what the codec raises."""
    form, codec, header = source.format, source.codec_of(segment), frame.header
    stored = form.stored(frame.buffer, 0, header, codec.check_bytes)
    if codec.identity:
        return form.split(bytes(stored), header.entries)
    return form.split(codec.decode(stored, context_of(source, segment, header)), header.entries)
