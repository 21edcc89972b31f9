"""The product takes locks by `TurnLock` alone, which no interrupt leaves locked (walogs/foundation/turns.py)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

import pytest

from tests.house.source import ROOT, dotted, sources

LEAKING: Final = frozenset(
    {"Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore", "allocate_lock"}
)
"""Names of `threading` and `_thread` that are locks, or whose own Python code takes one by `with`."""
ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "walogs/foundation/turns.py": frozenset({"RLock"}),
    "walogs/foundation/wakeups.py": frozenset(
        {"Lock"}
    ),  # never taken by `with`: the thread that wakes another one releases it
    # These are checks of the kit. An interrupt ends the whole test, and its locks with it.
    "walogs/testing/append_checks.py": frozenset({"Event"}),
    "walogs/testing/body_checks.py": frozenset({"Barrier"}),
    "walogs/testing/creation_checks.py": frozenset({"Barrier"}),
    "walogs/testing/reading_checks.py": frozenset({"Event"}),
}


def last_name(node: ast.expr) -> str:
    return dotted(node).rpartition(".")[2]


def nodes_of(texts: Mapping[str, str]) -> dict[str, list[ast.AST]]:
    """Return the nodes of each file. They are looked at several times, and to walk a tree is what takes long."""
    return {path: [*ast.walk(ast.parse(text))] for path, text in texts.items()}


def makers(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Return the names of LEAKING in this file: `threading.Lock`, and `Lock` if it is imported."""
    given = {f"{module}.{name}" for module in ("threading", "_thread") for name in LEAKING}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module in ("threading", "_thread"):
            given |= {alias.asname or alias.name for alias in node.names if alias.name in LEAKING}
    return frozenset(given)


def names_made_by(maker: str, nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Return the names that hold a result of *maker*: `_gate` for `self._gate = TurnLock()`."""
    found = set()
    for node in nodes:
        match node:
            case ast.Assign(targets=targets, value=ast.Call(func=func)) if last_name(func) == maker:
                found.update(last_name(target) for target in targets)
            case ast.AnnAssign(target=target, value=ast.Call(func=func)) if last_name(func) == maker:
                found.add(last_name(target))
            case _:
                pass
    return frozenset(found)


def complaints(texts: Mapping[str, str]) -> Iterator[str]:
    files = nodes_of(texts)
    turns = names_made_by("TurnLock", chain.from_iterable(files.values()))
    for path, nodes in files.items():
        allowed, leaking = ALLOWED.get(path, frozenset()), makers(nodes)
        woken, own = (names_made_by(maker, nodes) for maker in ("held_lock", "TurnLock"))
        for node in nodes:
            match node:
                case ast.Call(func=func) if dotted(func) in leaking and last_name(func) not in allowed:
                    yield f"{path}:{node.lineno} makes a {last_name(func)}: an interrupt can leave it locked"
                case ast.With(items=items):
                    names = {last_name(item.context_expr) for item in items}
                    if names & woken:
                        yield f"{path}:{node.lineno} takes {min(names & woken)} by `with`: an interrupt can keep it"
                    if names & turns and yields(node):
                        yield f"{path}:{node.lineno} yields in a turn: an interrupt around the generator keeps it"
                case ast.Call(func=ast.Attribute(value=lock, attr="acquire"), args=[], keywords=[]) if (
                    last_name(lock) in own
                    and not path.endswith("connections.py")  # the fork lies between two functions
                ):
                    yield f"{path}:{node.lineno} takes {last_name(lock)} without `with`: an interrupt can keep it"
                case _:
                    pass


def yields(node: ast.With) -> bool:
    """Return whether a generator would be suspended inside this block."""
    inside: list[ast.AST] = [*node.body]
    while inside:
        here = inside.pop()
        if isinstance(here, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(here, (ast.FunctionDef, ast.Lambda)):
            inside.extend(ast.iter_child_nodes(here))
    return False


def product() -> dict[str, str]:
    folders = ["walogs", *(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("*/walogs-*/walogs_*/__init__.py"))]
    assert len(folders) > 5
    return {str(path.relative_to(ROOT)): text for folder in folders for path, text in sources(folder).items()}


def test_every_lock_is_one_that_no_interrupt_leaves_locked() -> None:
    assert [*complaints(product())] == []


def test_the_locks_that_there_are_are_found() -> None:
    nodes = [*chain.from_iterable(nodes_of(product()).values())]
    assert {"_mutex", "gate", "MAKING", "FORK"} <= names_made_by("TurnLock", nodes)
    assert "_wake" in names_made_by("held_lock", nodes)


@pytest.mark.parametrize(
    "planted",
    [
        "lock = threading.RLock()\nwith lock:\n    pass",
        "from threading import Lock\nlock = Lock()",
        "self.ready = threading.Event()",
        "lock = _thread.allocate_lock()",
        "self._wake = held_lock()\nwith self._wake:\n    pass",
        "self._gate = TurnLock()\n@contextmanager\ndef turn():\n    with self._gate:\n        yield",
        "self._gate = TurnLock()\nself._gate.acquire()\ntry:\n    pass\nfinally:\n    self._gate.release()",
    ],
)
def test_a_planted_lock_that_leaks_is_seen(planted: str) -> None:
    assert [*complaints({"walogs/engine/writer_turns.py": planted})]


def test_what_does_not_leak_is_allowed() -> None:
    text = "self._gate = TurnLock()\nwith self._gate:\n    pass\nif self._gate.acquire(timeout=1):\n    pass\n"
    assert [*complaints({"walogs/engine/writer_turns.py": text})] == []
