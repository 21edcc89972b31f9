"""Every public verb, over local files, a modelled disk and a modelled cloud, with the default codec and another."""

from __future__ import annotations

import array
import ctypes
import gc
import itertools
import logging
import mmap
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import walogs
from tests import stores
from tests.logs import RESERVE, SEAL, LogOnDisk, numbered, witness_seen
from tests.stores import LogFactory
from walogs.assembly import assemble
from walogs.engine.source import Environment
from walogs.testing import MemoryDisk, MemoryStore

log_factory, appending_factory = stores.log_factory, stores.appending_factory

BUFFERS = {
    "bytes": b"data",
    "empty": b"",
    "bytearray": bytearray(b"data"),
    "memoryview": memoryview(b"data"),
    "memoryview of a part": memoryview(b"-data-")[1:5],
    "memoryview of 8-byte items": memoryview(bytes(range(32))).cast("Q"),
    "two-dimensional memoryview": memoryview(bytes(range(24))).cast("B", (4, 6)),
    "array of 4-byte items": array.array("I", [1, 2, 3]),
    "array of doubles": array.array("d", [1.5, -2.5]),
    "ctypes array": (ctypes.c_uint16 * 3)(1, 2, 3),
    "empty array": array.array("I"),
    "read-only memoryview": memoryview(bytearray(b"data")).toreadonly(),
    "looks like a frame": bytes.fromhex("d757010000000000") * 8,
    "zeros": bytes(4096),
}


class Bytes(bytes):
    """A subclass with an idea of its own of what it holds."""

    def __len__(self) -> int:
        return 1


def content(data: object) -> bytes:
    return memoryview(data).tobytes()  # type: ignore[arg-type]


# Appending


