"""A future whose condition is made when somebody asks for it is the plain future that it stands beside."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import itertools
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future
from types import FrameType

import pytest

import walogs
from tests.kit.callers import SECONDS, Callers, step, stepped, stepped_by_hand, until
from walogs.handles import futures
from walogs.handles.futures import CallbackRunner, LazyLsnFuture, LsnFuture, has_known_attributes
from walogs.testing import MemoryDisk, MemoryStore

KINDS = pytest.mark.parametrize("kind", [LsnFuture, LazyLsnFuture])


@pytest.fixture(autouse=True)
def pending() -> Iterator[None]:
    before = set(futures.PENDING)
    yield
    futures.PENDING.intersection_update(before)


def new(kind: type[LsnFuture]) -> LsnFuture:
    return kind(CallbackRunner(stepped_by_hand))


def told(future: LsnFuture) -> list[object]:
    """Return all that a future says of itself, asked in every way that does not wait."""

    def asked(call: Callable[[], object]) -> object:
        try:
            return call()
        except BaseException as error:  # noqa: BLE001
            return repr(error)

    async def awaited() -> object:
        return await asyncio.wait_for(asyncio.wrap_future(future), 0.01)

    called: list[bool] = []
    future.add_done_callback(lambda done: called.append(done is future))
    return [
        future.done(),
        future.running(),
        future.cancelled(),
        asked(lambda: future.result(0)),
        repr(asked(lambda: future.exception(0))),
        repr(future).split("state=")[1],
        len(concurrent.futures.wait([future], timeout=0).done),
        asked(lambda: len(list(concurrent.futures.as_completed([future], timeout=0)))).__class__,
        asked(lambda: asyncio.run(awaited())),
        called,
        future.done(),
    ]


def test_this_python_s_futures_are_known() -> None:
    """If this fails on a new Python, the plain future is used there: read its `Future` before this is changed."""
    assert has_known_attributes()
    assert futures.NEW_FUTURE is LazyLsnFuture


def test_a_python_whose_futures_are_not_known_gets_the_plain_future(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Future[int]):
        def __init__(self) -> None:
            super().__init__()
            self._more = 1

    monkeypatch.setattr(futures, "Future", Other)
    assert not has_known_attributes()
    monkeypatch.setattr(futures, "NEW_FUTURE", LsnFuture)
    with walogs.open(store=MemoryStore(MemoryDisk())) as wal:
        future = wal.submit(b"x")
        assert type(future) is LsnFuture
        assert future.result(SECONDS) == 1


HISTORIES: dict[str, Callable[[LsnFuture], object]] = {
    "new": lambda future: None,
    "begun": lambda future: future.begin(),
    "cancelled": lambda future: future.cancel(),
    "cancelled too late": lambda future: (future.begin(), future.cancel()),
    "committed": lambda future: future.resolve(7, None),
    "begun and committed": lambda future: (future.begin(), future.resolve(7, None)),
    "asked and committed": lambda future: (future.done(), repr(future), future.resolve(7, None)),
    "failed": lambda future: future.resolve(0, walogs.Closed("closed")),
    "poisoned": lambda future: future.resolve(0, walogs.Poisoned("poisoned")),
    "committed twice": lambda future: (future.resolve(7, None), future.resolve(8, None)),
    "committed and failed": lambda future: (future.resolve(7, None), future.resolve(0, walogs.Closed("closed"))),
    "failed and committed": lambda future: (future.resolve(0, walogs.Closed("closed")), future.resolve(7, None)),
    "cancelled and committed": lambda future: (future.cancel(), future.resolve(7, None)),
    "committed and cancelled": lambda future: (future.resolve(7, None), future.cancel()),
    "closed in a child": lambda future: future.close_in_child(),
    "committed and closed in a child": lambda future: (future.resolve(7, None), future.close_in_child()),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_it_says_what_the_plain_future_says(history: str) -> None:
    def outcome(kind: type[LsnFuture]) -> object:
        future = new(kind)
        called: list[object] = []
        if "child" not in history:  # the callbacks are the parent's to call
            future.add_done_callback(lambda done: called.append(done is future))
        HISTORIES[history](future)
        future._runner.step()
        return told(future), called, future in futures.PENDING, future._runner.has_told_poison

    assert outcome(LazyLsnFuture) == outcome(LsnFuture)


@KINDS
def test_it_cannot_be_pickled(kind: type[LsnFuture]) -> None:
    future = new(kind)
    with pytest.raises(TypeError):
        pickle.dumps(future)
    future.resolve(1, None)
    with pytest.raises(TypeError):
        pickle.dumps(future)
    with pytest.raises(AttributeError, match="_conditions"):
        future._conditions  # type: ignore[attr-defined]  # noqa: B018
    assert copy.copy(new(LazyLsnFuture)).done() is False


def test_a_future_that_is_done_before_it_is_asked_makes_no_condition() -> None:
    with stepped(MemoryStore(MemoryDisk())) as wal:
        made = [wal.submit(b"%d" % n) for n in range(3)]
        assert not any(future.done() or future.cancelled() for future in made)
        made[1].add_done_callback(lambda _: None)
        step(wal)
        assert [future.result() for future in made] == [1, 2, 3]
        assert all(future.done() and future.exception() is None for future in made)
        assert not any("_condition" in vars(future) for future in made)


WAITS: dict[str, Callable[[list[LsnFuture]], object]] = {
    "result": lambda made: made[0].result(SECONDS),
    "exception": lambda made: made[0].exception(SECONDS),
    "wait for all": lambda made: len(concurrent.futures.wait(made, SECONDS).not_done),
    "wait for one": lambda made: bool(concurrent.futures.wait(made, SECONDS, FIRST_COMPLETED).done),
    "as_completed": lambda made: len(list(concurrent.futures.as_completed(made, SECONDS))),
    "done": lambda made: made[0].done() in (False, True),
}


def resolved_meanwhile(future: LsnFuture, at: int, meanwhile: Callable[[], None]) -> bool:
    """Resolve the future, with *meanwhile* before line number *at* of our code. Return whether there is such a line."""
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal lines
        if frame.f_code.co_filename == futures.__file__ and event == "line":
            lines += 1
            if lines == at:
                sys.settrace(None)
                meanwhile()
        return trace

    sys.settrace(trace)
    try:
        future.resolve(1, None)
    finally:
        sys.settrace(None)
    return lines >= at


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("way", WAITS)
def test_whoever_begins_to_wait_while_a_result_is_set_is_told_once_and_not_too_early(way: str) -> None:
    """Another thread begins to wait before each line of `resolve`, and gets as far as it can."""
    expected = {"wait for all": 0, "wait for one": True, "as_completed": 2, "result": 1, "done": True}.get(way)
    for at in itertools.count(1):
        runner = CallbackRunner(stepped_by_hand)
        made: list[LsnFuture] = [LazyLsnFuture(runner), LazyLsnFuture(runner)]
        callers: list[Callers] = []

        def begin_to_wait(made: list[LsnFuture] = made, callers: list[Callers] = callers) -> None:
            callers.append(Callers(lambda: WAITS[way](made)))
            until(lambda: not callers[0].threads[0].is_alive() or is_waiting(made), "the other thread to wait")

        if not resolved_meanwhile(made[0], at, begin_to_wait):
            break
        assert way not in ("wait for all", "as_completed") or callers[0].threads[0].is_alive(), "told too early"
        made[1].resolve(2, None)
        assert callers[0].join() == [expected]
    assert at > 8


def is_waiting(made: list[LsnFuture]) -> bool:
    """Return whether another thread waits for one of these futures, or for the gate under which results are set."""
    if any("_condition" in vars(future) and (future._waiters or future._condition._waiters) for future in made):  # type: ignore[attr-defined]
        return True
    return bool(made) and made[0]._runner.gate.is_mine()


@KINDS
def test_a_wait_that_times_out_and_a_cancel_wake_as_they_should(kind: type[LsnFuture]) -> None:
    future = new(kind)
    with pytest.raises(TimeoutError):
        future.result(0.001)
    waiting = Callers(lambda: future.result(SECONDS))
    until(lambda: bool(future._condition._waiters), "the waiter")  # type: ignore[attr-defined]
    assert future.cancel()
    assert [type(outcome) for outcome in waiting.join()] == [CancelledError]


@KINDS
def test_futures_of_many_threads_are_all_told(kind: type[LsnFuture], monkeypatch: pytest.MonkeyPatch) -> None:
    """Some wait by `result`, some by `wait`, some by callbacks, and some look at once: every one is told."""
    monkeypatch.setattr(futures, "NEW_FUTURE", kind)
    counted = threading.Semaphore(0)

    def work(wal: walogs.Wal, name: int) -> int:
        seen = 0
        for turn in range(60):
            made = [wal.submit(b"%d" % name) for _ in range(4)]
            made[0].add_done_callback(lambda _: counted.release())
            if turn % 3 == 0:
                assert not concurrent.futures.wait(made, SECONDS).not_done
            elif turn % 3 == 1:
                assert len(list(concurrent.futures.as_completed(made, SECONDS))) == 4
            lsns = [future.result(SECONDS) for future in made]
            assert lsns == sorted(lsns)
            seen += len(lsns)
        return seen

    with walogs.open(store=MemoryStore(MemoryDisk())) as wal:
        assert Callers(*[lambda name=name: work(wal, name) for name in range(4)]).join() == [240] * 4
        assert all(counted.acquire(timeout=SECONDS) for _ in range(240))
        assert wal.last_lsn == 960
