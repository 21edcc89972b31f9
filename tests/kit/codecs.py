"""Codecs that differ from the default: they have parameters and other checks, and use the context of a frame."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from typing_extensions import Buffer

from walogs.protocols import FrameContext

PLACE_BYTES: Final = 8
SLACK: Final = 64
"""More bytes than deflate adds to a body that it cannot compress."""


class DeflateCodec:
    """Compress bodies with zlib. A digest of the frame's context precedes them, so that no body decodes elsewhere."""

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

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return hashlib.blake2b(header + bytes(stored), digest_size=self.check_bytes).digest()


class LevelCodec(DeflateCodec):
    """A codec that is made from its parameters, as one is whose name stands in a segment header."""

    name: str = "level"

    def parameters(self) -> Mapping[str, object]:
        return {"level": self.level}


@dataclass
class LevelOptions:
    level: int = 6


class KeptCodec(LevelCodec):
    """A codec that can read other parameters by itself, as a codec with several keys can."""

    name: str = "kept"

    def with_parameters(self, parameters: Mapping[str, object]) -> DeflateCodec:
        if parameters["level"] == 9:
            raise ValueError("level 9 was thrown away")
        return KeptCodec(int(str(parameters["level"])))


def place(frame: FrameContext) -> bytes:
    """Return the context of a frame as bytes, without the limit: a reader may use another limit than the writer."""
    return hashlib.blake2b(repr(frame[:-1]).encode(), digest_size=PLACE_BYTES).digest()


class ReversingCodec:
    """Store bodies back to front. No library is involved, so the bytes are the same on every machine and release."""

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

    def check(self, header: bytes, stored: Buffer) -> bytes:
        seed = int.from_bytes(header[-4:], "little")
        return zlib.crc32(stored, seed).to_bytes(4, "little") + zlib.adler32(stored, seed).to_bytes(4, "big")


class MacCodec:
    """Store bodies as they are, under a check that needs a key."""

    name: str = "mac"
    check_bytes: int = 32
    identity: bool = True
    authenticates: bool = True

    def __init__(self, key: bytes = bytes(range(32))) -> None:
        self.key = key

    def parameters(self) -> Mapping[str, object]:
        return {}

    def with_parameters(self, parameters: Mapping[str, object]) -> MacCodec:
        if parameters:
            raise ValueError("it has none")
        return self

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return body_bytes

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        return body

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        return bytes(stored)

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return hmac.digest(self.key, header + bytes(stored), "sha256")
