"""MemoryStore keeps the contract of a store."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

import pytest

from tests.testing.memory_stores import SEGMENT, WINDOW, opened, reopened, with_segment
from tests.testing.native_bytes import durable_mark, frame
from walogs.errors import Closed, Locked, NoSpace, SegmentExists, SegmentNotFound, UnsafeStore
from walogs.protocols import AppendableStore, SegmentStore
from walogs.testing import (
    CHANGES,
    FAILED_SYNC,
    SHORT_WRITE,
    Fault,
    MemoryDisk,
    MemoryStore,
    SimulatedCrash,
)


def steps_of(disk: MemoryDisk, action: Callable[[MemoryStore], object]) -> int:
    """How many changes of the disk the action takes."""
    twin = disk.clone()
    store = opened(twin)
    before = twin.schedule.count(CHANGES)
    action(store)
    return twin.schedule.count(CHANGES) - before


class TestContract:
    def test_it_is_a_store_of_both_protocols_and_says_what_it_models(self) -> None:
        store = MemoryStore(MemoryDisk(), segment_bytes_max=5, models="page-cache")
        assert isinstance(store, SegmentStore)
        assert isinstance(store, AppendableStore)
        capabilities = store.capabilities
        assert (capabilities.appendable, capabilities.torn_tail, capabilities.exclusion) == (True, True, "lock")
        assert (capabilities.numbers_reused, capabilities.exists_means_durable) == (True, False)
        assert (capabilities.segment_bytes_max, capabilities.persistence) == (5, "page-cache")
        assert MemoryStore(MemoryDisk()).capabilities.persistence == "disk"

    def test_segments_are_listed_ascending_and_read_as_written(self) -> None:
        store = opened(MemoryDisk())
        for number in (3, 1, 1_000_000, 2):
            store.create(number, bytearray(b"%d" % number))
        assert store.segments() == [1, 2, 3, 1_000_000]
        assert store.segment_name(1_000_000) == "wal-1000000.log"
        assert (store.size(3), store.read(1_000_000), store.read(1_000_000, 1, 3)) == (1, b"1000000", b"00")
        assert store.read(3, 0, 100) == b"3"
        store.remove([3, 1, 7])
        assert store.segments() == [2, 1_000_000]
        store.create(3, b"again")
        assert store.read(3) == b"again"

    def test_what_is_not_there_is_missing(self) -> None:
        store = with_segment(laws=False)
        calls: list[Callable[[], object]] = [
            lambda: store.size(7),
            lambda: store.read(7),
            lambda: store.extend(7, 1),
            lambda: store.write(7, 0, b"x"),
            lambda: store.sync(7, "data"),
            lambda: store.zero_from(7, 0),
            lambda: store.trim(7, 0),
            lambda: store.peek(7, 0, 1),
            lambda: store.durable_prefix(7),
        ]
        for call in calls:
            with pytest.raises(SegmentNotFound):
                call()

    def test_what_exists_is_left_alone(self) -> None:
        store = with_segment()
        with pytest.raises(SegmentExists):
            store.create(1, b"other")
        assert store.read(1) == SEGMENT

    def test_names_close_to_ours_are_refused_and_others_ignored(self) -> None:
        disk = MemoryDisk()
        store = with_segment(disk)
        for name in ("notes.txt", "wal-000002.log.tmp", "xwal-000002.log"):
            disk.process().create_exclusive(name)
        assert store.segments() == [1]
        for name in ("wal-7.log", "wal-000000.log", "wal-0000001.log", "WAL-000001.LOG", "wal-000001 (copy).log"):
            disk.process().create_exclusive(name)
            with pytest.raises(UnsafeStore, match="looks like"):
                store.segments()
            disk.process().unlink(name)

    @pytest.mark.parametrize("end", ["close", "kill", "power cut"])
    def test_the_lock_keeps_others_out_until_its_holder_is_gone(self, end: str) -> None:
        disk = MemoryDisk()
        holder, loser = opened(disk), MemoryStore(disk)
        with pytest.raises(Locked):
            loser.acquire()
        if end == "close":
            holder.close()
        elif end == "kill":
            holder.process.kill()
        else:
            disk.power_cut(random.Random(0))
        opened(disk)

    def test_a_reader_needs_no_lock_and_outlives_the_writer(self) -> None:
        disk = MemoryDisk()
        writer, reader = with_segment(disk), MemoryStore(disk)
        writer.write_durable_mark(durable_mark(1, 512), durable=False)
        writer.process.kill()
        assert reader.segments() == [1]
        assert reader.read(1) == SEGMENT
        assert reader.read_durable_mark() == durable_mark(1, 512)
        with pytest.raises(SimulatedCrash):
            writer.segments()

    def test_after_its_process_died_it_raises_but_closes(self) -> None:
        store = with_segment()
        store.disk.power_cut(random.Random(0))
        calls: list[Callable[[], object]] = [
            store.segments,
            lambda: store.read(1),
            lambda: store.write(1, 600, b"x"),
            lambda: store.sync(1, "data"),
            lambda: store.create(2, b"x"),
            lambda: store.remove([]),
            lambda: store.write_durable_mark(b"x", durable=False),
            store.acquire,
        ]
        for call in calls:
            with pytest.raises(SimulatedCrash):
                call()
        store.close()

    def test_what_a_dead_process_would_have_done_breaks_no_law(self) -> None:
        disk = MemoryDisk()
        dead = with_segment(disk)
        disk.kill()
        successor = opened(disk)
        successor.create(2, SEGMENT)
        successor.create(3, SEGMENT)
        with pytest.raises(SimulatedCrash):
            dead.write(1, 512, frame(512, 512))

    def test_closed_is_closed(self) -> None:
        store = with_segment()
        store.close()
        store.close()
        for call in (store.segments, store.acquire, store.drop_durable_mark, store.read_durable_mark):
            with pytest.raises(Closed):
                call()
        store.write_durable_mark(b"x", durable=True)  # advisory: never an Exception
        opened(store.disk)


class TestCreate:
    @pytest.mark.parametrize("leftover", [False, True])
    def test_a_crash_at_any_step_leaves_it_absent_or_whole(self, leftover: bool) -> None:
        start = MemoryDisk()
        if leftover:
            opened(start).process.create_exclusive("wal-000001.log.tmp").write(0, b"left")
        steps = steps_of(start, lambda store: store.create(1, SEGMENT))
        assert steps == (6 if leftover else 5)
        seen = set()
        for step in range(1, steps + 1):
            for seed in range(50):
                disk = start.clone()
                disk.arm(step, Fault("crash", only=CHANGES), rng=random.Random(seed))
                with pytest.raises(SimulatedCrash):
                    opened(disk, laws=False).create(1, SEGMENT)
                store = reopened(disk, seed)
                content = store.read(1) if store.segments() else None
                assert content in {None, SEGMENT}
                seen.add((step, content is not None))
        assert {step for step, is_there in seen if not is_there} >= set(range(1, steps))
        assert {is_there for _, is_there in seen} == {True, False}

    def test_once_returned_it_survives_every_power_cut(self) -> None:
        disk = MemoryDisk()
        with_segment(disk)
        for seed in range(50):
            assert reopened(disk.clone(), seed).read(1) == SEGMENT

    @pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
    @pytest.mark.parametrize("times", [1, None])
    def test_an_error_at_any_step_leaves_it_absent_or_says_otherwise(self, number: int, times: int | None) -> None:
        for step in range(1, steps_of(MemoryDisk(), lambda store: store.create(1, SEGMENT)) + 1):
            for seed in range(20):
                disk = MemoryDisk()
                store = opened(disk)
                disk.arm(step, Fault(number, only=CHANGES, times=times), rng=random.Random(seed))
                with pytest.raises(OSError) as refused:
                    store.create(1, SEGMENT)
                disk.disarm()
                if isinstance(refused.value, NoSpace):
                    assert number == errno.ENOSPC
                    assert store.segments() == []
                if not store.segments():
                    assert reopened(disk.clone(), seed).segments() == []
                    store.create(1, SEGMENT)
                assert store.read(1) == SEGMENT

    def test_without_room_nothing_changes_and_the_same_call_works_later(self) -> None:
        disk = MemoryDisk(room=WINDOW + 4096)
        store = with_segment(disk)
        for room in range(WINDOW, 2 * WINDOW, 4096):
            disk.room = room
            with pytest.raises(NoSpace) as refused:
                store.create(2, SEGMENT)
            assert refused.value.errno == errno.ENOSPC
            assert disk.cached_names() == ["wal-000001.log"]
            assert disk.used == WINDOW
        disk.room = 2 * WINDOW
        store.create(2, SEGMENT)
        assert store.segments() == [1, 2]

    def test_more_than_a_segment_may_have_is_refused(self) -> None:
        store = MemoryStore(MemoryDisk(), segment_bytes_max=1000)
        store.acquire()
        with pytest.raises(NoSpace) as refused:
            store.create(1, bytes(1001))
        assert refused.value.errno == errno.EFBIG
        store.create(1, bytes(1000))
        with pytest.raises(NoSpace):
            store.extend(1, 1001)
        assert store.size(1) == 1000

    def test_short_writes_are_finished(self) -> None:
        for seed in range(20):
            disk = MemoryDisk()
            disk.arm(1, Fault("short", only=SHORT_WRITE.only, times=5), rng=random.Random(seed))
            assert with_segment(disk).read(1) == SEGMENT


class TestGrowing:
    def test_what_was_added_is_zero_and_durable(self) -> None:
        store = with_segment()
        store.extend(1, 3 * WINDOW)
        store.extend(1, 100)
        for seed in range(50):
            assert reopened(store.disk.clone(), seed).read(1) == SEGMENT + bytes(2 * WINDOW)

    def test_a_crash_at_any_step_keeps_what_was_there(self) -> None:
        start = MemoryDisk()
        with_segment(start).close()
        for step in range(1, steps_of(start, lambda store: store.extend(1, 2 * WINDOW)) + 1):
            for seed in range(50):
                disk = start.clone()
                store = opened(disk)
                disk.arm(step, Fault("crash", only=CHANGES), rng=random.Random(seed))
                with pytest.raises(SimulatedCrash):
                    store.extend(1, 2 * WINDOW)
                content = reopened(disk, seed).read(1)
                assert WINDOW <= len(content) <= 2 * WINDOW
                assert content == SEGMENT + bytes(len(content) - WINDOW)

    @pytest.mark.parametrize("room", range(WINDOW, 2 * WINDOW, 4096))
    def test_without_room_nothing_changes_and_the_same_call_works_later(self, room: int) -> None:
        disk = MemoryDisk(room=room)
        store = with_segment(disk)
        with pytest.raises(NoSpace):
            store.extend(1, 2 * WINDOW)
        assert (store.read(1), disk.used) == (SEGMENT, WINDOW)
        store.write(1, 512, frame(512, 512))
        store.sync(1, "data")
        disk.room = None
        store.extend(1, 2 * WINDOW)
        assert store.size(1) == 2 * WINDOW

    def test_a_window_whose_sync_fails_is_not_taken_for_no_space(self) -> None:
        store = with_segment()
        store.disk.arm(1, Fault(errno.ENOSPC, only={"sync"}), rng=random.Random(0))
        with pytest.raises(OSError) as refused:
            store.extend(1, 2 * WINDOW)
        assert not isinstance(refused.value, NoSpace)


class TestWriting:
    def test_a_write_is_durable_after_sync_and_torn_before(self) -> None:
        store = with_segment()
        data = frame(512, 512, b"A" * 1500)
        store.write(1, 512, data)
        unsynced = {reopened(store.disk.clone(), seed).read(1, 512, 512 + len(data)) for seed in range(200)}
        assert len(unsynced) == 16  # four sectors
        store.sync(1, "data")
        assert {reopened(store.disk.clone(), seed).read(1, 512, 512 + len(data)) for seed in range(50)} == {data}

    def test_a_cut_makes_everything_zero_to_the_very_end(self) -> None:
        store = with_segment()
        store.write(1, 512, frame(512, 512, b"A" * 5000))
        store.write(1, 60_000, b"far")
        store.zero_from(1, 600)
        assert store.read(1)[600:] == bytes(WINDOW - 600)
        store.sync(1, "full")
        assert {reopened(store.disk.clone(), seed).read(1)[600:] for seed in range(50)} == {bytes(WINDOW - 600)}

    def test_a_cut_reaches_what_only_the_device_holds(self) -> None:
        for seed in range(50):
            store = with_segment()
            store.write(1, 512, frame(512, 512, b"A" * 5000))
            store.sync(1, "data")
            store.zero_from(1, 512)
            store.disk.arm(1, FAILED_SYNC, rng=random.Random(seed))
            with pytest.raises(OSError):
                store.sync(1, "full")
            store = reopened(store.disk)
            store.acquire()
            assert store.read(1) == SEGMENT
            store.zero_from(1, 512)
            store.sync(1, "full")
            assert reopened(store.disk, seed).read(1) == SEGMENT

    def test_a_trim_is_durable(self) -> None:
        store = with_segment()
        store.trim(1, 1000)
        for seed in range(50):
            assert reopened(store.disk.clone(), seed).size(1) == 1000
        store.extend(1, 2000)
        assert store.read(1) == SEGMENT[:2000]


class TestRemoving:
    def test_it_takes_what_an_interrupted_create_left(self) -> None:
        disk = MemoryDisk()
        store = with_segment(disk)
        for name in ("wal-000009.log.tmp", "notes.tmp", "wal-9.log.tmp"):
            disk.process().create_exclusive(name)
        store.remove([])
        assert disk.cached_names() == ["notes.tmp", "wal-000001.log", "wal-9.log.tmp"]

    def test_a_crash_leaves_any_of_them_and_returning_none(self) -> None:
        start = MemoryDisk()
        store = opened(start)
        for number in (1, 2, 3, 4):
            store.create(number, b"x")
        store.close()
        left = set()
        for step in range(1, steps_of(start, lambda store: store.remove([1, 2, 3])) + 1):
            for seed in range(50):
                disk = start.clone()
                store = opened(disk)
                disk.arm(step, Fault("crash", only=CHANGES), rng=random.Random(seed))
                with pytest.raises(SimulatedCrash):
                    store.remove([1, 2, 3])
                left.add(tuple(reopened(disk, seed).segments()))
        assert left == {
            *((1, 2, 3, 4), (1, 2, 4), (1, 3, 4), (2, 3, 4)),
            *((1, 4), (2, 4), (3, 4), (4,)),
        }
        opened(start).remove([1, 2, 3])
        assert {tuple(reopened(start.clone(), seed).segments()) for seed in range(50)} == {(4,)}

    def test_acquire_makes_durable_what_it_finds_by_name(self) -> None:
        for seed in range(50):
            disk = MemoryDisk()
            store = opened(disk)
            disk.arm(1, Fault("crash", only={"rename"}, moment="after"), rng=random.Random(seed))
            with pytest.raises(SimulatedCrash):
                store.create(1, SEGMENT)
            opened(disk)
            assert reopened(disk, seed).segments() == [1]
