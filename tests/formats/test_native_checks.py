"""Both ways to check frames find the same: the fast one for CRC-32, and the plain one that asks the codec."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import Buffer

from walogs.defaults.crc32_codec import Crc32Codec
from walogs.formats import native_checks
from walogs.formats.crc32 import check_by_crc, crc32
from walogs.formats.native import NativeFormat
from walogs.formats.segment_format import CheckedRun

FORMAT = NativeFormat()
SALT, LINK, START = 0x0BADF00D, b"\1bef\0\0\0\0", 512

commits = st.lists(st.lists(st.binary(max_size=30), max_size=3), min_size=1, max_size=9)


class AskedCodec(Crc32Codec):
    """The same check, but the engine has to ask for it."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return Crc32Codec().check(header, stored)


def run_of(groups: list[list[bytes]]) -> tuple[bytes, list[int]]:
    """The frames of these commits, and where each begins. A frame without entries is a CHECKPOINT."""
    run, lsn, link, begins = b"", 7, LINK, []
    for number, entries in enumerate(groups):
        begins.append(len(run))
        offset = START + len(run)
        if entries:
            frame, link = FORMAT.encode_entries(
                SALT, offset, START, link, lsn, len(entries), number, FORMAT.body(entries), Crc32Codec()
            )
            run, lsn = run + bytes(frame), lsn + len(entries)
        else:
            run += FORMAT.encode_checkpoint(SALT, offset, START, link, 1, number, Crc32Codec())
    return run, begins


def both(run: bytes, index: int, lsn: int, link: bytes | None, room: int) -> CheckedRun:
    """What both ways find, which must be the same."""
    fast, plain = (
        FORMAT.intact(run, index, START + index, SALT, lsn, link, room, codec) for codec in (Crc32Codec(), AskedCodec())
    )
    assert tuple(fast[:-1]) == tuple(plain[:-1])
    assert list(fast.lengths) == list(plain.lengths)
    return fast


@given(commits, st.integers(0, 400), st.booleans(), st.integers(0, 60))
def test_both_find_the_same_frames(groups: list[list[bytes]], room: int, is_link_known: bool, cut: int) -> None:
    run, begins = run_of(groups)
    for whole in (run, run[: max(len(run) - cut, 0)]):
        lsn = 7
        for entries, begin in zip(groups, begins, strict=True):
            if begin + 48 <= len(whole):
                found = both(whole, begin, lsn, LINK if is_link_known and not begin else None, room)
                if found.lengths:
                    assert found.frames == found.entries == len(found.lengths)
            lsn += len(entries)


def mended(run: bytearray, begin: int, *, header: bool, check: bool) -> bytes:
    """The run, with the CRC of the header of a frame, or its check, made right again."""
    size = struct.unpack_from("<I", run, begin + 4)[0]
    end = begin + 48 + size
    if header:
        run[begin + 44 : begin + 48] = struct.pack("<I", crc32(bytes(run[begin : begin + 44]), SALT))
    if check and begin + 52 <= end <= len(run):
        crc = struct.unpack_from("<I", run, begin + 44)[0]
        run[end - 4 : end] = struct.pack("<I", crc32(bytes(run[begin + 48 : end - 4]), crc))
    return bytes(run)


@pytest.mark.parametrize("is_mended", [(False, False), (True, False), (True, True)], ids=str)
@pytest.mark.parametrize("frame", [0, 1, 3])
def test_both_stop_at_the_same_change(frame: int, is_mended: tuple[bool, bool]) -> None:
    """Each bit of a frame among single entries is flipped, and the CRCs are made right again, or they are not."""
    run, begins = run_of([[b"%d" % number] for number in range(5)])
    begin, end = begins[frame], begins[frame + 1]
    for bit in range(8 * begin, 8 * end):
        changed = bytearray(run)
        changed[bit // 8] ^= 1 << bit % 8
        made = mended(changed, begin, header=is_mended[0], check=is_mended[1])
        found = both(made, 0, 7, None, 1 << 20)
        if bit // 8 < begin + 44 and not is_mended[0]:
            assert found.frames == frame, "the header has another CRC"


@given(
    st.integers(0, 20).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=5, max_size=9)),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=2),
    st.integers(0, 8),
    st.booleans(),
    st.integers(0, 700),
    st.sampled_from((START, START, 2**32 - 64)),
)
def test_frames_of_one_length_are_found_as_others_are(
    entries: list[bytes], changes: list[tuple[int, int]], frame: int, is_mended: bool, full: int, start: int
) -> None:
    run, begins = run_of([[entry] for entry in entries])
    changed = bytearray(run)
    for at, byte in changes:
        changed[at % len(run)] = byte
    data = mended(changed, begins[frame % len(begins)], header=True, check=True) if is_mended else bytes(changed)
    alike = native_checks.singles_alike(data, 0, start, SALT, 7, LINK, full)
    plain = native_checks.singles_by_crc32(data, 0, start, SALT, 7, LINK, full)
    assert alike is None or alike._replace(lengths=[*alike.lengths]) == plain
    if not changes and start == START:
        assert (alike is not None) == (plain.frames >= native_checks.ALIKE_MIN)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_both_find_the_same_in_any_bytes(run: bytes, index: int) -> None:
    if index + 32 <= len(run):
        both(run, index, 7, None, 1 << 20)


@pytest.mark.guarantee("G16")
def test_the_fast_way_takes_every_frame_but_the_last() -> None:
    """Otherwise the tests above would compare the plain way with itself."""
    run, begins = run_of([[b"one"], [b"two"], [b"three"]])
    singles = native_checks.singles_by_crc32(run, 0, START, SALT, 7, LINK, 1 << 20)
    assert (singles.frames, singles.end, list(singles.lengths)) == (2, begins[2], [3, 3])
    assert Crc32Codec.check is check_by_crc
    assert AskedCodec.check is not check_by_crc
