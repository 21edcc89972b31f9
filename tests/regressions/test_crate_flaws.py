"""The Rust crate walogs 0.1.0 has seven flaws, each shown by experiment. These tests show that this log has none."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.regressions.logs import (
    FIRST,
    FORMAT,
    contents,
    dropped_durable_mark,
    flip,
    frame,
    frame_bytes,
    go_on_after_a_failed_sync,
    killed_copy,
    look_twice,
    look_twice_at,
    patch,
    process,
    without_links,
)
from walogs.defaults import local_store
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.defaults.directory import LOCK, Directory
from walogs.defaults.local_store import DURABLE_MARK, LocalStore
from walogs.defaults.lock_file import LockFile
from walogs.engine import appendable, frame_reader, new_segments, recovery, verdict
from walogs.engine import takeover as takeover_module
from walogs.engine.recovery import RecoveredLog
from walogs.testing import MemoryDisk

DATA = b"x" * 100
FRAME = frame_bytes(len(DATA))


# C1: a checkpoint that leaves only an empty active segment, a reopening, and LSN 1 again


def checkpoint_everything(*, closed: bool) -> None:
    disk = MemoryDisk()
    with process(disk) as wal:
        for k in range(3):
            wal.append(b"entry %d" % k)
        wal.rotate()
        wal.checkpoint(3)
        assert wal.segment_count == 1
        if closed:
            wal.close()
    for left in (disk, dropped_durable_mark(disk.clone())):
        with process(left) as wal:
            assert wal.next_lsn == 4, f"numbers are used again: the next is {wal.next_lsn}"
            assert wal.append(b"fourth") == 4
        look_twice(left, [b"fourth"])


@pytest.mark.guarantee("G2", "G11")
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
def test_no_lsn_is_used_again_after_everything_was_checkpointed(closed: bool) -> None:
    checkpoint_everything(closed=closed)


def test_lsns_that_begin_again_are_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    take_over = takeover_module.take_over

    def from_the_frames_alone(source: Any, store: Any, environment: Any, recovered: RecoveredLog) -> Any:
        if not recovered.newest.entries:
            recovered.newest.last_lsn = 0
        return take_over(source, store, environment, recovered)

    monkeypatch.setattr(takeover_module, "take_over", from_the_frames_alone)
    with pytest.raises(AssertionError, match="used again"):
        checkpoint_everything(closed=False)


# C2: wal-1000000.log, which the next open does not see


def cross_the_millionth_segment(path: Path) -> None:
    with walogs.open(path) as wal:
        wal.append(b"one")
    header = FORMAT.decode_header((path / FIRST).read_bytes()[:512])
    patch(path, 0, FORMAT.encode_header(header._replace(number=999_998), Crc32Codec()))
    (path / FIRST).rename(path / "wal-999998.log")
    (path / DURABLE_MARK).unlink()
    expected = [b"one"]
    for k in range(2, 7):
        with walogs.open(path) as wal:
            assert contents(wal) == expected, "a segment was not seen"
            wal.append(b"entry %d" % k)
            expected.append(b"entry %d" % k)
            wal.rotate()
    names = sorted(name for name in os.listdir(path) if name.startswith("wal-"))
    assert {"wal-999999.log", "wal-1000000.log", "wal-1000003.log"} < set(names)
    with walogs.open(path) as wal:
        assert [s.number for s in wal.segments()] == list(range(999_998, 999_998 + wal.segment_count))
        wal.checkpoint(4)
        assert wal.first_lsn > 1
        kept = contents(wal)
    look_twice_at(path, kept)


@pytest.mark.guarantee("G1", "G17")
def test_the_segment_after_the_999999th_is_seen(tmp_path: Path) -> None:
    cross_the_millionth_segment(tmp_path)


def test_names_of_six_digits_alone_are_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_store, "SEGMENT", re.compile(r"wal-(\d{6})\.log", re.ASCII))
    monkeypatch.setattr(local_store, "ALMOST", re.compile(r"wal-[a-z]+\.log"))
    with pytest.raises((AssertionError, walogs.WalError)):
        cross_the_millionth_segment(tmp_path)


# C3: LSNs inside a segment, which nobody compares


def append_a_frame_of_another_lsn(path: Path, lsn: int) -> None:
    with walogs.open(path) as wal:
        for _ in range(3):
            wal.append(DATA)
        left = killed_copy(path, path.with_name(f"left {lsn}"))
    at = 512 + 3 * FRAME
    content = (left / FIRST).read_bytes()
    check_at = at - FRAME + 48 + len(DATA)
    link = content[check_at : check_at + 4] + bytes(4)  # of the third entry: only the LSN is not the next
    patch(left, at, frame(int.from_bytes(content[12:16], "little"), at, lsn, b"stray", link))
    with pytest.raises(walogs.Corrupt) as refused, walogs.open(left) as wal:
        raise AssertionError(f"an intact frame of entry {lsn} after entry 3: {wal.last_lsn}, {contents(wal)[3:]}")
    assert (refused.value.segment, refused.value.offset, refused.value.lsn) == (1, at, 4)


@pytest.mark.guarantee("G2", "G6")
@pytest.mark.parametrize("lsn", [1, 2, 3, 5, 6, 1 << 40, 0])
def test_a_duplicate_or_missing_lsn_is_corrupt_however_intact_its_frame(lsn: int, tmp_path: Path) -> None:
    append_a_frame_of_another_lsn(tmp_path / "log", lsn)


def test_lsns_that_nobody_compares_are_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_links(monkeypatch)
    monkeypatch.setattr(frame_reader, "frame_problem", lambda *_: None)
    with pytest.raises(AssertionError, match="after entry 3"):
        append_a_frame_of_another_lsn(tmp_path / "log", 2)


# C4: a flipped bit in the last segment, and every entry after it gone, "clean"


def flip_bits_of_every_entry(path: Path) -> None:
    with walogs.open(path) as wal:
        for k in range(20):
            wal.append(b"entry %02d" % k * 12)
        left = killed_copy(path, path.with_name("left"))
    whole = (left / FIRST).read_bytes()
    for k in range(20):
        for offset, bit in ((2, 3), (4, 0), (9, 7), (32, 1), (37, 4), (40, 2), (100, 6)):
            flip(left, 512 + k * frame_bytes(96) + offset, bit)
            with pytest.raises(walogs.Corrupt) as refused, walogs.open(left) as wal:
                raise AssertionError(f"{wal.last_lsn} of 20 acknowledged entries, {wal.tail_state}")
            assert refused.value.lsn == k + 1
            (left / FIRST).write_bytes(whole)
    look_twice_at(left, [b"entry %02d" % k * 12 for k in range(20)])


@pytest.mark.guarantee("G6")
def test_a_flipped_bit_in_the_last_segment_drops_nothing_silently(tmp_path: Path) -> None:
    flip_bits_of_every_entry(tmp_path / "log")


def test_a_cut_at_the_first_bad_frame_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beyond = (verdict.CrashShape.MAY_TEAR, verdict.TailContent.BYTES, verdict.DurabilityEvidence.SYNCED_BEYOND)
    monkeypatch.setitem(verdict.VERDICTS, beyond, verdict.Verdict.TORN)
    monkeypatch.setattr(recovery, "durable_mark_problem", lambda *_: None)
    with pytest.raises(AssertionError, match="0 of 20 acknowledged entries"):
        flip_bits_of_every_entry(tmp_path / "log")


# C5: a failed sync leaves the position advanced and the handle usable: the same LSN again, behind it


def append_after_a_failed_sync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acknowledged = [b"one", b"two"]
    with walogs.open(path) as wal:
        wal.append_batch(acknowledged)
        with monkeypatch.context() as patched:
            patched.setattr(local_store, "sync_data", fails)
            with pytest.raises(walogs.OutcomeUnknown) as unknown:
                wal.append(b"three")
        assert unknown.value.first_lsn == 3
        for _ in range(2):
            try:
                wal.append(b"four")
            except walogs.Poisoned:
                continue
            acknowledged.append(b"four")
    assert acknowledged == [b"one", b"two"], "acknowledged after a failed sync"
    with walogs.open(path) as wal:
        found = contents(wal)
        assert found in ([b"one", b"two"], [b"one", b"two", b"three"])
    look_twice_at(path, found)


def fails(fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.guarantee("G7", "G8")
def test_no_lsn_is_written_twice_after_a_failed_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_after_a_failed_sync(tmp_path, monkeypatch)


def test_an_lsn_written_twice_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on_after_a_failed_sync(monkeypatch)
    with pytest.raises(AssertionError, match="acknowledged after a failed sync"):
        append_after_a_failed_sync(tmp_path, monkeypatch)
    with pytest.raises(walogs.Corrupt, match="holds entry 3 where 4 belongs"):
        walogs.open(tmp_path).close()


# C6: no lock


WRITE_BESIDE = "import sys, walogs; walogs.open(sys.argv[1]).close()"


class NoLockFile(LockFile):
    def take(self, directory: Directory) -> None:
        pass


class NoLock(LocalStore):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lock = NoLockFile(self.path)


def open_twice(path: Path, make: type[LocalStore]) -> None:
    with walogs.open(store=make(path)) as wal:
        wal.append(b"one")
        try:
            with walogs.open(store=make(path)) as other:
                other.append(b"two, by the other")
        except walogs.Locked as refused:
            holder = refused.pid
        else:
            holder = None
        wal.append(b"two")
        assert holder == os.getpid(), "two writers at once"
    look_twice_at(path, [b"one", b"two"])


@pytest.mark.guarantee("G13")
def test_a_second_writer_is_refused_in_the_same_process(tmp_path: Path) -> None:
    open_twice(tmp_path, LocalStore)


@pytest.mark.guarantee("G13")
def test_a_second_writer_is_refused_in_another_process(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"one")
        command = [sys.executable, "-c", WRITE_BESIDE, str(tmp_path)]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
        assert answer.returncode
        assert f"Locked: {tmp_path} is open for writing by process {os.getpid()}" in answer.stderr
        assert (tmp_path / LOCK).exists()
    subprocess.run(command, check=True)
    look_twice_at(tmp_path, [b"one"])


def test_two_writers_at_once_are_seen_when_planted(tmp_path: Path) -> None:
    with pytest.raises((AssertionError, walogs.WalError)):
        open_twice(tmp_path, NoLock)


# C7: every append makes the file longer, so every sync commits the inode as well


class CountsExtensions(LocalStore):
    extensions = 0

    def extend(self, number: int, size: int) -> None:
        self.extensions += 1
        super().extend(number, size)


def append_without_growing(path: Path) -> None:
    store = CountsExtensions(path)
    with walogs.open(store=store, sync="none") as wal:
        sizes = set()
        for k in range(3000):
            wal.append(DATA)
            sizes.add((path / FIRST).stat().st_size)
            assert store.extensions <= 1 + k * FRAME // 65536, f"{store.extensions} extensions in {k + 1} appends"
    assert store.extensions == len(sizes) - 1 > 1


@pytest.mark.guarantee("G1")
def test_a_window_is_grown_for_many_appends_at_once(tmp_path: Path) -> None:
    append_without_growing(tmp_path)


def test_a_file_that_every_append_makes_longer_is_seen_when_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_segments, "WINDOW_FIRST", 512)
    monkeypatch.setattr(appendable, "WINDOW_MAX", 1)
    with pytest.raises(AssertionError, match="extensions in"):
        append_without_growing(tmp_path)
