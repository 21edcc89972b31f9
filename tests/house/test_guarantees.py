"""Each promise of docs/guarantees.md has one number, and a test names it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Collection, Iterator
from typing import Final

import pytest

from tests.house.source import ROOT, dotted, sources

DOCUMENT: Final = ROOT / "docs" / "guarantees.md"
PROMISE: Final = re.compile(r"\*\*(G\d+) — \S")
HEADING: Final = re.compile(r"(#+) (.*)")
NOT_YET: Final = "not yet promised"


def numbers(text: str) -> tuple[list[str], list[str]]:
    """Return (promised, not yet promised): the numbers of the paragraphs, in order.

    A promise is not yet made if the heading of its section says so.
    """
    promised: list[str] = []
    not_yet: list[str] = []
    level_of_not_yet = 0
    for line in text.splitlines():
        if heading := HEADING.match(line):
            level = len(heading[1])
            if NOT_YET in heading[2].lower():
                level_of_not_yet = level
            elif level <= level_of_not_yet:
                level_of_not_yet = 0
        if promise := PROMISE.match(line):
            (not_yet if level_of_not_yet else promised).append(promise[1])
    return promised, not_yet


def marks(node: ast.AST) -> Iterator[ast.Call]:
    """Yield each `pytest.mark.guarantee(...)` within *node*."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and dotted(inner.func).endswith("mark.guarantee"):
            yield inner


def effective_marks(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the marks that pytest will find: on a test, on a class of tests, on a case of one, or on the whole file."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name, decorator_list=decorators) if name.startswith("test_"):
                pass
            case ast.ClassDef(name=name, decorator_list=decorators) if name.startswith("Test"):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == "pytestmark" or name[:4] == "Test":
                decorators = [value]
            case _:
                continue
        for decorator in decorators:
            yield from marks(decorator)


def names_in(file: str, text: str) -> tuple[set[str], list[str]]:
    """Return (the promises that the tests of this file name, complaints about marks that name none)."""
    tree = ast.parse(text)
    found: set[str] = set()
    effective = dict.fromkeys(effective_marks(tree))
    complaints = [f"{file}:{mark.lineno}: no test bears this mark" for mark in marks(tree) if mark not in effective]
    for mark in effective:
        constants = [argument.value for argument in mark.args if isinstance(argument, ast.Constant)]
        if not constants or len(constants) != len(mark.args) or mark.keywords:
            complaints.append(f"{file}:{mark.lineno}: a mark names its promises as plain strings")
        found.update(str(constant) for constant in constants)
    return found, complaints


@functools.cache
def collect_named_promises() -> tuple[set[str], list[str]]:
    marked = {path: text for path, text in sources("tests").items() if "guarantee" in text}  # others bear no mark
    per_file = [names_in(str(path.relative_to(ROOT)), text) for path, text in marked.items()]
    return set().union(*(found for found, _ in per_file)), [line for _, lines in per_file for line in lines]


def find_unproven(promised: Collection[str], proven: Collection[str]) -> list[str]:
    return [number for number in promised if number not in proven]


@pytest.fixture(scope="module")
def document() -> str:
    assert DOCUMENT.is_file(), "docs/guarantees.md is missing: it says what walogs promises"
    return DOCUMENT.read_text(encoding="utf-8")


def test_every_promise_is_named_by_a_test(document: str) -> None:
    promised, _ = numbers(document)
    assert promised, "docs/guarantees.md has no paragraph that begins `**G1 — …`"
    assert find_unproven(promised, collect_named_promises()[0]) == []


def test_every_promise_has_one_number(document: str) -> None:
    promised, not_yet = numbers(document)
    assert sorted({*promised, *not_yet}) == sorted([*promised, *not_yet])


def test_every_promise_that_a_test_names_is_in_the_document(document: str) -> None:
    found, complaints = collect_named_promises()
    promised, not_yet = numbers(document)
    assert complaints == []
    assert found <= {*promised, *not_yet}


def test_a_promise_without_a_test_is_seen_and_one_not_yet_made_needs_none() -> None:
    text = """
        # What walogs promises
        **G1 — Durable.** x
        **G2 — A prefix.** x
        ## Not yet promised
        **G14 — Readers.** x
        ### Why
        **G15 — Recovery.** x
        ## Opening
        **G3 — See G9.** And see **G9 — Space.**
        **G4** is no promise.
    """
    promised, not_yet = numbers("\n".join(line.strip() for line in text.splitlines()))
    assert (promised, not_yet) == (["G1", "G2", "G3"], ["G14", "G15"])
    assert find_unproven(promised, {"G1", "G14"}) == ["G2", "G3"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@pytest.mark.guarantee('G1', 'G2')\ndef test_x(): ...", {"G1", "G2"}),
        ("class TestX:\n    @pytest.mark.guarantee('G1')\n    def test_x(self): ...", {"G1"}),
        ("@pytest.mark.guarantee('G1')\nclass TestX: ...", {"G1"}),
        ("pytestmark = [pytest.mark.guarantee('G1'), pytest.mark.guarantee('G7')]", {"G1", "G7"}),
        ("TestLog = pytest.mark.guarantee('G1')(Machine.TestCase)", {"G1"}),
        ("@pytest.mark.parametrize('x', [pytest.param(1, marks=mark.guarantee('G3'))])\ndef test_x(x): ...", {"G3"}),
    ],
)
def test_a_mark_on_a_test_counts(text: str, found: set[str]) -> None:
    assert names_in("x.py", text) == (found, [])


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.guarantee('G1')\ndef reopen(): ...",
        "@pytest.fixture\n@pytest.mark.guarantee('G1')\ndef log(): ...",
        "@pytest.mark.guarantee\ndef test_x(): ...\nmark = pytest.mark.guarantee('G1')",
        "@pytest.mark.guarantee(NAME)\ndef test_x(): ...",
        "@pytest.mark.guarantee()\ndef test_x(): ...",
    ],
)
def test_a_mark_that_proves_nothing_is_a_complaint(text: str) -> None:
    found, complaints = names_in("x.py", text)
    assert not found
    assert complaints
