"""Segments are missing, copied or left over, and two writers never write at once (G6, G11, G13, G17)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.regressions.logs import (
    FIRST,
    contents,
    files,
    frame_bytes,
    killed_copy,
    look_twice,
    look_twice_at,
    patch,
    process,
    segment_files,
)
from walogs.defaults.directory import LOCK, Directory
from walogs.defaults.local_store import DURABLE_MARK, LEFTOVER, LocalStore
from walogs.defaults.lock_file import LockFile
from walogs.engine import recovery, verdict
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore

ENTRIES = [b"entry %d " % k * 20 for k in range(1, 8)]


def four_segments(path: Path) -> Path:
    """Two entries in each, one in the active; the writer was killed."""
    with walogs.open(path) as wal:
        for k, entry in enumerate(ENTRIES, start=1):
            wal.append(entry)
            if k % 2 == 0:
                wal.rotate()
        return killed_copy(path, path.with_name("killed"))


# RocksDB #7701 and #7859, Pebble #864


def damage_the_end_of_an_older_segment(path: Path) -> None:
    """Its last entry is gone, and its SEAL: a hole, whatever the segments after it hold."""
    left = four_segments(path)
    for name in ("wal-000001.log", "wal-000002.log", "wal-000003.log"):
        each = shutil.copytree(left, path.with_name(f"{name} damaged"))
        segment = (each / name).read_bytes()
        patch(each, 512 + 216, bytes(len(segment) - 728), name)
        before = segment_files(each)
        with pytest.raises(walogs.Corrupt) as refused, walogs.open(each) as wal:
            raise AssertionError(f"opened with a hole: {wal!r}")
        assert refused.value.segment == int(name[4:10])
        assert segment_files(each) == before


@pytest.mark.guarantee("G2", "G6")
def test_damage_in_one_segment_is_not_stepped_over_to_the_next(tmp_path: Path) -> None:
    damage_the_end_of_an_older_segment(tmp_path / "log")


def test_a_hole_between_segments_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "end_problem", lambda *_: None)
    with pytest.raises(AssertionError, match="opened with a hole"):
        damage_the_end_of_an_older_segment(tmp_path / "log")


def open_an_empty_successor() -> None:
    for synced in ("fdatasync", "none"):
        disk = MemoryDisk()
        with process(disk, sync=synced) as wal:
            wal.append_batch(ENTRIES)
            wal.rotate()
        with process(disk) as wal:
            assert wal.tail_state == walogs.Clean()
            assert (wal.segment_count, wal.next_lsn) == (2, 8)
        look_twice(disk, ENTRIES)


@pytest.mark.guarantee("G5", "G10")
def test_an_empty_newest_segment_is_no_hole() -> None:
    open_an_empty_successor()


def test_an_empty_segment_taken_for_a_hole_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = (verdict.CrashShape.MAY_TEAR, verdict.TailContent.ZEROS, verdict.DurabilityEvidence.NOTHING)
    monkeypatch.setitem(verdict.VERDICTS, nothing, verdict.Verdict.CORRUPT)
    with pytest.raises(walogs.Corrupt):
        open_an_empty_successor()


# Badger #541


def remove_each_segment(path: Path) -> None:
    left = four_segments(path)
    for number in (1, 2, 3, 4):
        name = f"wal-{number:06d}.log"
        each = shutil.copytree(left, path.with_name(f"without {number}"))
        (each / name).unlink()
        before = files(each)
        with pytest.raises(walogs.Corrupt) as refused, walogs.open(each) as wal:
            raise AssertionError(f"opened without segment {number}: {wal!r}")
        assert name in str(refused.value) or f"segment {number}" in str(refused.value)
        assert {**files(each), LOCK: before[LOCK]} == before
        shutil.copy2(left / name, each / name)
        look_twice_at(each, ENTRIES)


@pytest.mark.guarantee("G6")
def test_a_missing_segment_is_named_and_refused(tmp_path: Path) -> None:
    remove_each_segment(tmp_path / "log")


def test_a_missing_segment_passed_over_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examine_older = recovery.examine_older

    def what_is_there(source: Any, numbers: Sequence[int], newest: Any, log_first_lsn: int, *rest: Any) -> Any:
        at = len(numbers) - 1
        while at and numbers[at - 1] == numbers[at] - 1:
            at -= 1
        oldest = newest if numbers[at] == newest.number else source.header(numbers[at])
        return examine_older(source, numbers[at:], newest, max(log_first_lsn, oldest.first_lsn), *rest)

    monkeypatch.setattr(recovery, "examine_older", what_is_there)
    with pytest.raises(AssertionError, match="opened without segment"):
        remove_each_segment(tmp_path / "log")


# Pebble #5142


def copy_a_live_log(path: Path) -> None:
    """File by file, while the writer goes on: whatever opens holds all that its durable mark had seen."""
    with walogs.open(path) as wal:
        for entry in ENTRIES[:3]:
            wal.append(entry)
        early = killed_copy(path, path.with_name("early"))
        for entry in ENTRIES[3:5]:
            wal.append(entry)
        middle = killed_copy(path, path.with_name("middle"))
        wal.rotate()
        wal.append(ENTRIES[5])
        late = killed_copy(path, path.with_name("late"))
        look_twice_at(early, ENTRIES[:3])
        for durable_mark in (middle, late):
            torn = shutil.copytree(path, path.with_name(f"segment early, durable mark {durable_mark.name}"))
            for file in (*torn.glob("wal-*"), torn / DURABLE_MARK):
                file.unlink()
            with walogs.open(path.with_name("other")) as other:
                other.append(b"so that there is a durable mark of another log")
            shutil.copy2(middle / FIRST, torn / FIRST)
            patch(torn, 512 + 3 * 216, bytes(2 * 216))  # as the segment was when it was copied
            shutil.copy2(durable_mark / DURABLE_MARK, torn / DURABLE_MARK)
            with pytest.raises(walogs.Corrupt) as refused, walogs.open(torn) as wal_of_copy:
                raise AssertionError(f"opened with {wal_of_copy.last_lsn} entries, and its durable mark saw more")
            assert "copy" in str(refused.value)
            shutil.copy2(path.with_name("other") / DURABLE_MARK, torn / DURABLE_MARK)
            look_twice_at(torn, ENTRIES[:3])
    look_twice_at(shutil.copytree(path, path.with_name("closed")), ENTRIES[:6])


@pytest.mark.guarantee("G6")
def test_a_copy_that_missed_what_its_durable_mark_saw_is_refused(tmp_path: Path) -> None:
    copy_a_live_log(tmp_path / "log")


def test_a_copy_opened_without_asking_the_durable_mark_is_seen_when_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "read_durable_mark", lambda source: None)
    with pytest.raises(AssertionError, match="its durable mark saw more"):
        copy_a_live_log(tmp_path / "log")


# RocksDB #3603


@pytest.mark.guarantee("G2", "G11")
def test_checkpoints_rotations_and_appends_at_once_write_every_entry_once(tmp_path: Path) -> None:
    acknowledged: dict[int, bytes] = {}

    def append_some(wal: walogs.Wal, name: bytes) -> None:
        for k in range(40):
            entry = b"%s %d " % (name, k) * 10
            acknowledged[wal.append(entry)] = entry

    def disturb(wal: walogs.Wal, done: threading.Event) -> None:
        while not done.is_set():
            wal.rotate()
            wal.sync()
            wal.checkpoint(wal.last_lsn - 30)

    with walogs.open(tmp_path, sync="none", max_segment_size=3000) as wal:
        done = threading.Event()
        threads = [threading.Thread(target=append_some, args=(wal, name)) for name in (b"a", b"b")]
        disturbing = threading.Thread(target=disturb, args=(wal, done))
        for thread in (disturbing, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        disturbing.join()
        wal.rotate()
        wal.checkpoint(40)  # a segment holds fewer, however often it was disturbed
        first_lsn = wal.first_lsn
        assert first_lsn > 1
    expected = [acknowledged[lsn] for lsn in range(first_lsn, 81)]
    assert len(set(acknowledged.values())) == len(acknowledged) == 80
    look_twice_at(tmp_path, expected)


# KAFKA-6264, tidwall/wal as sei #3983 met it, arc #595


class TidiesBeforeItLocks(LocalStore):
    """Finishes what others left before it knows whether they are gone."""

    def acquire(self) -> None:
        for name in os.listdir(self.path):
            if LEFTOVER.fullmatch(name) is not None:
                os.rename(self._path(name), self._path(name.removesuffix(".tmp")))
        for number in self.segments()[1:]:
            if not self.read(number, 512).strip(b"\0"):
                os.unlink(self._path(self.segment_name(number)))
        super().acquire()


def open_beside_a_live_writer(path: Path, make: type[LocalStore]) -> None:
    with walogs.open(path) as wal:
        wal.append_batch(ENTRIES)
        wal.rotate()  # its active segment is a header and zeros
        (path / "wal-000003.log.tmp").write_bytes(b"being created")
        before = files(path)
        with pytest.raises(walogs.Locked):
            walogs.open(store=make(path)).close()
        assert files(path) == before, "an open that was refused has changed something"
        wal.append(b"into the segment that is still there")
        left = killed_copy(path, path.with_name("left"))
    look_twice_at(left, [*ENTRIES, b"into the segment that is still there"])
    assert not list(left.glob("*.tmp"))
    assert (left / "wal-000002.log").exists()


@pytest.mark.guarantee("G13", "G17")
def test_an_open_beside_a_live_writer_changes_nothing(tmp_path: Path) -> None:
    open_beside_a_live_writer(tmp_path / "log", LocalStore)


def test_an_open_that_tidies_before_it_locks_is_seen_when_planted(tmp_path: Path) -> None:
    with pytest.raises((AssertionError, walogs.Corrupt)):
        open_beside_a_live_writer(tmp_path / "log", TidiesBeforeItLocks)


@pytest.mark.guarantee("G10", "G17")
def test_a_segment_that_was_being_created_is_never_finished_by_another(tmp_path: Path) -> None:
    """However whole it looks: its name says that it never came to be."""
    with walogs.open(tmp_path / "log") as wal:
        wal.append_batch(ENTRIES)
        left = killed_copy(tmp_path / "log", tmp_path / "left")
        wal.rotate()
        shutil.copy2(tmp_path / "log" / "wal-000002.log", left / "wal-000002.log.tmp")
    with walogs.open(left) as wal:
        assert [s.number for s in wal.segments()] == [1]
    assert not (left / "wal-000002.log.tmp").exists()
    look_twice_at(left, ENTRIES)


@pytest.mark.guarantee("G15")
def test_recovery_keeps_the_segment_that_has_only_a_header(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append_batch(ENTRIES)
        wal.rotate()
        left = killed_copy(tmp_path / "log", tmp_path / "left")
    for _ in range(3):
        with walogs.open(left) as wal:
            assert [s.number for s in wal.segments()] == [1, 2]
    look_twice_at(left, ENTRIES)


# Chronicle Queue #629


class StolenLock(LockFile):
    """A lock that has not been touched for a minute is thought to be nobody's."""

    def take(self, directory: Directory) -> None:
        lock = Path(directory.path_of(LOCK))
        if lock.exists() and lock.stat().st_mtime < time.time() - 60:
            lock.unlink()
        super().take(directory)


