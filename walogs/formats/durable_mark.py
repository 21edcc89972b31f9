"""The durable mark: 64 advisory bytes that say how far the log is durable (docs/format.md).

 0   8  magic "WALDUR\\r\\n"         48   4  that segment's salt
 8  16  log id                      52   4  flags: bit 0 CLEAN
24   8  segment number              56   4  link of the last frame with entries, its first 4 bytes
32   8  synced offset in it         60   4  CRC-32 of bytes 0-59
40   8  last durable LSN
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from walogs.formats.crc32 import crc32

DURABLE_MARK_BYTES: Final = 64
MAGIC: Final = b"WALDUR\r\n"
CLEAN: Final = 1
FIELDS: Final = Struct("<8s16sQQQII4s")
LINK_BYTES: Final = 4
CRC: Final = Struct("<I")

assert FIELDS.size + CRC.size == DURABLE_MARK_BYTES


class DurableMark(NamedTuple):
    """How far a log was synced when this mark was written."""

    log_id: bytes
    segment: int
    synced: int
    """Offset in that segment."""
    last_lsn: int
    salt: int
    link: bytes
    """The first bytes of the link of the last frame with entries before `synced`."""
    is_clean: bool
    """The log was closed. The segment ends at `synced`, and only zeros follow."""


def encode(
    log_id: bytes, segment: int, synced: int, last_lsn: int, salt: int, link: bytes, is_clean: bool = False
) -> bytes:
    """Return the bytes of a durable mark. *link* is a whole link, and the mark keeps its first 4 bytes."""
    fields = FIELDS.pack(MAGIC, log_id, segment, synced, last_lsn, salt, CLEAN if is_clean else 0, link)
    return fields + CRC.pack(crc32(fields, 0))


def decode(data: bytes | None) -> DurableMark | None:
    """Return the durable mark in *data*, or None if there is none or it is garbled."""
    if data is None or len(data) < DURABLE_MARK_BYTES:
        return None
    if CRC.unpack_from(data, FIELDS.size)[0] != crc32(data[: FIELDS.size], 0):
        return None
    magic, log_id, segment, synced, last_lsn, salt, flags, link = FIELDS.unpack_from(data)
    if magic != MAGIC:
        return None
    return DurableMark(
        log_id=log_id,
        segment=segment,
        synced=synced,
        last_lsn=last_lsn,
        salt=salt,
        link=link,
        is_clean=bool(flags & CLEAN),
    )
