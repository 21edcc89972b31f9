"""The writer reads its own entries: ranges, single entries, commits, and iterators."""

from __future__ import annotations

import gc
import itertools
import random
from contextlib import closing

import pytest

import walogs
from tests.kit import stores
from tests.kit.logs import numbered
from tests.kit.stores import LogFactory
from walogs.testing import MemoryDisk, MemoryStore

log_factory, appending_factory = stores.log_factory, stores.appending_factory


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
                visibility = next_lsn if stop is None else stop
                assert list(wal.iter(start, stop)) == [entry for entry in entries if start <= entry[0] < visibility]
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
def test_below_the_first_lsn_everything_is_checkpointed(log_factory: LogFactory) -> None:
    wal, entries = filled(log_factory)
    with closing(wal):
        wal.checkpoint(entries[20][0])
        first_lsn = wal.first_lsn
        assert first_lsn > 1
        for ask in (wal.read, wal.iter, wal.commits):
            with pytest.raises(walogs.Checkpointed, match=f"begins at {first_lsn}") as refused:
                ask(first_lsn - 1)
            assert (refused.value.lsn, refused.value.first_lsn) == (first_lsn - 1, first_lsn)
        assert isinstance(refused.value, LookupError)
        assert list(wal) == entries[first_lsn - 1 :]


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
