"""A store raises TimeoutError, as the client of a remote service does. It is an OSError like any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

import walogs
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

SHAPES: Final = ("appendable", "immutable")


def never_answers(*_: object, **__: object) -> Any:
    raise TimeoutError("no answer within 5 seconds")


def answer_lost(call: Callable[..., object]) -> Callable[..., object]:
    """The call, which does its work and then raises."""

    def act(*given: Any, **options: Any) -> object:
        call(*given, **options)
        return never_answers()

    return act


def places(shape: str) -> Callable[[], Any]:
    """Make stores of one place: each call is another process."""
    if shape == "immutable":
        cloud = MemoryCloud()
        return lambda: MemoryImmutableStore(cloud)
    disk = MemoryDisk()
    return lambda: MemoryStore(disk)


def goes_on(make: Callable[[], Any], *possible: list[bytes]) -> None:
    """The log has one of these contents, twice, and goes on."""
    with walogs.open(store=make()) as wal:
        before = [data for _, data in wal]
        assert before in possible
        wal.append(b"goes on")
    with walogs.open(store=make()) as wal:
        assert [data for _, data in wal] == [*before, b"goes on"]


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("call", ["write", "sync"])
def test_an_append_whose_write_or_sync_times_out_is_unknown_and_poisons(call: str, is_done: bool) -> None:
    make = places("appendable")
    store = make()
    wal = walogs.open(store=store)
    wal.append(b"kept")
    setattr(store, call, answer_lost(getattr(store, call)) if is_done else never_answers)
    with pytest.raises(walogs.OutcomeUnknown) as raised:
        wal.append(b"unknown")
    assert isinstance(raised.value.__cause__, TimeoutError)
    delattr(store, call)
    with pytest.raises(walogs.Poisoned):
        wal.append(b"refused")
    assert wal.read(1) == b"kept"
    wal.close()
    goes_on(make, [b"kept"], [b"kept", b"unknown"])


@pytest.mark.guarantee("G7")
def test_growing_that_times_out_poisons_and_nothing_of_the_append_was_written() -> None:
    make = places("appendable")
    store = make()
    wal = walogs.open(store=store)
    wal.append(b"kept")
    store.extend = never_answers
    with pytest.raises(walogs.Poisoned):
        wal.append(bytes(500_000))
    wal.close()
    goes_on(make, [b"kept"])


@pytest.mark.guarantee("G7")
def test_a_rotation_that_times_out_before_the_segment_is_there_changes_nothing() -> None:
    make = places("appendable")
    store = make()
    with walogs.open(store=store) as wal:
        wal.append(b"kept")
        store.create = never_answers
        with pytest.raises(TimeoutError):
            wal.rotate()
        del store.create
        assert wal.append(b"on") == 2
        wal.rotate()
    goes_on(make, [b"kept", b"on"])


@pytest.mark.guarantee("G7")
def test_a_rotation_whose_answer_is_lost_poisons() -> None:
    make = places("appendable")
    store = make()
    wal = walogs.open(store=store)
    wal.append(b"kept")
    store.create = answer_lost(store.create)
    with pytest.raises(walogs.Poisoned):
        wal.rotate()
    wal.close()
    goes_on(make, [b"kept"])


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("is_done", [False, True])
def test_an_immutable_segment_that_times_out_is_unknown_and_poisons(is_done: bool) -> None:
    make = places("immutable")
    store = make()
    wal = walogs.open(store=store)
    wal.append(b"kept")
    store.create = answer_lost(store.create) if is_done else never_answers
    with pytest.raises(walogs.OutcomeUnknown) as raised:
        wal.append(b"unknown")
    assert isinstance(raised.value.__cause__, TimeoutError)
    del store.create
    with pytest.raises(walogs.Poisoned):
        wal.append(b"refused")
    wal.close()
    goes_on(make, [b"kept", b"unknown"] if is_done else [b"kept"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("call", ["acquire", "segments"])
def test_an_open_that_times_out_raises_it_and_holds_nothing(shape: str, call: str) -> None:
    make = places(shape)
    with walogs.open(store=make()) as wal:
        wal.append(b"kept")
    store = make()
    setattr(store, call, never_answers)
    if call == "segments" and shape == "immutable":
        store.sizes = never_answers  # lists as well
    with pytest.raises(TimeoutError, match="5 seconds"):
        walogs.open(store=store)
    goes_on(make, [b"kept"])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_read_that_times_out_is_no_damage_and_the_handle_goes_on(shape: str) -> None:
    make = places(shape)
    store = make()
    with walogs.open(store=store) as wal:
        wal.append(b"kept")
        store.read = never_answers
        with pytest.raises(TimeoutError):
            list(wal)
        del store.read
        assert list(wal) == [(1, b"kept")]
        assert wal.append(b"on") == 2
    goes_on(make, [b"kept", b"on"])
