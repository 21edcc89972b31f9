"""A thread that dies at birth, or later, is noticed and replaced, wherever a log relies on one (G2, G18)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

import walogs
from tests.kit.callers import SECONDS, Callers, made, until
from walogs.engine.log_source import start_thread
from walogs.foundation import services
from walogs.foundation.services import Service, ServiceThread
from walogs.testing import MemoryDisk, MemoryStore


@pytest.fixture(autouse=True)
def short_births(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the wait for a thread's birth. A thread that is only slow is replaced too, and notices it."""
    monkeypatch.setattr(services, "BIRTH_SECONDS", 0.2)


class Midwife:
    """Start threads, and let chosen ones die at birth: the system accepts them, but they never run."""

    def __init__(self, dies: Callable[[str, int], bool]) -> None:
        """*dies* gets the class of the thread's owner and the number of the start (1, 2, …). True lets it die."""
        self._dies = dies
        self.births: dict[str, int] = {}
        self.dead: list[Callable[[], None]] = []

    def __call__(self, run: Any) -> None:
        service = getattr(getattr(run, "func", None), "__self__", None)  # None: a warning that is logged
        name = type(service._serve.__self__).__name__ if isinstance(service, Service) else "warning"
        self.births[name] = self.births.get(name, 0) + 1
        if self._dies(name, self.births[name]):
            self.dead.append(run)
        else:
            start_thread(run)


def first_of(owner: str) -> Callable[[str, int], bool]:
    return lambda name, number: name == owner and number == 1


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("owner", ["CommitThread", "CallbackRunner"])
def test_a_future_is_done_and_its_callback_called_when_a_thread_dies_at_birth(owner: str) -> None:
    midwife = Midwife(first_of(owner))
    with made(MemoryStore(MemoryDisk()), midwife) as wal:
        told: list[int] = []
        futures = [wal.submit(b"%d" % n) for n in range(3)]
        for future in futures:
            future.add_done_callback(lambda done: told.append(done.result()))
        assert [future.result(SECONDS) for future in futures] == [1, 2, 3]
        until(lambda: sorted(told) == [1, 2, 3], "the callbacks")
        if owner in midwife.births:  # there is no teller where the futures were done before
            assert midwife.births[owner] >= 2


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("owner", ["CommitThread", "CallbackRunner"])
def test_whoever_awaits_a_future_is_told_when_a_thread_dies_at_birth(owner: str) -> None:
    with made(MemoryStore(MemoryDisk()), Midwife(first_of(owner))) as wal:

        async def awaited() -> int:
            return await asyncio.wrap_future(wal.submit(b"1"))

        assert Callers(lambda: asyncio.run(awaited())).join() == [1]


@pytest.mark.guarantee("G2")
def test_an_interval_keeps_its_word_when_the_commit_thread_dies_at_birth() -> None:
    midwife = Midwife(first_of("CommitThread"))
    with made(MemoryStore(MemoryDisk()), midwife, sync=walogs.IntervalPolicy(time=0.001)) as wal:
        wal.append(b"1")
        until(lambda: wal.durable_lsn == 1, "a sync that no further append asks for")
    assert midwife.births["CommitThread"] >= 2  # on a busy machine the second may be too slow as well


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("sync", ["fdatasync", "interval"])
def test_where_every_thread_dies_at_birth_callers_do_the_work(sync: str) -> None:
    midwife = Midwife(lambda name, number: True)
    with made(MemoryStore(MemoryDisk()), midwife, sync=sync) as wal:
        told: list[int] = []
        future = wal.submit(b"1")
        future.add_done_callback(lambda done: told.append(done.result()))
        assert (future.result(SECONDS), told) == (1, [1])
        assert wal.append(b"2") == 2
        assert wal.durable_lsn == 2
    assert midwife.births["CommitThread"] >= services.BIRTHS_MAX


@pytest.mark.guarantee("G18")
def test_a_thread_that_was_only_slow_makes_room_for_the_one_in_its_place() -> None:
    midwife = Midwife(first_of("CommitThread"))
    with made(MemoryStore(MemoryDisk()), midwife) as wal:
        assert wal.submit(b"1").result(SECONDS) == 1
        serving = wal._commits._thread.service.thread
        assert Callers(midwife.dead[0]).join() == [None]
        assert wal._commits._thread.service.thread is serving
        assert wal.submit(b"2").result(SECONDS) == 2


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("error", [SystemExit, MemoryError])
def test_a_thread_that_is_ended_with_work_left_has_a_successor(error: type[BaseException]) -> None:
    work, done = [1, 2, 3], list[int]()

    def serve(thread: ServiceThread) -> None:
        while work:
            done.append(work.pop())
            if len(done) == 2:
                raise error

    def spawn(run: Callable[[], None]) -> None:
        def ended() -> None:
            with suppress(error):  # else Python would tell of it, in the middle of another test perhaps
                run()

        start_thread(ended)

    service = Service(spawn, serve, lambda: bool(work))
    assert service.start()
    until(lambda: len(done) == 3, "the last of the work")
    until(lambda: service.thread is None, "its end")


def test_a_thread_that_has_ended_before_its_starter_goes_on_was_started() -> None:
    done = list[int]()

    def spawn(run: Callable[[], None]) -> None:
        Callers(run).join()

    service = Service(spawn, lambda thread: done.append(1), lambda: False)
    assert service.start()
    assert service.start()
    assert done == [1, 1]
    assert service.thread is None


def test_a_thread_that_ends_with_nothing_left_has_none() -> None:
    started: list[object] = []

    def spawn(run: Callable[[], None]) -> None:
        started.append(run)
        start_thread(run)

    service = Service(spawn, lambda thread: None, lambda: False)
    assert service.start()
    until(lambda: service.thread is None, "its end")
    assert len(started) == 1


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_where_the_system_starts_no_thread_that_is_said(error: type[Exception]) -> None:
    def spawn(run: Callable[[], None]) -> None:
        raise error("can't start new thread")

    service = Service(spawn, lambda thread: None, lambda: False)
    assert not service.start()
    assert service.thread is None


def test_two_who_start_one_at_once_get_the_same() -> None:
    may_end, runs = threading.Event(), list[partial[None]]()
    service = Service(lambda run: (runs.append(run), start_thread(run)), lambda _: may_end.wait(SECONDS), lambda: False)  # type: ignore[arg-type,func-returns-value,return-value]
    try:
        assert Callers(*[service.start for _ in range(4)]).join() == [True] * 4
        assert len(runs) == 1
    finally:
        may_end.set()
