"""A cancelled append tells the truth: nothing is written, or it is certain what was written.

The first tests step the log's commit thread by hand, in a task of the same loop. So they try every order of the loop's
iterations, the commit and the cancellation. The others hold a real commit in the middle of its write or its sync.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import walogs
import walogs.aio
from tests.aio.backends import for_tasks, iterations, on_each_backend, run_on
from tests.kit.callers import SECONDS, step, stepped
from walogs.assembly import opening
from walogs.testing import MemoryDisk, MemoryStore

EVENTS = 9
ORDERS = [
    tuple("cancel" if at == cancel else "commit" if at in commits else "iteration" for at in range(EVENTS))
    for cancel in range(EVENTS)
    for commits in itertools.combinations([at for at in range(EVENTS) if at != cancel], 2)
]
"""Every order of six iterations of the loop, two steps of the commit thread, and one cancellation."""
ORDERS_ON = {"asyncio": ORDERS, "trio": ORDERS, "uvloop": ORDERS[::5]}
"""uvloop differs from asyncio in how it runs callbacks, and not in what walogs does in them."""


def carried_out(disk: MemoryDisk) -> list[bytes]:
    with walogs.open(store=MemoryStore(disk)) as again:
        found = list(again)
        again.append(b"and it goes on")
    assert [lsn for lsn, _ in found] == list(range(1, len(found) + 1))
    return [data for _, data in found]


@on_each_backend
@pytest.mark.parametrize("room", [1 << 20, 1], ids=["with-room", "waits-for-room"])
@pytest.mark.guarantee("G12", "G18")
def test_a_cancelled_scope_in_every_order_with_iterations_and_commits(backend: str, room: int) -> None:
    """Where the append raises the cancellation, nothing of it is written. Where it returns, its entry is there."""
    seen = set()
    for order in ORDERS_ON[backend]:
        disk = MemoryDisk()
        outcome = run_on(backend, Scheduled(disk, room).scope(order))
        found = carried_out(disk)
        assert found.count(b"victim") == (outcome is not None), order
        assert found.count(b"before") == found.count(b"after") == 1, order
        if isinstance(outcome, int):
            assert found[outcome - 1] == b"victim", order
        seen.add(outcome is None)
    assert seen == {True, False}, "both outcomes were seen"


@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
@pytest.mark.parametrize("room", [1 << 20, 1], ids=["with-room", "waits-for-room"])
@pytest.mark.guarantee("G12", "G18")
def test_a_cancelled_task_of_asyncio_in_every_order_with_iterations_and_commits(backend: str, room: int) -> None:
    """`task.cancel()` always raises `CancelledError`, unless the task had ended, and `outcome_of` tells the rest."""
    seen = set()
    for order in ORDERS_ON[backend]:
        disk = MemoryDisk()
        was_cancelled, lsns = run_on(backend, Scheduled(disk, room).task(order))
        found = carried_out(disk)
        assert found.count(b"victim") == (lsns is not None), order
        assert found.count(b"before") == found.count(b"after") == 1, order
        if lsns is not None:
            assert found[lsns[0] - 1] == b"victim", order
        seen.add((was_cancelled, lsns is None))
    assert {(True, True), (False, False)} <= seen


class Scheduled:
    """A log with three tasks: one appends before the victim, one after it. The commit thread is stepped by hand."""

    def __init__(self, disk: MemoryDisk, room: int) -> None:
        self.disk = disk
        self.room = room

    @contextmanager
    def _log(self) -> Iterator[tuple[walogs.Wal, walogs.aio.AsyncWal]]:
        with stepped(MemoryStore(self.disk), max_queued_size=self.room) as log:
            wal = for_tasks(log)
            yield log, wal
            wal._calls.close()

    def scope(self, order: tuple[str, ...]) -> Callable[[], Awaitable[int | None]]:
        """Cancel a scope around the victim. Return what its append returned, or None if it was cancelled."""

        async def main() -> int | None:
            outcomes: list[int] = []
            with self._log() as (log, wal):
                async with anyio.create_task_group() as group:
                    scope = anyio.CancelScope()

                    async def victim() -> None:
                        with scope:
                            outcomes.append(await wal.append(b"victim"))

                    group.start_soon(wal.append, b"before")
                    await iterations(1)
                    group.start_soon(victim)
                    group.start_soon(wal.append, b"after")
                    await carry_out(order, log, scope.cancel)
                    await finish(log, wal)
            return outcomes[0] if outcomes else None

        return main

    def task(self, order: tuple[str, ...]) -> Callable[[], Awaitable[tuple[bool, range | None]]]:
        """Cancel the victim by `task.cancel()`. Return whether it was cancelled, and the LSNs of its entries."""

        async def main() -> tuple[bool, range | None]:
            with self._log() as (log, wal):
                before = asyncio.ensure_future(wal.append(b"before"))
                await iterations(1)
                told: list[range | None] = []

                async def append() -> int:
                    try:
                        return await wal.append(b"victim")
                    except asyncio.CancelledError as error:
                        told.append(walogs.aio.outcome_of(error))
                        raise

                victim = asyncio.ensure_future(append())
                after = asyncio.ensure_future(wal.append(b"after"))
                await carry_out(order, log, victim.cancel)
                await finish(log, wal)
                await before
                await after
                if victim.cancelled():
                    return True, told[0] if told else None  # a task that never ran has not asked
                return False, range(victim.result(), victim.result() + 1)

        return main


async def carry_out(order: tuple[str, ...], log: walogs.Wal, cancel: Callable[[], object]) -> None:
    for event in order:
        if event == "iteration":
            await iterations(1)
        elif event == "commit":
            step(log)
        else:
            cancel()


async def finish(log: walogs.Wal, wal: walogs.aio.AsyncWal) -> None:
    """Commit all that is left."""
    appends = wal._appends()
    while appends._gathered or appends._waiting_for_room or appends._room_used:
        await iterations()
        step(log)
    await iterations()


# In the middle of a commit


class HeldStore(MemoryStore):
    """A store that holds a call of one method until it is let go."""

    def __init__(self, disk: MemoryDisk, method: str) -> None:
        super().__init__(disk)
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.is_armed = False
        self._method = method

    def _hold(self, method: str) -> None:
        if self.is_armed and method == self._method:
            self.is_armed = False
            self.entered.set()
            assert self.go_on.wait(SECONDS)

    def write(self, number: int, offset: int, data: Any) -> None:
        self._hold("write")
        super().write(number, offset, data)

    def sync(self, number: int, kind: Any) -> None:
        self._hold("sync")
        super().sync(number, kind)


async def until_set(event: threading.Event) -> None:
    while not event.is_set():
        await anyio.sleep(0.001)


@on_each_backend
@pytest.mark.parametrize("method", ["write", "sync"])
@pytest.mark.guarantee("G12", "G18")
def test_a_scope_that_is_cancelled_during_the_commit_gets_its_lsn(backend: str, method: str) -> None:
    disk = MemoryDisk()
    store = HeldStore(disk, method)

    async def main() -> None:
        async with walogs.aio.open(store=store) as wal:
            await wal.append(b"first")
            store.is_armed = True
            returned: list[int] = []
            with anyio.CancelScope() as outer:
                async with anyio.create_task_group() as group:

                    async def append() -> None:
                        returned.append(await wal.append(b"victim"))
                        await anyio.sleep(SECONDS)  # the cancellation comes here

                    group.start_soon(append)
                    await until_set(store.entered)
                    outer.cancel()
                    with anyio.CancelScope(shield=True):
                        await iterations(5)
                    assert returned == []
                    store.go_on.set()
            assert outer.cancelled_caught
            assert returned == [2]

    run_on(backend, main)
    assert carried_out(disk) == [b"first", b"victim"]


@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["cancel", "timeout", "group"])
@pytest.mark.parametrize("method", ["write", "sync"])
@pytest.mark.guarantee("G12", "G18")
def test_asyncio_s_own_cancellations_wait_for_the_outcome(backend: str, how: str, method: str) -> None:
    disk = MemoryDisk()
    store = HeldStore(disk, method)

    async def main() -> None:
        async with walogs.aio.open(store=store) as wal:
            await wal.append(b"first")
            store.is_armed = True
            ended: list[BaseException] = []
            limit = asyncio.timeout(None)

            async def append() -> None:
                try:
                    async with limit:
                        await wal.append(b"victim")
                except BaseException as error:
                    ended.append(error)
                    raise

            async def fail() -> None:
                raise ZeroDivisionError

            async def cancel() -> None:
                await until_set(store.entered)
                if how == "timeout":
                    limit.reschedule(asyncio.get_running_loop().time())
                elif how == "group":
                    group.create_task(fail())
                else:
                    for _ in range(3):  # a second cancellation does not cut the wait short
                        task.cancel()
                        await iterations()
                await iterations(5)
                await asyncio.sleep(0.01)
                assert ended == []
                assert not task.done()
                store.go_on.set()

            helper = asyncio.ensure_future(cancel())
            try:
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(append())
            except* (ZeroDivisionError, TimeoutError):
                pass
            await helper
            assert isinstance(ended[0], TimeoutError if how == "timeout" else asyncio.CancelledError)
            assert walogs.aio.outcome_of(ended[0]) == range(2, 3)

    run_on(backend, main)
    assert carried_out(disk) == [b"first", b"victim"]


@pytest.mark.guarantee("G7")
def test_outcome_of_raises_the_error_of_the_commit() -> None:
    store = HeldStore(MemoryDisk(), "sync")

    async def main() -> None:
        wal = await walogs.aio.open(store=store)
        await wal.append(b"first")
        store.is_armed = True
        task = asyncio.ensure_future(wal.append(b"victim"))
        await until_set(store.entered)
        task.cancel()
        await iterations()
        store.process.kill()
        store.go_on.set()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        with pytest.raises(walogs.OutcomeUnknown) as told:
            walogs.aio.outcome_of(caught.value)
        assert told.value.first_lsn == 2
        wal.sync_handle.closed = True
        wal.sync_handle._commits.abandon(lambda: None)
        wal._calls.close()

    asyncio.run(main())


def test_outcome_of_knows_only_its_own_append() -> None:
    """The append before it was committed, and is in the context of the error. The second one was withdrawn."""
    store = HeldStore(MemoryDisk(), "sync")

    async def main() -> None:
        async with walogs.aio.open(store=store) as wal:
            await wal.append(b"first")
            store.is_armed = True
            told: list[range | None] = []

            async def append_twice() -> None:
                try:
                    await wal.append(b"committed")
                except asyncio.CancelledError as error:
                    told.append(walogs.aio.outcome_of(error))
                    try:
                        async with asyncio.timeout(0):
                            await wal.append(b"withdrawn")
                    except TimeoutError as second:
                        told.append(walogs.aio.outcome_of(second))
                        raise

            task = asyncio.ensure_future(append_twice())
            await until_set(store.entered)
            task.cancel()
            await iterations()
            store.go_on.set()
            with pytest.raises(TimeoutError):
                await task
            assert told == [range(2, 3), None]
            for error in (ValueError(), asyncio.CancelledError()):
                with pytest.raises(LookupError, match="tells of no append"):
                    walogs.aio.outcome_of(error)

    asyncio.run(main())


# The other verbs


@on_each_backend
@pytest.mark.guarantee("G13")
def test_an_open_that_is_cancelled_leaves_no_lock(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    opened = opening.open

    def held(*args: Any, **options: Any) -> walogs.Wal:
        wal = opened(*args, **options)
        entered.set()
        assert go_on.wait(SECONDS)
        return wal

    monkeypatch.setattr(opening, "open", held)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(open_and_append)
            await until_set(entered)
            group.cancel_scope.cancel()
            go_on.set()

    async def open_and_append() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal:
            await wal.append(b"never")

    run_on(backend, main)
    with opened(tmp_path / "log") as wal:
        assert list(wal) == []


@on_each_backend
@pytest.mark.guarantee("G11", "G13")
def test_close_goes_on_in_a_cancelled_task(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with walogs.aio.open(tmp_path / "log") as wal:
                await wal.append(b"1")
                scope.cancel()
                await anyio.sleep(0)

    run_on(backend, main)
    with walogs.open(tmp_path / "log") as wal:
        assert list(wal) == [(1, b"1")]


@on_each_backend
def test_a_task_that_was_cancelled_before_starts_nothing(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log", max_segment_size=8192) as wal:
            await wal.append_batch([bytes(3000)] * 2)
            await wal.rotate()
            for verb in (lambda: wal.append(b"x"), lambda: wal.checkpoint(2), wal.rotate, wal.sync):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await verb()  # type: ignore[no-untyped-call]
                assert scope.cancelled_caught
            assert (wal.first_lsn, wal.last_lsn, await wal.segment_count()) == (1, 2, 2)

    run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G18")
def test_a_cancelled_neighbour_disturbs_nobody(backend: str) -> None:
    """A third of the tasks is cancelled at any moment, while a real commit thread commits."""
    disk = MemoryDisk()
    kept: list[bytes] = []

    async def main() -> None:
        async with walogs.aio.open(store=MemoryStore(disk)) as wal, anyio.create_task_group() as group:

            async def append(number: int) -> None:
                with anyio.CancelScope() as scope:
                    if number % 3 == 0:
                        cancels.append(scope)
                    await wal.append(b"%d" % number)
                    kept.append(b"%d" % number)

            cancels: list[anyio.CancelScope] = []
            for number in range(600):
                group.start_soon(append, number)
                if number % 7 == 0:
                    await iterations(1)
                    while cancels:
                        cancels.pop().cancel()

    run_on(backend, main)
    found = carried_out(disk)
    assert sorted(found) == sorted(kept)
    assert len([number for number in kept if int(number) % 3]) == 400
