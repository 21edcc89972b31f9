"""Interrupts appends at random moments for some seconds, and checks the log after every round. A hang dumps and exits.

usage: interrupted.py DIRECTORY HOW SECONDS SEED     HOW: signal (this thread) or threads (exceptions set in others)
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import itertools
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import walogs
from tests.system.ledger import Ledger, payload

HANGS_AFTER_SECONDS: Final = 200.0
PATIENCE_SECONDS: Final = 200.0
"""At least one interrupt must hit a commit. On a busy machine, few of them do."""
MAX_SEGMENT_SIZE: Final = 6000
TOKENS: Final = itertools.count(1)


def interrupt(*args: object) -> NoReturn:
    raise KeyboardInterrupt


def interrupted_after(seconds: float, call: Callable[[], object], done: Counter[str]) -> None:
    """Call, with a KeyboardInterrupt after *seconds* unless it has returned by then; swallowed wherever it comes."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            call()
        except KeyboardInterrupt:
            done["interrupts"] += 1
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.setitimer(signal.ITIMER_REAL, 0)


def interrupt_by_signal(path: Path, rng: random.Random, ledger: Ledger, done: Counter[str]) -> None:
    """Open a log, write to it and close it, with interrupts at any moment."""
    handles: list[walogs.Wal] = []
    seconds = rng.random() * 0.01 if rng.random() < 0.1 else 10
    interrupted_after(seconds, lambda: handles.append(walogs.open(path, max_segment_size=MAX_SEGMENT_SIZE)), done)
    if not handles:
        done["opens"] += 1
        return
    with handles.pop() as wal:
        try:
            began = time.monotonic()
            append_one(wal, ledger)
            most = max(0.0015, 2 * (time.monotonic() - began))  # on a slow machine too, some come after the write
            for _ in range(30):
                seconds = rng.random() * most
                if rng.random() < 0.1:
                    interrupted_after(seconds, lambda: wal.checkpoint(ledger.checkpointed), done)
                else:
                    interrupted_after(seconds, lambda: append_one(wal, ledger), done)
        except walogs.Poisoned:
            done["poisoned"] += 1
            reading = dict(wal.iter())  # what was acknowledged can still be read
            for lsn, (thread, token) in ledger.acknowledged.items():
                assert lsn <= ledger.checkpointed or reading[lsn] == payload(token, thread), f"entry {lsn} is gone"
        ledger.checkpointed = max(ledger.checkpointed, wal.last_lsn - 100)


def append_one(wal: walogs.Wal, ledger: Ledger) -> None:
    token = next(TOKENS)
    lsn = wal.append(payload(token))
    ledger.acknowledge(lsn, token)


class Appender(threading.Thread):
    """Append until told to stop, until the handle is poisoned, or until an interrupt arrives outside an append."""

    def __init__(self, wal: walogs.Wal, number: int) -> None:
        super().__init__(daemon=True)
        self._wal = wal
        self._number = number
        self._tokens = TOKENS
        self.acknowledged: list[tuple[int, int]] = []
        self.is_in_the_loop = False  # no Event: an interrupt inside its `set` leaves its lock taken
        self.is_over = False
        self.interrupts = 0
        self.end = ""

    def run(self) -> None:
        try:
            self._append_until_over()
        except walogs.Poisoned:
            self.end = "poisoned"
        except KeyboardInterrupt:
            self.end = "interrupted at the end"

    def _append_until_over(self) -> None:
        while not self.is_over:
            try:
                self.is_in_the_loop = True
                token = next(self._tokens)
                lsn = self._wal.append(payload(token, self._number))
                self.acknowledged.append((lsn, token))
            except KeyboardInterrupt:
                self.interrupts += 1


def interrupt_threads(path: Path, rng: random.Random, ledger: Ledger, done: Counter[str]) -> None:
    """Append in three threads while exceptions are set in them, as a debugger or a task's cancellation does."""
    with walogs.open(path, max_segment_size=MAX_SEGMENT_SIZE) as wal:
        appenders = [Appender(wal, number) for number in (1, 2, 3)]
        for appender in appenders:
            appender.start()
            while not appender.is_in_the_loop:
                time.sleep(0.001)
        until = time.monotonic() + 0.05
        while time.monotonic() < until and any(appender.is_alive() for appender in appenders):
            victim = rng.choice(appenders)
            if victim.is_alive() and victim.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(victim.ident), ctypes.py_object(KeyboardInterrupt)
                )
                done["interrupts"] += 1
            time.sleep(rng.random() * 0.003)
        for appender in appenders:
            appender.is_over = True
        for appender in appenders:
            appender.join()  # the watchdog ends a hang
            done["poisoned"] += appender.end == "poisoned"
            for lsn, token in appender.acknowledged:
                ledger.acknowledge(lsn, token, appender._number)
        with contextlib.suppress(walogs.Poisoned):
            wal.checkpoint(wal.last_lsn - 100)
        ledger.checkpointed = max(ledger.checkpointed, wal.last_lsn - 100)


def main() -> None:
    directory, how, seconds, seed = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    rng, ledger, done = random.Random(seed), Ledger(), Counter[str]()
    play = {"signal": interrupt_by_signal, "threads": interrupt_threads}[how]
    until = time.monotonic() + seconds
    while time.monotonic() < until or (not done["poisoned"] and time.monotonic() < until + PATIENCE_SECONDS):
        faulthandler.dump_traceback_later(HANGS_AFTER_SECONDS, exit=True)
        play(directory / "log", rng, ledger, done)
        ledger.check_log(directory / "log", looks=1, max_segment_size=MAX_SEGMENT_SIZE)
        done["rounds"] += 1
    ledger.check_log(directory / "log")
    faulthandler.cancel_dump_traceback_later()
    print(f"{how}: {dict(done)}, {len(ledger.acknowledged)} acknowledged")
    assert done["interrupts"] > 0
    assert done["poisoned"] > 0, "no interrupt came in the middle of a commit"


if __name__ == "__main__":
    main()
