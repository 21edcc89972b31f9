"""What a SEAL says about the runs of its segment, format 1.

A record for each run, in order, 12 bytes
      0   4  offset of the run in the segment, a multiple of 8; bit 0 says that the lengths of its entries follow
      4   4  its first LSN, less that of the segment
      8   4  CRC-32 of its frames with their padding
After the records, for each run that has lengths, in order: the stored length of each of its entries, 2 bytes each.
"""

from __future__ import annotations

import sys
from array import array
from itertools import pairwise
from struct import Struct
from typing import Final

from walogs.formats.segment_format import RunIndex

RUN: Final = Struct("<III")
HAS_LENGTHS: Final = 1
LENGTH_BYTES: Final = 2


def encode_runs(runs: RunIndex, first_lsn: int) -> bytes:
    """Return the records of these runs and the lengths after them. *first_lsn* is that of the segment."""
    records = (
        RUN.pack(offset | (lengths is not None), first - first_lsn, crc)
        for offset, first, crc, lengths in zip(runs.offsets, runs.first_lsns, runs.crcs, runs.lengths, strict=True)
    )
    return b"".join((*records, *(swapped(lengths).tobytes() for lengths in runs.lengths if lengths is not None)))


def decode_runs(data: bytes, *, count: int, first_lsn: int, next_lsn: int, start: int, end: int) -> RunIndex | None:
    """Return *count* runs, or None if the bytes cannot be theirs.

    [first_lsn, next_lsn) are the entries of the segment. Its frames begin at the offset *start* and end at *end*.
    """
    at = count * RUN.size
    if at > len(data):
        return None
    records = [(offset & -8, offset & 7, first_lsn + delta, crc) for offset, delta, crc in RUN.iter_unpack(data[:at])]
    runs = RunIndex()
    for (offset, flags, first, crc), after in pairwise((*records, (end, 0, next_lsn, 0))):
        if flags & ~HAS_LENGTHS or offset >= after[0]:
            return None
        lengths = None
        if flags:
            lengths, at = read_lengths(data, at, after[2] - first), at + LENGTH_BYTES * (after[2] - first)
            if lengths is None:
                return None
        runs.add_run(offset, first, crc, lengths)
    is_all = at == len(data) and (not records or records[0][0] == start)
    return runs if is_all else None


def read_lengths(data: bytes, at: int, count: int) -> array[int] | None:
    """Return *count* lengths, or None if there are not as many."""
    lengths = array("H")
    if not 0 <= count <= (len(data) - at) // LENGTH_BYTES:
        return None
    lengths.frombytes(data[at : at + LENGTH_BYTES * count])
    return swapped(lengths)


def swapped(lengths: array[int]) -> array[int]:
    """Return the numbers between the order of bytes in a segment and that of this machine."""
    if sys.byteorder == "little":
        return lengths
    other = lengths[:]
    other.byteswap()
    return other
