"""What a repair does with a damaged log: which entries it keeps, and which segments change. Decides, changes nothing.

The survey finds the runs of each segment. Some runs fit together: nothing is missing between them, and each segment is
the one that its successor was made after. Such a chain of runs could be a log. LSNs have no gaps, so a log holds one
chain, and the caller of `repair` says which one is kept.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from walogs.engine.frame_reader import refuse_unknown
from walogs.engine.verdict import link_problem
from walogs.errors import Corrupt
from walogs.inspection.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import SegmentHeader
    from walogs.inspection.survey import Run, SegmentSurvey
    from walogs.types import Gap

Keep = Literal["before", "after"]


class DamagedLog(NamedTuple):
    """A log that does not open, as far as a repair needs to know it."""

    numbers: tuple[int, ...]
    """The segments at or above the log's first LSN, ascending. Of some of them nothing may be known."""
    segments: Mapping[int, SegmentSurvey]
    log_first_lsn: int
    """The largest first LSN that anything intact names."""

    @property
    def runs(self) -> Iterator[Run]:
        return (run for number in self.numbers if number in self.segments for run in self.segments[number].runs)


def survey_damaged_log(source: LogSource, foreign: Container[tuple[int, int]]) -> DamagedLog:
    """Take what is intact, but for the *foreign* frames, which salvage does not count as entries of the log either.

    Raises `Corrupt` (segments of two logs lie there), `UnsupportedFormat`, `OSError`.
    """
    survey = Survey(source, foreign)
    refuse_two_logs(source, survey)
    numbers, segments = survey.numbers, survey.segments
    for segment in segments.values():
        if segment.unknown_frame is not None:
            refuse_unknown(source, segment.header, segment.unknown_frame)
    log_first_lsn = max((segment.log_first_lsn for segment in segments.values()), default=1)
    begins = [at for at, n in enumerate(numbers) if n in segments and segments[n].header.first_lsn <= log_first_lsn]
    return DamagedLog(
        numbers=numbers[begins[-1] if begins else 0 :],
        segments=segments,
        log_first_lsn=log_first_lsn,
    )


def refuse_two_logs(source: LogSource, survey: Survey) -> None:
    """Raise `Corrupt` if intact headers are of two logs: nothing tells which of them is meant."""
    for older, newer in pairwise(survey.intact_headers.values()):
        if older.log_id != newer.log_id:
            name = source.store.segment_name(older.number)
            why = f"it is of another log than {name}; move away the segments that do not belong here"
            raise source.corrupt(why, newer.number, 16, newer.first_lsn)


def chains_of(source: LogSource, log: DamagedLog) -> list[list[Run]]:
    """Return the chains of runs that could each be a log, in order."""
    chains: list[list[Run]] = []
    for run in log.runs:
        if chains and is_followed_by(source, log, chains[-1][-1], run):
            chains[-1].append(run)
        else:
            chains.append([run])
    return chains


def is_followed_by(source: LogSource, log: DamagedLog, run: Run, after: Run) -> bool:
    """Return whether *after* comes directly after *run*: nothing but CHECKPOINTs is missing between them."""
    older, newer = log.segments[run.number], log.segments[after.number]
    if older is newer:
        is_filled_by_checkpoints = (after.start - run.end) % checkpoint_bytes(source, older.header) == 0
        return after.first_lsn == run.next_lsn and after.before == run.link and is_filled_by_checkpoints
    return run is older.runs[-1] and newer.number == older.number + 1 and is_successor(older, newer)


def is_successor(older: SegmentSurvey, newer: SegmentSurvey) -> bool:
    """Return whether *newer* was made after *older*, and after its last intact frame."""
    if older.next_lsn != newer.header.first_lsn or older.link != newer.header.previous_link:
        return False
    return newer.is_reconstructed or older.is_reconstructed or link_problem(older.header, newer.header) is None


def checkpoint_bytes(source: LogSource, segment: SegmentHeader) -> int:
    return source.format.frame_bytes(0, source.codec_of(segment).check_bytes)


# What is kept


