"""Processes that end without `close()`, or fork in the middle of a shared commit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import walogs
from tests.system.children import run, said


def ends_well(code: str, path: Path) -> str:
    ran = run([sys.executable, "-W", "ignore", "-c", code, str(path)])
    assert ran.returncode == 0, said(ran)
    return ran.stdout


EXITS = {
    "at the end of the program": "",
    "sys.exit": "sys.exit(0)",
    "sys.exit while others append": """
def appending():
    while True:
        wal.append(b"more")
for _ in range(4):
    threading.Thread(target=appending, daemon=True).start()
time.sleep(0.05)
sys.exit(0)
""",
    "while the commit thread is in a callback": """
started, held = threading.Event(), threading.Event()
def callback(future):
    started.set()
    held.wait(300)
wal.submit(b"more").add_done_callback(callback)
sys.exit(0)
""",
}


@pytest.mark.guarantee("G1", "G18")
@pytest.mark.parametrize("how", EXITS)
def test_an_interpreter_that_ends_without_close_commits_what_was_queued(how: str, tmp_path: Path) -> None:
    code = f"""
import sys, threading, time, walogs
wal = walogs.open(sys.argv[1])
futures = [wal.submit(b"%d" % n) for n in range(500)]
{EXITS[how]}
"""
    ends_well(code, tmp_path)
    for _ in range(2):
        with walogs.open(tmp_path) as wal:
            entries = [data for _, data in wal]
            assert entries[:500] == [b"%d" % n for n in range(500)]
            wal.append(b"after")


@pytest.mark.guarantee("G18")
def test_a_child_of_a_fork_in_the_middle_of_shared_commits_is_refused_and_ends(tmp_path: Path) -> None:
    code = """
import os, sys, threading, walogs
wal = walogs.open(sys.argv[1])
stop = threading.Event()
lsns = []
def appending():
    while not stop.is_set():
        lsns.append(wal.append(b"x" * 50))
threads = [threading.Thread(target=appending) for _ in range(6)]
for thread in threads:
    thread.start()
for _ in range(30):
    child = os.fork()
    if not child:
        refused = 0
        for verb in (lambda: wal.append(b"y"), lambda: wal.submit(b"y"), wal.sync, wal.rotate, lambda: list(wal)):
            try:
                verb()
            except walogs.Closed:
                refused += 1
        wal.close()
        os._exit(0 if refused == 5 else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
assert sorted(lsns) == list(range(1, len(lsns) + 1))
wal.close()
print(len(lsns))
"""
    count = int(ends_well(code, tmp_path))
    for _ in range(2):
        with walogs.open(tmp_path) as wal:
            assert wal.last_lsn == count
            assert wal.tail_state == walogs.Clean()


@pytest.mark.guarantee("G18")
def test_a_child_that_exits_by_itself_commits_nothing_of_its_parent(tmp_path: Path) -> None:
    code = """
import os, sys, walogs
wal = walogs.open(sys.argv[1])
futures = [wal.submit(b"%d" % n) for n in range(200)]
child = os.fork()
if not child:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert [future.result(300) for future in futures] == list(range(1, 201))
wal.close()
"""
    ends_well(code, tmp_path)
    with walogs.open(tmp_path) as wal:
        assert [data for _, data in wal] == [b"%d" % n for n in range(200)]


@pytest.mark.guarantee("G18")
@pytest.mark.parametrize("end", ["", "wal.close()"], ids=["exit", "close"])
def test_callbacks_that_wait_for_the_thread_that_ends_do_not_keep_it(end: str, tmp_path: Path) -> None:
    """As those do that put into a bounded queue which the main thread empties: it no longer does."""
    code = f"""
import queue, sys, walogs
wal = walogs.open(sys.argv[1])
told = queue.Queue(1)
for n in range(50):
    wal.submit(b"%d" % n).add_done_callback(lambda future: told.put(future.result()))
{end}
"""
    ran = run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)])
    assert ran.returncode == 0, said(ran)
    with walogs.open(tmp_path) as wal:
        assert [data for _, data in wal] == [b"%d" % n for n in range(50)]


@pytest.mark.guarantee("G18")
def test_a_callback_that_forks_leaves_no_commit_thread_in_the_child(tmp_path: Path) -> None:
    """The commit thread is the only thread of the child. It must not continue with the queue."""
    code = """
import os, sys, threading, walogs
wal = walogs.open(sys.argv[1])
statuses, told = [], threading.Event()
in_child = []
def fork(_):
    child = os.fork()
    if child:
        statuses.append(os.waitpid(child, 0)[1])
        told.set()
    else:
        honest = wal._writer.write_commit
        def written(entries):
            os._exit(7)
        wal._writer.write_commit = written
        threading.Timer(0.3, os._exit, [0]).start()
gate = threading.Event()
honest = wal._writer.write_commit
wal._writer.write_commit = lambda entries: (gate.wait(300), honest(entries))[1]
first = wal.submit(b"1")
first.add_done_callback(fork)
while wal._commits._queue.committing is None:
    pass
futures = [wal.submit(b"more") for _ in range(5)]
gate.set()
assert told.wait(300)
assert [future.result(300) for future in futures] == [2, 3, 4, 5, 6]
wal.close()
assert statuses == [0], f"the child committed what was queued: {statuses}"
"""
    ends_well(code, tmp_path)
