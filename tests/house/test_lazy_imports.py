"""Imports at first use go through `lazy_import`, so that a signal handler in the middle of one gets a clear error.

walogs/foundation/lazy.py gives the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import dotted, module_name, sources

PARTS_WITHOUT = ("walogs.cli", "walogs.config_", "walogs.testing")
"""Parts that no signal handler calls: the command line, the reading of a file, and the kit."""
NOT_CALLED_AGAIN = frozenset(
    {
        ("walogs.assembly.config", "difflib"),
        ("walogs.__init__", "importlib"),
        ("walogs.foundation.records", "dataclasses"),
        ("walogs.foundation.records", "inspect"),
    }
)
"""Imports of modules that are loaded before walogs (importlib), that only improve a message, or that ask walogs for
something themselves."""


def unguarded(module: str, text: str) -> Iterator[str]:
    """Yield each import inside a function that is not in a `with lazy_import`, or that imports a whole module."""
    tree = ast.parse(text)
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and any(dotted(item.context_expr) == "lazy_import" for item in node.items)
        for inner in ast.walk(node)
        if isinstance(inner, ast.ImportFrom)
    }
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in {id(n): n for function in functions for n in ast.walk(function)}.values():
        if isinstance(node, ast.Import):
            yield f"{module}:{node.lineno} imports {node.names[0].name} at first use: name what it needs of it"
        elif isinstance(node, ast.ImportFrom) and not (
            id(node) in guarded or (module, node.module) in NOT_CALLED_AGAIN
        ):
            yield f"{module}:{node.lineno} imports from {node.module} without `with lazy_import`"


def test_every_import_at_first_use_tells_a_handler_in_its_middle() -> None:
    files = {module_name(path): text for path, text in sources("walogs").items()}
    looked_at = {module: text for module, text in files.items() if not module.startswith(PARTS_WITHOUT)}
    assert len(looked_at) > 40
    assert [line for module, text in looked_at.items() for line in unguarded(module, text)] == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("def f():\n    import json", 1),
        ("def f():\n    with lazy_import:\n        import json", 1),
        ("def f():\n    from json import dumps", 1),
        ("def f():\n    with suppress(OSError):\n        from json import dumps", 1),
        ("class C:\n    def f(self):\n        from json import dumps", 1),
        ("def f():\n    with lazy_import:\n        from json import dumps", 0),
        ("import json\nfrom json import dumps", 0),
    ],
)
def test_a_planted_import_is_seen(text: str, count: int) -> None:
    assert len([*unguarded("walogs.handles.wal", text)]) == count
