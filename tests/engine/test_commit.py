"""Many callers on one log: shared commits, futures, back-pressure, failures, interrupts, the end (G7, G12, G18)."""

from __future__ import annotations

import ctypes
import errno
import gc
import itertools
import os
import random
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any

import pytest

import walogs
from tests import stores
from tests.callers import (
    FUTURES,
    SECONDS,
    Callers,
    Clock,
    made,
    no_thread,
    queued,
    reached,
    step,
    stepped,
    stepped_by_hand,
    until,
)
from tests.codecs import DeflateCodec
from tests.stores import LogFactory
from walogs.defaults.local_store import LocalStore
from walogs.engine import commit
from walogs.engine.commit import GroupCommit, Offer
from walogs.testing import FAILED_SYNC, Fault, MemoryChainStore, MemoryCloud, MemoryDisk, MemoryStore

pytestmark = pytest.mark.timeout(60)
log_factory, appending_factory = stores.log_factory, stores.appending_factory


# Shared commits


@pytest.mark.guarantee("G1", "G12")
def test_callers_that_wait_together_are_committed_together(log_factory: LogFactory) -> None:
    store = log_factory.store() if log_factory.shape != "local" else LocalStore(log_factory._directory / "log")
    with stepped(store, codec=stores.CODECS[log_factory.codec]()) as wal:
        wal._commits._is_contended = True
        batch = [b"b1", b"b2", b"b3"]
        callers = Callers(*[lambda n=n: wal.append(b"%d" % n) for n in range(5)], lambda: wal.append_batch(batch))
        queued(wal, 6)
        step(wal)
        *lsns, batch_lsns = callers.join()
        assert sorted([*lsns, *batch_lsns]) == list(range(1, 9))  # type: ignore[misc]
        assert [(c.first_lsn, c.last_lsn) for c in wal.commits()] == [(1, 8)]
        entries = dict(wal)
        assert [entries[lsn] for lsn in lsns] == [b"%d" % n for n in range(5)]  # type: ignore[index]
        assert [entries[lsn] for lsn in batch_lsns] == batch  # type: ignore[attr-defined]
        assert wal.durable_lsn == 8


def test_what_is_taken_together_fits_one_segment(appending_factory: LogFactory) -> None:
    with appending_factory.open(max_segment_size=2000, sync="none") as wal:
        futures = [wal.submit(bytes([n]) * 300) for n in range(40)]
        big = wal.submit(bytes(5000))
        assert [future.result(SECONDS) for future in futures] == list(range(1, 41))
        assert big.result(SECONDS) == 41
        for segment in wal.segments():
            alone = segment.first_lsn == segment.last_lsn
            assert alone or segment.is_active or segment.size <= 2000 + 200  # and its SEAL


@pytest.mark.guarantee("G1", "G2")
def test_a_storm_of_callers_keeps_each_ones_order(log_factory: LogFactory) -> None:
    got: dict[int, bytes] = {}

    def call(wal: walogs.Wal, name: int) -> None:
        futures: list[tuple[Future[int], bytes]] = []
        for k in range(40):
            data = b"%d:%d" % (name, k)
            if k % 3 == 0:
                got[wal.append(data)] = data
            elif k % 3 == 1:
                futures.append((wal.submit(data), data))
            else:
                got.update(zip(wal.append_batch([data, data + b"'"]), [data, data + b"'"], strict=True))
        got.update({future.result(SECONDS): data for future, data in futures})

    with log_factory.open(max_segment_size=3000) as wal:
        callers = Callers(*[lambda name=name: call(wal, name) for name in range(6)])
        assert callers.join() == [None] * 6
        assert list(wal) == sorted(got.items())
    for _ in range(2):
        with log_factory.open() as wal:
            assert list(wal) == sorted(got.items())
            for name in range(6):
                own = [data.split(b":")[1] for _, data in wal if data.startswith(b"%d:" % name)]
                assert own == sorted(own, key=lambda part: (int(part.rstrip(b"'")), part))


