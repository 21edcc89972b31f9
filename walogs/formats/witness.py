"""The witness: 64 advisory bytes that say how far the log is durable (docs/format.md).

 0   8  magic "WALDUR\\r\\n"         48   4  that segment's salt
 8  16  log id                      52   4  flags: bit 0 CLEAN
24   8  segment number              56   4  zero
32   8  synced offset in it         60   4  CRC-32 of bytes 0-59
40   8  last durable LSN
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from walogs.formats.crc32 import crc32

WITNESS_BYTES: Final = 64
MAGIC: Final = b"WALDUR\r\n"
CLEAN: Final = 1
FIELDS: Final = Struct("<8s16sQQQII4x")
CRC: Final = Struct("<I")

assert FIELDS.size + CRC.size == WITNESS_BYTES


class Witness(NamedTuple):
    """What was synced, when this was written."""

    log_id: bytes
    segment: int
    synced: int
    """Offset in that segment."""
    last_lsn: int
    salt: int
    is_clean: bool
    """The log was closed: the segment ends at `synced`, and only zeros follow."""


def encode(log_id: bytes, segment: int, synced: int, last_lsn: int, salt: int, is_clean: bool = False) -> bytes:
    fields = FIELDS.pack(MAGIC, log_id, segment, synced, last_lsn, salt, CLEAN if is_clean else 0)
    return fields + CRC.pack(crc32(fields, 0))


def decode(data: bytes | None) -> Witness | None:
    """None: there is none, or it is garbled and therefore ignored."""
    if data is None or len(data) < WITNESS_BYTES:
        return None
    if CRC.unpack_from(data, FIELDS.size)[0] != crc32(data[: FIELDS.size], 0):
        return None
    magic, log_id, segment, synced, last_lsn, salt, flags = FIELDS.unpack_from(data)
    return Witness(log_id, segment, synced, last_lsn, salt, bool(flags & CLEAN)) if magic == MAGIC else None
