"""What lies before damage: the entries that a reader would have handed out before it met it. Changes nothing, takes no
lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from walogs.engine.recovery import read_witness
from walogs.engine.verdict import unlinked
from walogs.errors import Corrupt
from walogs.formats.segment_format import Malformed
from walogs.inspection.salvage import Place, entries_of, frames_of, headers_of, known_base

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
    """The first LSN that can be read; where only the newest segment would tell and cannot, the first there is."""
    headers, witness = headers_of(source, numbers), read_witness(source)
    base_lsn = known_base(source, headers)
    newest = headers.get(numbers[-1]) if numbers else None
    is_gone = newest is None or (
        witness is not None and witness.log_id == newest.log_id and witness.segment > newest.number
    )
    return max(base_lsn, min((header.first_lsn for header in headers.values()), default=1)) if is_gone else base_lsn


def header_if_intact(source: Source, number: int) -> SegmentHeader | None:
    """The header of that segment; None: it is damaged. Raises `Missing`, `UnsupportedFormat`."""
    try:
        return source.header(number)
    except Corrupt:
        return None
