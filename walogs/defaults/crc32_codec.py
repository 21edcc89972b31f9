"""`crc32`: a body is stored as it is, with its CRC-32. No defence against an adversary: an AEAD codec is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from walogs.formats.crc32 import crc32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from walogs.protocols import FrameContext


class Crc32Codec:
    """The default codec: the identity, checked by CRC-32 (zlib polynomial). Random damage passes once in 2^32 (A4)."""

    name: str = "crc32"
    check_bytes: int = 4
    identity: bool = True

    def parameters(self) -> Mapping[str, object]:
        return {}

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return body_bytes

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        return body

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        return bytes(stored)

    def check(self, seed: int, stored: Buffer) -> bytes:
        return crc32(stored, seed).to_bytes(4, "little")


__all__: Final = ["Crc32Codec"]
