"""What there is to tell of a log: pure data, observed beside its writer or without one, changing nothing (G14).

Sealed segments are known by their headers and SEALs; others are read. What is damage is for `verify` to say: it looks
until it is certain, and what a writer does meanwhile is no finding.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from walogs.engine.beside import believed, look_beside
from walogs.engine.recovery import is_kept, read_witness, synced_by
from walogs.engine.segments import find_seal, scanned, sealed
from walogs.engine.walk import RestScan, SegmentScan
from walogs.errors import Corrupt
from walogs.inspection.intact import base_of
from walogs.inspection.salvage import header_if_intact
from walogs.inspection.verify import verified
from walogs.protocols import is_appendable
from walogs.types import Clean, TailState, TruncatedAt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from walogs.engine.recovery import Verify
    from walogs.engine.segments import CompletedSegment
    from walogs.engine.source import Source
    from walogs.formats.segment_format import SegmentHeader
    from walogs.formats.witness import Witness
    from walogs.types import Finding, Verification

State: TypeAlias = Literal["active", "sealed", "not sealed", "complete", "fence", "below base", "damaged"]
"""complete, fence: of a store whose segments appear whole."""


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """One segment that is there."""

    number: int
    name: str
    size: int
    """Bytes, the window of zeros after the active segment's end included."""
    end: int | None
    """Offset where its intact frames end; None: nothing tells."""
    first_lsn: int | None
    """None: its header is damaged."""
    last_lsn: int | None
    """first_lsn - 1 when it holds no entry; None: nothing tells."""
    created_ns: int | None
    """Unix time, nanoseconds."""
    first_commit_ns: int | None
    last_commit_ns: int | None
    is_sealed: bool
    is_active: bool
    state: State = "sealed"
    frees: int | None = None
    """Bytes that a checkpoint at last_lsn frees: this segment and all before it. None: it is never freed, or nothing
    tells its last entry."""
    is_fence: bool = False
    """An open has made it, it holds no entry, and no checkpoint removes it."""
    damaged_at: tuple[int, ...] = ()
    """Byte offsets where it is damaged, as far as each has one."""


@dataclass(frozen=True, slots=True)
class MissingSegments:
    """Segments that should be there, between two that are or before the oldest."""

    first_number: int
    last_number: int
    first_lsn: int | None
    last_lsn: int | None