class Rewrite(NamedTuple):
    """A segment that is written anew."""

    source_header: SegmentHeader
    """The header to read it with."""
    header: SegmentHeader
    """The header to write. If its salt is not the old one, every frame is encoded anew, beginning with the first."""
    runs: tuple[Run, ...]

    @property
    def number(self) -> int:
        return self.header.number


class RepairPlan(NamedTuple):
    """What becomes of a damaged log.

    The steps are carried out in the order of the fields. After each step the log is refused as before, or it opens as
    repaired.
    """

    first_lsn: int
    last_lsn: int
    rewrites: tuple[Rewrite, ...]
    """The last one decides: it is the newest segment then, and its header says where the log begins."""
    removed: tuple[int, ...]
    lost: tuple[Gap, ...]
    dropped: tuple[tuple[int, int], ...]
    """(first LSN, last LSN) of entries that are intact, and not kept."""
    sides: tuple[Keep, ...]
    """The sides of the damage on which intact entries are. Both, if the damage has cost no entry."""

    @property
    def changed(self) -> tuple[int, ...]:
        """The segments that are rewritten or removed."""
        return tuple(sorted({*(rewrite.number for rewrite in self.rewrites), *self.removed}))


def plan_repair(
    source: LogSource,
    log: DamagedLog,
    lost: tuple[Gap, ...],
    keep: Keep | None,
    refused: int | None,
    *,
    writer_id: bytes,
    salt: int,
) -> RepairPlan | None:
    """Return how the log becomes one that opens; None if it holds no intact entry.

    *keep* None means the first side on which entries are. *refused* is the segment that the error of `open` names.
    Raises `Corrupt` if no intact entry lies on the side that *keep* names.
    """
    chains = chains_of(source, log)
    with_entries = [chain for chain in chains if chain[0].first_lsn < chain[-1].next_lsn] or chains
    if not with_entries:
        return None
    sides = sides_of(with_entries, lost)
    if keep is not None and keep not in sides:
        raise side_error(source, with_entries[0], sides[0], keep, refused)
    chosen = with_entries[-1 if (keep or sides[0]) == "after" else 0]
    kept, is_anew = part_with_beginning(source, chosen)
    runs = {number: tuple(found) for number, found in groupby(kept, key=lambda run: run.number)}
    last = log.segments[max(runs)]
    first_lsn_max = kept[0].first_lsn if is_anew else last.header.first_lsn
    log_first_lsn = max(kept[0].first_lsn, min(log.log_first_lsn, first_lsn_max))
    rewrites = [
        Rewrite(log.segments[number].header, linked_header(log, number), runs[number])
        for number in list(runs)[:-1]
        if needs_mending(log.segments[number], runs[number]) or number == refused
    ]
    if is_anew or needs_new_end(log, last, runs[last.number], log_first_lsn):
        epoch = max(segment.header.epoch for segment in log.segments.values()) + 1
        header = linked_header(log, last.number)._replace(log_first_lsn=log_first_lsn, epoch=epoch, writer_id=writer_id)
        if is_anew:
            link = source.format.first_link(header.log_id)
            header = header._replace(first_lsn=log_first_lsn, salt=salt, previous_salt=0, previous_link=link)
        rewrites.append(Rewrite(last.header, header, runs[last.number]))
    plan = RepairPlan(
        first_lsn=log_first_lsn,
        last_lsn=kept[-1].next_lsn - 1,
        rewrites=tuple(rewrites),
        removed=tuple(number for number in log.numbers if number not in runs),
        lost=tuple(gap for gap in lost if not is_kept(gap, log_first_lsn, kept[-1].next_lsn)),
        dropped=entries_dropped_by(log, kept),
        sides=sides,
    )
    return plan if kept[0].first_lsn < kept[-1].next_lsn or not plan.changed else None


def is_kept(gap: Gap, first_lsn: int, next_lsn: int) -> bool:
    """Return whether the entries of a gap are kept after all: of two whole segments, either can be the foreign one."""
    return gap.last_lsn is not None and first_lsn <= gap.first_lsn and gap.last_lsn < next_lsn


