"""Appends of tasks wait for room in bytes, in the order of their calls, and their data is copied only then."""

from __future__ import annotations

import tracemalloc
from typing import Any

import anyio
import pytest

import walogs
from tests.aio.backends import for_tasks, iterations, on_each_backend, run_on
from tests.kit.callers import step, stepped
from walogs.engine.pending_append import PENDING_APPEND_BYTES
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

MIB = 1 << 20


def test_ten_thousand_tasks_with_one_buffer_of_64_kib_stay_below_256_mib() -> None:
    """With a copy for each, they would take 625 MiB."""
    assert peak_of_tasks(10_000, "asyncio", queued_max=1000) < 256 * MIB


@on_each_backend
def test_tasks_with_one_buffer_do_not_copy_it_while_they_wait(backend: str) -> None:
    """With a copy for each, they would take 125 MiB."""
    assert peak_of_tasks(2000, backend, queued_max=16, max_queued_size=MIB) < 40 * MIB


def peak_of_tasks(count: int, backend: str, queued_max: int, **options: Any) -> int:
    """Return how many bytes are in use at most while so many tasks append one buffer of 64 KiB.

    The store keeps 1,000 bytes of each commit.
    """
    stored: list[int] = []

    class Counting(MemoryImmutableStore):
        def create(self, number: int, data: object) -> None:
            stored.append(number)
            super().create(number, bytes(data)[:1000])  # type: ignore[call-overload]

    shared = bytearray(64 * 1024)
    log = stepped(Counting(MemoryCloud()), **options)

    async def main() -> None:
        wal = for_tasks(log)
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(wal.append, shared)
            await iterations()
            assert len(log._commits._queue) < queued_max
            while wal.next_lsn <= count:
                step(log)
                await iterations()
        wal._calls.close()

    tracemalloc.start()
    try:
        run_on(backend, main)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert log.stats().entries == count
    log.closed = True
    return peak


def test_a_waiting_append_takes_less_than_a_kibibyte() -> None:
    """Beside its data and its task. Those that are queued are counted with more (PENDING_APPEND_BYTES)."""
    log = stepped(MemoryStore(MemoryDisk()), max_queued_size=1)
    count = 2000

    async def main() -> None:
        wal = for_tasks(log)

        async def wait_for(what: anyio.Event) -> None:
            await what.wait()

        async with anyio.create_task_group() as group:
            event = anyio.Event()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(count):
                group.start_soon(wait_for, event)
            await iterations()
            tasks = tracemalloc.get_traced_memory()[0] - before
            event.set()
            await iterations()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(count):
                group.start_soon(wal.append, b"")
            await iterations()
            appends = tracemalloc.get_traced_memory()[0] - before
            assert (appends - tasks) / count < 1024
            assert appends / count > 300, "what is measured is there"
            group.cancel_scope.cancel()
        wal._calls.close()

    tracemalloc.start()
    try:
        run_on("asyncio", main)
    finally:
        tracemalloc.stop()
        log.close()


@on_each_backend
def test_room_is_given_in_the_order_of_the_calls(backend: str) -> None:
    with stepped(MemoryStore(MemoryDisk()), max_queued_size=2 * PENDING_APPEND_BYTES + 2) as log:
        order: list[int] = []

        async def main() -> None:
            wal = for_tasks(log)

            async def append(number: int, size: int) -> None:
                await wal.append(bytes([number]) * size)

            async with anyio.create_task_group() as group:
                # The second is larger than the room that is left, and larger than all room together.
                for number, size in enumerate([1, 50_000, 1, 1, 1]):
                    group.start_soon(append, number, size)
                    await iterations(1)
                while log.next_lsn <= 5:
                    await iterations()
                    order.append(len(log._commits._queue))
                    step(log)
            wal._calls.close()

        run_on(backend, main)
        assert [data[0] for _, data in log] == [0, 1, 2, 3, 4]
        assert order[:4] == [1, 1, 2, 1]


@on_each_backend
def test_cancelled_appends_give_their_room_to_others(backend: str) -> None:
    """One is cancelled before it is handed over, one in the queue, and one while it waits for room."""
    with stepped(MemoryStore(MemoryDisk()), max_queued_size=1) as log:

        async def main() -> None:
            wal = for_tasks(log)

            async def append(data: bytes, scopes: list[anyio.CancelScope]) -> None:
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    await wal.append(data)

            for waits in (0, 3):
                scopes: list[anyio.CancelScope] = []
                async with anyio.create_task_group() as group:
                    for data in (b"a", b"b", b"c"):
                        group.start_soon(append, data, scopes)
                        await iterations(1)
                    await iterations(waits)
                    scopes[0].cancel()
                    scopes[1].cancel()
                    while wal.last_lsn < (waits > 0) + 1:
                        await iterations()
                        step(log)
            wal._calls.close()

        run_on(backend, main)
        assert {data for _, data in log} <= {b"a", b"c"}
        assert [data for _, data in log].count(b"c") == 2


