"""A survey of a log: what its directory holds, whatever is damaged. `verify`, `salvage`, `repair` and `info` use it.

A survey takes no lock and changes nothing. It reads the durable mark first and then lists the segments, so the
segment that the mark names is in the list unless a checkpoint has removed it. The headers are read at once, and the
frames of a segment only when they are asked for.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.engine.ending import ending_of, read_durable_mark, synced_by, verdict_of
from walogs.engine.frame_reader import KINDS
from walogs.engine.observation import no_log
from walogs.engine.readable_segments import first_lsn_in_segment
from walogs.engine.segment_scan import SegmentScan, TailScan, first_lsn_in_checkpoint
from walogs.engine.verdict import DurabilityEvidence, Verdict, durability_evidence, frame_problem
from walogs.engine.whole_segments import read_ahead
from walogs.errors import Corrupt, SegmentNotFound
from walogs.formats.segment_format import Kind, SegmentHeader
from walogs.inspection.scan import Frame, frames_of, pieces_of

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from walogs.engine.log_source import LogSource
    from walogs.formats.durable_mark import DurableMark
    from walogs.formats.segment_format import FrameHeader
    from walogs.inspection.scan import Piece

EXAMINATIONS_MAX: Final = 20
"""Examine a log at most this many times, if a writer changes it each time."""


class Break(NamedTuple):
    """Where intact frames stop, and why. A gap names it."""

    segment: int | None
    offset: int | None
    why: str


NOT_THERE: Final = Break(None, None, "no segment that is there holds them")


class Run(NamedTuple):
    """Consecutive intact frames of one segment."""

    number: int
    start: int
    end: int
    first_lsn: int
    next_lsn: int
    """The LSN after the last entry. It equals first_lsn if the run holds no entry."""
    before: bytes | None
    """The link in its first frame: that of the last frame with entries before the run. None if it holds no frame."""
    link: bytes | None
    """The link of the last frame with entries up to its end; None if it is not known."""

    @property
    def entries(self) -> int:
        return self.next_lsn - self.first_lsn


def empty_run(number: int, start: int, first_lsn: int, *, link: bytes) -> Run:
    """Return a run without a frame. *link* is that of the last frame with entries before it."""
    return Run(number=number, start=start, end=start, first_lsn=first_lsn, next_lsn=first_lsn, before=None, link=link)


class DamagedRange(NamedTuple):
    """A range of bytes in a segment that holds no intact frame."""

    start: int
    end: int
    why: str


class SegmentSurvey:
    """The runs and the damaged ranges of one segment, from its header to its last byte.

    The first run begins where the first frame belongs. It can be empty, so every segment has a run.
    """

    def __init__(
        self, source: LogSource, header: SegmentHeader, foreign: Container[tuple[int, int]], *, is_reconstructed: bool
    ) -> None:
        self.header = header
        self.is_reconstructed = is_reconstructed
        """Whether the segment's own header is damaged, and this one was put together from other places."""
        self.log_first_lsn = header.log_first_lsn
        """The largest first LSN of the log that its header and its CHECKPOINTs name."""
        self.synced = 0
        """The highest offset that a frame header names as synced. The body of that frame may be damaged."""
        self.is_sealed = False
        self.had_successor = False
        """Whether the intact header of a SEAL is there. The SEAL itself may be damaged."""
        start = source.format.traits.header_bytes
        self.runs = [empty_run(header.number, start, header.first_lsn, link=header.previous_link)]
        self.damaged_ranges: list[DamagedRange] = []
        self.unknown_frame: FrameHeader | None = None
        """The first header of a frame that only a later release can read."""
        self.has_foreign_frame = False
        """Whether an intact frame with entries is there that does not belong there. An open refuses it."""
        self._source = source
        self._foreign = foreign
        self._read()

    @property
    def number(self) -> int:
        return self.header.number

    @property
    def end(self) -> int:
        """The offset after the last intact frame."""
        return self.runs[-1].end

    @property
    def next_lsn(self) -> int:
        return self.runs[-1].next_lsn

    @property
    def link(self) -> bytes | None:
        """The link of the last intact frame with entries, in this segment or before it."""
        return self.runs[-1].link

    @property
    def damage_at_end(self) -> DamagedRange | None:
        """The damaged range after the last intact frame. None if only zeros or a SEAL follow."""
        last = self.damaged_ranges[-1] if self.damaged_ranges else None
        return last if last is not None and last.start >= self.end else None

    def _read(self) -> None:
        for piece in pieces_of(self._source, self.header):
            frame = piece.header
            if frame is not None:
                self.synced = max(self.synced, frame.synced)
                self.had_successor = self.had_successor or frame.kind == Kind.SEAL.value
                if self.unknown_frame is None and (frame.kind not in KINDS or frame.flags):
                    self.unknown_frame = frame
            if frame is None or piece.frame is None:
                self._add_damage(piece.start, piece.end, piece.why)
            elif frame.kind == Kind.SEAL.value:
                self.is_sealed = True
                return
            elif (self.number, piece.start) not in self._foreign and self._admit(frame):
                self._add_frame(frame, piece)
            else:
                self.has_foreign_frame = self.has_foreign_frame or frame.kind == Kind.ENTRIES.value
                self._add_damage(piece.start, piece.end, "an intact frame is there that does not belong there")

    def _admit(self, frame: FrameHeader) -> bool:
        """Return whether a writer of this log can have written the frame. Take over the first LSN of a CHECKPOINT."""
        if frame_problem(frame, frame.first_lsn, None) is not None:
            return False
        if frame.kind != Kind.CHECKPOINT.value:
            return True
        try:
            self.log_first_lsn = max(self.log_first_lsn, first_lsn_in_checkpoint(self._source, self.header, frame))
        except Corrupt:
            return False
        return True

    def _add_frame(self, frame: FrameHeader, piece: Piece) -> None:
        """Add an intact frame to the last run if it follows that run. Otherwise begin a new run with it."""
        run = self.runs[-1]
        is_entries = frame.kind == Kind.ENTRIES.value
        first_lsn = frame.first_lsn if is_entries else run.next_lsn
        if (run.end, run.next_lsn, run.link) == (piece.start, first_lsn, frame.link):
            self.runs.pop()
        else:
            run = empty_run(self.number, piece.start, first_lsn, link=frame.link)
        link, next_lsn = frame.link, run.next_lsn
        if is_entries and piece.frame is not None:
            check_bytes = self._source.codec_of(self.header).check_bytes
            link, next_lsn = self._source.format.link_at(piece.frame, 0, frame, check_bytes), first_lsn + frame.entries
        before = run.before if run.before is not None else frame.link
        self.runs.append(run._replace(end=piece.end, next_lsn=next_lsn, before=before, link=link))

    def _add_damage(self, start: int, end: int, why: str) -> None:
        if self.damaged_ranges and self.damaged_ranges[-1].end == start:
            start, _, why = self.damaged_ranges.pop()
        self.damaged_ranges.append(DamagedRange(start, end, why))


