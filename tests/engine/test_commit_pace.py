"""On an immutable-segment store a policy that delays syncs delays commits, and every append still waits for its own."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

import walogs
from tests.kit.callers import Callers, Clock, made, no_thread, queued, step, stepped_by_hand, until
from walogs.protocols import Decision, Unsynced
from walogs.testing import MemoryCloud, MemoryImmutableStore

HOUR = walogs.IntervalPolicy(time=3600, bytes=None)


def paced(clock: Clock, policy: Any, **config: Any) -> walogs.Wal:
    return made(MemoryImmutableStore(MemoryCloud()), stepped_by_hand, clock, sync=policy, **config)


def test_entries_that_come_within_the_interval_share_one_commit() -> None:
    clock = Clock()
    with paced(clock, walogs.IntervalPolicy(time=1)) as wal:
        futures = [wal.submit(b"first")]
        step(wal)
        clock.now_ns = 999_999_999
        futures.append(wal.submit(b"second"))
        step(wal)
        assert not any(future.done() for future in futures)
        clock.now_ns = 1_000_000_000
        step(wal)
        assert [future.result(0) for future in futures] == [1, 2]
        assert (wal.durable_lsn, wal.stats().commits) == (2, 1)


@pytest.mark.parametrize("bound", [{"entries": 3}, {"bytes": 3}])
def test_a_bound_that_is_reached_ends_the_wait(bound: dict[str, int]) -> None:
    with paced(Clock(), walogs.IntervalPolicy(**{"time": 3600, "bytes": None, **bound})) as wal:
        futures = [wal.submit(b"x") for _ in range(2)]
        step(wal)
        assert wal.durable_lsn == 0
        futures.append(wal.submit(b"x"))
        step(wal)
        assert [future.result(0) for future in futures] == [1, 2, 3]
        assert wal.stats().commits == 1


def test_a_full_frame_ends_the_wait() -> None:
    with paced(Clock(), HOUR, max_batch_size=5000) as wal:
        future = wal.submit(bytes(5000))
        step(wal)
        assert future.result(0) == 1


@pytest.mark.parametrize("seed", range(20))
def test_commits_begin_no_sooner_after_each_other_than_the_interval_says(seed: int) -> None:
    """That is what a bill is computed from (docs/beyond-one-machine.md). Only the bounds of bytes and entries, and
    verbs that wait for the entries, make more commits."""
    rng, clock, began = random.Random(seed), Clock(), list[int]()

    class Distant(MemoryImmutableStore):
        def create(self, number: int, data: bytes) -> None:  # type: ignore[override]
            began.append(clock.now_ns)
            super().create(number, data)
            clock.now_ns += rng.randrange(300_000_000)

    policy = walogs.IntervalPolicy(time=0.2, bytes=None)
    with made(Distant(MemoryCloud()), stepped_by_hand, clock, sync=policy) as wal:
        began.clear()
        asked = []
        for _ in range(300):
            clock.now_ns += rng.choice((0, 1, 1_000_000, 50_000_000, 400_000_000))
            asked.append((wal.submit(b"x"), clock.now_ns))
            wal._commits.step()
        clock.now_ns += 10**9
        step(wal)
        assert all(future.done() for future, _ in asked)
        assert all(later - earlier >= 200_000_000 for earlier, later in itertools.pairwise(began))
        assert 5 < len(began) <= clock.now_ns / 200_000_000


class Never:
    """A policy that never names a time."""

    name = "never"
    durability = "eventually"
    sync_kind = "data"

    def __init__(self, decision: Decision | Exception) -> None:
        self.decision = decision

    def decide(self, pending: Unsynced) -> Decision:
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision


@pytest.mark.parametrize("decision", ["leave", "sync", ValueError("no")])
def test_callers_are_answered_under_a_policy_that_names_no_time(decision: Decision | Exception) -> None:
    with paced(Clock(), Never(decision)) as wal:
        future = wal.submit(b"x")
        step(wal)
        assert future.result(0) == 1


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize("end", [walogs.Wal.sync, walogs.Wal.close])
def test_a_verb_that_makes_entries_durable_ends_the_wait(end: Any) -> None:
    with paced(Clock(), HOUR) as wal:
        future = wal.submit(b"x")
        step(wal)
        assert not future.done()
        end(wal)
        step(wal)
        assert future.result(0) == 1


@pytest.mark.guarantee("G1", "G18")
def test_an_append_waits_for_its_commit_and_not_only_for_the_interval() -> None:
    store = MemoryImmutableStore(MemoryCloud())
    with walogs.open(store=store, sync=walogs.IntervalPolicy(time=0.001)) as wal:
        assert sorted(Callers(*[lambda: wal.append(b"x")] * 8).join()) == list(range(1, 9))  # type: ignore[type-var]
        assert wal.durable_lsn == 8


@pytest.mark.guarantee("G18")
def test_a_caller_that_waits_for_room_ends_the_wait() -> None:
    """Otherwise it would wait for the interval, and nothing more could be queued meanwhile."""
    store = MemoryImmutableStore(MemoryCloud())
    with walogs.open(store=store, sync=HOUR, max_queued_size=10_000) as wal:
        callers = Callers(*[lambda: wal.submit(bytes(4000)).result()] * 4)
        until(lambda: wal.durable_lsn >= 1, "the first commit")
        wal.sync()
        until(lambda: wal.sync() is None and wal.durable_lsn == 4, "all commits")
        assert sorted(callers.join()) == [1, 2, 3, 4]  # type: ignore[type-var]


@pytest.mark.guarantee("G7")
def test_a_close_in_another_thread_answers_the_callers_that_wait() -> None:
    wal = walogs.open(store=MemoryImmutableStore(MemoryCloud()), sync=HOUR)
    callers = Callers(*[lambda: wal.append(b"x")] * 4)
    queued(wal, 4)
    wal.close()
    assert sorted(callers.join()) == [1, 2, 3, 4]  # type: ignore[type-var]


def test_a_log_without_a_commit_thread_does_not_wait() -> None:
    with made(MemoryImmutableStore(MemoryCloud()), no_thread, Clock(), sync=HOUR) as wal:
        assert wal.append(b"x") == 1
