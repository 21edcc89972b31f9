"""Options of any dataclass: read by its types, and refused with the place, the value and what is allowed."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pytest

import walogs
from walogs.config_file.values import ABSENT, OptionProblem, converter_for, options_of, text_as_value


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 9


@dataclass(frozen=True)
class Inner:
    number: int
    text: str = "x"


@dataclass(frozen=True)
class Options:
    whole: int = 0
    real: float = 0.0
    yes: bool = False
    text: str = ""
    file: Path = Path("nowhere")
    colour: Colour = Colour.RED
    level: Level = Level.LOW
    mode: Literal["fast", "safe"] = "safe"
    size: walogs.plugins.Size = 1
    wait: walogs.plugins.Duration = 1.0
    limit: walogs.plugins.Size | None = None
    name: str | None = None
    either: int | str = 0
    numbers: list[int] = field(default_factory=list)
    names: tuple[str, ...] = ()
    some: frozenset[int] = frozenset()
    ordered: Sequence[walogs.plugins.Size] = ()
    sizes: dict[str, walogs.plugins.Size] = field(default_factory=dict)
    any_table: Mapping[str, Any] = field(default_factory=dict)
    inner: Inner | None = None
    inners: list[Inner] = field(default_factory=list)
    anything: Any = None
    made: int = field(default=7, init=False)


def read(options: type = Options, **written: object) -> Any:
    return options_of(converter_for("/base"), written, options)


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("whole", 5, 5),
        ("whole", -5, -5),
        ("real", 1, 1.0),
        ("real", 1.5, 1.5),
        ("yes", True, True),
        ("text", "none", "none"),
        ("file", "keys/a", Path("/base/keys/a")),
        ("file", "/etc/a", Path("/etc/a")),
        ("colour", "blue", Colour.BLUE),
        ("level", 9, Level.HIGH),
        ("mode", "fast", "fast"),
        ("size", "1KiB", 1024),
        ("wait", "5ms", 0.005),
        ("limit", "1MB", 10**6),
        ("limit", "none", None),
        ("name", "none", "none"),
        ("either", "a", "a"),
        ("either", 3, 3),
        ("numbers", [1, 2], [1, 2]),
        ("names", ["a", "b"], ("a", "b")),
        ("some", [1, 1], frozenset({1})),
        ("ordered", ["1KiB", 7], [1024, 7]),
        ("sizes", {"a": "1KiB"}, {"a": 1024}),
        ("any_table", {"a": [1]}, {"a": [1]}),
        ("inner", {"number": 3}, Inner(3)),
        ("inner", "none", None),
        ("inners", [{"number": 3, "text": "y"}], [Inner(3, "y")]),
        ("anything", {"a": 1}, {"a": 1}),
    ],
)
def test_each_type_is_read_as_what_it_is(key: str, written: object, value: object) -> None:
    result = read(**{key: written})
    assert isinstance(result, Options)
    assert getattr(result, key) == value
    assert type(getattr(result, key)) is type(value)


SIZE: Final = "a size: a number of bytes"


@pytest.mark.parametrize(
    ("key", "written", "path", "value", "why"),
    [
        ("whole", "5", ("whole",), "5", "a whole number"),
        ("whole", True, ("whole",), True, "a whole number"),
        ("whole", 5.0, ("whole",), 5.0, "a whole number"),
        ("real", "1.5", ("real",), "1.5", "a number"),
        ("real", False, ("real",), False, "a number"),
        ("real", 10**400, ("real",), 10**400, "not so big"),
        ("yes", 1, ("yes",), 1, "true or false"),
        ("yes", "true", ("yes",), "true", "true or false"),
        ("text", 5, ("text",), 5, "text in quotes"),
        ("file", "", ("file",), "", "a path, relative to the file that has it"),
        ("file", "~/a", ("file",), "~/a", "~ stands for no directory here"),
        ("file", "a\0b", ("file",), "a\0b", "a path"),
        ("file", 5, ("file",), 5, "a path"),
        ("colour", "green", ("colour",), "green", "'red' or 'blue'"),
        ("level", 2, ("level",), 2, "1 or 9"),
        ("level", True, ("level",), True, "1 or 9"),
        ("mode", "quick", ("mode",), "quick", "'fast' or 'safe'"),
        ("size", "64M", ("size",), "64M", 'did you mean "64MiB" or "64MB"?'),
        ("size", "none", ("size",), "none", SIZE),
        ("limit", -1, ("limit",), -1, 'or "none"'),
        ("either", [], ("either",), [], "a whole number or text in quotes"),
        ("numbers", 5, ("numbers",), 5, "a list, of a whole number"),
        ("numbers", [1, "2"], ("numbers", "1"), "2", "a whole number"),
        ("names", "abc", ("names",), "abc", "a list, of text in quotes"),
        ("some", {"a": 1}, ("some",), {"a": 1}, "a list"),
        ("ordered", ["1kb"], ("ordered", "0"), "1kb", 'did you mean "1KB"?'),
        ("sizes", {"a": {}}, ("sizes", "a"), {}, SIZE),
        ("sizes", [], ("sizes",), [], "a table"),
        ("inner", 5, ("inner",), 5, 'a table, or "none"'),
        ("inner", {}, ("inner", "number"), ABSENT, "missing: a whole number"),
        ("inner", {"number": 1, "txt": 2}, ("inner", "txt"), 2, "no such key; did you mean 'text'?"),
        ("inners", [{"number": 1}, {"number": "1"}], ("inners", "1", "number"), "1", "a whole number"),
        ("whle", 5, ("whle",), 5, "no such key; did you mean 'whole'?"),
        ("any-table", {}, ("any-table",), {}, "no such key; did you mean 'any_table'?"),
        ("made", 5, ("made",), 5, "no such key"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_wrong_is_told_with_its_place(
    key: str, written: object, path: tuple[str, ...], value: object, why: str
) -> None:
    (problem,) = read(**{key: written})
    assert problem.path == path
    assert problem.value == value
    assert type(problem.value) is type(value)
    assert why in problem.why


def test_all_that_is_wrong_is_told_at_once() -> None:
    told = read(whole="1", yes=2, sizes={"a": -1, "b": -2}, inners=[{}, {"number": "x"}], wrong=1)
    assert {problem.path for problem in told} == {
        ("whole",),
        ("yes",),
        ("sizes", "a"),
        ("sizes", "b"),
        ("inners", "0", "number"),
        ("inners", "1", "number"),
        ("wrong",),
    }


@dataclass
class Picky:
    level: int
    other: int = 0

    def __post_init__(self) -> None:
        if self.level > 9:
            raise walogs.ConfigError("level", problems=(f"level={self.level}: 0 to 9, or None",))
        if self.level < 0:
            raise ValueError("levels are never below 0")


def test_what_the_class_itself_refuses_is_told_too_also_beside_other_mistakes() -> None:
    assert read(Picky, level=10) == (OptionProblem(("level",), 10, '0 to 9, or "none"'),)
    assert {problem.path for problem in read(Picky, level=10, other="x", third=1)} == {
        ("level",),
        ("other",),
        ("third",),
    }
    (problem,) = read(Picky, level=-1)
    assert problem == OptionProblem((), {"level": -1}, "levels are never below 0")
    (problem,) = read(Picky)
    assert problem == OptionProblem(("level",), ABSENT, "missing: a whole number")


@dataclass
class Unreadable:
    one: NoSuchType  # type: ignore[name-defined]  # noqa: F821


@dataclass
class Pair:
    both: tuple[int, str] = (0, "")


@dataclass
class Stored:
    key: bytes = b""


@pytest.mark.parametrize(
    ("options", "written", "why"),
    [
        (Unreadable, {"one": 1}, "its options class Unreadable cannot be used: "),
        (int, {}, "its options class int cannot be used: it is no dataclass"),
    ],
)
def test_a_class_that_cannot_be_used_is_named(options: type, written: dict[str, object], why: str) -> None:
    (problem,) = read(options, **written)
    assert problem.path == ()
    assert problem.why.startswith(why)


@pytest.mark.parametrize(("options", "key", "written"), [(Stored, "key", "abc"), (Pair, "both", [1, "a"])])
def test_a_type_that_no_file_can_give_is_refused_by_its_field(options: type, key: str, written: object) -> None:
    (problem,) = read(options, **{key: written})
    assert problem.path == (key,)
    assert problem.value == written


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        ("5", int, 5),
        ("5", str, "5"),
        ("5", str | None, "5"),
        ("5", Path, "5"),
        ("5", Literal["5", "6"], "5"),
        ("5", Literal[5, 6], 5),
        ("red", Colour, "red"),
        ("true", bool, True),
        ("True", bool, "True"),
        ("64MiB", walogs.plugins.Size, "64MiB"),
        ("64", walogs.plugins.Size | None, 64),
        ("none", walogs.plugins.Size | None, "none"),
        ("0.5", walogs.plugins.Duration, 0.5),
        ("[1, 2]", list[int], [1, 2]),
        ("5\nother = 6", int, "5\nother = 6"),
        ("", int, ""),
        ("[" * 5000, int, "[" * 5000),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_variable_is_read_as_its_type_wants_it(text: str, wanted: Any, value: object) -> None:
    read_value = text_as_value(text, wanted)
    assert read_value == value
    assert type(read_value) is type(value)


def test_relative_paths_are_relative_to_the_file_wherever_the_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(file="a").file == Path("/base/a")
    assert os.getcwd() == str(tmp_path)
