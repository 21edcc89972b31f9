"""How a log is closed, dropped, and shared by threads and signal handlers."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import warnings
from pathlib import Path

import pytest

import walogs
from tests.kit import stores
from tests.kit.logs import numbered
from tests.kit.stores import LogFactory
from walogs.testing import MemoryDisk, MemoryStore

log_factory, appending_factory = stores.log_factory, stores.appending_factory


# Closing


@pytest.mark.guarantee("G13")
def test_close_can_be_called_again_and_frees_the_log(log_factory: LogFactory) -> None:
    wal = log_factory.open()
    wal.append(b"one")
    assert not wal.closed
    wal.close()
    wal.close()
    assert wal.closed
    with log_factory.open() as again:
        assert list(again) == [(1, b"one")]
        wal.close()
        assert again.append(b"two") == 2


def test_after_close_every_verb_says_so(log_factory: LogFactory) -> None:
    wal = log_factory.open()
    wal.append(b"one")
    iterator = iter(wal)
    wal.close()
    verbs = [
        lambda: wal.append(b"x"),
        lambda: wal.append_batch([b"x"]),
        lambda: wal.append_batch([]),
        wal.sync,
        wal.rotate,
        lambda: wal.checkpoint(1),
        lambda: wal.read(1),
        wal.iter,
        lambda: iter(wal),
        wal.commits,
        wal.segments,
        lambda: wal.segment_count,
        lambda: next(iterator),
    ]
    for verb in verbs:
        with pytest.raises(walogs.Closed, match="closed"):
            verb()
    assert (wal.last_lsn, wal.next_lsn) == (1, 2)


def test_a_log_that_is_not_closed_warns_and_frees_its_lock(log_factory: LogFactory) -> None:
    wal = log_factory.open()
    wal.append(b"one")
    log_factory.forget()
    held = [wal]
    del wal
    with pytest.warns(ResourceWarning, match="was not closed"):
        forget(held)
    with log_factory.open() as again:
        assert list(again) == [(1, b"one")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_log_that_is_not_closed_frees_its_lock_although_the_warning_is_an_error(log_factory: LogFactory) -> None:
    held = [log_factory.open()]
    log_factory.forget()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        forget(held)
    log_factory.open().close()


def forget(held: list[walogs.Wal]) -> None:
    held.clear()
    gc.collect()


def test_a_log_that_is_closed_does_not_warn(log_factory: LogFactory) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wal = log_factory.open()
        wal.close()
        log_factory.forget()
        del wal
        gc.collect()


def test_a_log_is_closed_when_its_block_raises(log_factory: LogFactory) -> None:
    wal = log_factory.open()

    def block() -> None:
        with wal:
            wal.append(b"one")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        block()
    assert wal.closed
    with log_factory.open() as wal:
        assert list(wal) == [(1, b"one")]


def test_a_log_is_never_pickled_and_its_errors_are(log_factory: LogFactory) -> None:
    with log_factory.open(max_entry_size=1) as wal:
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(wal)
        with pytest.raises(walogs.EntryTooLarge) as refused:
            wal.append(b"xx")
        again = pickle.loads(pickle.dumps(refused.value))
        assert (str(again), again.size, again.max) == (str(refused.value), 2, 1)


@pytest.mark.guarantee("G13")
def test_two_handles_of_one_process_are_one_too_many(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(b"one")
        with pytest.raises(walogs.Locked, match=f"process {os.getpid()}") as refused:
            walogs.open(tmp_path / "log")
        assert refused.value.pid == os.getpid()
        assert wal.append(b"two") == 2
    with walogs.open(tmp_path / "log") as wal:
        assert list(wal) == numbered(1, b"one", b"two")


# Threads and signals


@pytest.mark.guarantee("G1", "G2")
def test_threads_that_append_at_once_get_numbers_of_their_own(log_factory: LogFactory) -> None:
    threads, each = 8, 25
    got: list[tuple[int, bytes]] = []
    failures: list[BaseException] = []
    start = threading.Barrier(threads)

    def appending(name: int) -> None:
        try:
            start.wait()
            for k in range(each):
                data = b"%d:%d" % (name, k)
                if k % 5:
                    got.append((wal.append(data), data))
                else:
                    (lsn, second) = wal.append_batch([data, data + b"'"])
                    got.extend([(lsn, data), (second, data + b"'")])
                assert wal.read(got[-1][0]) is not None
        except BaseException as failure:  # noqa: BLE001  # it would be lost in the thread
            failures.append(failure)

    with log_factory.open(max_segment_size=1500) as wal:
        workers = [threading.Thread(target=appending, args=(name,)) for name in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert failures == []
        assert list(wal) == sorted(got)
        for lsn, data in got:
            assert wal.read(lsn) == data
    assert [lsn for lsn, _ in sorted(got)] == list(range(1, len(got) + 1))
    with log_factory.open() as wal:
        assert list(wal) == sorted(got)
        for name in range(threads):
            own = [data for _, data in wal if data.split(b":")[0] == b"%d" % name]
            assert own == sorted(own, key=lambda data: (int(data.split(b":")[1].rstrip(b"'")), data))


def test_readers_beside_a_writer_see_only_what_is_there(log_factory: LogFactory) -> None:
    stop, failures = threading.Event(), []

    def reading() -> None:
        try:
            while not stop.is_set():
                first, last = wal.first_lsn, wal.last_lsn
                try:
                    seen = list(wal.iter(first))
                except walogs.Checkpointed:
                    continue
                assert [lsn for lsn, _ in seen] == list(range(first, first + len(seen)))
                assert len(seen) >= last - first + 1
                assert all(data == b"%d" % lsn * 20 for lsn, data in seen)
        except BaseException as failure:  # noqa: BLE001  # it would be lost in the thread
            failures.append(failure)

    with log_factory.open(max_segment_size=1500) as wal:
        readers = [threading.Thread(target=reading) for _ in range(2)]
        for reader in readers:
            reader.start()
        for lsn in range(1, 120):
            assert wal.append(b"%d" % lsn * 20) == lsn
            if lsn % 40 == 0:
                wal.checkpoint(lsn - 25)
        stop.set()
        for reader in readers:
            reader.join()
    assert failures == []


@pytest.mark.guarantee("G18")
def test_a_signal_handler_in_the_middle_of_an_append_is_refused_and_harms_nothing() -> None:
    store = MemoryStore(MemoryDisk())
    refused: list[walogs.Reentered] = []
    verbs = 0

    def called(*_: object) -> None:
        nonlocal verbs
        verbs = len(
            calls := [
                lambda: wal.append(b"within"),
                lambda: wal.append_batch([b"a"]),
                lambda: wal.checkpoint(1),
                lambda: wal.read(1),
                wal.sync,
                wal.rotate,
                wal.iter,
                wal.segments,
                wal.close,
            ]
        )
        for verb in calls:
            with pytest.raises(walogs.Reentered, match="nothing was done") as error:
                verb()
            refused.append(error.value)

    before = signal.signal(signal.SIGUSR1, called)
    try:
        with walogs.open(store=store) as wal:
            wal.append(b"one")
            store.on_write.append(lambda *_: signal.raise_signal(signal.SIGUSR1))
            assert wal.append(b"two") == 2
            store.on_write.pop()
            assert len(refused) == verbs > 8
            assert (wal.next_lsn, wal.last_lsn) == (3, 2)
            assert "open" in repr(wal)
            assert wal.append(b"three") == 3
            assert list(wal) == numbered(1, b"one", b"two", b"three")
    finally:
        signal.signal(signal.SIGUSR1, before)
