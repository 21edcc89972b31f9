"""What is stored is never more than a byte larger, and what no writer stored is refused before it takes any room."""

from __future__ import annotations

import random
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from struct import pack
from typing import Final

import pytest

import walogs
from tests.system.children import seed_of
from walogs.plugins import Codec, FrameContext
from walogs_zstd import ZstdCodec, ZstdOptions
from walogs_zstd.codec import zstd
from walogs_zstd.options import LEVEL_MAX, LEVEL_MIN

LIMIT: Final = 1 << 20
HEADER: Final = bytes(range(48))
FRAME: Final = FrameContext(
    log_id=bytes(range(16)),
    segment=3,
    salt=7,
    offset=4096,
    first_lsn=1207,
    entries=2,
    time_ns=5,
    synced=4000,
    link=bytes(8),
    body_bytes_max=LIMIT,
)
CODEC: Final = ZstdCodec()
WORDS: Final = b"one tea, two milks; "


def bodies() -> list[bytes]:
    rng = random.Random(7)
    sizes = [*range(40), 100, 1000, 4095, 65_536, 300_000, LIMIT]
    return [make(size) for size in sizes for make in (rng.randbytes, bytes, lambda size: (WORDS * size)[:size])]


def test_it_is_a_codec() -> None:
    assert isinstance(CODEC, Codec)
    assert (CODEC.name, CODEC.check_bytes, CODEC.identity, dict(CODEC.parameters())) == ("zstd", 4, False, {})


@pytest.mark.parametrize("level", [-131_072, -5, -1, 1, 3, 9, 19, 22])
def test_a_body_comes_back_and_is_never_stored_as_more_than_a_byte_more(level: int) -> None:
    codec = ZstdCodec(level)
    for body in bodies():
        stored = codec.encode(body, FRAME)
        assert len(stored) <= codec.encoded_bytes_max(len(body)) == len(body) + 1
        for lent in (stored, bytearray(stored), memoryview(b"?" + stored)[1:]):
            assert CODEC.decode(lent, FRAME) == body


def test_what_repeats_becomes_small() -> None:
    assert len(CODEC.encode(WORDS * 1000, FRAME)) < 200
    assert len(CODEC.encode(bytes(LIMIT), FRAME)) < 200


def test_no_body_that_is_left_as_it_is_untried_could_have_become_smaller() -> None:
    assert min(len(zstd.compress(bytes(size), 22)) for size in range(1, 40)) >= 10


@pytest.mark.parametrize("level", [0, 23, -131_073, 3.0, "3", None, True])
def test_a_level_that_there_is_not_is_refused(level: object) -> None:
    for make in (ZstdOptions, ZstdCodec):
        with pytest.raises(ValueError, match=r"level=.*: 1 to 22, or -131072 to -1"):
            make(level)  # type: ignore[arg-type]


def test_the_levels_are_the_librarys() -> None:
    assert zstd.CompressionParameter.compression_level.bounds() == (LEVEL_MIN, LEVEL_MAX)


@pytest.mark.guarantee("G6")
def test_the_check_sees_every_flipped_bit_and_belongs_to_its_frame() -> None:
    for stored in (CODEC.encode(WORDS * 20, FRAME), CODEC.encode(b"short", FRAME), CODEC.encode(b"", FRAME)):
        check = CODEC.check(HEADER, stored)
        assert len(check) == 4
        for bit in range(len(stored) * 8):
            flipped = bytearray(stored)
            flipped[bit // 8] ^= 1 << bit % 8
            assert CODEC.check(HEADER, flipped) != check
        assert len({CODEC.check(bytes(44) + seed.to_bytes(4, "little"), stored) for seed in range(1000)}) == 1000


# What no writer stores


def streamed(body: bytes) -> bytes:
    """Compressed without the size in front."""
    compressor = zstd.ZstdCompressor()
    return compressor.compress(body) + compressor.flush()


def crafted(content_bytes: int, window: int = 0x88, block_bytes: int = 1000, descriptor: int = 0x80) -> bytes:
    """A Zstandard frame by hand: its size, a window (2^27 bytes), and one block that repeats a byte."""
    block = (1 | 1 << 1 | block_bytes << 3).to_bytes(3, "little") + b"x"
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor, window]) + pack("<I", content_bytes) + block