def test_a_lone_caller_commits_by_itself_again(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        assert [wal.submit(b"x").result(SECONDS) for _ in range(10)] == list(range(1, 11))
        for _ in range(commit.ALONE + 1):
            wal.append(b"x")
        committed = threading.get_ident()
        by: list[int] = []
        honest = wal._writer.append

        def seen(entries: list[bytes]) -> int:
            by.append(threading.get_ident())
            return honest(entries)

        wal._writer.append = seen  # type: ignore[method-assign]
        wal.append(b"x")
        assert by == [committed]


# Futures


def test_a_cancelled_future_leaves_no_entry() -> None:
    with stepped(MemoryStore(MemoryDisk())) as wal:
        first, second, third = wal.submit(b"1"), wal.submit(b"2"), wal.submit(b"3")
        assert second.cancel()
        step(wal)
        assert (first.result(0), third.result(0)) == (1, 2)
        with pytest.raises(CancelledError):
            second.result(0)
        assert not first.cancel()
        assert list(wal) == [(1, b"1"), (2, b"3")]
        only = wal.submit(b"4")
        assert only.cancel()
        last = wal.submit(b"5")
        step(wal)
        assert last.result(0) == 3


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_raises_harms_nobody(tmp_path: Path, error: type[BaseException]) -> None:
    def raising(_: Future[int]) -> None:
        raise error

    with walogs.open(tmp_path) as wal:
        futures = [wal.submit(b"%d" % n) for n in range(5)]
        for future in futures:
            future.add_done_callback(raising) if not future.done() else None
        more = wal.submit(b"more")
        more.add_done_callback(raising) if not more.done() else None
        assert [future.result(SECONDS) for future in futures] == [1, 2, 3, 4, 5]
        assert Callers(lambda: wal.append(b"other")).join() == [7]


@pytest.mark.guarantee("G18")
def test_a_callback_may_call_the_log(tmp_path: Path) -> None:
    told: list[object] = []

    def call(_: Future[int]) -> None:
        told.append(wal.append(b"from a callback"))
        told.append(wal.append_batch([b"a", b"b"]))
        wal.sync()
        told.append(wal.read(1))
        told.append(len(list(wal)))
        wal.rotate()
        told.append(wal.checkpoint(0))
        told.append(wal.submit(b"submitted"))

    with walogs.open(tmp_path) as wal:
        wal.submit(b"first").add_done_callback(call)
        for _ in range(int(SECONDS * 1000)):
            if len(told) == 6:
                break
            sleep(0.001)
        assert told[:5] == [2, range(3, 5), b"first", 4, 0]
        assert told[5].result(SECONDS) == 5  # type: ignore[attr-defined]


def test_a_long_chain_of_callbacks_is_not_deep(tmp_path: Path) -> None:
    done = threading.Event()

    def next_one(future: Future[int]) -> None:
        if future.result() >= 3000:
            done.set()
        elif future.result() % 2:
            wal.submit(b"x").add_done_callback(next_one)
        else:
            wal.append(b"y")
            wal.submit(b"x").add_done_callback(next_one)

    with walogs.open(tmp_path, sync="none") as wal:
        wal.submit(b"x").add_done_callback(next_one)
        assert done.wait(SECONDS)


def test_a_callback_may_close_the_log(tmp_path: Path) -> None:
    closed = threading.Event()

    def close(_: Future[int]) -> None:
        wal.close()
        closed.set()

    wal = walogs.open(tmp_path)
    future = wal.submit(b"x")
    future.add_done_callback(close)
    assert closed.wait(SECONDS)
    assert wal.closed
    with walogs.open(tmp_path) as wal:
        assert list(wal) == [(1, b"x")]


# Room


def test_what_is_queued_is_bounded_in_bytes() -> None:
    with stepped(MemoryStore(MemoryDisk()), max_queued_size=1000) as wal:
        first = [wal.submit(bytes(400)) for _ in range(2)]
        callers = Callers(*[lambda: wal.submit(bytes(400)).result(SECONDS) for _ in range(3)])
        until(lambda: len(wal._commits._waiting_for_room) >= 3, "three who wait for room")
        assert all(thread.is_alive() for thread in callers.threads)
        for _ in range(int(SECONDS * 1000)):
            step(wal)
            if not any(thread.is_alive() for thread in callers.threads):
                break
            sleep(0.001)
        assert sorted(callers.join()) == [3, 4, 5]  # type: ignore[type-var]
        assert [future.result(0) for future in first] == [1, 2]
        huge = wal.submit(bytes(5000))  # into an empty queue: it goes alone
        step(wal)
        assert huge.result(0) == 6


def test_those_who_wait_for_room_are_told_that_the_log_was_closed() -> None:
    wal = stepped(MemoryStore(MemoryDisk()), max_queued_size=1000)
    first = wal.submit(bytes(900))
    callers = Callers(*[lambda: wal.submit(bytes(400)) for _ in range(3)])
    until(lambda: len(wal._commits._waiting_for_room) >= 3, "three who wait for room")
    wal.close()
    step(wal)
    assert first.result(0) == 1
    for outcome in callers.join():
        if isinstance(outcome, Future):
            assert outcome.result(0) > 1
        else:
            assert isinstance(outcome, walogs.Closed)


# Failures


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("fault", [FAILED_SYNC, Fault(errno.EIO, only={"write"})], ids=["sync", "write"])
def test_a_shared_commit_that_fails_is_unknown_and_what_was_queued_was_not_written(fault: Fault) -> None:
    disk = MemoryDisk()
    wal = stepped(MemoryStore(disk), max_batch_size=10_000)
    assert wal.append(b"kept") == 1
    taken = [wal.submit(bytes(3000)) for _ in range(3)]
    later = [wal.submit(bytes(3000)) for _ in range(2)]
    disk.arm(1, fault, rng=random.Random(1))
    step(wal)
    errors = [future.exception(0) for future in taken]
    assert all(isinstance(error, walogs.Indefinite) for error in errors)
    assert [(error.first_lsn, error.last_lsn) for error in errors] == [(2, 2), (3, 3), (4, 4)]  # type: ignore[union-attr]
    assert len(set(map(id, errors))) == 3
    assert all(isinstance(error.__cause__, OSError) for error in errors)  # type: ignore[union-attr]
    assert all(isinstance(future.exception(0), walogs.Poisoned) for future in later)
    after = wal.submit(b"after")
    step(wal)
    assert isinstance(after.exception(0), walogs.Poisoned)
    assert wal.read(1) == b"kept"
    wal.close()
    disk.disarm()
    for _ in range(2):
        with walogs.open(store=MemoryStore(disk)) as again:
            assert again.read(1) == b"kept"
            assert again.last_lsn in (1, 4)


@pytest.mark.guarantee("G9")
def test_only_those_are_refused_for_whom_there_is_no_room() -> None:
    disk = MemoryDisk()
    with stepped(MemoryStore(disk)) as wal:
        wal.append(b"kept")
        disk.room = disk.used + 40_000
        small, big, last = wal.submit(bytes(100)), wal.submit(bytes(200_000)), wal.submit(b"last")
        step(wal)
        assert (small.result(0), last.result(0)) == (2, 3)
        assert isinstance(big.exception(0), walogs.NoSpace)
        disk.room = None
        again = wal.submit(bytes(200_000))
        step(wal)
        assert again.result(0) == 4


class Fussy(DeflateCodec):
    def encode(self, body: bytes, frame: Any) -> bytes:
        if b"poison" in body:
            raise ValueError("not this one")
        return super().encode(body, frame)


def test_an_entry_that_the_codec_refuses_is_refused_alone() -> None:
    with stepped(MemoryStore(MemoryDisk()), codec=Fussy()) as wal:
        futures = [wal.submit(data) for data in (b"a", b"poison", b"b")]
        step(wal)
        assert (futures[0].result(0), futures[2].result(0)) == (1, 2)
        with pytest.raises(ValueError, match="not this one"):
            futures[1].result(0)


class Exiting(DeflateCodec):
    def encode(self, body: bytes, frame: Any) -> bytes:
        if b"poison" in body:
            raise SystemExit("not this one either")
        return super().encode(body, frame)


@pytest.mark.guarantee("G18")
def test_a_codec_that_raises_what_only_interrupts_should_is_not_asked_for_ever() -> None:
    with walogs.open(store=MemoryStore(MemoryDisk()), codec=Exiting()) as wal:
        futures = [wal.submit(data) for data in (b"a", b"poison", b"b")]
        lsns = sorted(futures[at].result(SECONDS) for at in (0, 2))
        assert isinstance(futures[1].exception(SECONDS), SystemExit)
        assert [wal.read(lsn) for lsn in lsns] == [b"a", b"b"]
        assert wal.append(b"next") == 3


def test_a_fenced_writer_tells_everybody() -> None:
    cloud = MemoryCloud()
    first = stepped(MemoryChainStore(cloud))
    futures = [first.submit(b"%d" % n) for n in range(3)]
    with walogs.open(store=MemoryChainStore(cloud)) as second:
        step(first)
        assert all(isinstance(future.exception(0), walogs.Fenced) for future in futures)
        assert len({id(future.exception(0)) for future in futures}) == 3
        assert second.append(b"x") == 1
    first.close()


# Interrupts


def interrupted(call: Callable[[], object], at: int) -> bool:
    """Whether the KeyboardInterrupt at that point of *call* was delivered (it may end in a callback)."""
    was_delivered = False

    def interrupt() -> None:
        nonlocal was_delivered
        was_delivered = True
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        reached(call, at, interrupt, FUTURES)
    return was_delivered


def settles_everybody(at: int, verb: str) -> bool:
    """Others wait in the queue; this thread drains it and is interrupted at that point. Each of the others is answered,
    and the log holds exactly what it says."""
    disk = MemoryDisk()
    wal = stepped(MemoryStore(disk))
    wal.append(b"kept")
    wal._commits._is_contended = True
    others = Callers(*[lambda n=n: wal.append(b"other %d" % n) for n in range(3)])
    queued(wal, 3)
    future = wal.submit(b"future")
    verbs: dict[str, Callable[[], object]] = {"sync": wal.sync, "close": wal.close, "step": wal._commits.step}
    was_delivered = interrupted(verbs[verb], at)
    with suppress(walogs.Closed):
        step(wal)
    outcomes = others.join()
    with suppress(walogs.Poisoned, walogs.Closed):
        wal.sync()
    step(wal)
    wal.close()
    outcomes.append(future.result(0) if future.exception(0) is None else future.exception(0))
    entries = [b"other 0", b"other 1", b"other 2", b"future"]
    with walogs.open(store=MemoryStore(disk)) as again:
        there = dict(again)
        for data, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, int):
                assert there[outcome] == data
            else:
                assert isinstance(outcome, (walogs.Indefinite, walogs.Poisoned, walogs.Closed)), repr(outcome)
            if isinstance(outcome, (walogs.Poisoned, walogs.Closed)):
                assert data not in there.values(), "it was said not to be written"
        assert sorted(set(there.values())) == sorted(there.values()), "an entry is there twice"
        assert there[1] == b"kept"
    return was_delivered


