"""A KeyboardInterrupt at every point where the interpreter can deliver one, and at random ones.

The interpreter looks for signals when it enters a function and when a call of C code has returned; tests/kit/signals.py
knows the exceptions. A profile function raises there, at the first such point of a verb, then at the second, and so on
until the verb passes unharmed.
"""

from __future__ import annotations

import gc
import logging
import random
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

import walogs
from tests.kit.callers import OURS, profiled
from tests.kit.laboratory import amount
from tests.kit.signals import looks_for_signals
from tests.system.children import forked, program, quick_directory, run, said, seed_of
from tests.system.ledger import PREFIX, Ledger, payload, token_of

pytestmark = [  # what an interrupted function of the standard library held is closed by nobody but the collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SEGMENT: Final = 1500
STEP: Final = 9
"""The default run interrupts at only one point in this many, starting from a random one."""


def interrupted(call: Callable[[], object], at: int, within: tuple[str, ...] = ("",)) -> bool:
    """Whether the KeyboardInterrupt at that point (1, 2, 3 ...) of *call* was delivered: it has fewer otherwise.

    *within*: count only the points in files whose paths begin so.
    """
    seen, was_delivered = 0, False

    def look_for_signals(frame: FrameType, event: str, arg: object) -> None:
        nonlocal seen, was_delivered
        file = frame.f_code.co_filename
        if file == __file__ or not file.startswith(within) or not looks_for_signals(frame, event):
            return
        seen += 1
        if seen == at:
            was_delivered = True
            raise KeyboardInterrupt

    try:
        profiled(call, look_for_signals)
    except KeyboardInterrupt:
        assert was_delivered
    return was_delivered


class Log:
    """A log with completed segments, a batch and room left in the active segment; and its ledger."""

    def __init__(self, path: Path, sync: str = "fdatasync") -> None:
        self.path = path
        self.ledger = Ledger()
        self.wal = walogs.open(path, max_segment_size=SEGMENT, sync=sync)
        for _ in range(3):
            self.ledger.probe(self.wal)
            self.wal.rotate()
        for _ in range(2):
            self.ledger.probe(self.wal)
        self.token = 0

    def entry(self, size: int | None = None) -> bytes:
        self.token += 1
        return payload(self.token, size=size)

    def append(self, size: int | None = None) -> None:
        entry = self.entry(size)
        self.ledger.acknowledge(self.wal.append(entry), self.token)

    def append_batch(self) -> None:
        entries = [self.entry() for _ in range(3)]
        tokens = [(0, self.token - 2 + k) for k in range(3)]
        self.ledger.batches.append(tokens)
        for lsn, (_, token) in zip(self.wal.append_batch(entries), tokens, strict=True):
            self.ledger.acknowledge(lsn, token)

    def rotate_and_append(self) -> None:
        self.wal.rotate()
        self.append()

    def checkpoint(self) -> None:
        self.ledger.checkpointed = 2
        self.wal.checkpoint(2)

    def read(self) -> None:
        for lsn in self.ledger.acknowledged:
            self.wal.read(lsn)
        self.ledger.check(list(self.wal), self.wal.next_lsn)

    def check_handle(self) -> None:
        """Check that the handle is usable or poisoned, blocks no thread, and still reads every acknowledged entry."""
        outcome: list[str] = []
        bytes_there = b"".join(file.read_bytes() for file in self.path.glob("wal-*.log"))
        written = {token for token in range(1, self.token + 1) if PREFIX % (token, 0) in bytes_there}

        def use() -> None:
            try:
                try:
                    self.ledger.probe(self.wal)
                except walogs.Poisoned:
                    outcome.append("poisoned")
                else:
                    there = {token for thread, token in (token_of(data) for _, data in self.wal) if thread == 0}
                    assert written == there, f"not poisoned; tokens {written} were written, {there} are in the log"
                    outcome.append("usable")
                self.ledger.check(list(self.wal), self.wal.next_lsn)
            except Exception as error:  # noqa: BLE001  # said by the thread that waits
                outcome.append(f"{error!r} from {self.wal!r}")
            else:
                outcome.append("read")

        thread = threading.Thread(target=use, daemon=True)
        thread.start()
        thread.join(300)
        assert outcome in (["poisoned", "read"], ["usable", "read"]), f"{outcome}, hangs: {thread.is_alive()}"


VERBS: Final[dict[str, Callable[[Log], object]]] = {
    "append": Log.append,
    "append that rotates": lambda log: log.append(1300),
    "append that grows the segment": lambda log: log.append(7000),
    "batch": Log.append_batch,
    "rotate": Log.rotate_and_append,
    "checkpoint": Log.checkpoint,
    "read": Log.read,
    "sync": lambda log: (log.append(), log.wal.sync()),
}


def interrupt_at(verb: str, at: int, directory: Path) -> bool:
    log = Log(directory / f"{at}", sync="none" if verb == "sync" else "fdatasync")
    try:
        was_delivered = interrupted(lambda: VERBS[verb](log), at)
        log.check_handle()
    finally:
        log.wal.close()
    log.ledger.check_log(log.path, max_segment_size=SEGMENT)
    return was_delivered


def interrupt_each_point(attempt: Callable[[int, Path], bool], step: int, name: str) -> None:
    """Try one point in *step*, from a random one among the first, until *attempt* finds no further point."""
    at = random.Random(seed_of(name)).randint(1, step) if step > 1 else 1
    count = 0
    with quick_directory() as directory:
        while True:
            try:
                if not attempt(at, directory):
                    break
            except BaseException as error:
                error.add_note(f"{name}, interrupted at point {at}")
                raise
            count += 1
            at += step
    print(f"{name}: interrupted at {count} points, each {step} apart")
    assert count > 3


def interrupt_everywhere(verb: str, step: int) -> None:
    interrupt_each_point(lambda at, directory: interrupt_at(verb, at, directory), step, verb)


@pytest.mark.guarantee("G1", "G7", "G18")
@pytest.mark.parametrize("verb", ["append", "batch"])
def test_an_append_interrupted_at_a_third_of_all_points_leaves_the_handle_usable_or_poisoned(verb: str) -> None:
    interrupt_everywhere(verb, 3)


@pytest.mark.guarantee("G7", "G18")
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("append", "batch")])
def test_a_verb_interrupted_at_some_points_leaves_the_handle_usable_or_poisoned(verb: str) -> None:
    interrupt_everywhere(verb, STEP)


