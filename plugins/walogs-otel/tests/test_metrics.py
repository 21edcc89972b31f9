"""What the SDK has of a known sequence of a log's operations."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import walogs
from tests.kit.logs import LogOnDisk
from walogs.testing import FAILED_SYNC, MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore
from walogs_otel import OtelObserver, OtelOptions
from walogs_otel.instruments import ENTRIES, SECONDS

UNITS = {
    "walogs.append.duration": "s",
    "walogs.appended.bytes": "By",
    "walogs.appended.entries": "{entry}",
    "walogs.checkpoints": "{checkpoint}",
    "walogs.commit.entries": "{entry}",
    "walogs.corruptions": "{corruption}",
    "walogs.durable.lag": "{entry}",
    "walogs.recoveries": "{recovery}",
    "walogs.removed.segments": "{segment}",
    "walogs.rotations": "{rotation}",
    "walogs.sync.duration": "s",
}


class Measured:
    """A meter of its own, and what it has measured."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.observer = OtelObserver(meter_provider=MeterProvider([self._reader]))

    def points(self) -> dict[str, list[Any]]:
        data: Any = self._reader.get_metrics_data()
        if data is None:
            return {}
        (scope,) = data.resource_metrics[0].scope_metrics
        assert scope.scope.name == "walogs-otel"
        assert scope.scope.version
        found = {metric.name: list(metric.data.data_points) for metric in scope.metrics}
        assert {metric.name: metric.unit for metric in scope.metrics} == {name: UNITS[name] for name in found}
        assert all(metric.description for metric in scope.metrics)
        return found

    def one(self, name: str) -> Any:
        (point,) = self.points()[name]
        return point


@pytest.fixture
def measured() -> Measured:
    return Measured()


def test_a_known_sequence_gives_what_it_must(tmp_path: Path, measured: Measured) -> None:
    path = tmp_path / "log"
    with walogs.open(path, observers=[measured.observer]) as wal:
        wal.append(b"12345")
        wal.append_batch([b"a", b"bc", b""])
        wal.rotate()
        wal.append(b"d")
        assert wal.checkpoint(4) == 1
        points = measured.points()
    assert set(points) == set(UNITS) - {"walogs.corruptions"}
    for found in points.values():
        for point in found:
            assert point.attributes["walogs.log"] == str(path)
    sums = {name: found[0].value for name, found in points.items() if hasattr(found[0], "value")}
    assert sums == {
        "walogs.appended.bytes": 9,
        "walogs.appended.entries": 5,
        "walogs.checkpoints": 1,
        "walogs.durable.lag": 0,
        "walogs.recoveries": 1,
        "walogs.removed.segments": 1,
        "walogs.rotations": 1,
    }
    (entries,) = points["walogs.commit.entries"]
    assert (entries.count, entries.sum, entries.min, entries.max) == (3, 5, 1, 3)
    assert tuple(entries.explicit_bounds) == ENTRIES
    (append,), (sync,) = points["walogs.append.duration"], points["walogs.sync.duration"]
    assert append.count == sync.count == 3
    assert 0 < sync.sum <= append.sum < 60
    assert tuple(append.explicit_bounds) == tuple(sync.explicit_bounds) == SECONDS
    assert list(SECONDS) == sorted(SECONDS)
    assert list(ENTRIES) == sorted(ENTRIES)


def test_the_lag_is_what_no_sync_has_covered_yet(tmp_path: Path, measured: Measured) -> None:
    with walogs.open(tmp_path / "log", sync="none", observers=[measured.observer]) as wal:
        assert measured.one("walogs.durable.lag").value == 0
        for expected in (1, 2, 3):
            wal.append(b"x")
            assert measured.one("walogs.durable.lag").value == expected == wal.last_lsn - wal.durable_lsn
        wal.sync()
        assert measured.one("walogs.durable.lag").value == 0
        wal.append_batch([b"y", b"z"])
        assert measured.one("walogs.durable.lag").value == 2
    assert measured.one("walogs.durable.lag").value == 0
    assert measured.one("walogs.sync.duration").count == 2


@pytest.mark.guarantee("G7")
def test_what_failed_is_not_counted_and_the_next_open_begins_without_lag(measured: Measured) -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk), sync="none", observers=[measured.observer]) as wal:
        wal.append(b"1")
        wal.append(b"2")
        disk.arm(1, FAILED_SYNC, rng=random.Random(1))
        with pytest.raises(walogs.OutcomeUnknown):
            wal.sync()
    assert measured.one("walogs.appended.entries").value == 2
    assert measured.one("walogs.durable.lag").value == 2
    with walogs.open(store=MemoryStore(disk), observers=[measured.observer]):
        assert measured.one("walogs.durable.lag").value == 0


def test_recoveries_are_told_apart_by_their_verdict(tmp_path: Path, measured: Measured) -> None:
    log = LogOnDisk(tmp_path / "log", observers=[measured.observer]).append_and_die(b"kept", b"torn")
    log.forget_durable_mark().flip(1, log.frames(1)[-1].body_end - 1)
    assert log.entries() == [(1, b"kept")]
    points = measured.points()["walogs.recoveries"]
    assert {p.attributes["walogs.recovery.verdict"]: p.value for p in points} == {"clean": 1, "torn": 1}


def test_damage_is_counted_each_time_it_is_raised(tmp_path: Path, measured: Measured) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"an entry")
        wal.append(b"another")
    file = tmp_path / "wal-000001.log"
    file.write_bytes(file.read_bytes().replace(b"an entry", b"an Entry"))
    for times in (1, 2):
        with pytest.raises(walogs.Corrupt):
            walogs.open(tmp_path, observers=[measured.observer])
        assert measured.one("walogs.corruptions").value == times


def test_one_observer_watches_several_logs_and_tells_them_apart(tmp_path: Path, measured: Measured) -> None:
    for name, count in (("a", 2), ("b", 3)):
        with walogs.open(tmp_path / name, observers=[measured.observer]) as wal:
            for _ in range(count):
                wal.append(b"x")
    with walogs.open(store=MemoryImmutableStore(MemoryCloud(), name="far"), observers=[measured.observer]) as wal:
        wal.append(b"x")
    counts = {point.attributes["walogs.log"]: point.value for point in measured.points()["walogs.appended.entries"]}
    assert counts == {str(tmp_path / "a"): 2, str(tmp_path / "b"): 3, "far": 1}


def test_the_name_comes_from_the_entry_point(tmp_path: Path) -> None:
    from walogs.assembly import registry

    assert isinstance(registry.spec("observer", "otel"), walogs.plugins.ObserverSpec)
    assert registry.options("observer", "otel") is OtelOptions
    assert isinstance(registry.make("observer", "otel", options=OtelOptions(spans=True)), OtelObserver)
    (plugin,) = [plugin for plugin in registry.all_plugins() if plugin.declared.distribution == "walogs-otel"]
    assert (plugin.problems, list(registry.unimportable(plugin))) == ((), [])
    with walogs.open(tmp_path / "log", observers=["otel"]) as wal:  # no SDK is set up: nothing is measured
        assert wal.append(b"x") == 1


@pytest.mark.parametrize("value", [1, 0, "yes", None])
def test_options_that_make_no_sense_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="spans="):
        OtelObserver(spans=value)  # type: ignore[arg-type]


def test_an_event_of_a_later_kind_is_passed_over(measured: Measured) -> None:
    class LaterEvent:
        log = "x"

    measured.observer(LaterEvent())  # type: ignore[arg-type]
    assert measured.points() == {}
