"""A checkpoint removes what it may, keeps what it must, and leaves the rest readable (G11)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

import walogs
from tests.regressions.logs import (
    contents,
    crashes,
    dropped_durable_mark,
    look_twice,
    power_cuts,
    process,
    segment_names,
)
from walogs.engine import appendable, recovery
from walogs.engine.appendable import AppendableWriter
from walogs.engine.segment_scan import SegmentScan
from walogs.engine.segments import CompletedSegment, count_superseded
from walogs.testing import CloudFault, MemoryCloud, MemoryDisk, MemoryImmutableStore, SimulatedCrash

TWO_A_SEGMENT = 900
ENTRIES = [b"entry %d " % k * 10 for k in range(1, 10)]


def nine_entries() -> MemoryDisk:
    """Two in each segment, one in the active one."""
    disk = MemoryDisk()
    with process(disk, max_segment_size=TWO_A_SEGMENT) as wal:
        for pair in (ENTRIES[k : k + 2] for k in range(0, 9, 2)):
            for entry in pair:
                wal.append(entry)
            if len(pair) == 2:
                wal.rotate()
        assert [(s.first_lsn, s.last_lsn) for s in wal.segments()] == [(1, 2), (3, 4), (5, 6), (7, 8), (9, 9)]
    return disk


# etcd #11924


def read_what_is_left(verify: str) -> None:
    """Every way of reading, when the segments that the first one was tied to are gone."""
    for lsn in range(10):
        disk = nine_entries()
        with process(disk, max_segment_size=TWO_A_SEGMENT) as wal:
            wal.checkpoint(lsn)
            first = wal.first_lsn
        for _ in range(2):
            with process(disk, verify=verify) as wal:
                assert wal.first_lsn == first
                assert contents(wal) == ENTRIES[first - 1 :]
                assert [wal.read(at) for at in range(first, 10)] == ENTRIES[first - 1 :]
                assert [commit.first_lsn for commit in wal.commits()] == list(range(first, 10))
                for below in range(1, first):
                    with pytest.raises(walogs.Checkpointed):
                        wal.read(below)
        look_twice(disk, ENTRIES[first - 1 :], verify=verify)


@pytest.mark.guarantee("G6", "G11")
@pytest.mark.parametrize("verify", ["full", "last"])
def test_nothing_that_was_checkpointed_is_missed_by_any_reading_path(verify: str) -> None:
    read_what_is_left(verify)


def test_a_path_that_wants_what_is_gone_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    examine_older = recovery.examine_older

    def from_the_beginning(source: Any, numbers: Any, newest: Any, log_first_lsn: int, *rest: Any) -> Any:
        return examine_older(source, numbers, newest, 1, *rest)

    monkeypatch.setattr(recovery, "examine_older", from_the_beginning)
    with pytest.raises(walogs.Corrupt, match="missing"):
        read_what_is_left("full")


# Prometheus #13152, #17833 and #18552


def checkpoint_past_damage() -> None:
    """Damage in an old segment holds up neither the checkpoint that is to remove it nor the open after that."""
    disk = nine_entries()
    with process(disk, max_segment_size=TWO_A_SEGMENT) as wal:
        disk.damage("wal-000002.log", 512, b"\0" * 300)
        with pytest.raises(walogs.Corrupt):
            contents(wal)
        assert wal.checkpoint(4) == 2
        assert contents(wal) == ENTRIES[4:]
        wal.append(b"goes on")
    look_twice(disk, [*ENTRIES[4:], b"goes on"])


@pytest.mark.guarantee("G11")
def test_damage_never_holds_up_the_checkpoint_that_removes_it() -> None:
    checkpoint_past_damage()


def test_a_checkpoint_that_reads_first_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = AppendableWriter.checkpoint

    def read_first(self: AppendableWriter, lsn: int) -> int:
        for segment in self.completed[: count_superseded(self.completed, lsn)]:
            scan = SegmentScan(self._source, segment.header, segment.size)
            if scan.last_lsn < segment.last_lsn:
                raise self._source.corrupt(scan.stop.value, segment.header.number)
        return checkpoint(self, lsn)

    monkeypatch.setattr(AppendableWriter, "checkpoint", read_first)
    with pytest.raises(walogs.Corrupt):
        checkpoint_past_damage()


@pytest.mark.guarantee("G6", "G11")
def test_a_damaged_segment_can_be_checkpointed_away_after_a_restart() -> None:
    """`verify="last"` opens it by its SEAL; once the first LSN has passed it, every open is possible again."""
    disk = nine_entries()
    with process(disk) as wal:
        wal.rotate()  # the killed writer's segment is sealed by this one
    disk.damage("wal-000002.log", 600, b"\xff")
    with pytest.raises(walogs.Corrupt), process(disk):
        pass
    with process(disk, verify="last") as wal:
        with pytest.raises(walogs.Corrupt):
            wal.read(3)
        assert wal.read(5) == ENTRIES[4]
        wal.checkpoint(4)
    look_twice(disk, ENTRIES[4:])


@pytest.mark.guarantee("G11")
def test_segments_below_the_first_lsn_are_not_judged() -> None:
    """A checkpoint that was interrupted after its first LSN was durable is finished, whatever it has left."""
    disk, left = nine_entries(), None

    def checkpoint(disk: MemoryDisk) -> None:
        with process(disk, max_segment_size=TWO_A_SEGMENT) as wal:
            wal.checkpoint(4)

    seen = 0
    for _, left in crashes(disk, checkpoint):
        if "wal-000001.log" not in segment_names(left):
            continue
        with process(left.clone()) as wal:
            if wal.first_lsn != 5:
                continue
            assert wal.recovery_report.removed_segments == 2
        seen += 1
        left.damage("wal-000001.log", 0, bytes(700))
        left.damage("wal-000002.log", 600, b"\xff" * 10)
        look_twice(left, ENTRIES[4:])
    assert seen, "no crash left the first LSN durable and the segments there"


# raft-wal #31 and #33, qdrant/wal #38, frostdb #866


def checkpoint_at_every_boundary() -> None:
    for lsn in range(13):
        disk = nine_entries()
        with process(disk, max_segment_size=TWO_A_SEGMENT) as wal:
            removed = wal.checkpoint(lsn)
            removable = min(lsn, 9) // 2 if lsn < 9 else 5  # the killed writer's segment was completed by rotation
            assert removed == min(removable, 4) or (lsn >= 9 and removed == 5), f"checkpoint({lsn}) removed {removed}"
            assert wal.next_lsn == 10, f"checkpoint({lsn}) moved the end"
            assert wal.first_lsn <= min(lsn, 9) + 1, f"checkpoint({lsn}) reached beyond itself"
            kept = contents(wal)
            assert kept == ENTRIES[wal.first_lsn - 1 :]
        found = look_twice(disk, kept)
        assert found[-1:] == ENTRIES[-1:] or lsn >= 9


@pytest.mark.guarantee("G2", "G11")
def test_a_checkpoint_at_every_boundary_keeps_every_later_entry_and_the_end() -> None:
    checkpoint_at_every_boundary()


def test_a_checkpoint_one_too_far_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_too_far(segments: Sequence[CompletedSegment], lsn: int) -> int:
        return count_superseded(segments, lsn + 1)

    monkeypatch.setattr(appendable, "count_superseded", one_too_far)
    with pytest.raises(AssertionError, match="checkpoint"):
        checkpoint_at_every_boundary()


# raft-wal #24, atomix #295


@pytest.mark.guarantee("G2", "G11")
def test_an_empty_log_whose_first_entry_is_not_the_first_ever() -> None:
    disk = nine_entries()
    with process(disk) as wal:
        wal.rotate()
        wal.checkpoint(9)
    for _ in range(2):
        with process(disk) as wal:
            assert (wal.first_lsn, wal.last_lsn, wal.next_lsn, wal.durable_lsn) == (10, 9, 10, 9)
            assert contents(wal) == list(wal.commits()) == list(wal.iter(10)) == []
            with pytest.raises(walogs.Checkpointed):
                wal.read(9)
            with pytest.raises(IndexError):
                wal.read(10)
            wal.rotate()
            for lsn in (9, 0, 99):
                wal.checkpoint(lsn)
                assert (wal.first_lsn, wal.next_lsn) == (10, 10)
            assert wal.segment_count == 1
    with process(disk) as wal:
        assert wal.append(b"ten") == 10
        assert wal.read(10) == b"ten"
    look_twice(disk, [b"ten"])


# BookKeeper #3329, SlateDB #1625


def crash_inside_a_checkpoint() -> None:
    """At every step, with and without the power: nothing above what the caller gave up is gone."""
    for closed in (False, True):
        disk = nine_entries()
        with process(disk, max_segment_size=TWO_A_SEGMENT) as wal:
            if closed:
                wal.close()

        def checkpoint(disk: MemoryDisk) -> None:
            with process(disk, max_segment_size=TWO_A_SEGMENT) as wal:
                wal.checkpoint(6)

        for step, left in crashes(disk, checkpoint):
            for seed, cut in power_cuts(dropped_durable_mark(left) if step % 2 else left, 6):
                try:
                    with process(cut) as wal:
                        assert wal.first_lsn in (1, 3, 5, 7), f"step {step}, seed {seed}"
                        kept = contents(wal)
                        assert kept == ENTRIES[wal.first_lsn - 1 :], f"step {step}, seed {seed}"
                    look_twice(cut, kept)
                except walogs.Corrupt as error:
                    raise AssertionError(f"step {step}, seed {seed}: a gap above the first LSN") from error


@pytest.mark.guarantee("G11")
def test_a_crash_inside_a_checkpoint_never_leaves_a_gap_above_the_first_lsn() -> None:
    crash_inside_a_checkpoint()


def test_segments_removed_before_the_first_lsn_is_durable_are_seen_when_planted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint = AppendableWriter.checkpoint

    def remove_first(self: AppendableWriter, lsn: int) -> int:
        self._store.remove([s.header.number for s in self.completed[: count_superseded(self.completed, lsn)]])
        return checkpoint(self, lsn)

    monkeypatch.setattr(AppendableWriter, "checkpoint", remove_first)
    with pytest.raises(AssertionError, match="a gap above the first LSN"):
        crash_inside_a_checkpoint()


@pytest.mark.guarantee("G11")
@pytest.mark.parametrize("reused", [True, False])
def test_the_same_where_every_commit_is_a_segment(reused: bool) -> None:
    """A store that removes in any order, and may stop half way."""
    seen = 0
    for step in range(1, 40):
        print(f"crash at step {step} (rng {step})")
        cloud = MemoryCloud(numbers_reused=reused)
        with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
            for entry in ENTRIES:
                wal.append(entry)
        wal = walogs.open(store=MemoryImmutableStore(cloud))
        armed = cloud.arm(step, CloudFault("crash"), rng=random.Random(step))
        try:
            wal.checkpoint(6)
        except SimulatedCrash:
            seen += 1
        wal.closed = True
        cloud.disarm()
        with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
            assert wal.first_lsn in (1, 7)
            assert contents(wal) == ENTRIES[wal.first_lsn - 1 :]
            wal.append(b"after")
        with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
            assert contents(wal)[-2:] == [ENTRIES[-1], b"after"]
        if not armed.fired:
            break
    assert seen
