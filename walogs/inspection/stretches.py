"""What is intact in a log that does not open: the runs of each segment, and the stretches that a log could hold.

Observes and decides; changes nothing. A *run* is intact frames end to end, with one LSN after the other. A *stretch* is
the runs that open would accept as one log: nothing is missing between them, and each segment is the one that its
successor was made after. LSNs are dense, so a log holds one stretch: which one is what a repair is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from walogs.engine.recovery import read_witness, synced_by
from walogs.engine.verdict import unlinked
from walogs.engine.walk import SeenRun, Walk, admissible_base
from walogs.errors import Corrupt
from walogs.formats.segment_format import Kind, SegmentHeader, Stop
from walogs.inspection.salvage import HEADER_BYTES_MAX, Place, headers_of, intact_headers, next_header, rest_is_zero
from walogs.types import Gap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from walogs.engine.source import Source
    from walogs.formats.segment_format import FrameHeader
    from walogs.formats.witness import Witness

Keep = Literal["before", "after"]

GONE: Final = Place(None, None, "its segment is missing")


class Run(NamedTuple):
    """Intact frames of one segment, end to end."""

    number: int
    start: int
    end: int
    first_lsn: int
    next_lsn: int
    """first_lsn: they hold no entry."""
    check: int
    """Header CRC of the last one with entries; 0: none."""

    @property
    def entries(self) -> int:
        return self.next_lsn - self.first_lsn


class Hole(NamedTuple):
    """Bytes of a segment that are no intact frame."""

    start: int
    end: int
    why: str


class Observation:
    """One segment, from its header to its very end. The first run begins at the first frame's place, and may be empty;
    so every segment has one."""

    def __init__(self, source: Source, header: SegmentHeader, *, is_made: bool) -> None:
        self.header = header
        self.is_made = is_made
        """Its own header is damaged: this one was made from what others say of it."""
        self.base_lsn = header.base_lsn
        """The largest in its header and its CHECKPOINTs."""
        self.synced = 0
        """The highest offset that a frame header names as synced, whatever became of its body."""
        self.is_sealed = False
        start = source.format.traits.header_bytes
        self.runs = [Run(header.number, start, start, header.first_lsn, header.first_lsn, 0)]
        self.holes: list[Hole] = []
        self._source = source
        self._observe(start, source.store.size(header.number))

    @property
    def number(self) -> int:
        return self.header.number

    @property
    def next_lsn(self) -> int:
        return self.runs[-1].next_lsn

    @property
    def last_check(self) -> int:
        return next((run.check for run in reversed(self.runs) if run.check), 0)

    @property
    def rest(self) -> Hole | None:
        """What follows its last intact frame, where that is not only zeros or a SEAL."""
        return self.holes[-1] if self.holes and self.holes[-1].start >= self.runs[-1].end else None

    def hole_before(self, run: Run) -> Hole | None:
        return next((hole for hole in self.holes if hole.end == run.start), None)

    def _observe(self, offset: int, size: int) -> None:
        source, header = self._source, self.header
        while offset < size and not self.is_sealed:
            end, why = self._run(offset, size)
            if end > offset:
                offset = end
            elif rest_is_zero(source, header.number, offset, size):
                return
            elif not self.is_sealed:
                offset = next_header(source, header, offset + source.format.traits.alignment, size)
                self._skipped(end, offset, why)

    def _run(self, offset: int, size: int) -> tuple[int, str]:
        """Where the run that begins there ends (there: none does), and why."""
        source, header = self._source, self.header
        found = self._frame_header(offset, size)
        if isinstance(found, Stop):
            return offset, found.value
        self.synced = max(self.synced, found.synced)
        lsn = found.first_lsn if found.kind == Kind.ENTRIES.value else self.next_lsn
        walk, check, why = Walk(source, header, offset, size, lsn), 0, ""
        try:
            for seen in walk.runs():
                if isinstance(seen, SeenRun):
                    self.synced, check = max(self.synced, seen.intact.synced), seen.intact.crc
                    continue
                self.synced = max(self.synced, seen.header.synced)
                if seen.header.kind == Kind.CHECKPOINT.value:
                    self.base_lsn = max(self.base_lsn, admissible_base(source, header, seen.header))
                else:
                    check = seen.header.crc
        except Corrupt:
            why = "an intact frame is there that does not belong there"
        else:
            why = walk.stop.value
            self.is_sealed = walk.stop is Stop.SEAL
        if walk.offset > offset:
            self.runs.append(Run(header.number, offset, walk.offset, lsn, walk.expected_lsn, check))
        return walk.offset, why

    def _frame_header(self, offset: int, size: int) -> FrameHeader | Stop:
        head = self._source.store.read(self.number, offset, min(size, offset + HEADER_BYTES_MAX))
        return self._source.format.header_at(head, 0, offset, self.header.salt)

    def _skipped(self, start: int, end: int, why: str) -> None:
        if self.holes and self.holes[-1].end == start:
            start, _, why = self.holes.pop()
        self.holes.append(Hole(start, end, why))


class Observed(NamedTuple):
    """A log that is damaged."""

    numbers: tuple[int, ...]
    """The segments at or above the base, ascending; of some nothing may be known."""
    segments: Mapping[int, Observation]
    base_lsn: int
    """The largest that anything intact names."""
    testified_lsn: int
    """The last entry that the witness saw; 0: it says nothing of this log."""
    is_end_unknown: bool
    """Something that was synced followed the newest segment's intact frames, and nothing tells up to which entry."""


