"""The codec. Stored is one byte that says how, and then the body:

    0  as it is
    1  one Zstandard frame: with the body's size in its header, without dictionary, smaller than the body

Anything else is refused as `walogs.Corrupt`, before anything is allocated for it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from walogs import Corrupt, crc32
from walogs_zstd.options import ZstdOptions

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from walogs import FrameContext

AS_IT_IS: Final = b"\0"
COMPRESSED: Final = b"\1"
MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""Of a Zstandard frame. One that is to be skipped, or of an old version, begins otherwise."""
NEVER_SMALLER: Final = 10
"""A body of so many bytes is no larger than what a Zstandard frame puts around its content."""


class ZstdCodec:
    """Bodies compressed by Zstandard, each by itself; one that does not get smaller is stored as it is.

    Raises `ValueError` for a level that there is not. Holds nothing between calls: what a compressor of a high level
    takes (tens of MB) is given back, at 4 µs a call.
    """

    name: str = "zstd"
    check_bytes: int = 4
    identity: bool = False

    def __init__(self, level: int = 3) -> None:
        self.level = ZstdOptions(level).level

    def __repr__(self) -> str:
        return f"ZstdCodec(level={self.level})"

    def parameters(self) -> Mapping[str, object]:
        """None: whatever the level was, decoding is the same."""
        return {}

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return body_bytes + 1

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        if len(body) > NEVER_SMALLER:
            compressed = zstd.compress(body, self.level)
            if len(compressed) < len(body):
                return COMPRESSED + compressed
        return AS_IT_IS + body

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        """Raises `walogs.Corrupt` for what no `encode` has stored: a CRC-32 keeps nobody from writing that."""
        data = memoryview(stored)
        how, data = bytes(data[:1]), data[1:]
        if how == AS_IT_IS:
            if len(data) > frame.body_bytes_max:
                raise refusal(frame, f"{len(data)} bytes are stored, and no body is over {frame.body_bytes_max}")
            return bytes(data)
        if how != COMPRESSED:
            raise refusal(frame, f"it is stored in a way that this release does not know ({how.hex() or 'nothing'})")
        return decompressed(data, frame)

    def check(self, seed: int, stored: Buffer) -> bytes:
        return crc32(stored, seed).to_bytes(4, "little")


def decompressed(data: memoryview, frame: FrameContext) -> bytes:
    """The content of the one Zstandard frame that *data* is. Its decoder takes as much memory as the size in its header
    says, and a window that is no larger; so that size is judged first."""
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
    """The size in the header of a Zstandard frame that is begun as a writer begins one. Raises `zstd.ZstdError` too."""
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
