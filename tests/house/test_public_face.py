"""Every public name exists, and has a docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from types import FunctionType
from typing import Final, NamedTuple

import pytest

import walogs
import walogs.aio
import walogs.arrow
from tests.house.source import ROOT

PUBLIC: Final = (walogs, walogs.aio, walogs.arrow, walogs.events, walogs.plugins, walogs.types)


def own_docstring(thing: object) -> str:
    """What its author wrote: not inherited, and not the signature that dataclasses and named tuples put there."""
    text = vars(thing).get("__doc__") if isinstance(thing, type) else getattr(thing, "__doc__", None)
    generated = isinstance(thing, type) and (text or "").startswith(f"{thing.__name__}(")
    return "" if generated or not isinstance(text, str) else text.strip()


def members(owner: type) -> Iterator[tuple[str, object]]:
    """The public methods and properties that this class itself defines."""
    kinds = (FunctionType, property, cached_property, classmethod, staticmethod)
    for name, member in vars(owner).items():
        if not name.startswith("_") and isinstance(member, kinds):
            yield name, member


def silent(name: str, thing: object) -> list[str]:
    """The parts of *thing* without a docstring, itself included. Constants and type aliases need none."""
    if inspect.isfunction(thing) or inspect.ismodule(thing):
        return [] if own_docstring(thing) else [name]
    if not isinstance(thing, type):
        return []
    found = [] if own_docstring(thing) else [name]
    return found + [f"{name}.{part}" for part, member in members(thing) if not own_docstring(member)]


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for module in PUBLIC:
        assert own_docstring(module)
        assert module.__all__
        assert [part for name in module.__all__ for part in silent(name, getattr(module, name))] == []


def test_the_top_namespace_stays_small_and_each_name_has_one_home() -> None:
    """What only authors of components use is in `walogs.plugins`, and reports and events have modules of their own."""
    assert len(walogs.__all__) <= 42
    homes = [name for module in PUBLIC if module not in (walogs.aio, walogs.types) for name in module.__all__]
    assert sorted(homes) == sorted(set(homes))


@pytest.mark.parametrize("name", ["StoreCapabilities", "FrameContext", "Codec"])
def test_help_explains_each_field_that_the_author_of_a_component_meets(name: str) -> None:
    """Strings below fields are comments to Python: `help()` shows the docstring of the class."""
    owner = getattr(walogs.plugins, name)
    assert [field for field in owner.__annotations__ if f"**{field}** -- " not in own_docstring(owner)] == []


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert (ROOT / "walogs" / "py.typed").is_file()


class Generated(NamedTuple):
    a: int


class Inherits(ValueError):
    @property
    def shown(self) -> int:
        return 1

    def told(self) -> None:
        """Has one."""

    def untold(self) -> None: ...

    def _private(self) -> None: ...


@pytest.mark.parametrize(
    ("thing", "missing"),
    [
        (Generated, ["x"]),
        (Inherits, ["x", "x.shown", "x.untold"]),
        (silent, []),
        (lambda: 0, ["x"]),
        (16, []),
        (int | str, []),
    ],
)
def test_a_planted_silence_is_seen(thing: object, missing: list[str]) -> None:
    assert silent("x", thing) == missing
