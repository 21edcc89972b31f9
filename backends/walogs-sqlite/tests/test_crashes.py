"""Kills at any moment, and power cuts: every sector that was not synced yet is there or not."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.laboratory import amount
from tests.kit.temporary import IN_MEMORY
from tests.system.children import Child, let_it_acknowledge, program, seed_of
from tests.system.ledger import Ledger, payload
from walogs_sqlite import SqliteStore

APPENDING: Final = Path(__file__).parent / "programs" / "appending.py"
SECTOR: Final = 512
WAL_HEADER: Final = 32
SIZE: Final = 300_000
"""Of an entry: after fourteen of them SQLite begins its WAL again."""


def storm(directory: Path, kills: int) -> None:
    rng = random.Random(seed_of("kills"))
    ledger, path = Ledger(), directory / "log.db"
    finished = 0
    for number in range(kills):
        with Child(program("storm", path, 3, number * 1_000_000 + 1, "fdatasync", "sqlite")) as child:
            if number % 5:
                let_it_acknowledge(child, rng)
            else:  # it may be killed while it opens the log
                time.sleep(rng.random() * 0.12)
            child.kill()
            ledger.read(child.lines())
        finished += ledger.check_log(path, looks=rng.choice((1, 2)), store="sqlite").removed_segments > 0
    print(f"{kills} kills: {len(ledger.acknowledged)} acknowledged, {finished} checkpoints finished by the next open")
    assert len(ledger.acknowledged) > kills


@pytest.mark.guarantee("G1", "G2", "G12", "G13")
def test_a_killed_writer_has_lost_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    storm(tmp_path, 6)


@pytest.mark.laboratory
@pytest.mark.guarantee("G1", "G2", "G12", "G13")
def test_a_hundred_kills(tmp_path: Path) -> None:
    storm(tmp_path, amount(25, 100))


class Moment:
    """What the file and its WAL hold while their writer is idle."""

    def __init__(self, path: Path) -> None:
        self.database = path.read_bytes()
        self.wal = Path(f"{path}-wal").read_bytes()


def mixed(rng: random.Random, before: bytes, after: bytes) -> bytes:
    """Of the sectors that were written, some are on the disk."""
    share, size = rng.random(), rng.choice((len(before), len(after)))
    old, new = before.ljust(size, b"\0"), after.ljust(size, b"\0")
    parts = [
        (new if rng.random() < share else old)[start : min(start + SECTOR, size)] for start in range(0, size, SECTOR)
    ]
    return b"".join(parts)


def power_cuts(rng: random.Random, before: Moment, after: Moment) -> Iterator[tuple[bytes, bytes, bool]]:
    """(file, WAL, is the commit synced) at some moments of one commit, in SQLite's order: a new WAL's header, synced;
    the frames, synced; then what a checkpoint of SQLite's copies into the file."""
    begun = after.wal[:WAL_HEADER] + before.wal[WAL_HEADER:]
    yield before.database, begun, False
    yield before.database, mixed(rng, begun, after.wal), False
    yield before.database, mixed(rng, begun, after.wal), False
    yield before.database, after.wal, True
    if after.database != before.database:
        for _ in range(4):
            yield mixed(rng, before.database, after.database), after.wal, True


@pytest.mark.guarantee("G1", "G2", "G3")
def test_a_power_cut_at_any_moment_of_a_commit_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    rng, seen = random.Random(seed_of("power cuts")), Counter[str]()
    path = tmp_path / "log.db"
    moments: list[Moment] = []
    with Child([sys.executable, str(APPENDING), str(path)]) as child:
        child.wait_for("ready")
        for number in range(1, 18):
            child.tell(str(SIZE))
            child.wait_for(f"ack {number} ")
            moments.append(Moment(path))
        child.kill()
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as fast:
        for number, (before, after) in enumerate(pairwise(moments), 1):
            seen["copied into the file"] += before.database != after.database
            seen["WAL begun again"] += before.wal[:WAL_HEADER] != after.wal[:WAL_HEADER]
            for which, (database, wal, is_synced) in enumerate(power_cuts(rng, before, after)):
                left = Path(fast) / f"{number}-{which}.db"
                left.write_bytes(database)
                Path(f"{left}-wal").write_bytes(wal)
                for _ in range(2):
                    with walogs.open(left, store="sqlite") as log:
                        found = [data for _, data in log]
                    kept = len(found)
                    assert kept in ((number + 1,) if is_synced else (number, number + 1)), (number, which)
                    assert found == [payload(token, size=SIZE) for token in range(1, kept + 1)]
                seen["kept" if kept > number else "lost"] += 1
                left.unlink()
    print(dict(seen))
    assert min(seen[what] for what in ("copied into the file", "WAL begun again", "kept", "lost")) > 0


@pytest.mark.guarantee("G4", "G14")
def test_a_commit_whose_writer_died_before_its_sync_is_synced_before_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    with Child([sys.executable, str(APPENDING), str(path)]) as child:
        child.wait_for("ready")
        child.tell("10")
        child.wait_for("ack 1 ")
        child.kill()
    synced: list[str] = []
    really = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), really(fd)))
    reader = walogs.reader(path, store="sqlite")
    assert synced == [f"{path}-wal", str(tmp_path)]
    assert [lsn for lsn, _ in reader] == [1]
    del reader
    synced.clear()
    store = SqliteStore(path)
    store.acquire()
    assert synced[:3] == [f"{path}-wal", str(tmp_path), str(tmp_path)]
    assert synced[-1] == "/"
    assert Path(f"{path}-wal").stat().st_size == 0, "what was there has not been copied into the file"
    store.close()
