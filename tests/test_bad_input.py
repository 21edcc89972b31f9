"""What is not a log of ours, not this log, or not to be had: each its own clear error, and nothing is touched."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.codecs import DeflateCodec
from tests.logs import (
    ENTRIES,
    HEADER,
    SECTOR,
    LogOnDisk,
    batch_body,
    crate_frame,
    frame_bytes,
    numbered,
    salt_of,
    segment_name,
)
from tests.requirements import require
from walogs.defaults import local_store
from walogs.testing import MemoryChainStore, MemoryCloud, MemoryDisk, MemoryStore

DATA: Final = (b"one", b"two" * 100, b"", b"four")


@pytest.fixture
def log(tmp_path: Path) -> LogOnDisk:
    """Closed, one segment."""
    return LogOnDisk(tmp_path / "log").append(*DATA)


@pytest.fixture
def long_log(tmp_path: Path) -> LogOnDisk:
    """Closed, a segment for each of six entries."""
    return LogOnDisk(tmp_path / "log", max_segment_size=1).append(*(b"%d" % lsn * 50 for lsn in range(1, 7)))


LONG: Final = numbered(1, *(b"%d" % lsn * 50 for lsn in range(1, 7)))

# The place


@pytest.mark.guarantee("G17")
def test_missing_parents_are_made_and_nobody_else_can_look_in(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log = LogOnDisk(tmp_path / "a" / "b" / "log").append(b"one")
    finally:
        os.umask(before)
    for directory in (log.path, log.path.parent, log.path.parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {path.name for path in log.path.iterdir()} == {"wal-000001.log", "LOCK", "DURABLE"}
    for path in log.path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    log.goes_on(numbered(1, b"one"))


@pytest.mark.guarantee("G17")
def test_the_mode_of_a_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir(mode=0o755)
    (tmp_path / "log").chmod(0o755)
    LogOnDisk(tmp_path / "log").append(b"one").goes_on(numbered(1, b"one"))
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o755


@pytest.mark.parametrize("content", [b"", b"not a directory"], ids=["empty", "with content"])
def test_a_file_where_the_directory_should_be(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    before = path.stat().st_mtime_ns
    with pytest.raises(NotADirectoryError) as refused:
        walogs.open(path)
    assert str(path) in str(refused.value)
    assert "directory" in "".join(refused.value.__notes__)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, before)


def test_a_file_where_a_parent_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a file")
    with pytest.raises(NotADirectoryError) as refused:
        walogs.open(tmp_path / "file" / "log")
    assert str(tmp_path / "file") in str(refused.value)
    assert (tmp_path / "file").read_bytes() == b"a file"


def test_a_link_to_nowhere_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError) as refused:
        walogs.open(tmp_path / "log")
    assert str(tmp_path / "log") in str(refused.value)
    assert not (tmp_path / "nowhere").exists()


def test_a_log_is_opened_through_a_link_to_its_directory(log: LogOnDisk, tmp_path: Path) -> None:
    """The directory's own path is the caller's business; what is in it is ours."""
    (tmp_path / "link").symlink_to(log.path)
    LogOnDisk(tmp_path / "link").goes_on(numbered(1, *DATA))


@pytest.mark.guarantee("G17")
def test_files_with_other_names_are_ignored_and_kept(log: LogOnDisk) -> None:
    names = [
        "README",
        "wal-000001.log.bak",
        "wal-000001.log~",
        "wal",
        ".wal-000001.log.swp",
        "wal-7.log.tmp",
        "DURABLE.old",
    ]
    names += ["000001.log", "wal-000001", "lock", "wal-000001.log.tmp.gz"]
    for name in names:
        (log.path / name).write_bytes(b"not ours")
    (log.path / "directory").mkdir()
    (log.path / "pipe").symlink_to("nowhere")
    log.goes_on(numbered(1, *DATA))
    assert [(log.path / name).read_bytes() for name in names] == [b"not ours"] * len(names)
    assert (log.path / "directory").is_dir()


@pytest.mark.guarantee("G17")
def test_what_an_interrupted_creation_left_is_removed_at_open(log: LogOnDisk) -> None:
    for name in ("wal-000002.log.tmp", "wal-000001.log.tmp", "wal-1234567.log.tmp"):
        (log.path / name).write_bytes(b"half a segment")
    log.goes_on(numbered(1, *DATA))
    assert list(log.path.glob("*.tmp")) == []


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize(
    "name",
    [
        "wal-7.log", "wal-0000001.log", "wal-00001.log", "wal-000000.log", "WAL-000001.LOG", "wal-000001.LOG",
        "Wal-000002.log", "wal-00000a.log", "wal--00001.log", "wal-000001 .log", "wal-٠٠٠٠٠١.log", "wal-.log",
    ],
)  # fmt: skip
def test_a_name_that_is_almost_a_segment_is_refused(log: LogOnDisk, name: str) -> None:
    (log.path / name).write_bytes(log.segment(1).read_bytes())
    log.refuses(walogs.Unsafe, str(log.path / name), "wal-000001.log", "Rename it", "nothing was changed")
    (log.path / name).unlink()
    log.goes_on(numbered(1, *DATA))


# Links, and things that are no files


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize("name", ["wal-000001.log", "wal-000002.log", "DURABLE"])
def test_a_link_in_the_place_of_a_file_is_not_followed(log: LogOnDisk, tmp_path: Path, name: str) -> None:
    target = tmp_path / "elsewhere"
    path = log.path / name
    if path.exists():
        path.rename(target)
    else:
        shutil.copy(log.segment(1), target)
    path.symlink_to(target)
    content, mtime = target.read_bytes(), target.stat().st_mtime_ns
    for _ in range(2):
        with pytest.raises(OSError) as refused:
            log.open()
        assert name in str(refused.value)
    assert path.is_symlink()
    assert (target.read_bytes(), target.stat().st_mtime_ns) == (content, mtime)


@pytest.mark.guarantee("G17")
def test_a_link_in_the_place_of_the_lock_is_not_followed(log: LogOnDisk, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"precious")
    (log.path / "LOCK").unlink()
    (log.path / "LOCK").symlink_to(target)
    before = log.looks()
    with pytest.raises((OSError, walogs.WalError)) as refused:
        log.open()
    assert "LOCK" in str(refused.value)
    assert target.read_bytes() == b"precious"
    assert log.looks() == before


@pytest.mark.guarantee("G17")
def test_a_link_in_the_place_of_a_left_over_file_is_removed_and_not_followed(log: LogOnDisk, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"precious")
    (log.path / "wal-000002.log.tmp").symlink_to(target)
    with log.open() as wal:
        (log.path / "wal-000002.log.tmp").symlink_to(target)  # again, under an open log
        wal.rotate()
        wal.append(b"next")
    assert target.read_bytes() == b"precious"
    assert not (log.path / "wal-000002.log.tmp").exists()
    assert log.entries() == numbered(1, *DATA, b"next")


def within(seconds: int, act: Callable[[], Any]) -> Any:
    """A call that waits for ever is a failure, not a wait."""

    def alarm(*_: object) -> None:
        raise TimeoutError("it never came back")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(seconds)
    try:
        return act()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.guarantee("G16", "G17")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("wal-000001.log", "directory"), ("wal-000002.log", "directory"), ("DURABLE", "directory"),
        ("LOCK", "directory"), ("wal-000001.log", "pipe"), ("wal-000002.log", "pipe"), ("DURABLE", "pipe"),
    ],
)  # fmt: skip
def test_a_directory_or_a_pipe_in_the_place_of_a_file_is_an_error_that_names_it(
    log: LogOnDisk, name: str, kind: str
) -> None:
    path = log.path / name
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path, 0o600)
    before = log.looks()
    with pytest.raises((OSError, walogs.WalError)) as refused:
        within(2, lambda: log.open().close())
    assert not isinstance(refused.value, TimeoutError), f"waited for a {kind}"
    text = "\n".join([str(refused.value), *getattr(refused.value, "__notes__", [])])
    assert name in text, text
    assert log.looks() == before


# Segments that do not belong together


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("number", [1, 2, 5, 6])
def test_a_segment_of_another_log_is_refused(long_log: LogOnDisk, tmp_path: Path, number: int) -> None:
    other = LogOnDisk(tmp_path / "other", max_segment_size=1).append(*(data for _, data in LONG))
    shutil.copyfile(other.segment(number), long_log.segment(number))
    for _ in (True, False):
        refused = long_log.refuses(walogs.Corrupt, str(long_log.path), "Nothing was changed")
        assert "another log" in str(refused.value) or number == 6
        long_log.forget_witness()


def two_histories(tmp_path: Path) -> tuple[LogOnDisk, LogOnDisk]:
    """A log and its copy, each of which went on for three segments with entries of the same sizes."""
    one = LogOnDisk(tmp_path / "one", max_segment_size=1).append(b"1" * 50, b"2" * 50)
    other = one.copy(tmp_path / "other")
    one.append(*(b"%d" % lsn * 50 for lsn in range(3, 7)))
    other.append(*(b"%d" % lsn * 50 for lsn in range(3, 7)))
    return one, other


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("witness", [True, False], ids=["witness", "no witness"])
@pytest.mark.parametrize("number", [3, 4, 5, 6])
def test_a_segment_of_another_history_of_this_log_is_refused(tmp_path: Path, number: int, witness: bool) -> None:
    one, other = two_histories(tmp_path)
    shutil.copyfile(other.segment(number), one.segment(number))
    if not witness:
        one.forget_witness()
    one.refuses(walogs.Corrupt, "history", "Nothing was changed")


@pytest.mark.guarantee("G6")
def test_the_end_of_another_history_is_refused_with_or_without_its_witness(tmp_path: Path) -> None:
    one, other = two_histories(tmp_path)
    for number in (5, 6):
        shutil.copyfile(other.segment(number), one.segment(number))
    one.refuses(walogs.Corrupt, "history")
    shutil.copyfile(other.witness, one.witness)
    one.refuses(walogs.Corrupt, "history")
    one.forget_witness()
    one.refuses(walogs.Corrupt, "history")


@pytest.mark.guarantee("G6")
def test_a_continued_segment_of_another_history_is_refused(tmp_path: Path) -> None:
    """Both copies went on in the same segment, whose salt is the same, with entries of the same sizes."""
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
def test_the_newest_segment_of_a_twin_is_missed_by_the_witness_alone(tmp_path: Path) -> None:
    """Both went on from the same segment, so that either newest one fits it."""
    one = LogOnDisk(tmp_path / "one").append(b"shared")
    other = one.copy(tmp_path / "other")
    for log in (one, other):
        with log.open() as wal:
            wal.rotate()
            wal.append(log.path.name.encode())
    shutil.copyfile(other.segment(2), one.segment(2))
    one.refuses(walogs.Corrupt, "segment 2", "another history", "witness")
    one.forget_witness().goes_on(numbered(1, b"shared", b"other"))


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
    long_log.forget_witness()
    long_log.refuses(walogs.Corrupt, segment_name(number), "missing")
    long_log.refuses(walogs.Corrupt, segment_name(number), recovery="prefix", verify="last")


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("gone", [[6], [5, 6], [2, 3, 4, 5, 6]], ids=str)
def test_missing_newest_segments_are_refused(long_log: LogOnDisk, gone: list[int]) -> None:
    for number in gone:
        long_log.segment(number).unlink()
    long_log.refuses(walogs.Corrupt, f"segment {gone[0]} was there and is gone")
    long_log.refuses(walogs.Corrupt, recovery="prefix")
    long_log.forget_witness()
    long_log.refuses(walogs.Corrupt, "sealed", f"segment {gone[0]} was there and is gone")


@pytest.mark.guarantee("G6")
def test_a_missing_newest_segment_is_missed_where_no_seal_tells_of_it(long_log: LogOnDisk) -> None:
    long_log.segment(6).unlink()
    seal = long_log.frames(5)[-1]
    long_log.overwrite(5, seal.offset, bytes(seal.end - seal.offset))
    long_log.refuses(walogs.Corrupt, "segment 6 is gone", "the witness names it")
    long_log.refuses(walogs.Corrupt, recovery="prefix")
    long_log.forget_witness().goes_on(LONG[:5])  # the limit that G6 states: a file gone


@pytest.mark.guarantee("G6")
def test_a_witness_without_segments_is_refused(long_log: LogOnDisk) -> None:
    for number in range(1, 7):
        long_log.segment(number).unlink()
    long_log.refuses(walogs.Corrupt, "segments are gone", "segment 6, entry 6", "DURABLE", str(long_log.path))
    long_log.refuses(walogs.Corrupt, recovery="prefix")
    long_log.forget_witness()
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
def test_a_copy_whose_witness_is_ahead_says_what_it_may_be(log: LogOnDisk) -> None:
    """`cp -r` of a live log can take the segment first and the witness later."""
    early = log.segment(1).read_bytes()
    log.append(b"later")
    log.segment(1).write_bytes(early)
    log.refuses(walogs.Corrupt, "wal-000001.log", "synced")


@pytest.mark.parametrize("content", [b"", b"x", b"WALDUR\r\n", bytes(64), b"WALDUR\r\n" + bytes(56), bytes(10_000)])
def test_a_garbled_witness_is_ignored(log: LogOnDisk, content: bytes) -> None:
    log.witness.write_bytes(content)
    log.goes_on(numbered(1, *DATA))


@pytest.mark.guarantee("G6")
def test_the_witness_of_another_log_is_ignored(log: LogOnDisk, tmp_path: Path) -> None:
    other = LogOnDisk(tmp_path / "other", max_segment_size=1).append(*(b"x" for _ in range(9)))
    shutil.copyfile(other.witness, log.witness)
    log.goes_on(numbered(1, *DATA))


# Logs of others, and of other times

CRATE_LOGS: Final = {
    "new, empty": {"wal-000001.log": b""},
    "one entry": {"wal-000001.log": crate_frame(1, b"hello")},
    "an empty entry": {"wal-000001.log": crate_frame(1, b"")},
    "many entries": {"wal-000001.log": b"".join(crate_frame(lsn, b"x" * lsn) for lsn in range(1, 200))},
    "large entry": {"wal-000001.log": crate_frame(1, bytes(300_000)) + crate_frame(2, b"")},
    "several segments": {
        "wal-000001.log": crate_frame(1, b"a") + crate_frame(2, b"b"),
        "wal-000002.log": crate_frame(3, b"c"),
        "wal-000003.log": crate_frame(4, b"d") + crate_frame(5, b""),
    },
    "the newest is empty": {"wal-000001.log": crate_frame(1, b"a"), "wal-000002.log": b""},
    "checkpointed": {"wal-000007.log": crate_frame(91, b"a"), "wal-000008.log": crate_frame(92, b"b")},
    "torn after an entry": {"wal-000001.log": crate_frame(1, b"whole") + crate_frame(2, b"torn")[:-1]},
    "its first version": {"wal.log": crate_frame(1, b"hello")},
    "its first version, empty": {"wal.log": b""},
    "both versions": {"wal.log": crate_frame(1, b"a"), "wal-000001.log": crate_frame(1, b"a")},
}


def test_the_crate_s_frames_are_what_the_crate_writes() -> None:
    assert crate_frame(1, b"hello").hex() == "050000002f95e510010000000000000068656c6c6f"
    assert crate_frame(1, b"").hex() == "00000000f1c67fb70100000000000000"


@pytest.mark.parametrize("recovery", ["acked", "prefix"])
@pytest.mark.parametrize("files", CRATE_LOGS.values(), ids=CRATE_LOGS.keys())
def test_a_log_of_the_rust_crate_is_recognised_and_left_alone(
    tmp_path: Path, files: dict[str, bytes], recovery: str
) -> None:
    log = LogOnDisk(tmp_path / "log").put(files)
    refused = log.refuses(
        walogs.UnsupportedFormat, "Rust crate", "a directory of its own", str(log.path), recovery=recovery
    )
    assert refused.value.found == "walogs-rs"
    assert {path.name for path in log.path.iterdir()} == set(files), "not even a LOCK is left"


def test_a_log_of_the_crate_beside_ours_is_refused(log: LogOnDisk) -> None:
    (log.path / "wal.log").write_bytes(crate_frame(1, b"hello"))
    log.refuses(walogs.UnsupportedFormat, "wal.log", "Rust crate")


@pytest.mark.guarantee("G6")
def test_an_emptied_segment_of_ours_is_no_log_of_the_crate(log: LogOnDisk) -> None:
    """The witness beside it says whose it was."""
    log.cut(1, 0)
    log.refuses(walogs.Corrupt, "wal-000001.log", "Nothing was changed")


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("number", [1, 3, 6])
def test_an_emptied_segment_among_ours_is_no_log_of_the_crate(long_log: LogOnDisk, number: int) -> None:
    long_log.cut(number, 0).forget_witness()
    long_log.refuses(walogs.Corrupt, segment_name(number), "Nothing was changed")


@pytest.mark.guarantee("G20")
@pytest.mark.parametrize("version", [0, 2, 3, 65_535])
@pytest.mark.parametrize("number", [1, 6])
def test_another_version_of_the_format_is_no_damage(long_log: LogOnDisk, number: int, version: int) -> None:
    long_log.reheader(number, 8, struct.pack("<H", version))
    refused = long_log.refuses(
        walogs.UnsupportedFormat, segment_name(number), f"format version {version}", "release", "Nothing was changed"
    )
    assert (refused.value.segment, refused.value.found) == (number, str(version))


@pytest.mark.guarantee("G20")
def test_a_newer_version_is_recognised_whatever_else_its_header_says(log: LogOnDisk) -> None:
    log.reheader(1, 8, struct.pack("<HHI", 2, 0xFFFF, 0) + b"\xff" * 400)
    log.refuses(walogs.UnsupportedFormat, "format version 2")


@pytest.mark.guarantee("G20")
@pytest.mark.parametrize("flags", [4, 0x8000, 0xFFFF, 5])
def test_an_unknown_header_flag_is_no_damage(log: LogOnDisk, flags: int) -> None:
    log.reheader(1, 10, struct.pack("<H", flags))
    log.refuses(walogs.UnsupportedFormat, "wal-000001.log", "flags", f"{flags:#06x}", "release")


@pytest.mark.guarantee("G20")
@pytest.mark.parametrize(("kind", "flags"), [(0, 0), (4, 0), (255, 0), (1, 1), (1, 128), (3, 2), (200, 255)])
@pytest.mark.parametrize("recovery", ["acked", "prefix"])
def test_an_unknown_kind_of_frame_is_neither_torn_nor_corrupt(
    log: LogOnDisk, kind: int, flags: int, recovery: str
) -> None:
    log.forget_witness().add_frame(1, b"", kind=kind, flags=flags, entries=0)
    end = log.frames(1)[-1].offset
    log.refuses(walogs.UnsupportedFormat, "wal-000001.log", f"byte {end}", f"kind {kind}", "release", recovery=recovery)


@pytest.mark.guarantee("G20")
def test_an_unknown_kind_of_frame_that_the_file_cuts_short_is_not_torn(log: LogOnDisk) -> None:
    """Its header is intact: a later release wrote it, and this one does not know what it would throw away."""
    log.forget_witness().add_frame(1, b"", kind=9, entries=0, body_bytes=1 << 20)
    log.refuses(walogs.UnsupportedFormat, "wal-000001.log", "kind 9", "release")


@pytest.mark.guarantee("G20")
def test_an_unknown_kind_of_frame_in_an_older_segment_is_no_damage(long_log: LogOnDisk) -> None:
    segment = long_log.segment(3).read_bytes()
    frame = frame_bytes(salt_of(segment), HEADER, b"y" * 50, kind=7, first_lsn=3)
    long_log.overwrite(3, 0, segment[:HEADER] + frame + bytes(len(segment) - HEADER - len(frame)))
    long_log.refuses(walogs.UnsupportedFormat, "wal-000003.log", "kind 7")


def test_an_unknown_codec_is_named(log: LogOnDisk) -> None:
    log.reheader(1, 96, b"\x04lzma".ljust(64, b"\0"))
    refused = log.refuses(walogs.UnsupportedFormat, "wal-000001.log", "codec 'lzma'", "codec='lzma'", "install")
    assert refused.value.found == "lzma"


def test_a_log_opened_with_another_codec_is_refused(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log", codec=DeflateCodec()).append(*DATA)
    log.refuses(walogs.UnsupportedFormat, "codec 'deflate'", "opened with 'crc32'", codec="crc32")
    log.goes_on(numbered(1, *DATA))


def test_a_log_opened_with_other_parameters_of_its_codec_is_refused(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log", codec=DeflateCodec(level=9)).append(*DATA)
    log.refuses(
        walogs.UnsupportedFormat, '"level":9', '"level":1', "größer", "parameters it was written", codec=DeflateCodec(1)
    )
    log.goes_on(numbered(1, *DATA))


class Talkative(DeflateCodec):
    """A codec with a name and parameters of a chosen length."""

    def __init__(self, name: str, parameter_bytes: int) -> None:
        super().__init__()
        self.name = name
        self.text = "p" * (parameter_bytes - len('{"p":""}'))

    def parameters(self) -> dict[str, object]:
        return {"p": self.text}


def test_parameters_that_fill_a_header_are_kept_and_longer_ones_are_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    LogOnDisk(tmp_path / "log", codec=Talkative("n" * 63, 346)).append(*DATA).goes_on(numbered(1, *DATA))
    for codec, phrase in (
        (Talkative("fine", 347), "347 bytes; 346 fit"),
        (Talkative("n" * 64, 20), "1 to 63 bytes"),
        (Talkative("ü" * 32, 20), "1 to 63 bytes"),
        (Talkative("", 20), "1 to 63 bytes"),
    ):
        with pytest.raises(walogs.ConfigError, match=phrase):
            walogs.open(tmp_path / "other", codec=codec)
        assert not (tmp_path / "other").exists()


def opened_or_refused(log: LogOnDisk) -> walogs.Wal | None:
    """The open log; None: it was refused by name, and untouched."""
    before = log.looks()
    try:
        return log.open()
    except walogs.WalError as error:
        refused = error
    assert "wal-000001.log" in str(refused)
    assert log.looks() == before
    return None


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
        (96, b"\x40"),  # a codec name of 64 bytes
        (96, b"\xff"),
        (97, b"\xff\xfe"),  # a codec name that is no UTF-8
        (160, struct.pack("<H", 347)),  # parameters that are longer than their place
    ],
)  # fmt: skip
def test_a_header_with_impossible_values_under_a_valid_crc_is_refused(log: LogOnDisk, at: int, value: bytes) -> None:
    log.reheader(1, at, value).refuses(walogs.Corrupt, "wal-000001.log", "Nothing was changed")


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize(
    ("at", "value"),
    [
        (64, struct.pack("<Q", 2)),  # first LSN: the frames say 1
        (64, struct.pack("<Q", 2**64 - 1)),
        (72, struct.pack("<Q", 0)),  # base 0
        (72, struct.pack("<Q", 99)),  # a base beyond the segment
        (72, struct.pack("<Q", 2**64 - 1)),
        (56, struct.pack("<Q", 2**64 - 1)),  # the last epoch there is
        (88, struct.pack("<Q", 2**64 - 1)),  # created at the end of time
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


# Frames that no writer makes, under checks that hold


def forged(log: LogOnDisk, body: bytes, **fields: Any) -> LogOnDisk:
    """An intact frame at the end; the witness, which would refuse it, is gone."""
    return log.forget_witness().add_frame(1, body, **fields)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("recovery", ["acked", "prefix"])
@pytest.mark.parametrize(
    ("fields", "phrase"),
    [
        ({"first_lsn": 4}, "holds entry 4 where 5 belongs"),
        ({"first_lsn": 6}, "holds entry 6 where 5 belongs"),
        ({"first_lsn": 0}, "holds entry 0 where 5 belongs"),
        ({"first_lsn": 2**64 - 1}, "where 5 belongs"),
        ({"entries": 0}, "holds no entry"),
        ({"synced": 2**32 - 1}, "synced"),
        ({"synced": 5000}, "synced"),
    ],
)
def test_an_intact_frame_that_no_writer_makes_is_corrupt_never_torn(
    log: LogOnDisk, fields: dict[str, int], phrase: str, recovery: str
) -> None:
    end = log.frames(1)[-1].end
    forged(log, b"forged", **fields).refuses(walogs.Corrupt, phrase, f"byte {end}", "wal-000001.log", recovery=recovery)


@pytest.mark.guarantee("G6")
def test_a_checkpoint_beyond_its_own_segment_is_corrupt(log: LogOnDisk) -> None:
    forged(log, b"", kind=3, first_lsn=3, entries=0).refuses(walogs.Corrupt, "CHECKPOINT", "base 3")


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"xxx",
        batch_body(b"a", b"b")[:8],
        batch_body(b"abc", b"def", offsets=[0, 9, 6]),
        batch_body(b"abc", b"def", offsets=[1, 3, 6]),
        batch_body(b"abc", b"def", offsets=[0, 3, 7]),
        batch_body(b"abc", b"def", offsets=[0, 3, 5]),
        batch_body(b"abc", b"def", offsets=[0, 2**32 - 1, 6]),
    ],
)
def test_a_bad_table_of_offsets_under_a_valid_check_is_corrupt_when_it_is_read(log: LogOnDisk, body: bytes) -> None:
    forged(log, body, entries=2)
    with log.open() as wal:
        seen = []
        with pytest.raises(walogs.Corrupt, match=r"wal-000001.log.*(table|hold)") as refused:
            seen.extend(wal)
        assert seen == numbered(1, *DATA)
        assert refused.value.lsn == 5
        with pytest.raises(walogs.Corrupt):
            wal.read(6)
        assert wal.read(2) == DATA[1]


@pytest.mark.guarantee("G16")
def test_a_count_of_four_milliards_allocates_nothing(log: LogOnDisk) -> None:
    forged(log, b"x" * 100, entries=2**32 - 1)
    with log.open() as wal:
        assert wal.last_lsn == 4 + 2**32 - 1
        with pytest.raises(walogs.Corrupt, match="cannot hold"):
            wal.read(2**31)


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("body_bytes", [2**31 - 1, 2**32 - 1, 2**31, 100_000])
def test_a_length_beyond_the_file_allocates_nothing_and_is_torn(log: LogOnDisk, body_bytes: int) -> None:
    end = log.frames(1)[-1].end
    forged(log, b"short", body_bytes=body_bytes)
    with log.open() as wal:
        assert isinstance(wal.tail_state, walogs.TruncatedAt)
        assert wal.tail_state.offset == end
    log.goes_on(numbered(1, *DATA))


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("body_bytes", [0, 1, 3])
def test_a_body_too_short_for_its_check_is_torn(log: LogOnDisk, body_bytes: int) -> None:
    forged(log, b"", body_bytes=body_bytes)
    log.goes_on(numbered(1, *DATA))


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("time_ns", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_commit_at_an_absurd_time_never_ends_in_anything_undocumented(log: LogOnDisk, time_ns: int) -> None:
    forged(log, b"forged", time_ns=time_ns)
    wal = opened_or_refused(log)
    if wal is None:
        return
    with wal:
        wal.append(b"next")
        wal.rotate()
        wal.append(b"after it")
    log.goes_on(numbered(1, *DATA, b"forged", b"next", b"after it"))


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
    """Without a witness, random bytes in the place of everything from some frame on: those frames that are left."""
    print("seed 17")
    rng, pristine = random.Random(17), log.files()["wal-000001.log"]
    frames = log.frames(1)
    for kept, frame in enumerate(frames):
        for size in (1, 40, 300, SECTOR, 5000):
            log.put({"wal-000001.log": pristine[: frame.offset] + rng.randbytes(size)})
            log.goes_on(numbered(1, *DATA[:kept]))


# The system says no


@pytest.mark.guarantee("G9")
def test_no_space_for_the_first_segment_leaves_nothing_that_refuses_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogOnDisk(tmp_path / "log")
    with monkeypatch.context() as patch:
        patch.setattr(local_store, "write_all", full_disk)
        with pytest.raises(OSError) as refused:
            log.open()
    assert refused.value.errno == errno.ENOSPC
    assert "wal-000001.log" in str(refused.value)
    assert "free some space" in "".join(refused.value.__notes__)
    assert [path.name for path in log.path.iterdir()] == ["LOCK"]
    log.append(b"one").goes_on(numbered(1, b"one"))


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_space_to_grow_is_an_error_that_says_so_and_the_log_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    log = LogOnDisk(tmp_path / "log")
    with log.open() as wal:
        wal.append(b"one")
        with monkeypatch.context() as patch:
            patch.setattr(local_store, "write_zeros", refuse)
            for _ in range(3):
                with pytest.raises(OSError) as refused:
                    wal.append(bytes(500_000))
                assert refused.value.errno == number
                assert isinstance(refused.value, walogs.NoSpace)
                assert "wal-000001.log" in str(refused.value)
                assert "Nothing was changed" in "".join(refused.value.__notes__)
            assert wal.append(b"two") == 2
        assert wal.append(bytes(500_000)) == 3
    log.goes_on(numbered(1, b"one", b"two", bytes(500_000)))


@pytest.mark.guarantee("G9")
def test_no_space_for_the_next_segment_is_an_error_that_says_so_and_the_log_goes_on(
    log: LogOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with log.open() as wal:
        with monkeypatch.context() as patch:
            patch.setattr(local_store, "write_all", full_disk)
            with pytest.raises(walogs.NoSpace, match="wal-000002"):
                wal.rotate()
            assert wal.segment_count == 1
        assert list(log.path.glob("*.tmp")) == []
        assert wal.append(b"five") == 5
        wal.rotate()
        assert wal.segment_count == 2
    log.goes_on(numbered(1, *DATA, b"five"))


def test_an_error_of_the_device_is_never_taken_for_damage(log: LogOnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = log.looks()[segment_name(1)]
    for failing in range(1, 60):
        calls = iter(range(1, 1000))
        pristine = os.pread

        def pread(*args: Any, pristine: Any = pristine, calls: Any = calls, failing: int = failing) -> bytes:
            if next(calls) == failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return bytes(pristine(*args))

        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", pread)
            try:
                log.open().close()
                break
            except OSError as error:
                refused = error
        assert refused.errno == errno.EIO
        assert log.looks()[segment_name(1)] == before, failing
    else:
        pytest.fail("an open reads less than that")
    assert failing > 5
    log.goes_on(numbered(1, *DATA))


def test_a_short_read_is_never_taken_for_the_end(log: LogOnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    pristine = os.pread
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda fd, size, offset: pristine(fd, max(1, size // 3), offset))
        assert log.entries() == numbered(1, *DATA)
        assert log.entries(recovery="prefix") == numbered(1, *DATA)
    before = log.looks()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda fd, size, offset: pristine(fd, size, offset) if offset < 400 else b"")
        with pytest.raises(OSError, match="fewer bytes"):
            log.open()
    assert log.looks() == before


UNPRIVILEGED: Final = """
import os, sys, json, traceback
import walogs, walogs.defaults.local_store, walogs.defaults.crc32_codec, walogs.defaults.sync_policies
import filelock, difflib, encodings.idna
os.setegid(65534); os.seteuid(65534)
try:
    with walogs.open(sys.argv[1]) as wal:
        print(json.dumps(["opened", wal.last_lsn]))