class StealsOldLocks(LocalStore):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lock = StolenLock(self.path)


def wait_long_for_a_lock(path: Path, make: type[LocalStore]) -> None:
    with walogs.open(path) as wal:
        wal.append(b"one")
        (path / LOCK).write_bytes(b"999999 elsewhere 1970-01-01T00:00:00Z\n")
        os.utime(path / LOCK, (0, 0))
        with pytest.raises(walogs.Locked) as refused:
            walogs.open(store=make(path)).close()
        assert (refused.value.pid, refused.value.since) == (999999, "1970-01-01T00:00:00Z")
        wal.append(b"two")
    look_twice_at(path, [b"one", b"two"])


@pytest.mark.guarantee("G13")
def test_a_lock_is_never_stolen_for_its_age(tmp_path: Path) -> None:
    wait_long_for_a_lock(tmp_path, LocalStore)


def test_a_stolen_lock_is_seen_when_planted(tmp_path: Path) -> None:
    with pytest.raises(walogs.UnsafeStore, match="LOCK was replaced") as caught:  # its holder notices, later
        wait_long_for_a_lock(tmp_path, StealsOldLocks)
    assert isinstance(caught.value.__context__, pytest.fail.Exception), "DID NOT RAISE Locked"


@pytest.mark.guarantee("G13")
def test_a_lock_that_a_dead_writer_left_is_free(tmp_path: Path) -> None:
    code = "import os, sys, walogs; walogs.open(sys.argv[1]).append(b'one'); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / LOCK).read_bytes()
    look_twice_at(tmp_path, [b"one"])


