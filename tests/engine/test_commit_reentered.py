"""A signal handler, or a destructor, that calls the log at any point of its own thread's call to it (G18).

While this thread calls, another one submits in the middle of its commit, and a third follows: whoever is called at such
a moment finds the log contended. Nobody may hang, and what was said to anybody must be true.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.callers import OURS, SECONDS, Callers, entered, made, queued, reached, step, stepped_by_hand, until
from tests.kit.laboratory import amount
from tests.system.children import seed_of
from walogs.engine.log_source import start_thread
from walogs.engine.pending_append import PendingAppend
from walogs.testing import MemoryDisk, MemoryStore

STEP: Final = 9
"""The default run tries every so many-th point only, from a random one on."""


class Busy:
    """A log that becomes contended in the middle of a commit of the thread under test."""

    def __init__(self, sync: str) -> None:
        self.disk = MemoryDisk()
        store = MemoryStore(self.disk)
        self.wal = made(store, sync=sync)
        self.wal.append(b"first")
        self.others: list[Callers] = []
        self.told: list[tuple[bytes, object]] = []
        self.caller = 0
        self.follower = Callers(lambda: list(self.wal.follow(2)))
        until(lambda: self.wal._commits._followers, "a follower")
        store.on_write.append(self._contend)

    def _contend(self, *_: object) -> None:
        commits = self.wal._commits
        in_an_offer = commits._queue.gate.is_mine() or commits._thread.service.gate.is_mine()  # then others cannot
        if threading.get_ident() == self.caller and not self.others and not in_an_offer:
            self.others.append(Callers(lambda: self.wal.submit(b"other")))
            self.others[0].join()

    def tell(self, data: bytes, call: Callable[[], object]) -> None:
        """Make a call; what came of it is judged at the end."""
        try:
            self.told.append((data, call()))
        except (walogs.WalError, OSError) as error:
            self.told.append((data, error))

    def judge(self) -> None:
        """Every one was answered, and with the truth."""
        self.wal.close()
        assert isinstance(self.follower.join()[0], walogs.Closed)
        for other in self.others:
            self.told.append((b"other", other.join()[0]))
        with walogs.open(store=MemoryStore(self.disk)) as again:
            entries = list(again)
            assert [lsn for lsn, _ in entries] == list(range(1, again.next_lsn))
            there = dict(entries)
            assert len(set(there.values())) == len(there), f"an entry is there twice: {there}"
            for data, outcome in self.told:
                if data:
                    judge_one(data, outcome, there)
            again.append(b"next")
        with walogs.open(store=MemoryStore(self.disk)) as again:
            assert again.read(again.last_lsn) == b"next"


def judge_one(data: bytes, outcome: object, there: dict[int, bytes]) -> None:
    if isinstance(outcome, Future):
        try:
            outcome = outcome.result(SECONDS)
        except walogs.WalError as error:
            outcome = error
    if isinstance(outcome, int):
        assert there.get(outcome) == data, f"{data!r} was given LSN {outcome}: {there}"
    else:
        assert isinstance(outcome, (walogs.Reentered, walogs.Closed)), f"{data!r}: {outcome!r}"
        assert data not in there.values(), f"{data!r} was said not to be there: {outcome!r}"


VERBS: Final[dict[str, tuple[bytes, Callable[[walogs.Wal], object]]]] = {
    "append": (b"mine", lambda wal: wal.append(b"mine")),
    "submit": (b"mine", lambda wal: wal.submit(b"mine")),
    "sync": (b"", lambda wal: wal.sync()),
    "close": (b"", lambda wal: wal.close()),
}
HANDLERS: Final[dict[str, tuple[bytes, Callable[[walogs.Wal], object]]]] = {
    "append": (b"handler", lambda wal: wal.append(b"handler")),
    "submit": (b"handler", lambda wal: wal.submit(b"handler")),
    "sync": (b"", lambda wal: wal.sync()),
    "close": (b"", lambda wal: wal.close()),
    "checkpoint": (b"", lambda wal: wal.checkpoint(0)),
}


def call_from_a_handler(verb: str, handler: str, sync: str, at: int) -> bool:
    """Whether *verb* has a point number *at*, at which *handler* was called."""
    busy = Busy(sync)
    mine, handled = VERBS[verb], HANDLERS[handler]

    def body() -> bool:
        busy.caller = threading.get_ident()
        return reached(
            lambda: busy.tell(mine[0], lambda: mine[1](busy.wal)),
            at,
            lambda: busy.tell(handled[0], lambda: handled[1](busy.wal)),
            OURS,
        )

    try:
        (was_reached,) = Callers(body).join()
        assert isinstance(was_reached, bool), was_reached
        (found,) = Callers(busy.judge).join()
        if isinstance(found, BaseException):
            raise found
    except BaseException as error:
        error.add_note(f"{handler} in the middle of {verb}, sync={sync!r}, at point {at}")
        raise
    return was_reached


def call_from_handlers(verb: str, handler: str, sync: str, distance: int) -> None:
    first = random.Random(seed_of(f"{verb}, {handler}, {sync}")).randint(1, distance)
    points = itertools.count(first, distance)
    count = len(list(itertools.takewhile(lambda at: call_from_a_handler(verb, handler, sync, at), points)))
    print(f"{handler} in {verb}, sync={sync!r}: {count} points")
    assert count > 0


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_handler_that_calls_the_log_at_some_points_of_a_call_hangs_nobody(verb: str, handler: str) -> None:
    call_from_handlers(verb, handler, "fdatasync", STEP if verb in {"append", "submit"} else 2)


@pytest.mark.laboratory
@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("sync", ["fdatasync", "interval", "none"])
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_handler_that_calls_the_log_at_any_point_of_a_call_hangs_nobody(verb: str, handler: str, sync: str) -> None:
    call_from_handlers(verb, handler, sync, amount(5, 1))


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize(("sync", "function"), [("fdatasync", "release_all"), ("interval", "keep_deadline")])
def test_a_handler_that_appends_when_the_commit_is_made_and_the_turn_is_not_over(sync: str, function: str) -> None:
    """The log has become contended meanwhile: to wait for the commit thread now is to wait for oneself."""
    busy = Busy(sync)
    busy.wal.sync()  # so that the deadline of what comes is a new one

    def body() -> None:
        busy.caller = threading.get_ident()
        entered(
            function,
            lambda: busy.tell(b"mine", lambda: busy.wal.append(b"mine")),
            lambda: busy.tell(b"handler", lambda: busy.wal.append(b"handler")),
        )

    assert Callers(body).join() == [None]
    busy.judge()


@pytest.mark.guarantee("G18")
def test_a_handler_that_closes_between_an_appends_look_and_its_queue(tmp_path: Path) -> None:
    """As a program does that ends at SIGTERM: the append is refused, and waits for nobody who has gone."""
    with walogs.open(tmp_path) as wal:
        wal.submit(b"1").result(SECONDS)
        (outcome,) = Callers(lambda: entered("put", lambda: wal.append(b"2"), wal.close)).join()
        assert isinstance(outcome, walogs.WalError), outcome
    with walogs.open(tmp_path) as wal:
        assert list(wal) == [(1, b"1")]


@pytest.mark.guarantee("G18")
def test_a_handler_that_appends_in_the_middle_of_an_offer_while_another_closes() -> None:
    """The queue's gate, the mutex and the commit thread wait for each other when the handler waits for its entry."""
    wal = made(MemoryStore(MemoryDisk()))
    wal.submit(b"1").result(SECONDS)
    told: list[object] = []
    closers: list[Callers] = []

    def handled() -> None:
        closers.append(Callers(wal.close))
        until(lambda: wal._commits.turns._holder or wal.closed, "the closer's turn")
        try:
            told.append(wal.append(b"handler"))
        except walogs.WalError as error:
            told.append(error)

    mine: list[Future[int]] = []
    (outcome,) = Callers(lambda: entered("put", lambda: mine.append(wal.submit(b"mine")), handled)).join()
    closers[0].join()
    assert isinstance(told[0], (int, walogs.Reentered, walogs.Closed))
    if mine:
        assert isinstance(mine[0].exception(SECONDS), (walogs.Closed, type(None)))
    else:
        assert isinstance(outcome, walogs.Closed)


