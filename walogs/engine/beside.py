"""How far a log can be read beside its writer, without its lock: an observation, which changes nothing (G14).

The order is the law: the witness first, then the list of segments, then bytes. So whatever the witness testifies is
there to be listed, and a segment that has a successor is durable as a whole.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from walogs.engine.reading import Extent
from walogs.engine.recovery import read_witness, synced_by
from walogs.engine.segments import find_seal
from walogs.engine.verdict import missing_by_witness, unlinked
from walogs.engine.walk import RestScan, SeenRun, SegmentScan, Walk, admissible_base
from walogs.errors import Checkpointed, Corrupt, Missing, Unavailable
from walogs.formats.segment_format import Kind, Stop
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.engine.source import Source
    from walogs.formats.segment_format import SegmentHeader
    from walogs.formats.witness import Witness

T = TypeVar("T")

Upto = Literal["durable", "written"]
"""`durable`: what is known to be synced. `written`: every intact frame."""

SUSPICIONS: Final = (Corrupt, Missing, Checkpointed, OSError)
"""What a writer at work can look like for a moment, and damage too."""
LOOKS_MAX: Final = 100
"""So often at most is looked at what looks different each time."""
WITHOUT_DIGITS: Final = dict.fromkeys(map(ord, "0123456789"))


class Bound(NamedTuple):
    """How far a log could be read, at one moment."""

    base_lsn: int
    numbers: tuple[int, ...]
    """The segments that can be read, ascending and without a gap."""
    newest: SegmentHeader
    end: int
    """Offset in the newest segment: nothing at or after it may be handed out."""
    last_lsn: int
    """The last entry before it; less than newest.first_lsn: the newest segment holds none."""


def look_beside(source: Source, upto: Upto, known: Bound | None = None) -> Bound:
    """Look, from what is *known* on, until it is certain. Raises `Missing` (no log is there), `Corrupt`,
    `UnsupportedFormat`, `OSError`, `Unavailable` (it never looks the same twice)."""
    return believed(source, lambda is_doubted: look_once(source, upto, known, from_start=is_doubted))


def believed(source: Source, look: Callable[[bool], T]) -> T:
    """What *look* finds. A suspicion is raised when looking again, at everything, has found the very same: what a
    writer does under a reader looks different by then, or is over. *look* is told whether there is a doubt."""
    doubt: object = None
    for _ in range(LOOKS_MAX):
        try:
            return look(doubt is not None)
        except SUSPICIONS as suspicion:
            if evidence(suspicion) == doubt:
                raise
            doubt = evidence(suspicion)
    raise never_settled(source)


def never_settled(source: Source) -> Unavailable:
    return Unavailable(f"{source.store.name} never settled: whenever it is looked at, it is different. Try again.")


def evidence(suspicion: Exception) -> object:
    """What must be the same again for it to be believed. In `Corrupt` that is the place and the reason, but for numbers
    in it: how far the segment is known to be synced moves on while others write."""
    if isinstance(suspicion, Corrupt):
        return suspicion.segment, suspicion.offset, suspicion.lsn, str(suspicion).translate(WITHOUT_DIGITS)
    return type(suspicion), str(suspicion)


def look_once(source: Source, upto: Upto, known: Bound | None, *, from_start: bool) -> Bound:
    """One look. *from_start*: believe only what is there, not that what was there still is. Raises SUSPICIONS."""
    witness = read_witness(source)
    numbers = tuple(source.store.segments())
    if not numbers:
        raise none_there(source, witness)
    newest = source.header(numbers[-1])
    if known is not None and known.newest.log_id != newest.log_id:
        known = None
    end, last_lsn = bound_of(source, newest, witness, upto, known, from_start=from_start)
    why = missing_by_witness(witness, newest, last_lsn)
    if why is not None:
        raise source.corrupt(why, None, None, last_lsn + 1)
    return with_base(source, numbers, newest, end, last_lsn, known, from_start=from_start)


def none_there(source: Source, witness: Witness | None) -> Exception:
    why = missing_by_witness(witness, None, 0)
    if why is not None:
        return source.corrupt(why)
    return Missing(f"{source.store.name} holds no log: nothing was ever appended there. Is that the right place?")


def bound_of(
    source: Source,
    newest: SegmentHeader,
    witness: Witness | None,
    upto: Upto,
    known: Bound | None,
    *,
    from_start: bool,
) -> tuple[int, int]:
    """(offset, last LSN before it) up to which the newest segment may be read. A bound never falls, unless the frames
    below it are no longer there. Raises `Corrupt`: less is there than is known to have been synced."""
    size = source.store.size(newest.number)
    start, last_lsn = source.format.traits.header_bytes, newest.first_lsn - 1
    kept = known if known is not None and known.newest == newest else None
    synced = max(synced_by(witness, newest), start)
    if not from_start:
        if kept is not None and (witness is None or synced >= kept.end):
            start, last_lsn = kept.end, kept.last_lsn
        if witness is not None and start < synced <= size:
            start, last_lsn = synced, witness.last_lsn
    seen = walked(source, newest, start, size, last_lsn)
    testified = max(synced, seen.named)
    if known is None or from_start:
        named = named_after(source, newest, seen.end, size)
        if named > seen.end:  # a testimony comes before the bytes that it is of: those are read again
            size = source.store.size(newest.number)
            seen = walked(source, newest, start, size, last_lsn)
        testified = max(testified, named)
    refuse_less_than_was_synced(source, newest, seen, testified, size)
    vouched = max(testified, kept.end if kept is not None else 0)
    if upto == "durable" and is_appendable(source.store) and vouched < seen.end:
        seen = walked(source, newest, start, max(vouched, start), last_lsn)
    return seen.end, seen.last_lsn


class Walked(NamedTuple):
    """What intact frames from some place on have said."""

    end: int
    last_lsn: int
    named: int
    """The highest offset that one of them names as synced."""
    base_lsn: int
    """The largest base in a CHECKPOINT."""
    stop: Stop


def walked(source: Source, segment: SegmentHeader, start: int, limit: int, last_lsn: int) -> Walked:
    named = base_lsn = 0
    walk = Walk(source, segment, start, limit, last_lsn + 1)
    for seen in walk.runs():
        if isinstance(seen, SeenRun):
            named = max(named, seen.intact.synced)
        else:
            named = max(named, seen.header.synced)
            if seen.header.kind == Kind.CHECKPOINT.value:
                base_lsn = max(base_lsn, admissible_base(source, segment, seen.header))
    return Walked(walk.offset, walk.expected_lsn - 1, named, base_lsn, walk.stop)


def named_after(source: Source, segment: SegmentHeader, end: int, size: int) -> int:
    """The highest offset that a frame after the intact ones names as synced: most often zeros are there."""
    if not source.store.read(segment.number, end, min(size, end + 64)).strip(b"\0"):
        return 0
    scan = SegmentScan(source, segment, size)
    return RestScan(source, scan).synced if scan.end == end else 0


def refuse_less_than_was_synced(source: Source, newest: SegmentHeader, seen: Walked, testified: int, size: int) -> None:
    """What open would refuse too: a reader that stopped there in silence would hide that entries are gone (G6)."""
    why = ""
    if testified > seen.end:
        why = f"{seen.stop.value}; it was synced up to byte {testified}"
    elif seen.stop is Stop.SEAL:
        if max(source.store.segments(), default=0) != newest.number:
            raise Missing(f"{source.store.segment_name(newest.number)} is not the newest segment any more: look again")
        why = f"it is sealed, so segment {newest.number + 1} was there and is gone"
    elif not is_appendable(source.store):
        is_empty = seen.last_lsn < newest.first_lsn and not (newest.is_fence or newest.is_base)
        if is_empty or seen.end < size:
            why = seen.stop.value
    if why:
        raise source.corrupt(why, newest.number, seen.end, seen.last_lsn + 1)


def with_base(
    source: Source,
    numbers: tuple[int, ...],
    newest: SegmentHeader,
    end: int,
    last_lsn: int,
    known: Bound | None,
    *,
    from_start: bool,
) -> Bound:
    """The segments that follow each other without a gap up to the newest, and the base that accounts for the others.
    Raises `Corrupt`: a segment above the base is missing."""
    gap = max((at for at, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1), default=0)
    oldest = numbers[gap]
    first_lsn = (source.header(oldest) if oldest != newest.number else newest).first_lsn
    base_lsn = max(newest.base_lsn, known.base_lsn if known is not None else 1)
    if known is not None and known.newest == newest and first_lsn > base_lsn and not from_start:
        size = source.store.size(newest.number)
        base_lsn = max(base_lsn, walked(source, newest, known.end, size, known.last_lsn).base_lsn)
    if first_lsn > base_lsn or from_start:
        base_lsn = max(base_lsn, carried_base(source, newest))
    if first_lsn > base_lsn:
        why = f"entries {base_lsn} to {first_lsn - 1} are gone: {source.store.segment_name(oldest - 1)} is missing"
        raise source.corrupt(why, None, None, base_lsn)
    return Bound(base_lsn, numbers[gap:], newest, end, last_lsn)


def carried_base(source: Source, newest: SegmentHeader) -> int:
    """The largest base in the newest segment, in a CHECKPOINT after its intact frames too."""
    scan = SegmentScan(source, newest, source.store.size(newest.number))
    return max(scan.base_lsn, RestScan(source, scan).base_lsn)


def completed_extent(source: Source, header: SegmentHeader, successor: SegmentHeader) -> Extent:
    """A segment that has a successor is durable as a whole, up to where that begins. Raises `Corrupt`, `Missing`."""
    why = unlinked(header, successor)
    if why is not None:
        raise source.corrupt(why, header.number, 0, header.first_lsn)
    size, last_lsn = source.store.size(header.number), successor.first_lsn - 1
    if source.format.traits.has_seal and is_appendable(source.store):
        seal = find_seal(source, header, size)
        if seal is not None and seal.last_lsn == last_lsn:
            return Extent(header, last_lsn, seal.offset, seal.end, None)
    return Extent(header, last_lsn, size, 0, None)


# Whether what was handed out is still there


class Mark(NamedTuple):
    """The highest entry that was read to be handed out, and where it was."""

    lsn: int
    segment: SegmentHeader
    beginning: bytes


def beginning_of(source: Source, segment: SegmentHeader) -> bytes:
    """The header of its first frame, which has a time. A segment that was cut down to its own header may be taken up
    again (G8), and holds other entries then."""
    start = source.format.traits.header_bytes
    return source.store.read(segment.number, start, start + source.format.frame_bytes(0, 0))


def last_kept(source: Source, bound: Bound, mark: Mark) -> int:
    """The last entry up to *mark* that is still there as it was, or that was checkpointed since. Raises SUSPICIONS."""
    number, newest = mark.segment.number, bound.newest
    if mark.segment.log_id != newest.log_id:
        return 0
    if mark.lsn < bound.base_lsn:
        return mark.lsn
    if number < bound.numbers[0]:
        return min(mark.lsn, bound.base_lsn - 1)
    if number > newest.number:
        return min(mark.lsn, bound.last_lsn, last_before_epoch(source, bound, mark.segment.epoch + 1))
    header = newest if number == newest.number else source.header(number)
    is_same = (header.salt, header.first_lsn) == (mark.segment.salt, mark.segment.first_lsn)  # a repair moves the base
    if not is_same or beginning_of(source, header) != mark.beginning:
        return min(mark.lsn, header.first_lsn - 1, last_before_epoch(source, bound, mark.segment.epoch + 1))
    return min(mark.lsn, bound.last_lsn if header is newest else source.header(number + 1).first_lsn - 1)


def last_before_epoch(source: Source, bound: Bound, epoch: int) -> int:
    """The last entry of a segment that is older than *epoch*. What a repair has removed comes again with other entries,
    under the same numbers or none yet; all that was made since has a later epoch."""
    at = bisect_left(bound.numbers, epoch, key=lambda number: source.header(number).epoch)
    return source.header(bound.numbers[at]).first_lsn - 1 if at < len(bound.numbers) else bound.last_lsn


def mark_at(source: Source, bound: Bound, lsn: int, mark: Mark) -> Mark | None:
    """The same for an entry that was kept when *mark* was cut. None: it was checkpointed. Raises SUSPICIONS."""
    if lsn < bound.base_lsn:
        return None
    if mark.segment.first_lsn <= lsn:
        return mark._replace(lsn=lsn)
    at = bisect_right(bound.numbers, lsn, key=lambda number: source.header(number).first_lsn) - 1
    segment = source.header(bound.numbers[max(at, 0)])
    return Mark(lsn, segment, beginning_of(source, segment))
