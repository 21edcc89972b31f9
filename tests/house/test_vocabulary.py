"""Names and texts say what a thing is, in the words of docs/glossary.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.house.source import ROOT, module_name, sources

FORBIDDEN: Final = {
    # These say nothing. The thing that they stand for has a name of its own.
    "handler": "name what it does",
    "helper": "name what it does",
    "helpers": "name what they do",
    "info": "name what it tells",
    "manager": "name what it does",
    "misc": "name what it is",
    "util": "name what it does",
    "utils": "name what they do",
    # These are second words. docs/glossary.md has more of them.
    "adapter": "backend or plugin",
    "blob": "data or body",
    "db": "log or store",
    "driver": "backend or plugin",
    "journal": "log",
    "packet": "frame",
    "preallocate": "extend",
    "repository": "store",
    "transaction": "commit",
}
COMMAND: Final = ("walogs.cli", "info")
"""`walogs info DIR` is a command's name, which users type."""

WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
NUMBERED: Final = re.compile(r"(data|entry|file|frame|item|lsn|result|segment|tmp|value|x)_?\d+")
CALLED: Final = re.compile(r"(do|handle)_\w+")


GLOSSARY: Final = ROOT / "docs" / "glossary.md"
OTHER_MEANINGS: Final[Mapping[str, str]] = {
    "base": "a base class, and the base of a number",
    "chain": "runs that follow one another in a repair, and exceptions or callbacks that do",
    "current": "`registry.current`, and OpenTelemetry's current span",
    "filter": "Python's function",
    "flush": "what a stream and a disk do",
    "head": "the first bytes of a header or of a file",
    "index": "the place in a sequence, and a segment's index of runs",
    "leader": "the server that leads a stream of NATS",
    "message": "the text of an error, and what a stream of NATS consists of",
    "offer": "what a component, a message or a completion makes available",
    "offset": "a place in a segment, in bytes",
    "packet": "an example of an entry",
    "push": "what a server of NATS does with messages",
    "record": "what a plugin returns, and the verb",
    "repository": "where the source is",
    "storage": "object storage",
    "stretch": "`walogs.Stretch`: LSNs that a salvage has moved together",
    "transaction": "SQLite's",
}
"""Second words that mean something else in this project, so that no test can tell a wrong use from a right one."""
SPEAK_OF_OTHERS: Final = frozenset({GLOSSARY, ROOT / "docs" / "lessons.md"})
"""Pages that have to use second words: they quote other projects, or forbid the words."""


class Term(NamedTuple):
    word: str
    second_words: tuple[str, ...]


def terms(text: str) -> Iterator[Term]:
    """Yield each row of the glossary's tables."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and cells[0].startswith("**"):
            yield Term(cells[0].strip("*"), tuple(filter(None, cells[2].split(", "))))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case. `log_first_lsn` and `LogRewound` are several words."""
    return [word.lower() for word in WORD.findall(text)]


def second_words_in(text: str, refused: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Yield (line, complaint) for each second word, also in the plural."""
    for number, line in enumerate(text.splitlines(), start=1):
        for word in words(line):
            singular = word if word in refused else word.removesuffix("s")
            if singular in refused:
                yield number, f"{word!r}: docs/glossary.md says {refused[singular]!r}"


def texts() -> Iterator[tuple[Path, str]]:
    """Yield everything that speaks of walogs to its users and readers: code with its messages, options and pages."""
    for folder in ("walogs", "backends", "plugins"):
        yield from ((path, text) for path, text in sources(folder).items() if "tests" not in path.parts)
    for pattern in ("README.md", "docs/*.md", "backends/*/README.md", "plugins/**/README.md"):
        for path in sorted(ROOT.glob(pattern)):
            if path not in SPEAK_OF_OTHERS:
                yield path, path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def glossary() -> list[Term]:
    found = list(terms(GLOSSARY.read_text(encoding="utf-8")))
    assert found
    return found


def test_the_glossary_defines_each_word_once(glossary: list[Term]) -> None:
    defined = [term.word for term in glossary]
    assert len({*defined}) == len(defined)
    assert {second for term in glossary for second in term.second_words}.isdisjoint(defined)


def test_each_word_of_the_glossary_is_used_in_the_code(glossary: list[Term]) -> None:
    used = {word for text in sources("walogs").values() for word in words(text)}
    assert [term.word for term in glossary if not used.issuperset(words(term.word))] == []


def test_no_text_uses_a_second_word(glossary: list[Term]) -> None:
    refused = {second: term.word for term in glossary for second in term.second_words if second not in OTHER_MEANINGS}
    assert refused
    found = [
        f"{path.relative_to(ROOT)}:{line} {why}"
        for path, text in texts()
        for line, why in second_words_in(text, refused)
    ]
    assert found == []


def test_the_words_that_are_let_through_are_second_words(glossary: list[Term]) -> None:
    assert set(OTHER_MEANINGS) <= {second for term in glossary for second in term.second_words}


def test_rows_of_the_glossary_are_read() -> None:
    text = "| word | meaning | not |\n|---|---|---|\n| **LSN** | a number | offset, index |\n| **end** | a place | |\n"
    assert list(terms(text)) == [Term("LSN", ("offset", "index")), Term("end", ())]


@pytest.mark.parametrize(
    "text", ["a witness", "write_witness()", "WITNESS = 1", "class WitnessFile: ...", "of the witness's place"]
)
def test_a_planted_second_word_is_seen(text: str) -> None:
    assert list(second_words_in(text, {"witness": "durable mark"}))


@pytest.mark.parametrize("text", ["eyewitness", "database", "the basement"])
def test_part_of_a_word_is_left_alone(text: str) -> None:
    assert list(second_words_in(text, {"witness": "durable mark", "base": "first LSN"})) == []


def given_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of everything that this file names itself. Others have named what it imports."""
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
    """Return what is wrong with this name, or None."""
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