@pytest.mark.guarantee("G7", "G18")
@pytest.mark.parametrize("verb", ["sync", "close", "step"])
def test_whoever_commits_for_others_and_is_interrupted_leaves_nobody_waiting(verb: str) -> None:
    at = next(at for at in itertools.count(1) if not settles_everybody(at, verb))
    print(f"{verb}: {at} points")
    assert at > 50


def test_a_commit_that_is_made_again_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = GroupCommit._settle

    def forgetful(self: GroupCommit, error: Exception | None) -> None:
        if error is None and self._committing is not None and self._writer.next_lsn > self._committing[1]:
            count = getattr(self, "forgot", 0)
            self.forgot = count + 1  # type: ignore[attr-defined]
            if not count:
                self._committing = None
                return
        honest(self, error)

    monkeypatch.setattr(GroupCommit, "_settle", forgetful)
    with pytest.raises(AssertionError, match="there twice"):
        settles_everybody(10_000, "step")


@pytest.mark.guarantee("G18")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the exception may come late,
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # or to who has got its thread's number
def test_a_waiter_that_leaves_holds_up_nobody(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        release, honest = threading.Event(), wal._writer.append

        def slow(entries: list[bytes]) -> int:
            release.wait(SECONDS)
            return honest(entries)

        wal._writer.append = slow  # type: ignore[method-assign]
        callers = Callers(*[lambda n=n: wal.append(b"%d" % n) for n in range(4)])
        queued(wal, 2)
        for thread in callers.threads[2:]:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
            )
        release.set()
        outcomes = callers.join()
        assert all(isinstance(outcome, (int, KeyboardInterrupt)) for outcome in outcomes)
        wal._writer.append = honest  # type: ignore[method-assign]
        with suppress(walogs.Poisoned):
            assert Callers(lambda: wal.append(b"next")).join()[0] == wal.last_lsn


