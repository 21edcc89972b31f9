"""When a sync fails, each caller gets an error about its own entries, and the loss of earlier ones is reported (G7)."""

from __future__ import annotations

import errno
import gc
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import walogs
from tests.kit.callers import SECONDS, Callers, Clock, is_service, made, step, stepped_by_hand
from walogs.handles.wal import commit_at_exit
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

if TYPE_CHECKING:
    from typing_extensions import Buffer

LATER = walogs.IntervalPolicy(time=60)
EARLIER = [b"earlier %d" % k for k in range(4)]
DOES_NOT_FIT = b"payment" + b"." * 1900


class FailingStore(MemoryStore):
    """A store whose syncs fail while `fails` is set."""

    fails = False

    def sync(self, number: int, kind: Any) -> None:
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        super().sync(number, kind)


def stepped_with_log(run: Callable[[], None]) -> None:
    """Let the test step the commit thread, and log warnings at once."""
    if is_service(run):
        stepped_by_hand(run)
    else:
        run()


def pending(store: FailingStore, **options: Any) -> walogs.Wal:
    """Return a log whose four entries are not synced yet, and whose next sync fails."""
    wal = made(store, stepped_with_log, max_segment_size=2000, **options)
    for data in EARLIER:
        wal.append(data)
    store.fails = True
    return wal


def contents(disk: MemoryDisk) -> list[bytes]:
    with walogs.open(store=MemoryStore(disk)) as wal:
        return [data for _, data in wal]


# An error of an inner verb is never the outer one's


def by_append(wal: walogs.Wal) -> object:
    return wal.append(DOES_NOT_FIT)


def by_batch(wal: walogs.Wal) -> object:
    return wal.append_batch([DOES_NOT_FIT, b"another"])


def by_submit(wal: walogs.Wal) -> object:
    future = wal.submit(DOES_NOT_FIT)
    step(wal)
    return future.result(SECONDS)


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("call", [by_append, by_batch, by_submit])
@pytest.mark.parametrize("policy", ["none", "interval"])
def test_an_append_whose_rotation_could_not_sync_the_entries_before_it_has_written_nothing(
    policy: str, call: Callable[[walogs.Wal], object]
) -> None:
    disk = MemoryDisk()
    store = FailingStore(disk)
    wal = pending(store, sync="none" if policy == "none" else LATER)
    with pytest.raises(walogs.Poisoned, match=r"nothing was written.*Entries 1 to 4, appended before") as caught:
        call(wal)
    assert isinstance(caught.value.__cause__, OSError)
    wal.close()  # its caller was told of all of them
    assert DOES_NOT_FIT not in contents(disk)


@pytest.mark.guarantee("G7")
def test_each_of_those_who_wait_together_is_told_that_nothing_of_its_own_was_written() -> None:
    disk = MemoryDisk()
    store = FailingStore(disk)
    wal = pending(store, sync="none")
    wal._commits._queue.is_contended = True
    callers = Callers(*[partial(wal.append, bytes([k]) * 700) for k in range(3)])
    while any(thread.is_alive() for thread in callers.threads):
        step(wal)
    for told in callers.join():
        assert isinstance(told, walogs.Poisoned)
    wal.close()
    assert len(contents(disk)) <= 4


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("verb", ["sync", "rotate", "checkpoint"])
def test_a_verb_that_is_about_the_entries_before_it_names_them(verb: str) -> None:
    wal = pending(FailingStore(MemoryDisk()), sync="none")
    calls: dict[str, Callable[[], object]] = {
        "sync": wal.sync,
        "rotate": wal.rotate,
        "checkpoint": lambda: (wal._writer.rotate(), wal.checkpoint(2)),
    }
    with pytest.raises(walogs.OutcomeUnknown) as caught:
        calls[verb]()
    assert (caught.value.first_lsn, caught.value.last_lsn) == (1, 4)
    wal.close()


