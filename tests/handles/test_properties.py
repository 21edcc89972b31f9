"""What a log says of itself: its properties and the report of its open."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

import walogs
from tests.kit import stores
from tests.kit.logs import RESERVE, SEAL, LogOnDisk, durable_mark_seen, numbered
from tests.kit.stores import LogFactory
from walogs.assembly.opening import assemble
from walogs.engine.log_source import Environment
from walogs.engine.new_segments import STEP_BACK_MAX_NS
from walogs.testing import MemoryDisk, MemoryStore

log_factory, appending_factory = stores.log_factory, stores.appending_factory


def test_a_local_log_has_a_path_and_one_in_an_object_has_none(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal, walogs.open(str(tmp_path / "other")) as other:
        assert (wal.path, other.path) == (str(tmp_path / "log"), str(tmp_path / "other"))
        assert str(tmp_path / "log") in repr(wal)
    with walogs.open(store=MemoryStore(MemoryDisk(), name="orders")) as wal:
        assert wal.path is None
        assert "orders" in repr(wal)


def test_what_a_log_says_of_itself(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        wal.append_batch([b"one", b"two"])
        wal.rotate()
        wal.append(b"three")
        assert (wal.first_lsn, wal.last_lsn, wal.next_lsn, wal.durable_lsn) == (1, 3, 4, 3)
        sealed, active = wal.segments()
        assert (sealed.number, sealed.name, sealed.first_lsn, sealed.last_lsn) == (1, "wal-000001.log", 1, 2)
        assert (active.number, active.name, active.first_lsn, active.last_lsn) == (2, "wal-000002.log", 3, 3)
        assert (sealed.is_sealed, sealed.is_active, active.is_sealed, active.is_active) == (True, False, False, True)
        assert sealed.size < active.size
        times = [sealed.created_ns, sealed.first_commit_ns, sealed.last_commit_ns, active.created_ns]
        times += [active.first_commit_ns, active.last_commit_ns]
        assert times == sorted(t for t in times if t)
        assert "1..3, open" in repr(wal)
    assert "closed" in repr(wal)
    with appending_factory.open() as wal:
        assert wal.segments()[0] == sealed
        assert (wal.segments()[1].first_commit_ns, wal.segments()[1].last_commit_ns) == (times[-2], times[-1])


def test_a_rotated_segment_without_a_commit_has_no_times(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        wal.append(b"one")
        wal.rotate()
        active = wal.segments()[-1]
        assert (active.first_lsn, active.last_lsn) == (2, 1)
        assert (active.first_commit_ns, active.last_commit_ns) == (None, None)


def test_the_report_of_a_first_open_and_of_a_clean_one(appending_factory: LogFactory) -> None:
    with appending_factory.open() as wal:
        report = wal.recovery_report
        assert (report.segments, report.entries, report.verdict) == (1, 0, "clean")
        assert (report.tail_state, wal.tail_state) == (walogs.Clean(), walogs.Clean())
        wal.append_batch([b"one", b"two"])
        wal.rotate()
        wal.append(b"three")
    with appending_factory.open() as wal:
        report = wal.recovery_report
        assert (report.segments, report.entries, report.verdict) == (2, 3, "clean")
        assert (report.rewritten_bytes, report.removed_segments, report.unsealed_segments) == (0, 0, ())
        assert report.duration_seconds >= 0
        assert report.tail_state == walogs.Clean()


def test_the_report_counts_bytes_of_headers_and_frames(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(bytes(12))  # 48 + 12 + 4 = 64
        wal.rotate()
        wal.append(b"")  # 48 + 4 = 52, padded to 56
    with walogs.open(tmp_path / "log") as wal:
        assert wal.recovery_report.bytes == 512 + 64 + 512 + 56


@pytest.mark.guarantee("G5")
def test_the_report_of_a_torn_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = LogOnDisk(tmp_path / "log").append_and_die(b"one", b"two")
    end = log.frames(1)[-1].end
    log.overwrite(1, end + 16, b"torn bytes")
    with caplog.at_level(logging.WARNING, logger="walogs"), log.open() as wal:
        assert wal.tail_state == walogs.TruncatedAt(segment=1, offset=end, discarded_bytes=26)
        assert wal.recovery_report.verdict == "torn"
        assert list(wal) == numbered(1, b"one", b"two")
    (record,) = caplog.records
    assert "wal-000001.log" in record.getMessage()
    assert str(end) in record.getMessage()
    log.goes_on(numbered(1, b"one", b"two"))


@pytest.mark.guarantee("G4")
def test_the_report_of_frames_written_again(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log").append_and_die(b"one", b"two" * 10).forget_durable_mark()
    last = log.frames(1)[-1]
    with log.open() as wal:
        assert wal.recovery_report.rewritten_bytes == last.end - last.offset
    with log.open() as wal:
        assert wal.recovery_report.rewritten_bytes == 0


@pytest.mark.guarantee("G11")
def test_the_report_of_a_checkpoint_that_was_interrupted(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log", max_segment_size=1).append(*(b"%d" % lsn for lsn in range(1, 7)))
    before = log.files()
    with log.open() as wal:
        assert wal.checkpoint(3) == 3
        left = log.files()
    log.put({**left, **{name: before[name] for name in before if name not in left and name != "wal-000002.log"}})
    with log.open() as wal:
        assert wal.recovery_report.removed_segments == 2
        assert wal.recovery_report.segments == wal.segment_count == 3
        assert list(wal) == numbered(4, b"4", b"5", b"6")
    assert log.numbers() == [4, 5, 6]
    log.goes_on(numbered(4, b"4", b"5", b"6"))


@pytest.mark.parametrize("verify", ["full", "last"])
def test_the_report_of_segments_without_a_seal(tmp_path: Path, verify: str) -> None:
    log = LogOnDisk(tmp_path / "log", max_segment_size=1, verify=verify).append(*(b"%d" % n * 9 for n in range(1, 6)))
    for number in (2, 4):
        seal = log.frames(number)[-1]
        log.overwrite(number, seal.offset + 50, b"\xff" * 8)
    with log.open() as wal:
        assert wal.recovery_report.unsealed_segments == (2, 4)
        assert [segment.is_sealed for segment in wal.segments()] == [True, False, True, False, False]
        assert wal.recovery_report.verdict == "clean"
    log.goes_on(numbered(1, *(b"%d" % n * 9 for n in range(1, 6))))


@pytest.mark.guarantee("G10")
def test_a_sealed_segment_ends_with_its_seal_and_a_closed_log_keeps_only_its_reserve(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log")
    with log.open() as wal:
        wal.append(b"one")
        wal.rotate()
        wal.append(b"two")
        assert log.segment(2).stat().st_size >= 64 * 1024
    seal, last = log.frames(1)[-1], log.frames(2)[-1]
    assert (seal.kind, log.segment(1).stat().st_size) == (SEAL, seal.end)
    assert log.segment(2).stat().st_size == last.end + RESERVE
    assert durable_mark_seen(log.durable_mark.read_bytes()) == (2, last.end, 2, True)
    with log.open() as wal:
        wal.append(b"three")
        assert durable_mark_seen(log.durable_mark.read_bytes()) == (2, log.frames(2)[-1].end, 3, False)


def test_times_do_not_go_back_with_a_clock_that_goes_back_by_an_hour_at_most(tmp_path: Path) -> None:
    rng = random.Random(7)
    for backwards in ([100, 50, 10, 0, 5], [STEP_BACK_MAX_NS, 0, 1, 2, 3], [0, 0, 0, 0, 0]):
        path = tmp_path / str(backwards[0])
        ticks = iter([*backwards * 20])
        for _ in range(2):
            environment = Environment(
                clock=lambda ticks=ticks: next(ticks), entropy=rng.randbytes, sleep=lambda _: None
            )  # type: ignore[misc]
            with assemble(path, walogs.WalConfig(max_segment_size=700), environment) as wal:
                for _ in range(4):
                    wal.append(b"x" * 90)
                wal.rotate()
                wal.append(b"y")
                times = [commit.time_ns for commit in wal.commits()]
                assert times == sorted(times)
                created = [segment.created_ns for segment in wal.segments()]
                assert created == sorted(created)


@pytest.mark.guarantee("G1")
def test_durable_lsn_tells_the_truth_when_no_sync_was_promised(appending_factory: LogFactory) -> None:
    with appending_factory.open(sync="none") as wal:
        assert wal.append(b"one") == 1
        assert wal.append_batch([b"two", b"three"]) == range(2, 4)
        assert (wal.durable_lsn, wal.last_lsn) == (0, 3)
        assert [data for _, data in wal] == [b"one", b"two", b"three"]
        wal.sync()
        assert wal.durable_lsn == 3
        wal.append(b"four")
        assert wal.durable_lsn == 3
        wal.rotate()
        assert wal.durable_lsn == 4
        wal.append(b"five")
        wal.checkpoint(4)
        assert wal.durable_lsn == 5
        wal.append(b"six")
    with appending_factory.open(sync="none") as wal:
        assert (wal.durable_lsn, wal.last_lsn) == (6, 6)


def test_every_policy_of_ours_writes_the_same_log(appending_factory: LogFactory) -> None:
    for count, policy in enumerate(("fdatasync", "fsync", "none", "fdatasync"), start=1):
        with appending_factory.open(sync=policy) as wal:
            assert wal.append(policy.encode()) == count
            assert wal.durable_lsn == (count if policy != "none" else count - 1)
            wal.sync()
