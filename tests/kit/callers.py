"""Threads that call one log, each with a time limit, and logs whose commit thread runs only when the test steps it."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import random
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import sleep
from types import FrameType
from typing import Any, Final

import walogs
from tests.kit.signals import looks_for_signals
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import assemble
from walogs.engine.log_source import Environment, start_thread
from walogs.foundation.services import ServiceThread

SECONDS: Final = 200.0
"""A call that has not returned after this time hangs, however busy the machine is."""


def stepped_by_hand(run: Callable[[], None]) -> None:
    """Replace a log's threads: a thread runs only when the test makes it run, and has ended when it is joined."""
    if is_service(run):
        thread: ServiceThread = run.args[0]  # type: ignore[attr-defined]
        thread.is_living = True
        thread.has_ended = True


def is_service(run: Callable[[], None]) -> bool:
    """Return whether *run* is a service of the log. A thread that only logs a warning is none."""
    return isinstance(run, partial) and isinstance(run.args[0], ServiceThread)


class Clock:
    """A monotonic clock that advances only when the test says so."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def no_thread(run: Callable[[], None]) -> None:
    """Fail as the system does when it can start no more threads."""
    raise RuntimeError("can't start new thread")


def made(
    store: Any,
    spawn: Callable[[Callable[[], None]], object] = start_thread,
    clock: Callable[[], int] | None = None,
    **config: Any,
) -> walogs.Wal:
    """Open a log whose commit thread and clock the test drives."""
    environment = Environment(lambda: 1, random.Random(1).randbytes, lambda _: None, spawn=spawn)
    if clock is not None:
        environment = environment._replace(monotonic=clock)
    return assemble(None, WalConfig(store=store, **config), environment)


def stepped(store: Any, **config: Any) -> walogs.Wal:
    """Open a log whose commit thread the test steps."""
    return made(store, stepped_by_hand, **config)


def step(wal: walogs.Wal) -> None:
    while any(runner.step() for runner in wal._callback_runners.values()) or wal._commits.step():
        pass


class Callers:
    """Threads that each make one call, and keep its result or its error."""

    def __init__(self, *calls: Callable[[], object]) -> None:
        self.outcomes: list[object] = [None] * len(calls)
        self.threads = [threading.Thread(target=self._call, args=each, daemon=True) for each in enumerate(calls)]
        for thread in self.threads:
            thread.start()

    def _call(self, at: int, call: Callable[[], object]) -> None:
        try:
            self.outcomes[at] = call()
        except BaseException as error:  # noqa: BLE001  # it is the outcome
            self.outcomes[at] = error

    def join(self) -> list[object]:
        for thread in self.threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), f"it hangs:\n{where()}"
        return self.outcomes


def where() -> str:
    """Return the stack of every thread."""
    frames = sys._current_frames().values()
    return "\n\n".join("".join(traceback.format_stack(frame)[-7:]) for frame in frames)


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait until *is_so* is true. Fail if that takes longer than SECONDS."""
    for _ in range(int(SECONDS * 1000)):
        if is_so():
            return
        sleep(0.001)
    raise AssertionError(f"it never came to {what}:\n{where()}")


def queued(wal: walogs.Wal, count: int) -> None:
    """Wait until *count* appends are queued."""
    until(lambda: len(wal._commits._queue) >= count, f"{count} queued appends")


OURS: Final = (os.path.dirname(walogs.__file__) + os.sep,)
"""How the paths of our own files begin. The name of a folder is not enough: a clone may be called walogs as well."""
FUTURES: Final = (*OURS, os.path.dirname(concurrent.futures.__file__) + os.sep, threading.__file__)


def reached(call: Callable[[], object], at: int, meanwhile: Callable[[], object], within: tuple[str, ...]) -> bool:
    """Make *call*, with *meanwhile* at its point number *at* (1, 2, 3 ...). Return whether that point was reached.

    A point is a place in the files *within* where the interpreter looks for signals (tests/kit/signals.py). There,
    *meanwhile* is called in the thread of the call.
    """
    seen, was_reached = 0, False

    def look(frame: FrameType, event: str, arg: object) -> None:
        nonlocal seen, was_reached
        if was_reached or not frame.f_code.co_filename.startswith(within) or not looks_for_signals(frame, event):
            return
        seen += 1
        if seen == at:
            was_reached = True
            meanwhile()

    profiled(call, look)
    return was_reached


def profiled(call: Callable[[], object], look: Callable[[FrameType, str, object], None]) -> None:
    with nothing_collected():
        sys.setprofile(look)
        try:
            call()
        finally:
            sys.setprofile(None)


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Keep the garbage collector out of a call that a test interrupts.

    The collector runs in any thread that allocates, and calls `__del__` there, also of a log that an earlier test
    dropped. A point inside `__del__` does not belong to the call, and an interrupt there would hit something else.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def entered(function: str, call: Callable[[], object], meanwhile: Callable[[], object], time: int = 1) -> None:
    """Make *call*, and call *meanwhile* when our function of that name is entered for the *times*-th time."""
    seen = 0

    def look(frame: FrameType, event: str, arg: object) -> None:
        nonlocal seen
        if event == "call" and frame.f_code.co_name == function and frame.f_code.co_filename.startswith(OURS):
            seen += 1
            if seen == time:
                meanwhile()

    profiled(call, look)
    assert seen >= time, f"{function} was entered {seen} times"