@pytest.mark.guarantee("G7")
def test_an_append_whose_own_sync_fails_names_itself_and_speaks_of_the_others() -> None:
    wal = pending(FailingStore(MemoryDisk()), sync=walogs.IntervalPolicy(time=60, entries=5))
    with pytest.raises(walogs.OutcomeUnknown, match="Entries 1 to 4, appended before") as caught:
        wal.append(b"fifth")
    assert (caught.value.first_lsn, caught.value.last_lsn) == (5, 5)
    wal.close()


# A sync that fails where nobody called


def failed_in_the_background(store: FailingStore) -> walogs.Wal:
    """Entry 1 is durable; 2 to 6 had returned when the sync that was due for them failed."""
    clock = Clock()
    wal = made(store, stepped_with_log, clock, sync=walogs.IntervalPolicy(time=0.001))
    wal.append(b"durable")
    wal.sync()
    for k in range(5):
        wal.append(b"order %d" % k)
    store.fails = True
    clock.now_ns = 2_000_000
    step(wal)
    store.fails = False  # a device tells of a lost write once
    assert (wal.durable_lsn, wal.last_lsn) == (1, 6)
    return wal


@pytest.mark.guarantee("G7")
def test_close_tells_of_a_background_sync_that_failed_once_and_frees_everything_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = MemoryDisk()
    wal = failed_in_the_background(FailingStore(disk))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "entries 2 to 6" in record.getMessage()
    assert "Input/output error" in record.getMessage()
    with pytest.raises(walogs.OutcomeUnknown) as caught:
        wal.close()
    assert (caught.value.first_lsn, caught.value.last_lsn) == (2, 6)
    assert isinstance(caught.value.__cause__, OSError)
    assert wal.closed
    wal.close()
    assert contents(disk)[0] == b"durable"  # the lock is free


@pytest.mark.guarantee("G7")
def test_the_end_of_a_with_block_tells_of_a_background_sync_that_failed() -> None:
    with pytest.raises(walogs.OutcomeUnknown), failed_in_the_background(FailingStore(MemoryDisk())):
        pass


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("verb", ["sync", "rotate", "checkpoint"])
def test_the_next_verb_tells_of_a_background_sync_that_failed_and_close_does_not_again(verb: str) -> None:
    wal = failed_in_the_background(FailingStore(MemoryDisk()))
    calls: dict[str, Callable[[], object]] = {
        "sync": wal.sync,
        "rotate": wal.rotate,
        "checkpoint": lambda: wal.checkpoint(3),
    }
    with pytest.raises(walogs.OutcomeUnknown) as caught:
        calls[verb]()
    assert (caught.value.first_lsn, caught.value.last_lsn) == (2, 6)
    with pytest.raises(walogs.Poisoned):
        calls[verb]()
    wal.close()


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("is_contended", [False, True])
def test_an_append_after_a_background_sync_that_failed_wrote_nothing_and_says_what_else_is_lost(
    is_contended: bool,
) -> None:
    wal = failed_in_the_background(FailingStore(MemoryDisk()))
    wal._commits._queue.is_contended = is_contended
    caller = Callers(lambda: wal.append(b"next"))
    while caller.threads[0].is_alive():
        step(wal)
    (told,) = caller.join()
    assert isinstance(told, walogs.Poisoned)
    assert "Entries 2 to 6, appended before, may not be durable" in str(told)
    wal.close()  # the move that the error names works


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("is_looked_at", [False, True])
def test_a_future_tells_of_a_background_sync_only_when_somebody_looks_at_it(is_looked_at: bool) -> None:
    wal = failed_in_the_background(FailingStore(MemoryDisk()))
    future = wal.submit(b"next")
    step(wal)
    if is_looked_at:
        assert isinstance(future.exception(0), walogs.Poisoned)
        wal.close()
    else:
        with pytest.raises(walogs.OutcomeUnknown) as caught:
            wal.close()
        assert (caught.value.first_lsn, caught.value.last_lsn) == (2, 6)


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("is_looked_at", [False, True])
def test_a_submitted_entry_whose_commit_poisons_leaves_the_others_to_close_unless_it_is_looked_at(
    is_looked_at: bool,
) -> None:
    wal = pending(FailingStore(MemoryDisk()), sync="none")
    future = wal.submit(DOES_NOT_FIT)
    step(wal)
    if is_looked_at:
        with pytest.raises(walogs.Poisoned):
            future.result(0)
        wal.close()
    else:
        with pytest.raises(walogs.OutcomeUnknown) as caught:
            wal.close()
        assert (caught.value.first_lsn, caught.value.last_lsn) == (1, 4)