def test_a_signal_handler_that_appends_while_its_thread_waits_in_the_queue(tmp_path: Path) -> None:
    told: list[object] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: told.append(wal.append(b"from the handler")))
    try:
        with walogs.open(tmp_path) as wal:
            release, honest = threading.Event(), wal._writer.append

            def slow(entries: list[bytes]) -> int:
                release.wait(SECONDS)
                return honest(entries)

            wal._writer.append = slow  # type: ignore[method-assign]
            callers = Callers(lambda: wal.append(b"1"), lambda: wal.append(b"2"))
            wal._commits._is_contended = True

            def kick() -> None:
                queued(wal, 1)
                os.kill(os.getpid(), signal.SIGUSR1)
                sleep(0.02)
                release.set()

            kicker = Callers(kick)
            mine = wal.append(b"mine")
            kicker.join()
            assert len({mine, *callers.join(), *told}) == 4
            assert wal.last_lsn == 4
    finally:
        signal.signal(signal.SIGUSR1, before)


# The end


@pytest.mark.guarantee("G1", "G18")
def test_close_while_others_append(log_factory: LogFactory) -> None:
    got: dict[int, bytes] = {}

    def appending(name: int) -> None:
        for k in range(100_000):
            data = b"%d:%d" % (name, k)
            got[wal.append(data)] = data

    wal = log_factory.open()
    callers = Callers(*[lambda name=name: appending(name) for name in range(4)])
    while len(got) < 50:
        sleep(0.001)
    wal.close()
    assert all(isinstance(outcome, walogs.Closed) for outcome in callers.join())
    until(lambda: wal._commits._thread is None, "the commit thread's end")
    with log_factory.open() as again:
        entries = dict(again)
        assert {lsn: entries[lsn] for lsn in got} == got


