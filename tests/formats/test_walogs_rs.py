"""A log of the Rust crate is known by its first frame, whole and checked; nothing else is taken for one."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.logs import crate_frame
from walogs.formats import walogs_rs
from walogs.formats.native import MAGIC


@pytest.mark.parametrize("frame", ["050000002f95e510010000000000000068656c6c6f", "00000000f1c67fb70100000000000000"])
def test_what_the_crate_wrote_is_recognised(frame: str) -> None:
    assert walogs_rs.recognises(bytes.fromhex(frame))


@given(st.integers(1, 2**64 - 1), st.binary(max_size=100), st.binary(max_size=50))
def test_any_first_frame_of_the_crate_is_recognised(lsn: int, data: bytes, rest: bytes) -> None:
    assert walogs_rs.recognises(crate_frame(lsn, data) + rest)


def test_every_flipped_bit_and_every_cut_makes_it_unknown() -> None:
    frame = crate_frame(1, b"hello")
    for bit in range(len(frame) * 8):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not walogs_rs.recognises(bytes(flipped))
    assert walogs_rs.recognises(b"")  # as the crate makes a new one
    for size in range(1, len(frame)):
        assert not walogs_rs.recognises(frame[:size])


@pytest.mark.parametrize("data", [bytes(16), bytes(5000), MAGIC, MAGIC + bytes(504), b"text that is longer than 16"])
def test_what_is_not_the_crate_s_is_not_taken_for_it(data: bytes) -> None:
    assert not walogs_rs.recognises(data)


def test_an_entry_numbered_zero_is_nobody_s() -> None:
    assert not walogs_rs.recognises(crate_frame(0, b"hello"))


def test_the_largest_entry_is_recognised_and_a_larger_one_is_not() -> None:
    largest = 16 * 1024 * 1024
    whole = crate_frame(1, bytes(largest))
    assert len(whole) == walogs_rs.HEAD_BYTES
    assert walogs_rs.recognises(whole)
    assert not walogs_rs.recognises(crate_frame(1, bytes(largest + 1)))


@pytest.mark.guarantee("G16")
@given(st.binary(max_size=100), st.integers(0, 2**32 - 1))
def test_any_bytes_are_the_crate_s_or_not(data: bytes, length: int) -> None:
    forged = struct.pack("<I", length) + data[4:]
    for head in (data, forged):
        assert walogs_rs.recognises(head) in (True, False)
