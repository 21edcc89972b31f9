"""Observe a log and judge it. Nothing here changes a byte, for either shape of store.

First `peek_header` refuses a log that this release cannot write, even before the lock is taken. Then `examine`
reads and checks everything, and returns a `RecoveredLog`. All changes are made later, in takeover.py.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Literal, NamedTuple

from walogs.engine.ending import Mode, ending_of, judge, read_durable_mark, synced_by
from walogs.engine.frame_reader import CHUNK_BYTES, FrameReader, link_said_at
from walogs.engine.segment_scan import SegmentScan, TailScan
from walogs.engine.segments import (
    CompletedSegment,
    accepted_seal,
    completed_by_scan,
    completed_by_seal,
    last_before,
    read_seal,
)
from walogs.engine.verdict import durable_mark_problem, end_problem, link_problem
from walogs.engine.whole_segments import read_ahead, read_small_at_once
from walogs.errors import SegmentNotFound, WalError
from walogs.formats.crc32 import crc32
from walogs.formats.segment_format import Malformed
from walogs.protocols import SizeListingStore, authenticates, is_appendable, sizes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from walogs.engine.log_source import LogSource
    from walogs.errors import Corrupt
    from walogs.formats.durable_mark import DurableMark
    from walogs.formats.segment_format import Seal, SegmentFormat, SegmentHeader
    from walogs.protocols import SegmentStore

Verify = Literal["full", "last"]


class RecoveredLog(NamedTuple):
    """A log as it was found, after the verdict that it can be opened. Nothing has been changed yet."""

    newest: SegmentScan
    completed: tuple[CompletedSegment, ...]
    """The older segments down to the first LSN, ascending."""
    leftovers: tuple[int, ...]
    """The numbers of the segments below the first LSN that an interrupted checkpoint has left. An open removes them."""
    log_first_lsn: int
    is_first_lsn_rescued: bool
    """Whether the first LSN is known only from a CHECKPOINT frame behind the place where the log will be cut."""
    synced: int
    """The offset up to which the newest segment is known to be synced: W, but not beyond the intact frames."""
    bytes_end: int
    """The offset after its last byte that is not zero; 0 if only zeros follow the intact frames."""
    verdict: Literal["clean", "torn", "prefix"]
    is_clean_close: bool
    """Whether the durable mark says that the log was closed, and names exactly the end that is there."""
    claims_clean_close: bool
    """Whether the durable mark says that the log was closed, right or wrong.

    That must be taken back, durably, before anything is written (G8).
    """
    sizes: Mapping[int, int] | None
    """What `list_sizes` returned: the segments that were examined."""


def peek_header(source: LogSource) -> SegmentHeader | None:
    """Return the newest segment's header, or None if there is none. Raises what `LogSource.header` raises.

    Nothing is changed and no lock is taken, so another writer may be at work.
    """
    numbers = source.store.segments()
    for number in numbers[-1:]:
        try:
            return header_in(source, numbers, number)
        except SegmentNotFound:  # a writer has removed it since it was listed; `examine` reads again under the lock
            return None
    return None


def list_sizes(store: SegmentStore) -> Mapping[int, int] | None:
    """Return the size in bytes of each segment by its number, with one call. None: the store lists no sizes, or its
    segments grow."""
    return store.sizes() if not is_appendable(store) and isinstance(store, SizeListingStore) else None


def examine(
    source: LogSource,
    verify: Verify,
    mode: Mode,
    before: RecoveredLog | None = None,
    sizes: Mapping[int, int] | None = None,
) -> RecoveredLog | None:
    """Read and judge all segments down to the first LSN. Return None if there is no segment.

    *before* is what this open has found already. Of that, only the newest segment is read again. *sizes* is what
    `list_sizes` has just returned, if the caller has asked for it. Raises `Corrupt` and `UnsupportedFormat`. Raises
    `OSError` if reading fails, which is never taken for damage. Raises `SegmentNotFound` if another writer removes a
    segment meanwhile, in a store that fences: then call this again.
    """
    store = source.store
    sizes = list_sizes(store) if sizes is None else sizes
    numbers = store.segments() if sizes is None else sorted(sizes)
    durable_mark = read_durable_mark(source)
    if not numbers:
        why = durable_mark_problem(durable_mark, None, 0, None)
        if why is not None:
            raise source.corrupt(f"{why}. If the log was removed on purpose, remove its DURABLE file as well")
        return None
    heads = source.format.traits.header_bytes if verify == "last" else None
    source = read_ahead(source, numbers[::-1], heads)
    header = header_in(source, numbers, numbers[-1])
    newest = SegmentScan(source, header, source.store.size(header.number))
    rest = TailScan(source, header, newest.end, newest.size)
    ending = ending_of(header, newest.end, newest.last_lsn, newest.stop, newest.synced, rest, durable_mark)
    log_first_lsn = max(newest.log_first_lsn, rest.log_first_lsn)
    verdict = judge(source, ending, mode, lambda: are_older_good(source, numbers, header, log_first_lsn))
    if verdict != "prefix":
        refuse_unlike_durable_mark(source, durable_mark, header, newest.end, newest.last_lsn, newest.link)
    completed, below = examine_older(source, numbers, header, log_first_lsn, verify, before)
    return RecoveredLog(
        newest=newest,
        completed=tuple(completed),
        leftovers=find_leftovers(source, below, sizes),
        log_first_lsn=log_first_lsn,
        is_first_lsn_rescued=rest.log_first_lsn > newest.log_first_lsn,
        synced=min(ending.synced, newest.end),
        bytes_end=rest.bytes_end,
        verdict=verdict,
        is_clean_close=is_clean_close(durable_mark, newest, rest, verdict),
        claims_clean_close=durable_mark is not None and durable_mark.is_clean,
        sizes=sizes,
    )


def header_in(
    source: LogSource, numbers: Sequence[int], number: int, log_first_lsn: int | None = None
) -> SegmentHeader:
    """Return the header of one of these segments, as `LogSource.header` does.

    If it is damaged, the segments before it tell which entry is the first in doubt. No entry below the log's first LSN
    is, which is at least *log_first_lsn*.
    """

    def first_in_doubt() -> int | None:
        last_lsn = last_before(source, [older for older in numbers if older < number])
        return log_first_lsn if last_lsn is None else max(log_first_lsn or 1, last_lsn + 1)

    return source.header(number, first_in_doubt)


def refuse_unlike_durable_mark(
    source: LogSource,
    durable_mark: DurableMark | None,
    newest: SegmentHeader,
    end: int,
    last_lsn: int,
    link: bytes | None,
) -> None:
    """Raise `Corrupt` if the durable mark names something that the log does not have."""
    why = durable_mark_problem(durable_mark, newest, last_lsn, link)
    if why is not None:
        move = "A copy that was made while the log was written can look like this: `walogs repair` opens it as it is"
        raise source.corrupt(f"{why}. {move}", newest.number, end, last_lsn + 1)


def is_clean_close(durable_mark: DurableMark | None, newest: SegmentScan, rest: TailScan, verdict: str) -> bool:
    """Return whether the durable mark says that the log was closed, and exactly that end is there."""
    return (
        durable_mark is not None
        and durable_mark.is_clean
        and verdict == "clean"
        and not rest.bytes_end
        and synced_by(durable_mark, newest.header) == newest.end <= newest.size
    )


def are_older_good(source: LogSource, numbers: Sequence[int], newest: SegmentHeader, log_first_lsn: int) -> bool:
    """Return whether only the end of the newest segment keeps the log from being opened."""
    try:
        examine_older(source, numbers, newest, log_first_lsn, "full", None)
    except (WalError, OSError):
        return False
    return True


def examine_older(
    source: LogSource,
    numbers: Sequence[int],
    newest: SegmentHeader,
    log_first_lsn: int,
    verify: Verify,
    before: RecoveredLog | None,
) -> tuple[list[CompletedSegment], list[int]]:
    """Examine the older segments, from the newest down to the one with the first LSN.

    Returns them in ascending order, and the numbers of the segments below them, which are not judged.
    """
    kept: list[CompletedSegment] = []
    successor = newest
    remaining = list(numbers[:-1])
    source = read_small_at_once(source, remaining[::-1])
    while successor.first_lsn > log_first_lsn:
        if before is not None and successor == before.newest.header:
            known = [segment for segment in before.completed if segment.last_lsn >= log_first_lsn]
            below = len(remaining) - len(known)
            if [segment.header.number for segment in known] == remaining[below:]:
                return known + kept[::-1], remaining[:below]
        if not remaining or remaining[-1] != successor.number - 1:
            raise gap_before(source, successor, log_first_lsn, remaining)
        header = header_in(source, remaining, remaining.pop(), log_first_lsn)
        why = link_problem(header, successor)
        if why is not None:
            last_lsn = last_before(source, remaining)
            lsn = header.first_lsn if last_lsn is None else max(log_first_lsn, last_lsn + 1)
            raise source.corrupt(why, header.number, 0, lsn)
        kept.append(examine_completed(source, header, successor, verify))
        successor = header
    return kept[::-1], remaining


def is_kept(source: LogSource, header: SegmentHeader) -> bool:
    """Return whether a checkpoint must keep this segment.

    A FENCE stays if the store can create a removed number again. A slow opener could otherwise put its own FENCE at the
    freed number, and the log would have two histories.
    """
    return header.is_fence and source.store.capabilities.numbers_reused


def find_leftovers(source: LogSource, below: Sequence[int], sizes: Mapping[int, int] | None) -> tuple[int, ...]:
    """Return which of the segments *below* the first LSN are left from an interrupted checkpoint.

    Their headers are not read, since there can be many. In a store where FENCEs stay, every segment that is only a
    header stays. A few of those are CHECKPOINTs, which harm nothing. *sizes* are those of all segments, if known.
    """
    if is_appendable(source.store) or not source.store.capabilities.numbers_reused:
        return tuple(below)
    known = sizes if sizes is not None else sizes_of(source.store, below)
    return tuple(number for number in below if known.get(number, 0) > source.format.traits.header_bytes)


def gap_before(source: LogSource, successor: SegmentHeader, log_first_lsn: int, older: Sequence[int]) -> Corrupt:
    """Return the `Corrupt` for a missing segment before *successor*. *older* are the numbers below it that exist."""
    last_lsn = last_before(source, older)
    first_lsn = log_first_lsn if last_lsn is None else max(log_first_lsn, last_lsn + 1)
    return source.missing(successor.number - 1, first_lsn, successor.first_lsn - 1)


def examine_completed(
    source: LogSource, header: SegmentHeader, successor: SegmentHeader, verify: Verify
) -> CompletedSegment:
    """Examine a segment that has a successor. Raises `Corrupt` if it does not end as its successor says."""
    size = source.store.size(header.number)
    if source.format.traits.has_seal and is_appendable(source.store):
        seal = accepted_seal(source, header, successor, size)
        if seal is not None:
            if verify == "full":
                check_runs(source, header, seal)
                check_last_frame(source, header, seal, successor)
            return completed_by_seal(header, seal, size)
    elif verify == "last":
        last_lsn = successor.first_lsn - 1
        return CompletedSegment(
            header=header,
            last_lsn=last_lsn,
            end=size,
            size=size,
            seal_end=0,
            runs=None,
            first_commit_ns=None,
            last_commit_ns=None,
            link=successor.previous_link,
        )
    scan = SegmentScan(source, header, size)
    why = end_problem(scan.last_lsn, scan.link, successor)
    if why is not None:
        what = f"{scan.stop.value}; {why}" if scan.last_lsn < successor.first_lsn - 1 else why
        lsn = end_in_doubt(source, header, successor, scan.last_lsn, scan.end)
        raise source.corrupt(what, header.number, scan.end, lsn)
    return completed_by_scan(scan)


def end_in_doubt(source: LogSource, header: SegmentHeader, successor: SegmentHeader, last_lsn: int, end: int) -> int:
    """Return the first entry in doubt of a segment that does not end as its successor says.

    *last_lsn* is its last entry, and *end* the offset where its intact frames end. If only the link differs, the last
    commit is in doubt.
    """
    if last_lsn != successor.first_lsn - 1:
        return last_lsn + 1
    walk = FrameReader(source, header, source.format.traits.header_bytes, end, header.first_lsn)
    for _ in walk.runs():
        pass
    return walk.lsn_of_last_commit()


def check_completed(source: LogSource, segment: CompletedSegment, successor: SegmentHeader) -> list[int]:
    """Check the bytes of a segment whose header and SEAL were accepted, as `verify="full"` does. Check also whether
    the SEAL describes the runs as they are.

    Returns the offsets of runs that differ from what was written, although all entries in them are intact.
    """
    if not segment.seal_end:
        return []  # every frame was checked already, because it has no SEAL
    seal = read_seal(source, segment.header, segment.end, segment.seal_end)
    if seal is None:
        raise source.corrupt("its SEAL is no longer what it was", segment.header.number, segment.end)
    loose = check_runs(source, segment.header, seal, checks_index=True)
    check_last_frame(source, segment.header, seal, successor)
    return loose


def check_runs(source: LogSource, header: SegmentHeader, seal: Seal, *, checks_index: bool = False) -> list[int]:
    """Check every run of a sealed segment by its CRC.

    If a CRC fails, the frames of that run decide. If the codec authenticates, the frames always decide, because a CRC
    proves nothing there. Returns the offsets of runs whose CRC fails although their entries are intact.
    """
    runs = seal.runs
    loose: list[int] = []
    if authenticates(source.codec_of(header)):
        whole = source.format.traits.header_bytes, seal.offset
        frames_end(source, header, seal, whole, (header.first_lsn, seal.last_lsn + 1))
        return loose
    for chunk, start, failed in read_checked_chunks(source, header, seal):
        for run in failed:
            intact_end(source, header, seal, run)
            loose.append(runs.offsets[run])
        if checks_index:
            refuse_other_index(source, header, seal, chunk, start, failed)
    return loose


def refuse_other_index(
    source: LogSource, header: SegmentHeader, seal: Seal, chunk: bytes, start: int, failed: Sequence[int]
) -> None:
    """Raise `Corrupt` if intact runs are not what the SEAL says. *chunk* has the runs from the offset *start* on, and
    *failed* are the positions of those that are not as they were written.

    Only a bug of a writer makes such a SEAL. Who reads by it would get other entries, or parts of them.
    """
    offsets, end, view = seal.runs.offsets, start + len(chunk), memoryview(chunk)
    check_bytes = source.codec_of(header).check_bytes
    for at in range(seal.runs.position_at(start), len(offsets)):
        offset = offsets[at]
        if offset >= end:
            return
        run_end = offsets[at + 1] if at + 1 < len(offsets) else end
        run = view[offset - start : run_end - start]
        if at not in failed and not is_described(source.format, check_bytes, run, seal, at):
            what = "its SEAL says other places, LSNs or lengths than its entries have"
            raise source.corrupt(what, header.number, offset, seal.runs.first_lsns[at])


def is_described(form: SegmentFormat, check_bytes: int, run: memoryview, seal: Seal, at: int) -> bool:
    """Return whether an intact run is what the SEAL says about the one at this position."""
    runs = seal.runs
    lengths, lsn, offset = runs.lengths[at], runs.first_lsns[at], runs.offsets[at]
    next_lsn = runs.first_lsns[at + 1] if at + 1 < len(runs) else seal.last_lsn + 1
    try:
        for frame, index in form.headers(run):
            if (frame.entries and frame.first_lsn != lsn) or (not index and frame.offset != offset):
                return False
            if lengths is not None:  # if they are right, this first frame says where the others are
                return len(lengths) == next_lsn - lsn and form.has_lengths(bytes(run), check_bytes, lengths)
            lsn += frame.entries
    except Malformed:
        return False
    return lsn == next_lsn


def read_checked_chunks(source: LogSource, header: SegmentHeader, seal: Seal) -> Iterator[tuple[bytes, int, list[int]]]:
    """Yield (bytes, offset, positions of the runs whose CRC in the SEAL fails) of a sealed segment, chunk by chunk.

    A chunk holds whole runs, and at least one.
    """
    offsets, crcs = seal.runs.offsets, seal.runs.crcs
    ends = [*offsets[1:], seal.offset]
    at = 0
    while at < len(offsets):
        start = offsets[at]
        last = bisect_right(ends, start + CHUNK_BYTES, lo=at + 1)
        chunk = source.store.read(header.number, start, ends[last - 1])
        view = memoryview(chunk)
        places = zip(range(at, last), offsets[at:last], ends[at:last], crcs[at:last], strict=True)
        failed = [run for run, begin, end, crc in places if crc32(view[begin - start : end - start], 0) != crc]
        yield chunk, start, failed
        at = last


def intact_end(source: LogSource, header: SegmentHeader, seal: Seal, run: int) -> int:
    """Return where the frames of a run end whose CRC fails. Raises `Corrupt` as `frames_end` does."""
    runs = seal.runs
    is_last = run + 1 == len(runs)
    end, next_lsn = (seal.offset, seal.last_lsn + 1) if is_last else (runs.offsets[run + 1], runs.first_lsns[run + 1])
    return frames_end(source, header, seal, (runs.offsets[run], end), (runs.first_lsns[run], next_lsn))


def frames_end(
    source: LogSource, header: SegmentHeader, seal: Seal, offsets: tuple[int, int], lsns: tuple[int, int]
) -> int:
    """Check the frames between two offsets, which hold the entries from one LSN up to another. Return where they end.

    Raises `Corrupt` if entries are missing, or if the next frame was written after another frame than the last one.
    Damage after the segment's last entry is ignored. Without the SEAL it would be ignored too, and a SEAL is only a
    cache, which must not make the verdict worse.
    """
    end, next_lsn = offsets[1], lsns[1]
    walk = FrameReader(source, header, offsets[0], end, lsns[0])
    for _ in walk.runs():
        pass
    if walk.expected_lsn != next_lsn or (walk.offset < end and next_lsn <= seal.last_lsn):
        raise source.corrupt(walk.stop.value, header.number, walk.offset, walk.expected_lsn)
    said = seal.link if next_lsn > seal.last_lsn else link_said_at(source, header, end, seal.offset)
    if said is not None and said != walk.link:
        why = "what follows it was written after another frame: it is of another history"
        raise source.corrupt(why, header.number, end, walk.lsn_of_last_commit())
    return walk.offset


def check_last_frame(source: LogSource, header: SegmentHeader, seal: Seal, successor: SegmentHeader) -> None:
    """Raise `Corrupt` if the last frame with entries is not the one that the successor was made after."""
    _, link = last_frame(source, header, seal)
    why = end_problem(seal.last_lsn, link, successor)
    if why is not None:
        lsn = end_in_doubt(source, header, successor, seal.last_lsn, seal.offset)
        raise source.corrupt(why, header.number, seal.offset, lsn)


def last_frame(source: LogSource, header: SegmentHeader, seal: Seal) -> tuple[int, bytes | None]:
    """Return the last LSN and the link of the last intact frame with entries in a sealed segment."""
    runs, end = seal.runs, seal.offset
    for offset, lsn in zip(reversed(runs.offsets), reversed(runs.first_lsns), strict=True):
        walk, has_entries = FrameReader(source, header, offset, end, lsn), False
        for run in walk.runs():
            has_entries = has_entries or run.intact.entries > 0
        if has_entries:
            return walk.expected_lsn - 1, walk.link
        end = offset
    return header.first_lsn - 1, header.previous_link
