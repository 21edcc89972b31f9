"""What a log holds, judged: everything that open does before it changes a byte, for both shapes of store.

Read downward: `look` refuses what can be refused without a trace; `examine` reads, checks and judges. What is then
made durable, or fenced, is for the writer of that shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from walogs.engine.segments import CompletedSegment, find_seal, read_seal, scanned, sealed
from walogs.engine.verdict import (
    VERDICTS,
    Rest,
    Shape,
    Testimony,
    Verdict,
    missing_by_witness,
    testimony,
    unlinked,
    unlinked_end,
)
from walogs.engine.walk import CHUNK_BYTES, RestScan, SeenRun, SegmentScan, Walk
from walogs.errors import Missing
from walogs.formats import witness as witness_bytes
from walogs.formats.crc32 import crc32
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from walogs.engine.source import Source
    from walogs.formats.segment_format import Seal, SegmentHeader
    from walogs.formats.witness import Witness

Verify = Literal["full", "last"]
Mode = Literal["acked", "prefix"]


class Examined(NamedTuple):
    """What is there, judged and found good enough to open. Nothing was changed to learn it."""

    newest: SegmentScan
    completed: tuple[CompletedSegment, ...]
    """The older segments kept, ascending."""
    below_base: tuple[int, ...]
    """Numbers of the segments that an interrupted checkpoint left."""
    base_lsn: int
    rescued_base: bool
    """The base is only in a CHECKPOINT after the newest segment's intact frames: cutting those would drop it."""
    synced: int
    """The highest offset of the newest segment that is known to be synced: W."""
    bytes_end: int
    """Offset after its last byte that is not zero; 0: only zeros follow the intact frames."""
    verdict: Literal["clean", "torn", "prefix"]
    is_clean_close: bool
    """The witness says that the log was closed, and names exactly the end that is there."""
    claims_clean_close: bool
    """A witness says so, whatever is there: it must be taken back, durably, before anything is written (G8)."""


def look(source: Source) -> SegmentHeader | None:
    """Refuse, without leaving a trace, what is not a log of ours; the newest header. A writer may be at work beside
    this."""
    for number in source.store.segments()[-1:]:
        try:
            return source.header(number)
        except Missing:  # checkpointed since it was listed; what is there then is looked at under the lock
            return None
    return None


def examine(source: Source, verify: Verify, mode: Mode, before: Examined | None = None) -> Examined | None:
    """Read and judge everything above the base; None: there is no segment. *before*: what this open has found
    already; of that nothing but the newest is read again. Raises `Corrupt`, `UnsupportedFormat`, `OSError` (reading
    failed: never taken for damage), `Missing` (a store that fences: look again)."""
    numbers = source.store.segments()
    witness = read_witness(source)
    if not numbers:
        why = missing_by_witness(witness, None, 0)
        if why is not None:
            raise source.corrupt(f"{why}. If the log was removed on purpose, remove its DURABLE file as well")
        return None
    header = source.header(numbers[-1])
    newest = SegmentScan(source, header, source.store.size(header.number))
    rest = RestScan(source, newest)
    synced = max(newest.synced, rest.synced, synced_by(witness, header))
    verdict = judge_newest(source, newest, rest, synced, mode)
    why = None if verdict == "prefix" else missing_by_witness(witness, header, newest.last_lsn)
    if why is not None:
        move = "A copy of a live log can be so: `walogs repair` accepts what it lacks"
        raise source.corrupt(f"{why}. {move}", header.number, newest.end, newest.last_lsn + 1)
    base = max(newest.base_lsn, rest.base_lsn)
    completed, below = examine_older(source, numbers, header, base, verify, before)
    return Examined(
        newest=newest,
        completed=tuple(completed),
        below_base=tuple(below),
        base_lsn=base,
        rescued_base=rest.base_lsn > newest.base_lsn,
        synced=min(synced, newest.end),
        bytes_end=rest.bytes_end,
        verdict=verdict,
        is_clean_close=is_clean_close(witness, newest, rest, verdict),
        claims_clean_close=witness is not None and witness.is_clean,
    )


