"""`crc32`: the codec that stores a body as it is, with a CRC-32.

It does not protect a log against an attacker. A codec that authenticates does.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from walogs.formats.crc32 import crc32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from walogs.protocols import FrameContext


crc_of: Final = Struct("<44xI").unpack_from


class Crc32Codec:
    """The default codec. It stores a body as it is, and its check is a CRC-32 (the polynomial of zlib).

    Random damage passes the check once in 2^32 cases (A4).
    """

    name: str = "crc32"
    check_bytes: int = 4
    identity: bool = True
    checks_by_crc32: bool = True

    def parameters(self) -> Mapping[str, object]:
        """See `Codec.parameters`."""
        return {}

    def encoded_bytes_max(self, body_bytes: int) -> int:
        """See `Codec.encoded_bytes_max`."""
        return body_bytes

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        """See `Codec.encode`."""
        return body

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        """See `Codec.decode`."""
        return bytes(stored)

    def check(self, header: bytes, stored: Buffer) -> bytes:
        """See `Codec.check`."""
        return crc32(stored, crc_of(header)[0]).to_bytes(4, "little")


__all__: Final = ["Crc32Codec"]
