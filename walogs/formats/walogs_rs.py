"""Recognise the logs of the Rust crate walogs 0.1, so that walogs never changes one.

A segment of the crate has no header. Its frames follow one another from byte 0. A frame is: length u32, CRC-32 u32 over
length, LSN and data, LSN u64, data. All numbers are little-endian.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from walogs.formats.crc32 import crc32

FRAME: Final = Struct("<IIQ")
ENTRY_BYTES_MAX: Final = 16 * 1024 * 1024
HEAD_BYTES: Final = FRAME.size + ENTRY_BYTES_MAX
"""This many bytes from the beginning of a segment are enough to recognise it."""


def recognises(head: bytes) -> bool:
    """Return whether a segment with these first bytes is of the crate. It begins with an intact frame, or it is empty.

    A new log of the crate is an empty `wal-000001.log`. A native segment is never empty.
    """
    if not head:
        return True
    if len(head) < FRAME.size:
        return False
    length, crc, lsn = FRAME.unpack_from(head)
    if length > ENTRY_BYTES_MAX or len(head) < FRAME.size + length or not lsn:
        return False
    data = head[FRAME.size : FRAME.size + length]
    return bool(crc == crc32(data, crc32(head[8:16], crc32(head[:4], 0))))