@pytest.mark.laboratory
@pytest.mark.guarantee("G1", "G7", "G18")
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_interrupted_anywhere_leaves_the_handle_usable_or_poisoned(verb: str) -> None:
    interrupt_everywhere(verb, 1 if verb in ("append", "batch") else amount(3, 1))


# Opening and closing. In a fork: what the lock's library remembers of interrupts is not for the other tests


def use_elsewhere(log: Log) -> None:
    """Check that another thread can open the log at once, write to it, and close it."""
    outcome: list[str] = []

    def use() -> None:
        try:
            log.ledger.check_log(log.path, looks=1, max_segment_size=SEGMENT)
        except Exception as error:  # noqa: BLE001  # said by the thread that waits
            outcome.append(repr(error))
        else:
            outcome.append("good")

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(300)
    assert outcome == ["good"], f"{outcome}, hangs: {thread.is_alive()}"


def interrupt_close_at(at: int, directory: Path) -> bool:
    log = Log(directory / f"{at}")
    was_delivered = interrupted(log.wal.close, at, OURS)
    log.wal.close()  # what the first call could not finish
    use_elsewhere(log)
    return was_delivered


def interrupt_open_at(at: int, directory: Path) -> bool:
    log = Log(directory / f"{at}")
    log.wal.close()
    newest = log.path / "wal-000004.log"
    newest.write_bytes(newest.read_bytes() + b"torn")  # as a killed writer leaves it: there is something to recover
    (log.path / "DURABLE").unlink()
    handles: list[walogs.Wal] = []
    was_delivered = interrupted(lambda: handles.append(walogs.open(log.path, max_segment_size=SEGMENT)), at, OURS)
    for handle in handles:
        handle.close()
    use_elsewhere(log)
    shutil.rmtree(log.path)
    return was_delivered


ATTEMPTS: Final = {"open": interrupt_open_at, "close": interrupt_close_at}


def interrupt_in_a_fork(verb: str, step: int) -> None:
    def in_child() -> None:
        warnings.simplefilter("ignore")
        logging.disable()
        gc.disable()  # a lock is free at once, and not only after a collection
        interrupt_each_point(ATTEMPTS[verb], step, f"{verb}, in our code")

    assert forked(in_child, seconds=600) == 0


@pytest.mark.guarantee("G13", "G15", "G18")
@pytest.mark.parametrize("verb", ATTEMPTS)
def test_an_open_or_close_interrupted_in_our_code_holds_up_nobody(verb: str) -> None:
    interrupt_in_a_fork(verb, 13 if verb == "open" else 1)


@pytest.mark.laboratory
@pytest.mark.guarantee("G13", "G15", "G18")
def test_an_open_interrupted_at_a_third_of_all_points_in_our_code_holds_up_nobody() -> None:
    interrupt_in_a_fork("open", amount(3, 1))


# At random moments, for some time: what the points above cannot show is a hang of the others


def interrupt_for(seconds: float, how: str) -> None:
    with quick_directory() as directory:
        ran = run(program("interrupted", directory, how, seconds, seed_of(how)), seconds=seconds + 500)
        print(ran.stdout)
        assert ran.returncode == 0, said(ran)


@pytest.mark.guarantee("G1", "G2", "G18")
@pytest.mark.parametrize("how", ["signal", "threads"])
def test_interrupts_at_random_moments_lose_nothing_and_hang_nobody(how: str) -> None:
    interrupt_for(1.5, how)


@pytest.mark.laboratory
@pytest.mark.guarantee("G1", "G2", "G18")
@pytest.mark.parametrize("how", ["signal", "threads"])
def test_thousands_of_interrupts_lose_nothing_and_hang_nobody(how: str) -> None:
    interrupt_for(amount(5, 30), how)
