"""A codec that shifts every byte of a body. It protects nothing, and shows all members of a codec."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import Buffer

import walogs


@dataclass(frozen=True)
class TemplateOptions:
    """The options that users may set, with their types, defaults and checks."""

    by: int = 13

    def __post_init__(self) -> None:
        if not 0 <= self.by <= 255:
            raise ValueError(f"by={self.by!r}: 0 to 255")


class TemplateCodec:
    name = "template"  # Users write this name, and every segment contains it.
    check_bytes = 4
    identity = False

    def __init__(self, by: int = 13) -> None:
        self.by = TemplateOptions(by).by
        self._there = bytes((byte + by) % 256 for byte in range(256))
        self._back = bytes((byte - by) % 256 for byte in range(256))

    def parameters(self) -> Mapping[str, object]:
        """Return what a codec needs to read the segment. Every segment contains it, so it must not be a secret."""
        return {"by": self.by}

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return body_bytes

    def encode(self, body: bytes, frame: walogs.plugins.FrameContext) -> bytes:
        return body.translate(self._there)

    def decode(self, stored: Buffer, frame: walogs.plugins.FrameContext) -> bytes:
        size = memoryview(stored).nbytes
        if size > frame.body_bytes_max:
            raise ValueError(f"{size} bytes are more than a body of this log may have ({frame.body_bytes_max})")
        return bytes(stored).translate(self._back)

    def check(self, header: bytes, stored: Buffer) -> bytes:
        """Return the CRC-32 of the stored bytes, started from the header's own CRC.

        It shows damage without decoding. It also shows a body that has the header of another frame.
        """
        return zlib.crc32(stored, int.from_bytes(header[-4:], "little")).to_bytes(4, "little")
