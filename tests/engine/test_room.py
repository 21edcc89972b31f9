"""The room in the queue: bounded, shared out fairly, and whoever waits for it is answered."""

from __future__ import annotations

import random
from concurrent.futures import Future
from typing import Any

import pytest

import walogs
from tests.kit.callers import OURS, Callers, entered, made, no_thread, reached, step, stepped, until
from walogs.engine.commit_thread import CommitThread
from walogs.engine.pending_append import PENDING_APPEND_BYTES
from walogs.engine.writer_turns import WriterTurns
from walogs.testing import FAILED_SYNC, MemoryDisk, MemoryStore

ROOM = 1000 + 2 * PENDING_APPEND_BYTES
"""For two appends with 1,000 bytes of data between them."""


def waiting_for_room(wal: walogs.Wal, count: int) -> None:
    until(lambda: len(wal._commits._queue.waiting_for_room) >= count, f"{count} who wait for room")


def test_an_offer_larger_than_the_queue_gets_in_however_many_small_ones_come() -> None:
    """Each commit is met by new small ones; the large one has waited longer."""
    store = MemoryStore(MemoryDisk())
    with stepped(store, max_queued_size=ROOM) as wal:
        wal.submit(b"small")
        large = Callers(lambda: wal.submit(bytes(50_000)))
        waiting_for_room(wal, 1)
        small: list[Callers] = []
        store.on_write.append(lambda *_: small.append(Callers(lambda: wal.submit(b"small"))))
        commits, pending = 0, wal._commits._queue.waiting_for_room[0]
        while commits < 50 and pending in wal._commits._queue.waiting_for_room:
            wal._commits.step()
            commits += 1
            until(
                lambda: any(other is not pending for other in list(wal._commits._queue.appends)), "the next small one"
            )
        got_in = commits < 50
        store.on_write.clear()
        while large.threads[0].is_alive() or any(each.threads[0].is_alive() for each in small):
            step(wal)
        step(wal)
        assert got_in, "50 commits of others went by"


@pytest.mark.guarantee("G7")
def test_those_who_wait_for_room_are_answered_when_the_log_is_poisoned() -> None:
    disk = MemoryDisk()
    with stepped(MemoryStore(disk), max_queued_size=ROOM, max_batch_size=1000) as wal:
        wal.submit(bytes(900))
        callers = Callers(*[lambda: wal.submit(bytes(400)) for _ in range(3)])
        waiting_for_room(wal, 3)
        disk.arm(1, FAILED_SYNC, rng=random.Random(1))
        while any(thread.is_alive() for thread in callers.threads):
            step(wal)
        step(wal)
        for outcome in callers.join():
            assert isinstance(outcome, Future)
            assert isinstance(outcome.exception(0), walogs.Poisoned)


@pytest.mark.guarantee("G18")
def test_a_ctrl_c_of_one_who_waits_for_room_holds_up_nobody() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with stepped(MemoryStore(MemoryDisk()), max_queued_size=ROOM) as wal:
        wal.submit(bytes(900))
        (outcome,) = Callers(lambda: entered("_await", lambda: wal.submit(bytes(400)), interrupt)).join()
        assert isinstance(outcome, KeyboardInterrupt)
        other = Callers(lambda: wal.submit(bytes(400)))
        waiting_for_room(wal, 2)
        step(wal)
        (future,) = other.join()
        step(wal)
        assert isinstance(future, Future)
        assert future.result(0) == 2


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("verb", ["submit", "sync"])
def test_the_bound_is_the_same_after_an_interrupt_anywhere(verb: str) -> None:
    """What is queued is counted; a count that an interrupt falsified would be false for ever."""
    at = 1
    while True:
        wal = stepped(MemoryStore(MemoryDisk()), max_queued_size=ROOM + PENDING_APPEND_BYTES)
        for _ in range(2):
            wal.submit(bytes(300))
        was_delivered = False

        def interrupt() -> None:
            nonlocal was_delivered
            was_delivered = True
            raise KeyboardInterrupt

        calls: dict[str, Any] = {"submit": lambda wal=wal: wal.submit(bytes(300)), "sync": wal.sync}
        try:
            reached(calls[verb], at, interrupt, OURS)
        except KeyboardInterrupt:
            pass
        step(wal)
        assert not wal._commits._queue.appends
        fitting = Callers(*[lambda wal=wal: wal.submit(bytes(500)) for _ in range(2)])
        fitting.join()
        beyond = Callers(lambda wal=wal: wal.submit(b"1"))
        waiting_for_room(wal, 1)
        assert beyond.threads[0].is_alive(), f"{verb} interrupted at point {at}: the bound is another"
        step(wal)
        beyond.join()
        wal.close()
        if not was_delivered:
            break
        at += 1
    assert at > 10


@pytest.mark.guarantee("G1")
def test_where_no_thread_can_be_started_an_interval_keeps_its_word_for_what_was_submitted() -> None:
    with made(MemoryStore(MemoryDisk()), no_thread, sync=walogs.IntervalPolicy(time=0.001)) as wal:
        assert wal.submit(b"1").result(0) == 1
        assert wal.durable_lsn == 1, "nobody is left who could sync it"


def test_a_log_that_is_dropped_is_ended_also_by_a_thread_that_was_about_to_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread looks whether the log is closed, and then how it is to be ended: told in that order, it would leave
    between the two, and the lock would be kept."""
    wal = stepped(MemoryStore(MemoryDisk()))
    wal.submit(b"1")
    step(wal)
    commits = wal._commits
    ended: list[object] = []
    order: list[str] = []

    def note(self: object, name: str, value: object) -> None:
        order.append(name)
        object.__setattr__(self, name, value)

    with monkeypatch.context() as watched:
        watched.setattr(CommitThread, "__setattr__", note)
        watched.setattr(WriterTurns, "__setattr__", note)
        commits.abandon(lambda: ended.append(1))
    commits.turns.is_closed = False
    wal.close()
    assert order == ["end_log", "is_closed"]