def observed(source: Source) -> Observed:
    """Raises `Corrupt` (segments of two logs lie there), `UnsupportedFormat`, `OSError`."""
    numbers = tuple(source.store.segments())
    readable = readable_headers(source, numbers)
    headers = headers_of(source, numbers)
    segments = {
        number: Observation(source, header, is_made=number not in readable) for number, header in headers.items()
    }
    base_lsn = max((segment.base_lsn for segment in segments.values()), default=1)
    at_base = [at for at, n in enumerate(numbers) if n in segments and segments[n].header.first_lsn <= base_lsn]
    witness = read_witness(source)
    is_ours = witness is not None and any(header.log_id == witness.log_id for header in headers.values())
    newest = segments.get(numbers[-1])
    return Observed(
        numbers=numbers[at_base[-1] if at_base else 0 :],
        segments=segments,
        base_lsn=base_lsn,
        testified_lsn=witness.last_lsn if witness is not None and is_ours else 0,
        is_end_unknown=is_end_unknown(newest, witness if is_ours else None, numbers[-1]),
    )


def is_end_unknown(newest: Observation | None, witness: Witness | None, number: int) -> bool:
    """Nothing but zeros and unfinished writes may follow the newest segment's intact frames, or the witness says what
    did."""
    if newest is None or newest.is_sealed:
        return witness is None or witness.segment < number + (newest is not None)
    return newest.synced > max(newest.runs[-1].end, synced_by(witness, newest.header))


def readable_headers(source: Source, numbers: Sequence[int]) -> dict[int, SegmentHeader]:
    """Those that are intact. Raises `Corrupt` where they are of two logs: which of them is meant nobody can tell."""
    headers = intact_headers(source, numbers)
    for older, newer in pairwise(headers.values()):
        if older.log_id != newer.log_id:
            name = source.store.segment_name(older.number)
            why = f"it is of another log than {name}; move away the segments that do not belong here"
            raise source.corrupt(why, newer.number, 16, newer.first_lsn)
    return headers


def stretches_of(source: Source, log: Observed) -> list[list[Run]]:
    """What a log could hold, in order."""
    stretches: list[list[Run]] = []
    for number in log.numbers:
        for run in log.segments[number].runs if number in log.segments else ():
            if stretches and goes_on(source, log, stretches[-1][-1], run):
                stretches[-1].append(run)
            else:
                stretches.append([run])
    return stretches


