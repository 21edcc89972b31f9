"""`walogs who`: which process writes a log."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.cli.commands import ENVIRONMENT, Walogs, everything_in, made
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import source_of
from walogs.foundation.process_name import HOST, process_name
from walogs.inspection.owner import find_owner
from walogs.testing.memory_immutable_store import MemoryCloud, MemoryImmutableStore

HOLDER = "import sys, walogs; wal = walogs.open(sys.argv[1]); print(flush=True); sys.stdin.read()"


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A log that another process has open, and the id of that process."""
    log = tmp_path / "held.wal"
    command = [sys.executable, "-c", HOLDER, str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield log, process.pid
        process.kill()


def test_the_process_that_has_a_log_open(held: tuple[Path, int], command: Walogs) -> None:
    log, pid = held
    before = everything_in(log)
    lines = dict(line.split(maxsplit=1) for line in command("who", log).out.decode().splitlines())
    assert lines["writer"].startswith(f"{pid}@{HOST}, since 20")
    assert lines["open"] == "yes"
    assert lines["newest"].startswith("segment wal-000001.log, made 20".removeprefix("newest "))
    assert everything_in(log) == before


def test_a_log_that_is_closed(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "log", b"one")
    told: dict[str, Any] = command("who", log, "--json").json()
    assert (told["writer"], told["is_open"], told["epoch"]) == (process_name(), False, 1)
    assert told["segment"] == "wal-000001.log"
    assert 0 < told["since_ns"] <= told["segment_ns"], "the lock is signed, in whole seconds, before a segment is made"
    (log / "LOCK").write_bytes(b"of nobody")
    told = command("who", log, "--json").json()
    assert (told["writer"], told["since_ns"]) == (None, None)
    assert command("who", log).out.startswith(b"writer         unknown\n")
    (log / "LOCK").unlink()
    assert command("who", log).status == 0


def test_no_log(tmp_path: Path, command: Walogs) -> None:
    told = command("who", tmp_path / "nothing")
    assert told.status == 1
    assert "nothing" in told.line


@pytest.mark.parametrize("commits", [0, 1, 30])
def test_an_immutable_segment_store_names_its_last_writer(commits: int) -> None:
    cloud = MemoryCloud()
    opened_at = []
    for _ in range(3):
        with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
            newest = wal.segments()[-1]
            opened_at.append(newest.created_ns)
            for _ in range(commits):
                wal.append(b"one")
            newest = wal.segments()[-1]
    store = Counting(cloud)
    owner = find_owner(source_of(None, WalConfig(store=store)))
    assert (owner.name, owner.epoch, owner.is_open) == (process_name(), 3, None)
    assert owner.since_ns == opened_at[-1]
    assert (owner.segment, owner.segment_ns) == (newest.name, newest.created_ns)
    assert store.reads <= 9, "a binary search"


def test_a_checkpoint_that_removes_the_fence_takes_the_time_of_the_open_with_it() -> None:
    cloud = MemoryCloud(numbers_reused=False)
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        wal.append(b"one")
        wal.append(b"two")
        assert find_owner(source_of(None, WalConfig(store=MemoryImmutableStore(cloud)))).since_ns is not None
        wal.checkpoint(1)
        owner = find_owner(source_of(None, WalConfig(store=MemoryImmutableStore(cloud))))
        assert (owner.name, owner.since_ns) == (process_name(), None)


class Counting(MemoryImmutableStore):
    reads = 0

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        self.reads += 1
        return super().read(number, start, end)


def test_a_name_fits_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walogs.foundation.process_name.HOST", "ö" * 100)
    name = process_name()
    assert name.startswith(f"{os.getpid()}@ö")
    assert 60 < len(name.encode()) <= 63
    with walogs.open(store=MemoryImmutableStore(cloud := MemoryCloud())):
        pass
    assert find_owner(source_of(None, WalConfig(store=MemoryImmutableStore(cloud)))).name == name
