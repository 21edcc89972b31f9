"""Bodies whose bytes are shifted: a codec that hides nothing, and shows all that a codec has."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import Buffer

import walogs


@dataclass(frozen=True)
class TemplateOptions:
    """What users may set, with its types, defaults and checks."""

    by: int = 13

    def __post_init__(self) -> None:
        if not 0 <= self.by <= 255:
            raise ValueError(f"by={self.by!r}: 0 to 255")


class TemplateCodec:
    name = "template"  # stamped into every segment: the name that users write
    check_bytes = 4
    identity = False

    def __init__(self, by: int = 13) -> None:
        self.by = TemplateOptions(by).by
        self._there = bytes((byte + by) % 256 for byte in range(256))
        self._back = bytes((byte - by) % 256 for byte in range(256))

    def parameters(self) -> Mapping[str, object]:
        """What reading needs, and no secret: they are stamped too. Made from them, a codec reads the segment."""
        return {"by": self.by}

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return body_bytes

    def encode(self, body: bytes, frame: walogs.FrameContext) -> bytes:
        return body.translate(self._there)

    def decode(self, stored: Buffer, frame: walogs.FrameContext) -> bytes:
        size = memoryview(stored).nbytes
        if size > frame.body_bytes_max:
            raise ValueError(f"{size} bytes are more than a body of this log may have ({frame.body_bytes_max})")
        return bytes(stored).translate(self._back)

    def check(self, seed: int, stored: Buffer) -> bytes:
        """Over what is stored, from *seed* on: damage shows without decoding, also of a frame in a wrong place."""
        return zlib.crc32(stored, seed).to_bytes(4, "little")
