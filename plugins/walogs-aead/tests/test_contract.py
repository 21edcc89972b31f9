"""Held to the contract of a codec that authenticates and encrypts."""

from __future__ import annotations

from typing import Final

import pytest

from walogs.testing import CodecContract
from walogs_aead.codec import AeadCodec

KEY: Final = bytes(range(32))
OTHER: Final = bytes(range(1, 33))


class TestAeadCodec(CodecContract):
    def codec(self) -> AeadCodec:
        return AeadCodec({"k": KEY}, "k")

    def without_key(self) -> AeadCodec:
        return AeadCodec({"k": OTHER}, "k")

    def secrets(self) -> list[bytes]:
        return [KEY]


class TestCompressingAeadCodec(TestAeadCodec):
    def codec(self) -> AeadCodec:
        pytest.importorskip("walogs_zstd")
        return AeadCodec({"k": KEY}, "k", compression="zstd")
