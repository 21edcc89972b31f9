"""Callbacks of futures may raise, wait and call the log. Every future gets its result, exactly once."""

from __future__ import annotations

import concurrent.futures
import inspect
import itertools
import random
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path

import pytest

import walogs
from tests.kit.callers import FUTURES, OURS, SECONDS, Callers, made, queued, reached, step, stepped, until
from tests.system.children import seed_of
from walogs.engine.commit_queue import CommitQueue
from walogs.engine.pending_append import PendingAppend
from walogs.engine.shared_commits import SharedCommits
from walogs.handles.futures import CallbackRunner
from walogs.testing import FAILED_SYNC, MemoryDisk, MemoryStore

OTHERS: dict[str, Callable[[walogs.Wal], object]] = {
    "append": lambda wal: wal.append(b"other"),
    "append_batch": lambda wal: wal.append_batch([b"a", b"b"]),
    "sync": lambda wal: wal.sync(),
    "checkpoint": lambda wal: wal.checkpoint(0),
    "rotate": lambda wal: wal.rotate(),
    "iter": list,
    "submit": lambda wal: wal.submit(b"other"),
    "submit without room": lambda wal: [wal.submit(bytes(600)) for _ in range(3)],
}


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("verb", OTHERS)
def test_a_callback_may_wait_for_another_thread_that_calls_the_log(verb: str, tmp_path: Path) -> None:
    told: list[object] = []
    waited = threading.Event()

    def wait_for_another(_: Future[int]) -> None:
        told.append(Callers(lambda: OTHERS[verb](wal)).join()[0])
        waited.set()

    wal = walogs.open(tmp_path, max_queued_size=1000)
    try:
        future = wal.submit(b"1")
        future.add_done_callback(wait_for_another)
        assert waited.wait(2 * SECONDS), f"the callback and the {verb} wait for each other"
        assert not isinstance(told[0], BaseException), told[0]
    finally:
        Callers(wal.close).join()


@pytest.mark.guarantee("G18")
def test_a_callback_may_wait_for_a_lock_that_another_thread_frees_after_its_append(tmp_path: Path) -> None:
    """The append of the other thread is in the queue already when the callback begins to wait."""
    wal = walogs.open(tmp_path)
    freed, in_callback = threading.Event(), threading.Event()

    def wait(_: Future[int]) -> None:
        in_callback.set()
        freed.wait(SECONDS)

    def append() -> int:
        lsn = wal.append(b"other")
        freed.set()
        return lsn

    try:
        gate, honest = threading.Event(), wal._writer.write_commit

        def slow(entries: list[bytes]) -> int:
            gate.wait(SECONDS)
            return honest(entries)

        wal._writer.write_commit = slow  # type: ignore[method-assign]
        future = wal.submit(b"1")
        future.add_done_callback(wait)
        wal._commits._queue.is_contended = True
        appender = Callers(append)
        queued(wal, 2)
        gate.set()
        assert in_callback.wait(SECONDS)
        assert freed.wait(SECONDS / 2), "the callback and the append wait for each other"
        assert appender.join() == [2]
    finally:
        freed.set()
        Callers(wal.close).join()


@pytest.mark.guarantee("G18")
def test_whoever_waits_for_a_cancelled_future_is_told() -> None:
    """`concurrent.futures.wait` counts a cancelled future only after `set_running_or_notify_cancel`."""
    with stepped(MemoryStore(MemoryDisk())) as wal:
        first, second, third = (wal.submit(b"%d" % n) for n in range(3))
        assert second.cancel()
        step(wal)
        done, not_done = concurrent.futures.wait([first, second, third], timeout=SECONDS)
        assert not not_done
        assert {first, second, third} == done
        assert list(concurrent.futures.as_completed([second], timeout=SECONDS)) == [second]
        assert list(wal) == [(1, b"0"), (2, b"2")]


@pytest.mark.guarantee("G18")
def test_a_future_whose_lock_is_lost_holds_up_nobody_else() -> None:
    """An interrupt inside `concurrent.futures.wait` leaves the lock taken, on every Python."""
    store, may_write = MemoryStore(MemoryDisk()), threading.Event()
    store.on_write.append(lambda *_: may_write.wait(SECONDS))
    with walogs.open(store=store) as wal:
        lost = wal.submit(b"1")
        assert Callers(lost._condition.acquire).join() == [True]
        may_write.set()
        others = [wal.submit(b"%d" % n) for n in range(2, 5)]
        assert [future.result(SECONDS) for future in others] == [2, 3, 4]
        assert Callers(lambda: wal.append(b"5")).join() == [5]
        closing = Callers(wal.close)
        assert closing.join() == [None]
    assert not lost._condition.acquire(blocking=False)


