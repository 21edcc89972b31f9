"""Segments that do not belong together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.bad_input.contents import DATA
from tests.kit.logs import LogOnDisk, numbered, segment_name

LONG: Final = numbered(1, *(b"%d" % lsn * 50 for lsn in range(1, 7)))


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("number", [1, 2, 5, 6])
def test_a_segment_of_another_log_is_refused(long_log: LogOnDisk, tmp_path: Path, number: int) -> None:
    other = LogOnDisk(tmp_path / "other", max_segment_size=1).append(*(data for _, data in LONG))
    shutil.copyfile(other.segment(number), long_log.segment(number))
    for _ in (True, False):
        refused = long_log.refuses(walogs.Corrupt, str(long_log.path), "Nothing was changed")
        assert "another log" in str(refused.value) or number == 6
        long_log.forget_durable_mark()


def two_histories(tmp_path: Path) -> tuple[LogOnDisk, LogOnDisk]:
    """Make a log and a copy of it, and append three segments with entries of the same sizes to each."""
    one = LogOnDisk(tmp_path / "one", max_segment_size=1).append(b"1" * 50, b"2" * 50)
    other = one.copy(tmp_path / "other")
    one.append(*(b"%d" % lsn * 50 for lsn in range(3, 7)))
    other.append(*(b"%d" % lsn * 50 for lsn in range(3, 7)))
    return one, other


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("durable_mark", [True, False], ids=["durable_mark", "no durable mark"])
@pytest.mark.parametrize("number", [3, 4, 5, 6])
def test_a_segment_of_another_history_of_this_log_is_refused(tmp_path: Path, number: int, durable_mark: bool) -> None:
    one, other = two_histories(tmp_path)
    shutil.copyfile(other.segment(number), one.segment(number))
    if not durable_mark:
        one.forget_durable_mark()
    one.refuses(walogs.Corrupt, "history", "Nothing was changed")


@pytest.mark.guarantee("G6")
def test_the_end_of_another_history_is_refused_with_or_without_its_durable_mark(tmp_path: Path) -> None:
    one, other = two_histories(tmp_path)
    for number in (5, 6):
        shutil.copyfile(other.segment(number), one.segment(number))
    one.refuses(walogs.Corrupt, "history")
    shutil.copyfile(other.durable_mark, one.durable_mark)
    one.refuses(walogs.Corrupt, "history")
    one.forget_durable_mark()
    one.refuses(walogs.Corrupt, "history")


@pytest.mark.guarantee("G6")
def test_a_continued_segment_of_another_history_is_refused(tmp_path: Path) -> None:
    """Both copies appended to the same segment, under the same salt, with entries of the same sizes."""
    one = LogOnDisk(tmp_path / "one").append(b"shared")
    other = one.copy(tmp_path / "other")
    for log, letter in ((one, b"a"), (other, b"b")):
        with log.open() as wal:
            wal.append(letter * 50)
            wal.rotate()
            wal.append(letter * 60)
    shutil.copyfile(other.segment(1), one.segment(1))
    one.refuses(walogs.Corrupt, "wal-000001.log", "last frame")


@pytest.mark.guarantee("G6")
def test_the_newest_segment_of_a_twin_is_missed_by_the_durable_mark_alone(tmp_path: Path) -> None:
    """Both copies continued the same segment, so the newest segment of each fits it."""
    one = LogOnDisk(tmp_path / "one").append(b"shared")
    other = one.copy(tmp_path / "other")
    for log in (one, other):
        with log.open() as wal:
            wal.rotate()
            wal.append(log.path.name.encode())
    shutil.copyfile(other.segment(2), one.segment(2))
    one.refuses(walogs.Corrupt, "segment 2", "another history", "durable mark")
    one.forget_durable_mark().goes_on(numbered(1, b"shared", b"other"))


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("pair", [(1, 2), (2, 5), (5, 6), (1, 6)])
def test_two_segments_exchanged_are_refused(long_log: LogOnDisk, pair: tuple[int, int]) -> None:
    one, other = map(long_log.segment, pair)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    long_log.refuses(walogs.Corrupt, "says that it is segment", "renamed, swapped or copied")


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_missing_segment_is_refused(long_log: LogOnDisk, number: int) -> None:
    long_log.segment(number).unlink()
    refused = long_log.refuses(walogs.Corrupt, segment_name(number), "missing", "Nothing was changed")
    assert refused.value.segment == number
    long_log.forget_durable_mark()
    long_log.refuses(walogs.Corrupt, segment_name(number), "missing")
    long_log.refuses(walogs.Corrupt, segment_name(number), recovery="prefix", verify="last")


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("gone", [[6], [5, 6], [2, 3, 4, 5, 6]], ids=str)
def test_missing_newest_segments_are_refused(long_log: LogOnDisk, gone: list[int]) -> None:
    for number in gone:
        long_log.segment(number).unlink()
    long_log.refuses(walogs.Corrupt, f"segment {gone[0]} is missing")
    long_log.refuses(walogs.Corrupt, recovery="prefix")
    long_log.forget_durable_mark()
    long_log.refuses(walogs.Corrupt, "a SEAL", f"segment {gone[0]} is missing")


@pytest.mark.guarantee("G6")
def test_a_missing_newest_segment_is_missed_where_no_seal_tells_of_it(long_log: LogOnDisk) -> None:
    long_log.segment(6).unlink()
    seal = long_log.frames(5)[-1]
    long_log.overwrite(5, seal.offset, bytes(seal.end - seal.offset))
    long_log.refuses(walogs.Corrupt, "segment 6 is gone", "the durable mark names it")
    long_log.refuses(walogs.Corrupt, recovery="prefix")
    long_log.forget_durable_mark().goes_on(LONG[:5])  # this is the limit that G6 states: a file is gone


@pytest.mark.guarantee("G6")
def test_a_durable_mark_without_segments_is_refused(long_log: LogOnDisk) -> None:
    for number in range(1, 7):
        long_log.segment(number).unlink()
    long_log.refuses(walogs.Corrupt, "segments are gone", "segment 6, entry 6", "DURABLE", str(long_log.path))
    long_log.refuses(walogs.Corrupt, recovery="prefix")
    long_log.forget_durable_mark()
    assert long_log.entries() == []


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(("source", "number"), [(6, 7), (1, 7), (3, 8), (1, 2), (6, 1)])
def test_a_segment_under_another_name_is_refused(long_log: LogOnDisk, source: int, number: int) -> None:
    shutil.copyfile(long_log.segment(source), long_log.segment(number))
    long_log.refuses(walogs.Corrupt, segment_name(number), f"says that it is segment {source}")


@pytest.mark.guarantee("G6")
def test_a_renamed_segment_is_refused(log: LogOnDisk) -> None:
    log.segment(1).rename(log.segment(2))
    log.refuses(walogs.Corrupt, "wal-000002.log", "says that it is segment 1")


@pytest.mark.guarantee("G6")
def test_a_copy_whose_durable_mark_is_ahead_says_what_it_may_be(log: LogOnDisk) -> None:
    """`cp -r` of a live log can copy the segment first and the durable mark later."""
    early = log.segment(1).read_bytes()
    log.append(b"later")
    log.segment(1).write_bytes(early)
    log.refuses(walogs.Corrupt, "wal-000001.log", "synced")


@pytest.mark.parametrize("content", [b"", b"x", b"WALDUR\r\n", bytes(64), b"WALDUR\r\n" + bytes(56), bytes(10_000)])
def test_a_garbled_durable_mark_is_ignored(log: LogOnDisk, content: bytes) -> None:
    log.durable_mark.write_bytes(content)
    log.goes_on(numbered(1, *DATA))


@pytest.mark.guarantee("G6")
def test_the_durable_mark_of_another_log_is_ignored(log: LogOnDisk, tmp_path: Path) -> None:
    other = LogOnDisk(tmp_path / "other", max_segment_size=1).append(*(b"x" for _ in range(9)))
    shutil.copyfile(other.durable_mark, log.durable_mark)
    log.goes_on(numbered(1, *DATA))
