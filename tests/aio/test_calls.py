"""Verbs run on threads of their own: what is given up is not made, what was refused is not made later."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

import walogs
import walogs.aio
from tests.aio.backends import iterations, on_each_backend, run_on
from tests.kit.callers import SECONDS
from walogs.aio import calls as calls_module
from walogs.aio.calls import ThreadCalls
from walogs.testing import FAILED_SYNC, MemoryDisk, MemoryStore


@on_each_backend
def test_calls_whose_tasks_have_left_are_not_made(backend: str) -> None:
    go_on, made = threading.Event(), []

    async def main() -> None:
        calls = ThreadCalls(1, "test")
        async with anyio.create_task_group() as group:
            group.start_soon(calls.run, lambda: go_on.wait(SECONDS))
            await iterations()
            for number in range(100):
                with anyio.move_on_after(0):
                    await calls.run(lambda number=number: made.append(number))
                with anyio.CancelScope() as scope:
                    group.start_soon(cancel_soon, scope)
                    await calls.run(lambda number=number: made.append(number))
            go_on.set()
        assert await calls.run(lambda: "the next one") == "the next one"
        assert made == []
        calls.close()

    async def cancel_soon(scope: anyio.CancelScope) -> None:
        await iterations(1)
        scope.cancel()

    run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G18")
def test_where_no_thread_can_be_started_nothing_is_begun_and_close_still_closes(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: object) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        wal = await walogs.aio.open(tmp_path / "log")
        await wal.append_batch([b"x"] * 2000)
        wal._calls = ThreadCalls(1, "test")
        monkeypatch.setattr(calls_module, "start_thread", refuse)
        stream = AsyncCalls(wal)
        for verb in (wal.sync, wal.rotate, lambda: wal.checkpoint(2000), lambda: wal.read(1), stream.step):
            with pytest.raises(RuntimeError, match="no more threads"):
                await verb()
        assert (wal.first_lsn, len(wal.sync_handle.segments())) == (1, 1)
        await wal.close()
        assert wal.closed

    class AsyncCalls:
        def __init__(self, wal: walogs.aio.AsyncWal) -> None:
            for worker in (*wal._calls._workers, *wal._verbs._workers):
                worker.service._spawn = refuse
            self._stream = wal.iter()

        async def step(self) -> object:
            return await anext(self._stream)

    run_on(backend, main)
    with walogs.open(tmp_path / "log") as wal:
        assert wal.last_lsn == 2000


@on_each_backend
@pytest.mark.guarantee("G7")
def test_a_read_that_hangs_delays_no_close(backend: str) -> None:
    go_on = threading.Event()

    class Hanging(MemoryStore):
        hangs = False

        def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
            assert not self.hangs or go_on.wait(SECONDS)
            return super().read(number, start, end)

    async def main() -> None:
        store = Hanging(MemoryDisk())
        async with walogs.aio.open(store=store) as wal:
            await wal.append(b"x")
            await wal.rotate()
            await wal.append(b"y")
            store.hangs = True
            for _ in range(10):
                with anyio.move_on_after(0.001):
                    await wal.read(1)
            await wal.sync()
            assert await wal.append(b"z") == 3
        assert not go_on.is_set()
        go_on.set()

    run_on(backend, main)


@pytest.mark.guarantee("G7")
def test_a_sync_that_fails_in_a_cancelled_task_is_raised_by_close() -> None:
    """The task raises its cancellation, so nobody else learns of the entries in doubt."""
    disk = MemoryDisk()
    entered, go_on = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def sync(self, number: int, kind: Any) -> None:
            if entered.is_set() is False and armed:
                entered.set()
                assert go_on.wait(SECONDS)
                disk.arm(1, FAILED_SYNC, rng=random.Random(1))
            super().sync(number, kind)

    armed: list[bool] = []

    async def main() -> None:
        wal = await walogs.aio.open(store=Slow(disk), sync="none")
        await wal.append(b"in doubt")
        armed.append(True)
        task = asyncio.ensure_future(wal.sync())
        while not entered.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await iterations()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(walogs.OutcomeUnknown):
            await wal.close()
        assert wal.closed

    asyncio.run(main())


@pytest.mark.guarantee("G18")
def test_a_worker_is_not_kept_from_its_cancellation_by_a_scope_that_ended_first() -> None:
    """Both arrive during the commit. The scope swallows its own cancellation, but not the task's."""
    entered, go_on = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        is_armed = False

        def sync(self, number: int, kind: Any) -> None:
            if self.is_armed:
                entered.set()
                assert go_on.wait(SECONDS)
            super().sync(number, kind)

    async def main(order: tuple[str, str]) -> None:
        store = Slow(MemoryDisk())
        async with walogs.aio.open(store=store) as wal:
            await wal.append(b"first")
            store.is_armed = True
            scopes: list[anyio.CancelScope] = []

            async def work() -> None:
                while True:
                    with anyio.CancelScope() as scope:
                        scopes.append(scope)
                        await wal.append(b"x")

            task = asyncio.ensure_future(work())
            while not entered.is_set():
                await asyncio.sleep(0.001)
            for what in order:
                scopes[0].cancel() if what == "scope" else task.cancel()
                if "together" not in order:
                    await iterations()
            await iterations()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task

    for order in (("scope", "task"), ("task", "scope")):
        entered.clear()
        go_on.clear()
        asyncio.run(main(order))


@on_each_backend
def test_a_log_is_opened_once_by_each_call(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        opening = walogs.aio.open(tmp_path / "log")
        async with opening:
            with pytest.raises(RuntimeError, match="opened before"):
                await opening

    run_on(backend, main)


@pytest.mark.filterwarnings("ignore:.*was not closed:ResourceWarning")
@pytest.mark.guarantee("G13")
def test_a_handle_that_is_dropped_frees_its_lock_without_the_collector(tmp_path: Path) -> None:
    async def main() -> None:
        wal = await walogs.aio.open(tmp_path / "log")
        await wal.append(b"x")
        del wal

    asyncio.run(main())
    with walogs.open(tmp_path / "log", wait=SECONDS) as again:
        assert list(again) == [(1, b"x")]


def test_a_log_is_appended_to_and_closed_when_the_main_thread_has_ended(tmp_path: Path) -> None:
    """From Python 3.12 on no thread can be started then."""
    program = """
import asyncio, sys, threading, time, walogs.aio
async def main():
    async with walogs.aio.open(sys.argv[1]) as wal:
        opened.set()
        while threading.main_thread().is_alive():
            await asyncio.sleep(0.001)
        print(await wal.append(b"x"), flush=True)
opened = threading.Event()
threading.Thread(target=lambda: asyncio.run(main())).start()
opened.wait()
"""
    run = [sys.executable, "-c", program, str(tmp_path / "log")]
    told = subprocess.run(run, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (told.stdout, told.stderr) == ("1\n", "")
    with walogs.open(tmp_path / "log") as wal:
        assert list(wal) == [(1, b"x")]
