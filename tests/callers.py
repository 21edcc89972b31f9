"""Callers of one log, each in a thread of its own with a time limit, and a log whose commit thread the test steps."""

from __future__ import annotations

import os
import random
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from time import sleep
from types import FrameType
from typing import Any, Final

import walogs
from walogs.assembly import assemble
from walogs.config import WalConfig
from walogs.engine.commit import CommitThread
from walogs.engine.source import Environment, start_thread

SECONDS: Final = 20.0
"""Whoever has not answered by then hangs."""


def stepped_by_hand(run: Callable[[], None]) -> None:
    """In the place of the commit thread: it runs when the test makes it, and has ended when it is waited for."""
    if isinstance(run, partial):
        thread: CommitThread = run.args[0]
        thread.is_living = True
        thread.has_ended = True


class Clock:
    """Monotonic, and stands still unless it is told."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def no_thread(run: Callable[[], None]) -> None:
    """The system starts no more."""
    raise RuntimeError("can't start new thread")


def made(
    store: Any,
    spawn: Callable[[Callable[[], None]], object] = start_thread,
    clock: Callable[[], int] | None = None,
    **config: Any,
) -> walogs.Wal:
    """A log whose commit thread, and clock, are the test's."""
    environment = Environment(lambda: 1, random.Random(1).randbytes, lambda _: None, spawn=spawn)
    if clock is not None:
        environment = environment._replace(monotonic=clock)
    return assemble(None, WalConfig(store=store, **config), environment)


def stepped(store: Any, **config: Any) -> walogs.Wal:
    """A log whose commit thread the test steps."""
    return made(store, stepped_by_hand, **config)


def step(wal: walogs.Wal) -> None:
    while any(teller.step() for teller in wal._tellers.values()) or wal._commits.step():
        pass


class Callers:
    """Threads that each make one call and keep what came of it."""

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
    """Where every thread is."""
    frames = sys._current_frames().values()
    return "\n\n".join("".join(traceback.format_stack(frame)[-7:]) for frame in frames)


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait for it; a hang fails."""
    for _ in range(int(SECONDS * 1000)):
        if is_so():
            return
        sleep(0.001)
    raise AssertionError(f"it never came to {what}:\n{where()}")


def queued(wal: walogs.Wal, count: int) -> None:
    """Wait until so many offers are queued."""
    until(lambda: len(wal._commits._queue) >= count, f"{count} queued offers")


OURS: Final = (f"{os.sep}walogs{os.sep}",)
FUTURES: Final = (*OURS, f"{os.sep}concurrent{os.sep}futures{os.sep}", f"{os.sep}threading.py")


def reached(call: Callable[[], object], at: int, meanwhile: Callable[[], object], within: tuple[str, ...]) -> bool:
    """Whether *call* came to its point number *at* (1, 2, 3 ...), where *meanwhile* is called in its thread.

    A point is where the interpreter looks for signals, in these files: a function is entered, C code has returned.
    """
    seen, was_reached = 0, False

    def look(frame: FrameType, event: str, arg: object) -> None:
        nonlocal seen, was_reached
        if was_reached or event not in ("call", "c_return"):
            return
        if not any(part in frame.f_code.co_filename for part in within):
            return
        seen += 1
        if seen == at:
            was_reached = True
            meanwhile()

    profiled(call, look)
    return was_reached


def profiled(call: Callable[[], object], look: Callable[[FrameType, str, object], None]) -> None:
    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)


def entered(function: str, call: Callable[[], object], meanwhile: Callable[[], object], time: int = 1) -> None:
    """Make *call*, with *meanwhile* where that function of ours is entered for the first (or so many-th) time."""
    seen = 0

    def look(frame: FrameType, event: str, arg: object) -> None:
        nonlocal seen
        if event == "call" and frame.f_code.co_name == function and OURS[0] in frame.f_code.co_filename:
            seen += 1
            if seen == time:
                meanwhile()

    profiled(call, look)
    assert seen >= time, f"{function} was entered {seen} times"
