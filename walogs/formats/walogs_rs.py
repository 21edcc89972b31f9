"""Logs of the Rust crate walogs 0.1: frames end to end from byte 0, no header. Recognised, so as never to be touched.

Frame: length u32, CRC-32 u32 over length + LSN + data, LSN u64, data; little-endian.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from walogs.formats.crc32 import crc32

FRAME: Final = Struct("<IIQ")
ENTRY_BYTES_MAX: Final = 16 * 1024 * 1024
HEAD_BYTES: Final = FRAME.size + ENTRY_BYTES_MAX
"""So many bytes of a segment are enough to recognise it."""


def recognises(head: bytes) -> bool:
    """Whether these first bytes of a segment are the crate's: its first frame, intact, or nothing at all.

    A new log of the crate is an empty `wal-000001.log`; a native segment is never empty.
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
