"""Observers: told what the log does, in order and truly; unable to harm it; free where there is none."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

import walogs
from tests.kit import stores
from tests.kit.callers import Callers, step, stepped
from tests.kit.stores import LogFactory
from walogs.engine.appendable import AppendableWriter
from walogs.engine.log_source import LogSource
from walogs.testing import FAILED_SYNC, MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

log_factory = stores.log_factory


class Recorder:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[walogs.events.Event] = []

    def __call__(self, event: walogs.events.Event) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[walogs.events.Event]:
        return [event for event in self.events if type(event) is kind]


def test_what_a_log_does_is_told_in_order(log_factory: LogFactory) -> None:
    seen = Recorder()
    with log_factory.open(observers=[seen]) as wal:
        assert [type(event) for event in seen.events] == [walogs.events.RecoveryEvent]
        wal.append(b"12345")
        wal.append_batch([b"a", b"bc", b""])
        wal.rotate()
        wal.append(b"d")
        assert wal.checkpoint(4) >= 1
        name = wal._source.store.name
    assert {event.log for event in seen.events} == {name}
    appends = seen.of(walogs.events.AppendEvent)
    assert [(a.first_lsn, a.entries, a.bytes, a.durable_lsn) for a in appends] == [  # type: ignore[union-attr]
        (1, 1, 5, 1),
        (2, 3, 3, 4),
        (5, 1, 1, 5),
    ]
    syncs = seen.of(walogs.events.SyncEvent)
    assert [(s.last_lsn, s.entries) for s in syncs] == [(1, 1), (4, 3), (5, 1)]  # type: ignore[union-attr]
    assert all(0 <= s.seconds <= a.seconds for s, a in zip(syncs, appends, strict=True))  # type: ignore[union-attr]
    rotations = seen.of(walogs.events.RotationEvent)
    assert [(r.segment, r.completed_last_lsn) for r in rotations] == ([(2, 4)] if log_factory.appends else [])  # type: ignore[union-attr]
    (checkpoint,) = seen.of(walogs.events.CheckpointEvent)
    assert (checkpoint.lsn, checkpoint.first_lsn) == (4, 5)  # type: ignore[union-attr]
    assert checkpoint.removed_segments >= 1  # type: ignore[union-attr]
    with log_factory.open(observers=(seen,)) as wal:
        recovery = seen.events[-1]
        assert isinstance(recovery, walogs.events.RecoveryEvent)
        assert recovery.report == wal.recovery_report


def test_a_rotation_within_an_append_is_told(tmp_path: Path) -> None:
    seen = Recorder()
    with walogs.open(tmp_path, max_segment_size=1000, observers=[seen]) as wal:
        for _ in range(12):
            wal.append(bytes(200))
        segments = [segment.number for segment in wal.segments()]
    assert [rotation.segment for rotation in seen.of(walogs.events.RotationEvent)] == segments[1:]  # type: ignore[union-attr]
    assert len(segments) > 3


def test_the_durable_lag_shows_under_a_policy_that_syncs_later(tmp_path: Path) -> None:
    seen = Recorder()
    with walogs.open(tmp_path, sync="none", observers=[seen]) as wal:
        for _ in range(3):
            wal.append(b"x")
        assert seen.of(walogs.events.SyncEvent) == []
        assert [a.durable_lsn for a in seen.of(walogs.events.AppendEvent)] == [0, 0, 0]  # type: ignore[union-attr]
        wal.sync()
        wal.append(b"y")
    syncs = seen.of(walogs.events.SyncEvent)
    assert [(s.last_lsn, s.entries) for s in syncs] == [(3, 3), (4, 1)]  # type: ignore[union-attr]
    assert all(s.seconds > 0 for s in syncs)  # type: ignore[union-attr]


def test_a_shared_commit_is_one_event() -> None:
    seen = Recorder()
    with stepped(MemoryStore(MemoryDisk()), observers=[seen]) as wal:
        futures = [wal.submit(b"%d" % n) for n in range(5)]
        step(wal)
        assert [future.result(0) for future in futures] == [1, 2, 3, 4, 5]
        (append,) = seen.of(walogs.events.AppendEvent)
        assert (append.first_lsn, append.entries, append.bytes) == (1, 5, 5)  # type: ignore[union-attr]


def test_damage_is_told_by_open_and_by_read(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"an entry")
        wal.rotate()
        wal.append(b"another")
    file = tmp_path / "wal-000001.log"
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[whole.index(b"an entry")] ^= 1
    seen = Recorder()
    with walogs.open(tmp_path, observers=[seen]) as wal:
        file.write_bytes(damaged)
        with pytest.raises(walogs.Corrupt) as told:
            wal.read(1)
        (event,) = seen.of(walogs.events.CorruptionEvent)
        assert event.error is told.value  # type: ignore[union-attr]
    seen = Recorder()
    with pytest.raises(walogs.Corrupt):
        walogs.open(tmp_path, observers=[seen])
    (event,) = seen.of(walogs.events.CorruptionEvent)
    assert event.error.segment == 1  # type: ignore[union-attr]
    file.write_bytes(whole)


def test_damage_to_an_immutable_segment_is_told_by_open_and_by_iteration() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for _ in range(3):
            wal.append(b"an entry")
    number = min(number for number, content in cloud.objects.items() if b"an entry" in content)
    whole = cloud.objects[number]
    damaged = whole.replace(b"an entry", b"an Entry")
    seen = Recorder()
    with walogs.open(store=MemoryImmutableStore(cloud), observers=[seen]) as wal:
        cloud.objects[number] = damaged
        with pytest.raises(walogs.Corrupt) as told:
            list(wal)
        (event,) = seen.of(walogs.events.CorruptionEvent)
        assert event.error is told.value  # type: ignore[union-attr]
    seen = Recorder()
    with pytest.raises(walogs.Corrupt):
        walogs.open(store=MemoryImmutableStore(cloud), observers=[seen])
    (event,) = seen.of(walogs.events.CorruptionEvent)
    assert event.error.segment == number  # type: ignore[union-attr]


@pytest.mark.guarantee("G18")
def test_an_observer_that_raises_harms_nobody_and_is_complained_of_once(
    log_factory: LogFactory, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Recorder()

    def failing(event: walogs.events.Event) -> None:
        raise RuntimeError(f"no {type(event).__name__}")

    with log_factory.open(observers=[failing, seen]) as wal:
        assert [wal.append(b"%d" % n) for n in range(5)] == [1, 2, 3, 4, 5]
        assert wal.submit(b"5").result(200) == 6
        wal.rotate()
        assert wal.checkpoint(2) >= 0
    assert len(seen.of(walogs.events.AppendEvent)) == 6
    assert len([record for record in caplog.records if "observer" in record.message]) == 1
    for _ in range(2):
        with log_factory.open(observers=[failing]) as wal:
            assert wal.last_lsn >= 6
            wal.append(b"again")


class Cancelled(BaseException):
    """What a library of an observer's raises to end a task of its own."""

    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("raised", [asyncio.CancelledError, GeneratorExit, Cancelled])
