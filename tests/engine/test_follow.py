"""Following a log by its writer's handle: each entry as soon as it is there, and always told the end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.kit import stores
from tests.kit.callers import SECONDS, Callers, entered, made, step, stepped, stepped_by_hand, until
from tests.kit.stores import LogFactory
from tests.system.children import forked
from walogs.testing import FAILED_SYNC, MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

log_factory = stores.log_factory


def followed(wal: walogs.Wal, start: int, timeout: float | None = None) -> Callable[[], tuple[list[int], object]]:
    """What a follower got, and what ended it."""

    def follow() -> tuple[list[int], object]:
        got: list[int] = []
        try:
            for lsn, _ in wal.follow(start, timeout):
                got.append(lsn)  # what came before the error counts
        except Exception as error:  # noqa: BLE001  # it is the outcome
            return got, error
        return got, None

    return follow


def waiting(wal: walogs.Wal, count: int = 1) -> None:
    until(lambda: len(wal._commits._followers) >= count, f"{count} waiting followers")


FAILS: dict[str, Callable[[walogs.Wal], object]] = {
    "an append by its caller": lambda wal: wal.append(b"2"),
    "a sync": lambda wal: wal.sync(),
    "a rotation": lambda wal: wal.rotate(),
    "a checkpoint": lambda wal: wal.checkpoint(1),
    "a commit of the queue": lambda wal: (wal.submit(b"2"), step(wal)),
}


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("what", FAILS)
def test_a_follower_that_waits_is_told_when_something_poisons(what: str) -> None:
    disk = MemoryDisk()
    with stepped(MemoryStore(disk), sync="none" if what in {"a sync", "a rotation"} else "fdatasync") as wal:
        wal.append(b"1")
        if what == "a checkpoint":
            wal.rotate()
        follower = Callers(followed(wal, 2))
        waiting(wal)
        disk.arm(1, FAILED_SYNC, rng=random.Random(1))
        with suppress(walogs.WalError):
            FAILS[what](wal)
        assert wal._writer.is_poisoned, "the fault was of no use"
        ((got, error),) = follower.join()  # type: ignore[misc]
        assert got == []
        assert isinstance(error, walogs.Poisoned), error


@pytest.mark.guarantee("G7")
def test_a_follower_that_waits_is_told_when_a_background_sync_poisons() -> None:
    disk, now = MemoryDisk(), [0]
    policy = walogs.IntervalPolicy(time=0.001)
    wal = made(MemoryStore(disk), stepped_by_hand, lambda: now[0], sync=policy)
    wal.append(b"1")
    follower = Callers(followed(wal, 2))
    waiting(wal)
    disk.arm(1, FAILED_SYNC, rng=random.Random(1))
    now[0] = 2_000_000
    step(wal)
    assert wal._writer.is_poisoned
    ((_, error),) = follower.join()  # type: ignore[misc]
    assert isinstance(error, walogs.Poisoned), error
    with pytest.raises(walogs.OutcomeUnknown):
        wal.close()


@pytest.mark.guarantee("G7")
def test_a_follower_of_a_poisoned_log_gets_what_is_there_and_is_told() -> None:
    disk = MemoryDisk()
    with stepped(MemoryStore(disk)) as wal:
        wal.append(b"1")
        disk.arm(1, FAILED_SYNC, rng=random.Random(1))
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(b"2")
        ((got, error),) = Callers(followed(wal, 1)).join()  # type: ignore[misc]
        assert got == [1]
        assert isinstance(error, walogs.Poisoned), error


@pytest.mark.guarantee("G7")
def test_a_follower_of_a_fenced_log_is_told() -> None:
    cloud = MemoryCloud()
    with stepped(MemoryImmutableStore(cloud)) as wal:
        wal.append(b"1")
        follower = Callers(followed(wal, 2))
        waiting(wal)
        with walogs.open(store=MemoryImmutableStore(cloud)):
            with pytest.raises(walogs.Fenced):
                wal.append(b"2")
            ((_, error),) = follower.join()  # type: ignore[misc]
            assert isinstance(error, walogs.Poisoned), error


def test_a_follower_that_was_woken_for_nothing_does_not_take_a_commit_under_way_for_poison() -> None:
    """A cancelled future wakes it; before it looks whether the log is poisoned, another thread is in the middle of a
    commit that is as healthy as can be."""
    disk = MemoryDisk()
    store = MemoryStore(disk)
    wal = stepped(store)
    wal.append(b"1")
    in_write, may_write = threading.Event(), threading.Event()
    appenders: list[Callers] = []

    def write_slowly(*_: object) -> None:
        in_write.set()
        assert may_write.wait(SECONDS)

    honest = wal._commits.turns.run_if_open

    turns: list[object] = []

    def turn(verb: Any, *args: Any, **kwargs: Any) -> Any:
        turns.append(verb)
        found = honest(verb, *args, **kwargs)
        if threading.current_thread() is follower.threads[0] and wal._commits._shared.last_count == 0 and not appenders:
            wal._commits._queue.is_contended = False
            store.on_write.append(write_slowly)
            appenders.append(Callers(lambda: wal.append(b"2")))
            assert in_write.wait(SECONDS)
        return found

    follower = Callers(followed(wal, 2, 0.2))
    waiting(wal)
    wal._commits.turns.run_if_open = turn  # type: ignore[method-assign]
    assert wal.submit(b"x").cancel()
    step(wal)
    try:
        until(lambda: in_write.is_set() and (not follower.threads[0].is_alive() or len(turns) > 1), "its next look")
    finally:
        may_write.set()
        ((got, error),) = follower.join()  # type: ignore[misc]
        for appender in appenders:
            assert appender.join() == [2]
        wal.close()
    assert error is None, error
    assert got in ([], [2])


@pytest.mark.guarantee("G18")
def test_a_following_that_goes_on_in_a_forked_child_is_refused_there(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"1")
        following = wal.follow()
        assert next(following) == (1, b"1")

        def in_child() -> None:
            with pytest.raises(walogs.Closed):
                next(following)

        assert forked(in_child, seconds=SECONDS) == 0
        wal.append(b"2")
        assert next(following) == (2, b"2")


@pytest.mark.guarantee("G18")
def test_a_following_that_goes_on_in_a_child_forked_inside_the_gate_is_refused_there(tmp_path: Path) -> None:
    """The lock that the other thread held is held for ever there."""
    with walogs.open(tmp_path) as wal:
        wal.append(b"1")
        following = wal.follow(timeout=0.01)
        assert next(following) == (1, b"1")
        in_gate, may_leave = threading.Event(), threading.Event()

        def hold() -> None:
            in_gate.set()
            may_leave.wait(SECONDS)

        holder = Callers(lambda: entered("put", lambda: wal.submit(b"2").result(SECONDS), hold))
        assert in_gate.wait(SECONDS)

        def in_child() -> None:
            with pytest.raises(walogs.Closed):
                next(following)

        try:
            assert forked(in_child, seconds=SECONDS) == 0
        finally:
            may_leave.set()
            assert holder.join() == [None]
        assert list(wal) == [(1, b"1"), (2, b"2")]


@pytest.mark.guarantee("G4", "G11")
def test_a_follower_that_a_checkpoint_overtakes_is_told_and_one_that_it_does_not_goes_on(
    log_factory: LogFactory,
) -> None:
    with log_factory.open(max_segment_size=600) as wal:
        for n in range(1, 21):
            wal.append(b"%d" % n * 50)
        slow, quick = wal.follow(1), wal.follow(1, timeout=0.01)
        assert next(slow)[0] == 1
        assert [lsn for lsn, _ in zip(range(20), quick, strict=False)] == list(range(20))
        assert wal.checkpoint(15) > 0
        with pytest.raises(walogs.Checkpointed):
            for _ in slow:
                pass
        lsn = wal.append(b"more")
        assert [found for found, _ in quick][-1:] == [lsn]
        with pytest.raises(walogs.Checkpointed):
            wal.follow(1)


def test_a_follower_may_begin_beyond_the_end_and_waits_for_exactly_that() -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as wal:
        follower = Callers(lambda: next(wal.follow(5)))
        waiting(wal)
        for n in range(1, 7):
            wal.append(b"%d" % n)
        assert follower.join() == [(5, b"5")]
        assert list(wal.follow(9, timeout=0)) == []


@pytest.mark.guarantee("G18")
def test_a_follower_that_is_interrupted_holds_up_nobody_and_can_begin_again() -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as wal:
        wal.append(b"1")

        def interrupt() -> None:
            raise KeyboardInterrupt

        def follow() -> Iterator[tuple[int, bytes]]:
            return wal.follow(2, timeout=0.01)

        (outcome,) = Callers(lambda: entered("wait_beyond", lambda: list(follow()), interrupt)).join()
        assert isinstance(outcome, KeyboardInterrupt)
        follower = Callers(lambda: next(wal.follow(2)))
        waiting(wal)
        assert wal.append(b"2") == 2
        assert follower.join() == [(2, b"2")]
        assert not wal._commits._followers


def test_an_idle_follower_takes_no_time_of_a_processor() -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as wal:
        spent: list[float] = []

        def follow() -> object:
            wal.append(b"1")
            following = wal.follow(1)
            next(following)
            before = time.thread_time()
            found = next(following)
            spent.append(time.thread_time() - before)
            return found

        follower = Callers(follow)
        waiting(wal)
        looked = [0]
        honest = wal._commits.wait_beyond

        def counted(*args: Any) -> bool:
            looked[0] += 1
            return honest(*args)

        wal._commits.wait_beyond = counted  # type: ignore[method-assign]
        time.sleep(0.3)
        assert looked == [0], "it waits on a lock, and does not look again and again"
        wal.append(b"2")
        assert follower.join() == [(2, b"2")]
