"""Names in walogs say what a thing is, in the project's own words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest

from tests.house.source import module_name, sources

FORBIDDEN: Final = {
    # These say nothing: whatever they hold has a name of its own.
    "handler": "name what it does",
    "helper": "name what it does",
    "helpers": "name what they do",
    "info": "name what it tells",
    "manager": "name what it does",
    "misc": "name what it is",
    "util": "name what it does",
    "utils": "name what they do",
    # These are other words for what has one already.
    "adapter": "backend or plugin",
    "blob": "data or body",
    "db": "log or store",
    "driver": "backend or plugin",
    "journal": "log",
    "packet": "frame",
    "preallocation": "window",
    "preallocate": "extend",
    "prune": "checkpoint",
    "repository": "store",
    "serializer": "codec",
    "transaction": "commit",
}
COMMAND: Final = ("walogs.cli", "info")
"""`walogs info DIR` is a command's name, which users type."""

WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
NUMBERED: Final = re.compile(r"(data|entry|file|frame|item|lsn|result|segment|tmp|value|x)_?\d+")
CALLED: Final = re.compile(r"(do|handle)_\w+")


def given_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that this file names itself: what it imports was named by others."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case _:
                pass


def objection(module: str, name: str) -> str | None:
    """What is wrong with this name, or None."""
    if NUMBERED.fullmatch(name):
        return "a number is no name: say how the two differ"
    if CALLED.fullmatch(name):
        return "say what it does, not that it does"
    for word in WORD.findall(name):
        if (module.startswith(COMMAND[0]) and word == COMMAND[1]) or word.lower() not in FORBIDDEN:
            continue
        return f"{word!r}: {FORBIDDEN[word.lower()]}"
    return None


def complaints(module: str, text: str) -> list[str]:
    own = (0, module.removesuffix(".__init__").rpartition(".")[2])
    return [
        f"{module}:{line} {name}: {why}"
        for line, name in [own, *given_names(ast.parse(text))]
        if (why := objection(module, name))
    ]


def test_no_name_in_walogs_is_empty_or_a_second_word() -> None:
    found = [line for path, text in sources("walogs").items() for line in complaints(module_name(path), text)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "class SegmentManager: ...",
        "def crc_utils(): ...",
        "def f(error_handler): ...",
        "data2 = b''",
        "self.journal = 1",
        "for segment_info in x: ...",
        "import sqlite3 as db",
        "def handle_append(): ...",
        "async def do_append(): ...",
        "with x as DBDriver: ...",
        "lambda helper: 0",
        "try: ...\nexcept OSError as info: ...",
        "(blob := 1)",
    ],
)
def test_a_planted_name_is_seen(text: str) -> None:
    assert complaints("walogs.engine.commit", text)


@pytest.mark.parametrize(
    "text",
    ["crc32 = 1", "def handle(): ...", "import db", "logging.NullHandler()", "dbm_free = information = 1", "utf8 = 1"],
)
def test_an_innocent_name_is_left_alone(text: str) -> None:
    assert complaints("walogs.engine.commit", text) == []


def test_a_module_is_a_name_too_and_info_is_a_command() -> None:
    assert complaints("walogs.engine.utils", "")
    assert complaints("walogs.cli", "def info(): ...") == []
    assert complaints("walogs.cli", "def helper(): ...")