except BaseException as error:
    print(json.dumps([type(error).__name__, str(error), list(getattr(error, "__notes__", []))]))
"""


def as_nobody(path: Path) -> list[Any]:
    """What happens when an ordinary user opens this; modules are imported before privileges are dropped."""
    import json

    script = textwrap.dedent(UNPRIVILEGED)
    result = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr.decode()
    found: list[Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A place that every user can reach."""
    require("root", os.geteuid() == 0, "only root can become another user")
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.geteuid() and directory.name.startswith(("pytest", tmp_path.name)):
            directory.chmod(0o755)
    return tmp_path


def test_without_permission_to_look_the_error_is_the_system_s_own(shared: Path) -> None:
    log = LogOnDisk(shared / "log").append(*DATA)
    before = log.looks()
    kind, message, _ = as_nobody(log.path)
    assert kind == "PermissionError"
    assert str(log.path) in message
    assert log.looks() == before


@pytest.mark.parametrize("what", ["segment", "witness", "lock"])
def test_without_permission_the_error_names_what_it_could_not_touch(shared: Path, what: str) -> None:
    log = LogOnDisk(shared / "log").append(*DATA)
    for path in (log.path, *log.path.iterdir()):
        os.chown(path, 65534, 65534)
    assert as_nobody(log.path) == ["opened", 4]
    denied = {"segment": log.segment(1), "witness": log.witness, "lock": log.path / "LOCK"}[what]
    os.chown(denied, 0, 0)
    before = log.looks()
    kind, message, notes = as_nobody(log.path)
    assert kind == "PermissionError", (kind, message)
    assert denied.name in message + "".join(notes)
    assert log.looks() == before
    os.chown(denied, 65534, 65534)
    assert as_nobody(log.path) == ["opened", 4]


