"""The disk fills at any byte. No acknowledged entry is lost, and no partial frame is left behind (G9)."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import walogs
from tests.regressions.logs import SMALL, MakeStore, contents, look_twice, process
from walogs.testing import MemoryDisk, MemoryStore

BLOCK = 512
ROOMS = range(10 * BLOCK, 60 * BLOCK, BLOCK)
"""From less than the first segment needs."""
BIG_ROOMS = range(136 * BLOCK, 150 * BLOCK, 2 * BLOCK + 1)
"""The same where segments have no limit: one window, and the second is refused."""


class SparseWindows(MemoryStore):
    """A window is only a size: its blocks are asked for when a frame is written."""

    def __init__(self, disk: MemoryDisk) -> None:
        super().__init__(disk, laws=False)

    def extend(self, number: int, size: int) -> None:
        handle = self.process.open(self.segment_name(number))
        handle.truncate(max(size, handle.size))
        handle.sync()


def refused_for_space(verb: Any, *args: Any) -> bool:
    """Whether it was refused, and only for that."""
    try:
        verb(*args)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return True
    return False


def fill(make: MakeStore, room: int, segment: int | None) -> None:
    """Append until the disk is full, kill, open it full, checkpoint, free some, append, reopen."""
    disk = MemoryDisk(room=room, block_bytes=BLOCK)
    acknowledged: list[bytes] = []
    config: dict[str, Any] = {"make": make, "max_segment_size": segment}
    if refused_for_space(open_and_die, disk, config):
        disk.room = None
        look_twice(disk, [], **config)
        return
    with process(disk, **config) as wal:
        for k in range(1000):
            entry = b"entry %02d " % k * (3 + k % 30)
            if refused_for_space(wal.append, entry):
                break
            acknowledged.append(entry)
        else:
            raise AssertionError(f"{room} bytes hold everything: nothing was tried")
        assert contents(wal) == acknowledged
        assert refused_for_space(wal.append, b"x" * 2000), "still full"
        disk.room = disk.used + 40 * BLOCK
        wal.append(b"there is room again")
        acknowledged.append(b"there is room again")
        disk.room = disk.used
        while not refused_for_space(wal.append, b"once more" * 50):
            acknowledged.append(b"once more" * 50)
    with process(disk, **config) as wal:  # killed, and opened on a full disk
        assert contents(wal) == acknowledged
        wal.checkpoint(len(acknowledged) - 2)
        first_lsn = wal.first_lsn
        assert contents(wal) == acknowledged[first_lsn - 1 :]
    disk.room = None
    look_twice(disk, acknowledged[first_lsn - 1 :], **config)


def open_and_die(disk: MemoryDisk, config: Any) -> None:
    with process(disk, **config):
        pass


# etcd #2819, Prometheus #7835 and #13027


def fill_at_every_room(make: MakeStore, rooms: range, segment: int | None) -> None:
    for room in rooms:
        try:
            fill(make, room, segment)
        except (AssertionError, walogs.WalError) as error:
            error.add_note(f"room for {room} bytes")
            raise


@pytest.mark.guarantee("G1", "G9")
@pytest.mark.parametrize(
    ("rooms", "segment"),
    [(ROOMS, SMALL), (ROOMS, 1500), (BIG_ROOMS, None)],
    ids=["small segments", "smaller ones", "one segment"],
)
def test_a_full_disk_costs_nothing_that_was_acknowledged(rooms: range, segment: int | None) -> None:
    fill_at_every_room(MemoryStore, rooms, segment)


def test_half_a_frame_left_by_a_full_disk_is_seen_when_planted() -> None:
    with pytest.raises(walogs.OutcomeUnknown):
        fill_at_every_room(SparseWindows, BIG_ROOMS, None)


# A segment that may not be continued


@pytest.mark.guarantee("G1", "G8", "G9", "G11")
def test_a_full_disk_whose_newest_segment_is_empty_loses_nothing_and_needs_little() -> None:
    """It is not written into again; its successor needs a block or two where a whole window is refused."""
    entries = [b"entry %d " % k * 200 for k in range(5)]
    disk = MemoryDisk(block_bytes=BLOCK)
    with process(disk, max_segment_size=None) as wal:
        wal.append_batch(entries)
        wal.rotate()
    disk.room = disk.used
    with process(disk, max_segment_size=None) as wal:
        assert refused_for_space(wal.append, b"no room")
        assert contents(wal) == entries
    full = disk.clone()
    full.room = full.used
    with process(full, max_segment_size=None) as wal:
        assert wal.checkpoint(5) == 1
        assert (wal.first_lsn, wal.next_lsn) == (6, 6)
        assert wal.append(b"in the room that was freed") == 6
    look_twice(full, [b"in the room that was freed"])
    disk.room = disk.used + 10 * BLOCK
    with process(disk, max_segment_size=None) as wal:
        assert wal.append(b"little room") == 6
    disk.room = None
    look_twice(disk, [*entries, b"little room"])
