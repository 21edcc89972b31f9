"""Tests of the suite's own set-up: logs that are left open, points of interrupts, and the summary of a run."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import FrameType

import pytest

import walogs
from tests.house.source import ROOT
from tests.kit import laboratory
from tests.kit.callers import profiled, reached
from tests.kit.temporary import is_usable
from walogs.testing import MemoryDisk, MemoryStore

LEAVING = """
import pytest, walogs
from walogs.testing import MemoryDisk, MemoryStore

def test_that_leaves_a_log_open():
    pytest.left = walogs.open(store=MemoryStore(MemoryDisk()))

def test_that_closes_it():
    assert pytest.left.closed

@pytest.mark.parametrize("number", range(30))
def test_that_is_skipped(number):
    pytest.skip("needs loop: there is none")
"""


def ran(tmp_path: Path, text: str) -> str:
    """Run these tests under the set-up of this suite, one after another, and return what pytest says."""
    (tmp_path / "test_inner.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:randomly", "-p", "no:xdist"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WALOGS_REQUIRE": ""}
    done = subprocess.run(
        [*command, "test_inner.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_a_log_that_is_left_open_fails_its_test_alone_and_skips_take_one_line(tmp_path: Path) -> None:
    told = ran(tmp_path, LEAVING)
    assert "ERROR at teardown of test_that_leaves_a_log_open" in told
    assert "the test left logs open: <walogs.Wal" in told
    assert "2 passed, 30 skipped, 1 error" in told
    assert "30 skipped. This machine lacks loop. -rs gives every reason.\n" in told
    assert "there is none" not in told


def log_in_a_circle() -> None:
    """Drop a closed log that only the collector can find, as a failed test does."""
    wal = walogs.open(store=MemoryStore(MemoryDisk()))
    wal.close()
    circle: list[object] = [wal]
    circle.append(circle)


def allocate() -> None:
    for _ in range(100):
        gc_tracked: list[object] = [[]]
        gc_tracked.append(gc_tracked)


def test_the_collector_calls_nothing_while_points_are_counted() -> None:
    """Otherwise an interrupt could fall into `Wal.__del__` of a log of another test."""
    log_in_a_circle()
    entered: list[str] = []

    def look(frame: FrameType, event: str, arg: object) -> None:
        entered.append(frame.f_code.co_name)

    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        profiled(allocate, look)
    finally:
        gc.set_threshold(*before)
    assert "allocate" in entered
    assert "__del__" not in entered
    assert gc.isenabled()


def test_only_frames_of_the_package_are_counted_as_its_own() -> None:
    """This file does not belong to the package, whatever the directory of the clone is called."""
    seen: list[int] = []
    assert not reached(allocate, 1, lambda: seen.append(1), (os.path.dirname(walogs.__file__) + os.sep,))
    assert reached(allocate, 1, lambda: seen.append(1), (os.path.dirname(__file__) + os.sep,))
    assert seen == [1]


def test_a_place_without_room_or_without_a_directory_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_usable(str(tmp_path / "missing"))
    monkeypatch.setattr("tests.kit.temporary.FREE_BYTES_MIN", 0)
    assert is_usable(str(tmp_path))
    monkeypatch.setattr("tests.kit.temporary.FREE_BYTES_MIN", 1 << 62)
    assert not is_usable(str(tmp_path))


@pytest.mark.parametrize("count", [1, 6, 7, 8, 100])
def test_a_sample_has_every_so_many_th_state_and_is_never_empty(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laboratory, "IS_LONG", False)
    for seed in range(1, 20):
        monkeypatch.setenv("WALOGS_SEED", str(seed))
        tried = list(laboratory.sampled(range(count), 7, "a sample"))
        assert tried
        assert all(after - before == 7 for before, after in pairwise(tried))
        assert len(tried) >= count // 7
    monkeypatch.setattr(laboratory, "IS_LONG", True)
    assert list(laboratory.sampled(range(count), 7, "everything")) == list(range(count))
