"""What a MemoryDisk loses in a power cut."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

import pytest

from tests.testing.disks import SEEDS, after_power_cuts, durable_file, fail_next_sync, letters, sectors, settled
from walogs.testing import SECTOR, Fault, Handle, MemoryDisk

ALL_EIGHT = {bytes(three) for three in [b"---", b"A--", b"-B-", b"--C", b"AB-", b"A-C", b"-BC", b"ABC"]}


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
        for letter in (b"B", b"-", b"D"):  # zeros are a version too
            handle.write(0, sectors(letter))
        assert {letters(content) for content in after_power_cuts(disk)} == {b"A", b"B", b"-", b"D"}
        handle.sync()
        handle.write(0, sectors(b"E"))
        assert {letters(content) for content in after_power_cuts(disk)} == {b"D", b"E"}

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

    def test_a_directory_is_a_name_with_names_in_it(self) -> None:
        disk = MemoryDisk()
        process = disk.process()
        with pytest.raises(FileNotFoundError):
            process.create_exclusive("d/x")
        process.make_directory("d")
        with pytest.raises(FileExistsError):
            process.make_directory("d")
        process.create_exclusive("d/x").sync()
        process.create_exclusive("y").sync()
        assert (sorted(process.names()), process.names("d")) == (["d", "y"], ["x"])
        process.sync_directory("d")
        seen = {tuple(settled(disk, seed).cached_names()) for seed in SEEDS}
        assert seen == {(), ("y",), ("d", "d/x"), ("d", "d/x", "y")}, "what is in a lost directory is lost"
        process.sync_directory()
        process.unlink("d/x")
        process.sync_directory()
        seen = {tuple(settled(disk.clone(), seed).cached_names()) for seed in SEEDS}
        assert seen == {("d", "y"), ("d", "d/x", "y")}, "the sync of a directory does not sync those in it"
        assert (disk.is_directory("d"), disk.clone().is_directory("d"), disk.is_directory("y")) == (True, True, False)

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
        """ext4, measured: a reason why nothing is written through a handle whose sync has failed (G7)."""
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
