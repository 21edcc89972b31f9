"""No byte of a frame makes Arrow's code read outside of it: the columns of any bytes are what `payloads` makes of them.

The checks of a frame prove who wrote it, and not that its writer had no bug.
"""

from __future__ import annotations

import random
from array import array
from struct import error as StructError  # noqa: N812
from struct import pack_into
from typing import Final

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from walogs.arrow.record_batches import ColumnBuilder
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.formats.native import NativeFormat
from walogs.formats.native_columns import bodies_by_headers
from walogs.formats.native_runs import payloads_by_lengths
from walogs.formats.segment_format import AnyBodies, Bodies, Malformed, Singles, SinglesAlike

FORM: Final = NativeFormat()
CODEC: Final = Crc32Codec()
NUMBERS: Final = st.one_of(
    st.integers(0, 40), st.sampled_from([1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 5, (1 << 32) - 1])
)
COMMIT: Final = st.lists(
    st.sampled_from([b"", b"a", b"twelve bytes", b"thirteen byte", bytes(300)]), min_size=1, max_size=4
)
RUNS: Final = st.one_of(
    st.lists(COMMIT, min_size=1, max_size=6),
    st.lists(st.just([b"equal"]), min_size=8, max_size=20),
    st.builds(lambda small: [*small, [bytes(70_000), b"large"]], st.lists(COMMIT, max_size=3)),
)

SINGLES: Final = st.one_of(
    st.lists(st.binary(max_size=40), min_size=1, max_size=20),
    st.integers(0, 300).flatmap(
        lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=20)
    ),
)


def run_of(commits: list[list[bytes]]) -> bytearray:
    """Return the frames of these commits, one after another."""
    run, lsn = bytearray(), 1
    for commit in commits:
        frame, _ = FORM.encode_entries(
            salt=1,
            offset=512 + len(run),
            synced=0,
            link=bytes(8),
            first_lsn=lsn,
            count=len(commit),
            time_ns=lsn,
            stored=FORM.body(commit),
            codec=CODEC,
        )
        run += frame
        lsn += len(commit)
    return run


def by_columns(run: bytes) -> list[bytes] | str:
    """Return the data that the columns hold, or the error."""
    try:
        batches = ColumnBuilder(FORM).build(FORM.bodies(run, CODEC.check_bytes), 1, 1, 1 << 60)
    except Malformed as error:
        return str(error)
    for batch in batches:
        batch.validate(full=True)
    table = pa.Table.from_batches(
        batches, ColumnBuilder(FORM).build(FORM.bodies(run_of([[b""]]), 4), 1, 1, 9)[0].schema
    )
    lsns: list[int] = table["lsn"].to_pylist()
    assert lsns == list(range(1, len(lsns) + 1))
    data: list[bytes] = table["data"].to_pylist()
    return data


def by_payloads(run: bytes) -> list[bytes] | str:
    try:
        return FORM.payloads(run, CODEC.check_bytes)
    except (Malformed, StructError) as error:
        return str(error)


@settings(max_examples=400, deadline=None)
@given(RUNS, st.lists(st.tuples(st.integers(0, 200), NUMBERS), max_size=3))
def test_any_offset_table_is_read_as_payloads_reads_it(
    commits: list[list[bytes]], changes: list[tuple[int, int]]
) -> None:
    run = run_of(commits)
    bodies = bodies_by_headers(bytes(run), CODEC.check_bytes)
    inside = [at for start, end in zip(bodies.starts, bodies.ends, strict=True) for at in range(start, end - 3, 4)]
    for place, number in changes:
        if inside:
            pack_into("<I", run, inside[place % len(inside)], number)
    for given_as in (bytes(run), memoryview(bytes(run))):
        assert by_columns(given_as) == by_payloads(bytes(run))  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(RUNS, st.integers(0, 30), st.sampled_from([4, 32]), NUMBERS)
def test_a_size_or_a_count_that_no_writer_makes_is_read_as_payloads_reads_it(
    commits: list[list[bytes]], which: int, field: int, number: int
) -> None:
    run = run_of(commits)
    frames = [start - 48 for start in bodies_by_headers(bytes(run), CODEC.check_bytes).starts]
    last = frames[-1]
    at = frames[which % len(frames)] if field == 32 else last  # the size of another frame moves what follows
    pack_into("<I", run, at + field, number)
    found, expected = by_columns(bytes(run)), by_payloads(bytes(run))
    assert found == expected or isinstance(found, str) is isinstance(expected, str) is True


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 40), st.sampled_from([0, 1, 7, 8, 128]), st.integers(0, 39), st.integers(0, 47), st.integers(0, 255)
)
def test_equal_frames_are_seen_as_what_they_are(count: int, size: int, which: int, at: int, byte: int) -> None:
    run = run_of([[bytes([k]) * size] for k in range(count)])
    offset = (which % count) * (len(run) // count) + at
    if at not in range(4, 8):  # the size of a frame moves what follows
        run[offset] = byte
    fast, plain = (find(bytes(run), CODEC.check_bytes) for find in (FORM.bodies, bodies_by_headers))
    for of_one, of_other in zip(fast[1:], plain[1:], strict=True):
        assert list(of_one) == list(of_other)


@settings(max_examples=200, deadline=None)
@given(SINGLES, st.lists(st.integers(0, 65535), max_size=20))
def test_lengths_give_the_same_columns_or_are_not_used(entries: list[bytes], others: list[int]) -> None:
    run = bytes(run_of([[entry] for entry in entries]))
    plain = rows(bodies_by_headers(run, CODEC.check_bytes))
    own = FORM.bodies(run, CODEC.check_bytes, array("H", map(len, entries)))
    is_alike = len(entries[0]) > 0 and len({*map(len, entries)}) == 1
    assert isinstance(own, SinglesAlike if is_alike else Singles)
    assert own.entries == len(entries)
    assert rows(own) == plain
    given_lengths = array("H", others)
    if sum(52 + length + (-(length + 4) & 7) for length in others) != len(run):
        found = FORM.bodies(run, CODEC.check_bytes, given_lengths)
        assert isinstance(found, Bodies)
        assert rows(found) == plain


@settings(max_examples=300, deadline=None)
@given(SINGLES, st.randoms(use_true_random=False), st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255))))
def test_frames_that_are_not_what_their_lengths_say_are_cut_as_payloads_cuts_them(
    entries: list[bytes], chance: random.Random, changes: list[tuple[int, int]]
) -> None:
    """Only a bug of a writer makes such lengths. Nothing outside of the run is read all the same."""
    run = run_of([[entry] for entry in entries])
    for at, byte in changes:
        run[at % len(run)] = byte
    lengths = array("H", map(len, entries))
    chance.shuffle(lengths)
    found = FORM.bodies(bytes(run), CODEC.check_bytes, lengths)
    assert not isinstance(found, Bodies)
    _, times, data = rows(found)
    assert data == payloads_by_lengths(bytes(run), CODEC.check_bytes, lengths)
    at = 0
    for time, length in zip(times, lengths, strict=True):
        assert time == int.from_bytes(run[at + 16 : at + 24], "little", signed=True)
        at += FORM.frame_bytes(length, CODEC.check_bytes)


def rows(bodies: AnyBodies) -> list[list[object]]:
    """The columns: LSNs, times and data."""
    found: list[list[object]] = [[], [], []]
    for batch in ColumnBuilder(FORM).build(bodies, 1, 1, 1 << 60):
        for values, column in zip(found, (batch["lsn"], batch["time"].view(pa.int64()), batch["data"]), strict=True):
            values.extend(column.to_pylist())
    return found