def test_a_log_that_is_dropped_with_futures_in_flight_commits_them_and_frees_its_lock(tmp_path: Path) -> None:
    wal = walogs.open(tmp_path)
    futures = [wal.submit(b"%d" % n) for n in range(50)]
    handles = [wal]
    del wal
    with pytest.warns(ResourceWarning, match="was not closed"):
        handles.clear()
    gc.collect()
    assert [future.result(SECONDS) for future in futures] == list(range(1, 51))
    for _ in range(int(SECONDS * 1000)):
        with suppress(walogs.Locked), walogs.open(tmp_path) as again:
            assert again.last_lsn == 50
            return
        sleep(0.001)
    raise AssertionError("the lock was never freed")


@pytest.mark.guarantee("G1")
def test_a_log_that_is_dropped_syncs_what_an_interval_owes() -> None:
    disk = MemoryDisk()
    wal = walogs.open(store=MemoryStore(disk), sync=walogs.IntervalPolicy(time=3600))
    for n in range(3):
        wal.append(b"%d" % n)
    commits = wal._commits
    handles = [wal]
    del wal
    with pytest.warns(ResourceWarning, match="was not closed"):
        handles.clear()
    gc.collect()
    until(lambda: commits._thread is None, "the commit thread's end")
    disk.power_cut(random.Random(1), 0.0)
    with walogs.open(store=MemoryStore(disk)) as again:
        assert [data for _, data in again] == [b"0", b"1", b"2"]


@pytest.mark.guarantee("G18")
def test_close_waits_for_callbacks_that_come_to_an_end_and_not_for_one_that_waits_for_close(tmp_path: Path) -> None:
    told: list[int] = []

    def slow(future: Future[int]) -> None:
        sleep(0.02)
        told.append(future.result())

    with walogs.open(tmp_path / "slow") as wal:
        for _ in range(20):
            wal.submit(b"x").add_done_callback(slow)
    assert told == list(range(1, 21))

    wal = walogs.open(tmp_path / "waiting")
    is_closed, begun = threading.Event(), threading.Event()
    wal.submit(b"x").add_done_callback(lambda _: (begun.set(), is_closed.wait(SECONDS)))
    assert begun.wait(SECONDS)
    wal.close()
    is_closed.set()


def test_where_no_thread_can_be_started_callers_commit(log_factory: LogFactory) -> None:
    store = log_factory.store() if log_factory.shape != "local" else LocalStore(log_factory._directory / "log")
    with made(store, no_thread, codec=stores.CODECS[log_factory.codec]()) as wal:
        told: list[int] = []
        future = wal.submit(b"first")
        assert future.result(0) == 1
        future.add_done_callback(lambda done: told.append(wal.append(b"%d" % done.result())))
        assert told == [2]
        callers = Callers(*[lambda: [wal.append(b"x") for _ in range(20)] for _ in range(4)])
        assert sorted(lsn for lsns in callers.join() for lsn in lsns) == list(range(3, 83))  # type: ignore[attr-defined]


# Policies with a delay


def timed(disk: MemoryDisk, clock: Clock, policy: Any) -> walogs.Wal:
    return made(MemoryStore(disk), stepped_by_hand, clock, sync=policy)


