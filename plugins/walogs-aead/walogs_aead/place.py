"""The associated data of a body: what its frame says, and how the body is encrypted. Integers are little-endian.

     0  16  "walogs-aead 1", then zeros
    16   1  length of the cipher's name, then the name
         1  length of the key id, then the id
         1  length of the log id, then the id
         8  segment number
         8  salt
         8  offset
         8  first LSN
         8  entries
         8  time of the commit
         8  watermark: how far the segment was synced
         1  length of the link, then the link to the frame before

This layout never changes under the name `aead`, because existing logs depend on it. `body_bytes_max` is not a part of
it: that is a limit of the reader.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from walogs.plugins import FrameContext

MAGIC: Final = b"walogs-aead 1".ljust(16, b"\0")
NUMBERS: Final = Struct("<QQQQQQQ")


def prefix_of(cipher: str, key_id: str) -> bytes:
    """Return the part that is the same for every frame of a codec."""
    return MAGIC + with_length(cipher.encode()) + with_length(key_id.encode())


def associated_data(prefix: bytes, frame: FrameContext) -> bytes:
    """Return the associated data of a frame's body."""
    numbers = NUMBERS.pack(
        frame.segment, frame.salt, frame.offset, frame.first_lsn, frame.entries, frame.time_ns, frame.synced
    )
    return prefix + with_length(frame.log_id) + numbers + with_length(frame.link)


def with_length(data: bytes) -> bytes:
    return bytes([len(data)]) + data
