"""The queue of pending appends is bounded, and closing ends it."""

from __future__ import annotations

import gc
import random
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any

import pytest

import walogs
from tests.kit import stores
from tests.kit.callers import SECONDS, Callers, entered, made, no_thread, step, stepped, until
from tests.kit.stores import LogFactory
from walogs.defaults.local_store import LocalStore
from walogs.engine.commit_queue import UNSHARED_COMMITS_MAX, CommitQueue
from walogs.engine.pending_append import PENDING_APPEND_BYTES, PendingAppend
from walogs.handles import futures as futures_module
from walogs.testing import MemoryDisk, MemoryStore

log_factory, appending_factory = stores.log_factory, stores.appending_factory


# Room


def test_what_is_queued_is_bounded_in_bytes() -> None:
    with stepped(MemoryStore(MemoryDisk()), max_queued_size=1000 + 2 * PENDING_APPEND_BYTES) as wal:
        first = [wal.submit(bytes(400)) for _ in range(2)]
        callers = Callers(*[lambda: wal.submit(bytes(400)).result(SECONDS) for _ in range(3)])
        until(lambda: len(wal._commits._queue.waiting_for_room) >= 3, "three who wait for room")
        assert all(thread.is_alive() for thread in callers.threads)
        for _ in range(int(SECONDS * 1000)):
            step(wal)
            if not any(thread.is_alive() for thread in callers.threads):
                break
            sleep(0.001)
        assert sorted(callers.join()) == [3, 4, 5]  # type: ignore[type-var]
        assert [future.result(0) for future in first] == [1, 2]
        huge = wal.submit(bytes(50_000))  # into an empty queue: it goes alone
        step(wal)
        assert huge.result(0) == 6


@pytest.mark.parametrize("size", [0, 1])
def test_entries_of_no_bytes_to_speak_of_do_not_fill_the_memory(size: int) -> None:
    """What is queued takes memory beside its data."""
    with stepped(MemoryStore(MemoryDisk()), max_queued_size=10 * PENDING_APPEND_BYTES) as wal:
        callers = Callers(lambda: [wal.submit(bytes(size)) for _ in range(100)])
        until(lambda: len(wal._commits._queue.waiting_for_room) > 0, "one who waits for room")
        assert 10 - size <= len(wal._commits._queue) - 1 <= 10
        while callers.threads[0].is_alive():
            step(wal)
        (futures,) = callers.join()
        step(wal)
        assert [future.result(0) for future in futures] == list(range(1, 101))  # type: ignore[attr-defined]