class Survey:
    """What a directory held of a log, at one moment. Raises `UnsupportedFormat`, `OSError`.

    *foreign* are the places (segment, offset) of intact frames that count as damage, because they hold no entry of the
    log.
    """

    def __init__(self, source: LogSource, foreign: Container[tuple[int, int]] = frozenset()) -> None:
        self._source = source
        self._foreign = foreign
        self.durable_mark = read_durable_mark(source)
        """It may be of another log, as a segment may be."""
        self.numbers = tuple(source.store.segments())
        self.intact_headers = read_intact_headers(source, self.numbers)
        """By number: the headers that are intact, of whatever log they are."""
        self._segments: dict[int, SegmentSurvey] = {}

    @cached_property
    def headers(self) -> dict[int, SegmentHeader]:
        """By number: the headers of this log's segments, the reconstructed ones included.

        A damaged header is put together from what its neighbours and the durable mark say. The log is the one that most
        of the headers name.
        """
        headers = dict(self.intact_headers)
        if headers:
            log_id = Counter(header.log_id for header in headers.values()).most_common(1)[0][0]
            headers = {number: header for number, header in headers.items() if header.log_id == log_id}
        for number in reversed(self.numbers):
            if number not in headers:
                header = self._reconstruct(headers, number)
                if header is not None:
                    headers[number] = header
        return dict(sorted(headers.items()))

    @property
    def segments(self) -> dict[int, SegmentSurvey]:
        """By number: the segments whose header is known. All their bytes are read, once."""
        return {number: self._survey_segment(number) for number in self.headers}

    @property
    def newest(self) -> SegmentSurvey | None:
        """The newest segment; None if its header is not known. All its bytes are read, once."""
        return self._survey_segment(self.numbers[-1]) if self.numbers[-1] in self.headers else None

    @property
    def own_durable_mark(self) -> DurableMark | None:
        """The durable mark, if it is of this log."""
        mark = self.durable_mark
        is_own = mark is not None and any(header.log_id == mark.log_id for header in self.headers.values())
        return mark if is_own else None

    @property
    def is_end_unknown(self) -> bool:
        """Whether more entries may have followed the intact frames of the newest segment.

        It is known that none did if an open could accept what follows as the end, or if the durable mark says how many
        did.
        """
        mark, newest, number = self.own_durable_mark, self.newest, self.numbers[-1]
        if newest is None:
            return mark is None or (mark.segment < number and not mark.is_clean)
        if newest.had_successor:
            return mark is None or mark.segment <= number
        named = newest.synced if newest.synced > synced_by(mark, newest.header) else 0
        evidence = durability_evidence(newest.end, named, is_sealed=False)
        has_bytes = newest.damage_at_end is not None
        verdict = verdict_of(self._source, newest.header, newest.end, evidence, has_bytes=has_bytes)
        return verdict is Verdict.CORRUPT

    def named_first_lsn(self) -> int:
        """Return the largest first LSN of the log that the headers and the newest segment's CHECKPOINTs name.

        Raises `LogNotFound`: the log is gone.
        """
        try:
            return largest_first_lsn(self._source, self.headers)
        except SegmentNotFound:  # a checkpoint has removed the newest of them since
            return current_first_lsn(self._source)

    def first_lsn(self) -> int:
        """Return the first LSN that can be read.

        If damage may hide a CHECKPOINT, this is not below the first entry that is there. Raises `LogNotFound`, and
        `SegmentNotFound` if a checkpoint removes the newest segment meanwhile.
        """
        named = self.named_first_lsn()
        oldest = min((header.first_lsn for header in self.headers.values()), default=1)
        return named if oldest <= named or is_newest_complete(self._source, self.numbers[-1]) else oldest

    def removed_since(self) -> frozenset[int]:
        """Return the segments that a checkpoint has removed since the survey listed them."""
        return frozenset(self.numbers).difference(self._source.store.segments())

    def _survey_segment(self, number: int) -> SegmentSurvey:
        segment = self._segments.get(number)
        if segment is None:
            is_reconstructed = number not in self.intact_headers
            header = self.headers[number]
            segment = SegmentSurvey(self._source, header, self._foreign, is_reconstructed=is_reconstructed)
            self._segments[number] = segment
        return segment

    def _reconstruct(self, headers: dict[int, SegmentHeader], number: int) -> SegmentHeader | None:
        """Put together a damaged header. Return None if not even the salt is known, or if no frame fits it."""
        successor, mark = headers.get(number + 1), self.durable_mark
        neighbour = successor if successor is not None else headers.get(number - 1)
        if neighbour is None:
            return self._reconstruct_by_durable_mark(number) if not headers else None
        if successor is not None:
            salt = successor.previous_salt
        elif mark is not None and mark.segment == number and mark.log_id == neighbour.log_id:
            salt = mark.salt
        else:
            return None
        source = self._source
        header = neighbour._replace(number=number, salt=salt, first_lsn=1, is_fence=False, is_checkpoint=False)
        first = first_frame(source, header)
        if first is None:  # its codec may be the configured one, and not that of its neighbour
            header = header._replace(codec_name=source.codec.name, codec_parameters=source.codec_parameters)
            first = first_frame(source, header)
        if first is None:
            return None
        return header._replace(first_lsn=first.header.first_lsn, previous_link=first.header.link)

    def _reconstruct_by_durable_mark(self, number: int) -> SegmentHeader | None:
        """Put together the newest header of a log without any intact header. Assume the configured codec."""
        source, mark = self._source, self.durable_mark
        if mark is None or mark.segment != number:
            return None
        header = SegmentHeader(
            number=number,
            first_lsn=1,
            log_first_lsn=1,
            epoch=1,
            log_id=mark.log_id,
            writer_id=bytes(16),
            salt=mark.salt,
            previous_salt=0,
            previous_link=source.format.first_link(mark.log_id),
            created_ns=0,
            codec_name=source.codec.name,
            codec_parameters=source.codec_parameters,
        )
        first = first_frame(source, header)
        if first is None:
            return None
        first_lsn = 1 if number == 1 else first.header.first_lsn
        # What lies before this frame may be left from a checkpoint, or have held entries. Nothing says that it may go.
        is_first_of_all = number == self.numbers[0] and not has_damage_before(source, header, first)
        log_first_lsn = first_lsn if is_first_of_all else 1
        return header._replace(first_lsn=first_lsn, log_first_lsn=log_first_lsn, previous_link=first.header.link)


