"""A segment is created whole or not at all, its name is durable, and the order is right (G10, G1)."""

from __future__ import annotations

import errno
import os
import random
import stat
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.regressions.logs import (
    MakeStore,
    contents,
    crashes,
    failures,
    look_twice,
    look_twice_at,
    power_cuts,
    process,
)
from tests.shims.memory_os import ROOT, MemoryOS, run_as
from walogs.defaults import local_store, whole_files
from walogs.engine.appendable import AppendableWriter
from walogs.engine.segments import completed_by_rotation
from walogs.formats import durable_mark as durable_mark_bytes
from walogs.testing import CHANGES, DURABLE_MARK, Fault, MemoryDisk, MemoryStore, SimulatedCrash

CREATING = [Fault("crash", only=CHANGES), Fault(errno.EIO, only=CHANGES), Fault(errno.ENOSPC, only={"write"})]


class CreatesInPlace(MemoryStore):
    """A segment has its name before it has its bytes."""

    def create(self, number: int, data: Any) -> None:
        handle, rest = self.process.create_exclusive(self.segment_name(number)), memoryview(data)
        self.process.sync_directory()
        while rest:
            rest = rest[handle.write(handle.size, rest) :]
        handle.sync()


class NoDirectorySync(MemoryStore):
    """A new name is left to the file system."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk, laws=False)
        self.is_creating = False
        sync_directory = self.process.sync_directory
        self.process.sync_directory = lambda: None if self.is_creating else sync_directory()  # type: ignore[method-assign]

    def create(self, number: int, data: Any) -> None:
        self.is_creating = True
        super().create(number, data)
        self.is_creating = False


class SyncsTheDirectoryEveryTime(MemoryStore):
    def sync(self, number: int, kind: Any) -> None:
        super().sync(number, kind)
        self.process.sync_directory()


# etcd #10688; bbolt #567 and etcd #16596


def fail_the_first_open(make: MakeStore) -> None:
    def first_open(disk: MemoryDisk) -> None:
        with process(disk, make) as wal:
            wal.append(b"first")

    for fault in CREATING:
        for step, left, raised in failures(MemoryDisk(), first_open, fault):
            acknowledged, unknown = ([b"first"], []) if raised is None else ([], [[b"first"]])
            assert isinstance(raised, (OSError, walogs.Poisoned, walogs.OutcomeUnknown, SimulatedCrash, type(None)))
            for seed, cut in [(None, left), *power_cuts(left, 6)]:
                try:
                    look_twice(cut, acknowledged, unknown, make=make)
                except walogs.WalError as error:
                    raise AssertionError(f"{fault.what} at step {step}, power cut {seed}: half a log") from error


@pytest.mark.guarantee("G10")
def test_a_first_open_that_failed_or_lost_power_anywhere_leaves_no_half_log() -> None:
    fail_the_first_open(MemoryStore)


def test_a_segment_created_in_place_is_seen_when_planted() -> None:
    with pytest.raises(AssertionError, match="half a log"):
        fail_the_first_open(CreatesInPlace)


# boltdb #548: the one place that is written over and over again


def garble_the_durable_mark() -> None:
    """Torn at every byte between the old one and the new: ignored, and every entry there."""
    disk = MemoryDisk()
    with process(disk) as wal:
        wal.append(b"one")
        old = disk.cached(DURABLE_MARK)
        wal.append(b"two")
        new = disk.cached(DURABLE_MARK)
        garbled = [new[:at] + old[at:] for at in range(1, 64, 3)] + [old[:at] + new[at:] for at in range(1, 64, 3)]
        flipped = [new[:at] + bytes([new[at] ^ 0x80]) + new[at + 1 :] for at in range(64)]
        for data in (*garbled, *flipped, b"", new[:30], bytes(64), b"\xff" * 64):
            left = disk.clone()
            left.damage(DURABLE_MARK, 0, data.ljust(64, b"\0"))
            look_twice(left, [b"one", b"two"])


@pytest.mark.guarantee("G1", "G5")
def test_a_garbled_durable_mark_is_ignored() -> None:
    garble_the_durable_mark()


def test_a_durable_mark_believed_without_its_crc_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def believed(data: bytes | None) -> durable_mark_bytes.DurableMark | None:
        if data is None or len(data) < 64 or not data.startswith(durable_mark_bytes.MAGIC):
            return None
        _, log_id, segment, synced, last_lsn, salt, flags, link = durable_mark_bytes.FIELDS.unpack_from(data)
        return durable_mark_bytes.DurableMark(
            log_id=log_id,
            segment=segment,
            synced=synced,
            last_lsn=last_lsn,
            salt=salt,
            link=link,
            is_clean=bool(flags & 1),
        )

    monkeypatch.setattr(durable_mark_bytes, "decode", believed)
    with pytest.raises(walogs.Corrupt):
        garble_the_durable_mark()


# etcd #6368, PostgreSQL 1d4a0ab


def lose_the_names(make: MakeStore) -> None:
    """Power cuts that keep no name whose directory was not synced."""
    disk = MemoryDisk()
    acknowledged: list[bytes] = []
    with process(disk, make, max_segment_size=930) as wal:
        for k in range(8):
            wal.append(b"entry %d " % k * 10)
            acknowledged.append(b"entry %d " % k * 10)
            left = disk.clone()
            left.power_cut(random.Random(k), 0.0)
            look_twice(left, acknowledged, make=make)
        assert wal.segment_count == 3


@pytest.mark.guarantee("G1", "G10")
def test_nothing_is_acknowledged_from_a_segment_whose_name_may_be_lost() -> None:
    lose_the_names(MemoryStore)


def test_a_name_that_is_not_made_durable_is_seen_when_planted() -> None:
    with pytest.raises((AssertionError, walogs.Corrupt)):
        lose_the_names(NoDirectorySync)


def lose_the_names_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of the local store: its own system calls, on a disk that loses names."""
    disk, acknowledged = MemoryDisk(), []
    with monkeypatch.context() as patched:
        run_as(MemoryOS(disk), patched.setattr)
        wal = walogs.open(ROOT, max_segment_size=930)
        for k in range(6):
            wal.append(b"entry %d " % k * 10)
            acknowledged.append(b"entry %d " % k * 10)
        wal.closed = True
    disk.power_cut(random.Random(0), 0.0)
    with monkeypatch.context() as patched:
        run_as(MemoryOS(disk), patched.setattr)
        look_twice_at(ROOT, acknowledged, max_segment_size=930)  # type: ignore[arg-type]


