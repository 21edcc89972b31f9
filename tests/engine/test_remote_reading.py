"""How many requests it takes to read a log of many small segments. A store behind a network pays for each of them.

An open lists the segments twice and fetches each once, whole and ahead. No reading of many segments waits for one
request after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Literal

import pytest

import walogs
from tests.kit.counted_stores import Counted, CountedWaiting
from walogs.engine import immutable_segments
from walogs.handles import wal as handles
from walogs.testing import MemoryCloud, MemoryImmutableStore

COUNT: Final = 200
"""The number of commits, each of which is a segment."""
STEPS: Final = 2 * COUNT.bit_length() + 8
"""A search may read so many segments alone."""


@pytest.fixture
def cloud() -> MemoryCloud:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for number in range(COUNT):
            wal.append(b"entry %d" % number)
    return cloud


@pytest.mark.parametrize("verify", ["full", "last"])
def test_an_open_lists_twice_and_fetches_each_segment_once(cloud: MemoryCloud, verify: Literal["full", "last"]) -> None:
    store = Counted(cloud)
    with walogs.open(store=store, verify=verify) as wal:
        assert wal.last_lsn == COUNT
        calls = +store.calls
    assert calls["lists"] == 2
    assert calls["ahead"] <= COUNT + 1
    assert calls["alone"] == (0 if verify == "full" else 1), "`last` reads headers, and all of the newest segment"
    assert calls["sizes"] == 0


def test_a_writer_reads_each_segment_once_and_ahead(cloud: MemoryCloud) -> None:
    store = Counted(cloud)
    with walogs.open(store=store) as wal:
        assert store.counted(lambda: list(wal)) == {"ahead": COUNT}
        assert store.counted(lambda: list(wal.iter(50, 60))) == {"ahead": 10}
        assert store.counted(lambda: list(wal.commits(50, 60))) == {"ahead": 10}
        assert store.counted(lambda: wal.read(77)) == {"alone": 1}


def test_a_reader_fetches_each_segment_once_and_ahead(cloud: MemoryCloud) -> None:
    store = Counted(cloud)
    calls = store.counted(lambda: list(walogs.reader(store=store)))
    assert calls["ahead"] <= COUNT + 3
    assert calls["alone"] <= 6, "searches begin with the oldest segment"
    reader = walogs.reader(store=store)
    calls = store.counted(lambda: list(reader.iter(50, 60)))
    assert calls["ahead"] <= 10 + 3
    assert calls["alone"] <= STEPS


@pytest.mark.parametrize(
    ("read", "lists", "readings"),
    [
        pytest.param(lambda store, _: walogs.verify(store=store), 1, 1, id="verify"),
        pytest.param(lambda store, _: list(walogs.salvage(store=store)), 2, 3, id="salvage"),
        pytest.param(lambda store, path: walogs.backup(None, path / "copy", store=store), 2, 2, id="backup"),
    ],
)
def test_whoever_reads_the_whole_log_reads_ahead(
    cloud: MemoryCloud, tmp_path: Path, read: Callable[[Counted, Path], object], lists: int, readings: int
) -> None:
    store = Counted(cloud)
    calls = store.counted(lambda: read(store, tmp_path))
    assert COUNT <= calls["ahead"] <= readings * COUNT + 10
    assert calls["alone"] + calls["sizes"] <= STEPS
    assert calls["lists"] <= lists


def test_the_next_open_after_an_interrupted_checkpoint_reads_no_leftover(cloud: MemoryCloud) -> None:
    interrupted = MemoryImmutableStore(cloud)
    with walogs.open(store=interrupted) as wal:
        interrupted.remove = lambda numbers: None  # type: ignore[method-assign]
        assert wal.checkpoint(COUNT - 10) > 0
    listed, store = len(cloud.objects), Counted(cloud)
    walogs.open(store=store).close()
    assert store.calls["lists"] == 2
    assert store.calls["alone"] + store.calls["ahead"] <= 20
    assert len(cloud.objects) < listed - COUNT // 2
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        assert [lsn for lsn, _ in wal] == [*range(COUNT - 9, COUNT + 1)]


def test_a_follower_of_a_store_that_waits_asks_for_nothing_in_between(cloud: MemoryCloud) -> None:
    store = CountedWaiting(cloud)
    reader = walogs.reader(store=store)
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        store.coming = [lambda: wal.append(b"one"), lambda: wal.append_batch([b"two", b"three"])]
        following = reader.follow(COUNT + 1, timeout=3600)
        assert [next(following)[1] for _ in range(3)] == [b"one", b"two", b"three"]
        assert store.calls["waits"] == 2
        store.calls.clear()
        store.coming = [lambda: None] * 2 + [lambda: wal.append(b"four")]
        assert next(following) == (COUNT + 4, b"four")
        assert +store.calls == {"waits": 3, "lists": 5, "ahead": 5, "sizes": 2}


def test_a_follower_that_is_closed_while_the_store_waits_ends(cloud: MemoryCloud) -> None:
    store = CountedWaiting(cloud)
    reader = walogs.reader(store=store)
    store.coming = [reader.close]
    with pytest.raises(walogs.Closed):
        list(reader.follow(COUNT + 1))


def test_an_append_waits_for_one_call_of_a_checkpoint_and_not_for_all(
    cloud: MemoryCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryImmutableStore(cloud)
    monkeypatch.setattr(immutable_segments, "REMOVED_AT_ONCE", 10)
    removed: list[int] = []
    remove = store.remove
    with walogs.open(store=store) as wal:
        appended = threading.Thread(target=wal.append, args=(b"beside",))

        def remove_some(numbers: Sequence[int]) -> None:
            if not removed:
                appended.start()
            removed.append(len(numbers))
            remove(numbers)

        def pause(_: float) -> None:
            appended.join(300)

        store.remove = remove_some  # type: ignore[method-assign]
        monkeypatch.setattr(handles, "sleep", pause)
        assert wal.checkpoint(COUNT) == COUNT
        assert removed == [10] * (COUNT // 10)
        assert wal.last_lsn == COUNT + 1, "it was appended between the first removal and the second"
        assert list(wal) == [(COUNT + 1, b"beside")]


def test_a_checkpoint_that_could_not_remove_everything_goes_on_at_the_next(
    cloud: MemoryCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(immutable_segments, "REMOVED_AT_ONCE", 10)
    store = MemoryImmutableStore(cloud)
    with walogs.open(store=store) as wal:
        remove, calls = store.remove, [0]

        def remove_twice(numbers: Sequence[int]) -> None:
            calls[0] += 1
            if calls[0] == 3:
                raise walogs.Unavailable("it does not answer")
            remove(numbers)

        store.remove = remove_twice  # type: ignore[method-assign]
        with pytest.raises(walogs.Unavailable):
            wal.checkpoint(COUNT)
        assert wal.first_lsn == COUNT + 1
        assert wal.append(b"goes on") == COUNT + 1
        assert wal.checkpoint(COUNT) == 0
        assert len(cloud.objects) < 10
        assert list(wal) == [(COUNT + 1, b"goes on")]


def test_a_store_whose_place_is_lost_poisons_the_log_at_a_checkpoint(cloud: MemoryCloud) -> None:
    store = MemoryImmutableStore(cloud)
    with walogs.open(store=store) as wal:

        def lost(numbers: Sequence[int]) -> None:
            raise walogs.UnsafeStore("the bucket is another one now")

        store.remove = lost  # type: ignore[method-assign]
        with pytest.raises(walogs.Poisoned, match="another one now"):
            wal.checkpoint(COUNT)
        with pytest.raises(walogs.Poisoned):
            wal.append(b"refused")


class GivesUpLate(MemoryImmutableStore):
    """A store that has tried again itself for a long time when it gives up."""

    creates = 0

    def create(self, number: int, data: Any) -> None:
        self.creates += 1
        if self.creates > 1:
            raise walogs.Unavailable("no answer until the deadline")
        super().create(number, data)


def test_a_store_that_has_tried_until_its_deadline_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = GivesUpLate(MemoryCloud())
    with walogs.open(store=store) as wal:
        monkeypatch.setattr("walogs.engine.new_segments.STORE_RETRIED_SECONDS", -1.0)
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(b"one")
    assert store.creates == 2


def test_a_store_with_a_short_deadline_is_asked_for_some_seconds_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    store = GivesUpLate(MemoryCloud())
    with walogs.open(store=store) as wal:
        clock = SimpleNamespace(monotonic=lambda: 3.0 * store.creates)  # each attempt takes 3 seconds
        monkeypatch.setattr("walogs.engine.new_segments.time", clock)
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(b"one")
    assert store.creates == 3
