"""No interrupt leaves a `TurnLock` locked: real signals and real asynchronous exceptions, on the Python that runs."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.kit.callers import SECONDS, Callers, nothing_collected, reached, until
from walogs.foundation.turns import TurnLock
from walogs.foundation.wakeups import held_lock, pass_through, release

pytestmark = pytest.mark.timeout(300, method="thread")  # the other method raises in the middle of a turn
INTERRUPTS: Final = 1000
"""Each use must be interrupted this often. Where a lock leaks (Python 3.14, `with` on a lock), one in three leaks."""
SET_INTERRUPTS: Final = 300
"""The number of interrupts that another thread sets. Each needs two switches of the running thread."""
EVERY_SECONDS: Final = 53e-6
"""The time between two signals. It affects how long the test takes, and not what it finds."""


class Interrupt(BaseException):
    """The exception that the signal handler raises."""


@pytest.fixture
def interrupts() -> Iterator[Callable[[Callable[[], object], Callable[[], None]], None]]:
    """Return a function that repeats a call while signals arrive, until `INTERRUPTS` have interrupted it."""
    is_armed = False

    def interrupt(*_: object) -> None:
        if is_armed:
            raise Interrupt

    def interrupted(call: Callable[[], object], then: Callable[[], None]) -> None:
        nonlocal is_armed
        seen = 0
        with signals_to_this_thread(), nothing_collected():
            while seen < INTERRUPTS:
                try:
                    is_armed = True
                    while True:
                        call()
                except Interrupt:
                    is_armed = False
                    seen += 1
                then()

    before = signal.signal(signal.SIGUSR2, interrupt)
    try:
        yield interrupted
    finally:
        is_armed = False
        signal.raise_signal(signal.SIGUSR2)  # the handler runs now, also for a signal that has arrived before
        signal.signal(signal.SIGUSR2, before)


SENDER = """
import ctypes, sys, time
process, thread, number, seconds = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
send = ctypes.CDLL(None).tgkill
while send(process, thread, number) == 0:
    time.sleep(seconds)