def read_witness(source: Source) -> Witness | None:
    store = source.store
    if not (source.format.traits.has_witness and is_appendable(store)):
        return None
    return witness_bytes.decode(store.read_witness())


def synced_by(witness: Witness | None, newest: SegmentHeader) -> int:
    """The offset of the newest segment that the witness says was synced; 0: it says nothing of that segment."""
    if witness is None or (witness.log_id, witness.segment, witness.salt) != (
        newest.log_id,
        newest.number,
        newest.salt,
    ):
        return 0
    return witness.synced


def is_clean_close(witness: Witness | None, newest: SegmentScan, rest: RestScan, verdict: str) -> bool:
    return (
        witness is not None
        and witness.is_clean
        and verdict == "clean"
        and not rest.bytes_end
        and synced_by(witness, newest.header) == newest.end <= newest.size
    )


def judge_newest(
    source: Source, newest: SegmentScan, rest: RestScan, synced: int, mode: Mode
) -> Literal["clean", "torn", "prefix"]:
    """The verdict on what follows the newest segment's intact frames; raises `Corrupt` when that is the verdict."""
    shape = Shape.MAY_TEAR if source.store.capabilities.torn_tail else Shape.WHOLE
    told = testimony(newest.end, synced, rest.is_sealed)
    verdict = VERDICTS[shape, Rest.BYTES if rest.bytes_end else Rest.ZEROS, told]
    if shape is Shape.WHOLE and not newest.frames and not (newest.header.is_fence or newest.header.is_base):
        verdict = Verdict.CORRUPT
    if verdict is Verdict.CLEAN:
        return "clean"
    if verdict is Verdict.TORN:
        return "torn"
    if mode == "prefix" and told is Testimony.SYNCED_BEYOND and shape is Shape.MAY_TEAR:
        return "prefix"
    number, lsn = newest.header.number, newest.last_lsn + 1
    if told is Testimony.SEALED:
        raise source.corrupt(f"it is sealed, so segment {number + 1} was there and is gone", number, newest.end, lsn)
    known = f"; it was synced up to byte {synced}" if told is Testimony.SYNCED_BEYOND else ""
    can_be_cut = told is Testimony.SYNCED_BEYOND and shape is Shape.MAY_TEAR
    raise source.corrupt(f"{newest.stop.value}{known}", number, newest.end, lsn, can_be_cut=can_be_cut)


def examine_older(
    source: Source,
    numbers: Sequence[int],
    newest: SegmentHeader,
    base_lsn: int,
    verify: Verify,
    before: Examined | None,
) -> tuple[list[CompletedSegment], list[int]]:
    """(the completed segments above the base, ascending; the numbers wholly below it, which are not judged)."""
    kept: list[CompletedSegment] = []
    successor = newest
    remaining = list(numbers[:-1])
    while successor.first_lsn > base_lsn:
        if before is not None and successor == before.newest.header:
            known = [segment for segment in before.completed if segment.last_lsn >= base_lsn]
            below = len(remaining) - len(known)
            if [segment.header.number for segment in known] == remaining[below:]:
                return known + kept[::-1], remaining[:below]
        if not remaining or remaining[-1] != successor.number - 1:
            raise gone(source, successor, base_lsn, remaining)
        header = source.header(remaining.pop())
        why = unlinked(header, successor)
        if why is not None:
            raise source.corrupt(why, header.number, 0, header.first_lsn)
        kept.append(examine_completed(source, header, successor, verify))
        successor = header
    return kept[::-1], remaining


def is_kept(source: Source, header: SegmentHeader) -> bool:
    """Whether the segment is one that no checkpoint removes: a slow opener may still put its FENCE at a number that a
    removal has freed, and then there would be two histories."""
    return header.is_fence and source.store.capabilities.numbers_reused


def is_kept_fence(source: Source, number: int) -> bool:
    """`is_kept`, of a segment whose header nobody has read yet."""
    if is_appendable(source.store) or not source.store.capabilities.numbers_reused:
        return False
    try:
        return is_kept(source, source.header(number))
    except Missing:
        return True