def read_intact_headers(source: LogSource, numbers: Sequence[int]) -> dict[int, SegmentHeader]:
    """Return the intact headers by number. Raises `UnsupportedFormat`."""
    headers: dict[int, SegmentHeader] = {}
    source = read_ahead(source, numbers, source.format.traits.header_bytes)
    for number in numbers:
        with suppress(SegmentNotFound, Corrupt):  # not found: a checkpoint has removed it since it was listed
            headers[number] = source.header(number)
    return headers


def first_frame(source: LogSource, segment: SegmentHeader) -> Frame | None:
    """Return the first intact frame with entries. None if there is none, or if a checkpoint has removed the segment."""
    with suppress(SegmentNotFound):
        return next((found for found in frames_of(source, segment) if isinstance(found, Frame)), None)
    return None


def has_damage_before(source: LogSource, segment: SegmentHeader, frame: Frame) -> bool:
    """Return whether bytes that are no intact frame lie between the segment's header and *frame*."""
    return next(iter(frames_of(source, segment)), frame) != frame


def header_break(source: LogSource, number: int) -> Break:
    """Return why no entry of that segment can be found: its header tells nothing, or the segment is gone."""
    reason = "it is of another log"
    try:
        source.header(number)
    except Corrupt as error:
        place = f"{source.store.segment_name(number)} in {source.store.name} is corrupt at byte {error.offset}: "
        reason = error.damage.removeprefix(place).rstrip(".")
    except SegmentNotFound:
        return NOT_THERE
    return Break(number, 0, f"{reason}, so that its entries cannot be found")


