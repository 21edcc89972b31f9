"""Before a commit that follows a slow one, the commit thread lets the callers come that it has just released."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

import walogs
from tests.kit.callers import Clock, made, step, stepped_by_hand
from walogs.engine import commit_thread
from walogs.engine.commit_thread import MOMENTS_MAX
from walogs.testing import MemoryCloud, MemoryImmutableStore

PUT_NS: Final = 64_000_000


class Distant(MemoryImmutableStore):
    """Each put takes time, on the clock of the test."""

    def __init__(self, clock: Clock, put_ns: int) -> None:
        super().__init__(MemoryCloud())
        self._clock, self._put_ns = clock, put_ns

    def create(self, number: int, data: bytes) -> None:  # type: ignore[override]
        super().create(number, data)
        self._clock.now_ns += self._put_ns


class Sleeper:
    """Stands for the module `time`. *then* is called after each sleep, with their number."""

    def __init__(self, clock: Clock, then: Callable[[int], object]) -> None:
        self._clock, self._then, self.slept = clock, then, list[float]()

    def sleep(self, seconds: float) -> None:
        self._clock.now_ns += round(seconds * 1e9)
        self.slept.append(seconds)
        self._then(len(self.slept))


def commits_of(
    wal: walogs.Wal, clock: Clock, then: Callable[[int], object], monkeypatch: pytest.MonkeyPatch
) -> tuple[Sleeper, int]:
    """Commit three appends, and then one that is alone in the queue. Return the sleeps and how many commits it took."""
    for _ in range(3):
        wal.submit(b"x")
    step(wal)
    wal.submit(b"x")
    sleeper, before = Sleeper(clock, then), wal.stats().commits
    monkeypatch.setattr(commit_thread, "time", sleeper)
    step(wal)
    monkeypatch.undo()
    return sleeper, wal.stats().commits - before


def test_a_caller_that_is_slow_to_come_shares_the_next_put(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with made(Distant(clock, PUT_NS), stepped_by_hand, clock) as wal:
        late = {4: wal.submit, 8: wal.submit}
        sleeper, commits = commits_of(wal, clock, lambda at: late[at](b"late") if at in late else None, monkeypatch)
        assert (commits, wal.last_lsn) == (1, 6)
        assert len(sleeper.slept) == 8, "all three had come"


@pytest.mark.parametrize(("put_ns", "seconds"), [(PUT_NS, PUT_NS / 1e9 / 8), (30 * 10**9, 0.0125)])
def test_whoever_does_not_come_is_waited_for_an_eighth_of_a_put(
    put_ns: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And if a put has waited for half a minute until its server came back, for 12.5 ms."""
    clock = Clock()
    with made(Distant(clock, put_ns), stepped_by_hand, clock) as wal:
        sleeper, commits = commits_of(wal, clock, lambda _: None, monkeypatch)
        assert (commits, wal.last_lsn) == (1, 4)
        assert sum(sleeper.slept[1:]) == pytest.approx(seconds)
        assert len(sleeper.slept) == MOMENTS_MAX + 1


def test_callers_who_keep_coming_are_waited_for_as_long_as_a_put(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with made(Distant(clock, PUT_NS), stepped_by_hand, clock) as wal:
        for _ in range(1000):
            wal.submit(b"x")
        step(wal)
        wal.submit(b"x")
        sleeper = Sleeper(clock, lambda _: wal.submit(b"x"))
        monkeypatch.setattr(commit_thread, "time", sleeper)
        before = wal.stats().commits
        wal._commits.step()
        monkeypatch.undo()
        assert wal.stats().commits == before + 1
        assert sum(sleeper.slept) == pytest.approx(PUT_NS / 1e9)
        step(wal)


def test_after_a_fast_commit_nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with made(Distant(clock, 1_000_000), stepped_by_hand, clock) as wal:
        sleeper, _ = commits_of(wal, clock, lambda _: None, monkeypatch)
        assert sleeper.slept == [0.0]
