"""Damaged segment headers, and garbage instead of a segment."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

import walogs
from tests.bad_input.contents import DATA, opened_or_refused
from tests.kit.logs import HEADER, SECTOR, LogOnDisk, numbered, segment_name

# Damaged headers


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("number", [6, 3], ids=["newest", "older"])
def test_a_segment_header_damaged_in_any_position_is_refused(long_log: LogOnDisk, number: int) -> None:
    pristine, before = long_log.segment(number).read_bytes(), {}
    for at in range(0, HEADER * 8, 23):
        long_log.segment(number).write_bytes(pristine)
        long_log.flip(number, at // 8, 1 << at % 8)
        before = long_log.looks()
        with pytest.raises(walogs.Corrupt) as refused:
            long_log.open(verify="last" if at % 2 else "full")
        assert refused.value.segment == number
        assert segment_name(number) in str(refused.value)
        assert long_log.looks() == before


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("number", [6, 3], ids=["newest", "older"])
def test_a_segment_header_cut_short_or_zeroed_is_refused(long_log: LogOnDisk, number: int) -> None:
    pristine = long_log.segment(number).read_bytes()
    for content in (b"", pristine[:1], pristine[:8], pristine[:511], bytes(512) + pristine[512:], bytes(len(pristine))):
        long_log.segment(number).write_bytes(content)
        long_log.refuses(walogs.Corrupt, segment_name(number), "Nothing was changed")


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize(
    ("at", "value"),
    [
        (12, bytes(4)),  # salt 0
        (48, struct.pack("<Q", 2)),  # another number
        (48, struct.pack("<Q", 2**64 - 1)),
        (64, struct.pack("<Q", 0)),  # first LSN 0
        (100, b"\x40"),  # a codec name of 64 bytes
        (100, b"\xff"),
        (101, b"\xff\xfe"),  # a codec name that is not UTF-8
        (164, struct.pack("<H", 279)),  # parameters that are longer than the space for them
    ],
)  # fmt: skip
def test_a_header_with_impossible_values_under_a_valid_crc_is_refused(log: LogOnDisk, at: int, value: bytes) -> None:
    log.reheader(1, at, value).refuses(walogs.Corrupt, "wal-000001.log", "Nothing was changed")


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize(
    ("at", "value"),
    [
        (64, struct.pack("<Q", 2)),  # another first LSN than that of the frames, which is 1
        (64, struct.pack("<Q", 2**64 - 1)),
        (72, struct.pack("<Q", 0)),  # first LSN 0
        (72, struct.pack("<Q", 99)),  # a first LSN beyond the segment
        (72, struct.pack("<Q", 2**64 - 1)),
        (56, struct.pack("<Q", 2**64 - 1)),  # the highest epoch
        (88, struct.pack("<Q", 2**64 - 1)),  # created at the highest time
    ],
)  # fmt: skip
def test_a_header_that_contradicts_the_log_never_ends_in_anything_undocumented(
    log: LogOnDisk, at: int, value: bytes
) -> None:
    log.reheader(1, at, value)
    wal = opened_or_refused(log)
    if wal is not None:
        with wal:
            assert [data for _, data in wal] == list(DATA)
            wal.append(b"next")
            wal.rotate()
        assert [data for _, data in log.entries()] == [*DATA, b"next"]


# Garbage of any kind


@pytest.mark.guarantee("G6", "G16", "G17")
@pytest.mark.parametrize("size", [1, 7, 8, 15, 16, 17, 511, 512, 513, 4096, 100_000])
def test_garbage_under_the_name_of_a_segment_is_refused(tmp_path: Path, size: int) -> None:
    print(f"seed {size}")
    rng = random.Random(size)
    kinds = [
        bytes(size),
        b"\xff" * size,
        rng.randbytes(size),
        (b"text\n" * size)[:size],
        (b"\x89WALOG\r\n" * size)[:size],
    ]
    kinds += [(b"\x89WALOG\r\n\1\0\0\0" + rng.randbytes(size))[:size], (b"\xd7\x57" * size)[:size]]
    for at, garbage in enumerate(kinds):
        log = LogOnDisk(tmp_path / f"{at}").put({"wal-000001.log": garbage})
        log.refuses(walogs.Corrupt, "wal-000001.log", str(log.path), "Nothing was changed")
        log.refuses(walogs.Corrupt, recovery="prefix", verify="last")


@pytest.mark.guarantee("G6", "G16")
def test_garbage_after_any_beginning_of_a_log_is_told_from_it(log: LogOnDisk) -> None:
    """Replace everything after some frame by random bytes. Without a durable mark, the frames before them are kept."""
    print("seed 17")
    rng, pristine = random.Random(17), log.files()["wal-000001.log"]
    frames = log.frames(1)
    for kept, frame in enumerate(frames):
        for size in (1, 40, 300, SECTOR, 5000):
            log.put({"wal-000001.log": pristine[: frame.offset] + rng.randbytes(size)})
            log.goes_on(numbered(1, *DATA[:kept]))
