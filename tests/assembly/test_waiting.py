"""`wait`: an open waits for the lock of another writer. The clock here moves only when the open sleeps."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from walogs.assembly.opening import assemble
from walogs.engine.log_source import Environment
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

SECOND: Final = 10**9
PAUSE_MAX: Final = 0.05


class Clock:
    """A clock that moves only while somebody sleeps. It calls *during* with the number of each sleep."""

    def __init__(self, during: Callable[[int], object] = lambda _: None) -> None:
        self.now_ns = 0
        self.sleeps: list[float] = []
        self._during = during

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_ns += round(seconds * SECOND)
        self._during(len(self.sleeps))

    def open(self, path: Path | None, **options: Any) -> walogs.Wal:
        environment = Environment(
            clock=time.time_ns, entropy=os.urandom, sleep=self.sleep, monotonic=lambda: self.now_ns
        )
        return assemble(path, None, environment, options)


@pytest.mark.guarantee("G13")
def test_an_open_waits_until_the_other_writer_has_closed_the_log(tmp_path: Path) -> None:
    holder = walogs.open(tmp_path / "log")
    holder.append(b"first")
    clock = Clock(lambda count: holder.close() if count == 5 else None)
    with clock.open(tmp_path / "log", wait=60) as wal:
        assert len(clock.sleeps) == 5
        assert list(wal) == [(1, b"first")]
        assert wal.append(b"second") == 2
        with pytest.raises(walogs.Locked):
            walogs.open(tmp_path / "log")


def test_pauses_are_short_at_first_and_grow_to_fifty_milliseconds(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log"):
        clock = Clock()
        with pytest.raises(walogs.Locked) as raised:
            clock.open(tmp_path / "log", wait=1.0)
        assert raised.value.pid == os.getpid()
        assert raised.value.__notes__ == ["The open waited 1 second for it (wait)."]
    assert clock.sleeps[0] < 0.01
    assert all(before <= after for before, after in pairwise(clock.sleeps[:-1]))
    assert max(clock.sleeps) == PAUSE_MAX
    assert sum(clock.sleeps) == pytest.approx(1.0)  # the last try is when the time is over


def test_the_log_is_tried_once_more_when_the_time_is_over(tmp_path: Path) -> None:
    holder = walogs.open(tmp_path / "log")
    clock = Clock(lambda _: holder.close())
    with clock.open(tmp_path / "log", wait=0.0005) as wal:
        assert wal.append(b"x") == 1
    assert clock.sleeps == [0.0005]


@pytest.mark.parametrize("options", [{}, {"wait": 0}])
def test_without_it_an_open_raises_at_once(options: dict[str, Any], tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log"):
        clock = Clock()
        with pytest.raises(walogs.Locked) as raised:
            clock.open(tmp_path / "log", **options)
        assert not hasattr(raised.value, "__notes__")
    assert clock.sleeps == []


def test_a_wait_without_end_goes_on_until_the_log_is_free(tmp_path: Path) -> None:
    holder = walogs.open(tmp_path / "log")
    clock = Clock(lambda count: holder.close() if count == 1000 else None)
    with clock.open(tmp_path / "log", wait=math.inf) as wal:
        assert wal.append(b"x") == 1
    assert len(clock.sleeps) == 1000


@pytest.mark.guarantee("G18")
def test_an_interrupt_ends_the_wait_and_leaves_nothing_locked(tmp_path: Path) -> None:
    def interrupt(count: int) -> None:
        if count == 3:
            raise KeyboardInterrupt

    holder = walogs.open(tmp_path / "log")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(KeyboardInterrupt):
        Clock(interrupt).open(tmp_path / "log", wait=60)
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before
    assert holder.append(b"first") == 1
    holder.close()
    with walogs.open(tmp_path / "log") as wal:
        assert wal.append(b"second") == 2


@pytest.mark.guarantee("G13")
def test_nothing_is_held_between_two_tries(tmp_path: Path) -> None:
    """Whoever comes first after the close gets the log, also if another open has waited for longer."""
    holder = walogs.open(tmp_path / "log")
    third: list[walogs.Wal] = []

    def overtake(count: int) -> None:
        if count == 2:
            holder.close()
            third.append(walogs.open(tmp_path / "log"))
        if count == 4:
            third[0].close()

    with Clock(overtake).open(tmp_path / "log", wait=60) as wal:
        assert wal.append(b"x") == 1


def test_another_error_than_the_lock_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "other.txt").write_text("no log")
    clock = Clock()
    with pytest.raises(walogs.ConfigError):
        clock.open(tmp_path / "log", wait=60)
    assert clock.sleeps == []


def test_another_store_with_a_lock_is_waited_for_too() -> None:
    disk = MemoryDisk()
    holder = walogs.open(store=MemoryStore(disk))
    with Clock(lambda _: holder.close()).open(None, store=MemoryStore(disk), wait=1) as wal:
        assert wal.append(b"x") == 1


def test_a_store_without_a_lock_takes_the_log_at_once() -> None:
    cloud = MemoryCloud()
    clock = Clock()
    with (
        walogs.open(store=MemoryImmutableStore(cloud)) as first,
        clock.open(None, store=MemoryImmutableStore(cloud), wait=60) as second,
    ):
        assert second.append(b"x") == 1
        with pytest.raises(walogs.Fenced):
            first.append(b"y")
    assert clock.sleeps == []


@pytest.mark.parametrize("value", [math.nan, -1, -0.1, -math.inf, True, False, "5s", b"5", None, 1j, [5]])
def test_what_is_no_number_of_seconds_is_refused_and_nothing_is_made(value: Any, tmp_path: Path) -> None:
    with pytest.raises(walogs.ConfigError) as raised:
        walogs.open(tmp_path / "log", wait=value)
    assert raised.value.problems == (f"wait={value!r}: seconds, 0 or more",)
    assert list(tmp_path.iterdir()) == []
