"""SIGKILL at random moments. It claims that a process may die at any moment, and nothing about power: a kill leaves the
page cache, and a log that never syncs passes as well."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.laboratory import amount
from tests.system.children import Child, let_it_acknowledge, program, seed_of
from tests.system.ledger import Ledger, token_of

THREADS: Final = 4
SEGMENT: Final = 8000
ENTRIES_MAX: Final = 3000
"""A log longer than this is replaced by a new one, so that checking it stays quick."""


def storm(directory: Path, kills: int, sync: str = "fdatasync") -> None:
    rng = random.Random(seed_of("kills"))
    seen = Counter[str]()
    ledger, path = Ledger(), directory / "log-0"
    for number in range(kills):
        first = number * 1_000_000 + 1
        with Child(program("storm", path, THREADS, first, sync)) as child:
            if number % 5:
                seen["acknowledged"] += let_it_acknowledge(child, rng)
            else:  # it may be killed while it recovers
                time.sleep(rng.random() * 0.12)
            child.kill()
            ledger.read(child.lines())
        try:
            report = ledger.check_log(path, looks=rng.choice((1, 2)), max_segment_size=SEGMENT)
        except BaseException as error:
            error.add_note(f"after {number + 1} kills")
            raise
        seen[report.verdict] += 1
        seen["rewritten"] += report.rewritten_bytes > 0
        seen["checkpoints finished"] += report.removed_segments > 0
        if report.entries > ENTRIES_MAX:
            shutil.rmtree(path)
            ledger, path = Ledger(), directory / f"log-{number + 1}"
    print(f"{kills} kills of {THREADS} threads, sync={sync}: {dict(seen)}")
    assert seen["acknowledged"] > kills


@pytest.mark.guarantee("G1", "G2", "G8", "G12", "G15")
def test_a_kill_at_a_random_moment_loses_nothing_acknowledged(tmp_path: Path, quick_path: Path) -> None:
    storm(tmp_path, 8)  # most kills come while it waits for the disk
    storm(quick_path, 12)  # and here most come while it computes


@pytest.mark.guarantee("G2", "G12")
def test_a_killed_writer_that_never_synced_has_lost_nothing_either(tmp_path: Path) -> None:
    storm(tmp_path, 3, "none")  # the kernel has every byte: only a power cut could take them


def storm_under_readers(directory: Path, kills: int) -> None:
    """Two readers stay while writer after writer is killed and recovers: each sees every entry once, as it is."""
    rng, path = random.Random(seed_of("kills under readers")), directory / "log"
    ledger = Ledger()
    with Child(program("following", path)) as one, Child(program("following", path)) as two:
        for number in range(kills):
            with Child(program("storm", path, THREADS, number * 1_000_000 + 1)) as child:
                let_it_acknowledge(child, rng)
                child.kill()
                ledger.read(child.lines())
        ledger.check_log(path, looks=2, max_segment_size=SEGMENT)
        with walogs.open(path, max_segment_size=SEGMENT) as wal:
            there = dict(wal)
            for reader in (one, two):
                reader.tell(str(wal.last_lsn))
            for reader in (one, two):
                reader.wait_for("done")
                assert reader.wait() == 0, reader.errors()
                said = [line.split() for line in reader.lines() if line.startswith("seen ")]
                seen = {int(lsn): (int(thread), int(token)) for _, lsn, token, thread in said}
                assert all(token_of(data) == seen[lsn] for lsn, data in there.items())
                for lsn, token in ledger.acknowledged.items():
                    assert seen.get(lsn, token) == token
                print(f"{len(seen)} of {wal.last_lsn} entries seen, the others were checkpointed before")


@pytest.mark.guarantee("G14")
def test_readers_that_stay_see_every_entry_of_writers_that_are_killed(quick_path: Path) -> None:
    storm_under_readers(quick_path, 6)


@pytest.mark.laboratory
@pytest.mark.guarantee("G14")
def test_readers_beside_a_hundred_killed_writers(tmp_path: Path, quick_path: Path) -> None:
    storm_under_readers(tmp_path, amount(10, 40))
    storm_under_readers(quick_path, amount(15, 60))


@pytest.mark.laboratory
@pytest.mark.guarantee("G1", "G2", "G8", "G10", "G11", "G12", "G13", "G15")
def test_hundreds_of_kills_lose_nothing_acknowledged(tmp_path: Path, quick_path: Path) -> None:
    storm(tmp_path, amount(20, 100))
    storm(quick_path, amount(40, 200))