# Where the log begins


def largest_first_lsn(source: LogSource, headers: dict[int, SegmentHeader]) -> int:
    """Return the largest first LSN of the log in these headers and in the CHECKPOINTs of the newest. Raises
    `SegmentNotFound`."""
    log_first_lsn = max((header.log_first_lsn for header in headers.values()), default=1)
    try:
        return max(log_first_lsn, first_lsn_in_segment(source, headers[max(headers)])) if headers else log_first_lsn
    except Corrupt:
        return log_first_lsn


def current_first_lsn(source: LogSource) -> int:
    """Return the first LSN that can be read now, after a checkpoint. Raises `LogNotFound`: the log is gone."""
    for _ in range(EXAMINATIONS_MAX):
        numbers = source.store.segments()
        if not numbers:
            break
        with suppress(SegmentNotFound):
            return largest_first_lsn(source, read_newest_header(source, numbers[-1]))
    raise no_log(source)


def read_newest_header(source: LogSource, number: int) -> dict[int, SegmentHeader]:
    """Return that header under its number; nothing if it is damaged. Raises `SegmentNotFound`."""
    try:
        return {number: source.header(number)}
    except Corrupt:
        return {}


def is_newest_complete(source: LogSource, number: int) -> bool:
    """Return whether the newest segment holds all that is known to have been synced.

    Then no CHECKPOINT was lost, and the first LSN that it names is final.
    """
    mark = read_durable_mark(source)
    try:
        header = source.header(number)
        scan = SegmentScan(source, header, source.store.size(number))
        tail = TailScan(source, header, scan.end, scan.size)
    except Corrupt:
        return False
    ending = ending_of(header, scan.end, scan.last_lsn, scan.stop, scan.synced, tail, mark)
    is_newer_missing = mark is not None and mark.log_id == header.log_id and mark.segment > number
    return not is_newer_missing and ending.evidence() is DurabilityEvidence.NOTHING
