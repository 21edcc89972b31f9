"""Several processes on one file: fenced writers, readers beside one, and children that were forked."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.system.children import Child, forked
from tests.system.ledger import payload
from walogs_sqlite import SqliteStore

APPENDING: Final = Path(__file__).parent / "programs" / "appending.py"


@pytest.mark.guarantee("G13")
def test_the_later_writer_has_the_log_and_the_earlier_is_fenced(path: Path) -> None:
    with Child([sys.executable, str(APPENDING), str(path)]) as child:
        child.wait_for("ready 1")
        child.tell("10")
        child.wait_for("ack 1 ")
        with walogs.open(path, store="sqlite") as wal:
            child.tell("10")
            child.wait_for("Fenced ")
            assert wal.append(b"mine") == 2
            assert list(wal) == [(1, payload(1, size=10)), (2, b"mine")]
            child.tell("10")
            child.wait_for("Poisoned ")
    with walogs.open(path, store="sqlite") as wal:
        assert wal.append(b"next") == 3


@pytest.mark.guarantee("G14")
def test_a_reader_follows_a_writer_in_another_process(path: Path) -> None:
    with Child([sys.executable, str(APPENDING), str(path)]) as child:
        child.wait_for("ready")
        child.tell("10")
        child.wait_for("ack 1 ")
        reader = walogs.reader(path, store="sqlite")
        for number in range(2, 12):
            child.tell("10")
            child.wait_for(f"ack {number} ")
            assert reader.read(number) == payload(number, size=10)
        child.tell("checkpoint 8")
        child.wait_for("checkpointed")
        with pytest.raises(walogs.Checkpointed):
            reader.read(8)
        assert [lsn for lsn, _ in reader] == [9, 10, 11]
        child.kill()
        assert [lsn for lsn, _ in reader] == [9, 10, 11]
        reader.close()


def test_where_it_may_not_write_it_says_so(path: Path, shared_path: Path) -> None:
    directory = shared_path
    with walogs.open(directory / "log.db", store="sqlite") as wal:
        wal.append(b"x")
    (directory / "log.db").chmod(0o444)
    directory.chmod(0o555)

    def in_child() -> None:
        with walogs.open(path, store="sqlite"):
            pass  # all is imported that somebody else may not be able to read
        if os.getuid() == 0:
            os.setuid(65534)
        for verb in (walogs.open, walogs.reader):
            with pytest.raises(PermissionError, match="nothing was changed"):
                verb(directory / "log.db", store="sqlite")  # type: ignore[operator]
        with pytest.raises(PermissionError):
            walogs.open(directory / "other.db", store="sqlite")

    assert forked(in_child) == 0
    assert [file.name for file in directory.iterdir()] == ["log.db"]
    directory.chmod(0o755)


@pytest.mark.guarantee("G18")
def test_a_forked_child_neither_writes_nor_reads_nor_closes_what_it_inherited(path: Path) -> None:
    store = SqliteStore(path)
    store.acquire()
    store.create(1, b"parent's")
    store.read(1)

    def in_child() -> None:
        for call in (store.segments, lambda: store.read(1), lambda: store.create(2, b"x"), lambda: store.remove([1])):
            with pytest.raises(walogs.Closed, match="before a fork"):
                call()
        store.close()

    assert forked(in_child) == 0
    store.create(2, b"parent's too")
    assert list(store.segments()) == [1, 2]
    assert Path(f"{path}-wal").exists(), "the child has closed the parent's file"
    store.close()


@pytest.mark.guarantee("G18")
def test_a_child_that_is_forked_in_the_middle_of_commits_can_open_the_log_itself(path: Path) -> None:
    wal = walogs.open(path, store="sqlite")
    is_over = threading.Event()
    may_append = threading.Semaphore(0)  # a few a child: an open that is overtaken for ever gives up
    acknowledged: list[int] = []

    def work(verb: str) -> None:
        while not is_over.is_set():
            try:
                if verb == "append":
                    if may_append.acquire(timeout=0.01):
                        acknowledged.append(wal.append(b"x" * 500))
                else:
                    assert wal.read(1)
            except (walogs.Fenced, walogs.Poisoned):
                return  # a child has the log now

    wal.append(b"first")
    threads = [threading.Thread(target=work, args=(verb,)) for verb in ("append", "append", "read", "read")]
    for thread in threads:
        thread.start()

    def in_child() -> None:
        with walogs.open(path, store="sqlite") as own:
            own.append(b"the child's")

    def next_status() -> int:
        may_append.release(6)
        return forked(in_child)

    try:
        statuses = [next_status() for _ in range(10)]
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert statuses == [0] * 10
    wal.close()
    with walogs.open(path, store="sqlite") as wal:
        entries = list(wal)
        assert [data for _, data in entries].count(b"the child's") == 10
        assert set(acknowledged) <= {lsn for lsn, data in entries if data == b"x" * 500}
