"""docs/architecture.md walks through an append and an open: each function that it names is called, in its order."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

import walogs
from tests.house.source import ROOT

Step = tuple[str, str]
"""A file below walogs/, and the name of a function in it."""

PAGE: Final = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGE: Final = Path(walogs.__file__).parent
PLACE: Final = re.compile(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)")
NAME: Final = re.compile(r"`(\w+)`")


def steps_of(walk: str, page: str = PAGE) -> list[Step]:
    """The functions that the table of a walk names, from the top down."""
    table = page.split(f"**{walk}.** This happens")[1].split("\n|---|---|\n")[1].split("\n\n", maxsplit=1)[0]
    return [
        (place[1], name)
        for row in table.splitlines()
        for place in PLACE.finditer(row.split(" | ")[1])
        for name in NAME.findall(place[2])
    ]


def record_calls(call: Callable[[], object]) -> list[Step]:
    """Make a call, and return the functions of walogs that ran, in the order in which they began."""
    calls: list[Step] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(PACKAGE):
            calls.append((file.relative_to(PACKAGE).as_posix(), frame.f_code.co_name))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return calls


def steps_not_taken(steps: list[Step], calls: list[Step]) -> Iterator[Step]:
    """The steps that were not called after the step before them."""
    at = 0
    for step in steps:
        try:
            at = calls.index(step, at) + 1
        except ValueError:
            yield step


def engine_files(steps: list[Step]) -> set[str]:
    return {file for file, _ in steps if file.startswith("engine/")}


def record_append(path: Path) -> list[Step]:
    """One append, of an entry that does not fit into the window that is there."""
    with walogs.open(path) as wal:
        return record_calls(lambda: wal.append(bytes(100_000)))


def record_open(path: Path) -> list[Step]:
    """One open of two segments, the newest of which is torn, after the durable mark was lost."""
    with walogs.open(path) as wal:
        wal.append(b"one")
        wal.rotate()
        wal.append(b"two")
        end = wal.recovery_report.bytes + 100
    (path / "DURABLE").unlink()
    with (path / "wal-000002.log").open("r+b") as file:
        file.seek(end + 500)
        file.write(b"torn")
    opened: list[walogs.Wal] = []
    calls = record_calls(lambda: opened.append(walogs.open(path)))
    with opened[0] as wal:
        assert isinstance(wal.tail_state, walogs.TruncatedAt)
    return calls


def record_read(path: Path) -> list[Step]:
    """One iteration over a sealed segment and the newest, by a reader that has returned entries before."""
    with walogs.open(path) as wal, walogs.reader(path) as reader:
        wal.append(b"one")
        wal.rotate()
        wal.append(b"two")
        assert len(list(reader)) == 2
        reader._view._forget()  # as after a cut
        return record_calls(lambda: list(reader))


@pytest.mark.parametrize(("walk", "record"), [("Append", record_append), ("Open", record_open), ("Read", record_read)])
def test_a_walk_of_the_page_is_the_walk_of_the_code(
    walk: str, record: Callable[[Path], list[Step]], tmp_path: Path
) -> None:
    steps, calls = steps_of(walk), record(tmp_path / "log")
    assert len(steps) > 10
    assert list(steps_not_taken(steps, calls)) == []
    assert engine_files(calls) - engine_files(steps) == set(), "the engine does this in a file that the page leaves out"


def names_in(file: str) -> set[str]:
    """The functions, classes and constants that a file of walogs defines."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case _:
                pass
    return found


def test_each_place_that_the_page_names_is_there() -> None:
    places = [(place[1], name) for place in PLACE.finditer(PAGE) for name in NAME.findall(place[2])]
    assert len(places) > 80
    assert [(file, name) for file, name in places if name not in names_in(file)] == []


def test_the_constructors_of_a_writer_call_nothing_but_each_other(tmp_path: Path) -> None:
    calls = record_open(tmp_path / "log")
    at = calls.index(("engine/appendable.py", "__init__"))
    assert calls[at + 1 : at + 3] == [("engine/writer.py", "__init__"), ("assembly/opening.py", "report_takeover")]


def test_a_step_out_of_order_and_one_that_is_not_taken_are_seen() -> None:
    calls = [("a.py", "first"), ("b.py", "second")]
    assert list(steps_not_taken(calls, calls)) == []
    assert list(steps_not_taken(calls[::-1], calls)) == [("a.py", "first")]
    assert list(steps_not_taken([("b.py", "gone"), *calls], calls)) == [("b.py", "gone")]
