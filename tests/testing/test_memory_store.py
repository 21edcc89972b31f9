"""The appendable model keeps the contract of a store under every fault of its disk, and holds its caller to it."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

import pytest

from tests.testing.native_bytes import SALT, frame, segment_header, witness
from walogs.errors import Closed, Exists, Locked, Missing, NoSpace, Unsafe
from walogs.protocols import AppendableStore, SegmentStore
from walogs.testing import (
    CHANGES,
    CRASH,
    FAILED_SYNC,
    SHORT_WRITE,
    WITNESS,
    Fault,
    LawBroken,
    MemoryDisk,
    MemoryStore,
    SimulatedCrash,
    assert_watermark_law,
)

WINDOW = 64 * 1024
SEGMENT = segment_header() + bytes(WINDOW - 512)


def opened(disk: MemoryDisk, *, laws: bool = True) -> MemoryStore:
    store = MemoryStore(disk, laws=laws)
    store.acquire()
    return store


def with_segment(disk: MemoryDisk | None = None, *, laws: bool = True) -> MemoryStore:
    store = opened(disk if disk is not None else MemoryDisk(), laws=laws)
    store.create(1, SEGMENT)
    return store


def reopened(disk: MemoryDisk, seed: int | None = None) -> MemoryStore:
    """By another process: after a kill, or, with a seed, after a power cut."""
    disk.disarm()
    if seed is None:
        disk.kill()
    else:
        disk.power_cut(random.Random(seed))
    return MemoryStore(disk)


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
        assert (capabilities.segment_bytes_max, capabilities.durability) == (5, "page-cache")
        assert MemoryStore(MemoryDisk()).capabilities.durability == "disk"

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
            lambda: store.cut(7, 0),
            lambda: store.trim(7, 0),
            lambda: store.peek(7, 0, 1),
            lambda: store.durable_prefix(7),
        ]
        for call in calls:
            with pytest.raises(Missing):
                call()

    def test_what_exists_is_left_alone(self) -> None:
        store = with_segment()
        with pytest.raises(Exists):
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
            with pytest.raises(Unsafe, match="looks like"):
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
        writer.write_witness(witness(1, 512), durable=False)
        writer.process.kill()
        assert reader.segments() == [1]
        assert reader.read(1) == SEGMENT
        assert reader.read_witness() == witness(1, 512)
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
            lambda: store.write_witness(b"x", durable=False),
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
        for call in (store.segments, store.acquire, store.drop_witness, store.read_witness):
            with pytest.raises(Closed):
                call()
        store.write_witness(b"x", durable=True)  # advisory: never an Exception
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
        store.cut(1, 600)
        assert store.read(1)[600:] == bytes(WINDOW - 600)
        store.sync(1, "full")
        assert {reopened(store.disk.clone(), seed).read(1)[600:] for seed in range(50)} == {bytes(WINDOW - 600)}

    def test_a_cut_reaches_what_only_the_device_holds(self) -> None:
        for seed in range(50):
            store = with_segment()
            store.write(1, 512, frame(512, 512, b"A" * 5000))
            store.sync(1, "data")
            store.cut(1, 512)
            store.disk.arm(1, FAILED_SYNC, rng=random.Random(seed))
            with pytest.raises(OSError):
                store.sync(1, "full")
            store = reopened(store.disk)
            store.acquire()
            assert store.read(1) == SEGMENT
            store.cut(1, 512)
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


class TestWitness:
    def test_a_durable_one_survives_and_another_may(self) -> None:
        store = with_segment()
        assert store.read_witness() is None
        store.write_witness(witness(1, 0), durable=False)  # the first makes its file
        assert {reopened(store.disk.clone(), seed).read_witness() for seed in range(50)} == {witness(1, 0)}
        store.write_witness(witness(1, 512), durable=True)
        for seed in range(50):
            assert reopened(store.disk.clone(), seed).read_witness() == witness(1, 512)
        store.write_witness(witness(1, 100), durable=False)
        assert MemoryStore(store.disk).read_witness() == witness(1, 100)
        left = {reopened(store.disk.clone(), seed).read_witness() for seed in range(50)}
        assert left == {witness(1, 512), witness(1, 100)}

    def test_it_swallows_errors_but_not_a_crash(self) -> None:
        for primitive in ("open", "create_exclusive", "write", "sync", "sync_directory"):
            store = with_segment()
            armed = store.disk.arm(1, Fault(errno.EIO, only={primitive}), rng=random.Random(0))
            store.write_witness(witness(1, 512), durable=True)
            assert armed.fired == 1
            store.write_witness(witness(1, 512), durable=True)
            for seed in range(20):
                assert reopened(store.disk.clone(), seed).read_witness() == witness(1, 512)
        store = with_segment()
        store.disk.arm(1, CRASH, rng=random.Random(0))
        with pytest.raises(SimulatedCrash):
            store.write_witness(witness(1, 512), durable=False)

    def test_a_full_disk_fails_nothing(self) -> None:
        store = with_segment(MemoryDisk(room=WINDOW))
        store.write_witness(witness(1, 512), durable=True)
        assert store.read_witness() is None
        store.disk.room = None
        store.write_witness(witness(1, 512), durable=True)
        assert store.read_witness() == witness(1, 512)

    def test_dropping_it_is_durable_or_raises(self) -> None:
        store = with_segment()
        store.write_witness(witness(1, 512), durable=True)
        for primitive in ("unlink", "sync_directory"):
            store.disk.arm(1, Fault(errno.EIO, only={primitive}), rng=random.Random(0))
            with pytest.raises(OSError):
                store.drop_witness()
        store.drop_witness()
        assert store.read_witness() is None
        for seed in range(50):
            assert reopened(store.disk.clone(), seed).read_witness() is None
        store.write_witness(witness(1, 512), durable=True)
        assert WITNESS in store.disk.cached_names()


class TestLaws:
    def test_a_frame_that_tells_the_truth_passes(self) -> None:
        store = with_segment()
        first = frame(512, 512)
        store.write(1, 512, first)
        store.sync(1, "data")
        store.write(1, 512 + len(first), frame(512 + len(first), 512 + len(first)))

    def test_one_byte_too_many_is_too_many(self) -> None:
        store = with_segment()
        store.write(1, 512, frame(512, WINDOW))
        store = with_segment()
        with pytest.raises(LawBroken):
            store.write(1, 512, frame(512, WINDOW + 1))

    @pytest.mark.parametrize("how", ["not synced", "sync failed", "cut"])
    def test_a_frame_that_claims_more_than_is_durable_breaks_the_law(self, how: str) -> None:
        store = with_segment()
        first = frame(512, 512)
        store.write(1, 512, first)
        if how == "sync failed":
            store.disk.arm(1, FAILED_SYNC, rng=random.Random(4))
            with pytest.raises(OSError):
                store.sync(1, "data")
            store = reopened(store.disk)
            store.acquire()
            assert store.durable_prefix(1) == 512
            assert store.read(1, 512, 512 + len(first)) == first
        elif how == "cut":
            store.sync(1, "data")
            store.cut(1, 512)
        with pytest.raises(LawBroken, match="says that"):
            store.write(1, 512 + len(first), frame(512 + len(first), 512 + len(first)))
        assert store.read(1, 512 + len(first), 700) == bytes(188 - len(first))  # it had no effect

    def test_every_frame_of_a_write_is_looked_at_and_no_body(self) -> None:
        store = with_segment()
        lie_inside = frame(512, 512, bytes(24) + frame(512 + 64, 60_000) + bytes(100))
        assert lie_inside[64:].startswith(frame(512 + 64, 60_000))
        assert assert_watermark_law(store, 1, 512, lie_inside) == 1
        second = 512 + len(lie_inside)
        assert assert_watermark_law(store, 1, 512, lie_inside + frame(second, 512)) == 2
        with pytest.raises(LawBroken):
            assert_watermark_law(store, 1, 512, lie_inside + frame(second, 513 + 64 * 1024))
        with pytest.raises(LawBroken):
            store.write(1, 512, bytes(800) + frame(512 + 800, 60_000_000))

    @pytest.mark.parametrize(
        "harmless",
        [
            frame(520, 60_000_000, salt=SALT + 1),
            frame(528, 60_000_000),
            b"\0" + frame(521, 60_000_000),
            frame(520, 60_000_000)[:39],
            b"\xd7\x57" * 100,
            b"",
        ],
        ids=["other salt", "other offset", "not aligned", "cut short", "magic only", "nothing"],
    )
    def test_what_no_parser_would_take_for_a_frame_is_none(self, harmless: bytes) -> None:
        assert assert_watermark_law(with_segment(), 1, 520, harmless) == 0

    def test_a_witness_that_claims_more_than_is_durable_breaks_the_law(self) -> None:
        store = with_segment()
        store.write_witness(witness(1, WINDOW), durable=False)
        store.write(1, 600, b"x")
        store.write_witness(witness(1, 600), durable=False)
        store.write_witness(b"garbled", durable=False)
        for lie in (witness(1, 601), witness(2, 0)):
            with pytest.raises(LawBroken, match="witness"):
                store.write_witness(lie, durable=False)

    def test_nothing_in_a_segment_without_a_durable_name_is_durable(self) -> None:
        store = with_segment()
        store.process.rename("wal-000001.log", "wal-000002.log")
        with pytest.raises(LawBroken):
            store.write(2, 512, frame(512, 512))

    def test_only_the_two_newest_segments_are_changed(self) -> None:
        store = opened(MemoryDisk())
        for number in (1, 2, 3):
            store.create(number, SEGMENT)
        for number in (2, 3):
            store.write(number, 600, b"x")
            store.cut(number, 600)
            store.sync(number, "data")
        calls: list[Callable[[], object]] = [
            lambda: store.write(1, 600, b"x"),
            lambda: store.sync(1, "data"),
            lambda: store.cut(1, 600),
            lambda: store.extend(1, WINDOW),
        ]
        for call in calls:
            with pytest.raises(LawBroken, match="neither"):
                call()

    def test_nothing_is_changed_without_the_lock(self) -> None:
        disk = MemoryDisk()
        with_segment(disk).close()
        store = MemoryStore(disk)
        calls: list[Callable[[], object]] = [
            lambda: store.create(2, b"x"),
            lambda: store.remove([1]),
            lambda: store.extend(1, 1),
            lambda: store.write(1, 600, b"x"),
            lambda: store.sync(1, "data"),
            lambda: store.cut(1, 600),
            lambda: store.trim(1, 600),
            lambda: store.write_witness(witness(1, 512), durable=True),
            store.drop_witness,
        ]
        for call in calls:
            with pytest.raises(LawBroken, match="acquire"):
                call()

    def test_a_write_stays_within_the_segment_and_a_trim_never_grows_it(self) -> None:
        store = with_segment()
        store.write(1, WINDOW - 1, b"x")
        for offset, data in ((WINDOW - 1, b"xy"), (WINDOW + 10, b"x"), (-1, b"x")):
            with pytest.raises(LawBroken, match="never grows"):
                store.write(1, offset, data)
        with pytest.raises(LawBroken, match="never larger"):
            store.trim(1, WINDOW + 1)

    @pytest.mark.parametrize("primitive", ["write", "sync"])
    def test_after_a_failed_write_or_sync_nothing_more_is_written_there(self, primitive: str) -> None:
        store = with_segment()
        store.disk.arm(1, Fault(errno.EIO, only={primitive}), rng=random.Random(0))
        failing: dict[str, Callable[[], object]] = {
            "write": lambda: store.write(1, 512, b"x"),
            "sync": lambda: store.sync(1, "data"),
        }
        with pytest.raises(OSError):
            failing[primitive]()
        calls: list[Callable[[], object]] = [
            lambda: store.write(1, 512, b"x"),
            lambda: store.sync(1, "data"),
            lambda: store.extend(1, 2 * WINDOW),
            lambda: store.cut(1, 512),
        ]
        for call in calls:
            with pytest.raises(LawBroken, match="failed"):
                call()
        store = reopened(store.disk)
        store.acquire()
        store.cut(1, 512)
        store.sync(1, "full")

    def test_the_laws_are_laid_down_when_they_are_not_wanted(self) -> None:
        store = MemoryStore(MemoryDisk(), laws=False)
        store.create(1, SEGMENT)
        store.write(1, 512, frame(512, 60_000_000))
        store.write(1, WINDOW, b"grown")
        store.write_witness(witness(9, 9), durable=False)
        assert store.size(1) == WINDOW + 5

    def test_a_test_may_hang_in_laws_of_its_own(self) -> None:
        store = with_segment()
        seen: list[tuple[int, int, bytes]] = []
        store.on_write.append(lambda _store, number, offset, data: seen.append((number, offset, data)))
        store.write(1, 600, memoryview(b"xyz"))
        assert seen == [(1, 600, b"xyz")]