@pytest.mark.guarantee("G1", "G10")
def test_no_renamed_file_is_lost_with_acknowledged_entries_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lose_the_names_of_files(monkeypatch)


def test_a_rename_without_a_directory_sync_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    create, sync_full = local_store.LocalStore.create, local_store.sync_full

    def unsynced(self: local_store.LocalStore, number: int, data: Any) -> None:
        directory = self._directory.fd
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(local_store, "sync_full", lambda fd: None if fd == directory else sync_full(fd))
            create(self, number, data)

    monkeypatch.setattr(local_store.LocalStore, "create", unsynced)
    with pytest.raises((AssertionError, walogs.Corrupt)):
        lose_the_names_of_files(monkeypatch)


# KAFKA-3968 and its reverted cures


def count_directory_syncs(make: MakeStore) -> None:
    disk = MemoryDisk()
    with process(disk, make, max_segment_size=930) as wal:
        before, segments = disk.schedule.counts["sync_directory"], wal.segment_count
        for _ in range(12):
            wal.append(b"entry " * 13)
            made = wal.segment_count - segments
            assert disk.schedule.counts["sync_directory"] - before == made, "not one directory sync a segment"
        assert made == 3


@pytest.mark.guarantee("G10")
def test_the_directory_is_synced_once_a_segment_and_before_its_first_entry_is_acknowledged() -> None:
    count_directory_syncs(MemoryStore)


@pytest.mark.parametrize("make", [NoDirectorySync, SyncsTheDirectoryEveryTime])
def test_too_few_or_too_many_directory_syncs_are_seen_when_planted(make: MakeStore) -> None:
    with pytest.raises(AssertionError, match="one directory sync a segment"):
        count_directory_syncs(make)