@pytest.mark.guarantee("G1")
def test_every_kind_of_buffer_comes_back_byte_for_byte(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        lsns = [wal.append(data) for data in BUFFERS.values()]
        expected = numbered(1, *map(content, BUFFERS.values()))
        assert lsns == [lsn for lsn, _ in expected]
        assert list(wal) == expected
    with log_factory.open() as wal:
        assert list(wal) == expected


def test_a_mapped_file_is_a_buffer_too(log_factory: LogFactory) -> None:
    with mmap.mmap(-1, 5000) as mapped, log_factory.open() as wal:
        mapped[:4] = b"head"
        mapped[-4:] = b"tail"
        wal.append(mapped)
        wal.append_batch([mapped, b"x"])
        assert [len(data) for _, data in wal] == [5000, 5000, 1]
        assert wal.read(2) == b"head" + bytes(4992) + b"tail"


@pytest.mark.guarantee("G12")
def test_a_batch_takes_every_kind_of_buffer_at_once(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        assert wal.append_batch(BUFFERS.values()) == range(1, len(BUFFERS) + 1)
    with log_factory.open() as wal:
        assert list(wal) == numbered(1, *map(content, BUFFERS.values()))


@pytest.mark.guarantee("G1")
def test_what_the_caller_does_to_a_buffer_afterwards_changes_nothing(log_factory: LogFactory) -> None:
    one, many = bytearray(b"one"), [bytearray(b"two"), bytearray(b"three")]
    with log_factory.open() as wal:
        wal.append(one)
        wal.append_batch(many)
        for buffer in (one, *many):
            buffer[:] = b"XXX"
        assert [data for _, data in wal] == [b"one", b"two", b"three"]


def test_a_batch_from_one_buffer_that_is_filled_again_and_again_holds_what_each_held(log_factory: LogFactory) -> None:
    buffer = bytearray(3)

    def filled() -> Iterator[bytearray]:
        for k in range(20):
            buffer[:] = b"%03d" % k
            yield buffer

    with log_factory.open() as wal:
        wal.append_batch(filled())
    with log_factory.open() as wal:
        assert [data for _, data in wal] == [b"%03d" % k for k in range(20)]


def test_a_subclass_of_bytes_that_lies_about_its_length_is_taken_at_its_bytes(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        wal.append(Bytes(b"five!"))
        wal.append_batch([Bytes(b"one"), Bytes(b"four")])
        assert [data for _, data in wal] == [b"five!", b"one", b"four"]
        assert {type(data) for _, data in wal} == {bytes}


@pytest.mark.parametrize("bad", ["text", 7, None, [1, 2], object()], ids=repr)
def test_what_is_no_buffer_is_refused_and_nothing_is_written(log_factory: LogFactory, bad: object) -> None:
    with log_factory.open() as wal:
        with pytest.raises(TypeError):
            wal.append(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            wal.append_batch([b"good", bad])  # type: ignore[list-item]
        assert wal.append(b"next") == 1


def test_a_buffer_with_holes_is_refused_and_nothing_is_written(log_factory: LogFactory) -> None:
    holes = [memoryview(bytes(10))[::2], memoryview(bytes(6))[::-1], memoryview(array.array("I", range(9)))[::3]]
    with log_factory.open() as wal:
        for view in holes:
            with pytest.raises(BufferError, match="contiguous"):
                wal.append(view)
            with pytest.raises(BufferError, match="contiguous"):
                wal.append_batch([b"good", view])
        assert wal.append(b"next") == 1


def test_a_released_memoryview_is_refused_and_nothing_is_written(log_factory: LogFactory) -> None:
    released = memoryview(b"data")
    released.release()
    with log_factory.open() as wal:
        with pytest.raises(ValueError, match="released"):
            wal.append(released)
        assert wal.append(b"next") == 1


@pytest.mark.parametrize("batch", [(), [], iter(()), range(0)], ids=repr)
@pytest.mark.guarantee("G12")
def test_an_empty_batch_is_an_empty_range_and_no_write(log_factory: LogFactory, batch: object) -> None:
    with log_factory.open() as wal:
        wal.append(b"one")
        before = wal.segments()
        assert wal.append_batch(batch) == range(2, 2)  # type: ignore[arg-type]
        assert wal.segments() == before
        assert wal.append(b"two") == 2
        assert len(list(wal.commits())) == 2


@pytest.mark.guarantee("G12")
def test_a_batch_whose_iterator_fails_half_way_writes_nothing(log_factory: LogFactory) -> None:
    def entries() -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("no more")

    with log_factory.open() as wal:
        with pytest.raises(RuntimeError, match="no more"):
            wal.append_batch(entries())
        assert wal.append_batch(data for data in (b"a", b"b")) == range(1, 3)


def test_a_batch_is_one_commit_however_its_entries_are_sized(log_factory: LogFactory) -> None:
    rng = random.Random(1)
    batches = [[rng.randbytes(size) for size in sizes] for sizes in ([0], [0, 0, 0], [1, 0, 70_000, 3], [9] * 1000)]
    with log_factory.open() as wal:
        for batch in batches:
            wal.append_batch(batch)
    with log_factory.open() as wal:
        assert [data for _, data in wal] == list(itertools.chain(*batches))
        ends = list(itertools.accumulate(map(len, batches)))
        assert [(c.first_lsn, c.last_lsn) for c in wal.commits()] == [
            (end - len(batch) + 1, end) for end, batch in zip(ends, batches, strict=True)
        ]


@pytest.mark.guarantee("G2")
def test_lsns_are_dense_across_segments_opens_and_checkpoints(log_factory: LogFactory) -> None:
    expected = 1
    for round_ in range(6):
        with log_factory.open(max_segment_size=2000) as wal:
            for size in (10, 900, 10, 2500, 0):
                assert wal.next_lsn == expected
                assert wal.append(bytes(size)) == expected
                expected += 1
            assert wal.append_batch([b"a", b"b"]) == range(expected, expected + 2)
            expected += 2
            wal.checkpoint(expected - 4 * (round_ + 1))
            assert wal.last_lsn == expected - 1
            assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, expected))


@pytest.mark.guarantee("G1", "G3")
def test_a_log_whose_every_entry_was_checkpointed_does_not_use_a_number_again(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        wal.append_batch([b"a", b"b", b"c"])
        wal.rotate()
        wal.checkpoint(99)
    for expected in (4, 5):
        with log_factory.open() as wal:
            assert wal.append(b"next") == expected


# Limits


def test_the_limit_of_an_entry_is_inclusive_and_over_it_nothing_is_written(log_factory: LogFactory) -> None:
    with log_factory.open(max_entry_size=100) as wal:
        assert wal.append(bytes(100)) == 1
        assert wal.append_batch([bytes(100), bytes(100)]) == range(2, 4)
        before = wal.segments()
        for offer in (lambda: wal.append(bytes(101)), lambda: wal.append_batch([b"", bytes(101), b""])):
            with pytest.raises(walogs.EntryTooLarge, match=r"101 .*100.*Nothing was written") as refused:
                offer()
            assert (refused.value.size, refused.value.max) == (101, 100)
        assert wal.segments() == before
        assert wal.append(b"next") == 4


def test_the_limit_counts_bytes_not_items(log_factory: LogFactory) -> None:
    with log_factory.open(max_entry_size=100) as wal:
        assert wal.append(array.array("I", range(25))) == 1
        with pytest.raises(walogs.EntryTooLarge) as refused:
            wal.append(array.array("I", range(26)))
        assert refused.value.size == 104


def test_the_limit_of_a_batch_is_inclusive_and_counts_its_table(log_factory: LogFactory) -> None:
    with log_factory.open(max_batch_size=112) as wal:
        assert wal.append_batch([bytes(50), bytes(50)]) == range(1, 3)
        with pytest.raises(walogs.EntryTooLarge, match="Nothing was written") as refused:
            wal.append_batch([bytes(50), bytes(51)])
        assert (refused.value.size, refused.value.max) == (113, 112)
        assert wal.append_batch([bytes(5000)]) == range(3, 4)  # one entry: its own limit holds
        assert wal.append(b"next") == 4


def test_the_default_limit_is_16_mib_exactly(tmp_path: Path) -> None:
    assert walogs.MAX_ENTRY_SIZE == 16 * 1024 * 1024
    largest = bytes(walogs.MAX_ENTRY_SIZE)
    with walogs.open(tmp_path / "log") as wal:
        assert wal.append(largest) == 1
        with pytest.raises(walogs.EntryTooLarge):
            wal.append(bytes(walogs.MAX_ENTRY_SIZE + 1))
        assert wal.read(1) == largest
    with walogs.open(tmp_path / "log") as wal:
        assert wal.read(1) == largest


def test_a_lower_limit_hides_nothing_that_the_log_holds(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        wal.append(bytes(5000))
        wal.append_batch([bytes(3000), bytes(3000)])
    with log_factory.open(max_entry_size=10, max_batch_size=20) as wal:
        assert [len(data) for _, data in wal] == [5000, 3000, 3000]


# Rotation


@pytest.mark.guarantee("G10")
def test_rotation_comes_before_the_commit_that_would_pass_the_limit(tmp_path: Path) -> None:
    limit = 512 + 4 * (40 + 60 + 4)
    with walogs.open(tmp_path / "log", max_segment_size=limit) as wal:
        for _ in range(4):
            wal.append(bytes(60))
        assert wal.segment_count == 1  # exactly full is not too full
        wal.append(b"")
        assert wal.segment_count == 2
        assert [(s.number, s.first_lsn, s.last_lsn) for s in wal.segments()] == [(1, 1, 4), (2, 5, 5)]


@pytest.mark.guarantee("G10")
def test_a_commit_larger_than_a_segment_goes_alone_into_one(appending_factory: LogFactory) -> None:
    rng = random.Random(2)
    sizes = [100, 9000, 100, 9000, 9000, 100]
    data = [rng.randbytes(size) for size in sizes]
    with appending_factory.open(max_segment_size=2000) as wal:
        for entry in data:
            wal.append(entry)
        assert [(s.first_lsn, s.last_lsn) for s in wal.segments()] == [(n, n) for n in range(1, 7)]
        assert [d for _, d in wal] == data
    with appending_factory.open(max_segment_size=2000) as wal:
        assert [d for _, d in wal] == data


@pytest.mark.guarantee("G10")
def test_a_segment_limit_of_one_byte_gives_each_commit_a_segment(appending_factory: LogFactory) -> None:
    with appending_factory.open(max_segment_size=1) as wal:
        wal.append(b"one")
        wal.append_batch([b"two", b"three"])
        wal.append(b"")
        assert [(s.first_lsn, s.last_lsn) for s in wal.segments()] == [(1, 1), (2, 3), (4, 4)]
    with appending_factory.open(max_segment_size=1) as wal:
        assert wal.segment_count == 3
        assert [data for _, data in wal] == [b"one", b"two", b"three", b""]


def test_without_a_limit_a_segment_is_rotated_by_hand_alone(appending_factory: LogFactory) -> None:
    with appending_factory.open(max_segment_size=None) as wal:
        for _ in range(20):
            wal.append(random.Random(3).randbytes(50_000))
        assert wal.segment_count == 1
        wal.rotate()
        assert wal.segment_count == 2


@pytest.mark.guarantee("G10")
def test_rotate_makes_the_next_segment_at_once_and_does_nothing_on_an_empty_one(
    appending_factory: LogFactory,
) -> None:
    with appending_factory.open() as wal:
        wal.rotate()
        assert wal.segment_count == 1
        wal.append(b"one")
        wal.rotate()
        assert wal.segment_count == 2
        wal.rotate()
        assert wal.segment_count == 2
        assert [(s.is_sealed, s.is_active) for s in wal.segments()] == [(True, False), (False, True)]
    with appending_factory.open() as wal:
        assert wal.segment_count == 2
        wal.rotate()
        assert wal.segment_count == 2
        assert wal.append(b"two") == 2


def test_rotate_in_a_store_where_every_commit_is_a_segment_does_nothing(tmp_path: Path) -> None:
    factory = LogFactory("chain", "crc32", tmp_path)
    with factory.open() as wal:
        wal.append(b"one")
        before = wal.segments()
        wal.rotate()
        assert wal.segments() == before
        assert wal.append(b"two") == 2


@pytest.mark.guarantee("G15")
def test_opening_without_appending_adds_no_segment(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        wal.append(b"one")
    for _ in range(5):
        with appending_factory.open() as wal:
            assert wal.segment_count == 1
            assert list(wal) == [(1, b"one")]


@pytest.mark.guarantee("G8")
def test_a_segment_that_was_closed_cleanly_is_continued(appending_factory: LogFactory) -> None:
    for lsn in range(1, 5):
        with appending_factory.open() as wal:
            assert wal.append(b"x") == lsn
            assert wal.segment_count == 1


# Checkpoint


@pytest.mark.guarantee("G11")
def test_a_checkpoint_removes_completed_segments_wholly_within_it(appending_factory: LogFactory) -> None:
    with appending_factory.open(max_segment_size=1) as wal:
        for lsn in range(1, 7):
            wal.append(b"%d" % lsn)
        assert wal.checkpoint(0) == 0
        assert wal.checkpoint(2) == 2
        assert wal.checkpoint(2) == 0
        assert (wal.first_lsn, wal.segment_count) == (3, 4)
        assert wal.checkpoint(10**30) == 3  # never the active one
        assert (wal.first_lsn, wal.segment_count) == (6, 1)
        assert list(wal) == [(6, b"6")]
    with appending_factory.open() as wal:
        assert list(wal) == [(6, b"6")]
        assert wal.recovery_report.entries == 1
        assert wal.append(b"7") == 7


@pytest.mark.guarantee("G11")
def test_a_checkpoint_in_the_middle_of_a_segment_keeps_all_of_it(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        wal.append_batch([b"1", b"2", b"3"])
        wal.rotate()
        wal.append_batch([b"4", b"5"])
        assert wal.checkpoint(2) == 0
        assert wal.first_lsn == 1
        assert wal.checkpoint(4) == 1
        assert wal.first_lsn == 4
        assert list(wal) == numbered(4, b"4", b"5")


@pytest.mark.guarantee("G11")
def test_a_checkpoint_of_a_chain_keeps_what_is_above_it(tmp_path: Path) -> None:
    factory = LogFactory("chain", "deflate", tmp_path)
    with factory.open() as wal:
        for lsn in range(1, 6):
            wal.append(b"%d" % lsn)
        assert wal.checkpoint(0) == 0
        assert wal.checkpoint(3) == 3
        assert wal.checkpoint(3) == 0
        assert list(wal) == numbered(4, b"4", b"5")
    with factory.open() as wal:
        assert list(wal) == numbered(4, b"4", b"5")
        assert wal.append(b"6") == 6


@pytest.mark.guarantee("G11")
def test_a_checkpoint_removes_nothing_that_was_not_asked_for(log_factory: LogFactory) -> None:
    rng = random.Random(4)
    print("seed 4")
    with log_factory.open(max_segment_size=3000) as wal:
        kept = 0
        for _ in range(60):
            wal.append_batch([rng.randbytes(rng.randrange(400)) for _ in range(rng.randint(1, 4))])
            if rng.random() < 0.3:
                kept = max(kept, rng.randrange(wal.last_lsn))
                wal.checkpoint(kept)
            assert wal.first_lsn <= kept + 1
            assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, wal.next_lsn))


# Reading


def filled(factory: LogFactory, count: int = 30) -> tuple[walogs.Wal, list[tuple[int, bytes]]]:
    """A log of several segments and kinds of commit, open, with what is in it."""
    wal = factory.open(max_segment_size=2500)
    rng, data = random.Random(5), []
    while len(data) < count:
        batch = [rng.randbytes(rng.choice((0, 1, 30, 300))) for _ in range(rng.choice((1, 1, 2, 5)))]
        wal.append_batch(batch)
        data += batch
    return wal, numbered(1, *data)


def test_any_part_of_a_log_can_be_iterated(log_factory: LogFactory) -> None:
    wal, entries = filled(log_factory)
    with closing(wal):
        next_lsn = wal.next_lsn
        assert list(wal) == list(wal.iter()) == entries
        for start in range(1, next_lsn + 3):
            for stop in (0, start - 1, start, start + 1, start + 7, next_lsn - 1, next_lsn, next_lsn + 5, None):
                upto = next_lsn if stop is None else stop
                assert list(wal.iter(start, stop)) == [entry for entry in entries if start <= entry[0] < upto]
        assert list(wal.iter(stop=4)) == entries[:3]
        assert list(wal.iter(next_lsn)) == []


def test_one_entry_is_found_wherever_it_is(log_factory: LogFactory) -> None:
    wal, entries = filled(log_factory)
    with closing(wal):
        shuffled = list(entries)
        random.Random(6).shuffle(shuffled)
        for lsn, data in shuffled:
            assert wal.read(lsn) == data
        with pytest.raises(IndexError, match=f"{wal.next_lsn}.*ends at {wal.last_lsn}"):
            wal.read(wal.next_lsn)


def test_one_entry_is_read_through_the_index_and_not_from_the_beginning() -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal:
        for number in range(40):
            wal.append_batch([b"%d" % number * 50] * 1000)
        wal.rotate()
        wal.append(b"last")
    store = MemoryStore(disk)
    with walogs.open(store=store, verify="last") as wal:
        sealed = wal.segments()[0]
        assert sealed.size > 3_000_000
        asked: list[int] = []
        pristine = store.read

        def read(number: int, start: int = 0, end: int | None = None) -> bytes:
            data = pristine(number, start, end)
            asked.append(len(data))
            return data

        store.read = read  # type: ignore[method-assign]
        for lsn in (39_500, 20_000, 1):
            asked.clear()
            assert wal.read(lsn) == b"%d" % ((lsn - 1) // 1000) * 50
            assert sum(asked) < 400_000
        asked.clear()
        assert [lsn for lsn, _ in wal.iter(39_998)] == [39_998, 39_999, 40_000, 40_001]
        assert sum(asked) < 400_000


def test_commits_tell_what_was_synced_together_and_when(log_factory: LogFactory) -> None:
    with log_factory.open(max_segment_size=1200) as wal:
        sizes = [1, 3, 1, 2, 5, 1, 4]
        for size in sizes:
            wal.append_batch([b"x" * 100] * size)
        commits = list(wal.commits())
        assert [c.last_lsn - c.first_lsn + 1 for c in commits] == sizes
        assert [c.time_ns for c in commits] == sorted(c.time_ns for c in commits)
        for start, stop in itertools.combinations(range(1, 20), 2):
            held = [c for c in commits if c.first_lsn < stop and c.last_lsn >= start]
            assert list(wal.commits(start, stop)) == held, (start, stop)
    with log_factory.open() as wal:
        assert list(wal.commits()) == commits


def test_no_commit_holds_an_entry_of_an_empty_range(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        wal.append_batch([b"x"] * 9)
        wal.append(b"y")
        for start, stop in ((1, 1), (3, 3), (5, 3), (9, 0), (10, 10), (11, 11), (11, 5)):
            assert list(wal.commits(start, stop)) == [], (start, stop)
            assert list(wal.iter(start, stop)) == []


@pytest.mark.parametrize("lsn", [0, -1, -(10**20)])
def test_there_is_no_entry_below_one(log_factory: LogFactory, lsn: int) -> None:
    with log_factory.open() as wal:
        wal.append(b"one")
        for ask in (wal.read, wal.iter, wal.commits):
            with pytest.raises(IndexError, match="numbered from 1"):
                ask(lsn)


@pytest.mark.guarantee("G11")
def test_below_the_base_everything_is_checkpointed(log_factory: LogFactory) -> None:
    wal, entries = filled(log_factory)
    with closing(wal):
        wal.checkpoint(entries[20][0])
        base = wal.first_lsn
        assert base > 1
        for ask in (wal.read, wal.iter, wal.commits):
            with pytest.raises(walogs.Checkpointed, match=f"begins at {base}") as refused:
                ask(base - 1)
            assert (refused.value.lsn, refused.value.base_lsn) == (base - 1, base)
        assert isinstance(refused.value, LookupError)
        assert list(wal) == entries[base - 1 :]


def test_an_iterator_hands_out_what_was_there_when_it_was_made(log_factory: LogFactory) -> None:
    wal, entries = filled(log_factory)
    with closing(wal):
        iterators = [wal.iter(), wal.iter(5), wal.iter(entries[-1][0])]
        begun = wal.iter()
        seen = [next(begun)]
        for k in range(40):
            wal.append(b"later %d" % k)
            if k % 10 == 0:
                wal.rotate()
            seen.extend(itertools.islice(begun, 1))
        assert [list(iterator) for iterator in iterators] == [entries, entries[4:], entries[-1:]]
        assert seen + list(begun) == entries


@pytest.mark.guarantee("G11")
def test_a_checkpoint_under_an_iterator_says_so_and_hands_out_nothing_wrong(log_factory: LogFactory) -> None:
    wal, entries = filled(log_factory, 60)
    with closing(wal):
        iterator = iter(wal)
        seen = list(itertools.islice(iterator, 2))
        wal.checkpoint(entries[-1][0])
        with pytest.raises(walogs.Checkpointed, match="while it was being read"):
            seen.extend(iterator)
        assert seen == entries[: len(seen)]
        assert [data for _, data in wal.iter(wal.first_lsn)] == [data for _, data in entries[wal.first_lsn - 1 :]]


def test_what_was_handed_out_outlives_the_log(log_factory: LogFactory) -> None:
    wal, entries = filled(log_factory)
    held = list(wal)
    one = wal.read(3)
    wal.checkpoint(entries[-1][0])
    wal.close()
    del wal
    gc.collect()
    assert held == entries
    assert one == entries[2][1]


def test_an_empty_log_says_so(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        assert (wal.next_lsn, wal.first_lsn, wal.last_lsn, wal.durable_lsn) == (1, 1, 0, 0)
        assert list(wal) == list(wal.commits()) == []
        assert wal.segment_count == 1
        assert "no entries" in repr(wal)
        with pytest.raises(IndexError):
            wal.read(1)
        with pytest.raises(TypeError):
            len(wal)  # type: ignore[arg-type]
        assert wal, "a log is never false"


# What it says of itself


def test_a_local_log_has_a_path_and_one_in_an_object_has_none(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal, walogs.open(str(tmp_path / "other")) as other:
        assert (wal.path, other.path) == (str(tmp_path / "log"), str(tmp_path / "other"))
        assert str(tmp_path / "log") in repr(wal)
    with walogs.open(store=MemoryStore(MemoryDisk(), name="orders")) as wal:
        assert wal.path is None
        assert "orders" in repr(wal)


def test_what_a_log_says_of_itself(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        wal.append_batch([b"one", b"two"])
        wal.rotate()
        wal.append(b"three")
        assert (wal.first_lsn, wal.last_lsn, wal.next_lsn, wal.durable_lsn) == (1, 3, 4, 3)
        sealed, active = wal.segments()
        assert (sealed.number, sealed.name, sealed.first_lsn, sealed.last_lsn) == (1, "wal-000001.log", 1, 2)
        assert (active.number, active.name, active.first_lsn, active.last_lsn) == (2, "wal-000002.log", 3, 3)
        assert (sealed.is_sealed, sealed.is_active, active.is_sealed, active.is_active) == (True, False, False, True)
        assert sealed.size < active.size
        times = [sealed.created_ns, sealed.first_commit_ns, sealed.last_commit_ns, active.created_ns]
        times += [active.first_commit_ns, active.last_commit_ns]
        assert times == sorted(t for t in times if t)
        assert "1..3, open" in repr(wal)
    assert "closed" in repr(wal)
    with appending_factory.open() as wal:
        assert wal.segments()[0] == sealed
        assert (wal.segments()[1].first_commit_ns, wal.segments()[1].last_commit_ns) == (times[-2], times[-1])


def test_a_rotated_segment_without_a_commit_has_no_times(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        wal.append(b"one")
        wal.rotate()
        active = wal.segments()[-1]
        assert (active.first_lsn, active.last_lsn) == (2, 1)
        assert (active.first_commit_ns, active.last_commit_ns) == (None, None)


def test_the_report_of_a_first_open_and_of_a_clean_one(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        report = wal.recovery_report
        assert (report.segments, report.entries, report.verdict) == (1, 0, "clean")
        assert (report.tail_state, wal.tail_state) == (walogs.Clean(), walogs.Clean())
        wal.append_batch([b"one", b"two"])
        wal.rotate()
        wal.append(b"three")
    with appending_factory.open() as wal:
        report = wal.recovery_report
        assert (report.segments, report.entries, report.verdict) == (2, 3, "clean")
        assert (report.rewritten_bytes, report.removed_segments, report.unsealed_segments) == (0, 0, ())
        assert report.duration_seconds >= 0
        assert report.tail_state == walogs.Clean()


def test_the_report_counts_bytes_of_headers_and_frames(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(bytes(12))  # 40 + 12 + 4 = 56
        wal.rotate()
        wal.append(b"")  # 40 + 4 = 44, padded to 48
    with walogs.open(tmp_path / "log") as wal:
        assert wal.recovery_report.bytes == 512 + 56 + 512 + 48


@pytest.mark.guarantee("G5")
def test_the_report_of_a_torn_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = LogOnDisk(tmp_path / "log").append_and_die(b"one", b"two")
    end = log.frames(1)[-1].end
    log.overwrite(1, end + 16, b"torn bytes")
    with caplog.at_level(logging.WARNING, logger="walogs"), log.open() as wal:
        assert wal.tail_state == walogs.TruncatedAt(segment=1, offset=end, discarded_bytes=26)
        assert wal.recovery_report.verdict == "torn"
        assert list(wal) == numbered(1, b"one", b"two")
    (record,) = caplog.records
    assert "wal-000001.log" in record.getMessage()
    assert str(end) in record.getMessage()
    log.goes_on(numbered(1, b"one", b"two"))


@pytest.mark.guarantee("G4")
def test_the_report_of_frames_written_again(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log").append_and_die(b"one", b"two" * 10).forget_witness()
    last = log.frames(1)[-1]
    with log.open() as wal:
        assert wal.recovery_report.rewritten_bytes == last.end - last.offset
    with log.open() as wal:
        assert wal.recovery_report.rewritten_bytes == 0


@pytest.mark.guarantee("G11")
def test_the_report_of_a_checkpoint_that_was_interrupted(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log", max_segment_size=1).append(*(b"%d" % lsn for lsn in range(1, 7)))
    before = log.files()
    with log.open() as wal:
        assert wal.checkpoint(3) == 3
        left = log.files()
    log.put({**left, **{name: before[name] for name in before if name not in left and name != "wal-000002.log"}})
    with log.open() as wal:
        assert wal.recovery_report.removed_segments == 2
        assert wal.recovery_report.segments == wal.segment_count == 3
        assert list(wal) == numbered(4, b"4", b"5", b"6")
    assert log.numbers() == [4, 5, 6]
    log.goes_on(numbered(4, b"4", b"5", b"6"))


@pytest.mark.parametrize("verify", ["full", "last"])
def test_the_report_of_segments_without_a_seal(tmp_path: Path, verify: str) -> None:
    log = LogOnDisk(tmp_path / "log", max_segment_size=1, verify=verify).append(*(b"%d" % n * 9 for n in range(1, 6)))
    for number in (2, 4):
        seal = log.frames(number)[-1]
        log.overwrite(number, seal.offset + 50, b"\xff" * 8)
    with log.open() as wal:
        assert wal.recovery_report.unsealed_segments == (2, 4)
        assert [segment.is_sealed for segment in wal.segments()] == [True, False, True, False, False]
        assert wal.recovery_report.verdict == "clean"
    log.goes_on(numbered(1, *(b"%d" % n * 9 for n in range(1, 6))))


@pytest.mark.guarantee("G10")
def test_a_sealed_segment_ends_with_its_seal_and_a_closed_log_keeps_only_its_reserve(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log")
    with log.open() as wal:
        wal.append(b"one")
        wal.rotate()
        wal.append(b"two")
        assert log.segment(2).stat().st_size >= 64 * 1024
    seal, last = log.frames(1)[-1], log.frames(2)[-1]
    assert (seal.kind, log.segment(1).stat().st_size) == (SEAL, seal.end)
    assert log.segment(2).stat().st_size == last.end + RESERVE
    assert witness_seen(log.witness.read_bytes()) == (2, last.end, 2, True)
    with log.open() as wal:
        wal.append(b"three")
        assert witness_seen(log.witness.read_bytes()) == (2, log.frames(2)[-1].end, 3, False)


def test_time_never_goes_back_though_the_clock_does(tmp_path: Path) -> None:
    rng = random.Random(7)
    for backwards in ([100, 50, 10, 0, 5], [10**18, 1, 2, 3, 4], [0, 0, 0, 0, 0]):
        path = tmp_path / str(backwards[0])
        ticks = iter([*backwards * 20])
        for _ in range(2):
            environment = Environment(
                clock=lambda ticks=ticks: next(ticks), entropy=rng.randbytes, sleep=lambda _: None
            )  # type: ignore[misc]
            with assemble(path, walogs.WalConfig(max_segment_size=700), environment) as wal:
                for _ in range(4):
                    wal.append(b"x" * 90)
                wal.rotate()
                wal.append(b"y")
                times = [commit.time_ns for commit in wal.commits()]
                assert times == sorted(times)
                created = [segment.created_ns for segment in wal.segments()]
                assert created == sorted(created)


@pytest.mark.guarantee("G1")
def test_durable_lsn_tells_the_truth_when_no_sync_was_promised(appending_factory: LogFactory) -> None:
    with appending_factory.open(sync="none") as wal:
        assert wal.append(b"one") == 1
        assert wal.append_batch([b"two", b"three"]) == range(2, 4)
        assert (wal.durable_lsn, wal.last_lsn) == (0, 3)
        assert [data for _, data in wal] == [b"one", b"two", b"three"]
        wal.sync()
        assert wal.durable_lsn == 3
        wal.append(b"four")
        assert wal.durable_lsn == 3
        wal.rotate()
        assert wal.durable_lsn == 4
        wal.append(b"five")
        wal.checkpoint(4)
        assert wal.durable_lsn == 5
        wal.append(b"six")
    with appending_factory.open(sync="none") as wal:
        assert (wal.durable_lsn, wal.last_lsn) == (6, 6)


def test_every_policy_of_ours_writes_the_same_log(appending_factory: LogFactory) -> None:
    for count, policy in enumerate(("fdatasync", "fsync", "none", "fdatasync"), start=1):
        with appending_factory.open(sync=policy) as wal:
            assert wal.append(policy.encode()) == count
            assert wal.durable_lsn == (count if policy != "none" else count - 1)
            wal.sync()


# Closing


@pytest.mark.guarantee("G13")
def test_close_can_be_called_again_and_frees_the_log(log_factory: LogFactory) -> None:
    wal = log_factory.open()
    wal.append(b"one")
    assert not wal.closed
    wal.close()
    wal.close()
    assert wal.closed
    with log_factory.open() as again:
        assert list(again) == [(1, b"one")]
        wal.close()
        assert again.append(b"two") == 2


def test_after_close_every_verb_says_so(log_factory: LogFactory) -> None:
    wal = log_factory.open()
    wal.append(b"one")
    iterator = iter(wal)
    wal.close()
    verbs = [
        lambda: wal.append(b"x"),
        lambda: wal.append_batch([b"x"]),
        lambda: wal.append_batch([]),
        wal.sync,
        wal.rotate,
        lambda: wal.checkpoint(1),
        lambda: wal.read(1),
        wal.iter,
        lambda: iter(wal),
        wal.commits,
        wal.segments,
        lambda: wal.segment_count,
        lambda: next(iterator),
    ]
    for verb in verbs:
        with pytest.raises(walogs.Closed, match="closed"):
            verb()
    assert (wal.last_lsn, wal.next_lsn) == (1, 2)


def test_a_log_that_is_not_closed_warns_and_frees_its_lock(log_factory: LogFactory) -> None:
    wal = log_factory.open()
    wal.append(b"one")
    log_factory._open.clear()
    held = [wal]
    del wal
    with pytest.warns(ResourceWarning, match="was not closed"):
        forget(held)
    with log_factory.open() as again:
        assert list(again) == [(1, b"one")]


def forget(held: list[walogs.Wal]) -> None:
    held.clear()
    gc.collect()


def test_a_log_that_is_closed_does_not_warn(log_factory: LogFactory) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wal = log_factory.open()
        wal.close()
        log_factory._open.clear()
        del wal
        gc.collect()


def test_a_log_is_closed_when_its_block_raises(log_factory: LogFactory) -> None:
    wal = log_factory.open()

    def block() -> None:
        with wal:
            wal.append(b"one")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        block()
    assert wal.closed
    with log_factory.open() as wal:
        assert list(wal) == [(1, b"one")]


def test_a_log_is_never_pickled_and_its_errors_are(log_factory: LogFactory) -> None:
    with log_factory.open(max_entry_size=1) as wal:
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(wal)
        with pytest.raises(walogs.EntryTooLarge) as refused:
            wal.append(b"xx")
        again = pickle.loads(pickle.dumps(refused.value))
        assert (str(again), again.size, again.max) == (str(refused.value), 2, 1)


@pytest.mark.guarantee("G13")
def test_two_handles_of_one_process_are_one_too_many(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(b"one")
        with pytest.raises(walogs.Locked, match=f"process {os.getpid()}") as refused:
            walogs.open(tmp_path / "log")
        assert refused.value.pid == os.getpid()
        assert wal.append(b"two") == 2
    with walogs.open(tmp_path / "log") as wal:
        assert list(wal) == numbered(1, b"one", b"two")


# Threads and signals


@pytest.mark.guarantee("G1", "G2")
def test_threads_that_append_at_once_get_numbers_of_their_own(log_factory: LogFactory) -> None:
    threads, each = 8, 25
    got: list[tuple[int, bytes]] = []
    failures: list[BaseException] = []
    start = threading.Barrier(threads)

    def appending(name: int) -> None:
        try:
            start.wait()
            for k in range(each):
                data = b"%d:%d" % (name, k)
                if k % 5:
                    got.append((wal.append(data), data))
                else:
                    (lsn, second) = wal.append_batch([data, data + b"'"])
                    got.extend([(lsn, data), (second, data + b"'")])
                assert wal.read(got[-1][0]) is not None
        except BaseException as failure:  # noqa: BLE001  # it would be lost in the thread
            failures.append(failure)

    with log_factory.open(max_segment_size=1500) as wal:
        workers = [threading.Thread(target=appending, args=(name,)) for name in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert failures == []
        assert list(wal) == sorted(got)
        for lsn, data in got:
            assert wal.read(lsn) == data
    assert [lsn for lsn, _ in sorted(got)] == list(range(1, len(got) + 1))
    with log_factory.open() as wal:
        assert list(wal) == sorted(got)
        for name in range(threads):
            own = [data for _, data in wal if data.split(b":")[0] == b"%d" % name]
            assert own == sorted(own, key=lambda data: (int(data.split(b":")[1].rstrip(b"'")), data))


def test_readers_beside_a_writer_see_only_what_is_there(log_factory: LogFactory) -> None:
    stop, failures = threading.Event(), []

    def reading() -> None:
        try:
            while not stop.is_set():
                first, last = wal.first_lsn, wal.last_lsn
                try:
                    seen = list(wal.iter(first))
                except walogs.Checkpointed:
                    continue
                assert [lsn for lsn, _ in seen] == list(range(first, first + len(seen)))
                assert len(seen) >= last - first + 1
                assert all(data == b"%d" % lsn * 20 for lsn, data in seen)
        except BaseException as failure:  # noqa: BLE001  # it would be lost in the thread
            failures.append(failure)

    with log_factory.open(max_segment_size=1500) as wal:
        readers = [threading.Thread(target=reading) for _ in range(2)]
        for reader in readers:
            reader.start()
        for lsn in range(1, 120):
            assert wal.append(b"%d" % lsn * 20) == lsn
            if lsn % 40 == 0:
                wal.checkpoint(lsn - 25)
        stop.set()
        for reader in readers:
            reader.join()
    assert failures == []


@pytest.mark.guarantee("G18")
def test_a_signal_handler_in_the_middle_of_an_append_is_refused_and_harms_nothing() -> None:
    store = MemoryStore(MemoryDisk())
    refused: list[walogs.Reentered] = []
    verbs = 0

    def called(*_: object) -> None:
        nonlocal verbs
        verbs = len(
            calls := [
                lambda: wal.append(b"within"),
                lambda: wal.append_batch([b"a"]),
                lambda: wal.checkpoint(1),
                lambda: wal.read(1),
                wal.sync,
                wal.rotate,
                wal.iter,
                wal.segments,
                wal.close,
            ]
        )
        for verb in calls:
            with pytest.raises(walogs.Reentered, match="nothing was done") as error:
                verb()
            refused.append(error.value)

    before = signal.signal(signal.SIGUSR1, called)
    try:
        with walogs.open(store=store) as wal:
            wal.append(b"one")
            store.on_write.append(lambda *_: signal.raise_signal(signal.SIGUSR1))
            assert wal.append(b"two") == 2
            store.on_write.pop()
            assert len(refused) == verbs > 8
            assert (wal.next_lsn, wal.last_lsn) == (3, 2)
            assert "open" in repr(wal)
            assert wal.append(b"three") == 3
            assert list(wal) == numbered(1, b"one", b"two", b"three")
    finally:
        signal.signal(signal.SIGUSR1, before)


# Memory

MADE = """
import sys
import walogs
path, size, entry = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
batch = [bytes([k % 256]) * entry for k in range(max(1, (1 << 20) // entry))]
with walogs.open(path, sync="none") as wal:
    for _ in range(size // (len(batch) * entry)):
        wal.append_batch(batch)
"""
WALKED = """
import resource, sys
import walogs
def peak():
    try:  # not ru_maxrss: that begins with what the process it was forked from had
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with walogs.open(sys.argv[1] + "-small") as wal:
    wal.append(b"x"); list(wal)
before = peak()
with walogs.open(sys.argv[1]) as wal:
    opened = peak()
    count = sum(1 for _ in wal)
    assert wal.read(count // 2) is not None
print(before, opened, peak(), count)
"""


def growth_kib(tmp_path: Path, size: int, entry: int) -> int:
    """KiB by which opening and walking such a log grows a process that has used a small one before."""
    arguments = [str(tmp_path / "log"), str(size), str(entry)]
    subprocess.run([sys.executable, "-c", MADE, *arguments], check=True, timeout=600)
    walked = subprocess.run([sys.executable, "-c", WALKED, *arguments], check=True, capture_output=True, timeout=600)
    before, opened, after, count = map(int, walked.stdout.split())
    print(f"{count} entries of {entry} bytes: {before} KiB before, {opened} when opened, {after} at the most")
    assert count * entry >= size * 9 // 10
    return after - before


@pytest.mark.guarantee("G16")
def test_walking_a_log_of_96_mib_needs_little_memory(tmp_path: Path) -> None:
    assert growth_kib(tmp_path, 96 << 20, 8192) <= 24 << 10


@pytest.mark.laboratory
@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("entry", [128, 1 << 20])
def test_walking_a_log_of_1_gib_needs_little_memory(tmp_path: Path, entry: int) -> None:
    assert growth_kib(tmp_path, 1 << 30, entry) <= 64 << 10
