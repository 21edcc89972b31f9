"""A record behaves like the frozen dataclass that is written in the same way."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import walogs
from walogs.foundation.records import Record, replace
from walogs.types import Gap, Verification


class Point(Record):
    """A record."""

    x: int
    y: int | None
    name: str = "here"


class Alike(Record):
    x: int
    y: int | None
    name: str = "here"


class Empty(Record):
    pass


class Positive(Record):
    x: int = 1

    def __post_init__(self) -> None:
        if self.x < 1:
            raise ValueError(f"x={self.x}")


class Nearer(Point):
    z: int = 0


@dataclasses.dataclass(frozen=True)
class Same:
    x: int
    y: int | None
    name: str = "here"


VALUES = st.integers(0, 2) | st.none()
CALLS = st.tuples(
    st.lists(VALUES, max_size=4), st.dictionaries(st.sampled_from(["x", "y", "name", "other"]), VALUES, max_size=4)
)


def outcome(call: Callable[[], Any]) -> Any:
    try:
        made = call()
    except TypeError as error:
        return str(error).replace("Same", "Point")
    return made


def values_of(made: Any) -> Any:
    return made if isinstance(made, str) else (made.x, made.y, made.name)


@given(CALLS, CALLS)
def test_a_record_is_made_compared_and_shown_as_a_dataclass_is(one: Any, two: Any) -> None:
    records = [outcome(lambda call=call: Point(*call[0], **call[1])) for call in (one, two)]  # type: ignore[misc]
    dataclass = [outcome(lambda call=call: Same(*call[0], **call[1])) for call in (one, two)]  # type: ignore[misc]
    assert [values_of(record) for record in records] == [values_of(made) for made in dataclass]
    assert (records[0] == records[1]) is (dataclass[0] == dataclass[1])
    for record, made in zip(records, dataclass, strict=True):
        assert repr(record) == repr(made).replace("Same", "Point")
        if isinstance(record, Point):
            assert hash(record) == hash(made)


def test_records_of_different_classes_are_never_equal() -> None:
    assert Point(1, 2) == Point(1, 2, "here")
    assert Point(1, 2) != Alike(1, 2)
    assert Point(1, 2) != Nearer(1, 2)
    assert Point(1, 2) != (1, 2, "here")
    assert Empty() == Empty()
    assert Empty()


def test_a_record_refuses_to_change() -> None:
    point = Point(1, 2)
    changes: list[Callable[[], object]] = [
        lambda: setattr(point, "x", 3),
        lambda: setattr(point, "new", 3),
        lambda: delattr(point, "x"),
    ]
    for change in changes:
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    assert point == Point(1, 2)


def test_a_pattern_takes_a_record_apart() -> None:
    match Nearer(1, 2, "there", 3):
        case Nearer(x, y, name, z=z):
            assert (x, y, name, z) == (1, 2, "there", 3)


@pytest.mark.parametrize("record", [Point(1, None), Nearer(1, 2, z=3), Empty(), walogs.WalConfig(sync="none")])
def test_a_copy_equals_its_record(record: Record) -> None:
    for made in (copy.copy(record), copy.deepcopy(record), *(pickle.loads(pickle.dumps(record, n)) for n in range(6))):
        assert type(made) is type(record)
        assert made == record
        assert hash(made) == hash(record)


def test_a_changed_record_is_checked_again() -> None:
    assert replace(Point(1, 2), y=3) == Point(1, 3)
    with pytest.raises(ValueError, match="x=0"):
        replace(Positive(), x=0)
    with pytest.raises(TypeError):
        replace(Point(1, 2), other=3)


@pytest.mark.parametrize("kind", [Point, Nearer, Empty, walogs.WalConfig, walogs.Retention, Verification])
def test_the_functions_of_dataclasses_take_records(kind: type[Record]) -> None:
    assert dataclasses.is_dataclass(kind)
    names = tuple(field.name for field in dataclasses.fields(kind))
    assert names == kind.__match_args__ == tuple(inspect.signature(kind).parameters)


def test_a_record_becomes_a_dictionary_with_what_it_holds() -> None:
    found = Verification(
        segments=1,
        entries=2,
        bytes=3,
        first_lsn=4,
        last_lsn=5,
        findings=(),
        duration_seconds=0.5,
        gaps=(Gap(first_lsn=1, last_lsn=2, segment=None, offset=None, why="lost"),),
    )
    assert dataclasses.asdict(found) == {name: getattr(found, name) for name in Verification.__match_args__}
    assert dataclasses.replace(found, entries=9) == replace(found, entries=9) != found
    assert Point.__dataclass_fields__["name"].default == "here"
    assert Point.__dataclass_fields__["x"].default is dataclasses.MISSING
