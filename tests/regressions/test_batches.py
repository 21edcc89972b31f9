"""A batch is one frame in one segment. All of it is there or nothing, even if it is torn or damaged (G12)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

import walogs
from tests.regressions.logs import (
    FIRST,
    SMALL,
    contents,
    crashes,
    dropped_durable_mark,
    frame_bytes,
    look_twice,
    overwrite,
    power_cuts,
    process,
)
from walogs.handles.wal import Wal
from walogs.testing import MemoryDisk

KEPT = b"kept"
TORN_AT = 512 + frame_bytes(len(KEPT))
BATCH = [b"one" * 200, b"", b"three" * 100, b"four"]


def entry_by_entry(self: Wal, entries: Iterable[Any]) -> range:
    """`append_batch` as a loop: every entry is a commit of its own."""
    first = self.next_lsn
    for entry in entries:
        self.append(entry)
    return range(first, self.next_lsn)


# HarperFast rocksdb-js #817, Badger #586 and #570


def tear_a_batch() -> None:
    disk = MemoryDisk()
    with process(disk, sync="none") as wal:
        wal.append(KEPT)
        wal.sync()
        before = disk.clone()
        wal.append_batch(BATCH)
        whole = disk.cached(FIRST, TORN_AT)
        for _, left in power_cuts(disk, 40):
            look_twice(left, [KEPT], [BATCH])
    for length in range(0, len(whole.rstrip(b"\0")), 7):
        left = before.clone()
        overwrite(left, TORN_AT, whole[:length])
        with process(left) as wal:
            assert contents(wal) == [KEPT], f"torn after {length} bytes: part of a batch was handed out"
            wal.append_batch(BATCH)
        look_twice(left, [KEPT, *BATCH])


@pytest.mark.guarantee("G12")
def test_no_part_of_a_torn_batch_is_handed_out_and_the_next_batch_is_whole() -> None:
    tear_a_batch()


def test_a_batch_of_many_commits_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wal, "append_batch", entry_by_entry)
    with pytest.raises(AssertionError):
        tear_a_batch()


@pytest.mark.guarantee("G12")
def test_accepting_a_loss_never_leaves_part_of_a_batch() -> None:
    """Damage anywhere in an acknowledged batch: `prefix` cuts all of it, and says so."""
    disk = MemoryDisk()
    with process(disk) as wal:
        wal.append(KEPT)
        wal.append_batch(BATCH)
        whole = disk.cached(FIRST, TORN_AT)
        wal.append(b"later")
    for offset in range(0, len(whole.rstrip(b"\0")), 11):
        left = disk.clone()
        overwrite(left, TORN_AT + offset, bytes([whole[offset] ^ 1]))
        with pytest.raises(walogs.Corrupt), process(left):
            pass
        with process(left, recovery="prefix") as wal:
            assert contents(wal) == [KEPT], f"byte {offset}"
            assert wal.recovery_report.verdict == "prefix"
            assert isinstance(wal.tail_state, walogs.TruncatedAt)
        look_twice(left, [KEPT])


# PostgreSQL ff9f111 and cfedb27


def cross_a_segments_end() -> None:
    """Batches of every size about the room that is left: crash at each step, and look for one that was divided."""
    for size in (0, 1, SMALL - 1200, SMALL - 600, SMALL, 3 * SMALL):
        disk = MemoryDisk()
        batch = [b"x" * size, b"y" * 40]

        def append(twin: MemoryDisk, batch: list[bytes] = batch) -> None:
            with process(twin) as wal:
                wal.append_batch(batch)
                wal.append(b"z" * 500)

        with process(disk) as wal:
            wal.append_batch([KEPT, b"filler" * 80])
        acknowledged = [KEPT, b"filler" * 80]
        for step, left in crashes(disk, append):
            for seed, cut in power_cuts(dropped_durable_mark(left) if step % 2 else left, 2):
                try:
                    look_twice(cut, acknowledged, [batch, [b"z" * 500]])
                except walogs.Corrupt as error:
                    raise AssertionError(f"{size} bytes, crash at step {step}, seed {seed}: no longer opens") from error
        append(disk)
        with process(disk) as wal:
            holding = [s for s in wal.segments() if s.first_lsn <= 4 and s.last_lsn >= 3]
            assert len(holding) == 1, f"a batch of {size} bytes lies in {len(holding)} segments"


@pytest.mark.guarantee("G10", "G12")
def test_a_batch_never_spans_segments_whatever_its_size() -> None:
    cross_a_segments_end()


def test_a_batch_over_two_segments_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wal, "append_batch", entry_by_entry)
    with pytest.raises(AssertionError):
        cross_a_segments_end()