def test_an_append_that_an_observer_cancels_has_succeeded_and_says_so(
    raised: type[BaseException], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever was told otherwise would append it again."""

    def cancelling(event: walogs.events.Event) -> None:
        raise raised

    with walogs.open(tmp_path / "log", observers=[cancelling]) as wal:
        assert [wal.append(b"one"), wal.append(b"two")] == [1, 2]
    assert len([record for record in caplog.records if "observer" in record.getMessage()]) == 1


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_passes_through_an_observer(raised: type[BaseException], tmp_path: Path) -> None:
    def ending(event: walogs.events.Event) -> None:
        if isinstance(event, walogs.events.AppendEvent):
            raise raised

    wal = walogs.open(tmp_path / "log", observers=[ending])
    with pytest.raises(raised):
        wal.append(b"one")
    wal.close()
    with walogs.open(tmp_path / "log") as again:
        assert list(again) == [(1, b"one")]


@pytest.mark.guarantee("G18")
def test_an_observer_cannot_call_the_log_and_hangs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    handles: list[walogs.Wal] = []

    def calling(event: walogs.events.Event) -> None:
        if handles and isinstance(event, walogs.events.AppendEvent):
            handles[0].append(b"from an observer")

    with walogs.open(store=MemoryStore(MemoryDisk()), observers=[calling]) as wal:
        handles.append(wal)
        callers = Callers(*[lambda n=n: wal.append(b"%d" % n) for n in range(4)])
        assert sorted(callers.join()) == [1, 2, 3, 4]  # type: ignore[type-var]
        assert wal.last_lsn == 4
    assert "Reentered" in caplog.text


@pytest.mark.guarantee("G7")
def test_what_failed_is_not_told_as_done() -> None:
    disk, seen = MemoryDisk(), Recorder()
    with walogs.open(store=MemoryStore(disk), observers=[seen]) as wal:
        wal.append(b"1")
        disk.arm(1, FAILED_SYNC, rng=random.Random(1))
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(b"2")
        with pytest.raises(walogs.Poisoned):
            wal.append(b"3")
    assert len(seen.of(walogs.events.AppendEvent)) == len(seen.of(walogs.events.SyncEvent)) == 1


def test_an_unwatched_log_has_nothing_of_it(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "a") as wal:
        assert type(wal._writer) is AppendableWriter
        assert type(wal._source) is LogSource
    with walogs.open(tmp_path / "b", observers=[Recorder()]) as wal:
        assert type(wal._writer) is not AppendableWriter


@pytest.mark.parametrize("observers", ["name", [3], [Recorder], 7])
def test_what_is_no_observer_is_refused(tmp_path: Path, observers: object) -> None:
    with pytest.raises(walogs.ConfigError, match="observers="):
        walogs.open(tmp_path / "log", observers=observers)  # type: ignore[arg-type]
    assert not (tmp_path / "log").exists()
