"""The guard counts fixed work, and fails for a planted slowdown. Nothing here is timed, and nothing is valgrind's."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from benchmarks import guard
from benchmarks.guarded_work import WORK, count_calls
from tests.kit.laboratory import IS_LONG
from tests.kit.requirements import require

STORED: Final = {"append": 100.0, "open": 50.0}


@pytest.fixture
def stored_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the stored figures in a file of the test."""
    path = tmp_path / "guarded.json"
    monkeypatch.setattr(guard, "STORED", path)
    return path


def counting(figures: dict[str, float]) -> dict[str, Callable[[str], float]]:
    """Return counts that give these figures."""
    return {"calls": lambda name: figures.get(name, 1.0), "instructions": lambda name: figures.get(name, 1.0)}


def test_what_is_worse_fails_and_what_is_better_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.compare({"append": 100.0 * (1 + guard.TOLERANCE), "open": 20.0}, STORED) == []
    assert guard.compare({"append": 100.1 * (1 + guard.TOLERANCE), "open": 50.0}, STORED) == ["append"]
    assert capsys.readouterr().out.count("WORSE") == 1


def test_work_that_has_no_stored_figure_fails() -> None:
    assert guard.compare({"append": 100.0, "walk": 1.0}, STORED) == ["walk"]


def test_stored_figures_are_those_of_this_python_alone(
    stored_at: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard, "COUNTS", counting({"append": 7.0}))
    stored_at.write_text(json.dumps({"3.0.0": {"calls": {"append": 1.0}}}))
    assert guard.main(["--calls"]) == 1
    assert "no figures are stored for this Python" in capsys.readouterr().out
    assert guard.main(["--calls", "--write"]) == 0
    written = json.loads(stored_at.read_text())
    assert written["3.0.0"] == {"calls": {"append": 1.0}}
    assert written[platform.python_version()]["calls"]["append"] == 7.0
    assert guard.main(["--calls"]) == 0
    monkeypatch.setattr(guard, "COUNTS", counting({"append": 8.0}))
    assert guard.main(["--calls"]) == 1


def test_calls_of_python_and_of_c_are_counted() -> None:
    def work() -> None:
        len(str(abs(-1)))

    assert count_calls(work) - count_calls(lambda: None) == 2  # a call of a class, as `str` is, is none


PLANTED: Final = """

def slower(whole):
    def call(*arguments):
        for _ in range(2000):
            abs(-1)
        return whole(*arguments)
    return call

for name in ("append", "append_batch", "__iter__", "close"):
    setattr(Wal, name, slower(getattr(Wal, name)))
"""


@pytest.fixture(scope="module")
def slow_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of walogs whose verbs make needless calls."""
    tree = tmp_path_factory.mktemp("slow")
    shutil.copytree(guard.TREE / "walogs", tree / "walogs", ignore=shutil.ignore_patterns("__pycache__"))
    with (tree / "walogs/handles/wal.py").open("a") as file:
        file.write(PLANTED)
    return tree


@pytest.mark.parametrize("name", WORK)
def test_a_slowdown_of_walogs_is_seen(name: str, slow_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = guard.calls_of(name)
    assert guard.compare({name: guard.calls_of(name)}, {name: before}) == []
    monkeypatch.setattr(guard, "TREE", slow_tree)
    assert guard.compare({name: guard.calls_of(name)}, {name: before}) == [name]


@pytest.mark.laboratory
@pytest.mark.parametrize("name", WORK if IS_LONG else ["append"])
def test_instructions_show_a_slowdown(name: str, slow_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("valgrind", shutil.which("valgrind") is not None, "valgrind is not installed")
    guard.write_bytecode()
    before = guard.instructions_of(name)
    assert guard.compare({name: guard.instructions_of(name)}, {name: before}) == []
    monkeypatch.setattr(guard, "TREE", slow_tree)
    guard.write_bytecode()
    assert guard.compare({name: guard.instructions_of(name)}, {name: before}) == [name]


def test_a_module_more_is_counted_by_an_import(slow_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = guard.calls_of(guard.IMPORT)
    with (slow_tree / "walogs/__init__.py").open("a") as file:
        file.write("import colorsys\n")
    monkeypatch.setattr(guard, "TREE", slow_tree)
    assert guard.calls_of(guard.IMPORT) == before + 1


def test_work_that_fails_ends_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PROGRAM", Path("no-such-program.py"))
    with pytest.raises(SystemExit, match="no-such-program"):
        guard.calls_of("append")
