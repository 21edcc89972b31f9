"""The disk model keeps its own rules: each is shown to hold, and to be reachable, not only possible."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from functools import partial

import pytest

from walogs.testing import (
    CHANGES,
    CRASH,
    FAILED_SYNC,
    SECTOR,
    SHORT_WRITE,
    Fault,
    Handle,
    MemoryDisk,
    Process,
    SimulatedCrash,
)

SEEDS = range(200)
ALL_EIGHT = {bytes(three) for three in [b"---", b"A--", b"-B-", b"--C", b"AB-", b"A-C", b"-BC", b"ABC"]}


def sectors(letters: bytes) -> bytes:
    """A sector of each letter; `-` is zeros."""
    return b"".join(bytes(SECTOR) if letter == ord("-") else bytes([letter]) * SECTOR for letter in letters)


def letters(content: bytes | None) -> bytes:
    assert content is not None
    return bytes(content[at] or ord("-") for at in range(0, len(content), SECTOR))


def settled(disk: MemoryDisk, seed: int, bias: float | None = None) -> MemoryDisk:
    """What a power cut leaves, on a copy."""
    twin = disk.clone()
    twin.power_cut(random.Random(seed), bias)
    return twin


def after_power_cuts(disk: MemoryDisk, name: str = "x", seeds: range = SEEDS) -> set[bytes | None]:
    """Everything that power cuts leave of the file; None: no such name."""
    return {settled(disk, seed).durable(name) for seed in seeds}


def durable_file(disk: MemoryDisk, content: bytes, name: str = "x") -> tuple[Process, Handle]:
    process = disk.process()
    handle = process.create_exclusive(name)
    assert handle.write(0, content) == len(content)
    handle.sync()
    process.sync_directory()
    return process, handle


def fail_next_sync(disk: MemoryDisk, handle: Handle, seed: int) -> None:
    disk.arm(1, FAILED_SYNC, rng=random.Random(seed))
    with pytest.raises(OSError) as refused:
        handle.sync()
    assert refused.value.errno == errno.EIO


class TestSectors:
    def test_what_was_synced_survives_every_power_cut(self) -> None:
        disk = MemoryDisk()
        durable_file(disk, sectors(b"ABC"))
        assert after_power_cuts(disk) == {sectors(b"ABC")}

    def test_a_power_cut_leaves_any_subset_of_the_sectors_of_a_write(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, sectors(b"---"))
        handle.write(0, sectors(b"ABC"))
        assert {letters(content) for content in after_power_cuts(disk)} == ALL_EIGHT

    def test_a_sector_is_whole_and_its_neighbours_are_unharmed(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, sectors(b"ABC"))
        handle.write(SECTOR + 100, b"xyz")
        torn = bytearray(sectors(b"ABC"))
        torn[SECTOR + 100 : SECTOR + 103] = b"xyz"
        assert after_power_cuts(disk) == {sectors(b"ABC"), bytes(torn)}

    def test_any_version_since_the_last_sync_may_be_left(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, sectors(b"A"))
        for letter in (b"B", b"C", b"D"):
            handle.write(0, sectors(letter))
        assert {letters(content) for content in after_power_cuts(disk)} == {b"A", b"B", b"C", b"D"}
        handle.sync()
        handle.write(0, sectors(b"E"))
        assert {letters(content) for content in after_power_cuts(disk)} == {b"D", b"E"}

    def test_zeros_written_over_bytes_are_a_version_too(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, sectors(b"A"))
        handle.write(0, sectors(b"-"))
        handle.write(0, sectors(b"A"))
        assert {letters(content) for content in after_power_cuts(disk)} == {b"A", b"-"}

    def test_bias_says_how_much_is_kept(self) -> None:
        disk = MemoryDisk()
        process, handle = durable_file(disk, sectors(b"AAA"))
        handle.write(0, sectors(b"BBBB"))
        process.rename("x", "y")
        for seed in SEEDS:
            nothing, everything = settled(disk, seed, 0.0), settled(disk, seed, 1.0)
            assert (nothing.durable("x"), nothing.durable("y")) == (sectors(b"AAA"), None)
            assert (everything.durable("x"), everything.durable("y")) == (None, sectors(b"BBBB"))

    def test_the_same_seed_leaves_the_same(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, bytes(100 * SECTOR))
        handle.write(0, random.Random(1).randbytes(100 * SECTOR))
        assert settled(disk, 7).durable("x") == settled(disk, 7).durable("x") != settled(disk, 8).durable("x")

    def test_after_a_power_cut_the_cache_shows_what_is_on_the_device(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, sectors(b"AAAA"))
        handle.write(SECTOR, sectors(b"BBBBB"))
        for seed in SEEDS:
            twin = settled(disk, seed)
            assert twin.cached("x") == twin.durable("x")
            assert twin.durable_prefix("x") == len(twin.cached("x"))

    def test_a_window_of_zeros_costs_nothing(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, b"header")
        handle.write(6, bytes(4 << 20))
        assert handle.inode.versions == {}
        handle.sync()
        handle.write(0, bytes(4 << 20))
        assert list(handle.inode.versions) == [0]
        assert handle.inode.sizes == []


class TestSizes:
    def test_any_size_since_the_last_sync_may_be_left_and_lost_bytes_are_zero(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, sectors(b"A"))
        handle.write(SECTOR, sectors(b"B"))
        handle.write(2 * SECTOR, sectors(b"C"))
        assert {letters(content) for content in after_power_cuts(disk)} == {
            *(b"A", b"AB", b"A-"),
            *(b"ABC", b"AB-", b"A-C", b"A--"),
        }

    def test_a_gap_reads_as_zeros(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, b"A")
        handle.write(1000, b"B")
        assert disk.cached("x") == b"A" + bytes(999) + b"B"

    def test_a_truncation_is_lost_or_kept(self) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, sectors(b"ABC"))
        handle.truncate(SECTOR)
        assert len(disk.cached("x")) == SECTOR
        assert {len(content or b"") for content in after_power_cuts(disk)} == {SECTOR, 3 * SECTOR}

    @pytest.mark.parametrize("sync_between", [True, False])
    @pytest.mark.parametrize(
        "regrow",
        [lambda h: h.truncate(3 * SECTOR), lambda h: h.write(2 * SECTOR, sectors(b"-"))],
        ids=["truncate", "write"],
    )
    def test_what_was_cut_off_does_not_come_back_when_the_file_grows(
        self, sync_between: bool, regrow: Callable[[Handle], object]
    ) -> None:
        disk = MemoryDisk()
        _, handle = durable_file(disk, sectors(b"ABC"))
        handle.truncate(100)
        if sync_between:
            handle.sync()
        regrow(handle)
        kept = b"A" * 100 + bytes(3 * SECTOR - 100)
        assert disk.cached("x") == kept
        handle.sync()
        assert after_power_cuts(disk) == {kept}


class TestNames:
    def test_a_new_name_is_lost_or_kept_until_the_directory_is_synced(self) -> None:
        disk = MemoryDisk()
        process = disk.process()
        handle = process.create_exclusive("x")
        handle.write(0, b"A")
        handle.sync()  # of the file, which is not enough (R6)
        assert after_power_cuts(disk) == {None, b"A"}
        process.sync_directory()
        assert after_power_cuts(disk) == {b"A"}

    def test_each_half_of_a_rename_is_lost_or_kept_by_itself(self) -> None:
        disk = MemoryDisk()
        process, _ = durable_file(disk, b"A", "old")
        process.rename("old", "new")
        seen = {tuple(settled(disk, seed).cached_names()) for seed in SEEDS}
        assert seen == {("old",), ("new",), ("new", "old"), ()}
        process.sync_directory()
        assert {tuple(settled(disk, seed).cached_names()) for seed in SEEDS} == {("new",)}

    def test_a_rename_replaces_and_the_old_file_may_come_back(self) -> None:
        disk = MemoryDisk()
        durable_file(disk, b"A", "x")
        process, _ = durable_file(disk, b"B", "x.tmp")
        process.rename("x.tmp", "x")
        assert disk.cached("x") == b"B"
        assert after_power_cuts(disk) == {b"A", b"B"}

    def test_an_unlink_is_lost_or_kept_and_a_handle_goes_on_working(self) -> None:
        disk = MemoryDisk()
        process, handle = durable_file(disk, b"A")
        process.unlink("x")
        assert process.names() == []
        assert handle.read(0, 1) == b"A"
        assert after_power_cuts(disk) == {None, b"A"}
        process.sync_directory()
        assert after_power_cuts(disk) == {None}

    def test_what_a_power_cut_decided_stays_decided(self) -> None:
        disk = MemoryDisk()
        process, _ = durable_file(disk, b"A")
        process.unlink("x")
        process.create_exclusive("y")
        for seed in SEEDS:
            once = settled(disk, seed)
            names = once.cached_names()
            assert {tuple(settled(once, again).cached_names()) for again in range(10)} == {tuple(names)}

    def test_a_failing_directory_sync_leaves_its_changes_pending(self) -> None:
        disk = MemoryDisk()
        process = disk.process()
        process.create_exclusive("x")
        disk.arm(1, Fault(errno.EIO, only={"sync_directory"}), rng=random.Random(0))
        with pytest.raises(OSError):
            process.sync_directory()
        assert after_power_cuts(disk) == {None, b""}
        process.sync_directory()
        assert after_power_cuts(disk) == {b""}

    def test_refusals_have_the_errors_of_the_system(self) -> None:
        disk = MemoryDisk()
        process, _ = durable_file(disk, b"A")
        with pytest.raises(FileExistsError):
            process.create_exclusive("x")
        for call in (process.open, process.unlink, disk.cached, lambda name: process.rename(name, "z")):
            with pytest.raises(FileNotFoundError):
                call("y")


class TestFailedSync:
    def test_a_second_sync_succeeds_and_a_power_cut_loses_the_bytes(self) -> None:
        """fsyncgate: the reason why a failed sync is never retried (G7)."""
        left = set()
        for seed in SEEDS:
            disk = MemoryDisk()
            process, handle = durable_file(disk, sectors(b"AAA"))
            handle.write(0, sectors(b"BBB"))
            fail_next_sync(disk, handle, seed)
            handle.sync()
            assert process.open("x").read(0, 3 * SECTOR) == sectors(b"BBB")  # the cache lies
            disk.power_cut(random.Random(seed))
            left.add(letters(disk.durable("x")))
        assert {bytes(letter) for letter in left} == {content.translate(TO_B) for content in ALL_EIGHT}

    def test_evicting_shows_what_the_device_holds(self) -> None:
        shown = set()
        for seed in SEEDS:
            disk = MemoryDisk()
            _, handle = durable_file(disk, sectors(b"A"))
            handle.write(0, sectors(b"B"))
            disk.evict(random.Random(seed))
            assert disk.cached("x") == sectors(b"B")  # dirty sectors stay
            fail_next_sync(disk, handle, seed)
            disk.evict(random.Random(seed))
            shown.add((letters(disk.cached("x")), letters(disk.durable("x"))))
        assert shown == {(b"A", b"A"), (b"B", b"A"), (b"B", b"B")}

    def test_evicting_leaves_alone_what_was_written_since(self) -> None:
        for again in (b"C", b"A"):
            for seed in SEEDS:
                disk = MemoryDisk()
                _, handle = durable_file(disk, sectors(b"A"))
                handle.write(0, sectors(b"B"))
                fail_next_sync(disk, handle, seed)
                handle.write(0, sectors(again))
                disk.evict(random.Random(seed))
                assert disk.cached("x") == sectors(again)

    def test_a_power_cut_ends_the_lie(self) -> None:
        for seed in SEEDS:
            disk = MemoryDisk()
            _, handle = durable_file(disk, sectors(b"A"))
            handle.write(0, sectors(b"B"))
            fail_next_sync(disk, handle, seed)
            disk.power_cut(random.Random(seed))
            assert disk.cached("x") == disk.durable("x")
            disk.process().open("x").write(0, sectors(b"C"))
            disk.evict(random.Random(seed))
            assert disk.cached("x") == sectors(b"C")

    def test_writing_the_same_bytes_again_makes_them_durable(self) -> None:
        """Over blocks that were zero-filled and synced, which is what recovery relies on (G4)."""
        for seed in SEEDS:
            disk = MemoryDisk()
            _, handle = durable_file(disk, sectors(b"---"))
            handle.write(0, sectors(b"ABC"))
            fail_next_sync(disk, handle, seed)
            handle.write(0, sectors(b"ABC"))
            handle.sync()
            assert after_power_cuts(disk, seeds=range(5)) == {sectors(b"ABC")}

    def test_zeros_over_what_reads_as_zero_are_written_all_the_same(self) -> None:
        """A failed cut: the device still holds the frame that the cache shows as zeros (G3)."""
        rose = 0
        for seed in SEEDS:
            disk = MemoryDisk()
            _, handle = durable_file(disk, sectors(b"A"))
            handle.write(0, sectors(b"-"))
            fail_next_sync(disk, handle, seed)
            handle.sync()
            assert disk.cached("x") == sectors(b"-")
            rose += disk.durable("x") == sectors(b"A")
            handle.write(0, sectors(b"-"))
            handle.sync()
            assert after_power_cuts(disk, seeds=range(5)) == {sectors(b"-")}
        assert rose

    def test_a_size_can_be_lost_for_good_too(self) -> None:
        lost = 0
        for seed in SEEDS:
            disk = MemoryDisk(unwritten_extents=False)
            _, handle = durable_file(disk, sectors(b"A"))
            handle.write(SECTOR, sectors(b"B"))
            fail_next_sync(disk, handle, seed)
            handle.sync()
            assert len(disk.cached("x")) == 2 * SECTOR
            disk.power_cut(random.Random(seed))
            lost += disk.cached("x") == sectors(b"A")
        assert 0 < lost < len(SEEDS)

    def test_what_the_kernel_failed_to_write_back_is_said_once(self) -> None:
        lost = 0
        for seed in SEEDS:
            disk = MemoryDisk()
            _, handle = durable_file(disk, sectors(b"A"))
            handle.write(0, sectors(b"B"))
            disk.kill()
            disk.fail_writeback(random.Random(seed))
            reopened = disk.process().open("x")
            assert reopened.read(0, SECTOR) == sectors(b"B")
            with pytest.raises(OSError):
                reopened.sync()
            reopened.sync()
            lost += disk.durable("x") == sectors(b"A")
        assert 0 < lost < len(SEEDS)


TO_B = bytes.maketrans(b"ABC-", b"BBBA")


def rewritten_after_a_failed_sync(seed: int, *, unwritten_extents: bool = True, trim: bool = False) -> bytes | None:
    """A new block whose first sync fails, written and synced again, as the device holds it."""
    disk = MemoryDisk(unwritten_extents=unwritten_extents)
    _, handle = durable_file(disk, bytes(4096))
    handle.write(4096, b"B" * 4096)
    fail_next_sync(disk, handle, seed)
    if trim:
        handle.truncate(4096)
        handle.sync()
    handle.write(4096, b"B" * 4096)
    handle.sync()
    assert disk.cached("x") == bytes(4096) + b"B" * 4096
    disk.power_cut(random.Random(seed))
    return disk.durable("x")


class TestUnwrittenExtents:
    def test_a_block_whose_first_sync_failed_can_lose_what_is_synced_into_it_later(self) -> None:
        """ext4, measured: the reason why a taken-up segment is trimmed and extended anew (G8)."""
        kept, lost = bytes(4096) + b"B" * 4096, bytes(8192)
        assert {rewritten_after_a_failed_sync(seed) for seed in SEEDS} == {kept, lost}
        assert {rewritten_after_a_failed_sync(seed, unwritten_extents=False) for seed in SEEDS} == {kept}

    def test_truncating_below_it_frees_it(self) -> None:
        whole = bytes(4096) + b"B" * 4096
        assert {rewritten_after_a_failed_sync(seed, trim=True) for seed in SEEDS} == {whole}

    def test_a_window_of_zeros_whose_sync_failed_is_such_a_block(self) -> None:
        left = set()
        for seed in SEEDS:
            disk = MemoryDisk()
            _, handle = durable_file(disk, bytes(4096))
            handle.write(4096, bytes(4096))
            fail_next_sync(disk, handle, seed)
            handle.write(4096, b"B" * 4096)
            handle.sync()
            disk.power_cut(random.Random(seed))
            left.add(disk.durable("x"))
        assert left == {bytes(8192), bytes(4096) + b"B" * 4096}

    def test_what_is_on_its_way_into_one_is_lost_as_well(self) -> None:
        left = set()
        for seed in SEEDS:
            disk = MemoryDisk()
            _, handle = durable_file(disk, bytes(4096))
            handle.write(4096, bytes(4096))
            fail_next_sync(disk, handle, seed)
            handle.truncate(8192)
            handle.sync()
            handle.write(4096, b"B" * 4096)
            assert disk.durable_prefix("x") == 4096
            disk.power_cut(random.Random(seed), bias=1.0)
            left.add(disk.durable("x"))
        assert left == {bytes(8192), bytes(4096) + b"B" * 4096}

    def test_a_block_that_was_synced_once_is_never_one(self) -> None:
        for seed in SEEDS:
            disk = MemoryDisk()
            _, handle = durable_file(disk, bytes(8192))
            handle.write(4096, b"B" * 4096)
            fail_next_sync(disk, handle, seed)
            handle.write(4096, b"C" * 4096)
            handle.sync()
            assert disk.durable("x") == bytes(4096) + b"C" * 4096

    def test_a_reboot_ends_it(self) -> None:
        for seed in SEEDS:
            disk = MemoryDisk()
            _, handle = durable_file(disk, b"")
            handle.write(0, bytes(4096))
            fail_next_sync(disk, handle, seed)
            disk.power_cut(random.Random(seed))
            handle = disk.process().open("x")
            handle.write(0, b"B" * 4096)
            handle.sync()
            assert disk.durable("x") == b"B" * 4096


class TestRoom:
    def test_a_write_is_short_first_and_refused_when_nothing_fits(self) -> None:
        disk = MemoryDisk(room=8192)
        handle = disk.process().create_exclusive("x")
        assert handle.write(100, b"A" * 10_000) == 8192 - 100
        with pytest.raises(OSError) as refused:
            handle.write(8192, b"A")
        assert refused.value.errno == errno.ENOSPC
        assert disk.cached("x") == bytes(100) + b"A" * (8192 - 100)
        assert disk.used == 8192

    def test_overwriting_needs_no_room(self) -> None:
        disk = MemoryDisk(room=4096)
        _, handle = durable_file(disk, b"A")
        assert handle.write(1, b"B" * 4095) == 4095
        assert handle.write(0, b"C" * 4096) == 4096

    @pytest.mark.parametrize("how", ["unlink", "truncate", "rename over"])
    def test_room_is_given_back(self, how: str) -> None:
        disk = MemoryDisk(room=4096)
        process, handle = durable_file(disk, b"A")
        other = process.create_exclusive("y")
        with pytest.raises(OSError):
            other.write(0, b"B")
        if how == "unlink":
            process.unlink("x")
        elif how == "truncate":
            handle.truncate(0)
        else:
            process.rename("y", "x")
        assert other.write(0, b"B") == 1
        assert disk.used == 4096

    def test_a_power_cut_gives_back_what_did_not_last(self) -> None:
        disk = MemoryDisk()
        process, handle = durable_file(disk, b"A")
        handle.write(0, b"A" * 9000)
        process.rename("x", "y")
        assert disk.used == 12_288
        assert settled(disk, 0, 0.0).used == 4096
        both = next(twin for seed in SEEDS if len((twin := settled(disk, seed, 0.5)).cached_names()) == 2)
        before, process = both.used, both.process()
        process.unlink("x")
        assert both.used == before
        process.unlink("y")
        assert both.used == 0

    def test_a_power_cut_may_bring_back_more_than_there_is_room_for(self) -> None:
        disk = MemoryDisk(room=8192)
        process, _ = durable_file(disk, b"A" * 8192)
        process.unlink("x")
        handle = process.create_exclusive("y")
        handle.write(0, b"B" * 8192)
        handle.sync()
        used = {settled(disk, seed).used for seed in SEEDS}
        assert used == {0, 8192, 16384}
        full = next(twin for seed in SEEDS if (twin := settled(disk, seed)).used == 16384)
        process = full.process()
        assert process.open("x").write(0, b"C") == 1
        with pytest.raises(OSError):
            process.create_exclusive("z").write(0, b"C")


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


class Reference:
    """The same file without any cleverness: every content each sector may have on the device, as a set."""

    def __init__(self, content: bytes) -> None:
        self.shown = bytearray(content)
        self.possible = [{self.sector(at)} for at in range(64)]
        self.sizes = {len(content)}
        self.at_sync = {len(content)}
        self.dirty: set[int] = set()

    def sector(self, at: int) -> bytes:
        return bytes(self.shown[at * SECTOR : (at + 1) * SECTOR]).ljust(SECTOR, b"\0")

    def changed(self, start: int, end: int) -> None:
        for at in range(start // SECTOR, -(-end // SECTOR)):
            self.possible[at].add(self.sector(at))
            self.dirty.add(at)

    def write(self, offset: int, data: bytes) -> None:
        start, end = min(offset, len(self.shown)), offset + len(data)
        self.shown.extend(bytes(max(0, end - len(self.shown))))
        self.shown[offset:end] = data
        self.changed(start, end)
        self.at_sync = {max(size, end) for size in self.at_sync}
        self.sizes |= self.at_sync

    def truncate(self, size: int) -> None:
        before = len(self.shown)
        self.shown = self.shown[:size].ljust(size, b"\0")
        self.changed(min(before, size), max(before, size))
        self.at_sync = {size}
        self.sizes |= self.at_sync

    def sync(self) -> None:
        for at in self.dirty:
            self.possible[at] = {self.sector(at)}
        self.sizes = set(self.at_sync)
        self.forget_beyond({size for size in self.sizes if size < len(self.shown)})
        self.dirty.clear()

    def fail_sync(self) -> None:
        self.forget_beyond(self.sizes)
        self.at_sync = set(self.sizes)
        self.dirty.clear()

    def forget_beyond(self, sizes: set[int]) -> None:
        """Any of these sizes may be the one that is left, and then what was beyond it is gone."""
        for size in sizes:
            for at in range(size // SECTOR, len(self.possible)):
                kept = max(0, size - at * SECTOR)
                self.possible[at] |= {content[:kept].ljust(SECTOR, b"\0") for content in self.possible[at]}

    def allows(self, image: bytes) -> bool:
        if len(image) not in self.sizes:
            return False
        for start in range(0, len(image), SECTOR):
            end = min(start + SECTOR, len(image))
            if image[start:end] not in {content[: end - start] for content in self.possible[start // SECTOR]}:
                return False
        return True


def change_at_random(rng: random.Random, disk: MemoryDisk, handle: Handle, reference: Reference) -> None:
    what = rng.choice(["write", "write", "write", "truncate", "sync", "fail"])
    if what == "write":
        offset = rng.randrange(6000)
        data = rng.choice([bytes(rng.randrange(3000)), rng.randbytes(rng.randrange(3000))])
        if data:
            handle.write(offset, data)
            reference.write(offset, data)
    elif what == "truncate":
        size = rng.randrange(7000)
        handle.truncate(size)
        reference.truncate(size)
    elif what == "sync":
        handle.sync()
        reference.sync()
    else:
        fail_next_sync(disk, handle, rng.randrange(1 << 30))
        reference.fail_sync()


@pytest.mark.parametrize("seed", range(60))
def test_the_model_agrees_with_one_that_is_too_simple_to_be_wrong(seed: int) -> None:
    rng = random.Random(seed)
    disk = MemoryDisk(unwritten_extents=False)
    content = rng.randbytes(rng.randrange(5000))
    _, handle = durable_file(disk, content)
    reference = Reference(content)
    for _ in range(40):
        change_at_random(rng, disk, handle, reference)
        shown = bytes(reference.shown)
        assert disk.cached("x") == shown
        prefix = disk.durable_prefix("x")
        for _ in range(3):
            image = settled(disk, rng.randrange(1 << 30)).durable("x")
            assert image is not None
            assert reference.allows(image)
            assert image[:prefix] == shown[:prefix]


@pytest.mark.parametrize("unwritten_extents", [True, False])
def test_the_durable_prefix_is_no_shorter_than_it_must_be(unwritten_extents: bool) -> None:
    """Some power cut does change the byte after it."""
    rng = random.Random(5)
    disk = MemoryDisk(unwritten_extents=unwritten_extents)
    _, handle = durable_file(disk, b"")
    for _ in range(200):
        change_at_random(rng, disk, handle, Reference(b""))
        shown, prefix = disk.cached("x"), disk.durable_prefix("x")
        images = [settled(disk, seed).durable("x") or b"" for seed in range(150)]
        assert all(image[:prefix] == shown[:prefix] for image in images)
        if prefix < len(shown):
            assert any(image[prefix : prefix + 1] != shown[prefix : prefix + 1] for image in images)
