"""What a look at a log costs a reader: the same, however many segments there are and however long the newest is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

import walogs
from walogs.defaults.local_store import LocalStore
from walogs.testing import MemoryCloud, MemoryImmutableStore

FEW: Final = 40
MANY: Final = 400
CALLS_MORE: Final = 12
"""A search by halves reads so many more headers, at most, in ten times as many segments."""


class Counted(LocalStore):
    """Counts its calls, the names that it looks at, and the bytes that are read of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls = self.names = self.bytes = 0

    def segments(self) -> Sequence[int]:
        numbers = super().segments()
        self.calls, self.names = self.calls + 1, self.names + len(numbers)
        return numbers

    def size(self, number: int) -> int:
        self.calls, self.names = self.calls + 1, self.names + 1
        return super().size(number)

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        data = super().read(number, start, end)
        self.calls, self.names, self.bytes = self.calls + 1, self.names + 1, self.bytes + len(data)
        return data

    def counted(self, step: Callable[[], object]) -> tuple[int, int]:
        """(calls, names) of one step."""
        before = self.calls, self.names
        step()
        return self.calls - before[0], self.names - before[1]


@pytest.fixture(scope="module", params=[FEW, MANY], ids=["few", "many"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of so many segments."""
    made = tmp_path_factory.mktemp("log")
    with walogs.open(made, max_segment_size=1, sync="none") as wal:
        for lsn in range(request.param):
            wal.append(b"%d" % lsn)
    return made


def reader_on(path: Path) -> tuple[walogs.WalReader, Counted]:
    store = Counted(path)
    reader = walogs.reader(store=store)
    assert reader.last_lsn >= FEW
    return reader, store


@pytest.mark.guarantee("G14")
def test_an_idle_reader_and_a_followed_entry_cost_the_same_among_many_segments(path: Path) -> None:
    reader, store = reader_on(path)
    with walogs.open(path, max_segment_size=None, sync="fdatasync", verify="last") as wal:
        wal.append(b"begin a segment")
        following = reader.follow(wal.last_lsn, timeout=0)
        next(following)
        for _ in range(5):
            calls, names = store.counted(lambda: reader.last_lsn)
            assert max(calls, names) <= 12, "an idle look"
            wal.append(b"followed")
            calls, names = store.counted(lambda: next(reader.follow(wal.last_lsn, timeout=0)))
            assert max(calls, names) <= 24, "a followed entry"


@pytest.mark.guarantee("G14")
def test_a_rotation_and_a_checkpoint_beside_a_reader_cost_it_little_among_many_segments(path: Path) -> None:
    reader, store = reader_on(path)
    count = reader.last_lsn
    with walogs.open(path, max_segment_size=1, sync="fdatasync", verify="last") as wal:
        for _ in range(5):
            wal.append(b"rotates")
            calls, names = store.counted(lambda: reader.last_lsn)
            assert max(calls, names) <= 20, "after a rotation"
        for _ in range(3):
            wal.checkpoint(wal.first_lsn)
            calls, names = store.counted(lambda: reader.first_lsn)
            assert reader.first_lsn == wal.first_lsn
            assert max(calls, names) <= 24 + CALLS_MORE, "after a checkpoint"
        calls, names = store.counted(lambda: reader.read(count))
        assert max(calls, names) <= 24 + 2 * CALLS_MORE, "an entry somewhere"


@pytest.mark.guarantee("G14")
def test_a_look_reads_little_of_a_long_segment(tmp_path: Path) -> None:
    with walogs.open(tmp_path, sync="none") as wal:
        for _ in range(40):
            wal.append(bytes(200_000))
        wal.sync()
        reader, store = reader_on(tmp_path)
        assert reader.read(wal.last_lsn) == bytes(200_000)
        for _ in range(20):
            store.bytes = 0
            wal.append(b"followed")
            wal.sync()
            assert reader.read(wal.last_lsn) == b"followed"
            assert store.bytes < 150_000


class CountedCloud(MemoryImmutableStore):
    listed = 0

    def segments(self) -> Sequence[int]:
        numbers = super().segments()
        self.listed += len(numbers)
        return numbers

    def segments_after(self, number: int) -> Sequence[int]:
        numbers = super().segments_after(number)
        self.listed += len(numbers)
        return numbers


class ListsAll(CountedCloud):
    """It has no listing of what is above a number."""

    segments_after = None  # type: ignore[assignment]


@pytest.mark.parametrize("lists_after", [True, False])
def test_a_store_that_lists_what_is_newer_is_asked_for_that_alone(lists_after: bool) -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for lsn in range(50):
            wal.append(b"%d" % lsn)
        store = (CountedCloud if lists_after else ListsAll)(cloud)
        reader = walogs.reader(store=store)
        store.listed = 0
        for _ in range(10):
            wal.append(b"more")
            assert reader.last_lsn == wal.last_lsn
        assert store.listed == (10 if lists_after else sum(range(52, 62)))
