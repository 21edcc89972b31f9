"""Codecs that are nothing like the default: with parameters, other checks, and a mind for the place of a frame."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from typing_extensions import Buffer

from walogs.protocols import FrameContext

PLACE_BYTES: Final = 8
SLACK: Final = 64
"""What deflate may add to a body that it cannot compress, and more."""


class DeflateCodec:
    """Bodies compressed by zlib, after a digest of the place it was encoded for; decoded elsewhere, it is refused."""

    name: str = "deflate"
    check_bytes: int = 6
    identity: bool = False

    def __init__(self, level: int = 6) -> None:
        self.level = level

    def parameters(self) -> Mapping[str, object]:
        return {"level": self.level, "what": "größer"}

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return PLACE_BYTES + body_bytes + body_bytes // 1000 + SLACK

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        return place(frame) + zlib.compress(body, self.level)

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        data = bytes(stored)
        if data[:PLACE_BYTES] != place(frame):
            raise ValueError(f"decoded for another place than it was encoded for: {frame}")
        inflate = zlib.decompressobj()
        body = inflate.decompress(data[PLACE_BYTES:], frame.body_bytes_max)
        if not inflate.eof:
            raise ValueError("larger than any body of this log")
        return body

    def check(self, seed: int, stored: Buffer) -> bytes:
        return hashlib.blake2b(stored, digest_size=self.check_bytes, key=seed.to_bytes(4, "little")).digest()


class LevelCodec(DeflateCodec):
    """Made from its parameters, as a codec is that a stamp names."""

    name: str = "level"

    def parameters(self) -> Mapping[str, object]:
        return {"level": self.level}


@dataclass
class LevelOptions:
    level: int = 6


class KeptCodec(LevelCodec):
    """It alone knows its other parameters, as a codec does that has keys."""

    name: str = "kept"

    def with_parameters(self, parameters: Mapping[str, object]) -> DeflateCodec:
        if parameters["level"] == 9:
            raise ValueError("level 9 was thrown away")
        return KeptCodec(int(str(parameters["level"])))


def place(frame: FrameContext) -> bytes:
    """All of a frame's context but the limit, which a reader may set differently."""
    return hashlib.blake2b(repr(frame[:-1]).encode(), digest_size=PLACE_BYTES).digest()


class ReversingCodec:
    """Bodies stored back to front: pure arithmetic, so that its bytes are the same everywhere and for ever."""

    name: str = "reversing"
    check_bytes: int = 8
    identity: bool = False

    def parameters(self) -> Mapping[str, object]:
        return {"turns": 1, "why": "golden"}

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return body_bytes + 1

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        return bytes([frame.entries & 0xFF]) + body[::-1]

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        data = bytes(stored)
        if data[0] != frame.entries & 0xFF:
            raise ValueError(f"of a frame of {data[0]} entries, not {frame.entries}")
        return data[:0:-1]

    def check(self, seed: int, stored: Buffer) -> bytes:
        return zlib.crc32(stored, seed).to_bytes(4, "little") + zlib.adler32(stored, seed).to_bytes(4, "big")
