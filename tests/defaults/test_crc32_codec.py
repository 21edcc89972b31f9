"""The default codec: a body is stored as it is, and its check depends on every byte and on the frame it belongs to."""

from __future__ import annotations

import subprocess
import sys
import zlib
from typing import Final

import pytest

from walogs.defaults.crc32_codec import Crc32Codec
from walogs.protocols import Codec
from walogs.testing.codec_samples import FRAME

CODEC: Final = Crc32Codec()


def header(crc: int) -> bytes:
    """Of a frame, as far as this codec looks: its last four bytes."""
    return bytes(44) + crc.to_bytes(4, "little")


BODIES: Final = [b"", b"\0", b"123456789", bytes(100), bytes(range(256)) * 40]


def test_it_is_a_codec_that_leaves_bodies_as_they_are() -> None:
    assert isinstance(CODEC, Codec)
    assert (CODEC.name, CODEC.check_bytes, CODEC.identity, dict(CODEC.parameters())) == ("crc32", 4, True, {})
    for body in BODIES:
        assert CODEC.encode(body, FRAME) == body
        assert CODEC.decode(memoryview(body), FRAME) == body
        assert CODEC.encoded_bytes_max(len(body)) == len(body)


@pytest.mark.guarantee("G20")
def test_the_check_is_crc_32_as_everybody_computes_it() -> None:
    assert CODEC.check(header(0), b"123456789") == (0xCBF43926).to_bytes(4, "little")
    for seed in (0, 1, 0xCBF43926, 0xFFFFFFFF):
        for body in BODIES:
            check = zlib.crc32(body, seed).to_bytes(4, "little")
            assert CODEC.check(header(seed), body) == CODEC.check(header(seed), memoryview(body)) == check


@pytest.mark.guarantee("G6")
def test_every_flipped_bit_changes_the_check() -> None:
    body = bytes(range(64))
    checks = {CODEC.check(header(99), body)}
    for bit in range(len(body) * 8):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        checks.add(CODEC.check(header(99), flipped))
    assert len(checks) == len(body) * 8 + 1


@pytest.mark.guarantee("G6")
def test_a_body_does_not_verify_under_another_frames_header() -> None:
    for body in BODIES:
        assert len({CODEC.check(header(seed), body) for seed in range(1000)}) == 1000


def test_without_zlib_ng_the_numbers_are_the_same() -> None:
    program = """
import sys
sys.modules["zlib_ng"] = None
from walogs.defaults.crc32_codec import Crc32Codec
import walogs.formats.crc32, zlib
assert walogs.formats.crc32.crc32 is zlib.crc32
print(Crc32Codec().check(bytes(44) + bytes.fromhex("efbeadde"), bytes(range(256))).hex())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == CODEC.check(header(0xDEADBEEF), bytes(range(256))).hex()
