"""Iterating and following in tasks: read ahead within bounds, and nothing is lost or skipped."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

import walogs
import walogs.aio
from tests.aio.backends import for_tasks, iterations, on_each_backend, run_on
from tests.kit.callers import SECONDS
from walogs.aio.calls import ThreadCalls
from walogs.aio.streams import CHUNK_ITEMS, AsyncStream, Chunk, Reading, data_bytes, read_chunk
from walogs.handles import following
from walogs.testing import FAILED_SYNC, MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore


async def until(is_so) -> None:  # type: ignore[no-untyped-def]
    with anyio.fail_after(SECONDS):
        while not is_so():
            await anyio.sleep(0.001)


@on_each_backend
@pytest.mark.parametrize(("count", "size"), [(0, 0), (1, 0), (CHUNK_ITEMS, 1), (3 * CHUNK_ITEMS + 1, 1), (7, 600_000)])
def test_every_chunk_is_returned_once_and_in_order(backend: str, count: int, size: int) -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as log:
        for at in range(0, count, 500):
            log.append_batch([bytes(size)] * min(500, count - at))

        async def main() -> None:
            wal = for_tasks(log)
            assert [lsn async for lsn, _ in wal] == list(range(1, count + 1))
            wal._calls.close()

        run_on(backend, main)


@on_each_backend
def test_what_came_before_the_timeout_is_returned_even_if_nothing_told_of_it(backend: str) -> None:
    chunks = [Chunk([1], None, is_last=True), Chunk([2], None, is_last=True), Chunk([], None, is_last=True)]

    async def nothing_comes(_: float | None) -> bool:
        return False

    async def main() -> None:
        calls = ThreadCalls(1, "test")
        stream = AsyncStream(calls, lambda: chunks.pop(0), nothing_comes, 0.0)
        assert [item async for item in stream] == [1, 2]
        assert chunks == []
        calls.close()

    run_on(backend, main)


@on_each_backend
def test_a_slow_consumer_has_at_most_two_chunks_read(backend: str) -> None:
    taken = 0

    def entries() -> Iterator[tuple[int, bytes]]:
        nonlocal taken
        for lsn in range(1, 10 * CHUNK_ITEMS):
            taken += 1
            yield lsn, b""

    async def main() -> None:
        calls = ThreadCalls(1, "test")
        stream = AsyncStream(calls, Reading(entries, data_bytes).read)
        for chunk in range(1, 4):
            for _ in range(CHUNK_ITEMS):
                await anext(stream)
            await until(lambda chunk=chunk: taken >= min(chunk + 1, 10) * CHUNK_ITEMS)
            await iterations(20)
            await calls.run(int)  # whatever the thread was asked for is done
            assert taken == (chunk + 1) * CHUNK_ITEMS
        calls.close()

    run_on(backend, main)


@on_each_backend
def test_a_cancelled_step_loses_no_entry(backend: str) -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as log:
        log.append_batch([b""] * (2 * CHUNK_ITEMS))

        async def main() -> None:
            wal = for_tasks(log)
            stream, found = wal.iter(), []
            while len(found) < 2 * CHUNK_ITEMS:
                with anyio.CancelScope() as scope:
                    if len(found) % CHUNK_ITEMS == 0 and not scope.cancel_called:
                        scope.cancel()
                    found.append((await anext(stream))[0])
                if scope.cancelled_caught:
                    found.append((await anext(stream))[0])
            assert found == list(range(1, 2 * CHUNK_ITEMS + 1))
            wal._calls.close()

        run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G6")
def test_the_entries_before_a_damaged_one_come_before_the_error(backend: str, tmp_path: Path) -> None:
    def entries() -> Iterator[tuple[int, bytes]]:
        yield 1, b"1"
        raise walogs.Corrupt("entry 2 is damaged")

    async def main() -> None:
        calls = ThreadCalls(1, "test")
        stream = AsyncStream(calls, lambda: read_chunk(reading, data_bytes))
        reading = entries()
        assert await anext(stream) == (1, b"1")
        with pytest.raises(walogs.Corrupt):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        calls.close()

    run_on(backend, main)


@on_each_backend
def test_two_tasks_on_one_stream_are_told(backend: str) -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as log:

        async def main() -> None:
            wal = for_tasks(log)
            stream = wal.follow()
            async with anyio.create_task_group() as group:
                group.start_soon(anext, stream)
                await iterations()
                with pytest.raises(anyio.BusyResourceError):
                    await anext(stream)
                await wal.append(b"x")
            wal._calls.close()

        run_on(backend, main)


# Following


@on_each_backend
@pytest.mark.parametrize("kind", ["appendable", "immutable"])
def test_a_follower_sees_each_entry_once_while_others_append(backend: str, kind: str) -> None:
    count = 300
    store = MemoryStore(MemoryDisk()) if kind == "appendable" else MemoryImmutableStore(MemoryCloud())

    async def main() -> None:
        async with walogs.aio.open(store=store) as wal:
            found: dict[int, list[int]] = {start: [] for start in (1, 2, 100)}

            async def follow(start: int) -> None:
                async for lsn, _ in wal.follow(start):
                    found[start].append(lsn)
                    if lsn == count:
                        return

            async with anyio.create_task_group() as group:
                for start in found:
                    group.start_soon(follow, start)
                for _ in range(count // 3):
                    await wal.append(b"x")
                    await wal.append_batch([b"y", b"z"])
            assert found == {start: list(range(start, count + 1)) for start in found}

    run_on(backend, main)


@on_each_backend
def test_a_follower_holds_no_thread_and_wakes_at_an_append(backend: str) -> None:
    """More followers than threads wait, and verbs still find a thread."""

    async def main() -> None:
        async with walogs.aio.open(store=MemoryStore(MemoryDisk())) as wal:
            found: list[bytes] = []

            async def follow() -> None:
                async for _, data in wal.follow():
                    found.append(data)
                    return

            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(follow)
                await until(lambda: len(wal.sync_handle._commits._followers) == 20)
                await wal.sync()
                assert found == []
                await wal.append(b"x")
            assert found == [b"x"] * 20
            assert len(wal.sync_handle._commits._followers) == 0

    run_on(backend, main)


@on_each_backend
def test_a_follower_ends_after_its_timeout_and_not_before_what_is_there(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal, walogs.aio.reader(tmp_path / "log") as reader:
            await wal.append_batch([b"x"] * 3)
            for handle in (wal, reader):
                assert [lsn async for lsn, _ in handle.follow(timeout=0)] == [1, 2, 3]
                assert [lsn async for lsn, _ in handle.follow(3, timeout=0.01)] == [3]
                assert [lsn async for lsn, _ in handle.follow(4, timeout=0.01)] == []

    run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G11")
def test_a_follower_is_told_what_a_checkpoint_removed_under_it(backend: str) -> None:
    async def main() -> None:
        async with walogs.aio.open(store=MemoryStore(MemoryDisk()), max_segment_size=8192) as wal:
            await wal.append(b"1")
            follower = wal.follow(1)
            assert await anext(follower) == (1, b"1")
            for _ in range(3):
                await wal.append(bytes(3000))
                await wal.rotate()
            await wal.checkpoint(3)

            async def drain() -> None:
                async for _ in follower:
                    pass

            with pytest.raises(walogs.Checkpointed):
                await drain()

    run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G7")
def test_a_follower_ends_when_the_log_is_closed_or_poisoned(backend: str) -> None:
    async def main(error: type[walogs.WalError]) -> None:
        disk = MemoryDisk()
        wal = await walogs.aio.open(store=MemoryStore(disk))
        told: list[BaseException] = []

        async def follow() -> None:
            try:
                await anext(wal.follow())
            except walogs.WalError as told_error:
                told.append(told_error)

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await until(lambda: len(wal.sync_handle._commits._followers) == 1)
            if error is walogs.Poisoned:
                disk.arm(1, FAILED_SYNC, rng=random.Random(1))
                with pytest.raises(walogs.OutcomeUnknown):
                    await wal.append(b"x")
            else:
                await wal.close()
        assert [type(each) for each in told] == [error]
        await wal.close()  # it was told, so close does not raise it again

    for error in (walogs.Closed, walogs.Poisoned):
        run_on(backend, lambda error=error: main(error))


@on_each_backend
@pytest.mark.parametrize("kind", ["local", "memory", "immutable"])
@pytest.mark.guarantee("G14")
def test_a_reader_follows_beside_the_writer_and_its_close_ends_that(backend: str, kind: str, tmp_path: Path) -> None:
    disk, cloud = MemoryDisk(), MemoryCloud()

    def place() -> dict[str, object]:
        if kind == "local":
            return {"path": tmp_path / "log"}
        return {"store": MemoryStore(disk) if kind == "memory" else MemoryImmutableStore(cloud)}

    async def main() -> None:
        async with walogs.aio.open(**place()) as wal:  # type: ignore[arg-type]
            await wal.append(b"first")
            reader = await walogs.aio.reader(**place())  # type: ignore[arg-type]
            found: list[int] = []
            ended: list[BaseException] = []

            async def follow() -> None:
                try:
                    async for lsn, _ in reader.follow():
                        found.append(lsn)
                except walogs.Closed as error:
                    ended.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(follow)
                for lsn in range(2, 30):
                    await wal.append(b"x")
                    if lsn == 10:
                        assert await reader.last_lsn() >= 1  # beside the follower
                await until(lambda: len(found) == 29)
                await reader.close()
            assert found == list(range(1, 30))
            assert len(ended) == 1

    run_on(backend, main)


@on_each_backend
@pytest.mark.skipif(sys.platform != "linux", reason="inotify is of Linux")
@pytest.mark.parametrize("closes", ["task", "thread"])
@pytest.mark.guarantee("G14")
def test_a_task_is_told_of_each_append_and_of_the_close(
    backend: str, closes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is told, it would look again only after the time in which a test hangs."""
    monkeypatch.setattr(following, "WATCHED_SECONDS", 100 * SECONDS)

    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal:
            reader = await walogs.aio.reader(tmp_path / "log")
            found: list[int] = []
            ended: list[BaseException] = []

            async def follow() -> None:
                try:
                    async for lsn, _ in reader.follow(1):
                        found.append(lsn)
                except walogs.Closed as error:
                    ended.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(follow)
                for lsn in range(1, 20):
                    await wal.append(b"x")
                    await until(lambda lsn=lsn: found[-1:] == [lsn])
                if closes == "task":
                    await reader.close()
                else:
                    thread = threading.Thread(target=reader.sync_handle.close)
                    thread.start()
                    await until(lambda: len(ended) == 1)
                    thread.join()
                    await reader.close()
            assert found == list(range(1, 20))
            assert len(ended) == 1

    run_on(backend, main)


