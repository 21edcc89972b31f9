"""The handles for tasks have the verbs of the synchronous handles, with the same parameters."""

from __future__ import annotations

import inspect
from typing import Any, Final

import pytest

import walogs
import walogs.aio

PAIRS: Final = [
    (walogs.Wal, walogs.aio.AsyncWal),
    (walogs.WalReader, walogs.aio.AsyncWalReader),
    (walogs.Cursor, walogs.aio.AsyncCursor),
]
MISSING: Final = {"submit": "a task that does not wait for its append is a task of its own"}
"""Verbs of the synchronous handles that tasks do not need, and why."""
ADDED: Final = {"sync_handle"}
ATTRIBUTES: Final = {walogs.WalReader: {"path", "visibility"}, walogs.Cursor: {"name"}}
"""What the objects of a class have, and the class itself has not."""
BECOME_VERBS: Final = {"segment_count", "first_lsn", "last_lsn", "lag", "position"}
"""Properties that wait for the writer or for the store, in one of the handles. They are awaited there."""
RENAMED: Final = {"__enter__": "__aenter__", "__exit__": "__aexit__", "__iter__": "__aiter__"}


def members(handle: type) -> dict[str, Any]:
    """The public methods and properties, and those that `with` and `for` call."""
    found = {name: member for name, member in vars(handle).items() if not name.startswith("_")}
    found |= {name: vars(handle)[name] for name in (*RENAMED, *RENAMED.values()) if name in vars(handle)}
    return found


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    signature = inspect.signature(function)
    return [(each.name, each.default, each.kind) for each in signature.parameters.values()]


def is_awaited_or_streams(member: Any) -> bool:
    returned = str(inspect.signature(member).return_annotation)
    return inspect.iscoroutinefunction(member) or returned.startswith(("EntryStream", "AsyncStream", "Opening"))


@pytest.mark.parametrize(("sync", "task"), PAIRS)
def test_the_two_faces_have_the_same_verbs_and_properties(sync: type, task: type) -> None:
    ours, theirs = members(task), members(sync)
    expected = {RENAMED.get(name, name) for name in theirs} - MISSING.keys() | ATTRIBUTES.get(sync, set())
    assert ours.keys() - ADDED == expected
    for name, member in theirs.items():
        mirror = ours.get(RENAMED.get(name, name))
        if name in MISSING or mirror is None:
            continue
        if isinstance(member, property):
            assert isinstance(mirror, property) or (name in BECOME_VERBS and inspect.iscoroutinefunction(mirror)), name
        elif callable(member) and name not in RENAMED:
            assert parameters(member) == parameters(mirror), name
            assert is_awaited_or_streams(mirror), name


@pytest.mark.parametrize("name", ["open", "open_config", "reader"])
def test_a_log_is_opened_with_the_same_parameters(name: str) -> None:
    assert parameters(getattr(walogs, name)) == parameters(getattr(walogs.aio, name))
