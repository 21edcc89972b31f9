"""A test that lacks something of the machine is skipped with its name, and fails if it was promised."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house.source import ROOT
from tests.kit.requirements import VARIABLE, require


def test_what_is_there_lets_the_test_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "loop")
    require("loop", True, "not said")


def test_what_is_missing_skips_and_says_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "strace")
    with pytest.raises(pytest.skip.Exception, match="needs loop: no loop device"):
        require("loop", False, "no loop device")


def test_what_is_missing_fails_where_it_was_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "strace, loop")
    with pytest.raises(pytest.fail.Exception, match="loop is required by WALOGS_REQUIRE"):
        require("loop", False, "no loop device")


def test_a_name_that_nobody_knows_demands_nothing_quietly() -> None:
    with pytest.raises(ValueError, match="'lop' is not among"):
        require("lop", True, "mistyped")


def test_a_mistyped_promise_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "lop")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/house/test_clarity.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "WALOGS_REQUIRE names ['lop']" in ran.stderr
