"""The owners of cursors in several processes: kills, forks, power cuts, and what SQLite asks of the system."""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.temporary import IN_MEMORY
from tests.system.children import Child, environment, forked, seed_of
from tests.system.strace import require_strace
from walogs_sqlite import SqliteStore

PROGRAMS: Final = Path(__file__).parent / "programs"
ENTRIES: Final = 60
VALUE: Final = bytes(64)
SECTOR: Final = 512


@pytest.fixture
def log(path: Path) -> Path:
    """A closed log of sixty entries."""
    with walogs.open(path, store="sqlite") as wal:
        for number in range(1, ENTRIES + 1):
            wal.append(b"entry %d" % number)
    return path


def consuming(log: Path, name: str = "mailer") -> list[str]:
    return [sys.executable, str(PROGRAMS / "consuming.py"), str(log), name]


# One owner


@pytest.mark.guarantee("G21")
def test_a_cursor_has_one_owner_and_a_killed_one_has_freed_it(log: Path) -> None:
    with Child(consuming(log)) as child, walogs.reader(log, store="sqlite") as reader:
        child.wait_for("ready 0")
        child.tell("commit 7 durable")
        child.wait_for("committed 7")
        child.tell("commit 9")
        child.wait_for("committed 9")
        with pytest.raises(walogs.Locked, match=f"cursor 'mailer' of {log} is open by process") as told:
            reader.cursor("mailer")
        assert told.value.pid == child.process.pid
        with reader.cursor("auditor") as cursor:
            assert cursor.position == 0
        child.kill()
        with reader.cursor("mailer") as cursor:
            assert cursor.position == 9, "a kill has set it back"
            cursor.commit(10)
            with Child(consuming(log)) as other:
                assert "Locked" in other.wait_for("open: ")


@pytest.mark.guarantee("G18", "G21")
def test_a_forked_child_that_outlives_the_owner_does_not_keep_the_lock(log: Path) -> None:
    with Child(consuming(log)) as child:
        child.wait_for("ready 0")
        child.tell("fork")
        forked_pid = int(child.wait_for("forked ").split()[1])
        try:
            child.process.kill()
            child.process.wait()
            os.kill(forked_pid, 0)  # it still runs
            with walogs.reader(log, store="sqlite") as reader, reader.cursor("mailer") as cursor:
                assert cursor.position == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(forked_pid, 9)


@pytest.mark.guarantee("G18")
def test_a_forked_child_writes_no_cursor_by_what_it_inherited(log: Path) -> None:
    store = SqliteStore(log)
    store.write_cursor("mailer", VALUE, durable=True)

    def in_child() -> None:
        calls = (
            store.cursors,
            lambda: store.read_cursor("mailer"),
            lambda: store.write_cursor("mailer", b"x" * 64, durable=True),
            lambda: store.remove_cursor("mailer"),
        )
        for call in calls:
            with pytest.raises(walogs.Closed, match="before a fork"):
                call()
        store.close()
        own = SqliteStore(log)
        own.write_cursor("auditor", b"y" * 64, durable=True)
        own.close()

    assert forked(in_child) == 0
    assert (store.cursors(), store.read_cursor("mailer")) == (["auditor", "mailer"], VALUE)
    store.write_cursor("mailer", b"z" * 64, durable=False)
    store.close()


@pytest.mark.guarantee("G1", "G21")
def test_a_writer_and_two_consumers_do_not_fail_each_other(log: Path) -> None:
    with Child(consuming(log)) as mailer, Child(consuming(log, "auditor")) as auditor:
        with walogs.open(log, store="sqlite") as wal:
            for child, durable in ((mailer, ""), (auditor, " durable")):
                child.wait_for("ready 0")
                for lsn in range(1, ENTRIES + 1):
                    child.tell(f"commit {lsn}{durable}")
            for number in range(ENTRIES):
                assert wal.append(b"x" * 3000) == ENTRIES + number + 1
            for child in (mailer, auditor):
                child.wait_for(f"committed {ENTRIES}")
                assert sum(line.startswith("committed") for line in child.lines()) == ENTRIES
        mailer.kill()
        auditor.kill()
    with walogs.open(log, store="sqlite") as wal:
        assert wal.last_lsn == len(list(wal)) == 2 * ENTRIES
        for name in ("mailer", "auditor"):
            with wal.cursor(name) as cursor:
                assert cursor.position == ENTRIES


# Power cuts


def mixed(rng: random.Random, before: bytes, after: bytes) -> bytes:
    """Of the sectors of NAME-wal that were written and not synced, some are on the disk."""
    share, size = rng.random(), max(len(before), len(after))
    old, new = before.ljust(size, b"\0"), after.ljust(size, b"\0")
    parts = [(new if rng.random() < share else old)[at : at + SECTOR] for at in range(0, size, SECTOR)]
    return b"".join(parts)


