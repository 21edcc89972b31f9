"""The name and the value of a cursor.

The value is 64 bytes that say how far a consumer has come in a log (docs/format.md).

 0   8  magic "WALCUR\\r\\n"         32   8  LSN
 8   4  format version, 1             40   8  time of the commit, Unix nanoseconds
12   4  flags, 0                      48  12  zeros
16  16  log id                        60   4  CRC-32 of bytes 0-59
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from walogs.errors import UnsupportedFormat
from walogs.formats.crc32 import crc32
from walogs.formats.segment_format import Malformed
from walogs.protocols.cursor_store import CURSOR_BYTES

MAGIC: Final = b"WALCUR\r\n"
VERSION: Final = 1
FIELDS: Final = Struct("<8sII16sQQ12x")
CRC: Final = Struct("<I")

NAME_MAX: Final = 63
NO_NAMES: Final = (".lock", ".tmp")
"""No name ends like this, because a store can have files of such names beside the values."""

assert FIELDS.size + CRC.size == CURSOR_BYTES


class CursorValue(NamedTuple):
    """What the value of a cursor says."""

    log_id: bytes
    """The log id of the log that the cursor belongs to: 16 bytes."""
    lsn: int
    """The LSN of the last entry that the consumer has committed."""
    time_ns: int
    """When it was committed: Unix time in nanoseconds."""


def is_name(text: str) -> bool:
    """Return whether a cursor can have this name (the rule is in `CursorStore`)."""
    if not 1 <= len(text) <= NAME_MAX or not text.isascii() or not text[0].isalnum():
        return False
    return not text.endswith(NO_NAMES) and all(letter.isalnum() or letter in "._-" for letter in text)


def encode(log_id: bytes, lsn: int, time_ns: int) -> bytes:
    """Return the value of a cursor."""
    fields = FIELDS.pack(MAGIC, VERSION, 0, log_id, lsn, time_ns)
    return fields + CRC.pack(crc32(fields, 0))


def decode(data: bytes) -> CursorValue:
    """Return what the value says. Raise `Malformed` if it is damaged, and `UnsupportedFormat` for a later version."""
    if len(data) != CURSOR_BYTES:
        raise Malformed(f"it has {len(data)} bytes, and not {CURSOR_BYTES}")
    if not data.startswith(MAGIC):
        raise Malformed("it does not begin as a cursor does")
    if CRC.unpack_from(data, FIELDS.size)[0] != crc32(data[: FIELDS.size], 0):
        raise Malformed("its CRC does not match its bytes")
    _, version, flags, log_id, lsn, time_ns = FIELDS.unpack_from(data)
    if version != VERSION or flags:
        found = f"version {version}" if version != VERSION else f"flags {flags:#x}"
        raise UnsupportedFormat(f"{found}; this release reads version {VERSION}, without flags", found=found)
    return CursorValue(log_id=log_id, lsn=lsn, time_ns=time_ns)
