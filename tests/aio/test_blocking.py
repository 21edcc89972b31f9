"""Nothing of the handles for tasks touches the store on the loop's thread, and a slow store holds no other task."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

import walogs.aio
from tests.aio.backends import on_each_backend, run_on
from tests.kit.callers import SECONDS
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

CALLS = frozenset(
    {
        "acquire",
        "close",
        "create",
        "drop_durable_mark",
        "extend",
        "read",
        "read_durable_mark",
        "remove",
        "segments",
        "size",
        "sync",
        "trim",
        "write",
        "write_durable_mark",
        "zero_from",
    }
)


def watched(store: Any, calls: list[str], forbidden: list[int]) -> Any:
    """Return the store, which notes its calls on the threads *forbidden* as "loop: NAME", and others as "NAME"."""
    for name in CALLS:
        method = getattr(store, name, None)
        if method is not None:

            def noted(*args: Any, name: str = name, method: Any = method, **options: Any) -> Any:
                on_loop = threading.get_ident() in forbidden
                calls.append(f"loop: {name}" if on_loop else name)
                return method(*args, **options)

            setattr(store, name, noted)
    return store


@on_each_backend
@pytest.mark.parametrize("kind", ["appendable", "immutable"])
def test_no_verb_touches_the_store_on_the_loop_s_thread(backend: str, kind: str) -> None:
    calls: list[str] = []
    loops: list[int] = []
    disk, cloud = MemoryDisk(), MemoryCloud()

    def store() -> Any:
        bare = MemoryStore(disk) if kind == "appendable" else MemoryImmutableStore(cloud)
        return watched(bare, calls, loops)

    async def main() -> None:
        loops.append(threading.get_ident())
        async with walogs.aio.open(store=store(), max_segment_size=8192) as wal:
            await wal.append(b"1")
            await wal.append_batch([bytes(3000)] * 2)
            await wal.rotate()
            await wal.append(b"4")
            await wal.sync()
            assert len([entry async for entry in wal]) == 4
            assert len([entry async for entry in wal.follow(timeout=0)]) == 4
            await wal.read(2)
            assert [commit async for commit in wal.commits()]
            await wal.segments()
            await wal.segment_count()
            await wal.stats()
            await wal.append_batch([])
            repr(wal)
            async with walogs.aio.reader(store=store()) as reader:
                assert len([entry async for entry in reader]) == 4
                assert len([entry async for entry in reader.follow(timeout=0)]) == 4
                await reader.read(2)
                assert [commit async for commit in reader.commits()]
                await reader.first_lsn()
                await reader.last_lsn()
                repr(reader)
            await wal.checkpoint(3)
        assert wal.closed

    run_on(backend, main)
    assert [call for call in calls if call.startswith("loop: ")] == []
    assert {"create", "read", "remove", "segments"} <= set(calls), "the watch sees calls"


@on_each_backend
def test_other_tasks_run_while_a_store_is_slow(backend: str) -> None:
    """The store waits for them, in each kind of call."""

    class Waiting(MemoryStore):
        is_slow = False

        def _wait(self) -> None:
            if self.is_slow:
                asked.set()
                assert answered.wait(SECONDS)
                asked.clear()
                answered.clear()

        def sync(self, number: int, kind: Any) -> None:
            self._wait()
            super().sync(number, kind)

        def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
            self._wait()
            return super().read(number, start, end)

    asked, answered = threading.Event(), threading.Event()
    store = Waiting(MemoryDisk())

    async def main() -> None:
        async with walogs.aio.open(store=store) as wal:
            await wal.append(b"1")
            store.is_slow = True

            async def answer() -> None:
                while True:
                    if asked.is_set():
                        answered.set()
                    await anyio.sleep(0.001)

            async with anyio.create_task_group() as group:
                group.start_soon(answer)
                assert await wal.append(b"2") == 2
                assert [entry async for entry in wal] == [(1, b"1"), (2, b"2")]
                assert await wal.read(1) == b"1"
                store.is_slow = False
                answered.set()
                group.cancel_scope.cancel()

    run_on(backend, main)
