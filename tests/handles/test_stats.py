"""`Wal.stats`: what a handle has committed since it was opened."""

from __future__ import annotations

from pathlib import Path

import pytest

import walogs
from walogs.testing.memory_immutable_store import MemoryCloud, MemoryImmutableStore


def write_some(wal: walogs.Wal) -> None:
    """Make three commits of six entries."""
    wal.append(b"one")
    wal.append_batch([b"two", b"three", b"four", b""])
    wal.append(bytes(1000))


def test_a_new_handle_has_committed_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with walogs.open(tmp_path) as wal:
            stats = wal.stats()
            assert stats == (0, 0, 0, None, None)
            assert (stats.entries_per_commit, stats.seconds_per_commit) == (0.0, None)
            write_some(wal)


@pytest.mark.parametrize("max_segment_size", [1, 1500, None], ids=str)
def test_commits_are_counted_through_rotations_and_checkpoints(tmp_path: Path, max_segment_size: int | None) -> None:
    with walogs.open(tmp_path, max_segment_size=max_segment_size) as wal:
        wal.append(b"of an earlier handle")
    with walogs.open(tmp_path, max_segment_size=max_segment_size) as wal:
        write_some(wal)
        wal.checkpoint(1)
        wal.rotate()
        write_some(wal)
        stats = wal.stats()
    assert (stats.commits, stats.entries, stats.entries_per_commit) == (6, 12, 2.0)
    assert 2011 < stats.bytes < 2600
    assert (stats.seconds, stats.slowest_seconds) == (None, None)
    assert wal.stats() == stats, "of a log that is closed"


def test_an_immutable_segment_store_is_timed() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        write_some(wal)
        wal.checkpoint(1)
        stats = wal.stats()
    assert (stats.commits, stats.entries) == (3, 6)
    segments = MemoryImmutableStore(cloud)
    commits = [segments.size(number) for number in segments.segments() if segments.size(number) > 512]
    assert stats.bytes >= sum(commits) > 1011
    assert stats.seconds is not None
    assert stats.slowest_seconds is not None
    assert 0 < stats.slowest_seconds <= stats.seconds
    assert stats.seconds_per_commit == stats.seconds / 3


def test_a_log_with_observers_has_stats_too(tmp_path: Path) -> None:
    with walogs.open(tmp_path, observers=[lambda event: None]) as wal:
        write_some(wal)
        assert wal.stats().commits == 3
