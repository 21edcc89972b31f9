"""What lies before damage: the entries that a reader would have handed out before it met it. Changes nothing, takes no
lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from walogs.engine.recovery import read_witness, synced_by
from walogs.engine.verdict import unlinked
from walogs.engine.walk import RestScan, SegmentScan
from walogs.errors import Corrupt
from walogs.formats.segment_format import Malformed
from walogs.inspection.salvage import Place, entries_of, frames_of, header_if_intact, headers_of, known_base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.source import Source
    from walogs.formats.segment_format import SegmentHeader


def entries_before(
    source: Source, damage: Corrupt, start: int | None, stop: int | None, since_ns: int = 0
) -> Iterator[tuple[int, bytes]]:
    """(LSN, data) of [start, stop), committed at *since_ns* or later, up to the first entry that is not intact, not
    there, or where *damage* was found. A reader raises before it hands out any of them when the damage is in the newest
    segment or in a header."""
    numbers = tuple(source.store.segments())
    in_a_frame = damage.lsn if damage.offset else None  # of a segment as a whole, what is intact in it says more
    ends = [lsn for lsn in (stop, in_a_frame) if lsn is not None]
    expected = base_of(source, numbers) if start is None else start
    if start is None and numbers and header_if_intact(source, numbers[0]) is None:
        return  # what it holds may be the first there is
    previous: SegmentHeader | None = None
    for number in numbers:
        header = header_if_intact(source, number)
        if header is None:  # its entries, if it had any, are found missing at the next
            previous = None
            continue
        if previous is not None and unlinked(previous, header) is not None:
            return
        previous = header
        for found in frames_of(source, header):
            if isinstance(found, Place) or found.header.first_lsn + found.header.entries <= expected:
                continue
            if found.header.first_lsn > expected or any(expected >= end for end in ends):
                return
            try:
                entries = entries_of(source, header, found)
            except Malformed:
                return
            for lsn, data in enumerate(entries, found.header.first_lsn):
                if lsn >= expected and found.header.time_ns >= since_ns and all(lsn < end for end in ends):
                    yield lsn, data
            expected = found.header.first_lsn + found.header.entries


def base_of(source: Source, numbers: tuple[int, ...]) -> int:
    """The first LSN that can be read; where only the newest segment would tell and is damaged, the first there is."""
    headers = headers_of(source, numbers)
    base_lsn = known_base(source, headers)
    first_lsn = min((header.first_lsn for header in headers.values()), default=1)
    return base_lsn if first_lsn <= base_lsn or is_newest_whole(source, numbers[-1]) else first_lsn


def is_newest_whole(source: Source, number: int) -> bool:
    """Whether all is there that is known to have been synced: no CHECKPOINT is lost, so what it says is final."""
    witness = read_witness(source)
    try:
        header = source.header(number)
        scan = SegmentScan(source, header, source.store.size(number))
        rest = RestScan(source, scan)
    except Corrupt:
        return False
    if rest.is_sealed or (witness is not None and witness.log_id == header.log_id and witness.segment > number):
        return False
    return max(scan.synced, rest.synced, synced_by(witness, header)) <= scan.end