def test_a_future_that_is_cancelled_when_the_log_is_closed_is_told_too() -> None:
    wal = stepped(MemoryStore(MemoryDisk()))
    future = wal.submit(b"1")
    assert future.cancel()
    wal.close()
    step(wal)
    assert not concurrent.futures.wait([future], timeout=SECONDS).not_done
    with pytest.raises(CancelledError):
        future.result(0)


def test_a_future_can_be_cancelled_until_its_commit_begins_and_not_then() -> None:
    store = MemoryStore(MemoryDisk())
    with stepped(store) as wal:
        future = wal.submit(b"1")
        told: list[bool] = []
        store.on_write.append(lambda *_: told.append(future.cancel()))
        step(wal)
        assert told == [False]
        assert future.result(0) == 1
        assert not future.cancel()


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_a_callback_that_raises_leaves_the_other_futures_to_their_callbacks(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def raising(_: Future[int]) -> None:
        raise error

    told: list[int] = []
    with stepped(MemoryStore(MemoryDisk())) as wal:
        for _ in range(3):
            future = wal.submit(b"x")
            future.add_done_callback(lambda done: told.append(done.result()))
            future.add_done_callback(raising)
        step(wal)
        assert told == [1, 2, 3]
        after = wal.submit(b"y")
        step(wal)
        assert after.result(0) == 4


def test_a_chain_of_five_thousand_callbacks() -> None:
    """Each callback submits the next entry, or appends and submits. The stack stays shallow."""
    done = threading.Event()
    depths: set[int] = set()

    def next_one(future: Future[int]) -> None:
        lsn = future.result()
        depths.add(len(inspect.stack(0)) if lsn % 500 == 0 else 0)
        if lsn >= 5000:
            done.set()
            return
        if lsn % 3 == 0:
            wal.append(b"y")
        wal.submit(b"x").add_done_callback(next_one)

    wal = made(MemoryStore(MemoryDisk()), sync="none")
    try:
        wal.submit(b"x").add_done_callback(next_one)
        assert done.wait(SECONDS)
        assert max(depths) < 100
    finally:
        Callers(wal.close).join()


def test_a_callback_may_cancel_what_is_queued_behind_it() -> None:
    with stepped(MemoryStore(MemoryDisk()), max_segment_size=1200) as wal:
        futures = [wal.submit(bytes(500)) for _ in range(6)]  # two a segment, so that three commits are needed
        told: list[bool] = []
        futures[0].add_done_callback(lambda _: told.append(futures[5].cancel()))
        step(wal)
        assert told == [True]
        assert [future.result(0) for future in futures[:5]] == [1, 2, 3, 4, 5]
        assert wal.last_lsn == 5


def told_each_time(at: int, verb: str, poisons: bool) -> bool:
    """One thread drains a queue of futures and is interrupted at that point; each future is told, once, and the truth.
    A thread that a Ctrl-C can reach (it closes) meets it in the futures' own code too."""
    disk = MemoryDisk()
    wal = stepped(MemoryStore(disk))
    wal.append(b"kept")
    futures = [wal.submit(b"%d" % n) for n in range(3)]
    counts = [0, 0, 0]

    def count(n: int) -> Callable[[Future[int]], None]:
        def counted(_: Future[int]) -> None:
            counts[n] += 1

        return counted

    for n, future in enumerate(futures):
        future.add_done_callback(count(n))
    waiter = Callers(*[lambda future=future: future.result(SECONDS) for future in futures])
    until(lambda: all(future._condition._waiters for future in futures), "waiters")  # type: ignore[attr-defined]
    if poisons:
        disk.arm(1, FAILED_SYNC, rng=random.Random(1))
    was_interrupted = False

    def interrupt() -> None:
        nonlocal was_interrupted
        was_interrupted = True
        raise KeyboardInterrupt

    call: Callable[[], object] = {"close": wal.close, "step": lambda: step(wal)}[verb]
    with suppress(KeyboardInterrupt):
        reached(call, at, interrupt, FUTURES if verb == "close" else OURS)
    step(wal)
    with suppress(walogs.OutcomeUnknown):
        wal.close()
    disk.disarm()
    outcomes = waiter.join()
    with walogs.open(store=MemoryStore(disk)) as again:
        there = dict(again)
    for n, outcome in enumerate(outcomes):
        if isinstance(outcome, int):
            assert there[outcome] == b"%d" % n
        else:
            assert isinstance(outcome, (walogs.OutcomeUnknown, walogs.Poisoned, walogs.Closed)), outcome
    assert max(counts) <= 1
    return was_interrupted


@pytest.mark.guarantee("G7", "G18")
@pytest.mark.parametrize("poisons", [False, True], ids=["healthy", "poisoned"])
@pytest.mark.parametrize("verb", ["close", "step"])
def test_a_future_is_told_wherever_the_one_who_tells_it_is_interrupted(verb: str, poisons: bool) -> None:
    """At every third point in one run, from any of the first three on."""
    first = random.Random(seed_of(f"{verb}, {poisons}")).randint(1, 3)
    at = next(at for at in itertools.count(first, 3) if not told_each_time(at, verb, poisons))
    print(f"{verb}: up to point {at}")
    assert at > 100


@pytest.mark.laboratory
@pytest.mark.guarantee("G7", "G18")
@pytest.mark.parametrize("poisons", [False, True], ids=["healthy", "poisoned"])
@pytest.mark.parametrize("verb", ["close", "step"])
def test_a_future_is_told_at_whichever_point_the_one_who_tells_it_is_interrupted(verb: str, poisons: bool) -> None:
    at = next(at for at in itertools.count(1) if not told_each_time(at, verb, poisons))
    assert at > 100


def test_futures_told_under_the_mutex_are_seen_when_planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then a callback that waits for another thread's verb waits for ever."""
    honest = CommitQueue.remove_settled

    def telling(self: CommitQueue) -> None:
        honest(self)
        self.resolve_futures()

    monkeypatch.setattr(CommitQueue, "remove_settled", telling)
    monkeypatch.setattr(CallbackRunner, "add", lambda _, future: future.tell())
    with walogs.open(tmp_path) as wal:
        got_a_turn: list[bool] = []

        def look(_: Future[int]) -> None:
            done = threading.Event()
            Callers(lambda: (wal.segments(), done.set()))  # refused, when the log was closed meanwhile
            got_a_turn.append(done.wait(0.5))

        is_added, honest_append = threading.Event(), wal._writer.write_commit
        wal._writer.write_commit = lambda entries: is_added.wait(SECONDS) and honest_append(entries)  # type: ignore[method-assign]
        future = wal.submit(b"1")
        future.add_done_callback(look)
        is_added.set()
        until(lambda: got_a_turn, "the callback's end")
        assert got_a_turn == [False]


def test_appends_that_leave_the_queue_too_early_are_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = CommitQueue.take

    def popping(self: CommitQueue, fits: Callable[[int, int], bool]) -> list[PendingAppend]:
        taken = honest(self, fits)
        for _ in taken:
            self.appends.popleft()
        return taken

    monkeypatch.setattr(CommitQueue, "take", popping)
    monkeypatch.setattr("tests.kit.callers.SECONDS", 1.0)
    with stepped(MemoryStore(MemoryDisk())) as wal:
        futures = [wal.submit(b"%d" % n) for n in range(3)]
        step(wal)
        assert not any(future.done() for future in futures), "nobody is told"


def test_a_queue_that_is_not_looked_at_under_the_mutex_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the submit and the append of one thread are committed in the wrong order."""
    monkeypatch.setattr(CommitQueue, "has_appends_of", lambda *_: False)
    with stepped(MemoryStore(MemoryDisk())) as wal:
        future = wal.submit(b"first")
        wal._commits._queue.is_contended = False
        assert wal.append(b"second") == 1
        step(wal)
        assert future.result(0) == 2


def test_one_error_for_all_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedCommits, "_error_for", lambda _self, error, *_: error)
    disk = MemoryDisk()
    with stepped(MemoryStore(disk)) as wal:
        futures = [wal.submit(b"x") for _ in range(3)]
        disk.arm(1, FAILED_SYNC, rng=random.Random(1))
        step(wal)
        assert len({id(future.exception(0)) for future in futures}) == 1
        assert {future.exception(0).first_lsn for future in futures} == {1}  # type: ignore[union-attr]
