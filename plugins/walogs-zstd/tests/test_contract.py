"""Held to the contract of a codec, as any."""

from __future__ import annotations

from walogs.testing import CodecContract
from walogs_zstd.codec import ZstdCodec


class TestZstdCodec(CodecContract):
    def codec(self) -> ZstdCodec:
        return ZstdCodec()