def sides_of(chains: Sequence[Sequence[Run]], lost: Sequence[Gap]) -> tuple[Keep, ...]:
    """Return the sides of the damage on which these chains lie.

    A single chain with damage before it and after it lies on both sides: the caller can ask for it by either name.
    """
    first_lsn, next_lsn = chains[0][0].first_lsn, chains[-1][-1].next_lsn
    is_before = any(gap.first_lsn >= next_lsn for gap in lost)
    is_after = any(gap.first_lsn < first_lsn for gap in lost)
    if len(chains) > 1 or first_lsn == next_lsn or is_before == is_after:
        return "before", "after"
    return ("before",) if is_before else ("after",)


def side_error(source: LogSource, chain: Sequence[Run], side: Keep, keep: Keep, refused: int | None) -> Corrupt:
    first_lsn, last_lsn = chain[0].first_lsn, chain[-1].next_lsn - 1
    lie = f"entries {first_lsn} to {last_lsn} lie" if first_lsn < last_lsn else f"entry {first_lsn} lies"
    why = f"nothing intact lies {keep} the damage: {lie} {side} it. Nothing was changed"
    move = f'Repair it with keep="{side}", or without saying which side (`walogs repair --keep {side}`)'
    return Corrupt(f"{source.store.name}: {why}. {move}.", segment=refused, lsn=first_lsn)


def part_with_beginning(source: LogSource, chain: list[Run]) -> tuple[list[Run], bool]:
    """Return the part of the chain that a log can begin with, and whether that must be encoded anew.

    The frames of a segment begin right after its header. So the part begins with the first segment that is whole, and
    such segments stay as they are. If no whole segment has entries, the intact part of one becomes a new segment.
    """
    first = chain[0]
    if first.start == source.format.traits.header_bytes:
        return chain, False
    later = [run for run in chain if run.number != first.number]
    if later and later[0].first_lsn < later[-1].next_lsn:
        return later, False
    return [run for run in chain if run.number == first.number], True


def needs_mending(segment: SegmentSurvey, runs: Sequence[Run]) -> bool:
    """Return whether `open` refuses a completed segment of the chain as it is, although it lacks no entry."""
    has_damaged_range = any(after.start > run.end for run, after in pairwise(runs))
    is_refused_at_end = segment.has_foreign_frame or (segment.is_sealed and segment.damage_at_end is not None)
    return segment.is_reconstructed or has_damaged_range or is_refused_at_end


def needs_new_end(log: DamagedLog, last: SegmentSurvey, runs: Sequence[Run], log_first_lsn: int) -> bool:
    """Return whether the last segment of the chain must be rewritten to be the newest of a log with that first LSN."""
    is_newest, is_whole = last.number == log.numbers[-1], runs[-1] is last.runs[-1] and last.damage_at_end is None
    is_good_end = is_newest and is_whole and not last.is_sealed and last.log_first_lsn == log_first_lsn
    return not is_good_end or needs_mending(last, runs)


def linked_header(log: DamagedLog, number: int) -> SegmentHeader:
    """Return the segment's header. A reconstructed one gets the salt of its predecessor, if that is known."""
    segment, older = log.segments[number], log.segments.get(number - 1)
    if not segment.is_reconstructed:
        return segment.header
    header = segment.header._replace(log_first_lsn=min(segment.header.log_first_lsn, segment.header.first_lsn))
    if older is None or not is_successor(older, segment):
        return header._replace(previous_salt=0)
    return header._replace(previous_salt=older.header.salt)


def entries_dropped_by(log: DamagedLog, kept: Sequence[Run]) -> tuple[tuple[int, int], ...]:
    """Return (first LSN, last LSN) of the entries that are intact and not kept."""
    dropped: list[tuple[int, int]] = []
    places = {(run.number, run.start) for run in kept}
    for run in log.runs:
        if (run.number, run.start) in places or not run.entries:
            continue
        if dropped and dropped[-1][1] == run.first_lsn - 1:
            dropped[-1] = dropped[-1][0], run.next_lsn - 1
        else:
            dropped.append((run.first_lsn, run.next_lsn - 1))
    return tuple(dropped)
