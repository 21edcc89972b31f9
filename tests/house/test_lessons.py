"""Each known way to lose data has a test of its own, or a reason why it cannot happen here (docs/lessons.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT, collected_names

DOCUMENT: Final = ROOT / "docs" / "lessons.md"
NUMBERS: Final = [*map(str, range(1, 51)), *(f"C{number}" for number in range(1, 8))]
"""The bugs of other logs, and the flaws of the Rust crate."""

NAMED_TEST: Final = re.compile(r"`([\w/.-]+\.py)::([\w:]+)(?:\[[^`]*\])?`")
CANNOT_APPLY: Final = re.compile(r"cannot apply: *\S+ \S+")


def rows(text: str) -> Iterator[tuple[str, str]]:
    """(number, last cell) of every row whose first cell looks like a lesson's number."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())]
        if len(cells) > 3 and not cells[0] and not cells[-1] and re.fullmatch(r"C?\d+", cells[1].strip("*` ")):
            yield cells[1].strip("*` "), cells[-2]


def exists(file: str, name: str, root: Path) -> bool:
    path = root / file
    return path.is_file() and name in collected_names(ast.parse(path.read_text(encoding="utf-8")))


def complaints(text: str, root: Path = ROOT, expected: list[str] = NUMBERS) -> list[str]:
    """What is wrong with the table."""
    found = list(rows(text))
    numbers = [number for number, _ in found]
    wrong = [f"{number} stands {numbers.count(number)} times" for number in expected if numbers.count(number) != 1]
    wrong += [f"{number} is no lesson" for number in numbers if number not in expected]
    for number, answer in found:
        if answer.startswith("cannot apply"):
            if not CANNOT_APPLY.match(answer):
                wrong.append(f"{number} gives no reason why it cannot apply")
            continue
        tests = NAMED_TEST.findall(answer)
        if not tests:
            wrong.append(f"{number} names no test, nor says `cannot apply: ` and why")
        missing = [f"{file}::{name}" for file, name in tests if not exists(file, name, root)]
        wrong += [f"{number} names {test}, which is no test" for test in missing]
    return wrong


def test_every_lesson_has_its_test_or_its_reason() -> None:
    assert DOCUMENT.is_file(), "docs/lessons.md is missing: it says which test holds each lesson"
    assert complaints(DOCUMENT.read_text(encoding="utf-8")) == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    text = "def test_a(): ...\nclass TestB:\n    def test_c(self): ...\ndef lost(): ...\nTestLog = Machine.TestCase\n"
    (tmp_path / "test_x.py").write_text(text)
    return tmp_path


HEAD: Final = "| | lesson | held by |\n|---|---|---|\n"


@pytest.mark.parametrize(
    "answer",
    [
        "`test_x.py::test_a`",
        "seen red: `test_x.py::TestB::test_c`, `test_x.py::test_a[ext4-a b]`",
        "`test_x.py::TestLog`",
        "cannot apply: there is no side file",
    ],
)
def test_a_good_answer_is_taken(answer: str, root: Path) -> None:
    assert complaints(f"{HEAD}| 1 | a \\| b | {answer} |\n| **C1** | c | {answer} |", root, ["1", "C1"]) == []


@pytest.mark.parametrize(
    "table",
    [
        "| 1 | a | `test_x.py::test_b` |",
        "| 1 | a | `test_x.py::lost` |",
        "| 1 | a | `test_y.py::test_a` |",
        "| 1 | a | `test_x.py::test_a`, `test_x.py::test_z` |",
        "| 1 | a | test_x.py::test_a |",
        "| 1 | a | |",
        "| 1 | a | to do |",
        "| 1 | a | cannot apply: |",
        "| 1 | a | cannot apply |",
        "| 1 | a | `test_x.py::test_a` |\n| 1 | b | `test_x.py::test_a` |",
        "| 1 | a | `test_x.py::test_a` |\n| 2 | b | `test_x.py::test_a` |",
        "",
    ],
)
def test_a_planted_gap_is_seen(table: str, root: Path) -> None:
    assert complaints(HEAD + table, root, ["1"])