@pytest.mark.guarantee("G1", "G2")
def test_an_interval_keeps_its_word_without_another_append() -> None:
    clock = Clock()
    with timed(MemoryDisk(), clock, walogs.IntervalPolicy(time=0.001, entries=10)) as wal:
        wal.append(b"1")
        clock.now_ns = 999_999
        wal.append(b"2")
        step(wal)
        assert wal.durable_lsn == 0
        clock.now_ns = 1_000_000
        step(wal)
        assert wal.durable_lsn == 2
        for _ in range(9):
            wal.append(b"x")
        assert wal.durable_lsn == 2
        wal.append(b"x")
        assert wal.durable_lsn == 12
        wal.append(b"x")
        wal.sync()
        assert wal.durable_lsn == 13


@pytest.mark.guarantee("G2")
@pytest.mark.parametrize("seed", range(40))
def test_a_power_cut_loses_at_most_what_the_interval_says(seed: int) -> None:
    rng, disk, clock = random.Random(seed), MemoryDisk(), Clock()
    wal = timed(disk, clock, walogs.IntervalPolicy(time=0.001, entries=7, bytes=2000))
    written: list[tuple[int, int]] = []
    for lsn in range(1, rng.randrange(2, 60)):
        clock.now_ns += rng.randrange(400_000)
        step(wal)
        assert wal.append(rng.randbytes(rng.randrange(200))) == lsn
        written.append((lsn, clock.now_ns))
    wal.closed = True
    disk.power_cut(rng)
    with walogs.open(store=MemoryStore(disk)) as again:
        lost = [when for lsn, when in written if lsn > again.last_lsn]
        assert len(lost) < 7
        assert all(clock.now_ns - when < 1_000_000 + 400_000 for when in lost)
        assert again.last_lsn + len(lost) == len(written)


@pytest.mark.guarantee("G7")
def test_a_sync_in_the_background_that_fails_poisons() -> None:
    disk, clock = MemoryDisk(), Clock()
    with timed(disk, clock, walogs.IntervalPolicy(time=0.001)) as wal:
        wal.append(b"1")
        disk.arm(1, FAILED_SYNC, rng=random.Random(1))
        clock.now_ns = 2_000_000
        step(wal)
        with pytest.raises(walogs.Poisoned):
            wal.append(b"2")
        assert wal.durable_lsn == 0


def test_the_commit_thread_syncs_in_real_time_too(tmp_path: Path) -> None:
    with walogs.open(tmp_path, sync=walogs.IntervalPolicy(time=0.002)) as wal:
        for lsn in range(1, 4):
            wal.append(b"x")
            for _ in range(int(SECONDS * 1000)):
                if wal.durable_lsn == lsn:
                    break
                sleep(0.001)
            assert wal.durable_lsn == lsn


@pytest.mark.parametrize(
    ("options", "phrases"),
    [({"time": 0}, "time=0"), ({"time": True, "bytes": 0}, "time=True"), ({"entries": -1}, "entries=-1")],
)
def test_a_wrong_interval_is_refused(options: dict[str, Any], phrases: str) -> None:
    with pytest.raises(walogs.ConfigError, match=phrases):
        walogs.IntervalPolicy(**options)


# Following


@pytest.mark.guarantee("G4")
def test_followers_of_the_writer_get_every_entry(log_factory: LogFactory) -> None:
    with log_factory.open(max_segment_size=2000) as wal:
        wal.append(b"0")

        def follow() -> list[int]:
            return [lsn for lsn, _ in itertools.takewhile(lambda item: item[0] < 60, wal.follow())]

        followers = Callers(*[follow for _ in range(3)])
        for n in range(1, 70):
            wal.append(b"%d" % n)
        assert followers.join() == [list(range(1, 60))] * 3
        assert [lsn for lsn, _ in wal.follow(68, timeout=0.01)] == [68, 69, 70]


def test_a_follower_of_the_writer_is_told_the_end(tmp_path: Path) -> None:
    wal = walogs.open(tmp_path)
    wal.append(b"x")
    followers = Callers(lambda: list(wal.follow()), lambda: list(wal.follow(2)))
    for _ in range(int(SECONDS * 1000)):
        if len(wal._commits._followers) >= 2:
            break
        sleep(0.001)
    wal.close()
    assert all(isinstance(outcome, walogs.Closed) for outcome in followers.join())


def test_offers_are_small() -> None:
    assert not hasattr(Offer([b"x"], 1, 1), "__dict__")
