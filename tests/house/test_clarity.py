"""Code stays easy to read: short functions, short files, named arguments, and a docstring on what is public.

Each rule has a list of exceptions in exceptions.py. The lists are there to be worked off: nothing may be added to them,
and an entry that is no longer needed has to be removed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.house.exceptions import LONG_FILES, LONG_FUNCTIONS, POSITIONAL_RECORDS, WITHOUT_DOCSTRING
from tests.house.source import ROOT, sources

FUNCTION_LINES_MAX: Final = 45
"""A function's lines, without its decorators and its docstring."""
FILE_LINES_MAX: Final = 600
POSITIONAL_MAX: Final = 3
"""A record with more fields than this is made with keywords."""

FOLDERS: Final = ("walogs", "backends", "plugins", "benchmarks", "tests")
PUBLIC_MODULES: Final = (
    "walogs/assembly/config.py",
    "walogs/errors.py",
    "walogs/events.py",
    "walogs/handles/cursor.py",
    "walogs/handles/reader.py",
    "walogs/handles/wal.py",
    "walogs/protocols/codec.py",
    "walogs/protocols/cursor_store.py",
    "walogs/protocols/segment_store.py",
    "walogs/protocols/sync_policy.py",
    "walogs/types.py",
)

RECORD: Final = re.compile("NamedTuple|Record|dataclass")
"""A file without any of these words makes no record, and need not be parsed."""

Files = Mapping[str, str]
"""The text of each file, by its path below the root."""


def long_functions(files: Files) -> Iterator[str]:
    """Yield `path::name` of every function that is longer than FUNCTION_LINES_MAX."""
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > FUNCTION_LINES_MAX:
                yield f"{path}::{node.name}"


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function, without its decorators and its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def records(files: Files) -> dict[str, int]:
    """Return how many fields each of our named tuples, records and dataclasses has, by the name of the class."""
    found: dict[str, int] = {}
    for text in files.values():
        if not RECORD.search(text):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and is_record(node):
                fields = sum(isinstance(each, ast.AnnAssign) for each in node.body)
                found[node.name] = max(fields, found.get(node.name, 0))
    return found


def is_record(node: ast.ClassDef) -> bool:
    """Return whether this class is a named tuple, a record or a dataclass."""
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    return not bases.isdisjoint({"NamedTuple", "Record"}) or any(
        "dataclass" in ast.unparse(each) for each in node.decorator_list
    )


def positional_records(files: Files) -> Iterator[str]:
    """Yield the path of every file that makes a record from more than POSITIONAL_MAX positional arguments."""
    large = {name for name, fields in records(files).items() if fields > POSITIONAL_MAX}
    for path, text in files.items():
        if not any(f"{name}(" in text for name in large):
            continue
        calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        if any(
            len(call.args) > POSITIONAL_MAX and ast.unparse(call.func).rpartition(".")[2] in large for call in calls
        ):
            yield path


def without_docstring(files: Files) -> Iterator[str]:
    """Yield `path::name` of every public class, function and method that has no docstring."""
    for path, text in files.items():
        for name, node in public_definitions(ast.parse(text)):
            if ast.get_docstring(node) is None:
                yield f"{path}::{name}"


def public_definitions(
    parent: ast.Module | ast.ClassDef, prefix: str = ""
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the dotted name and the node of each public class, function and method."""
    for node in parent.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node, f"{prefix}{node.name}.")


def files_below(*folders: str) -> Files:
    """Return every Python file below these folders."""
    return {
        path.relative_to(ROOT).as_posix(): text
        for folder in folders
        for path, text in sources(folder).items()
        if ".venv" not in path.parts
    }


def test_functions_are_short() -> None:
    assert set(long_functions(files_below("walogs"))) == LONG_FUNCTIONS


def test_files_are_short() -> None:
    lines = {path: text.count("\n") for path, text in files_below(*FOLDERS).items()}
    assert {path for path, count in lines.items() if count > FILE_LINES_MAX} == LONG_FILES


def test_records_are_made_with_keywords() -> None:
    assert set(positional_records(files_below(*FOLDERS))) == POSITIONAL_RECORDS


def test_what_is_public_has_a_docstring() -> None:
    public = {path: (ROOT / path).read_text(encoding="utf-8") for path in PUBLIC_MODULES}
    public |= files_below("walogs/testing")
    assert set(without_docstring(public)) == WITHOUT_DOCSTRING


# The rules themselves


def test_a_docstring_does_not_make_a_function_long() -> None:
    body = "    x = 1\n" * FUNCTION_LINES_MAX
    explained = 'def f():\n    """Say\n\n    much.\n    """\n'
    assert list(long_functions({"a.py": explained + body.removesuffix("    x = 1\n")})) == []
    assert list(long_functions({"a.py": explained + body})) == ["a.py::f"]


@pytest.mark.parametrize(
    "head", ["class P(NamedTuple):", "@dataclass(frozen=True)\nclass P:", "class P(t.NamedTuple):"]
)
def test_a_record_made_by_position_is_found(head: str) -> None:
    four = f"{head}\n" + "".join(f"    {name}: int\n" for name in "abcd")
    by_position = {"a.py": four, "b.py": "a.P(1, 2, 3, 4)"}
    assert list(positional_records(by_position)) == ["b.py"]
    assert list(positional_records({"a.py": four, "b.py": "P(1, 2, c=3, d=4)"})) == []
    assert list(positional_records({"a.py": four.replace("    d: int\n", ""), "b.py": "P(1, 2, 3)"})) == []


def test_a_public_method_without_a_docstring_is_found() -> None:
    text = 'class A:\n    """Says."""\n    def b(self): ...\n    def _c(self): ...\ndef _d(): ...\n'
    assert list(without_docstring({"a.py": text})) == ["a.py::A.b"]