# Chronicle Queue #389, #392 and #1509


@pytest.mark.guarantee("G2")
def test_an_iteration_crosses_empty_torn_and_freshly_rotated_segments(tmp_path: Path) -> None:
    disk = MemoryDisk()
    expected: list[bytes] = []
    for k in range(6):
        with process(disk) as wal:
            if k % 3 == 0:
                wal.rotate()  # an empty successor, then killed
            wal.append(b"entry %d" % k)
            expected.append(b"entry %d" % k)
            begun = iter(wal)
            assert next(begun) == (1, b"entry 0")
            wal.rotate()
            wal.append(b"after rotation")
            expected.append(b"after rotation")
            assert [data for _, data in begun] == expected[1:-1]  # what was there when it was asked for
            end = wal.segments()[-1].number
        disk.damage(f"wal-{end:06d}.log", 512 + frame_bytes(14), b"\xd7\x57torn")
    look_twice(disk, expected)


# SQLite's WAL reset, 3.7.0 to 3.51.2


SECOND_PROCESS = """
import sys, walogs
try:
    with walogs.open(sys.argv[1]) as wal:
        wal.checkpoint(wal.last_lsn)
        wal.append(b"from the second process")
except walogs.Locked as refused:
    print("locked by", refused.pid)
"""


def checkpoint_from_another_process(path: Path) -> None:
    with walogs.open(path, max_segment_size=1500) as wal:
        for entry in ENTRIES:
            wal.append(entry)
        command = [sys.executable, "-c", SECOND_PROCESS, str(path)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert answer == f"locked by {os.getpid()}\n", "two writers at once"
        for entry in ENTRIES:
            wal.append(entry)
        assert wal.checkpoint(wal.last_lsn) > 0
        first_lsn = wal.first_lsn
    look_twice_at(path, (ENTRIES * 2)[first_lsn - 1 :])


@pytest.mark.guarantee("G13")
def test_a_second_process_neither_checkpoints_nor_writes(tmp_path: Path) -> None:
    checkpoint_from_another_process(tmp_path)


@pytest.mark.guarantee("G3", "G11")
def test_numbers_and_salts_are_new_after_a_checkpoint_of_everything(tmp_path: Path) -> None:
    """Nothing is reset in place, so no stale frame can be valid again."""
    salts, numbers = set(), set()
    for _ in range(6):
        with walogs.open(tmp_path) as wal:
            wal.append(b"x" * 100)
            wal.rotate()
            wal.checkpoint(wal.last_lsn)
            [active] = wal.segments()
            numbers.add(active.number)
            salts.add((tmp_path / active.name).read_bytes()[12:16])
    assert len(salts) == len(numbers) == 6


@pytest.mark.guarantee("G11", "G13")
def test_a_fenced_writer_cannot_checkpoint_what_the_next_one_reads() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as old:
        for entry in ENTRIES:
            old.append(entry)
        with walogs.open(store=MemoryImmutableStore(cloud)) as new:
            with pytest.raises(walogs.Fenced):
                old.checkpoint(5)
            assert contents(new) == ENTRIES
            with pytest.raises((walogs.Fenced, walogs.Poisoned)):
                old.append(b"too late")
            new.append(b"eight")
            assert contents(new) == [*ENTRIES, b"eight"]
