"""Processes, faults and looks on a MemoryDisk."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from functools import partial

import pytest

from tests.testing.disks import SEEDS, after_power_cuts, durable_file, fail_next_sync, letters, sectors, settled
from walogs.testing import (
    CHANGES,
    CRASH,
    SECTOR,
    SHORT_WRITE,
    Fault,
    MemoryDisk,
    SimulatedCrash,
)


class TestProcesses:
    def test_killing_leaves_the_cache_and_frees_the_locks(self) -> None:
        disk = MemoryDisk()
        process, handle = durable_file(disk, b"A")
        handle.write(0, b"B")
        other = disk.process()
        assert process.lock()
        assert not other.lock()
        process.kill()
        assert other.lock()
        assert disk.cached("x") == b"B"
        for call in (
            process.names,
            process.sync_directory,
            handle.sync,
            lambda: handle.size,
            lambda: handle.read(0, 1),
        ):
            with pytest.raises(SimulatedCrash):
                call()
        assert other.open("x").read(0, 1) == b"B"

    def test_a_lock_is_given_back_by_its_holder_alone(self) -> None:
        disk = MemoryDisk()
        holder, other = disk.process(), disk.process()
        assert holder.lock()
        assert holder.lock()
        other.unlock()
        assert not other.lock()
        holder.unlock()
        assert other.lock()

    def test_a_power_cut_and_a_kill_of_all_kill_all(self) -> None:
        disk = MemoryDisk()
        for end in (disk.kill, lambda: disk.power_cut(random.Random(0))):
            process, other = disk.process(), disk.process()
            process.lock()
            end()
            assert not process.is_alive
            assert not other.is_alive
            assert disk.process().lock()

    def test_a_process_that_dies_writing_has_written_a_prefix(self) -> None:
        lengths = set()
        for seed in range(300):
            disk = MemoryDisk()
            process, handle = durable_file(disk, bytes(10))
            other = disk.process()
            disk.arm(1, CRASH, rng=random.Random(seed))
            with pytest.raises(SimulatedCrash):
                handle.write(0, b"A" * 10)
            assert not process.is_alive
            assert other.is_alive
            shown = disk.cached("x")
            assert shown == (b"A" * 10)[: shown.count(b"A")].ljust(10, b"\0")
            lengths.add(shown.count(b"A"))
        assert lengths == set(range(11))

    @pytest.mark.parametrize(
        "primitive", ["rename", "unlink", "create_exclusive", "truncate", "sync", "sync_directory"]
    )
    def test_a_process_that_dies_elsewhere_has_done_it_or_not(self, primitive: str) -> None:
        seen = set()
        for seed in SEEDS:
            disk = MemoryDisk()
            process, handle = durable_file(disk, b"A")
            handle.write(0, b"B")
            process.create_exclusive("y")
            disk.arm(1, Fault("crash", only={primitive}), rng=random.Random(seed))
            calls: dict[str, Callable[[], object]] = {
                "rename": partial(process.rename, "x", "z"),
                "unlink": partial(process.unlink, "x"),
                "create_exclusive": partial(process.create_exclusive, "z"),
                "truncate": partial(handle.truncate, 0),
                "sync": handle.sync,
                "sync_directory": process.sync_directory,
            }
            with pytest.raises(SimulatedCrash):
                calls[primitive]()
            device = settled(disk, 0, 0.0)
            sizes = [len(disk.cached(name)) for name in disk.cached_names()]
            seen.add((*disk.cached_names(), *sizes, *device.cached_names(), device.durable("x")))
        assert len(seen) == 2


class TestFaults:
    def test_the_nth_primitive_fails_once(self) -> None:
        disk = MemoryDisk()
        process = disk.process()
        armed = disk.arm(3, Fault(errno.EMFILE), rng=random.Random(0))
        process.names()
        process.names()
        with pytest.raises(OSError) as refused:
            process.create_exclusive("x")
        assert refused.value.errno == errno.EMFILE
        assert armed.fired == 1
        assert disk.cached_names() == []
        process.create_exclusive("x")
        assert disk.steps == 4
        assert disk.schedule.count(CHANGES) == 2

    def test_only_the_named_primitives_are_counted_and_fail(self) -> None:
        disk = MemoryDisk()
        process = disk.process()
        armed = disk.arm(2, Fault(errno.EIO, only={"sync"}), rng=random.Random(0))
        handle = process.create_exclusive("x")
        handle.sync()
        process.sync_directory()
        assert armed.fired == 0
        with pytest.raises(OSError):
            handle.sync()

    @pytest.mark.parametrize(("times", "failures"), [(1, 1), (3, 3), (None, 10)])
    def test_one_shot_several_times_and_sticky(self, times: int | None, failures: int) -> None:
        disk = MemoryDisk()
        handle = disk.process().create_exclusive("x")
        disk.arm(1, Fault(errno.EIO, only={"read"}, times=times), rng=random.Random(0))
        failed = 0
        for _ in range(10):
            try:
                handle.read(0, 1)
            except OSError:
                failed += 1
        assert failed == failures
        disk.disarm()
        assert handle.read(0, 1) == b""

    def test_two_that_are_due_at_once_take_turns(self) -> None:
        disk = MemoryDisk()
        process = disk.process()
        for number in (errno.EIO, errno.EMFILE):
            disk.arm(1, Fault(number), rng=random.Random(0))
        seen = []
        for _ in range(2):
            with pytest.raises(OSError) as refused:
                process.names()
            seen.append(refused.value.errno)
        process.names()
        assert seen == [errno.EIO, errno.EMFILE]

    def test_a_fault_that_could_never_fire_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no such primitive"):
            Fault(errno.EIO, only={"fsync"})
        with pytest.raises(ValueError, match="counts from 1"):
            MemoryDisk().arm(0, CRASH, rng=random.Random(0))

    def test_an_error_comes_before_the_effect_unless_it_is_said_to_come_after(self) -> None:
        disk = MemoryDisk()
        process, _ = durable_file(disk, b"A")
        disk.arm(1, Fault(errno.EIO), rng=random.Random(0))
        with pytest.raises(OSError):
            process.unlink("x")
        assert disk.cached_names() == ["x"]
        disk.arm(1, Fault(errno.EIO, moment="after"), rng=random.Random(0))
        with pytest.raises(OSError):
            process.unlink("x")
        assert disk.cached_names() == []

    def test_a_write_that_fails_has_written_a_prefix(self) -> None:
        lengths = set()
        for seed in range(300):
            disk = MemoryDisk()
            handle = disk.process().create_exclusive("x")
            disk.arm(1, Fault(errno.EIO), rng=random.Random(seed))
            with pytest.raises(OSError):
                handle.write(0, b"A" * 10)
            lengths.add(len(disk.cached("x")))
        assert lengths == set(range(11))

    def test_a_short_write_says_so(self) -> None:
        lengths = set()
        for seed in range(300):
            disk = MemoryDisk()
            handle = disk.process().create_exclusive("x")
            disk.arm(1, SHORT_WRITE, rng=random.Random(seed))
            written = handle.write(0, b"A" * 10)
            assert disk.cached("x") == b"A" * written
            lengths.add(written)
        assert lengths == set(range(1, 11))

    def test_a_crash_wins_over_an_error_of_the_same_step(self) -> None:
        disk = MemoryDisk(room=0)
        handle = disk.process().create_exclusive("x")
        disk.arm(1, Fault("crash", moment="after"), rng=random.Random(0))
        with pytest.raises(SimulatedCrash):
            handle.write(0, b"A")


class TestLooking:
    def test_bit_rot_is_in_the_cache_on_the_device_and_on_its_way(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, sectors(b"AA"))
        handle.write(SECTOR, sectors(b"B"))
        disk.damage("x", SECTOR - 1, b"??")
        assert disk.cached("x")[SECTOR - 1 : SECTOR + 2] == b"??B"
        assert {(content or b"")[SECTOR - 1 : SECTOR + 2] for content in after_power_cuts(disk)} == {b"??A", b"??B"}

    def test_a_clone_is_apart(self) -> None:
        disk = MemoryDisk(room=8192)
        process, handle = durable_file(disk, b"A")
        process.lock()
        handle.write(0, b"B")
        twin = disk.clone()
        assert twin.process().lock()
        twin.process().open("x").write(0, b"C")
        twin.process().create_exclusive("y")
        assert (disk.cached("x"), disk.cached_names()) == (b"B", ["x"])
        assert after_power_cuts(disk) == {b"A", b"B"}
        assert twin.used == disk.used

    def test_the_durable_prefix_needs_a_durable_name(self) -> None:
        disk = MemoryDisk()
        process = disk.process()
        handle = process.create_exclusive("x")
        handle.write(0, b"A" * 1000)
        handle.sync()
        assert disk.durable_prefix("x") == 0
        process.sync_directory()
        assert disk.durable_prefix("x") == 1000
        process.rename("x", "y")
        process.rename("y", "x")  # it has its durable name again, and a power cut may leave y alone
        assert disk.durable_prefix("x") == 0
        process.sync_directory()
        handle.write(700, b"BB")
        assert disk.durable_prefix("x") == 700
        handle.write(990, b"B" * 100)
        handle.write(700, b"AA")  # what a power cut may leave is still BB
        assert disk.durable_prefix("x") == 700
        handle.sync()
        assert disk.durable_prefix("x") == 1090

    def test_the_durable_prefix_ends_where_a_failed_sync_left_a_lie(self) -> None:
        for seed in range(20):
            disk = MemoryDisk()
            _, handle = durable_file(disk, sectors(b"AAAA"))
            handle.write(SECTOR, sectors(b"BB"))
            fail_next_sync(disk, handle, seed)
            handle.sync()
            device = disk.durable("x") or b""
            lie = next((at for at in range(4) if letters(device)[at] != b"ABBA"[at]), 4)
            assert disk.durable_prefix("x") == lie * SECTOR
