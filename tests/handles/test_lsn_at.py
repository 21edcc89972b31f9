"""`lsn_at`: the entry at which a time begins, as a scan of all commits finds it, with few segments read."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import walogs
from tests.kit.stores import CODECS
from walogs.assembly.opening import assemble
from walogs.defaults.local_store import LocalStore
from walogs.engine import time_search
from walogs.engine.log_source import Environment
from walogs.engine.new_segments import STEP_BACK_MAX_NS
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

SECOND: Final = 10**9
BEGIN: Final = 1_700_000_000 * SECOND
HOUR: Final = 3600 * SECOND

Handle = walogs.Wal | walogs.WalReader


class Counts:
    """Counts which segments of a store are read, and how many bytes."""

    def __init__(self, store: Any) -> None:
        self.numbers: set[int] = set()
        self.bytes = 0
        read, read_many = store.read, getattr(store, "read_many", None)

        def counted(number: int, start: int = 0, end: int | None = None) -> bytes:
            self.numbers.add(number)
            found: bytes = read(number, start, end)
            self.bytes += len(found)
            return found

        def counted_many(numbers: Any, end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
            for number in numbers:
                self.numbers.add(number)
                yield from read_many([number], end)

        store.read = counted
        if read_many is not None:
            store.read_many = counted_many


class Place:
    """One place of a log, whose clock the test moves."""

    def __init__(self, shape: str, directory: Path | None = None) -> None:
        self.shape = shape
        self.now_ns = BEGIN
        self._directory = directory
        self._disk, self._cloud = MemoryDisk(), MemoryCloud()

    def where(self) -> dict[str, Any]:
        if self.shape == "local":
            return {"path": self._directory}
        if self.shape == "memory":
            return {"path": None, "store": MemoryStore(self._disk)}
        return {"path": None, "store": MemoryImmutableStore(self._cloud)}

    def open(self, **options: Any) -> walogs.Wal:
        environment = Environment(clock=lambda: self.now_ns, entropy=os.urandom, sleep=lambda _: None)
        where = {**self.where(), **options}
        return assemble(where.pop("path"), None, environment, where)

    def reader(self, **options: Any) -> walogs.WalReader:
        return walogs.reader(**{**self.where(), "visibility": "written", **options})


def scanned(handle: Handle, time_ns: int) -> int:
    """The LSN that a scan of every commit finds."""
    next_lsn = handle.next_lsn if isinstance(handle, walogs.Wal) else handle.last_lsn + 1
    return next((commit.first_lsn for commit in handle.commits() if commit.time_ns >= time_ns), next_lsn)


def interesting_times(handle: Handle) -> list[int]:
    times = {commit.time_ns for commit in handle.commits()}
    return sorted({-1, 0, 1 << 70, *(time + step for time in times for step in (-1, 0, 1))})


@pytest.fixture(params=["local", "memory", "immutable"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(request.param, tmp_path / "log")


steps: Final = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(-STEP_BACK_MAX_NS, 3 * HOUR)),
        st.tuples(st.just("batch"), st.integers(-STEP_BACK_MAX_NS, 3 * HOUR)),
        st.tuples(st.just("rotate"), st.integers(0, HOUR)),
        st.tuples(st.just("reopen"), st.integers(-STEP_BACK_MAX_NS, HOUR)),
        st.tuples(st.just("checkpoint"), st.integers(0, 30)),
    ),
    max_size=40,
)


def live(place: Place, life: list[tuple[str, int]]) -> walogs.Wal:
    """Take each step, and return the handle. The clock never goes back by more than an hour behind the last commit."""
    wal, last_ns = place.open(max_segment_size=1500), BEGIN
    for verb, number in life:
        if verb == "checkpoint":
            wal.checkpoint(number)
            continue
        place.now_ns = max(place.now_ns + number, last_ns - STEP_BACK_MAX_NS)
        if verb == "append":
            wal.append(b"x" * 300)
        elif verb == "batch":
            wal.append_batch([b"one", b"two", b"three"])
        elif verb == "rotate":
            wal.rotate()
        else:
            wal.close()
            wal = place.open(max_segment_size=1500)
        last_ns = max(last_ns, place.now_ns)
    return wal


@pytest.mark.parametrize("shape", ["memory", "immutable"])
@pytest.mark.parametrize("one_by_one", [0, time_search.ONE_BY_ONE])
@given(life=steps)
def test_it_finds_what_a_scan_of_all_commits_finds(shape: str, one_by_one: int, life: list[tuple[str, int]]) -> None:
    place = Place(shape)
    with pytest.MonkeyPatch.context() as patch, live(place, life) as wal, place.reader() as reader:
        patch.setattr(time_search, "ONE_BY_ONE", one_by_one)
        for time_ns in interesting_times(wal):
            assert wal.lsn_at(time_ns) == scanned(wal, time_ns)
            assert reader.lsn_at(time_ns) == scanned(reader, time_ns)


def test_it_does_so_on_local_files_too(tmp_path: Path) -> None:
    rng = random.Random(os.environ.get("WALOGS_SEED", "1"))
    verbs = ("append", "append", "append", "batch", "rotate", "reopen", "checkpoint")
    life = [(verb := rng.choice(verbs), rng.randint(0, 40 if verb == "checkpoint" else HOUR)) for _ in range(120)]
    place = Place("local", tmp_path / "log")
    with live(place, life) as wal, place.reader() as reader:
        assert wal.segment_count > 3
        for time_ns in interesting_times(wal):
            assert wal.lsn_at(time_ns) == reader.lsn_at(time_ns) == scanned(wal, time_ns)


@pytest.mark.parametrize("shape", ["memory", "immutable"])
@given(jumps=st.lists(st.tuples(st.integers(-50 * HOUR, 50 * HOUR), st.booleans()), max_size=25))
def test_where_a_clock_was_set_back_it_finds_a_commit_that_is_late_enough(
    shape: str, jumps: list[tuple[int, bool]]
) -> None:
    """Times are then not in order, so there can be several places where a time begins."""
    place = Place(shape)
    with place.open() as wal, place.reader() as reader:
        for jump, is_rotated in jumps:
            place.now_ns += jump
            wal.append_batch([b"a", b"b"])
            if is_rotated:
                wal.rotate()
        commits = list(wal.commits())
        for time_ns in interesting_times(wal):
            found = wal.lsn_at(time_ns)
            assert reader.lsn_at(time_ns) == found
            if found == wal.next_lsn:
                assert not commits or commits[-1].time_ns < time_ns
            else:
                (commit,) = (commit for commit in commits if commit.first_lsn == found)
                assert commit.time_ns >= time_ns


def test_a_log_without_entries_has_no_entry_of_any_time(place: Place) -> None:
    with place.open() as wal, place.reader() as reader:
        assert wal.lsn_at(0) == reader.lsn_at(0) == 1
        wal.append_batch([b"a", b"b"])
        wal.rotate()
        wal.append_batch([b"c", b"d"])
        wal.checkpoint(2)
        assert wal.lsn_at(0) == reader.lsn_at(0) == 3
        wal.rotate()
        wal.checkpoint(4)
        for time_ns in (0, BEGIN, 1 << 62):
            assert wal.lsn_at(time_ns) == reader.lsn_at(time_ns) == 5


@pytest.mark.parametrize("segments", [16, 256])
def test_the_segments_that_are_read_grow_with_the_logarithm_of_all(segments: int, place: Place) -> None:
    with place.open() as wal:
        for _ in range(segments):
            place.now_ns += SECOND
            wal.append(b"x" * 100)
            wal.rotate()
        times = [commit.time_ns for commit in wal.commits()]
    rng = random.Random(segments)
    for time_ns in [times[0], times[-1], times[-1] + 1, *rng.sample(times, 10)]:
        where = place.where()
        if where["path"] is not None:
            where = {"store": LocalStore(where["path"])}
        store = where["store"]
        counts = Counts(store)
        with walogs.reader(store=store, visibility="written") as reader:
            reader.last_lsn  # noqa: B018  # the first observation reads the newest segment
            counts.numbers.clear()
            assert reader.lsn_at(time_ns) == scanned(place.reader(), time_ns)
            assert len(counts.numbers) <= 2 * math.log2(segments) + 6


def test_the_writer_reads_only_the_segment_of_that_time(place: Place) -> None:
    where = place.where()
    if where["path"] is not None:
        where = {"store": LocalStore(where["path"])}
    store = where["store"]
    counts = Counts(store)
    with place.open(path=None, store=store) as wal:
        for _ in range(100):
            place.now_ns += SECOND
            wal.append(b"x" * 100)
            wal.rotate()
        times = [commit.time_ns for commit in wal.commits()]
        for time_ns in (times[0], times[50], times[99], times[99] + 1):
            counts.numbers.clear()
            assert wal.lsn_at(time_ns) == scanned_at(times, time_ns)
            assert len(counts.numbers) <= 2


@pytest.mark.parametrize("codec", ["crc32", "deflate"])
def test_in_a_long_segment_few_runs_are_read(codec: str, tmp_path: Path) -> None:
    """A segment of one mebibyte has sixteen runs. Halving it reads each of a few runs once."""
    place = Place("local", tmp_path / "log")
    with place.open(codec=CODECS[codec]()) as wal:
        for _ in range(2000):
            place.now_ns += SECOND
            wal.append(os.urandom(450))
        wal.rotate()
        wal.append(b"x")
    store: Any = LocalStore(tmp_path / "log")
    counts = Counts(store)
    for wanted in (2, 700, 1999):
        with walogs.reader(store=store, codec=CODECS[codec](), visibility="written") as reader:
            counts.bytes = 0
            assert reader.lsn_at(BEGIN + wanted * SECOND) == wanted
            assert counts.bytes < 600_000


def scanned_at(times: list[int], time_ns: int) -> int:
    return next((lsn for lsn, time in enumerate(times, 1) if time >= time_ns), len(times) + 1)


# What a time is


@pytest.fixture(params=["writer", "reader"])
def handle(request: pytest.FixtureRequest, place: Place) -> Iterator[Handle]:
    with place.open() as wal, place.reader() as reader:
        wal.append(b"first")
        place.now_ns += SECOND
        wal.append(b"second")
        yield wal if request.param == "writer" else reader


class Number:
    """A whole number that is no int, like those of numpy."""

    def __index__(self) -> int:
        return BEGIN + 1


def test_a_time_is_a_datetime_with_a_zone_or_nanoseconds(handle: Handle) -> None:
    begin = datetime.fromtimestamp(BEGIN // SECOND, UTC)
    east = timezone(timedelta(hours=9))
    assert handle.lsn_at(begin) == 1
    assert handle.lsn_at(begin + timedelta(microseconds=1)) == 2
    assert handle.lsn_at((begin + timedelta(seconds=1)).astimezone(east)) == 2
    assert handle.lsn_at(begin + timedelta(seconds=1, microseconds=1)) == 3
    assert handle.lsn_at(datetime(1, 1, 1, tzinfo=UTC)) == 1
    assert handle.lsn_at(datetime(9999, 12, 31, tzinfo=UTC)) == 3
    assert handle.lsn_at(Number()) == 2


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        (datetime(2026, 1, 31, tzinfo=UTC).replace(tzinfo=None), ValueError, "it has no time zone"),
        (True, TypeError, "bool is not"),
        (1.7e18, TypeError, "float is not"),
        (math.nan, TypeError, "float is not"),
        ("2026-01-31", TypeError, "str is not"),
        (None, TypeError, "NoneType is not"),
        (date(2026, 1, 31), TypeError, "date is not"),
        (timedelta(days=1), TypeError, "timedelta is not"),
    ],
)
def test_what_is_no_time_is_refused(value: Any, kind: type[Exception], why: str, handle: Handle) -> None:
    with pytest.raises(kind, match=why) as raised:
        handle.lsn_at(value)
    assert str(raised.value).startswith("time=")
    assert handle.lsn_at(0) == 1


def test_a_closed_handle_says_so(place: Place) -> None:
    wal = place.open()
    reader = place.reader()
    wal.close()
    reader.close()
    for handle in (wal, reader):
        with pytest.raises(walogs.Closed):
            handle.lsn_at(0)


def test_a_checkpoint_in_the_middle_of_the_search_does_no_harm(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The segment that the search has found is gone when it is read. What is left is searched again."""
    from walogs.engine.extent_reader import ExtentReader

    with place.open() as wal, place.reader() as reader:
        for _ in range(6):
            place.now_ns += SECOND
            wal.append(b"x")
            wal.rotate()
        time_ns = BEGIN + 3 * SECOND
        read, given_up = ExtentReader.commits, [4]

        def checkpointed(*given: Any) -> Any:
            while given_up:
                wal.checkpoint(given_up.pop())
            return read(*given)

        monkeypatch.setattr(ExtentReader, "commits", checkpointed)
        assert wal.lsn_at(time_ns) == 5
        given_up.append(5)
        # A reader of immutable segments has fetched entry 5 whole by then.
        assert reader.lsn_at(time_ns) == (5 if place.shape == "immutable" else 6)
