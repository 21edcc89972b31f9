"""Find where the entries of an intact run lie, to take them as columns, and turn columns into a body. Format 1.

`bodies_by_headers` is the plain way. Beside it stand faster ones, for single entries whose lengths are known.
"""

from __future__ import annotations

import sys
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import TYPE_CHECKING, Final

from walogs.formats.native_runs import CUT_OFF, FRAME_HEADER_BYTES, bytes_after, bytes_after_each, offset_table
from walogs.formats.segment_format import Bodies, Malformed, PackedEntries, Singles, SinglesAlike

if TYPE_CHECKING:
    from array import array

    from walogs.formats.segment_format import AnyBodies

BODY_TIME_COUNT: Final = Struct("<4xI8xq8xI")
"""The length of the body, the time of the commit, and the number of entries."""
TIME_AT: Final = 16
U32_BYTES: Final = 4
IS_LITTLE: Final = sys.byteorder == "little"
"""Whether times and lengths are as the faster ways say. Otherwise the plain way is taken."""


def bodies(run: bytes | memoryview, check_bytes: int, lengths: array[int] | None = None) -> AnyBodies:
    """Return where the bodies of a run lie in it. Raises `Malformed` if its frames do not end where it ends."""
    singles = singles_by_lengths(run, check_bytes, lengths) if lengths and IS_LITTLE else None
    return singles or bodies_by_headers(run, check_bytes)


def singles_by_lengths(run: bytes | memoryview, check_bytes: int, lengths: array[int]) -> Singles | SinglesAlike | None:
    """Return where the entries of a run lie if these are their lengths, or None if the run is not as long."""
    count, length = len(lengths), lengths[0]
    if length and lengths[-1] == length and lengths == lengths[:1] * count:
        return singles_alike(run, check_bytes, count, length)
    after = bytes_after_each(lengths, check_bytes)
    if sum(lengths) + sum(after) != len(run):
        return None
    steps, two_bytes = bytearray(U32_BYTES * (2 * count + 1)), lengths.tobytes()
    steps[0] = TIME_AT
    steps[4::8], steps[5::8], steps[8::8] = two_bytes[::2], two_bytes[1::2], after  # as numbers of 4 bytes
    return Singles(buffer=run, entries=count, steps=steps, entry_after=FRAME_HEADER_BYTES - TIME_AT)


def singles_alike(run: bytes | memoryview, check_bytes: int, count: int, length: int) -> SinglesAlike | None:
    """Return what `singles_by_lengths` does for entries that are all of this length."""
    frame_bytes = length + bytes_after(check_bytes)[length & 255]
    if count * frame_bytes != len(run):
        return None
    return SinglesAlike(
        buffer=run,
        entries=count,
        frame_bytes=frame_bytes,
        entry_at=FRAME_HEADER_BYTES,
        length=length,
        time_at=TIME_AT,
    )


def bodies_by_headers(run: bytes | memoryview, check_bytes: int) -> Bodies:
    """Return what `bodies` does, frame by frame."""
    counts: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    times_ns: list[int] = []
    add_count, add_start, add_end, add_time = counts.append, starts.append, ends.append, times_ns.append
    at, end, less, unpack = 0, len(run), FRAME_HEADER_BYTES - check_bytes, BODY_TIME_COUNT.unpack_from
    try:
        while at < end:
            size, time_ns, count = unpack(run, at)
            if count:
                add_count(count)
                add_start(at + 48)
                add_end(at + less + size)
                add_time(time_ns)
            at += (size + 55) & -8
    except StructError:
        raise Malformed(CUT_OFF) from None
    if at != end:
        raise Malformed(CUT_OFF)
    return Bodies(buffer=run, counts=counts, starts=starts, ends=ends, times_ns=times_ns)


def table_and_data(entries: list[bytes] | PackedEntries) -> tuple[bytes | memoryview, ...]:
    """Return the body of a batch in pieces: its offset table, and then its data."""
    if isinstance(entries, PackedEntries):
        return entries.offsets, entries.data
    return offset_table(entries), *entries