@pytest.mark.guarantee("G21")
def test_a_power_cut_takes_only_what_need_not_be_durable(log: Path) -> None:
    """Also after commits that were not synced, neither the log nor the position is anything but what was there."""
    rng, seen = random.Random(seed_of("cursors and power cuts")), Counter[str]()
    database, wal_file = log.read_bytes(), Path(f"{log}-wal")
    synced: list[tuple[int, bytes]] = []  # the durable position, and NAME-wal when it was synced
    moments: list[tuple[int, bytes, int]] = []  # the position, NAME-wal, and which sync was the last one
    with Child(consuming(log)) as child:
        child.wait_for("ready 0")
        for lsn in range(1, ENTRIES + 1):
            is_durable = lsn % 6 == 1
            child.tell(f"commit {lsn}{' durable' if is_durable else ''}")
            child.wait_for(f"committed {lsn}")
            if is_durable:
                synced.append((lsn, wal_file.read_bytes()))
            moments.append((lsn, wal_file.read_bytes(), len(synced) - 1))
        database = log.read_bytes()
        child.kill()
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as fast:
        for lsn, wal, which in moments:
            durable_lsn, before = synced[which]
            for number in range(3):
                left = Path(fast) / f"{lsn}-{number}.db"
                left.write_bytes(database)
                Path(f"{left}-wal").write_bytes(mixed(rng, before, wal))
                with walogs.open(left, store="sqlite") as opened, opened.cursor("mailer") as cursor:
                    assert durable_lsn <= cursor.position <= lsn, (durable_lsn, cursor.position, lsn)
                    assert opened.last_lsn == len(list(opened)) == ENTRIES
                    seen["kept" if cursor.position == lsn else "set back"] += 1
                left.unlink()
    print(dict(seen))
    assert min(seen["kept"], seen["set back"]) > 0


# What SQLite asks of the system


def traced(log: Path, lines: list[str], *options: str, name: str = "mailer") -> tuple[list[str], str]:
    """Return what the consumer said, and the trace."""
    require_strace()
    trace = log.with_suffix(".trace")
    command = ["strace", "-f", "-y", "-s", "60", "-o", str(trace), *options]
    ran = subprocess.run(
        [*command, *consuming(log, name)],
        env=environment(),
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.stdout, ran.stderr
    return ran.stdout.splitlines(), trace.read_text()


@pytest.mark.guarantee("G21")
def test_a_durable_commit_is_synced_and_one_that_need_not_be_syncs_nothing(log: Path) -> None:
    lines = [f"commit {lsn}{' durable' if lsn % 2 else ''}" for lsn in range(1, 9)]
    said, trace = traced(log, lines, "-e", "trace=pwrite64,fdatasync,fsync,write")
    assert said[-1] == "committed 8"
    commits = re.split(r"begin \d+", trace)[1:]
    assert len(commits) == len(lines)
    for number, commit in enumerate(commits, 1):
        calls = re.findall(r"(pwrite64|fdatasync|fsync)\(\d+<([^>]*)>.*= \d+", commit.partition('"committed')[0])
        names = [(call, Path(name).name) for call, name in calls]
        assert names, "nothing was written"
        assert {name for _, name in names} <= {f"{log.name}-wal"}
        is_synced = [call for call, _ in names if call != "pwrite64"]
        assert bool(is_synced) == bool(number % 2), names
        if is_synced:
            assert names[-1][0] != "pwrite64", "it was written to after the sync"


@pytest.mark.guarantee("G7", "G21")
@pytest.mark.parametrize(
    ("what", "when"),  # five commits sync seven times, and the WAL is synced twice by `fsync`, when it is made
    [
        *(("fdatasync", when) for when in (1, 2, 3, 5, 7, 8)),
        *(("fsync", when) for when in (1, 2)),
        *(("pwrite64", when) for when in (1, 2, 3, 5, 7, 8)),
    ],
)
def test_after_a_sync_or_a_write_that_failed_the_next_commit_is_durable(log: Path, what: str, when: int) -> None:
    lines = [f"commit {lsn} durable" for lsn in range(1, 6)]
    inject = ("-P", f"{log}-wal", "-e", f"trace={what}", "-e", f"inject={what}:error=EIO:when={when}")
    said, trace = traced(log, lines, *inject)
    failed = [number for number, line in enumerate(said) if line.startswith("OSError")]
    print(Counter(line.split()[0] for line in said))
    assert len(failed) <= 1
    if said[0].startswith("open:"):
        assert "INJECTED" in trace
        return
    assert said[-1] == "committed 5" or (failed and failed[-1] == len(said) - 1)
    with walogs.open(log, store="sqlite") as wal, wal.cursor("mailer") as cursor:
        assert cursor.position in (4, 5) if failed else cursor.position == 5
        assert wal.last_lsn == len(list(wal)) == ENTRIES


def test_after_a_failed_sync_all_is_written_into_the_database_before_the_next_commit(log: Path) -> None:
    """The page cache can show what the disk does not have, and a second sync would not tell."""
    lines = [f"commit {lsn} durable" for lsn in range(1, 6)]
    for when in range(1, 20):
        inject = ("-e", "trace=pwrite64,fdatasync,fsync,write", "-e", f"inject=fdatasync:error=EIO:when={when}")
        said, trace = traced(log, lines, *inject, name=f"mailer-{when}")
        if any(line.startswith("OSError") for line in said) and said[-1] == "committed 5":
            break
    else:
        pytest.fail("no sync of a commit has failed")
    failed = trace.partition('"OSError')[2].partition('"committed')[0]
    names = [Path(name).name for name in re.findall(r"fdatasync\(\d+<([^>]*)>", failed)]
    assert log.name in names, "the database was not written and synced"
    assert names[-1] == f"{log.name}-wal", "the commit was not synced"
