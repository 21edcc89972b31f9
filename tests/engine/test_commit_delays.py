"""Sync policies that delay a sync, and the commit thread that makes it."""

from __future__ import annotations

import random
from pathlib import Path
from time import sleep
from typing import Any

import pytest

import walogs
from tests.kit.callers import SECONDS, Clock, made, step, stepped_by_hand
from walogs.testing import FAILED_SYNC, MemoryDisk, MemoryStore


def timed(disk: MemoryDisk, clock: Clock, policy: Any) -> walogs.Wal:
    return made(MemoryStore(disk), stepped_by_hand, clock, sync=policy)


@pytest.mark.guarantee("G1", "G2")
def test_an_interval_keeps_its_word_without_another_append() -> None:
    clock = Clock()
    with timed(MemoryDisk(), clock, walogs.IntervalPolicy(time=0.001, entries=10)) as wal:
        wal.append(b"1")
        clock.now_ns = 999_999
        wal.append(b"2")
        step(wal)
        assert wal.durable_lsn == 0
        clock.now_ns = 1_000_000
        step(wal)
        assert wal.durable_lsn == 2
        for _ in range(9):
            wal.append(b"x")
        assert wal.durable_lsn == 2
        wal.append(b"x")
        assert wal.durable_lsn == 12
        wal.append(b"x")
        wal.sync()
        assert wal.durable_lsn == 13


@pytest.mark.guarantee("G2")
@pytest.mark.parametrize("seed", range(40))
def test_a_power_cut_loses_at_most_what_the_interval_says(seed: int) -> None:
    rng, disk, clock = random.Random(seed), MemoryDisk(), Clock()
    wal = timed(disk, clock, walogs.IntervalPolicy(time=0.001, entries=7, bytes=2000))
    written: list[tuple[int, int]] = []
    for lsn in range(1, rng.randrange(2, 60)):
        clock.now_ns += rng.randrange(400_000)
        step(wal)
        assert wal.append(rng.randbytes(rng.randrange(200))) == lsn
        written.append((lsn, clock.now_ns))
    wal.closed = True
    disk.power_cut(rng)
    with walogs.open(store=MemoryStore(disk)) as again:
        lost = [when for lsn, when in written if lsn > again.last_lsn]
        assert len(lost) < 7
        assert all(clock.now_ns - when < 1_000_000 + 400_000 for when in lost)
        assert again.last_lsn + len(lost) == len(written)


@pytest.mark.guarantee("G7")
def test_a_sync_in_the_background_that_fails_poisons() -> None:
    disk, clock = MemoryDisk(), Clock()
    with timed(disk, clock, walogs.IntervalPolicy(time=0.001)) as wal:
        wal.append(b"1")
        disk.arm(1, FAILED_SYNC, rng=random.Random(1))
        clock.now_ns = 2_000_000
        step(wal)
        with pytest.raises(walogs.Poisoned):
            wal.append(b"2")
        assert wal.durable_lsn == 0


def test_the_commit_thread_syncs_in_real_time_too(tmp_path: Path) -> None:
    with walogs.open(tmp_path, sync=walogs.IntervalPolicy(time=0.002)) as wal:
        for lsn in range(1, 4):
            wal.append(b"x")
            for _ in range(int(SECONDS * 1000)):
                if wal.durable_lsn == lsn:
                    break
                sleep(0.001)
            assert wal.durable_lsn == lsn


@pytest.mark.parametrize(
    ("options", "phrases"),
    [({"time": 0}, "time=0"), ({"time": True, "bytes": 0}, "time=True"), ({"entries": -1}, "entries=-1")],
)
def test_a_wrong_interval_is_refused(options: dict[str, Any], phrases: str) -> None:
    with pytest.raises(walogs.ConfigError, match=phrases):
        walogs.IntervalPolicy(**options)
