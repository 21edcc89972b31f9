"""Rotation makes segments, and a checkpoint removes them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import walogs
from tests.kit import stores
from tests.kit.logs import numbered
from tests.kit.stores import LogFactory

log_factory, appending_factory = stores.log_factory, stores.appending_factory


# Rotation


@pytest.mark.guarantee("G10")
def test_rotation_comes_before_the_commit_that_would_pass_the_limit(tmp_path: Path) -> None:
    limit = 512 + 4 * (48 + 60 + 4)
    with walogs.open(tmp_path / "log", max_segment_size=limit) as wal:
        for _ in range(4):
            wal.append(bytes(60))
        assert wal.segment_count == 1  # exactly full is not too full
        wal.append(b"")
        assert wal.segment_count == 2
        assert [(s.number, s.first_lsn, s.last_lsn) for s in wal.segments()] == [(1, 1, 4), (2, 5, 5)]


@pytest.mark.guarantee("G10")
def test_a_commit_larger_than_a_segment_goes_alone_into_one(appending_factory: LogFactory) -> None:
    rng = random.Random(2)
    sizes = [100, 9000, 100, 9000, 9000, 100]
    data = [rng.randbytes(size) for size in sizes]
    with appending_factory.open(max_segment_size=2000) as wal:
        for entry in data:
            wal.append(entry)
        assert [(s.first_lsn, s.last_lsn) for s in wal.segments()] == [(n, n) for n in range(1, 7)]
        assert [d for _, d in wal] == data
    with appending_factory.open(max_segment_size=2000) as wal:
        assert [d for _, d in wal] == data


@pytest.mark.guarantee("G10")
def test_a_segment_limit_of_one_byte_gives_each_commit_a_segment(appending_factory: LogFactory) -> None:
    with appending_factory.open(max_segment_size=1) as wal:
        wal.append(b"one")
        wal.append_batch([b"two", b"three"])
        wal.append(b"")
        assert [(s.first_lsn, s.last_lsn) for s in wal.segments()] == [(1, 1), (2, 3), (4, 4)]
    with appending_factory.open(max_segment_size=1) as wal:
        assert wal.segment_count == 3
        assert [data for _, data in wal] == [b"one", b"two", b"three", b""]


def test_without_a_limit_a_segment_is_rotated_by_hand_alone(appending_factory: LogFactory) -> None:
    with appending_factory.open(max_segment_size=None) as wal:
        for _ in range(20):
            wal.append(random.Random(3).randbytes(50_000))
        assert wal.segment_count == 1
        wal.rotate()
        assert wal.segment_count == 2


@pytest.mark.guarantee("G10")
def test_rotate_makes_the_next_segment_at_once_and_does_nothing_on_an_empty_one(
    appending_factory: LogFactory,
) -> None:
    with appending_factory.open() as wal:
        wal.rotate()
        assert wal.segment_count == 1
        wal.append(b"one")
        wal.rotate()
        assert wal.segment_count == 2
        wal.rotate()
        assert wal.segment_count == 2
        assert [(s.is_sealed, s.is_active) for s in wal.segments()] == [(True, False), (False, True)]
    with appending_factory.open() as wal:
        assert wal.segment_count == 2
        wal.rotate()
        assert wal.segment_count == 2
        assert wal.append(b"two") == 2


def test_rotate_in_a_store_where_every_commit_is_a_segment_does_nothing(tmp_path: Path) -> None:
    factory = LogFactory("immutable", "crc32", tmp_path)
    with factory.open() as wal:
        wal.append(b"one")
        before = wal.segments()
        wal.rotate()
        assert wal.segments() == before
        assert wal.append(b"two") == 2


@pytest.mark.guarantee("G15")
def test_opening_without_appending_adds_no_segment(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        wal.append(b"one")
    for _ in range(5):
        with appending_factory.open() as wal:
            assert wal.segment_count == 1
            assert list(wal) == [(1, b"one")]


@pytest.mark.guarantee("G8")
def test_a_segment_that_was_closed_cleanly_is_continued(appending_factory: LogFactory) -> None:
    for lsn in range(1, 5):
        with appending_factory.open() as wal:
            assert wal.append(b"x") == lsn
            assert wal.segment_count == 1


# Checkpoint


@pytest.mark.guarantee("G11")
def test_a_checkpoint_removes_completed_segments_wholly_within_it(appending_factory: LogFactory) -> None:
    with appending_factory.open(max_segment_size=1) as wal:
        for lsn in range(1, 7):
            wal.append(b"%d" % lsn)
        assert wal.checkpoint(0) == 0
        assert wal.checkpoint(2) == 2
        assert wal.checkpoint(2) == 0
        assert (wal.first_lsn, wal.segment_count) == (3, 4)
        assert wal.checkpoint(10**30) == 3  # never the active one
        assert (wal.first_lsn, wal.segment_count) == (6, 1)
        assert list(wal) == [(6, b"6")]
    with appending_factory.open() as wal:
        assert list(wal) == [(6, b"6")]
        assert wal.recovery_report.entries == 1
        assert wal.append(b"7") == 7


@pytest.mark.guarantee("G11")
def test_a_checkpoint_in_the_middle_of_a_segment_keeps_all_of_it(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        wal.append_batch([b"1", b"2", b"3"])
        wal.rotate()
        wal.append_batch([b"4", b"5"])
        assert wal.checkpoint(2) == 0
        assert wal.first_lsn == 1
        assert wal.checkpoint(4) == 1
        assert wal.first_lsn == 4
        assert list(wal) == numbered(4, b"4", b"5")


@pytest.mark.guarantee("G11")
def test_a_checkpoint_of_immutable_segments_keeps_what_is_above_it(tmp_path: Path) -> None:
    factory = LogFactory("immutable", "deflate", tmp_path)
    with factory.open() as wal:
        for lsn in range(1, 6):
            wal.append(b"%d" % lsn)
        assert wal.checkpoint(0) == 0
        assert wal.checkpoint(3) == 3
        assert wal.checkpoint(3) == 0
        assert list(wal) == numbered(4, b"4", b"5")
    with factory.open() as wal:
        assert list(wal) == numbered(4, b"4", b"5")
        assert wal.append(b"6") == 6


@pytest.mark.guarantee("G11")
def test_a_checkpoint_removes_nothing_that_was_not_asked_for(log_factory: LogFactory) -> None:
    rng = random.Random(4)
    print("seed 4")
    with log_factory.open(max_segment_size=3000) as wal:
        kept = 0
        for _ in range(60):
            wal.append_batch([rng.randbytes(rng.randrange(400)) for _ in range(rng.randint(1, 4))])
            if rng.random() < 0.3:
                kept = max(kept, rng.randrange(wal.last_lsn))
                wal.checkpoint(kept)
            assert wal.first_lsn <= kept + 1
            assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, wal.next_lsn))