def test_a_stream_can_be_left_and_closed(tmp_path: Path) -> None:
    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal:
            await wal.append_batch([b"x"] * 10)
            async with wal.iter() as stream:
                async for lsn, _ in stream:
                    if lsn == 3:
                        break
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    asyncio.run(main())


@on_each_backend
@pytest.mark.guarantee("G14")
def test_a_reader_whose_steps_are_cut_short_still_gets_what_is_new(backend: str, tmp_path: Path) -> None:
    """Each step is cancelled sooner than it looks. The next one goes on waiting where this one was."""

    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal, walogs.aio.reader(tmp_path / "log") as reader:
            await wal.append(b"x")
            follower = reader.follow(poll=0.05)
            assert await anext(follower) == (1, b"x")
            await wal.append(b"y")
            found: list[int] = []
            with anyio.fail_after(SECONDS):
                while not found:
                    with anyio.move_on_after(0.01):
                        found.append((await anext(follower))[0])
            assert found == [2]

    run_on(backend, main)


@on_each_backend
@pytest.mark.parametrize("kind", ["iter", "follow"])
def test_a_stream_that_is_closed_during_a_step_ends_there(backend: str, kind: str) -> None:
    go_on = threading.Event()

    class Slow(MemoryStore):
        is_slow = False

        def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
            assert not self.is_slow or go_on.wait(SECONDS)
            return super().read(number, start, end)

    async def main() -> None:
        store = Slow(MemoryDisk())
        async with walogs.aio.open(store=store) as wal:
            await wal.append(b"x")
            store.is_slow = kind == "iter"
            stream = wal.iter() if kind == "iter" else wal.follow(2)
            ended: list[bool] = []

            async def step() -> None:
                try:
                    await anext(stream)
                except StopAsyncIteration:
                    ended.append(True)

            async with anyio.create_task_group() as group:
                group.start_soon(step)
                await iterations(5)
                await stream.aclose()
            assert ended == [True]
            go_on.set()

    run_on(backend, main)
