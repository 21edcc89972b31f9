"""Writes fail or are short. No bytes are orphaned, none come back later, and no state is ahead of the disk (G7)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.regressions.logs import contents, failures, look_twice, look_twice_at, process, shown
from walogs.defaults import local_store
from walogs.defaults.local_store import LocalStore
from walogs.engine.appendable import AppendableWriter
from walogs.testing import CHANGES, Fault, MemoryDisk

EIO = Fault(errno.EIO, only=CHANGES)
ENOSPC = Fault(errno.ENOSPC, only={"write", "create_exclusive"})
KEPT = [b"one" * 60, b"two" * 60, b"three" * 60]


def three_entries() -> MemoryDisk:
    disk = MemoryDisk()
    with process(disk, max_segment_size=900) as wal:
        for entry in KEPT:
            wal.append(entry)
    return disk


# Prometheus #19699, evolvsql #69


def append_after_a_failure(fault: Fault) -> None:
    """Each step of an append fails; then everything is tried on that handle. What failed is there at once, or never."""
    acknowledged: list[bytes] = []
    unknown: list[list[bytes]] = []

    def append(disk: MemoryDisk) -> None:
        acknowledged[:], unknown[:] = KEPT, []
        refused: Exception | None = None
        with process(disk, max_segment_size=900) as wal:
            for entry in (b"failed" * 60, b"later" * 60, b"last"):
                try:
                    wal.append(entry)
                except walogs.OutcomeUnknown:
                    unknown.append([entry])
                    before = disk.schedule.count(CHANGES)
                    try_everything(wal)
                    assert disk.schedule.count(CHANGES) == before, "a poisoned handle wrote again"
                    raise
                except (walogs.Poisoned, OSError) as error:
                    refused = error
                else:
                    acknowledged.append(entry)
        if refused is not None:
            raise refused

    for _, left, raised in failures(three_entries(), append, fault):
        if isinstance(raised, AssertionError):
            raise raised
        look_twice(left, acknowledged, unknown, max_segment_size=900)


def try_everything(wal: walogs.Wal) -> None:
    for verb in (lambda: wal.append(b"x"), lambda: wal.append_batch([b"x"]), wal.sync, wal.rotate):
        with pytest.raises(walogs.Poisoned):
            verb()
    wal.close()


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("fault", [EIO, ENOSPC], ids=["EIO", "ENOSPC"])
def test_an_append_that_failed_is_never_committed_by_a_later_one(fault: Fault) -> None:
    append_after_a_failure(fault)


def test_a_poisoned_handle_that_writes_at_close_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AppendableWriter, "is_poisoned", False)
    with pytest.raises(AssertionError, match="wrote again"):
        append_after_a_failure(EIO)


# rocksdb-js #748, oryx #96


def write_short(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write of the system's comes back half done."""
    pwrite = os.pwrite
    entries = [b"entry %d " % k * (1 + 40 * k) for k in range(12)]
    with monkeypatch.context() as patched:
        patched.setattr(
            local_store.os, "pwrite", lambda fd, data, at: pwrite(fd, memoryview(data)[: len(data) // 2 + 1], at)
        )
        with walogs.open(path, max_segment_size=2000) as wal:
            for entry in entries[:8]:
                wal.append(entry)
            wal.append_batch(entries[8:])
    try:
        look_twice_at(path, entries)
    except walogs.WalError as error:
        raise AssertionError(f"half a frame was acknowledged: {error}") from error


@pytest.mark.guarantee("G1")
def test_a_short_write_is_gone_on_with_at_the_right_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_short(tmp_path, monkeypatch)


def test_a_short_write_left_so_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def once(self: LocalStore, number: int, offset: int, data: Any) -> None:
        os.pwrite(self._file(number), data, offset)

    monkeypatch.setattr(LocalStore, "write", once)
    with pytest.raises(AssertionError, match="half a frame"):
        write_short(tmp_path, monkeypatch)


@pytest.mark.guarantee("G7", "G8")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_half_a_frame_and_an_error_leave_no_orphaned_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    pwrite = os.pwrite
    with walogs.open(tmp_path) as wal:
        wal.append(b"kept")
        halves = iter((True,))

        def torn(fd: int, data: Any, at: int) -> int:
            if next(halves, False):
                return pwrite(fd, memoryview(data)[:50], at)
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr(local_store.os, "pwrite", torn)
            with pytest.raises(walogs.OutcomeUnknown):
                wal.append(b"half" * 100)
        with pytest.raises(walogs.Poisoned):
            wal.append(b"behind it")
    with walogs.open(tmp_path) as wal:
        assert isinstance(wal.tail_state, walogs.TruncatedAt)
    look_twice_at(tmp_path, [b"kept"])


# raft-wal #32


VERBS: dict[str, tuple[Callable[[walogs.Wal], object], list[bytes]]] = {
    "append": (lambda wal: wal.append(b"new" * 60), [b"new" * 60]),
    "append_batch": (lambda wal: wal.append_batch([b"new"] * 3), [b"new"] * 3),
    "rotate": (lambda wal: wal.rotate(), []),
    "checkpoint": (lambda wal: wal.checkpoint(2), []),
}


def compare_memory_with_the_disk(name: str, fault: Fault) -> None:
    """After a failed verb the handle holds what a reopening finds; only what is unknown may be more."""
    verb, commit = VERBS[name]
    seen: list[tuple[int, list[bytes], type[Exception] | None]] = []

    def run(disk: MemoryDisk) -> None:
        seen.clear()
        with process(disk, max_segment_size=900) as wal:
            try:
                verb(wal)
            except (OSError, walogs.WalError) as error:
                disk.disarm()
                seen.append((wal.first_lsn, contents(wal), type(error)))
                raise
            seen.append((wal.first_lsn, contents(wal), None))

    for step, left, raised in failures(three_entries(), run, fault):
        if isinstance(raised, AssertionError):
            raise raised
        if not seen:  # the open itself failed
            look_twice(left, KEPT, max_segment_size=900)
            continue
        [(first_lsn, held, error)] = seen
        with process(left, max_segment_size=900) as wal:
            found = contents(wal)
            where = f"{name}, step {step}: {shown(held)} in memory, {shown(found)} on the disk"
            if name == "checkpoint" and error in (
                walogs.OutcomeUnknown,
                walogs.Poisoned,
            ):  # the next open may finish it
                assert wal.first_lsn in (first_lsn, 3), where
                assert found == KEPT[wal.first_lsn - 1 :], where
            else:
                assert wal.first_lsn == first_lsn, where
                assert found in ([held, [*held, *commit]] if error is walogs.OutcomeUnknown else [held]), where
        look_twice(left, found, max_segment_size=900)


@pytest.mark.guarantee("G7", "G15")
@pytest.mark.parametrize("fault", [EIO, ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("name", VERBS)
def test_after_any_failed_verb_the_handle_holds_what_is_on_the_disk(name: str, fault: Fault) -> None:
    compare_memory_with_the_disk(name, fault)


def test_state_advanced_before_the_write_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    append = AppendableWriter.write_commit

    def ahead(self: AppendableWriter, entries: list[bytes]) -> int:
        try:
            return append(self, entries)
        except (OSError, walogs.WalError):
            self.next_lsn += len(entries)
            raise

    monkeypatch.setattr(AppendableWriter, "write_commit", ahead)
    with pytest.raises(AssertionError):
        compare_memory_with_the_disk("append", EIO)
