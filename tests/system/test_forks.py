"""A forked child cannot write, cannot free the lock, and cannot keep it, whatever the parent does meanwhile."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from operator import attrgetter
from pathlib import Path

import pytest

import walogs
from tests.kit.callers import SECONDS, Callers, step, stepped
from tests.system.children import Child, forked, program, run, said
from tests.system.ledger import Ledger
from walogs.testing import MemoryDisk, MemoryStore


def held(path: Path) -> list[str]:
    """Return the files below *path* that this process has open."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            name = os.readlink(f"/proc/self/fd/{fd}")
            if name.startswith(str(path)):
                found.append(name)
    return sorted(found)


def fingerprint(path: Path) -> dict[str, tuple[bytes, int]]:
    return {name: ((path / name).read_bytes(), (path / name).stat().st_mtime_ns) for name in os.listdir(path)}


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize(
    "verb",
    [
        lambda wal: wal.append(b"child"),
        lambda wal: wal.append_batch([b"child", b"child"]),
        lambda wal: wal.append_batch([]),
        lambda wal: wal.sync(),
        lambda wal: wal.rotate(),
        lambda wal: wal.checkpoint(1),
        lambda wal: wal.read(1),
        list,
        lambda wal: list(wal.commits()),
        lambda wal: wal.segments(),
        lambda wal: wal.segment_count,
    ],
    ids=["append", "batch", "empty", "sync", "rotate", "checkpoint", "read", "iter", "commits", "segments", "count"],
)
def test_a_verb_in_the_child_is_refused_and_changes_nothing(
    tmp_path: Path, verb: Callable[[walogs.Wal], object]
) -> None:
    path, ledger = tmp_path / "log", Ledger()
    with walogs.open(path, max_segment_size=600, sync="none") as wal:
        for _ in range(4):
            ledger.probe(wal)
        before = fingerprint(path)

        def in_child() -> None:
            with pytest.raises(walogs.Closed, match="before the fork"):
                verb(wal)
            repr(wal)
            wal.close()
            with pytest.raises(walogs.Closed):
                verb(wal)

        assert forked(in_child) == 0
        assert fingerprint(path) == before
        ledger.probe(wal)
    ledger.check_log(path)


@pytest.mark.guarantee("G13", "G18")
def test_a_child_holds_no_descriptor_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with walogs.open(path, max_segment_size=600) as wal:
        for _ in range(3):
            wal.append(b"x" * 100)
        assert len(held(path)) >= 4
        seen = tmp_path / "seen"
        assert forked(lambda: seen.write_text(repr(held(path)))) == 0
        assert seen.read_text() == "[]"
        assert wal.append(b"y") == 4


@pytest.mark.guarantee("G13", "G18")
def test_a_child_does_not_free_the_lock_and_cannot_take_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append(b"x")

        def in_child() -> None:
            with pytest.raises(walogs.Locked) as refused:
                walogs.open(path)
            assert refused.value.pid == os.getppid()
            wal.close()
            gc.collect()
            with pytest.raises(walogs.Locked):
                walogs.open(path)

        assert forked(in_child) == 0
        with pytest.raises(walogs.Locked):
            walogs.open(path)
        assert wal.append(b"y") == 2
    with walogs.open(path) as wal:
        assert [data for _, data in wal] == [b"x", b"y"]
        assert wal.append(b"z") == 3


@pytest.mark.guarantee("G13", "G18")
@pytest.mark.parametrize("how", ["exit", "close", "drop", "uncaught"])
def test_however_a_child_ends_the_parent_keeps_the_lock_and_goes_on(tmp_path: Path, how: str) -> None:
    path, ledger = tmp_path / "log", Ledger()
    ran = run(program("forking", path, how))
    lines = ran.stdout.splitlines()
    assert lines[-1] == "over", said(ran)
    assert f"child status {1 if how == 'uncaught' else 3}" in lines, said(ran)
    assert "still locked by me" in lines, said(ran)
    assert "ResourceWarning" not in ran.stderr, said(ran)
    assert ("RuntimeError" in ran.stderr) == (how == "uncaught"), said(ran)
    ledger.read(lines)
    assert len(ledger.acknowledged) == 3
    ledger.check_log(path)


@pytest.mark.guarantee("G13", "G18")
def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    path, ledger = tmp_path / "log", Ledger()
    with Child(program("forking", path, "orphan")) as parent:
        pid = int(parent.wait_for("child").split()[1])
        try:
            os.kill(parent.process.pid, signal.SIGKILL)
            parent.process.wait(300)  # not its output: the child has that open
            ledger.read(parent.lines())
            assert os.path.exists(f"/proc/{pid}"), "the child lives"
            ledger.check_log(path)
            assert os.path.exists(f"/proc/{pid}"), "the child lives"
        finally:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.guarantee("G18")
def test_a_fork_while_another_thread_appends_harms_neither(tmp_path: Path) -> None:
    path, ledger = tmp_path / "log", Ledger()
    is_over = threading.Event()
    children = 0
    with walogs.open(path, max_segment_size=4000) as wal:

        def append_all_along() -> None:
            while not is_over.is_set():
                ledger.probe(wal)

        thread = threading.Thread(target=append_all_along)
        thread.start()

        def in_child() -> None:
            for verb in (lambda: wal.append(b"child"), lambda: wal.checkpoint(1), lambda: list(wal), wal.sync):
                with pytest.raises(walogs.Closed):
                    verb()
            repr(wal)
            wal.close()
            others = [name for name in held(path) if not name.endswith((".log", ".tmp"))]
            assert others == [], others  # a segment may be in the making: that thread alone knows its descriptor

        try:
            while children < 40:
                assert forked(in_child) == 0, "a child hung, or could use the log"
                children += 1
                time.sleep(0.001 * (children % 3))
        finally:
            is_over.set()
            thread.join(300)
        assert not thread.is_alive()
    print(f"{children} forks beside {ledger.probes} appends")
    assert ledger.probes > 40
    ledger.check_log(path)


