"""How far a log can be read beside its writer, without its lock: an observation, which changes nothing (G14).

The order is the law: the witness first, then the list of segments, then bytes. So whatever the witness testifies is
there to be listed, and a segment that has a successor is durable as a whole.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from walogs.engine.reading import Extent
from walogs.engine.recovery import read_witness, synced_by
from walogs.engine.segments import find_seal
from walogs.engine.verdict import missing_by_witness, unlinked
from walogs.engine.walk import RestScan, SeenRun, SegmentScan, Walk
from walogs.errors import Missing, Unavailable
from walogs.formats.segment_format import Stop
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from walogs.engine.source import Source
    from walogs.formats.segment_format import SegmentHeader
    from walogs.formats.witness import Witness

Upto = Literal["durable", "written"]
"""`durable`: what is known to be synced. `written`: every intact frame."""

LOOKS_MAX: Final = 100
"""A checkpoint may remove what is being looked at; so often at most is looked again."""


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
    """Look once, from what is *known* on. Raises `Missing` (no log is there), `UnsupportedFormat`, `OSError` and
    `Corrupt`, which is a suspicion until a second look has found the same."""
    for _ in range(LOOKS_MAX):
        witness = read_witness(source)
        numbers = tuple(source.store.segments())
        if not numbers:
            why = missing_by_witness(witness, None, 0)
            if why is not None:
                raise source.corrupt(why)
            raise Missing(
                f"{source.store.name} holds no log: nothing was ever appended there. Is that the right place?"
            )
        try:
            newest = source.header(numbers[-1])
            end, last_lsn = bound_of(source, newest, witness, upto, known)
            why = missing_by_witness(witness, newest, last_lsn)
            if why is not None:
                raise source.corrupt(why, None, None, last_lsn + 1)
            return with_base(source, numbers, newest, end, last_lsn, known)
        except Missing:
            continue
    raise Unavailable(f"{source.store.name} never settled: its segments keep being removed. Nothing was handed out.")


def bound_of(
    source: Source, newest: SegmentHeader, witness: Witness | None, upto: Upto, known: Bound | None
) -> tuple[int, int]:
    """(offset, last LSN before it) up to which the newest segment may be read. A bound never falls, unless the frames
    below it are no longer there. Raises `Corrupt`: less is there than is known to have been synced."""
    size = source.store.size(newest.number)
    start, last_lsn = source.format.traits.header_bytes, newest.first_lsn - 1
    kept = known if known is not None and known.newest == newest else None
    synced = max(synced_by(witness, newest), start)
    if kept is not None and (witness is None or synced >= kept.end):
        start, last_lsn = kept.end, kept.last_lsn
    if witness is not None and start < synced <= size:
        start, last_lsn = synced, witness.last_lsn
    seen = walked(source, newest, start, size, last_lsn)
    testified = max(synced, seen.named)
    if known is None:
        testified = max(testified, named_after(source, newest, seen.end, size))
    if testified > seen.end:
        raise source.corrupt(
            f"{seen.why}; it was synced up to byte {testified}", newest.number, seen.end, seen.last_lsn + 1
        )
    if seen.why == Stop.SEAL.value:
        if source.store.segments()[-1:] != [newest.number]:
            raise Missing(f"{source.store.segment_name(newest.number)} is not the newest any more")
        why = f"it is sealed, so segment {newest.number + 1} was there and is gone"
        raise source.corrupt(why, newest.number, seen.end, seen.last_lsn + 1)
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
    why: str
    """Why they ended."""


def walked(source: Source, segment: SegmentHeader, start: int, limit: int, last_lsn: int) -> Walked:
    named = 0
    walk = Walk(source, segment, start, limit, last_lsn + 1)
    for seen in walk.runs():
        named = max(named, seen.intact.synced if isinstance(seen, SeenRun) else seen.header.synced)
    return Walked(walk.offset, walk.expected_lsn - 1, named, walk.stop.value)


def named_after(source: Source, segment: SegmentHeader, end: int, size: int) -> int:
    """The highest offset that a frame after the intact ones names as synced: most often zeros are there."""
    if not source.store.read(segment.number, end, min(size, end + 64)).strip(b"\0"):
        return 0
    scan = SegmentScan(source, segment, size)
    return RestScan(source, scan).synced if scan.end == end else 0


def with_base(
    source: Source, numbers: tuple[int, ...], newest: SegmentHeader, end: int, last_lsn: int, known: Bound | None
) -> Bound:
    """The segments that follow each other without a gap up to the newest, and the base that accounts for the others.
    Raises `Corrupt`: a segment above the base is missing."""
    gap = max((at for at, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1), default=0)
    oldest = numbers[gap]
    first_lsn = (source.header(oldest) if oldest != newest.number else newest).first_lsn
    base_lsn = max(newest.base_lsn, known.base_lsn if known is not None else 1)
    if first_lsn > base_lsn:
        base_lsn = max(base_lsn, carried_base(source, newest))
    if first_lsn > base_lsn:
        why = f"entries {base_lsn} to {first_lsn - 1} are gone: {source.store.segment_name(oldest - 1)} is missing"
        raise source.corrupt(why, None, None, base_lsn)
    return Bound(base_lsn, numbers[gap:], newest, end, last_lsn)


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


def carried_base(source: Source, newest: SegmentHeader) -> int:
    """The largest base in the newest segment, in a CHECKPOINT after its intact frames too."""
    scan = SegmentScan(source, newest, source.store.size(newest.number))
    return max(scan.base_lsn, RestScan(source, scan).base_lsn)
