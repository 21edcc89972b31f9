"""The fast ways to read an intact run give what the plain way gives, on the bytes of writers and on hostile ones."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from walogs.defaults.crc32_codec import Crc32Codec
from walogs.formats import native_runs
from walogs.formats.native import NativeFormat
from walogs.formats.segment_format import Malformed
from walogs.types import Commit

FORMAT = NativeFormat()
CODEC = Crc32Codec()
SALT, LINK = 0x0BADF00D, b"\1before\2"

alike = st.integers(0, 200).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), max_size=12))
mixed = st.lists(st.binary(max_size=40), max_size=12)
singles = (alike | mixed).map(lambda entries: [[entry] for entry in entries])
batches = st.lists(alike.filter(bool) | mixed.filter(bool), max_size=4)
commits = singles | batches | st.lists(st.just([]) | mixed, max_size=8)
"""The entries of each frame. A frame without entries is a CHECKPOINT."""


def run_of(groups: list[list[bytes]]) -> tuple[bytes, list[Commit]]:
    """The frames of these commits, and what each commit says."""
    run, lsn, link, made = b"", 7, LINK, []
    for number, entries in enumerate(groups):
        if not entries:
            run += FORMAT.encode_checkpoint(SALT, 512 + len(run), 512, link, 1, number, CODEC)
            continue
        frame, link = FORMAT.encode_entries(
            SALT, 512 + len(run), 512, link, lsn, len(entries), number, FORMAT.body(entries), CODEC
        )
        run += frame
        made.append(Commit(lsn, lsn + len(entries) - 1, number))
        lsn += len(entries)
    return run, made


def plainly(run: bytes) -> list[bytes]:
    """The entries of a run, by docs/format.md: a frame at a time, and an offset at a time."""
    found: list[bytes] = []
    at = 0
    while at < len(run):
        if at + 48 > len(run):
            raise Malformed("the header goes on after the run")
        size, count = struct.unpack_from("<4xI24xI", run, at)
        body = run[at + 48 : at + 44 + size]
        at += (size + 55) & -8
        if at > len(run):
            raise Malformed("the frame goes on after the run")
        found += [body] if count == 1 else split_plainly(body, count) if count else []
    return found


def split_plainly(body: bytes, count: int) -> list[bytes]:
    start = 4 * (count + 1)
    if start > len(body):
        raise Malformed("no table")
    offsets = struct.unpack_from(f"<{count + 1}I", body)
    if offsets[0] != 0 or offsets[-1] != len(body) - start or any(a > b for a, b in pairwise(offsets)):
        raise Malformed("no table")
    return [body[start + a : start + b] for a, b in pairwise(offsets)]


def outcome(work: Callable[[], Any]) -> Any:
    """What it returns, or that it raises `Malformed`."""
    try:
        return work()
    except Malformed:
        return Malformed


@given(commits)
@example([[b"x" * 128]] * 300)
@example([[b"x" * 128] * 300])
@example([[b""]] * 10)
@example([[b""] * 10])
def test_a_run_gives_the_entries_and_commits_that_were_written(groups: list[list[bytes]]) -> None:
    run, made = run_of(groups)
    written = [entry for entries in groups for entry in entries]
    assert native_runs.payloads(run, 4) == plainly(run) == written
    assert native_runs.commits(run) == made
    for position, entry in enumerate(written):
        assert native_runs.entry(run, 4, position) == entry
    assert native_runs.entry(run, 4, len(written)) is None


@given(singles)
@example([[b"x" * size] for size in range(65, 192)])
def test_lengths_give_the_same_entries(groups: list[list[bytes]]) -> None:
    run, _ = run_of(groups)
    lengths = array("H", [len(entry) for (entry,) in groups])
    written = [entry for (entry,) in groups]
    assert native_runs.payloads(run, 4, lengths) == written
    if lengths:
        assert native_runs.payloads_by_lengths(run, 4, lengths) == written
    for position, entry in enumerate(written):
        assert native_runs.entry(run, 4, position, lengths) == entry
    assert native_runs.entry(run, 4, len(written), lengths) is None


@given(commits, st.lists(st.integers(0, 60), max_size=6), st.booleans())
def test_only_lengths_that_the_entries_have_are_theirs(
    groups: list[list[bytes]], others: list[int], is_cut: bool
) -> None:
    run, _ = run_of(groups)
    theirs = [len(entries[0]) for entries in groups if len(entries) == 1]
    for lengths in (theirs, others, [*theirs, 3], theirs[1:], theirs[::-1]):
        is_so = len(theirs) == len(groups) and lengths == theirs
        assert native_runs.has_lengths(run, 4, array("H", lengths)) == is_so
    if run and is_cut:
        assert not native_runs.has_lengths(run[:-8], 4, array("H", theirs))


@given(commits, st.lists(st.integers(0, 300) | st.integers(0, 65535), min_size=1, max_size=12))
def test_lengths_that_do_not_fill_the_run_are_not_used(groups: list[list[bytes]], given_lengths: list[int]) -> None:
    run, _ = run_of(groups)
    lengths = array("H", given_lengths)
    total = sum(52 + length + (-(length + 4) & 7) for length in lengths)
    if total != len(run):
        assert native_runs.payloads_by_lengths(run, 4, lengths) is None
        assert native_runs.payloads(run, 4, lengths) == plainly(run)


@given(commits, st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4))
@example([[bytes(256)]], [(33, 1), (5, 9)])  # a batch whose table goes on after the run
def test_of_hostile_runs_they_give_the_same_too(groups: list[list[bytes]], changes: list[tuple[int, int]]) -> None:
    """The CRC of a run proves nothing against somebody who can compute one."""
    changed = bytearray(run_of(groups)[0])
    for at, byte in changes:
        if changed:
            changed[at % len(changed)] = byte
    run = bytes(changed)
    expected = outcome(lambda: plainly(run))
    assert outcome(lambda: native_runs.payloads(run, 4)) == expected
    assert outcome(lambda: native_runs.payloads_by_headers(run, 4)) == expected
    if isinstance(expected, list):
        for position, entry in enumerate(expected):
            assert native_runs.entry(run, 4, position) == entry
        assert native_runs.entry(run, 4, len(expected)) is None
    theirs = [len(entries[0]) for entries in groups if entries]
    for lengths in (array("H", theirs), array("H", theirs[:1] * len(groups)), array("H")):
        assert native_runs.has_lengths(run, 4, lengths) == native_runs.has_lengths_by_headers(run, 4, lengths)


def test_a_length_that_a_run_index_cannot_say_is_not_that_of_an_entry() -> None:
    run, _ = run_of([[bytes(70_000)]])
    assert not native_runs.has_lengths(run, 4, array("H", [70_000 - 65_536]))


@pytest.mark.parametrize("at", [*range(4, 8), *range(32, 36)])
@pytest.mark.parametrize("frame", [0, 1, 4])
def test_one_frame_that_is_not_like_the_others_is_noticed(frame: int, at: int) -> None:
    run, _ = run_of([[b"entry"]] * 5)
    for bit in range(8):
        changed = bytearray(run)
        changed[frame * 64 + at] ^= 1 << bit
        expected = outcome(lambda run=bytes(changed): plainly(run))  # type: ignore[misc]
        assert outcome(lambda run=bytes(changed): native_runs.payloads(run, 4)) == expected  # type: ignore[misc]


@given(st.integers(2, 9), st.data())
def test_of_hostile_tables_they_give_the_same_too(count: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, 20))
    steps = st.lists(st.integers(0, 20), min_size=count, max_size=count) | st.just([length] * count)
    offsets = list(accumulate(data.draw(steps), initial=0))
    if data.draw(st.booleans()):
        offsets[data.draw(st.integers(0, count))] = data.draw(st.integers(0, 200) | st.integers(0, 2**32 - 1))
    size = data.draw(st.sampled_from(sorted({max(offsets[-1] + less, 0) for less in (-1, 0, 1)}))) % 1000
    body = struct.pack(f"<{count + 1}I", *offsets) + bytes(range(256)) * 4
    body = body[: data.draw(st.sampled_from([4 * (count + 1) + size, 4 * count, 0]))]
    expected = outcome(lambda: split_plainly(body, count))
    buffer = b"before" + body + b"after, which is not read"
    end = 6 + len(body)
    assert outcome(lambda: FORMAT.split(body, count)) == expected
    assert outcome(lambda: native_runs.entries_between(buffer, 6, end, count)) == expected
    for position in range(count):
        wanted = expected[position] if isinstance(expected, list) else expected
        assert outcome(lambda at=position: native_runs.entry_between(buffer, 6, end, count, at)) == wanted  # type: ignore[misc]


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 50) | st.integers(2**31 - 9, 2**31 + 9)), max_size=3),
    st.integers(-1, 1),
)
def test_offsets_subtracted_at_once_give_the_same_lengths(
    lengths: list[int], changes: list[tuple[int, int]], more: int
) -> None:
    count, offsets = len(lengths), list(accumulate(lengths, initial=0))
    for at, offset in changes:
        offsets[at % (count + 1)] = offset
    body = struct.pack(f"<{count + 1}I", *offsets) + bytes(max(sum(lengths) + more, 0))
    found = outcome(lambda: list(native_runs.lengths_between(body, 0, len(body), count)))
    assert found == outcome(lambda: list(native_runs.lengths_by_offsets(body, 0, len(body), count)))
    assert (native_runs.steps_between(body, 0, len(body), count) is not None) == isinstance(found, list)


@given(alike.filter(bool) | mixed.filter(bool))
def test_a_table_says_where_each_entry_begins(entries: list[bytes]) -> None:
    table = native_runs.offset_table(entries)
    assert table == struct.pack(f"<{len(entries) + 1}I", *accumulate(map(len, entries), initial=0))


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("count", [native_runs.ALIKE_MAX, native_runs.ALIKE_MAX + 1])
def test_of_many_entries_of_one_length_no_layout_is_remembered(count: int) -> None:
    """What is remembered is bounded, whatever a log holds."""
    for remembered in (native_runs.pieces_alike, native_runs.even_table, native_runs.top_bits):
        remembered.cache_clear()
    entries = [b"%06d" % number for number in range(count)]
    run, _ = run_of([entries])
    assert native_runs.payloads(run, 4) == entries
    run, _ = run_of([[entry] for entry in entries])
    assert native_runs.payloads(run, 4) == entries
    is_remembered = count <= native_runs.ALIKE_MAX
    assert (native_runs.even_table.cache_info().currsize > 0) == is_remembered
    assert (native_runs.pieces_alike.cache_info().currsize > 0) == is_remembered
    entries[0] = b""
    run, _ = run_of([entries])
    assert native_runs.payloads(run, 4) == entries
    assert (native_runs.top_bits.cache_info().currsize > 0) == is_remembered