@pytest.mark.guarantee("G10")
def test_the_local_store_syncs_its_directory_once_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_full, order = local_store.sync_full, []
    rename = os.rename

    def watched(fd: int) -> None:
        order.append("directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        sync_full(fd)

    def renamed(*args: Any, **kwargs: Any) -> None:
        order.append("rename")
        rename(*args, **kwargs)

    with walogs.open(tmp_path, max_segment_size=930) as wal:
        for module in (local_store, whole_files):
            monkeypatch.setattr(module, "sync_full", watched)
        monkeypatch.setattr(os, "rename", renamed)
        for _ in range(12):
            wal.append(b"entry " * 13)
        created = wal.segment_count - 1
    assert order.count("directory") == order.count("rename") == created == 3
    at = order.index("rename")
    assert order[at - 1 : at + 2] == ["file", "rename", "directory"]


# RocksDB #10560, #12467 and #12489, Yugabyte #3490, Badger #153 and #157


def lose_what_the_older_segment_held() -> None:
    """Nothing is synced but what rotation syncs: every crash leaves a prefix, never a hole."""
    entries = [b"entry %d " % k * 10 for k in range(7)]

    def append_all(disk: MemoryDisk) -> None:
        with process(disk, sync="none", max_segment_size=930) as wal:
            for entry in entries:
                wal.append(entry)

    for step, left in crashes(MemoryDisk(), append_all):
        for seed, cut in power_cuts(left, 5):
            try:
                look_twice(cut, [], [[entry] for entry in entries], max_segment_size=930)
            except walogs.Corrupt as error:
                raise AssertionError(
                    f"crash at step {step}, power cut {seed}: a hole before the newest segment"
                ) from error


@pytest.mark.guarantee("G2", "G10")
def test_the_older_segment_is_durable_before_the_next_one_exists() -> None:
    lose_what_the_older_segment_held()


def test_a_rotation_that_does_not_sync_first_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AppendableWriter, "_sync_pending", lambda *_: None)
    with pytest.raises(AssertionError, match="a hole before the newest"):
        lose_what_the_older_segment_held()


# libsql #1613


def crash_while_sealing() -> None:
    disk = MemoryDisk()
    acknowledged = [b"one" * 50, b"two" * 50]
    with process(disk) as wal:
        for entry in acknowledged:
            wal.append(entry)

    def rotate(disk: MemoryDisk) -> None:
        with process(disk) as wal:
            wal.append(b"three" * 50)  # rotates first: the segment was not closed
            wal.rotate()
            wal.append(b"four" * 50)

    for step, left in crashes(disk, rotate):
        for seed, cut in power_cuts(left, 6):
            try:
                look_twice(cut, acknowledged, [[b"three" * 50], [b"four" * 50]])
            except walogs.Corrupt as error:
                raise AssertionError(f"crash at step {step}, power cut {seed}: sealed too early") from error


@pytest.mark.guarantee("G10")
def test_a_segment_is_sealed_after_its_successor_is_durable() -> None:
    crash_while_sealing()


def test_a_seal_before_the_successor_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def seal_first(self: AppendableWriter) -> None:
        old = self.active
        if old.frames:
            self.completed.append(completed_by_rotation(old, 0))
            self._seal(old)
            sealed = self.completed.pop()
            self._create_successor(old)
            self.completed[-1] = sealed
            self._write_durable_mark(durable=True)

    monkeypatch.setattr(AppendableWriter, "rotate", seal_first)
    with pytest.raises(AssertionError, match="sealed too early"):
        crash_while_sealing()


# Typhon #395


@pytest.mark.guarantee("G1")
def test_padding_and_entries_of_zeros_are_never_taken_for_the_end() -> None:
    entries = [bytes(size) for size in (*range(20), 511, 512, 513, 4096, 0, 0, 8)]
    disk = MemoryDisk()
    with process(disk, max_segment_size=1000) as wal:
        for entry in entries:
            wal.append(entry)
        wal.append_batch(entries)
    with process(disk, max_segment_size=1000, verify="last") as wal:
        assert contents(wal) == entries * 2
    look_twice(disk, entries * 2)


# PostgreSQL's recycling: two names for one segment


@pytest.mark.guarantee("G6")
def test_one_segment_under_two_names_is_refused(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"one")
        wal.rotate()
        wal.append(b"two")
    os.link(tmp_path / "wal-000002.log", tmp_path / "wal-000003.log")
    with pytest.raises(walogs.Corrupt, match="it says that it is segment 2") as refused:
        walogs.open(tmp_path).close()
    assert refused.value.segment == 3
    (tmp_path / "wal-000003.log").unlink()
    look_twice_at(tmp_path, [b"one", b"two"])