def goes_on(source: Source, log: Observed, run: Run, after: Run) -> bool:
    """Whether *after* comes right after *run*: nothing is missing between them but CHECKPOINTs."""
    older, newer = log.segments[run.number], log.segments[after.number]
    if older is newer:
        is_mendable = (after.start - run.end) % checkpoint_bytes(source) == 0
        return after.first_lsn == run.next_lsn and is_mendable
    return run is older.runs[-1] and newer.number == older.number + 1 and is_successor(older, newer)


def is_successor(older: Observation, newer: Observation) -> bool:
    """Whether *older* is the segment, to its last frame, that *newer* was made after."""
    if older.next_lsn != newer.header.first_lsn:
        return False
    if newer.is_made:
        return True
    is_linked = older.is_made or unlinked(older.header, newer.header) is None
    return is_linked and older.last_check == newer.header.previous_check


def checkpoint_bytes(source: Source) -> int:
    return source.format.frame_bytes(0, 4)


def gaps_of(log: Observed) -> Iterator[Gap]:
    """The entries at or above the base that are not intact, or not there."""
    expected, place = log.base_lsn, GONE
    before = None
    for number in log.numbers:
        segment = log.segments.get(number)
        if segment is None:
            place = Place(number, 0, "its header is damaged, and nothing tells what it was")
            before = number
            continue
        if before is not None and number != before + 1:
            place = GONE
        for run in segment.runs:
            hole = segment.hole_before(run)
            if hole is not None:
                place = Place(number, hole.start, hole.why)
            if run.first_lsn > expected:
                yield Gap(expected, run.first_lsn - 1, *place)
            expected = max(expected, run.next_lsn)
        rest = segment.rest
        end = "intact frames end before it"
        place = Place(number, rest.start, rest.why) if rest is not None else Place(number, segment.runs[-1].end, end)
        before = number
    if before is not None and before in log.segments and log.segments[before].is_sealed:
        place = GONE
    if log.testified_lsn >= expected:
        yield Gap(expected, log.testified_lsn, *place)
    elif log.is_end_unknown:
        yield Gap(expected, None, *place)


# What is kept


class Rewrite(NamedTuple):
    """A segment that is written anew."""

    source_header: SegmentHeader
    """What it is read with."""
    header: SegmentHeader
    """Another salt than its own: every frame is encoded anew, from the first on."""
    runs: tuple[Run, ...]

    @property
    def number(self) -> int:
        return self.header.number


class Plan(NamedTuple):
    """What becomes of a damaged log. Carried out in this order, after each step it is refused or as it shall be."""

    first_lsn: int
    last_lsn: int
    rewrites: tuple[Rewrite, ...]
    """The last one decides: the segment that is the newest then, whose header says where the log begins."""
    removed: tuple[int, ...]
    lost: tuple[Gap, ...]
    dropped: tuple[tuple[int, int], ...]

    @property
    def changed(self) -> tuple[int, ...]:
        """Segments that will not be what they were."""
        return tuple(sorted({*(rewrite.number for rewrite in self.rewrites), *self.removed}))


