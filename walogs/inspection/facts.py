"""What `walogs info` shows of a log, as data.

It takes no lock and changes nothing, beside a writer or without one (G14).

A sealed segment is known by its header and its SEAL; the others are read. `verify` decides what is damage: it observes
the log until it is certain, so what a writer does meanwhile is no finding.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from walogs.defaults.local_store import LocalStore
from walogs.engine.ending import synced_by
from walogs.engine.exchanged_names import renumber_by_headers
from walogs.engine.observation import look_with_retry, observe
from walogs.engine.recovery import is_kept
from walogs.engine.segment_scan import SegmentScan, TailScan
from walogs.engine.segments import accepted_seal, completed_by_scan, completed_by_seal, find_seal
from walogs.engine.whole_segments import read_ahead
from walogs.errors import Corrupt, UnsupportedFormat
from walogs.formats import cursor as cursor_bytes
from walogs.formats.segment_format import Malformed
from walogs.inspection.lock import lock_holders
from walogs.inspection.survey import Survey
from walogs.inspection.verify import verify_source
from walogs.protocols import is_appendable
from walogs.protocols.cursor_store import CursorStore
from walogs.types import Clean, TailState, TruncatedAt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from walogs.engine.log_source import LogSource
    from walogs.engine.recovery import Verify
    from walogs.engine.segments import CompletedSegment
    from walogs.formats.segment_format import SegmentHeader
    from walogs.types import Finding, Verification

State: TypeAlias = Literal["active", "sealed", "not sealed", "complete", "fence", "leftover", "damaged"]
"""`complete` and `fence` are states of segments in a store whose segments appear whole."""


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """One segment that is there."""

    number: int
    name: str
    size: int
    """Bytes. For the active segment, with the zeros that are allocated after its end."""
    end: int | None
    """Offset where its intact frames end; None: not known."""
    first_lsn: int | None
    """None: its header is damaged."""
    last_lsn: int | None
    """first_lsn - 1 when it holds no entry; None: not known."""
    created_ns: int | None
    """Unix time, nanoseconds."""
    first_commit_ns: int | None
    last_commit_ns: int | None
    is_sealed: bool
    is_active: bool
    state: State = "sealed"
    frees: int | None = None
    """Bytes that a checkpoint at last_lsn frees: this segment and all before it. None: a checkpoint never frees it, or
    its last entry is not known."""
    is_fence: bool = False
    """It was made by an open, holds no entry, and is never removed by a checkpoint."""
    damaged_at: tuple[int, ...] = ()
    """Byte offsets where it is damaged, as far as each has one."""


@dataclass(frozen=True, slots=True)
class MissingSegments:
    """Segments that should be there, between two others, before the oldest or after the newest."""

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
    """How many segments an interrupted checkpoint left below the log's first entry."""
    unsealed_segments: tuple[int, ...]
    duration_seconds: float
    """How long it took to find out."""

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
    """What was checked: `full` every byte, `last` only the headers and the SEALs of sealed segments."""
    entries: int
    """How many entries are intact."""
    first_lsn: int
    last_lsn: int
    next_lsn: int | None
    """None: the log does not open."""
    size: int
    """Bytes of all segments."""
    is_closed: bool | None
    """Whether its writer has closed it. If not, a writer has it open, or was killed. None: the store cannot tell."""
    recovery: NextOpen
    findings: tuple[Finding, ...]
    segments: tuple[SegmentFacts, ...]
    missing: tuple[MissingSegments, ...]
    writers: tuple[int, ...] | None = None
    """Process ids that the kernel names as holders of the log's lock; None: not known."""
    cursors: Mapping[str, int | None] = field(default_factory=dict)
    """The position of each cursor, by its name. None: its value is damaged."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "recovery": self.recovery.as_json()}

    @property
    def damage(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.is_damage)


@dataclass(frozen=True, slots=True)
class ObservedSegments:
    """The segments as they were at one moment. Nothing is judged yet."""

    log_first_lsn: int
    bytes_end: int
    """Offset in the newest segment after its last byte that is not zero; 0: only zeros follow its intact frames."""
    is_closed: bool | None
    is_appendable: bool
    segments: tuple[SegmentFacts, ...]
    missing: tuple[MissingSegments, ...]


def observe_facts(
    path: str, source: LogSource, verify: Verify, progress: Callable[[int, int], object] | None = None
) -> LogFacts:
    """Return the facts of the log. Damage is part of them, and not raised.

    Raises `LogNotFound` (no log is there), `Corrupt` (nothing is left but the durable mark), `UnsupportedFormat`,
    `OSError`, and `Unavailable` (a busy writer).
    """
    began = time.monotonic()
    if not source.store.segments():
        observe(source, "written")
    observed = look_with_retry(source, lambda _: observe_segments(source))
    report = verify_twice_if_torn(source, verify, progress)
    if not report.ok:  # show the files that verify has read, from the LSN at which it lets the log begin
        renumbered, _ = renumber_by_headers(source)
        observed = look_with_retry(renumbered, lambda _: observe_segments(renumbered, report.first_lsn))
    segments = tuple(judge(observed, report.findings))
    last_lsn = max(observed.log_first_lsn - 1, *(segment.last_lsn or 0 for segment in segments))
    return LogFacts(
        path=path,
        ok=report.ok,
        verify=verify,
        entries=last_lsn - observed.log_first_lsn + 1 if report.ok else report.entries,
        first_lsn=observed.log_first_lsn,
        last_lsn=last_lsn if report.ok else report.last_lsn,
        next_lsn=last_lsn + 1 if report.ok else None,
        size=sum(segment.size for segment in segments),
        is_closed=observed.is_closed,
        recovery=next_open(observed, segments, report, time.monotonic() - began),
        findings=report.findings,
        segments=segments,
        missing=() if report.ok else observed.missing,
        writers=lock_holders(source.store.path) if isinstance(source.store, LocalStore) else None,
        cursors=positions(source),
    )


def positions(source: LogSource) -> dict[str, int | None]:
    """Return the position of each cursor, by its name. None: its value is damaged, or of a later release."""
    store = source.store
    found: dict[str, int | None] = {}
    if not isinstance(store, CursorStore):
        return found
    for name in store.cursors():
        data = store.read_cursor(name)
        if data is not None:
            found[name] = None
            with suppress(Malformed, UnsupportedFormat):
                found[name] = cursor_bytes.decode(data).lsn
    return found


def verify_twice_if_torn(
    source: LogSource, verify: Verify, progress: Callable[[int, int], object] | None
) -> Verification:
    """Verify the log. Report a torn end only if it is there twice: a writer may have been in the middle of a write."""
    report = verify_source(source, is_full=verify == "full", progress=progress)
    if not any(finding.kind == "torn" for finding in report.findings):
        return report
    again = verify_source(source, is_full=False).findings
    return replace(report, findings=tuple(found for found in report.findings if found.kind != "torn" or found in again))


# Observing


def observe_segments(source: LogSource, log_first_lsn: int | None = None) -> ObservedSegments:
    """Return what is there. *log_first_lsn* is where the log begins; None: find it out.

    Raises `SegmentNotFound` (a checkpoint has removed a segment meanwhile), `UnsupportedFormat`, `OSError`.
    """
    survey = Survey(source)
    numbers, headers, mark = survey.numbers, survey.intact_headers, survey.durable_mark
    newest, has_mark = headers.get(numbers[-1]), is_appendable(source.store)
    ahead = read_ahead(source, numbers)
    segments = [completed_facts(ahead, n, headers.get(n), headers.get(n + 1)) for n in numbers[:-1]]
    is_marked = mark is not None and newest is not None and synced_by(mark, newest) > 0
    last, bytes_end = active_facts(ahead, numbers[-1], newest, mark.last_lsn if mark is not None and is_marked else 0)
    segments.append(last)
    log_first_lsn = survey.first_lsn() if log_first_lsn is None else log_first_lsn
    if not has_mark:
        fences = {number for number, header in headers.items() if is_kept(source, header)}
        segments = [replace(s, is_active=False, is_fence=s.number in fences) for s in segments]
    return ObservedSegments(
        log_first_lsn=log_first_lsn,
        bytes_end=bytes_end,
        is_closed=(mark is not None and mark.is_clean and is_marked) if has_mark else None,
        is_appendable=has_mark,
        segments=tuple(segments),
        missing=tuple(missing_segments(segments, log_first_lsn, survey, newest)),
    )


def completed_facts(
    source: LogSource, number: int, header: SegmentHeader | None, successor: SegmentHeader | None
) -> SegmentFacts:
    """Return the facts of a segment that has a successor. The SEAL or the frames say where it ends."""
    size = source.store.size(number)
    last_lsn = None if successor is None else successor.first_lsn - 1
    if header is None:
        return facts_without_header(source, number, size, last_lsn)
    seal = accepted_seal(source, header, successor, size) if successor else find_seal(source, header, size)
    scan = scan_segment(source, header, size) if seal is None else None
    known: CompletedSegment | None = None
    if seal is not None:
        known = completed_by_seal(header, seal, size)
    elif scan is not None:
        known = completed_by_scan(scan)
    if last_lsn is None and known is not None:
        last_lsn = known.last_lsn
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


def active_facts(
    source: LogSource, number: int, header: SegmentHeader | None, marked_lsn: int
) -> tuple[SegmentFacts, int]:
    """Return the facts of the newest segment, and the offset after its last byte that is not zero.

    *marked_lsn* is the last entry of the segment that the durable mark names: it may not be there any more.
    """
    size = source.store.size(number)
    scan = scan_segment(source, header, size) if header is not None else None
    if header is None or scan is None:
        return replace(facts_without_header(source, number, size, None), is_active=True), 0
    return SegmentFacts(
        number=number,
        name=source.store.segment_name(number),
        size=size,
        end=scan.end,
        first_lsn=header.first_lsn,
        last_lsn=max(scan.last_lsn, marked_lsn),
        created_ns=header.created_ns,
        first_commit_ns=scan.first_commit_ns,
        last_commit_ns=scan.last_commit_ns if scan.entries else None,
        is_sealed=False,
        is_active=True,
    ), TailScan(source, header, scan.end, scan.size).bytes_end


def facts_without_header(source: LogSource, number: int, size: int, last_lsn: int | None) -> SegmentFacts:
    """Return what the directory and the next segment tell of a segment."""
    return SegmentFacts(
        number=number,
        name=source.store.segment_name(number),
        size=size,
        end=None,
        first_lsn=None,
        last_lsn=last_lsn,
        created_ns=None,
        first_commit_ns=None,
        last_commit_ns=None,
        is_sealed=False,
        is_active=False,
    )


def scan_segment(source: LogSource, header: SegmentHeader, size: int) -> SegmentScan | None:
    """Read the segment. Return None if an intact frame says what no writer writes."""
    try:
        return SegmentScan(source, header, size)
    except Corrupt:
        return None


def missing_segments(
    segments: Sequence[SegmentFacts], log_first_lsn: int, survey: Survey, newest: SegmentHeader | None
) -> Iterator[MissingSegments]:
    """Yield what is missing between segments, before the oldest and after the newest, at or above *log_first_lsn*."""
    oldest, last, mark = segments[0], segments[-1], survey.durable_mark
    if oldest.first_lsn is not None and oldest.first_lsn > log_first_lsn:
        yield MissingSegments(
            first_number=oldest.number - 1,
            last_number=oldest.number - 1,
            first_lsn=log_first_lsn,
            last_lsn=oldest.first_lsn - 1,
        )
    for before, after in pairwise(segments):
        if after.number > before.number + 1 and (after.first_lsn is None or after.first_lsn > log_first_lsn):
            last_lsn = after.first_lsn - 1 if after.first_lsn is not None else None
            yield MissingSegments(
                first_number=before.number + 1,
                last_number=after.number - 1,
                first_lsn=lsn_after(before),
                last_lsn=last_lsn,
            )
    if mark is not None and newest is not None and mark.log_id == newest.log_id and mark.segment > last.number:
        yield MissingSegments(
            first_number=last.number + 1,
            last_number=mark.segment,
            first_lsn=lsn_after(last),
            last_lsn=mark.last_lsn,
        )


def lsn_after(segment: SegmentFacts) -> int | None:
    return segment.last_lsn + 1 if segment.last_lsn is not None else None


# Judging


def judge(observed: ObservedSegments, findings: Iterable[Finding]) -> Iterator[SegmentFacts]:
    """Yield each segment with its state, and with the bytes that a checkpoint at its last entry frees."""
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


def state_of(segment: SegmentFacts, successor: SegmentFacts | None, observed: ObservedSegments) -> State:
    if segment.is_active:
        return "active"
    if segment.is_fence:
        return "fence"
    if successor is not None and successor.first_lsn is not None and successor.first_lsn <= observed.log_first_lsn:
        return "leftover"
    if not observed.is_appendable:
        return "complete"
    return "sealed" if segment.is_sealed else "not sealed"


def next_open(
    observed: ObservedSegments, segments: Sequence[SegmentFacts], report: Verification, duration_seconds: float
) -> NextOpen:
    torn = next((finding for finding in report.findings if finding.kind == "torn"), None)
    tail: TailState = Clean()
    if torn is not None and torn.segment is not None and torn.offset is not None:
        tail = TruncatedAt(torn.segment, torn.offset, max(observed.bytes_end - torn.offset, 0))
    return NextOpen(
        verdict="corrupt" if not report.ok else "torn" if torn is not None else "clean",
        tail_state=tail,
        removed_segments=sum(segment.state == "leftover" for segment in segments),
        unsealed_segments=tuple(segment.number for segment in segments if segment.state == "not sealed"),
        duration_seconds=duration_seconds,
    )