def test_without_permission_to_write_in_the_directory(shared: Path) -> None:
    (shared / "log").mkdir(mode=0o755)
    kind, message, _ = as_nobody(shared / "log")
    assert kind == "PermissionError"
    assert str(shared / "log") in message
    assert list((shared / "log").iterdir()) == []


def test_without_permission_to_make_the_directory(shared: Path) -> None:
    kind, message, _ = as_nobody(shared / "new" / "log")
    assert kind == "PermissionError"
    assert str(shared / "new") in message
    assert not (shared / "new").exists()


# What the caller says


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        ({"max_segmnt_size": 1}, ["max_segmnt_size", "did you mean 'max_segment_size'"]),
        ({"colour": "red"}, ["colour: no such key", "there are: store, codec"]),
        ({"a": 1, "b": 2}, ["a: no such key", "b: no such key"]),
        ({"max_segment_size": 0}, ["max_segment_size=0", "1 or more, or None"]),
        ({"max_segment_size": -1}, ["max_segment_size=-1"]),
        ({"max_segment_size": 1.5}, ["max_segment_size=1.5"]),
        ({"max_segment_size": "64"}, ["max_segment_size='64'"]),
        ({"max_segment_size": True}, ["max_segment_size=True"]),
        ({"max_entry_size": -1}, ["max_entry_size=-1", "0 or more"]),
        ({"max_entry_size": None}, ["max_entry_size=None"]),
        ({"max_entry_size": 1 << 31}, ["max_entry_size", "at most"]),
        ({"max_batch_size": 0}, ["max_batch_size=0", "1 to"]),
        ({"max_batch_size": 1 << 31}, ["max_batch_size"]),
        ({"recovery": "repair"}, ["recovery='repair'", "'acked' or 'prefix'"]),
        ({"recovery": None}, ["recovery=None"]),
        ({"verify": "none"}, ["verify='none'", "'full' or 'last'"]),
        ({"verify": ["full"]}, ["verify="]),
        ({"sync": "fdatasnyc"}, ["sync='fdatasnyc'", "did you mean 'fdatasync'"]),
        ({"sync": "sometimes"}, ["sync='sometimes'", "fdatasync, fsync, interval, none"]),
        ({"codec": "crc23"}, ["codec='crc23'", "did you mean 'crc32'"]),
        ({"store": "locale"}, ["store='locale'", "did you mean 'local'"]),
        ({"sync": 5}, ["sync=5"]),
        ({"sync": None}, ["sync=None"]),
        ({"codec": None}, ["codec=None"]),
        ({"codec": DeflateCodec}, ["codec="]),
        ({"sync": walogs.SyncPolicy}, ["sync="]),
        ({"max_segment_size": 0, "verify": "x", "recovery": "y"}, ["max_segment_size=0", "verify='x'", "recovery='y'"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_a_wrong_option_is_named_with_what_would_be_right(
    tmp_path: Path, options: dict[str, Any], phrases: list[str]
) -> None:
    with pytest.raises(walogs.ConfigError) as refused:
        walogs.open(tmp_path / "log", **options)
    for phrase in phrases:
        assert phrase in str(refused.value)
    assert refused.value.problems
    assert isinstance(refused.value, ValueError)
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("store", [5, None, object(), MemoryStore], ids=["a number", "None", "an object", "a class"])
def test_a_store_that_is_none_is_named(store: Any) -> None:
    with pytest.raises(walogs.ConfigError, match="store="):
        walogs.open(store=store)


def test_a_store_object_with_a_path_is_one_place_too_many(tmp_path: Path) -> None:
    for store in (MemoryStore(MemoryDisk()), MemoryChainStore(MemoryCloud())):
        with pytest.raises(walogs.ConfigError, match="with a store object there is no path"):
            walogs.open(tmp_path / "log", store=store)
    assert not (tmp_path / "log").exists()


def test_a_store_by_name_without_a_path_is_one_place_too_few() -> None:
    with pytest.raises(walogs.ConfigError, match="store='local' needs a path"):
        walogs.open()


@pytest.mark.parametrize("path", ["", 7, b"bytes", None, "a\0b"], ids=repr)
def test_a_path_that_is_none_is_refused_by_name(path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError)) as refused:
        walogs.open(path)
    assert "string pattern" not in str(refused.value), "an error of ours, not of a regular expression"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.guarantee("G19")
@pytest.mark.parametrize("models", ["none", "page-cache"])
@pytest.mark.parametrize("sync", ["fdatasync", "fsync"])
def test_a_store_that_cannot_keep_a_promise_is_refused_by_a_policy_that_makes_it(models: Any, sync: str) -> None:
    disk = MemoryDisk()
    with pytest.raises(walogs.ConfigError, match=rf"sync='{sync}' promises durable.*{models}.*sync='none'"):
        walogs.open(store=MemoryStore(disk, models=models), sync=sync)
    assert disk.cached_names() == []
    with walogs.open(store=MemoryStore(disk, models=models), sync="none") as wal:
        assert wal.append(b"one") == 1


def test_a_key_that_is_set_twice_or_by_position_is_pythons_own_complaint(tmp_path: Path) -> None:
    config = walogs.WalConfig(max_segment_size=1)
    with walogs.open(tmp_path / "log", config, max_entry_size=5) as wal, pytest.raises(walogs.EntryTooLarge):
        wal.append(b"123456")
    with pytest.raises((TypeError, walogs.ConfigError)):
        walogs.open(tmp_path / "other", {"max_segment_size": 1})  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()


def test_entries_is_the_kind_of_every_frame_that_was_forged() -> None:
    """The helper's own frames are what the library would write."""
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal:
        wal.append(b"data")
        written = disk.cached("wal-000001.log")
        (commit,) = wal.commits()
    own = frame_bytes(salt_of(written), HEADER, b"data", kind=ENTRIES, first_lsn=1, time_ns=commit.time_ns)
    assert written[HEADER : HEADER + len(own)] == own
