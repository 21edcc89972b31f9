"""Readers in processes of their own: the system calls that they make, and the permissions that they need (G14)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.requirements import require
from tests.system.children import environment, forked
from tests.system.ledger import payload
from tests.system.strace import require_strace

NOBODY: Final = 65534
READING: Final = """
import sys, walogs
with walogs.reader(sys.argv[1], visibility=sys.argv[2]) as reader:
    read = dict(reader)
    assert [data for _, data in reader.follow(timeout=0.05)] == list(read.values())
    assert all(reader.read(lsn) == data for lsn, data in read.items())
    assert sum(commit.last_lsn - commit.first_lsn + 1 for commit in reader.commits()) == len(read)
print(len(read))
"""
CHANGING: Final = re.compile(
    r"\b(pwrite64|pwritev2?|ftruncate|truncate|fallocate|f?sync|fdatasync|rename\w*|unlink\w*|link\w*|mkdir\w*|rmdir"
    r"|f?chmod\w*|f?chown\w*|utime\w*|flock|f?setxattr|mmap)\("
)
OPENED: Final = re.compile(r'\bopenat?\((?:[^,"]*, )?"[^"]*", (\S+?)[,)]')


def reading(log: Path, visibility: str) -> list[str]:
    return [sys.executable, "-c", READING, str(log), visibility]


def log_of(path: Path) -> int:
    """Completed segments, an active one, a checkpoint; how many entries it has. It is left as a kill leaves it."""

    def write_and_die() -> None:
        wal = walogs.open(path, max_segment_size=3000)
        for token in range(1, 60):
            wal.append(payload(token))
        wal.checkpoint(20)
        os._exit(0 if wal.first_lsn > 1 else 1)

    assert forked(write_and_die) == 0
    with walogs.reader(path) as reader:
        return reader.last_lsn - reader.first_lsn + 1


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("visibility", ["durable", "written"])
def test_a_reader_makes_no_system_call_that_changes_or_locks_or_maps_the_log(tmp_path: Path, visibility: str) -> None:
    """Return every system call on the log's files and on its directory."""
    require_strace()
    log, trace = tmp_path / "log", tmp_path / "trace"
    count = log_of(log)
    command = ["strace", "-f", "-y", "-o", str(trace), *reading(log, visibility)]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert (ran.stdout, ran.returncode) == (f"{count}\n", 0), ran.stderr
    calls = [line for line in trace.read_text().splitlines() if str(log) in line and "execve(" not in line]
    opened = [flags for line in calls for flags in OPENED.findall(line)]
    print(f"{len(calls)} calls, {len(opened)} of them open something")
    assert len(opened) > 20
    assert all("O_RDONLY" in flags and "O_CREAT" not in flags for flags in opened), set(opened)
    assert [line for line in calls if CHANGING.search(line)] == []


@pytest.mark.guarantee("G14")
def test_who_may_only_read_can_read(quick_path: Path) -> None:
    require("root", os.geteuid() == 0, "only root can become another user")
    log = quick_path / "log"
    count = log_of(log)
    before = {file.name: file.stat() for file in log.iterdir()}
    quick_path.chmod(0o755)
    log.chmod(0o555)
    for file in log.iterdir():
        file.chmod(0o000 if file.name == "LOCK" else 0o444)

    def read_as_nobody() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        assert not os.access(log / "wal-000001.log", os.W_OK)
        with walogs.reader(log) as reader:
            assert len(list(reader)) == count
            assert len(list(reader.follow(timeout=0))) == count

    assert forked(read_as_nobody) == 0
    after = {file.name: file.stat() for file in log.iterdir()}
    assert {name: (one.st_mtime_ns, one.st_size) for name, one in after.items()} == {
        name: (one.st_mtime_ns, one.st_size) for name, one in before.items()
    }