@on_each_backend
def test_a_buffer_that_is_released_while_it_waits_fails_alone(backend: str) -> None:
    with stepped(MemoryStore(MemoryDisk()), max_queued_size=1) as log:
        refused: list[str] = []

        async def main() -> None:
            wal = for_tasks(log)
            view = memoryview(bytearray(b"view"))

            async def append_view() -> None:
                try:
                    await wal.append(view)
                except ValueError as error:
                    refused.append(str(error))

            async with anyio.create_task_group() as group:
                group.start_soon(wal.append, b"first")
                await iterations(1)
                group.start_soon(append_view)
                await iterations(1)
                group.start_soon(wal.append, b"last")
                await iterations()
                view.release()
                while log.next_lsn < 3:
                    step(log)
                    await iterations()
            wal._calls.close()

        run_on(backend, main)
        assert [data for _, data in log] == [b"first", b"last"]
        assert len(refused) == 1


@on_each_backend
@pytest.mark.guarantee("G7")
def test_close_commits_what_was_queued_and_refuses_what_waits_for_room(backend: str) -> None:
    disk = MemoryDisk()
    told: dict[bytes, object] = {}

    async def main() -> None:
        wal = await walogs.aio.open(store=MemoryStore(disk), max_queued_size=1)

        async def append(data: bytes) -> None:
            try:
                told[data] = await wal.append(data)
            except walogs.Closed as error:
                told[data] = error

        async with anyio.create_task_group() as group:
            for data in (b"a", b"b"):
                group.start_soon(append, data)
            with wal.sync_handle._commits.turns._mutex:  # no commit can begin meanwhile
                await iterations()
                group.start_soon(wal.close)
                await iterations()

    run_on(backend, main)
    assert told.keys() == {b"a", b"b"}
    with walogs.open(store=MemoryStore(disk)) as again:
        assert {data for _, data in again} == {data for data, outcome in told.items() if isinstance(outcome, int)}


@on_each_backend
@pytest.mark.guarantee("G1")
def test_sync_covers_appends_that_wait_for_room(backend: str) -> None:
    async def main() -> None:
        async with (
            walogs.aio.open(store=MemoryStore(MemoryDisk()), sync="none", max_queued_size=1) as wal,
            anyio.create_task_group() as group,
        ):
            for _ in range(50):
                group.start_soon(wal.append, b"x")
            while not wal._appends_of or wal._appends()._waiting_for_room == 0:
                await iterations(1)
            while len(wal._appends()._waiting_for_room) + wal.last_lsn < 40:
                await iterations(1)
            called = len(wal._appends()._waiting_for_room) + wal.last_lsn
            await wal.sync()
            assert wal.durable_lsn >= called

    run_on(backend, main)


@on_each_backend
def test_a_task_that_waits_for_room_ends_the_interval(backend: str) -> None:
    """Otherwise each roomful of entries would wait for an hour."""
    store = MemoryImmutableStore(MemoryCloud())

    async def main() -> None:
        policy = walogs.IntervalPolicy(time=3600, bytes=None)
        async with walogs.aio.open(store=store, sync=policy, max_queued_size=3 * PENDING_APPEND_BYTES) as wal:
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(wal.append, b"")
                with anyio.fail_after(200):
                    while wal.last_lsn < 15:
                        await anyio.sleep(0.001)
                    await wal.sync()
            assert wal.last_lsn == 20

    run_on(backend, main)


@on_each_backend
def test_a_buffer_that_grows_while_it_waits_is_refused(backend: str) -> None:
    """Its size was checked when `append` was called."""
    with stepped(MemoryStore(MemoryDisk()), max_queued_size=1, max_entry_size=100) as log:
        refused: list[str] = []

        async def main() -> None:
            wal = for_tasks(log)
            buffer = bytearray(10)

            async def append() -> None:
                try:
                    await wal.append(buffer)
                except BufferError as error:
                    refused.append(str(error))

            async with anyio.create_task_group() as group:
                group.start_soon(wal.append, b"first")
                await iterations(1)
                group.start_soon(append)
                await iterations()
                buffer.extend(bytes(1000))
                while not refused:
                    step(log)
                    await iterations()
            wal._calls.close()

        run_on(backend, main)
        assert [data for _, data in log] == [b"first"]
        assert "resized" in refused[0]