"""


@contextlib.contextmanager
def signals_to_this_thread() -> Iterator[None]:
    """Have another process send signals to this thread, and to no other one of this process.

    The kernel gives the signal of a timer to any thread. Python then notes it some time later, perhaps when its handler
    is gone.
    """
    arguments = [os.getpid(), threading.get_native_id(), int(signal.SIGUSR2), EVERY_SECONDS]
    with subprocess.Popen([sys.executable, "-c", SENDER, *map(str, arguments)]) as sender:
        try:
            yield
        finally:
            sender.kill()


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let the interpreter switch threads more often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def nothing() -> None:
    pass


def once(lock: TurnLock, other: TurnLock) -> None:
    with lock:
        pass


def around_calls(lock: TurnLock, other: TurnLock) -> None:
    with lock:
        nothing()
        len("")


def with_a_result(lock: TurnLock, other: TurnLock) -> int:
    with lock:
        return len("")


def nested(lock: TurnLock, other: TurnLock) -> None:
    with lock, other:
        pass


def entered_again(lock: TurnLock, other: TurnLock) -> None:
    with lock:
        with lock:
            nothing()
        nothing()


def with_a_finally(lock: TurnLock, other: TurnLock) -> None:
    with lock:
        try:
            nothing()
        finally:
            nothing()


def in_a_finally(lock: TurnLock, other: TurnLock) -> None:
    try:
        nothing()
    finally:
        with lock:
            nothing()


def that_raises(lock: TurnLock, other: TurnLock) -> None:
    try:
        with lock:
            raise ValueError
    except ValueError:
        pass


USES: Final = [once, around_calls, with_a_result, nested, entered_again, with_a_finally, in_a_finally, that_raises]


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_no_signal_leaves_it_locked(
    use: Callable[[TurnLock, TurnLock], object], interrupts: Callable[[Callable[[], object], Callable[[], None]], None]
) -> None:
    lock, other = TurnLock(), TurnLock()
    leaks = 0

    def look() -> None:
        nonlocal leaks
        for one in (lock, other):
            while one.is_mine():
                one.release()
                leaks += 1

    interrupts(lambda: use(lock, other), look)
    assert leaks == 0, f"{leaks} of {INTERRUPTS} interrupts left it locked"


@pytest.mark.guarantee("G18")
def test_no_signal_leaves_a_turnstile_closed(
    interrupts: Callable[[Callable[[], object], Callable[[], None]], None],
) -> None:
    """Whoever passes leaves it open, also if a signal arrives meanwhile. Otherwise all behind would wait."""
    turnstile = threading.Lock()
    leaks = 0

    def look() -> None:
        nonlocal leaks
        if turnstile.locked():
            turnstile.release()
            leaks += 1

    interrupts(lambda: pass_through(turnstile, SECONDS), look)
    assert leaks == 0, f"{leaks} of {INTERRUPTS} interrupts left it closed"


def test_interrupts_are_injected_where_real_ones_arrive(
    interrupts: Callable[[Callable[[], object], Callable[[], None]], None],
) -> None:
    """The lock of a plain `with` leaks on Python 3.14, and there alone: both by real signals and by injected ones. So
    the test above can see a leak, and the tests that inject interrupts see no other."""
    lock = threading.RLock()
    leaks = 0

    def use() -> None:
        with lock:
            pass

    def look() -> None:
        nonlocal leaks
        while lock._is_owned():  # type: ignore[attr-defined]
            lock.release()
            leaks += 1

    interrupts(use, look)
    real, leaks = leaks, 0
    for at in itertools.count(1):
        try:
            if not reached(use, at, interrupt, (__file__,)):
                break
        except Interrupt:
            look()
    assert at > 2
    assert bool(real) == bool(leaks) == (sys.version_info[:2] == (3, 14)), f"{real} real leaks, {leaks} injected"


def interrupt() -> None:
    raise Interrupt


@pytest.mark.guarantee("G18")
def test_no_exception_that_another_thread_sets_leaves_it_locked(quick_switches: None) -> None:
    """A thread takes turns until it is told that all interrupts were sent. This one interrupts it.

    Python raises what another thread has set when it next jumps back to the beginning of a loop, at the latest. So none
    is left when the thread sees that it is over.
    """
    lock = TurnLock()
    seen = leaks = 0
    has_begun = is_over = False  # no `threading.Event`: an interrupt leaves that locked

    def take_turns() -> None:
        nonlocal seen, leaks, has_begun
        while not is_over:
            try:
                has_begun = True
                while not is_over:
                    with lock:
                        nothing()
            except Interrupt:
                seen += 1
            while lock.is_mine():
                lock.release()
                leaks += 1

    def outlasting() -> None:
        while True:  # an exception that comes between two of these statements is one more
            try:
                return take_turns()
            except Interrupt:
                continue

    with nothing_collected():
        callers = Callers(outlasting)
        until(lambda: has_begun, "the first turn")
        ident = ctypes.c_ulong(callers.threads[0].ident or 0)
        while seen < SET_INTERRUPTS and callers.threads[0].is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Interrupt))
            with lock:
                nothing()
        is_over = True
        callers.join()
    assert seen >= SET_INTERRUPTS
    assert leaks == 0, f"{leaks} of {seen} interrupts left it locked"


def test_one_thread_at_a_time_has_it_and_that_one_may_take_it_again() -> None:
    lock, log = TurnLock(), list[str]()

    def other() -> None:
        with lock:
            log.append("other")

    with lock, lock:
        assert lock.is_mine()
        callers = Callers(other)
        assert not Callers(lambda: lock.acquire(blocking=False)).join()[0]
        log.append("mine")
    callers.join()
    assert log == ["mine", "other"]
    assert not lock.is_mine()


def test_what_a_body_raises_comes_out_and_the_lock_is_free() -> None:
    lock = TurnLock()
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    assert not lock.is_mine()


def test_a_body_is_not_run_without_the_lock() -> None:
    """A StopIteration of a signal handler ends the iterator that takes the lock."""
    lock, was_run = TurnLock(), False

    def stopped(*_: object) -> bool:
        raise StopIteration

    lock._take = stopped
    with pytest.raises(RuntimeError, match="StopIteration"), lock:
        was_run = True
    assert not was_run


def test_one_release_lets_everyone_through_a_turnstile_and_a_second_one_does_no_harm() -> None:
    turnstile = held_lock()
    assert not pass_through(turnstile, 0.001)
    callers = Callers(*[lambda: [pass_through(turnstile, SECONDS) for _ in range(50)] for _ in range(8)])
    release(turnstile)
    for _ in range(200):
        release(turnstile)
    assert callers.join() == [[True] * 50] * 8
    assert not turnstile.locked()


def test_a_handler_that_raises_stopiteration_lets_nobody_through() -> None:
    def stop(*_: object) -> None:
        raise StopIteration

    turnstile = held_lock()
    before = signal.signal(signal.SIGUSR2, stop)
    try:
        sender = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR2))
        sender.start()
        assert not pass_through(turnstile, SECONDS)
        sender.join()
    finally:
        signal.signal(signal.SIGUSR2, before)
