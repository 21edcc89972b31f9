"""Many callers share one write and one sync."""

from __future__ import annotations

import ast
import inspect
import itertools
import threading
from concurrent.futures import CancelledError, Future
from pathlib import Path
from time import sleep

import pytest

import walogs
from tests.kit import stores
from tests.kit.callers import SECONDS, Callers, queued, step, stepped
from tests.kit.stores import LogFactory
from walogs.defaults.local_store import LocalStore
from walogs.engine import commit_queue, writer_turns
from walogs.testing import MemoryDisk, MemoryStore

log_factory, appending_factory = stores.log_factory, stores.appending_factory


# Shared commits


@pytest.mark.guarantee("G1", "G12")
def test_callers_that_wait_together_are_committed_together(log_factory: LogFactory) -> None:
    store = log_factory.store() if log_factory.shape != "local" else LocalStore(log_factory.path)
    with stepped(store, codec=stores.CODECS[log_factory.codec]()) as wal:
        wal._commits._queue.is_contended = True
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
        for _ in range(commit_queue.UNSHARED_COMMITS_MAX + 1):
            wal.append(b"x")
        committed = threading.get_ident()
        by: list[int] = []
        honest = wal._writer.write_commit

        def seen(entries: list[bytes]) -> int:
            by.append(threading.get_ident())
            return honest(entries)

        wal._writer.write_commit = seen  # type: ignore[method-assign]
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


# The mutex


@pytest.mark.guarantee("G18")
def test_every_use_of_the_mutex_sets_and_clears_its_holder_in_the_same_way() -> None:
    """`run` and `commit_directly` each have these lines. No call may stand between setting `_holder` and its `try`."""
    uses = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(writer_turns)))
        if isinstance(node, ast.With) and ast.unparse(node.items[0].context_expr) == "self._mutex"
    ]
    assert len(uses) == 2
    for use in uses:
        refusal, taken, body = use.body
        assert isinstance(refusal, ast.If)
        assert "self._holder" in ast.unparse(refusal.test)
        assert ast.unparse(refusal.body[0]) == "self._raise_refusal()"
        assert ast.unparse(taken) == "self._holder = me"
        assert isinstance(body, ast.Try)
        (release,) = body.finalbody
        assert isinstance(release, ast.Try)
        assert "release_all(self._followers)" in ast.unparse(release.body[0])
        assert [ast.unparse(line) for line in release.finalbody] == ["self._holder = 0"]