@pytest.mark.guarantee("G7")
def test_where_no_thread_can_be_started_a_sync_that_was_due_and_failed_is_told_too() -> None:
    def no_thread(run: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    store = FailingStore(MemoryDisk())
    wal = made(store, no_thread, sync=LATER)
    store.fails = True
    assert wal.append(b"1") == 1  # written, and its sync, which nobody else could make, has failed
    with pytest.raises(walogs.OutcomeUnknown) as caught:
        wal.close()
    assert (caught.value.first_lsn, caught.value.last_lsn) == (1, 1)


# Where the log ends by itself


def test_a_sync_that_fails_at_the_interpreters_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = FailingStore(MemoryDisk())
    wal = made(store, stepped_with_log, sync=LATER)
    wal.append(b"1")
    store.fails = True
    commit_at_exit()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "Input/output error" in caplog.text
    wal.close()


def test_a_sync_that_fails_when_a_log_is_dropped_is_logged() -> None:
    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())
            heard.release()

    heard, said = threading.Semaphore(0), list[str]()
    handler = Heard()
    logging.getLogger("walogs").addHandler(handler)
    try:
        store = FailingStore(MemoryDisk())
        wal = walogs.open(store=store, sync=LATER)
        wal.append(b"1")
        store.fails = True
        with pytest.warns(ResourceWarning):  # noqa: PT031  # the collection may be a step later
            del wal
            gc.collect()
        assert heard.acquire(timeout=SECONDS)
    finally:
        logging.getLogger("walogs").removeHandler(handler)
    assert "Input/output error" in said[0]


def test_a_warning_waits_for_nobody_who_waits_for_the_log() -> None:
    """A handler may hold its lock while it appends to the log, so a committing thread must not wait for that lock."""

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            is_asked.set()
            may_go_on.wait(SECONDS)

    is_asked, may_go_on, handler = threading.Event(), threading.Event(), Slow()
    logging.getLogger("walogs").addHandler(handler)
    disk = MemoryDisk()
    try:
        store = FailingStore(disk)
        wal = walogs.open(store=store, sync=walogs.IntervalPolicy(time=0.001))
        store.fails = True
        wal.append(b"1")
        assert is_asked.wait(SECONDS)
        with pytest.raises(walogs.Poisoned):
            wal.submit(b"2").result(SECONDS)
        wal.close()
    finally:
        may_go_on.set()
        logging.getLogger("walogs").removeHandler(handler)
    assert len(contents(disk)) <= 1


# A store that fences


class Silent(MemoryImmutableStore):
    """It does not answer when it is told so."""

    is_silent = False

    def create(self, number: int, data: Buffer) -> None:
        if self.is_silent:
            raise walogs.Unavailable("no answer")
        super().create(number, data)


@pytest.mark.guarantee("G7")
def test_each_of_those_who_wait_together_for_a_store_that_fences_is_told_of_its_own_entry() -> None:
    store = Silent(MemoryCloud())
    wal = made(store, stepped_with_log)
    wal.append(b"there")
    store.is_silent = True
    futures = [wal.submit(b"%d" % k) for k in range(3)]
    step(wal)
    told = [future.exception(0) for future in futures]
    assert [(each.first_lsn, each.last_lsn) for each in told] == [(2, 2), (3, 3), (4, 4)]  # type: ignore[union-attr]
    after = wal.submit(b"after")
    step(wal)
    assert isinstance(after.exception(0), walogs.Poisoned)
    wal.close()
