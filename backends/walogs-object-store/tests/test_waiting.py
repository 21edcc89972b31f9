"""How often a reader that follows asks the server for the next object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from obstore.store import MemoryStore

from walogs_object_store import ObjectStore
from walogs_object_store import store as module
from walogs_object_store.calls import Calls


class Watched(ObjectStore):
    """Counts the questions."""

    sizes_asked = 0
    lists = 0

    def _size(self, calls: Calls, number: int) -> int:
        self.sizes_asked += 1
        return super()._size(calls, number)

    def _numbers_after(self, calls: Calls, number: int) -> Sequence[int]:
        self.lists += 1
        return super()._numbers_after(calls, number)


class Clock:
    """A clock that goes on only when somebody sleeps."""

    now = 0.0
    at: float | None = None
    event: Callable[[], None]

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.at is not None and self.now >= self.at:
            self.at = None
            self.event()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(Calls, "pause", lambda _, seconds: made.sleep(max(seconds, 0)))
    return made


@pytest.fixture
def store() -> Watched:
    made = Watched.over(MemoryStore(), "a bucket in memory")
    made.acquire()
    made.create(1, bytes(600))
    return made


def test_an_idle_follower_asks_once_a_second(store: Watched, clock: Clock) -> None:
    while clock.now < 600:
        assert not store.wait_beyond(1, 1.0)
    assert 550 <= store.sizes_asked <= 620
    assert store.lists <= 32


def test_the_next_object_is_noticed_within_a_second_and_the_one_after_it_sooner(store: Watched, clock: Clock) -> None:
    while clock.now < 60:
        assert not store.wait_beyond(1, 1.0)
    clock.at, clock.event = clock.now + 0.3, lambda: store.create(2, bytes(600))
    came = clock.at
    while not store.wait_beyond(1, 1.0):
        pass
    assert clock.now - came <= 1.0
    clock.at, clock.event = clock.now + 0.01, lambda: store.create(3, bytes(600))
    came = clock.at
    assert store.wait_beyond(2, 1.0)
    assert clock.now - came <= 0.1


def test_a_next_object_that_a_checkpoint_has_removed_does_not_hide_those_after_it(store: Watched, clock: Clock) -> None:
    store.create(2, bytes(600))
    store.create(3, bytes(600))
    store.remove([2])
    while not store.wait_beyond(1, 1.0):
        assert clock.now < 60
