"""Find where the entries of an intact run lie, to take them as columns, and turn columns into a body. Format 1.

`bodies_by_headers` is the plain way. Beside it stands a faster one, for single entries whose lengths are known.
"""

from __future__ import annotations

from array import array
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Final

from walogs.formats.native_runs import CUT_OFF, FRAME_HEADER_BYTES, bytes_after_each, offset_table
from walogs.formats.segment_format import Bodies, Malformed, PackedEntries, Singles

BODY_TIME_COUNT: Final = Struct("<4xI8xq8xI")
"""The length of the body, the time of the commit, and the number of entries."""
TIME_AT: Final = 16


def bodies(run: bytes | memoryview, check_bytes: int, lengths: array[int] | None = None) -> Bodies | Singles:
    """Return where the bodies of a run lie in it. Raises `Malformed` if its frames do not end where it ends."""
    singles = singles_by_lengths(run, check_bytes, lengths) if lengths else None
    return singles or bodies_by_headers(run, check_bytes)


def singles_by_lengths(run: bytes | memoryview, check_bytes: int, lengths: array[int]) -> Singles | None:
    """Return where the entries of a run lie if these are their lengths, or None if the run is not as long."""
    after = bytes_after_each(lengths, check_bytes)
    if sum(lengths) + sum(after) != len(run):
        return None
    steps = array("H", bytes(2 * (2 * len(lengths) + 1)))
    steps[0], steps[1::2], steps[2::2] = FRAME_HEADER_BYTES, lengths, array("H", list(after))
    return Singles(buffer=run, steps=steps, time_before=FRAME_HEADER_BYTES - TIME_AT)


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
