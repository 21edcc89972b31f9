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
from operator import lt
from struct import Struct
from typing import TYPE_CHECKING, Final

from walogs.formats.segment_format import RunIndex

if TYPE_CHECKING:
    from typing_extensions import Buffer

RUN: Final = Struct("<III")
HAS_LENGTHS: Final = 1
UNKNOWN_FLAGS: Final = 6
LENGTH_BYTES: Final = 2


def encode_runs(runs: RunIndex, first_lsn: int) -> bytes:
    """Return the records of these runs and the lengths after them. *first_lsn* is that of the segment."""
    records = (
        RUN.pack(offset | (lengths is not None), first - first_lsn, crc)
        for offset, first, crc, lengths in zip(runs.offsets, runs.first_lsns, runs.crcs, runs.lengths, strict=True)
    )
    return b"".join((*records, *(swapped(lengths).tobytes() for lengths in runs.lengths if lengths is not None)))


def decode_runs(data: Buffer, *, count: int, first_lsn: int, next_lsn: int, start: int, end: int) -> RunIndex | None:
    """Return *count* runs, or None if the bytes cannot be theirs.

    [first_lsn, next_lsn) are the entries of the segment. Its frames begin at the offset *start* and end at *end*.
    """
    at, view = count * RUN.size, memoryview(data)
    if at > len(view) or (len(view) - at) % LENGTH_BYTES:
        return None
    words, left = array("I"), array("H")
    words.frombytes(view[:at])
    left.frombytes(view[at:])
    words, left = swapped(words), swapped(left)
    marked = words[0::3]
    bounds = [*(word & -8 for word in marked), end]
    lsns = [*(first_lsn + word for word in words[1::3]), next_lsn]
    is_in_order = all(map(lt, bounds, bounds[1:])) and (not count or bounds[0] == start)
    if not is_in_order or any(word & UNKNOWN_FLAGS for word in marked):
        return None
    lengths: list[array[int] | None] = []
    taken = 0
    for word, first, after in zip(marked, lsns, lsns[1:], strict=False):
        if not word & HAS_LENGTHS:
            lengths.append(None)
            continue
        until = taken + after - first
        if not taken <= until <= len(left):
            return None
        lengths.append(left[taken:until])
        taken = until
    return RunIndex.of(bounds[:-1], lsns[:-1], words[2::3], lengths) if taken == len(left) else None


def swapped(numbers: array[int]) -> array[int]:
    """Turn numbers from the order of bytes in a segment to that of this machine, or back."""
    if sys.byteorder == "little":
        return numbers
    other = numbers[:]
    other.byteswap()
    return other