def gone(source: Source, successor: SegmentHeader, base_lsn: int, remaining: Sequence[int]) -> Exception:
    name = source.store.segment_name(successor.number - 1)
    have = f"the segment before it that is there is {remaining[-1]}" if remaining else "no older segment is there"
    why = f"{name} is missing: the log's base is entry {base_lsn}, segment {successor.number} begins at"
    return source.corrupt(f"{why} {successor.first_lsn}, and {have}", successor.number - 1, None, base_lsn)


def examine_completed(
    source: Source, header: SegmentHeader, successor: SegmentHeader, verify: Verify
) -> CompletedSegment:
    """A segment that has a successor, which testifies what must be in it. Raises `Corrupt` when it is not."""
    size = source.store.size(header.number)
    if source.format.traits.has_seal and is_appendable(source.store):
        seal = find_seal(source, header, size)
        if seal is not None and seal.last_lsn == successor.first_lsn - 1:
            if verify == "full":
                check_runs(source, header, seal)
                check_last_frame(source, header, seal, successor)
            return sealed(header, seal, size)
    elif verify == "last":
        return CompletedSegment(header, successor.first_lsn - 1, size, size, 0, None, None, None)
    scan = SegmentScan(source, header, size)
    why = unlinked_end(scan.last_lsn, scan.last_check, successor)
    if why is not None:
        what = f"{scan.stop.value}; {why}" if scan.last_lsn < successor.first_lsn - 1 else why
        raise source.corrupt(what, header.number, scan.end, scan.last_lsn + 1)
    return scanned(scan)


def check_completed(source: Source, segment: CompletedSegment, successor: SegmentHeader) -> list[int]:
    """Check the bytes of a segment whose header and SEAL were accepted, as `verify="full"` does. Returns the offsets of
    runs in which only padding is not what was written."""
    if not segment.seal_end:
        return []  # it was read frame by frame to be accepted
    seal = read_seal(source, segment.header, segment.end, segment.seal_end)
    if seal is None:
        raise source.corrupt("its SEAL is no longer what it was", segment.header.number, segment.end)
    loose = check_runs(source, segment.header, seal)
    check_last_frame(source, segment.header, seal, successor)
    return loose


def check_runs(source: Source, header: SegmentHeader, seal: Seal) -> list[int]:
    """Every run of a sealed segment; one whose CRC fails is walked frame by frame, and those decide. Returns the
    offsets of runs whose frames are intact all the same."""
    runs = seal.runs
    loose: list[int] = []
    ends = [*runs.offsets[1:], seal.offset]
    lsns = [*runs.first_lsns[1:], seal.last_lsn + 1]
    at = 0
    while at < len(runs):
        start, last = runs.offsets[at], at + 1
        while last < len(runs) and ends[last] - start <= CHUNK_BYTES:
            last += 1
        chunk = memoryview(source.store.read(header.number, start, ends[last - 1]))
        for k in range(at, last):
            if crc32(chunk[runs.offsets[k] - start : ends[k] - start], 0) != runs.crcs[k]:
                walk = Walk(source, header, runs.offsets[k], ends[k], runs.first_lsns[k])
                for _ in walk:
                    pass
                if walk.expected_lsn != lsns[k] or walk.offset < ends[k]:
                    raise source.corrupt(walk.stop.value, header.number, walk.offset, walk.expected_lsn)
                loose.append(runs.offsets[k])
        at = last
    return loose


def check_last_frame(source: Source, header: SegmentHeader, seal: Seal, successor: SegmentHeader) -> None:
    """The last frame with entries is the one that the successor was made after."""
    runs = seal.runs
    last_check, end = 0, seal.offset
    for offset, lsn in zip(reversed(runs.offsets), reversed(runs.first_lsns), strict=True):
        for seen in Walk(source, header, offset, end, lsn).runs():
            if isinstance(seen, SeenRun):
                last_check = seen.intact.crc
            elif seen.header.entries:
                last_check = seen.header.crc
        if last_check:
            break
        end = offset
    why = unlinked_end(seal.last_lsn, last_check, successor)
    if why is not None:
        raise source.corrupt(why, header.number, seal.offset, seal.last_lsn + 1)
