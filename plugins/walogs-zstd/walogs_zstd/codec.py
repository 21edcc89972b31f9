"""The codec. The first stored byte says how the body is stored after it:

    0  the body is not compressed
    1  one Zstandard frame, with the body's size in its header, without a dictionary, smaller than the body

The codec refuses all other bytes as `walogs.Corrupt`, before it allocates memory for the body.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from walogs import Corrupt
from walogs.plugins import crc32
from walogs_zstd.options import ZstdOptions

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from walogs.plugins import FrameContext

AS_IT_IS: Final = b"\0"
COMPRESSED: Final = b"\1"
MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""The first bytes of a Zstandard frame. Skippable frames, and frames of old versions, begin with other bytes."""
NEVER_SMALLER: Final = 10
"""A body of at most this many bytes is no larger than the bytes that a Zstandard frame adds."""


class ZstdCodec:
    """A codec that compresses each body by itself. It stores a body unchanged if compression does not make it smaller.

    Raises `ValueError` for a level that does not exist. The codec keeps no memory between calls: a compressor of a high
    level takes tens of MB, and making one for each call costs 4 µs.
    """

    name: str = "zstd"
    check_bytes: int = 4
    identity: bool = False
    checks_by_crc32: bool = True

    def __init__(self, level: int = 3) -> None:
        self.level = ZstdOptions(level).level

    def __repr__(self) -> str:
        return f"ZstdCodec(level={self.level})"

    def parameters(self) -> Mapping[str, object]:
        """Return no parameters: decoding does not depend on the level."""
        return {}

    def encoded_bytes_max(self, body_bytes: int) -> int:
        """Return the size of a body that is stored unchanged: one byte more than the body."""
        return body_bytes + 1

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        """Return the stored bytes of a body: compressed, if that makes it smaller."""
        if len(body) > NEVER_SMALLER:
            compressed = zstd.compress(body, self.level)
            if len(compressed) < len(body):
                return COMPRESSED + compressed
        return AS_IT_IS + body

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        """Return the body. Raises `walogs.Corrupt` for bytes that no `encode` returns.

        Such bytes can have a correct check, since anybody can compute a CRC-32.
        """
        data = memoryview(stored)
        how, data = bytes(data[:1]), data[1:]
        if how == AS_IT_IS:
            if len(data) > frame.body_bytes_max:
                raise refusal(frame, f"{len(data)} bytes are stored, and no body is over {frame.body_bytes_max}")
            return bytes(data)
        if how != COMPRESSED:
            raise refusal(frame, f"it is stored in a way that this release does not know ({how.hex() or 'nothing'})")
        return decompress(data, frame)

    def check(self, header: bytes, stored: Buffer) -> bytes:
        """Return the CRC-32 of the stored bytes, started from the header's own CRC."""
        return crc32(stored, int.from_bytes(header[-4:], "little")).to_bytes(4, "little")


def decompress(data: memoryview, frame: FrameContext) -> bytes:
    """Return the content of *data*, which is one Zstandard frame. Raises `walogs.Corrupt`.

    The decoder allocates the size that the frame's header states, and a window that is no larger. So this function
    checks that size first.
    """
    try:
        size = declared_bytes(data, frame)
        if size > frame.body_bytes_max:
            raise refusal(frame, f"{size} bytes are compressed in it, and no body is over {frame.body_bytes_max}")
        if size <= len(data):
            raise refusal(frame, f"{size} bytes are compressed to {len(data)}, which no writer does")
        if zstd.get_frame_size(data) != len(data):
            raise refusal(frame, "something follows what is compressed")
        decompressor = zstd.ZstdDecompressor()
        body = decompressor.decompress(data, size)
    except zstd.ZstdError as error:
        raise refusal(frame, f"it cannot be decompressed ({error})") from None
    if len(body) != size or not decompressor.eof:
        raise refusal(frame, f"it is not the {size} bytes that it says, compressed")
    return body


def declared_bytes(data: memoryview, frame: FrameContext) -> int:
    """Return the size of the body that the header of a Zstandard frame states.

    Raises `walogs.Corrupt` for a header that this codec never writes, and `zstd.ZstdError`.
    """
    if bytes(data[:4]) != MAGIC:
        raise refusal(frame, "what is compressed does not begin as a Zstandard frame does")
    header = zstd.get_frame_info(data)
    if header.dictionary_id:
        raise refusal(frame, "it is compressed with a dictionary")
    if header.decompressed_size is None:
        raise refusal(frame, "it does not say how much is compressed in it")
    return header.decompressed_size


def refusal(frame: FrameContext, why: str) -> Corrupt:
    where = f"segment {frame.segment} is corrupt at byte {frame.offset} (entry {frame.first_lsn})"
    message = f"{where}: its check holds, but {why}. Nothing was changed. Restore the segment from a copy."
    return Corrupt(message, segment=frame.segment, offset=frame.offset, lsn=frame.first_lsn)


__all__: Final = ["ZstdCodec"]
