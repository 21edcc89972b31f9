"""Many loops and threads on one log; loops that end with appends in flight; forks; and an exit without a close."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

import walogs
import walogs.aio
from tests.aio.backends import BACKENDS, for_tasks, iterations, on_each_backend, run_on
from tests.kit.callers import SECONDS, made, no_thread, step, stepped
from walogs.testing import MemoryDisk, MemoryStore


@pytest.mark.guarantee("G18")
def test_tasks_of_three_loops_and_two_threads_append_to_one_log() -> None:
    count, log = 200, walogs.open(store=MemoryStore(MemoryDisk()))
    wal = for_tasks(log)
    failures: list[BaseException] = []

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(wal.append, b"task")

    def guarded(call: object) -> None:
        try:
            call()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    def append_in_a_thread() -> None:
        for _ in range(count):
            log.append(b"thread")

    runs = [lambda backend=backend: anyio.run(main, **BACKENDS[backend]) for backend in ("asyncio", "asyncio", "trio")]
    threads = [threading.Thread(target=guarded, args=(call,)) for call in (*runs, *[append_in_a_thread] * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert failures == []
    found = [data for _, data in log]
    assert (found.count(b"task"), found.count(b"thread")) == (3 * count, 2 * count)
    anyio.run(wal.close)


@on_each_backend
@pytest.mark.guarantee("G18")
def test_a_loop_that_ends_with_an_append_in_flight_harms_nobody(backend: str) -> None:
    """What was handed over is committed. Nobody of the ended loop is told, and other loops go on."""
    with stepped(MemoryStore(MemoryDisk())) as log:
        wal = for_tasks(log)

        async def leave() -> None:
            append = wal.append(b"left alone")
            append.send(None)  # suspended for good: its task never runs again
            abandoned.append(append)
            await iterations()

        abandoned: list[object] = []
        run_on(backend, leave)
        assert len(log._commits._queue) == 1
        step(log)
        assert log.last_lsn == 1

        async def go_on() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(wal.append, b"another loop")
                await iterations()
                step(log)

        run_on(backend, go_on)
        assert [data for _, data in log] == [b"left alone", b"another loop"]
        assert len(wal._appends_of) == 1, "the ended loop is forgotten"
        wal._calls.close()
        abandoned.clear()


def test_an_asyncio_loop_that_is_closed_under_its_tasks_leaves_the_log_usable() -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as log:
        wal = for_tasks(log)
        loop = asyncio.new_event_loop()
        task = loop.create_task(wal.append(b"1"))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        assert asyncio.run(wal.append(b"2")) in (1, 2)
        wal._calls.close()


FORK = """
import asyncio, os, sys, walogs, walogs.aio

async def main():
    async with walogs.aio.open(sys.argv[1]) as wal:
        await wal.append(b"parent")
        pid = os.fork()
        if pid == 0:
            for verb in (lambda: wal.append(b"child"), wal.sync, lambda: wal.read(1)):
                try:
                    await verb()
                except walogs.Closed as error:
                    print("Closed:", "before the fork" in str(error), flush=True)
            await wal.close()
            os._exit(0)
        os.waitpid(pid, 0)
        await wal.append(b"parent again")
asyncio.run(main())
"""


@pytest.mark.guarantee("G18")
def test_a_forked_child_is_refused_and_the_parent_goes_on(tmp_path: Path) -> None:
    """Even in the child of a task, whose loop is a copy of its parent's, each verb ends."""
    run = [sys.executable, "-W", "ignore", "-c", FORK, str(tmp_path / "log")]
    printed = subprocess.run(run, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (printed.stderr, printed.returncode) == ("", 0)
    assert printed.stdout.split("\n") == ["Closed: True"] * 3 + [""]
    with walogs.open(tmp_path / "log") as wal:
        assert list(wal) == [(1, b"parent"), (2, b"parent again")]


EXIT = """
import sys, anyio, walogs.aio

async def main():
    wal = await walogs.aio.open(sys.argv[1])
    print(await wal.append(b"acknowledged"), flush=True)
    if sys.argv[3] == "follow":
        async with anyio.create_task_group() as group:
            group.start_soon(anext, wal.follow(2))
            await anyio.sleep(0.01)
            sys.exit()
anyio.run(main, backend=sys.argv[2])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("how", ["end", "follow"])
@pytest.mark.guarantee("G1", "G18")
def test_a_program_that_ends_without_a_close_ends(backend: str, how: str, tmp_path: Path) -> None:
    run = [sys.executable, "-W", "ignore", "-c", EXIT, str(tmp_path / "log"), backend, how]
    printed = subprocess.run(run, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert printed.stdout == "1\n", printed.stderr
    with walogs.open(tmp_path / "log") as wal:
        assert list(wal) == [(1, b"acknowledged")]


def test_uvloop_runs_where_it_is_said_to() -> None:
    """On Pythons without uvloop, its tests are skipped; on the others they must not be."""
    if sys.version_info < (3, 15):
        import uvloop

        assert uvloop.new_event_loop is not None


@pytest.mark.guarantee("G18")
def test_a_commit_thread_that_cannot_be_started_fails_the_append_and_writes_nothing() -> None:
    with made(MemoryStore(MemoryDisk()), no_thread) as log:
        wal = for_tasks(log)

        async def main() -> None:
            with pytest.raises(RuntimeError, match="commit thread cannot be started"):
                await wal.append(b"x")

        asyncio.run(main())
        assert log.next_lsn == 1
        assert log.append(b"by itself") == 1
        wal._calls.close()
