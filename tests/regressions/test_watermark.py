"""No frame and no durable mark names an offset that is not synced. A torn end would become corrupt (G5, G6)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import walogs
from tests.regressions.logs import FIRST, MakeStore, contents, durable_mark_of, look_twice, power_cuts, process
from walogs.engine import recovery
from walogs.engine.appendable import AppendableWriter
from walogs.formats.native import NativeFormat
from walogs.testing import FAILED_SYNC, LawBroken, MemoryDisk, MemoryStore

# RocksDB #7725, #10080 and #10185, doltlite #1889, Pebble #6031


def lawless(disk: MemoryDisk) -> MemoryStore:
    """The model without its laws: here the test looks for what a claim too high does."""
    return MemoryStore(disk, laws=False)


def work(seed: int, make: MakeStore = MemoryStore) -> None:
    """Draw verbs under a policy that leaves entries unsynced; the store judges each claim as it is written."""
    rng = random.Random(seed)
    disk = MemoryDisk()
    for _ in range(6):
        with process(disk, make, sync=rng.choice(("none", "fdatasync")), max_segment_size=1500) as wal:
            contents(wal)
            for _ in range(rng.randrange(12)):
                verb = rng.randrange(8)
                try:
                    if verb < 4:
                        wal.append(rng.randbytes(rng.choice((0, 40, 700))))
                    elif verb < 5:
                        wal.append_batch([b"x" * 30] * 3)
                    elif verb < 6:
                        wal.sync()
                    elif verb < 7:
                        wal.checkpoint(rng.randrange(wal.next_lsn))
                    else:
                        disk.arm(1, FAILED_SYNC, rng=rng)
                except (OSError, walogs.WalError):
                    break
            disk.disarm()
        if rng.randrange(2):
            disk.power_cut(rng)


def work_many() -> None:
    for seed in range(40):
        try:
            work(seed)
        except LawBroken as broken:
            broken.add_note(f"seed {seed}")
            raise


@pytest.mark.guarantee("G6")
def test_no_frame_and_no_durable_mark_names_an_unsynced_offset() -> None:
    work_many()


def written_for_synced(self: NativeFormat, *args: Any) -> bytes:
    salt, offset, _, *rest = args
    return ENCODE_ENTRIES(self, salt, offset, offset, *rest)


ENCODE_ENTRIES = NativeFormat.encode_entries


def plant(monkeypatch: pytest.MonkeyPatch, encode: Callable[..., object]) -> None:
    """Have the writer make its frames by *encode*."""
    monkeypatch.setattr(NativeFormat, "encode_entries", encode)


def test_a_frame_that_names_unsynced_bytes_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, written_for_synced)
    with pytest.raises(LawBroken, match="frame at byte"):
        work_many()


def test_a_durable_mark_that_names_unsynced_bytes_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    write_durable_mark = AppendableWriter._write_durable_mark

    def of_what_was_written(self: AppendableWriter, *, durable: bool, is_clean: bool = False) -> None:
        synced, self.active.synced = self.active.synced, self.active.end
        write_durable_mark(self, durable=durable, is_clean=is_clean)
        self.active.synced = synced

    append = AppendableWriter.write_commit

    def and_then_the_durable_mark(self: AppendableWriter, entries: list[bytes]) -> int:
        first_lsn = append(self, entries)
        of_what_was_written(self, durable=False)
        return first_lsn

    monkeypatch.setattr(AppendableWriter, "write_commit", and_then_the_durable_mark)
    with pytest.raises(LawBroken, match="the durable mark says"):
        work_many()


def lose_power_with_unsynced_entries() -> None:
    """What such a claim would do: an honest torn end, refused."""
    disk = MemoryDisk()
    entries = [bytes([65 + k]) * 400 for k in range(6)]
    with process(disk, lawless, sync="none") as wal:
        for entry in entries:
            wal.append(entry)
        for seed, left in power_cuts(disk, 40):
            try:
                look_twice(left, [], [[entry] for entry in entries], make=lawless)
            except walogs.Corrupt as error:
                raise AssertionError(f"seed {seed}: an honest torn end was refused") from error


@pytest.mark.guarantee("G2", "G5")
def test_unsynced_entries_are_lost_without_a_complaint() -> None:
    lose_power_with_unsynced_entries()


def test_a_false_complaint_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, written_for_synced)
    with pytest.raises(AssertionError, match="an honest torn end was refused"):
        lose_power_with_unsynced_entries()


def follow_the_watermark() -> None:
    """It also follows: each commit's frame, and the durable mark, name all that the sync before has made durable."""
    disk = MemoryDisk()
    with process(disk) as wal:
        for k in range(1, 6):
            wal.append(b"x" * 100)
            seen = durable_mark_of(disk)
            assert seen is not None
            assert (seen.last_lsn, seen.segment) == (k, 1)
            assert seen.synced == disk.durable_prefix("wal-000001.log") - window_left(disk, seen.synced)
    header = NativeFormat().header_at
    salt = int.from_bytes(disk.cached("wal-000001.log", 12, 16), "little")
    for k in range(5):
        at = 512 + 152 * k
        frame = header(disk.cached("wal-000001.log", at, at + 48), 0, at, salt)
        assert isinstance(frame, tuple)
        assert frame.synced == at, "a watermark that stood still: damage before it would go unseen"


def window_left(disk: MemoryDisk, end: int) -> int:
    return len(disk.cached("wal-000001.log")) - end


@pytest.mark.guarantee("G6")
def test_the_watermark_advances_with_every_commit() -> None:
    follow_the_watermark()


def test_a_watermark_that_stands_still_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: NativeFormat, *args: Any) -> bytes:
        salt, offset, _, *rest = args
        return ENCODE_ENTRIES(self, salt, offset, 512, *rest)

    plant(monkeypatch, never)
    with pytest.raises(AssertionError, match="stood still"):
        follow_the_watermark()


# RocksDB #7725: a newer segment that the watermark names, and that is gone


def remove_what_the_durable_mark_names() -> None:
    """With the SEAL of the segment before it, which testifies too, and without."""
    disk = MemoryDisk()
    with process(disk) as wal:
        wal.append(b"one")
        unsealed = disk.cached(FIRST)
        wal.rotate()
        wal.append(b"two")
    thief = disk.process()
    thief.unlink("wal-000002.log")
    thief.sync_directory()
    for first_segment in (disk.cached(FIRST), unsealed):
        disk.damage(FIRST, 0, first_segment)
        with pytest.raises(walogs.Corrupt, match="segment 2"), process(disk) as wal:
            raise AssertionError(f"segment 2 was there, and is not missed: {wal!r}")


@pytest.mark.guarantee("G6")
def test_a_segment_that_the_durable_mark_names_must_be_there() -> None:
    remove_what_the_durable_mark_names()


def test_a_segment_that_nobody_misses_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "durable_mark_problem", lambda *_: None)
    with pytest.raises(AssertionError, match="is not missed"):
        remove_what_the_durable_mark_names()