def with_dictionary() -> bytes:
    return b"\x28\xb5\x2f\xfd" + bytes([0x81, 0x50, 7]) + crafted(1000)[6:]


SKIPPED: Final = b"\x50\x2a\x4d\x18" + pack("<I", 4) + b"junk"
ONE: Final = zstd.compress(WORDS * 100)
HUGE: Final = zstd.compress(bytes(1 << 26))
SIZE_AT: Final = slice(6, 10)
assert HUGE[SIZE_AT] == pack("<I", 1 << 26)


def claiming(size: int) -> bytes:
    """Another size in its header."""
    return HUGE[:6] + pack("<I", size) + HUGE[10:]


REFUSED: Final = {
    "nothing": (b"", "a way that this release does not know"),
    "another way": (b"\2" + ONE, "a way that this release does not know"),
    "too large as it is": (b"\0" + bytes(LIMIT + 1), "no body is over"),
    "too large compressed": (b"\1" + HUGE, "67108864 bytes are compressed in it, and no body is over"),
    "larger than can be": (b"\1" + claiming((1 << 32) - 1), "no body is over"),
    "larger than it says": (b"\1" + claiming(LIMIT), "cannot be decompressed|is not the"),
    "smaller than it says": (b"\1" + crafted(2000), "cannot be decompressed|is not the"),
    "no size": (b"\1" + streamed(WORDS * 100), "does not say how much"),
    "no size and huge": (b"\1" + streamed(bytes(1 << 26)), "does not say how much"),
    "two of them": (b"\1" + ONE + ONE, "something follows"),
    "garbage after it": (b"\1" + ONE + b"\0", "something follows"),
    "skipped after it": (b"\1" + ONE + SKIPPED, "something follows"),
    "skipped before it": (b"\1" + SKIPPED + ONE, "does not begin as"),
    "skipped alone": (b"\1" + SKIPPED, "does not begin as"),
    "compressed nothing": (b"\1" + zstd.compress(b""), "which no writer does"),
    "larger than its content": (b"\1" + zstd.compress(b"short"), "which no writer does"),
    "a dictionary": (b"\1" + with_dictionary(), "with a dictionary"),
    "a window of 2 TiB": (b"\1" + crafted(1000, window=0xF8), "cannot be decompressed"),
    "its beginning": (b"\1" + ONE[:5], "cannot be decompressed"),
    "all but its end": (b"\1" + ONE[:-1], "cannot be decompressed"),
    "a flag that is reserved": (b"\1" + crafted(1000, descriptor=0x88), "cannot be decompressed"),
}


def test_what_is_made_by_hand_is_otherwise_good() -> None:
    assert CODEC.decode(b"\1" + crafted(1000), FRAME) == b"x" * 1000
    assert CODEC.decode(b"\1" + ONE, FRAME) == WORDS * 100
    assert CODEC.decode(b"\1" + HUGE, FRAME._replace(body_bytes_max=1 << 26)) == bytes(1 << 26)


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_writer_stored_is_refused_by_name_and_place(case: str) -> None:
    stored, why = REFUSED[case]
    with pytest.raises(walogs.Corrupt, match=why) as refused:
        CODEC.decode(stored, FRAME)
    assert (refused.value.segment, refused.value.offset, refused.value.lsn) == (3, 4096, 1207)
    assert "segment 3 is corrupt at byte 4096 (entry 1207)" in str(refused.value)


def test_the_limit_itself_is_no_bomb() -> None:
    for body in (bytes(LIMIT), random.Random(1).randbytes(LIMIT)):
        stored = CODEC.encode(body, FRAME)
        assert CODEC.decode(stored, FRAME) == body
        with pytest.raises(walogs.Corrupt, match="no body is over 1048575"):
            CODEC.decode(stored, FRAME._replace(body_bytes_max=LIMIT - 1))