@pytest.mark.guarantee("G18")
def test_a_handler_that_closes_in_an_appends_turn_does_not_let_it_write_afterwards() -> None:
    disk = MemoryDisk()
    wal = made(MemoryStore(disk))
    told: list[object] = []
    Callers(lambda: wal.submit(b"1").result(SECONDS)).join()

    def handled() -> None:
        try:
            told.append(wal.close())
        except walogs.WalError as error:
            told.append(error)

    def append() -> None:
        wal._commits._queue.put([PendingAppend([b"other"], 5, -1)])
        wal._commits._queue.is_contended = False  # a lone commit ended while the queue was put to
        entered("has_appends_of", lambda: wal.append(b"mine"), handled, time=2)

    (outcome,) = Callers(append).join()
    assert outcome is None or isinstance(outcome, walogs.WalError), outcome
    with suppress(walogs.WalError):
        wal.close()
    with walogs.open(store=MemoryStore(disk)) as again:
        data = [entry for _, entry in again]
        assert data[0] == b"1"
        assert (b"mine" in data) == (outcome is None)


@pytest.mark.guarantee("G18")
def test_a_handler_that_starts_the_commit_thread_while_it_is_being_started() -> None:
    """There is one commit thread then, which knows itself: a callback that appends does not wait for itself."""
    handled: list[Future[int]] = []

    def spawn(run: Callable[[], None]) -> object:
        if not handled:
            handled.append(Future())
            handled.append(wal.submit(b"from the handler"))
            handled[1].result(SECONDS)
        return start_thread(run)

    wal = made(MemoryStore(MemoryDisk()), spawn)
    told: list[int] = []
    (future,) = Callers(lambda: wal.submit(b"mine")).join()
    assert isinstance(future, Future)
    future.result(SECONDS)
    wal.submit(b"again").add_done_callback(lambda _: told.append(wal.append(b"from a callback")))
    try:
        until(lambda: told, "the append of a callback")
    finally:
        Callers(wal.close).join()