@dataclass(frozen=True, slots=True)
class NextOpen:
    """What the next open would find and do, if nobody writes until then."""

    verdict: Literal["clean", "torn", "corrupt"]
    tail_state: TailState
    removed_segments: int
    """Below the base, left by an interrupted checkpoint."""
    unsealed_segments: tuple[int, ...]
    duration_seconds: float
    """That it took to find out."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "tail_state": tail_as_json(self.tail_state)}


def tail_as_json(tail: TailState) -> dict[str, Any]:
    return {"state": type(tail).__name__, **asdict(tail)}


@dataclass(frozen=True, slots=True)
class LogFacts:
    """One log."""

    path: str
    ok: bool
    """Nothing that was checked is damaged."""
    verify: Verify
    """What was checked: every byte, or of sealed segments their headers and SEALs."""
    entries: int
    """That are intact."""
    first_lsn: int
    last_lsn: int
    next_lsn: int | None
    """None: it does not open."""
    size: int
    is_closed: bool | None
    """Its writer has closed it. If not, one has it open, or was killed. None: in its store nobody can tell."""
    recovery: NextOpen
    findings: tuple[Finding, ...]
    segments: tuple[SegmentFacts, ...]
    missing: tuple[MissingSegments, ...]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "recovery": self.recovery.as_json()}

    @property
    def damage(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.is_damage)


class Observed(NamedTuple):
    """The segments as they were at one moment, not judged."""

    base_lsn: int
    bytes_end: int
    """Offset in the newest segment after its last byte that is not zero; 0: only zeros follow its intact frames."""
    is_closed: bool | None
    is_appendable: bool
    segments: tuple[SegmentFacts, ...]
    missing: tuple[MissingSegments, ...]


def facts_of(
    path: str, source: Source, verify: Verify, progress: Callable[[int, int], object] | None = None
) -> LogFacts:
    """Raises `Missing` (no log is there), `Corrupt` (nothing of it is left but its witness), `UnsupportedFormat`,
    `OSError`, `Unavailable`. Any other damage is told in the facts."""
    began = time.monotonic()
    if not source.store.segments():
        look_beside(source, "written")
    observed = believed(source, lambda _: observe(source))
    report = settled(source, verify, progress)
    segments = tuple(judged(observed, report.findings))
    last_lsn = max(observed.base_lsn - 1, *(segment.last_lsn or 0 for segment in segments))
    return LogFacts(
        path=path,
        ok=report.ok,
        verify=verify,
        entries=last_lsn - observed.base_lsn + 1 if report.ok else report.entries,
        first_lsn=observed.base_lsn,
        last_lsn=last_lsn if report.ok else max(last_lsn, report.last_lsn),
        next_lsn=last_lsn + 1 if report.ok else None,
        size=sum(segment.size for segment in segments),
        is_closed=observed.is_closed,
        recovery=next_open(observed, segments, report, time.monotonic() - began),
        findings=report.findings,
        segments=segments,
        missing=() if report.ok else observed.missing,
    )


def settled(source: Source, verify: Verify, progress: Callable[[int, int], object] | None) -> Verification:
    """What verify finds; a torn end only when it is there again: a writer may have been in the middle of a write."""
    report = verified(source, is_full=verify == "full", progress=progress)
    if not any(finding.kind == "torn" for finding in report.findings):
        return report
    again = verified(source, is_full=False).findings
    return replace(report, findings=tuple(found for found in report.findings if found.kind != "torn" or found in again))


# Observing


def observe(source: Source) -> Observed:
    """Raises `Missing` (a checkpoint has overtaken this look), `UnsupportedFormat`, `OSError`."""
    witness = read_witness(source)
    numbers = tuple(source.store.segments())
    headers = {number: header_if_intact(source, number) for number in numbers}
    newest = headers[numbers[-1]]
    segments = [completed(source, number, headers[number], headers.get(number + 1)) for number in numbers[:-1]]
    last, bytes_end = active(source, numbers[-1], newest, witness)
    segments.append(last)
    base_lsn = base_of(source, numbers)
    has_witness = source.format.traits.has_witness and is_appendable(source.store)
    if not is_appendable(source.store):
        fences = {number for number, header in headers.items() if header is not None and is_kept(source, header)}
        segments = [replace(s, is_active=False, is_fence=s.number in fences) for s in segments]
    is_clean = witness is not None and newest is not None and witness.is_clean and synced_by(witness, newest) > 0
    return Observed(
        base_lsn=base_lsn,
        bytes_end=bytes_end,
        is_closed=is_clean if has_witness else None,
        is_appendable=is_appendable(source.store),
        segments=tuple(segments),
        missing=tuple(missing(segments, base_lsn, newest, witness)),
    )


def completed(
    source: Source, number: int, header: SegmentHeader | None, successor: SegmentHeader | None
) -> SegmentFacts:
    """A segment that has a successor, which says where it ends; without either, it is read."""
    size = source.store.size(number)
    if header is None:
        return unknown(source, number, size, None if successor is None else successor.first_lsn - 1)
    seal = find_seal(source, header, size)
    known: CompletedSegment | None = None
    if seal is not None and (successor is None or seal.last_lsn == successor.first_lsn - 1):
        known = sealed(header, seal, size)
    else:
        scan = scan_of(source, header, size)
        known = scanned(scan) if scan is not None else None
    last_lsn = successor.first_lsn - 1 if successor is not None else known.last_lsn if known is not None else None
    return SegmentFacts(
        number=number,
        name=source.store.segment_name(number),
        size=size,
        end=known.end if known is not None else None,
        first_lsn=header.first_lsn,
        last_lsn=last_lsn,
        created_ns=header.created_ns,
        first_commit_ns=known.first_commit_ns if known is not None else None,
        last_commit_ns=known.last_commit_ns if known is not None else None,
        is_sealed=known is not None and known.seal_end > 0,
        is_active=False,
    )


def active(
    source: Source, number: int, header: SegmentHeader | None, witness: Witness | None
) -> tuple[SegmentFacts, int]:
    """(the newest segment, offset after its last byte that is not zero). The witness may know of entries that are not
    there any more."""
    size = source.store.size(number)
    scan = scan_of(source, header, size) if header is not None else None
    if header is None or scan is None:
        return replace(unknown(source, number, size, None), is_active=True), 0
    is_seen = witness is not None and synced_by(witness, header) > 0
    return SegmentFacts(
        number=number,
        name=source.store.segment_name(number),
        size=size,
        end=scan.end,
        first_lsn=header.first_lsn,
        last_lsn=max(scan.last_lsn, witness.last_lsn if witness is not None and is_seen else 0),
        created_ns=header.created_ns,
        first_commit_ns=scan.first_commit_ns,
        last_commit_ns=scan.last_commit_ns if scan.entries else None,
        is_sealed=False,
        is_active=True,
    ), RestScan(source, scan).bytes_end


def unknown(source: Source, number: int, size: int, last_lsn: int | None) -> SegmentFacts:
    """A segment of which only others can tell anything."""
    name = source.store.segment_name(number)
    return SegmentFacts(number, name, size, None, None, last_lsn, None, None, None, is_sealed=False, is_active=False)


def scan_of(source: Source, header: SegmentHeader, size: int) -> SegmentScan | None:
    """None: an intact frame says what no writer says."""
    try:
        return SegmentScan(source, header, size)
    except Corrupt:
        return None


def missing(
    segments: Sequence[SegmentFacts], base_lsn: int, newest: SegmentHeader | None, witness: Witness | None
) -> Iterator[MissingSegments]:
    """Gaps between segments, before the oldest and after the newest. What is below the base is not missing."""
    oldest, last = segments[0], segments[-1]
    if oldest.first_lsn is not None and oldest.first_lsn > base_lsn:
        yield MissingSegments(oldest.number - 1, oldest.number - 1, base_lsn, oldest.first_lsn - 1)
    for before, after in pairwise(segments):
        if after.number > before.number + 1 and (after.first_lsn is None or after.first_lsn > base_lsn):
            first_lsn = before.last_lsn + 1 if before.last_lsn is not None else None
            last_lsn = after.first_lsn - 1 if after.first_lsn is not None else None
            yield MissingSegments(before.number + 1, after.number - 1, first_lsn, last_lsn)
    if witness is not None and newest is not None and witness.log_id == newest.log_id and witness.segment > last.number:
        first_lsn = last.last_lsn + 1 if last.last_lsn is not None else None
        yield MissingSegments(last.number + 1, witness.segment, first_lsn, witness.last_lsn)


# Judging


def judged(observed: Observed, findings: Iterable[Finding]) -> Iterator[SegmentFacts]:
    """Each segment with its state, and what a checkpoint at its last entry frees."""
    damage = [finding for finding in findings if finding.is_damage]
    successors = (*observed.segments[1:], None)
    freed = accumulate(0 if segment.is_fence else segment.size for segment in observed.segments)
    for segment, successor, frees in zip(observed.segments, successors, freed, strict=True):
        here = [finding.offset for finding in damage if finding.segment == segment.number]
        is_free = successor is not None and segment.last_lsn is not None and not segment.is_fence
        yield replace(
            segment,
            state="damaged" if here else state_of(segment, successor, observed),
            frees=frees if is_free else None,
            damaged_at=tuple(sorted({offset for offset in here if offset is not None})),
        )


def state_of(segment: SegmentFacts, successor: SegmentFacts | None, observed: Observed) -> State:
    if segment.is_active:
        return "active"
    if segment.is_fence:
        return "fence"
    if successor is not None and successor.first_lsn is not None and successor.first_lsn <= observed.base_lsn:
        return "below base"
    if not observed.is_appendable:
        return "complete"
    return "sealed" if segment.is_sealed else "not sealed"


def next_open(
    observed: Observed, segments: Sequence[SegmentFacts], report: Verification, duration_seconds: float
) -> NextOpen:
    torn = next((finding for finding in report.findings if finding.kind == "torn"), None)
    tail: TailState = Clean()
    if torn is not None and torn.segment is not None and torn.offset is not None:
        tail = TruncatedAt(torn.segment, torn.offset, max(observed.bytes_end - torn.offset, 0))
    return NextOpen(
        verdict="corrupt" if not report.ok else "torn" if torn is not None else "clean",
        tail_state=tail,
        removed_segments=sum(segment.state == "below base" for segment in segments),
        unsealed_segments=tuple(segment.number for segment in segments if segment.state == "not sealed"),
        duration_seconds=duration_seconds,
    )