def test_bombs_take_no_memory() -> None:
    """Measured in a process of its own: what its resident set was at most."""
    bombs = [case for case, (stored, _) in REFUSED.items() if stored[:1] == b"\1"]
    stored = [REFUSED[case][0] for case in bombs]
    program = """
import sys
import walogs
from walogs.plugins import FrameContext
from walogs_zstd import ZstdCodec

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

frame, codec = FrameContext(bytes(16), 1, 1, 512, 1, 1, 5, 512, bytes(8), 1 << 20), ZstdCodec()
stored = [bytes.fromhex(line) for line in sys.stdin.read().split()]
assert codec.decode(codec.encode(bytes(1 << 20), frame), frame) == bytes(1 << 20)
before = peak()
for one in stored:
    try:
        codec.decode(one, frame)
    except walogs.Corrupt:
        continue
    sys.exit(f"{one[:40]!r} was decoded")
print(peak() - before)
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs Linux: what a process takes is read from /proc")
    given = "\n".join(one.hex() for one in stored)
    ran = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 4 << 10, f"{ran.stdout} KiB more than before"


def test_any_bytes_are_decoded_or_refused_and_never_more_than_the_limit() -> None:
    rng = random.Random(seed_of("any bytes"))
    limit = FRAME._replace(body_bytes_max=5000)
    for _ in range(3000):
        stored = bytearray(CODEC.encode(rng.choice((WORDS * 50, rng.randbytes(30), bytes(4000))), limit))
        for _ in range(rng.randrange(1, 4)):
            stored[rng.randrange(len(stored))] = rng.randrange(256)
        if rng.randrange(3) == 0:
            del stored[rng.randrange(len(stored)) :]
        try:
            assert len(CODEC.decode(stored, limit)) <= 5000
        except walogs.Corrupt:
            pass


STORED: Final = bytes.fromhex("0128b52ffd602002dd0000a06f6e65207465612c2074776f206d696c6b733b200100125e3599")
"""By backports.zstd on Python 3.11, and the same by the standard library of 3.15."""


@pytest.mark.guarantee("G20")
def test_what_another_python_has_stored_is_read() -> None:
    assert CODEC.decode(STORED, FRAME) == WORDS * 40


@pytest.mark.skipif(sys.version_info < (3, 14), reason="the standard library has Zstandard from Python 3.14 on")
def test_it_is_the_standard_librarys_and_nothing_else_is_installed_for_it() -> None:
    assert zstd.__name__ == "compression.zstd"
    required = [one for one in metadata.requires("walogs-zstd") or () if one.startswith("backports")]
    assert len(required) == 1
    assert "python_version < '3.14'" in required[0].replace('"', "'"), "it is installed for older ones only"
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("backports.zstd")


LATER_PYTHON = """
import sys, types
from backports import zstd
package = types.ModuleType("compression")
package.zstd = zstd
sys.modules |= {"compression": package, "compression.zstd": zstd, "backports": None}
sys.version_info = (3, 14, 0, "final", 0)
from walogs_zstd import ZstdCodec, codec
from walogs.plugins import FrameContext
assert codec.zstd is zstd
frame = FrameContext(bytes(16), 1, 2, 512, 1, 1, 5, 512, bytes(8), 1 << 20)
body = b"one tea, " * 1000
assert ZstdCodec().decode(ZstdCodec(level=3).encode(body, frame), frame) == body
print("by the standard library")
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="it is what every other test uses there")
def test_from_python_3_14_on_it_takes_the_standard_librarys(tmp_path: Path) -> None:
    """Which has the same names: backports.zstd is its copy for older ones."""
    ran = subprocess.run(
        [sys.executable, "-c", LATER_PYTHON], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ran.stdout == "by the standard library\n", ran.stderr
