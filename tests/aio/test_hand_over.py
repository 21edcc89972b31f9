"""What tasks append in one iteration of the loop is handed over in one call, and one call wakes them all."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

import walogs
from tests.aio.backends import for_tasks, iterations, on_each_backend, run_on
from tests.kit.callers import SECONDS, Callers, step, stepped
from walogs.aio.appends import AsyncAppend, LoopAppends
from walogs.engine.pending_append import PendingAppend
from walogs.testing import FAILED_SYNC, MemoryDisk, MemoryStore


class Counted:
    """Counts the hand-overs to a log, and the calls of its loop from other threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wal: walogs.Wal) -> None:
        self.handed_over: list[int] = []
        self.wake_ups = 0
        self._submit_all = wal._commits.submit_all
        monkeypatch.setattr(wal._commits, "submit_all", self._count)

    def _count(self, appends: Sequence[PendingAppend]) -> None:
        self.handed_over.append(len(appends))
        self._submit_all(appends)

    def count_wake_ups(self, monkeypatch: pytest.MonkeyPatch, loop: Any) -> None:
        call = loop.call_from_thread

        def counted(function: Any) -> None:
            self.wake_ups += 1
            call(function)

        monkeypatch.setattr(loop, "call_from_thread", counted)


@on_each_backend
def test_a_thousand_tasks_of_one_iteration_share_a_hand_over_a_commit_and_a_wake_up(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stepped(MemoryStore(MemoryDisk())) as log:
        counted = Counted(monkeypatch, log)

        async def main() -> None:
            wal, lsns = for_tasks(log), []

            async def append(number: int) -> None:
                lsns.append(await wal.append(b"%d" % number))

            async with anyio.create_task_group() as group:
                for number in range(1000):
                    group.start_soon(append, number)
                await iterations()
                assert counted.handed_over == [1000]
                counted.count_wake_ups(monkeypatch, wal._appends().loop)
                step(log)
            assert sorted(lsns) == list(range(1, 1001))
            assert (counted.wake_ups, log.stats().commits) == (1, 1)
            wal._calls.close()

        run_on(backend, main)
        assert [data for _, data in log] == [b"%d" % number for number in sorted_numbers(log)]


def sorted_numbers(log: walogs.Wal) -> list[int]:
    """The numbers in the log, in the order of their LSNs. trio starts tasks in an order of its own."""
    numbers = [int(data) for _, data in log]
    assert sorted(numbers) == list(range(1000))
    return numbers


def test_one_task_s_appends_keep_their_order() -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as log:

        async def main() -> None:
            wal = for_tasks(log)
            appends = [asyncio.ensure_future(wal.append(b"%d" % number)) for number in range(100)]
            appends.append(asyncio.ensure_future(wal.append_batch([b"100", b"101"])))  # type: ignore[arg-type]
            assert await asyncio.gather(*appends) == [*range(1, 101), range(101, 103)]
            wal._calls.close()

        asyncio.run(main())
        assert [data for _, data in log] == [b"%d" % number for number in range(102)]


@on_each_backend
@pytest.mark.guarantee("G1")
def test_sync_covers_what_was_appended_in_the_same_iteration(backend: str) -> None:
    """It is not handed over yet when `sync` is called."""
    with walogs.open(store=MemoryStore(MemoryDisk()), sync="none") as log:

        async def main() -> None:
            wal = for_tasks(log)
            async with anyio.create_task_group() as group:
                group.start_soon(wal.append, b"1")
                while not wal._appends_of:  # trio starts tasks in an order of its own
                    await iterations(1)
                await wal.sync()
                assert log.durable_lsn == 1
            wal._calls.close()

        run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G7")
def test_a_commit_that_fails_tells_each_task_its_own_entries(backend: str) -> None:
    disk = MemoryDisk()
    with stepped(MemoryStore(disk)) as log:
        told: dict[int, BaseException] = {}

        async def main() -> None:
            wal = for_tasks(log)

            async def append(number: int) -> None:
                try:
                    await wal.append(b"%d" % number)
                except walogs.OutcomeUnknown as error:
                    told[number] = error

            async with anyio.create_task_group() as group:
                for number in range(3):
                    group.start_soon(append, number)
                await iterations()
                disk.arm(1, FAILED_SYNC, rng=random.Random(1))
                step(log)
            with pytest.RaisesGroup(walogs.Poisoned):
                async with anyio.create_task_group() as group:
                    group.start_soon(wal.append, b"x")
                    await iterations()
                    step(log)
            wal._calls.close()

        run_on(backend, main)
        assert {error.first_lsn for error in told.values()} == {1, 2, 3}  # type: ignore[attr-defined]
        assert len({id(error) for error in told.values()}) == 3


@pytest.mark.guarantee("G12", "G18")
def test_a_commit_and_a_cancellation_at_the_same_moment_agree() -> None:
    """Two threads decide of the same appends: for each, one of them wins."""
    with walogs.open(store=MemoryStore(MemoryDisk())) as log:
        appends = LoopAppends(log, None)  # type: ignore[arg-type]
        tried = [AsyncAppend(appends, [b""], 0) for _ in range(20_000)]
        both = threading.Barrier(2)

        def decide(verb: Callable[[AsyncAppend], bool]) -> list[bool]:
            decided = []
            for at, each in enumerate(tried):
                if at % 100 == 0:
                    both.wait(SECONDS)
                decided.append(verb(each))
            return decided

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            begun, cancelled = Callers(lambda: decide(AsyncAppend.begin), lambda: decide(AsyncAppend.cancel)).join()
        finally:
            sys.setswitchinterval(interval)
        assert [a is not b for a, b in zip(begun, cancelled, strict=True)] == [True] * len(tried)  # type: ignore[call-overload]
        assert all(each.is_withdrawn is gone for each, gone in zip(tried, cancelled, strict=True))