def planned(source: Source, log: Observed, keep: Keep, refused: int | None, writer_id: bytes, salt: int) -> Plan | None:
    """How the log becomes one that opens; None: it holds no intact entry. *refused*: the segment that open names."""
    found = stretches_of(source, log)
    holding = [stretch for stretch in found if stretch[0].first_lsn < stretch[-1].next_lsn] or found
    if not holding:
        return None
    kept, is_anew = from_a_beginning(source, holding[0 if keep == "before" else -1])
    numbers = tuple(dict.fromkeys(run.number for run in kept))
    last = log.segments[numbers[-1]]
    base_lsn = max(kept[0].first_lsn, min(log.base_lsn, last.header.first_lsn if not is_anew else kept[0].first_lsn))
    rewrites = [
        Rewrite(log.segments[number].header, linked(log, number), runs_in(kept, number))
        for number in numbers[:-1]
        if is_to_be_mended(source, log.segments[number], runs_in(kept, number)) or number == refused
    ]
    if is_anew or is_to_end_the_log(source, log, last, runs_in(kept, last.number), base_lsn):
        epoch = max(segment.header.epoch for segment in log.segments.values()) + 1
        header = replace(linked(log, last.number), base_lsn=base_lsn, epoch=epoch, writer_id=writer_id)
        if is_anew:
            header = replace(header, first_lsn=base_lsn, salt=salt, previous_salt=0, previous_check=0)
        rewrites.append(Rewrite(last.header, header, runs_in(kept, last.number)))
    plan = Plan(
        first_lsn=base_lsn,
        last_lsn=kept[-1].next_lsn - 1,
        rewrites=tuple(rewrites),
        removed=tuple(number for number in log.numbers if number not in numbers),
        lost=tuple(gaps_of(log)),
        dropped=dropped_by(log, kept),
    )
    return plan if kept[0].first_lsn < kept[-1].next_lsn or not plan.changed else None


def from_a_beginning(source: Source, stretch: list[Run]) -> tuple[list[Run], bool]:
    """The part of it that a log can begin with, and whether that has to be encoded anew: a segment's frames begin right
    after its header. Segments that are whole stay as they are; only where there is none with entries is the part of a
    segment that is intact made one."""
    first = stretch[0]
    if first.start == source.format.traits.header_bytes:
        return stretch, False
    later = [run for run in stretch if run.number != first.number]
    if later and later[0].first_lsn < later[-1].next_lsn:
        return later, False
    return [run for run in stretch if run.number == first.number], True


def runs_in(kept: Sequence[Run], number: int) -> tuple[Run, ...]:
    return tuple(run for run in kept if run.number == number)


def is_to_be_mended(source: Source, segment: Observation, runs: Sequence[Run]) -> bool:
    """Whether a completed segment of the stretch is refused as it is, although no entry of it is missing."""
    has_hole = any(after.start > run.end for run, after in pairwise(runs))
    return segment.is_made or has_hole or (segment.is_sealed and segment.rest is not None)


def is_to_end_the_log(source: Source, log: Observed, last: Observation, runs: Sequence[Run], base_lsn: int) -> bool:
    """Whether the last segment of the stretch is not the end of a log yet, or not of one with that base."""
    is_newest, is_whole = last.number == log.numbers[-1], runs[-1] is last.runs[-1] and last.rest is None
    is_as_it_should_be = is_newest and is_whole and not last.is_sealed and last.base_lsn == base_lsn
    return not is_as_it_should_be or is_to_be_mended(source, last, runs)


def linked(log: Observed, number: int) -> SegmentHeader:
    """The header of that segment; one that was made anew says what its predecessor is."""
    segment, older = log.segments[number], log.segments.get(number - 1)
    if not segment.is_made:
        return segment.header
    header = replace(segment.header, base_lsn=min(segment.header.base_lsn, segment.header.first_lsn))
    if older is None or not is_successor(older, segment):
        return replace(header, previous_salt=0, previous_check=0)
    return replace(header, previous_salt=older.header.salt, previous_check=older.last_check)


def dropped_by(log: Observed, kept: Sequence[Run]) -> tuple[tuple[int, int], ...]:
    """(first LSN, last LSN) of what is intact and not kept."""
    dropped: list[tuple[int, int]] = []
    for number in log.numbers:
        for run in log.segments[number].runs if number in log.segments else ():
            if run in kept or not run.entries:
                continue
            if dropped and dropped[-1][1] == run.first_lsn - 1:
                dropped[-1] = dropped[-1][0], run.next_lsn - 1
            else:
                dropped.append((run.first_lsn, run.next_lsn - 1))
    return tuple(dropped)
