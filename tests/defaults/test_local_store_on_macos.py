"""macOS: every barrier is F_FULLFSYNC. Untested on hardware: the calls are asserted in an interpreter told it is there.

`fsync(2)` there hands the bytes to the drive and does not wait for the platter; `fdatasync` is not in Python at all.
"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

PROGRAM: Final = """
import errno, fcntl, json, os, sys, types
import concurrent.futures, filelock, logging, mmap, pathlib, subprocess, tempfile, threading, uuid  # as they are here

refusal, path = int(sys.argv[1]), sys.argv[2]
barriers = []

def name_of(fd):
    return os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))

def full_fsync(fd, command, *rest):
    if command != 51:
        return real_fcntl(fd, command, *rest)
    barriers.append(("F_FULLFSYNC", name_of(fd)))
    if refusal:
        raise OSError(refusal, os.strerror(refusal))
    return 0

def fsync(fd):
    barriers.append(("fsync", name_of(fd)))

real_fcntl = fcntl.fcntl
fcntl.F_FULLFSYNC, fcntl.fcntl = 51, full_fsync
del os.fdatasync
os.fsync = fsync
sys.platform = "darwin"

import walogs
outcome = "good"
try:
    with walogs.open(path, max_segment_size=600) as wal:
        barriers.clear()
        wal.append(b"x" * 20)
        one = list(barriers)
        wal.rotate()
        wal.checkpoint(1)
except OSError as error:
    outcome, one = errno.errorcode[error.errno], []
print(json.dumps({"outcome": outcome, "append": one, "all": barriers}))
"""


def told_that_it_is_macos(path: Path, refusal: int) -> dict[str, list[list[str]]]:
    """What an append, and all after it, asked of the kernel; *refusal*: the errno F_FULLFSYNC answers with, or 0."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(refusal), str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, list[list[str]]] = json.loads(ran.stdout)
    return found


@pytest.mark.guarantee("G1")
def test_every_barrier_is_a_full_fsync(tmp_path: Path) -> None:
    asked = told_that_it_is_macos(tmp_path / "log", 0)
    assert asked["outcome"] == "good"
    assert asked["append"] == [["F_FULLFSYNC", "wal-000001.log"]]
    assert {barrier for barrier, _ in asked["all"]} == {"F_FULLFSYNC"}
    assert ["F_FULLFSYNC", "log"] in asked["all"]  # the directory too


@pytest.mark.parametrize("refusal", [errno.ENOTSUP, errno.EINVAL, errno.ENOTTY])
def test_where_the_file_system_has_no_full_fsync_fsync_is_what_there_is(tmp_path: Path, refusal: int) -> None:
    asked = told_that_it_is_macos(tmp_path / "log", refusal)
    assert asked["outcome"] == "good"
    assert asked["append"] == [["F_FULLFSYNC", "wal-000001.log"], ["fsync", "wal-000001.log"]]


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("refusal", [errno.EIO, errno.ENOSPC])
def test_a_full_fsync_that_failed_is_not_tried_again_as_an_fsync(tmp_path: Path, refusal: int) -> None:
    asked = told_that_it_is_macos(tmp_path / "log", refusal)
    assert asked["outcome"] in ("EIO", "ENOSPC")
    assert not [barrier for barrier, _ in asked["all"] if barrier == "fsync"]