class Counted(deque[Any]):
    """Counts how many appends are looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[Any]:
        for pending in super().__iter__():
            self.looked_at += 1
            yield pending


def looked_at_for_each(queued: int, segment: int) -> float:
    """How many appends were looked at to commit one, where so many were queued."""
    with stepped(MemoryStore(MemoryDisk()), max_segment_size=segment, max_queued_size=1 << 30) as wal:
        wal._commits._queue.appends = counted = Counted()
        futures = [wal.submit(b"c" * 10) for _ in range(queued)]
        step(wal)
        assert [future.result(0) for future in futures] == list(range(1, queued + 1))
        return counted.looked_at / queued


@pytest.mark.parametrize("segment", [1, 4000])
def test_a_commit_costs_by_what_it_takes_and_not_by_what_is_queued(segment: int) -> None:
    assert max(looked_at_for_each(queued, segment) for queued in (100, 1600)) <= 20


@pytest.mark.guarantee("G18")
def test_nobody_puts_anything_into_the_queue_once_close_was_called() -> None:
    """Also while a sync works through a long queue, and keeps close waiting."""
    store = MemoryStore(MemoryDisk())
    gate, is_writing = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        is_writing.set()
        gate.wait(SECONDS)

    wal = stepped(store, max_segment_size=1)
    futures = [wal.submit(b"%d" % k) for k in range(20)]
    store.on_write.append(wait)
    syncing = Callers(wal.sync)
    assert is_writing.wait(SECONDS)
    closing = Callers(wal.close)
    until(lambda: wal._commits.turns.is_closed, "close to be known")
    for verb in (lambda: wal.submit(b"late"), lambda: wal.append(b"late"), wal.sync):
        with pytest.raises(walogs.Closed):
            verb()  # type: ignore[operator]
    gate.set()
    assert (*syncing.join(), *closing.join()) == (None, None)
    step(wal)
    assert [future.result(0) for future in futures] == list(range(1, 21))


@pytest.mark.guarantee("G18")
def test_a_close_that_is_interrupted_before_it_has_begun_leaves_the_log_as_it_was() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with stepped(MemoryStore(MemoryDisk())) as wal:
        wal.append(b"1")
        with pytest.raises(KeyboardInterrupt):
            entered("run", wal.close, interrupt)
        assert wal.append(b"2") == 2
        assert not wal.closed


def test_those_who_wait_for_room_are_told_that_the_log_was_closed() -> None:
    wal = stepped(MemoryStore(MemoryDisk()), max_queued_size=1000)
    first = wal.submit(bytes(900))
    callers = Callers(*[lambda: wal.submit(bytes(400)) for _ in range(3)])
    until(lambda: len(wal._commits._queue.waiting_for_room) >= 3, "three who wait for room")
    wal.close()
    step(wal)
    assert first.result(0) == 1
    for outcome in callers.join():
        if isinstance(outcome, Future):
            assert outcome.result(0) > 1
        else:
            assert isinstance(outcome, walogs.Closed)


# The end


@pytest.mark.guarantee("G1", "G18")
def test_close_while_others_append(log_factory: LogFactory) -> None:
    got: dict[int, bytes] = {}

    def appending(name: int) -> None:
        for k in range(100_000):
            data = b"%d:%d" % (name, k)
            got[wal.append(data)] = data

    wal = log_factory.open()
    callers = Callers(*[lambda name=name: appending(name) for name in range(4)])
    until(lambda: len(got) >= 50, "50 appends")
    wal.close()
    assert all(isinstance(outcome, walogs.Closed) for outcome in callers.join())
    until(lambda: not wal._commits._thread.is_started(), "the commit thread's end")
    with log_factory.open() as again:
        entries = dict(again)
        assert {lsn: entries[lsn] for lsn in got} == got


def test_a_log_that_is_dropped_with_futures_in_flight_commits_them_and_frees_its_lock(tmp_path: Path) -> None:
    wal = walogs.open(tmp_path)
    futures = [wal.submit(b"%d" % n) for n in range(50)]
    handles = [wal]
    del wal
    with pytest.warns(ResourceWarning, match="was not closed"):
        handles.clear()
    gc.collect()
    assert [future.result(SECONDS) for future in futures] == list(range(1, 51))
    for _ in range(int(SECONDS * 1000)):
        with suppress(walogs.Locked), walogs.open(tmp_path) as again:
            assert again.last_lsn == 50
            return
        sleep(0.001)
    raise AssertionError("the lock was never freed")


@pytest.mark.guarantee("G1")
def test_a_log_that_is_dropped_syncs_what_an_interval_owes() -> None:
    disk = MemoryDisk()
    wal = walogs.open(store=MemoryStore(disk), sync=walogs.IntervalPolicy(time=3600))
    for n in range(3):
        wal.append(b"%d" % n)
    commits = wal._commits
    handles = [wal]
    del wal
    with pytest.warns(ResourceWarning, match="was not closed"):
        handles.clear()
    gc.collect()
    until(lambda: not commits._thread.is_started(), "the commit thread's end")
    disk.power_cut(random.Random(1), 0.0)
    with walogs.open(store=MemoryStore(disk)) as again:
        assert [data for _, data in again] == [b"0", b"1", b"2"]


@pytest.mark.guarantee("G18")
def test_close_waits_for_callbacks_that_come_to_an_end_and_not_for_one_that_waits_for_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(futures_module, "CALLBACK_WAIT_SECONDS", SECONDS)  # a busy machine makes each callback longer

    def slow(future: Future[int]) -> None:
        sleep(0.02)
        told.append(future.result())

    with walogs.open(tmp_path / "slow") as wal:
        for _ in range(20):
            wal.submit(b"x").add_done_callback(slow)
    assert told == list(range(1, 21))

    monkeypatch.setattr(futures_module, "CALLBACK_WAIT_SECONDS", 0.01)
    wal = walogs.open(tmp_path / "waiting")
    is_added, is_closed, begun = threading.Event(), threading.Event(), threading.Event()
    honest = wal._writer.write_commit
    wal._writer.write_commit = lambda entries: honest(entries) if is_added.wait(SECONDS) else 0  # type: ignore[method-assign]
    wal.submit(b"x").add_done_callback(lambda _: (begun.set(), is_closed.wait(SECONDS)))
    is_added.set()  # a callback of a future that is done is called here, and would wait here
    assert begun.wait(SECONDS)
    wal.close()
    is_closed.set()


def test_where_no_thread_can_be_started_callers_commit(log_factory: LogFactory) -> None:
    store = log_factory.store() if log_factory.shape != "local" else LocalStore(log_factory.path)
    with made(store, no_thread, codec=stores.CODECS[log_factory.codec]()) as wal:
        told: list[int] = []
        future = wal.submit(b"first")
        assert future.result(0) == 1
        future.add_done_callback(lambda done: told.append(wal.append(b"%d" % done.result())))
        assert told == [2]
        callers = Callers(*[lambda: [wal.append(b"x") for _ in range(20)] for _ in range(4)])
        assert sorted(lsn for lsns in callers.join() for lsn in lsns) == list(range(3, 83))  # type: ignore[attr-defined]


# Following


def test_offers_are_small() -> None:
    assert not hasattr(PendingAppend([b"x"], 1, 1), "__dict__")


# The queue by itself


def queue_of(*sizes: int, bytes_max: int = 1 << 20) -> CommitQueue:
    """A queue of appends with one entry each, of so many bytes."""
    queue = CommitQueue(bytes_max)
    for size in sizes:
        queue.put([PendingAppend([bytes(size)], size, owner=size)])
    return queue


def test_a_commit_takes_the_first_appends_that_fit_and_leaves_them_in_the_queue() -> None:
    queue = queue_of(10, 20, 30, 5)
    appends = list(queue.appends)
    assert queue.take(lambda count, size: size <= 40) == appends[:2]
    assert queue.take(lambda count, size: count <= 3) == appends[:3]
    assert queue.take(lambda count, size: True) == appends
    assert queue.take(lambda count, size: False) == appends[:1], "the first is taken even if it does not fit"
    assert list(queue.appends) == appends


def test_an_append_that_failed_with_others_is_taken_alone_in_its_place() -> None:
    queue = queue_of(1, 2, 3)
    first, second, third = queue.appends
    second.goes_alone = True
    for expected in (first, second, third):
        assert queue.take(lambda count, size: True) == [expected]
        expected.settle(1)
        queue.remove_settled()


def test_an_append_leaves_the_queue_only_when_it_and_all_before_it_are_settled() -> None:
    queue = queue_of(1, 2, 3)
    first, second, third = queue.appends
    second.settle(2)
    queue.remove_settled()
    assert list(queue.appends) == [first, second, third]
    assert queue.take(lambda count, size: True) == [first, third]
    first.settle(1)
    queue.remove_settled()
    assert list(queue.appends) == [third]


def test_room_is_granted_in_the_order_of_the_queue() -> None:
    queue = queue_of(0, 0, 0, 0, bytes_max=2 * PENDING_APPEND_BYTES)
    appends = list(queue.appends)
    for pending in appends[2:]:
        queue.ask_for_room(pending)
    assert [queue.has_room(pending) for pending in appends] == [True, True, False, False]
    appends[0].settle(1)
    queue.remove_settled()
    assert [queue.has_room(pending) for pending in appends] == [True, True, True, False]
    assert list(queue.waiting_for_room) == appends[3:]


@pytest.mark.parametrize("shared", [0, 2])
def test_callers_leave_the_queue_alone_after_some_commits_that_nobody_shared(shared: int) -> None:
    queue = queue_of()
    queue.is_contended = True
    for _ in range(2):
        for count in [1] * (UNSHARED_COMMITS_MAX - 1) + [shared]:
            queue.count_commit(count)
            assert queue.is_contended
    for _ in range(UNSHARED_COMMITS_MAX):
        assert queue.is_contended
        queue.count_commit(1)
    assert not queue.is_contended