@pytest.mark.guarantee("G18")
def test_a_start_of_the_commit_thread_that_was_interrupted_and_comes_late() -> None:
    """It makes room for the one that was started since, and does not take its name."""
    late: list[Callable[[], None]] = []
    started: list[object] = []

    def spawn(run: Callable[[], None]) -> object:
        if not late:
            late.append(run)
            raise KeyboardInterrupt
        if getattr(run, "func", run).__self__ is wal._commits._thread.service:  # type: ignore[attr-defined]  # and not for the callbacks
            started.append(run)
        return start_thread(run)

    wal = made(MemoryStore(MemoryDisk()), spawn)
    with pytest.raises(KeyboardInterrupt):
        wal.submit(b"1")
    assert wal.read(wal.submit(b"2").result(SECONDS)) == b"2"
    Callers(late[0]).join()
    told: list[int] = []
    wal.submit(b"3").add_done_callback(lambda _: told.append(wal.append(b"from a callback")))
    try:
        until(lambda: told, "the append of a callback")
        assert len(started) == 1, "the commit thread did not know itself, and another one had to come to its help"
    finally:
        Callers(wal.close).join()


@pytest.mark.guarantee("G18")
def test_an_append_that_was_interrupted_while_it_was_queued_is_not_given_the_lsn_of_another() -> None:
    """One Ctrl-C comes in the middle of queueing an append, and another in the middle of the commit that takes it.

    The next append is another thread's, and its LSN is its own.
    """
    is_interrupted = False

    def clock() -> int:
        if is_interrupted:
            raise KeyboardInterrupt
        return 0

    wal = made(MemoryStore(MemoryDisk()), stepped_by_hand, clock)
    (future,) = Callers(lambda: wal.submit(b"other")).join()
    queued(wal, 1)
    wal._commits._queue.is_contended = False  # as the first leaves it, between the queue and what says that it is used
    is_interrupted = True  # the commit asks for the time between its look at the queue and its write
    with pytest.raises(KeyboardInterrupt):
        wal.sync()
    is_interrupted = False
    lsn = wal.append(b"mine")
    step(wal)
    assert isinstance(future, Future)
    entries = dict(wal)
    assert entries[lsn] == b"mine"
    assert entries[future.result(0)] == b"other"
    wal.close()
