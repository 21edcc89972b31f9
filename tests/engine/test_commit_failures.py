"""What every caller is told when a shared commit fails or is interrupted."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any

import pytest

import walogs
from tests.kit.callers import (
    FUTURES,
    SECONDS,
    Callers,
    Clock,
    made,
    queued,
    reached,
    step,
    stepped,
    stepped_by_hand,
)
from tests.kit.codecs import DeflateCodec
from walogs.engine.appendable import AppendableWriter
from walogs.engine.shared_commits import SharedCommits
from walogs.formats.segment_format import RunIndex
from walogs.testing import FAILED_SYNC, Fault, MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

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
    assert all(isinstance(error, walogs.OutcomeUnknown) for error in errors)
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


def raise_error(error: BaseException) -> None:
    raise error


@pytest.mark.guarantee("G7", "G18")
@pytest.mark.parametrize("sync", ["fdatasync", "interval", "none"])
@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()], ids=["memory", "interrupt"])
def test_what_goes_wrong_after_the_write_is_an_unknown_outcome_and_ends_all_syncs(
    sync: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit thread owes no sync to a log that refuses it, and the log can be closed."""
    disk, clock = MemoryDisk(), Clock()
    wal = made(MemoryStore(disk), stepped_by_hand, clock, sync=sync)
    wal.append(b"kept")
    with monkeypatch.context() as planted:
        planted.setattr(RunIndex, "add_frame", lambda *_: raise_error(error))
        with pytest.raises(BaseException) as told:
            wal.append(b"written")
    if isinstance(error, Exception):
        assert isinstance(told.value, walogs.OutcomeUnknown)
        assert (told.value.first_lsn, told.value.last_lsn) == (2, 2)
    with pytest.raises(walogs.Poisoned):
        wal.append(b"refused")
    clock.now_ns += 10**12
    assert not all(wal._commits.step() for _ in range(10))
    with suppress(walogs.OutcomeUnknown):
        wal.close()
    assert not all(wal._commits.step() for _ in range(10))
    with walogs.open(store=MemoryStore(disk)) as again:
        assert [data for _, data in again] == [b"kept", b"written"]


@pytest.mark.guarantee("G7", "G18")
@pytest.mark.parametrize("is_closed", [False, True])
def test_a_sync_that_was_interrupted_is_not_owed_for_ever(is_closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    wal = made(MemoryStore(MemoryDisk()), stepped_by_hand, clock, sync="interval")
    wal.append(b"one")
    with monkeypatch.context() as planted:
        planted.setattr(AppendableWriter, "_all_durable", lambda *_: raise_error(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            wal.sync()
    assert wal._writer.sync_by_ns is not None
    clock.now_ns += 10**12
    for _ in range(2):
        if is_closed:
            with suppress(walogs.OutcomeUnknown):
                wal.close()
        assert not all(wal._commits.step() for _ in range(10))
        is_closed = True


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
    first = stepped(MemoryImmutableStore(cloud))
    futures = [first.submit(b"%d" % n) for n in range(3)]
    with walogs.open(store=MemoryImmutableStore(cloud)) as second:
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
    wal._commits._queue.is_contended = True
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
                assert isinstance(outcome, (walogs.OutcomeUnknown, walogs.Poisoned, walogs.Closed)), repr(outcome)
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
    honest = SharedCommits.settle

    def forgetful(self: SharedCommits, error: Exception | None) -> None:
        queue = self._queue
        if error is None and queue.committing is not None and self._writer.next_lsn > queue.committing[1]:
            count = getattr(self, "forgot", 0)
            self.forgot = count + 1  # type: ignore[attr-defined]
            if not count:
                queue.committing = None
                return
        honest(self, error)

    monkeypatch.setattr(SharedCommits, "settle", forgetful)
    with pytest.raises(AssertionError, match="there twice"):
        settles_everybody(10_000, "step")


@pytest.mark.guarantee("G18")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the exception may come late,
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # or to who has got its thread's number
def test_a_waiter_that_leaves_holds_up_nobody(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        release, honest = threading.Event(), wal._writer.write_commit

        def slow(entries: list[bytes]) -> int:
            release.wait(SECONDS)
            return honest(entries)

        wal._writer.write_commit = slow  # type: ignore[method-assign]
        callers = Callers(*[lambda n=n: wal.append(b"%d" % n) for n in range(4)])
        queued(wal, 2)
        for thread in callers.threads[2:]:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
            )
        release.set()
        outcomes = callers.join()
        assert all(isinstance(outcome, (int, KeyboardInterrupt)) for outcome in outcomes)
        wal._writer.write_commit = honest  # type: ignore[method-assign]
        with suppress(walogs.Poisoned):
            assert Callers(lambda: wal.append(b"next")).join()[0] == wal.last_lsn


def test_a_signal_handler_that_appends_while_its_thread_waits_in_the_queue(tmp_path: Path) -> None:
    told: list[object] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: told.append(wal.append(b"from the handler")))
    try:
        with walogs.open(tmp_path) as wal:
            release, honest = threading.Event(), wal._writer.write_commit

            def slow(entries: list[bytes]) -> int:
                release.wait(SECONDS)
                return honest(entries)

            wal._writer.write_commit = slow  # type: ignore[method-assign]
            callers = Callers(lambda: wal.append(b"1"), lambda: wal.append(b"2"))
            wal._commits._queue.is_contended = True

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
