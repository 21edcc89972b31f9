"""What a body is bound to: where its frame is, and how it is encrypted. Integers are little-endian.

     0  16  "walogs-aead 1", then zeros
    16   1  length of the cipher's name, then the name
         1  length of the key id, then the id
         1  length of the log id, then the id
         8  segment number
         8  salt
         8  offset
         8  first LSN
         8  entries

Bytes on people's disks depend on it: it never changes under this name. `body_bytes_max` is a reader's own limit, and no
part of it.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from walogs import FrameContext

MAGIC: Final = b"walogs-aead 1".ljust(16, b"\0")
NUMBERS: Final = Struct("<QQQQQ")


def prefix_of(cipher: str, key_id: str) -> bytes:
    """The part that is the same for every frame of a codec."""
    return MAGIC + with_length(cipher.encode()) + with_length(key_id.encode())


def associated_data(prefix: bytes, frame: FrameContext) -> bytes:
    """What the frame's body is authenticated with, beside itself."""
    numbers = NUMBERS.pack(frame.segment, frame.salt, frame.offset, frame.first_lsn, frame.entries)
    return prefix + with_length(frame.log_id) + numbers


def with_length(data: bytes) -> bytes:
    return bytes([len(data)]) + data
