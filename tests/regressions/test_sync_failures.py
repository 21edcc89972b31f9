"""A failed sync is never repeated and never forgotten, and bytes in the page cache prove nothing (G4, G7)."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

import walogs
from tests.regressions.logs import (
    MakeStore,
    contents,
    go_on_after_a_failed_sync,
    look_twice,
    process,
    shown,
)
from walogs.engine import takeover as takeover_module
from walogs.engine.appendable import AppendableWriter
from walogs.testing import CHANGES, FAILED_SYNC, MemoryDisk, MemoryStore

KEPT = b"kept" * 30
SEEDS = range(25)


def lawless(disk: MemoryDisk) -> MemoryStore:
    """The model without its laws, so that what a planted bug loses is seen, and not only that it broke one."""
    return MemoryStore(disk, laws=False)


class RetriesSync(MemoryStore):
    """What a failed sync left dirty is thought to be written by the next."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk, laws=False)

    def sync(self, number: int, kind: Any) -> None:
        try:
            super().sync(number, kind)
        except OSError:
            super().sync(number, kind)


class SyncLies(MemoryStore):
    """A sync that returns, and has done nothing."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk, laws=False)

    def sync(self, number: int, kind: Any) -> None:
        pass


# PostgreSQL's fsyncgate, WiredTiger WT-4045, rostam #87 and #94, Yugabyte #33816


def fail_one_sync(make: MakeStore) -> None:
    for seed in SEEDS:
        print(f"seed {seed}")
        disk, acknowledged, unknown = MemoryDisk(), [KEPT], []
        with process(disk, make) as wal:
            wal.append(KEPT)
            disk.arm(1, FAILED_SYNC, rng=random.Random(seed))
            for entry in (b"one" * 300, b"two" * 300, b"three"):
                try:
                    wal.append(entry)
                except walogs.OutcomeUnknown:
                    unknown.append([entry])
                except walogs.Poisoned:
                    pass
                else:
                    acknowledged.append(entry)
        disk.evict(random.Random(seed))
        disk.power_cut(random.Random(seed))
        try:
            look_twice(disk, acknowledged, unknown, make=make)
        except walogs.Corrupt as error:
            raise AssertionError(f"seed {seed}: acknowledged after a failed sync, and lost") from error


@pytest.mark.guarantee("G1", "G7", "G8")
def test_nothing_is_acknowledged_after_a_failed_sync() -> None:
    fail_one_sync(MemoryStore)


def test_a_sync_tried_again_is_seen_when_planted() -> None:
    with pytest.raises(AssertionError):
        fail_one_sync(RetriesSync)


def test_a_handle_that_goes_on_behind_it_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on_after_a_failed_sync(monkeypatch)
    with pytest.raises(AssertionError):
        fail_one_sync(lawless)


@pytest.mark.guarantee("G7")
def test_a_poisoned_handle_says_so_and_touches_the_disk_no_more() -> None:
    disk = MemoryDisk()
    with process(disk) as wal:
        wal.append_batch([KEPT, KEPT])
        wal.rotate()
        wal.append(KEPT)
        disk.arm(1, FAILED_SYNC, rng=random.Random(0))
        with pytest.raises(walogs.OutcomeUnknown) as unknown:
            wal.append_batch([b"one", b"two"])
        assert (unknown.value.first_lsn, unknown.value.last_lsn) == (4, 5)
        before = disk.schedule.count(CHANGES)
        for verb in (lambda: wal.append(b"x"), lambda: wal.append_batch([b"x"]), wal.sync, wal.rotate):
            with pytest.raises(walogs.Poisoned, match="Input/output error"):
                verb()
        with pytest.raises(walogs.Poisoned):
            wal.checkpoint(2)
        assert contents(wal) == [KEPT] * 3
        wal.close()
        assert disk.schedule.count(CHANGES) == before
    look_twice(disk, [KEPT] * 3, [[b"one", b"two"]])


# RocksDB #3096, hiqlite #361


class Outcomes:
    """What several threads were told of their appends, on one handle."""

    def __init__(self, wal: walogs.Wal) -> None:
        self.acknowledged: dict[int, bytes] = {}
        self.unknown: list[bytes] = []
        self.late: list[bytes] = []
        """Acknowledged although the append began after a failure was known."""
        self._wal = wal
        self._failed = threading.Event()

    def append_some(self, name: str) -> None:
        for k in range(6):
            entry, came_after = f"{name}{k}".encode() * 30, self._failed.is_set()
            try:
                self.acknowledged[self._wal.append(entry)] = entry
            except walogs.OutcomeUnknown:
                self._failed.set()
                self.unknown.append(entry)
            except walogs.Poisoned:
                self._failed.set()
            else:
                self.late.extend([entry] * came_after)


def fail_one_sync_among_threads(make: MakeStore) -> None:
    """Commits are not shared: whoever waits for its turn while a sync fails was not written, and is told so."""
    for seed in range(6):
        print(f"seed {seed}")
        disk = MemoryDisk()
        with process(disk, make) as wal:
            wal._writer.shares_commits = False  # on a busy machine, threads would share one otherwise
            told = Outcomes(wal)
            disk.arm(10, FAILED_SYNC, rng=random.Random(seed))
            threads = [threading.Thread(target=told.append_some, args=(name,)) for name in "abcdef"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not told.late, f"seed {seed}: acknowledged after the failure: {shown(told.late)}"
        assert sorted(told.acknowledged) == list(range(1, 10))
        assert len(told.unknown) == 1
        disk.power_cut(random.Random(seed))
        look_twice(disk, [told.acknowledged[lsn] for lsn in range(1, 10)], [told.unknown], make=make)


@pytest.mark.guarantee("G7")
def test_no_thread_is_told_that_its_entry_is_durable_when_a_sync_failed() -> None:
    fail_one_sync_among_threads(MemoryStore)


def test_threads_that_are_not_told_are_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AppendableWriter, "is_poisoned", False)
    monkeypatch.setattr(AppendableWriter, "_raise_outcome_unknown", not_poisoned)
    with pytest.raises(AssertionError):
        fail_one_sync_among_threads(lawless)


def not_poisoned(
    self: AppendableWriter, error: BaseException, what: str, first_lsn: int | None, last_lsn: int | None
) -> None:
    self._in_flight = False
    raise walogs.OutcomeUnknown(what, first_lsn=first_lsn, last_lsn=last_lsn) from error


# KAFKA-10101


def hand_out_what_only_the_cache_holds(make: MakeStore) -> None:
    """Written by a process that was killed; handed out by the next; then the power goes."""
    entries = [b"entry %d " % k * 60 for k in range(4)]
    written = MemoryDisk()
    with process(written, make, sync="none") as wal:
        for entry in entries:
            wal.append(entry)
    for seed in SEEDS:
        print(f"seed {seed}")
        disk = written.clone()
        with process(disk, make) as wal:
            handed_out = contents(wal)
            assert handed_out == entries
        disk.power_cut(random.Random(seed), None if seed else 0.0)
        look_twice(disk, handed_out, make=make)


def hand_out_what_a_failed_sync_left(make: MakeStore) -> None:
    """After a failed sync the cache shows clean pages that are not on the disk."""
    for seed in SEEDS:
        print(f"seed {seed}")
        disk = MemoryDisk()
        with process(disk, make) as wal:
            wal.append(KEPT)
            disk.arm(1, FAILED_SYNC, rng=random.Random(seed))
            with pytest.raises(walogs.OutcomeUnknown):
                wal.append(b"unknown" * 200)
        if seed % 3 == 0:
            disk.evict(random.Random(seed))
        with process(disk, make) as wal:
            handed_out = contents(wal)
        disk.power_cut(random.Random(seed))
        try:
            look_twice(disk, handed_out, make=make)
        except walogs.Corrupt as error:
            raise AssertionError(f"seed {seed}: handed out, and lost") from error


@pytest.mark.guarantee("G4")
def test_what_an_open_hands_out_survives_the_power_cut_that_follows() -> None:
    hand_out_what_only_the_cache_holds(MemoryStore)


@pytest.mark.guarantee("G4", "G8")
def test_what_an_open_hands_out_after_a_failed_sync_is_on_the_disk() -> None:
    hand_out_what_a_failed_sync_left(MemoryStore)


def test_a_sync_that_lies_is_seen_when_planted() -> None:
    with pytest.raises((AssertionError, walogs.Corrupt)):
        hand_out_what_only_the_cache_holds(SyncLies)


def test_a_recovery_that_trusts_the_cache_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover_module, "rewrite_unsynced_frames", lambda *_: 0)
    with pytest.raises(AssertionError):
        hand_out_what_a_failed_sync_left(lawless)
