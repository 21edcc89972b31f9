"""Each lesson of docs/lessons.md names existing tests, or gives a reason why it cannot happen here."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT, collected_names

DOCUMENT: Final = ROOT / "docs" / "lessons.md"
NUMBERS: Final = [*map(str, range(1, 51)), *(f"C{number}" for number in range(1, 8))]
"""The bugs of other logs, and the flaws of the Rust crate."""

HEADING: Final = re.compile(r"(?m)^#{1,6} .*$")
LESSON: Final = re.compile(r"### (C?\d+)\. \S.*")
NAMED_TEST: Final = re.compile(r"`([\w/.-]+\.py)::([\w:]+)(?:\[[^`]*\])?`")
HERE: Final = re.compile(r"(?m)^\*\*Here:\*\* \S+ \S+")
CANNOT_APPLY: Final = re.compile(r"(?m)^Cannot apply: \S+ \S+")


def lessons(text: str) -> Iterator[tuple[str, str]]:
    """Yield (number, text) of each section whose heading begins with the number of a lesson."""
    headings = list(HEADING.finditer(text))
    for index, heading in enumerate(headings):
        end = headings[index + 1].start() if index + 1 < len(headings) else len(text)
        if lesson := LESSON.fullmatch(heading[0]):
            yield lesson[1], text[heading.end() : end]


def sequence(text: str) -> list[str]:
    """Return NUMBERS and all numbers from there to the highest one in the text, so that none may be left out."""
    highest = max((int(number) for number, _ in lessons(text) if number.isdigit()), default=0)
    return [*NUMBERS, *map(str, range(51, highest + 1))]


def exists(file: str, name: str, root: Path) -> bool:
    path = root / file
    return path.is_file() and name in names_in(path)


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Return what pytest collects in this file. Many lessons name tests of the same one."""
    return frozenset(collected_names(ast.parse(path.read_text(encoding="utf-8"))))


def complaints(text: str, root: Path = ROOT, expected: list[str] = NUMBERS) -> list[str]:
    """Return what is wrong with the lessons of this text."""
    found = list(lessons(text))
    numbers = [number for number, _ in found]
    wrong = [f"{number} stands {numbers.count(number)} times" for number in expected if numbers.count(number) != 1]
    wrong += [f"{number} is no lesson" for number in numbers if number not in expected]
    for number, lesson in found:
        if CANNOT_APPLY.search(lesson):
            continue
        if not HERE.search(lesson):
            wrong.append(f"{number} does not say what walogs does, after `**Here:** `")
        tests = NAMED_TEST.findall(lesson)
        if not tests:
            wrong.append(f"{number} names no test, nor does it say `Cannot apply: ` and a reason")
        missing = [f"{file}::{name}" for file, name in tests if not exists(file, name, root)]
        wrong += [f"{number} names {test}, which is no test" for test in missing]
    return wrong


def test_every_lesson_has_its_test_or_its_reason() -> None:
    assert DOCUMENT.is_file(), "docs/lessons.md is missing: it says which test holds each lesson"
    text = DOCUMENT.read_text(encoding="utf-8")
    assert complaints(text, expected=sequence(text)) == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    text = "def test_a(): ...\nclass TestB:\n    def test_c(self): ...\ndef lost(): ...\nTestLog = Machine.TestCase\n"
    (tmp_path / "test_x.py").write_text(text)
    return tmp_path


def section(number: str, answer: str) -> str:
    return f"### {number}. It happened\n\nIt was so.\n\n{answer}\n\n"


@pytest.mark.parametrize(
    "answer",
    [
        "**Here:** It cannot.\n\nTest: `test_x.py::test_a`",
        "**Here:** It cannot.\n\nTests:\n\n- `test_x.py::TestB::test_c`\n- `test_x.py::test_a[ext4-a b]`",
        "**Here:** It cannot.\n\nTest: `test_x.py::TestLog`",
        "Cannot apply: there is no side file.",
    ],
)
def test_a_good_answer_is_taken(answer: str, root: Path) -> None:
    assert complaints("# Lessons\n\n" + section("1", answer) + section("C1", answer), root, ["1", "C1"]) == []


@pytest.mark.parametrize(
    "answer",
    [
        "**Here:** It cannot.\n\nTest: `test_x.py::test_b`",
        "**Here:** It cannot.\n\nTest: `test_x.py::lost`",
        "**Here:** It cannot.\n\nTest: `test_y.py::test_a`",
        "**Here:** It cannot.\n\nTests: `test_x.py::test_a`, `test_x.py::test_z`",
        "**Here:** It cannot.\n\nTest: test_x.py::test_a",
        "**Here:** It cannot.",
        "Test: `test_x.py::test_a`",
        "**Here:**\n\nTest: `test_x.py::test_a`",
        "",
        "to do",
        "Cannot apply:",
        "Cannot apply",
    ],
)
def test_a_planted_gap_is_seen(answer: str, root: Path) -> None:
    assert complaints(section("1", answer), root, ["1"])


@pytest.mark.parametrize("numbers", [["1", "1"], ["1", "2"], []])
def test_a_lesson_that_is_missing_twice_there_or_unknown_is_seen(numbers: list[str], root: Path) -> None:
    good = "**Here:** It cannot.\n\nTest: `test_x.py::test_a`"
    assert complaints("".join(section(number, good) for number in numbers), root, ["1"])


def test_a_section_ends_at_the_next_heading_of_any_level(root: Path) -> None:
    elsewhere = "## Others\n\n**Here:** It cannot.\n\nTest: `test_x.py::test_a`\n"
    assert complaints(section("1", "") + elsewhere, root, ["1"])