@pytest.mark.guarantee("G18")
def test_a_child_of_a_poisoned_or_closed_log_is_refused_the_same(tmp_path: Path) -> None:
    wal = walogs.open(tmp_path / "log")
    wal.append(b"x")
    wal.close()

    def in_child() -> None:
        with pytest.raises(walogs.Closed):
            wal.append(b"child")
        wal.close()

    assert forked(in_child) == 0


@pytest.mark.guarantee("G18")
def test_a_child_may_open_the_log_once_the_parent_has_closed_it(tmp_path: Path) -> None:
    path, ledger = tmp_path / "log", Ledger()
    wal = walogs.open(path)
    ledger.probe(wal)
    to_child, from_parent = os.pipe()

    def in_child() -> None:
        os.close(from_parent)
        os.read(to_child, 1)
        with walogs.open(path) as mine:
            mine.append(b"child")

    def close_then_tell() -> None:
        wal.close()
        os.write(from_parent, b".")

    timer = threading.Timer(0.1, close_then_tell)
    timer.start()
    try:
        assert forked(in_child) == 0
    finally:
        timer.join()
        os.close(to_child)
        os.close(from_parent)
    with walogs.open(path) as wal:
        assert wal.read(2) == b"child"


@pytest.mark.guarantee("G18")
def test_a_handle_dropped_in_the_child_does_not_complain_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    handles = [walogs.open(path)]

    def in_child() -> None:
        warnings.simplefilter("error")
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            handles.clear()
            gc.collect()
        assert not seen, seen

    assert forked(in_child) == 0
    assert handles[0].append(b"x") == 1
    handles[0].close()


@pytest.mark.guarantee("G13", "G18")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_cannot_use_the_log(tmp_path: Path, method: str) -> None:
    path, ledger = tmp_path / "log", Ledger()
    ran = run(program("pooled", path, method))
    lines = ran.stdout.splitlines()
    assert lines[-1:] == ["over"], said(ran)
    expected = "worker append: Closed open: Locked" if method == "fork" else "worker open: Locked"
    assert [line for line in lines if line.startswith("worker")] == [expected] * 4, said(ran)
    assert [line for line in lines if "cannot be pickled" in line], said(ran)
    ledger.read(lines)
    assert len(ledger.acknowledged) == 2
    ledger.check_log(path)


@pytest.mark.guarantee("G13")
def test_a_program_started_from_here_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "log"
    wal = walogs.open(path)
    wal.append(b"x")
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)  # inherits whatever does not close on exec
    try:
        wal.close()
        with walogs.open(path) as wal:
            assert wal.append(b"y") == 2
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# Futures that are not done at the fork


def told_of(future: Future[int]) -> list[object]:
    """Ask a future in every way, each in a thread of its own, so that a wait without end is noticed."""

    def raised(call: Callable[[], object]) -> object:
        try:
            return call()
        except walogs.WalError as error:
            return type(error)

    async def awaited() -> object:
        return await asyncio.wrap_future(future)

    def called() -> object:
        told: list[object] = []
        future.add_done_callback(told.append)
        return told == [future]

    ways: list[Callable[[], object]] = [
        lambda: raised(future.result),
        lambda: type(future.exception()),
        lambda: concurrent.futures.wait([future]).not_done,
        lambda: list(concurrent.futures.as_completed([future])) == [future],
        lambda: raised(lambda: asyncio.run(awaited())),
        called,
        future.done,
        future.cancel,
    ]
    return Callers(*ways).join()


SAID_IN_CHILD = [walogs.Closed, walogs.Closed, set(), True, walogs.Closed, True, True, False]


@pytest.mark.guarantee("G18")
def test_a_future_that_was_not_done_at_the_fork_says_closed_in_the_child() -> None:
    with stepped(MemoryStore(MemoryDisk())) as wal:
        future, done, cancelled = (wal.submit(b"%d" % n) for n in range(3))
        assert cancelled.cancel()
        step(wal)
        future = wal.submit(b"later")
        called: list[int] = []
        future.add_done_callback(lambda _: called.append(os.getpid()))

        def in_child() -> None:
            assert told_of(future) == SAID_IN_CHILD
            assert called == [], "a callback from before the fork is the parent's to call"
            assert done.result() == 2
            assert cancelled.cancelled()

        assert forked(in_child) == 0
        assert not future.done()
        step(wal)
        assert future.result(0) == 3
        assert called == [os.getpid()]


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("kept", ["_condition", "_runner.gate"])
def test_a_lock_of_a_future_that_another_thread_has_at_the_fork_holds_up_nobody_in_the_child(kept: str) -> None:
    with stepped(MemoryStore(MemoryDisk())) as wal:
        future = wal.submit(b"1")
        is_kept, may_leave = threading.Event(), threading.Event()

        def keep() -> None:
            with attrgetter(kept)(future):
                is_kept.set()
                may_leave.wait(SECONDS)

        keeper = Callers(keep)
        assert is_kept.wait(SECONDS)
        try:
            assert forked(lambda: told_of(future) == SAID_IN_CHILD or os._exit(2)) == 0
        finally:
            may_leave.set()
            keeper.join()


@pytest.mark.guarantee("G18")
def test_a_handler_that_forks_while_its_thread_waits_for_a_future(tmp_path: Path) -> None:
    """The child continues in the middle of that wait, and has no thread that could end it."""
    ran = run(program("forking_handler", tmp_path / "log"))
    assert ran.stdout.splitlines() == ["child: Closed", "child status 0", "parent: 1"], said(ran)
