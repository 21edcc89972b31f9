"""Each file of walogs imports its own layer or lower ones (docs/contributing.md).

An import inside a function, under TYPE_CHECKING or through `import_module("…")` counts like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final

import pytest

from tests.house.source import dotted, module_name, sources

APART: Final = {"walogs.errors", "walogs.types"}
"""Modules that import neither each other nor anything above them."""
LAYERS: Final = (  # from the top down
    {"walogs", "walogs.__main__"},
    {"walogs.cli"},
    {"walogs.aio"},
    {"walogs.inspection", "walogs.config_file"},
    {"walogs.plugins"},
    {"walogs.assembly"},
    {"walogs.testing"},
    {"walogs.defaults"},
    {"walogs.handles"},
    {"walogs.arrow"},
    {"walogs.engine"},
    {"walogs.formats"},
    {"walogs.protocols", "walogs.events"},
    {"walogs.types"},
    {"walogs.foundation"},
    {"walogs.errors"},
)
DEPTH: Final = {part: depth for depth, layer in enumerate(LAYERS) for part in layer}

NEVER: Final[Mapping[str, frozenset[str]]] = {
    # The registry names the defaults by import string, so that choosing one never loads the others.
    "walogs.assembly": frozenset({"walogs.defaults", "walogs.testing"}),
    **{part: APART - {part} for part in APART},
}
"""Lower layers that a part must not import, although they are lower."""
EXCEPTIONS: Final = {("walogs.assembly.opening", "walogs.defaults")}
"""(module, layer): this module may import the layer all the same. An open tells which segment files were renamed."""

TESTING_MAY_IMPORT: Final = frozenset(
    {
        "walogs.testing",
        "walogs.formats",
        "walogs.protocols",
        "walogs.errors",
        "walogs.foundation",
        "walogs.types",
    }
)
SUITES: Final[frozenset[str]] = frozenset(
    {
        "walogs.testing.codec_contract",
        "walogs.testing.log_checks",
        "walogs.testing.machine",
        "walogs.testing.sync_policy_contract",
    }
)
"""The modules of walogs.testing that run whole logs, and therefore may import walogs.assembly.opening."""

KNOW_NO_SYSCALL: Final = frozenset({"walogs.engine", "walogs.formats", "walogs.protocols"})
SYSCALLS: Final = frozenset(
    {"fcntl", "filelock", "glob", "mmap", "os", "pathlib", "posix", "shutil", "signal", "subprocess", "tempfile"}
)
BY_STRING: Final = frozenset({"import_module", "__import__"})


def part_of(module: str) -> str | None:
    """Return the row of the table to which *module* belongs, or None."""
    head = ".".join(importable(module).split(".")[:2])
    return head if head in DEPTH else None


def importable(module: str) -> str:
    """Return the name of a module in an import statement."""
    return module.removesuffix(".__init__")


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name: `import_module` of `importlib.import_module`."""
    return dotted(node).rpartition(".")[2]


def imported(module: str, tree: ast.AST, files: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of every import anywhere in the file. `from package import name` is resolved."""
    modules = {importable(name) for name in files}
    package = module.split(".")[:-1]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                above = package[: len(package) - level + 1] if level else []
                base = ".".join([*above, *([source] if source else [])])
                for alias in names:
                    inner = f"{base}.{alias.name}"
                    yield node.lineno, inner if inner in modules or part_of(inner) == inner else base
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if last_name(func) in BY_STRING:
                yield node.lineno, name
            case _:
                pass


def refusal(module: str, target: str) -> str | None:
    """Return why *module* must not import *target*, or None."""
    importer = part_of(module)
    assert importer is not None
    root = target.partition(".")[0]
    if root != "walogs":
        if importer in KNOW_NO_SYSCALL and root in SYSCALLS:
            return f"{importer} knows no path and no syscall"
        return None
    wanted = part_of(target)
    if wanted is None:
        return "no layer has it: add it to LAYERS"
    if importer == "walogs.testing":
        allowed = wanted in TESTING_MAY_IMPORT or (target == "walogs.assembly.opening" and module in SUITES)
        return None if allowed else "walogs.testing must stand without what it tests"
    if DEPTH[wanted] < DEPTH[importer]:
        return f"{wanted} is above {importer}"
    if wanted in NEVER.get(importer, ()) and (module, wanted) not in EXCEPTIONS:
        return f"{importer} must not know {wanted}"
    return None


def complaints(files: Mapping[str, str]) -> list[str]:
    """Return every import that breaks the order, as `module:line imports target: why`."""
    found = [f"{module} has no layer: add it to LAYERS" for module in files if part_of(module) is None]
    for module, text in files.items():
        if part_of(module) is not None:
            for line, target in imported(module, ast.parse(text), files):
                if why := refusal(module, target):
                    found.append(f"{module}:{line} imports {target}: {why}")
    return found


def cycle(files: Mapping[str, str]) -> list[str]:
    """Return modules of one layer that import each other in a circle when they are loaded, or []."""
    graph: dict[str, set[str]] = {}
    for module, text in files.items():
        tree = WithoutTypeChecking().visit(ast.parse(text))
        graph[importable(module)] = {target for _, target in imported(module, tree, files)} - {importable(module)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


class WithoutTypeChecking(ast.NodeTransformer):
    """Drop what only type checkers import. A circle of types is no circle at run time."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if last_name(node.test) == "TYPE_CHECKING":
            return node.orelse
        return self.generic_visit(node)


def walogs() -> dict[str, str]:
    return {module_name(path): text for path, text in sources("walogs").items()}


def test_no_file_imports_a_layer_above_its_own() -> None:
    assert complaints(walogs()) == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    assert cycle(walogs()) == []


PLANTED: Final = [
    ("walogs.handles.wal", "from walogs.assembly.opening import open", "walogs.assembly.opening"),
    ("walogs.handles.wal", "import walogs.defaults.local_store", "walogs.defaults.local_store"),
    ("walogs.handles.wal", "import walogs", "walogs"),
    ("walogs.handles.wal", "from walogs import Wal", "walogs"),
    ("walogs.handles.wal", "from walogs.assembly import config", "walogs.assembly"),
    ("walogs.engine.commit", "def f():\n    from walogs.handles.wal import Wal", "walogs.handles.wal"),
    ("walogs.engine.commit", "if TYPE_CHECKING:\n    from ..handles.wal import Wal", "walogs.handles.wal"),
    ("walogs.engine.commit", "from .. import testing", "walogs.testing"),
    ("walogs.engine.commit", "import_module('walogs.defaults')", "walogs.defaults"),
    ("walogs.engine.commit", "importlib.import_module('walogs.cli')", "walogs.cli"),
    ("walogs.engine.commit", "import os.path", "os.path"),
    ("walogs.engine.commit", "from pathlib import Path", "pathlib"),
    ("walogs.engine.commit", "def f():\n    import filelock", "filelock"),
    ("walogs.formats.native", "from walogs.engine.commit import x", "walogs.engine.commit"),
    ("walogs.cli.__init__", "from .. import aio, __version__", "walogs"),
    ("walogs.engine.__init__", "from ..handles.wal import Wal", "walogs.handles.wal"),
    ("walogs.protocols", "from walogs.formats import native", "walogs.formats"),
    ("walogs.errors", "from walogs.types import Clean", "walogs.types"),
    ("walogs.assembly.registry", "from walogs.defaults import local_store", "walogs.defaults"),
    ("walogs.assembly.config", "from walogs.defaults import local_store", "walogs.defaults"),
    ("walogs.testing.memory", "from walogs.assembly.opening import open", "walogs.assembly.opening"),
    ("walogs.testing.machine", "from walogs.assembly.config import WalConfig", "walogs.assembly.config"),
    ("walogs.testing.memory", "from walogs.engine import commit", "walogs.engine.commit"),
    ("walogs.testing.memory", "from walogs.defaults import local_store", "walogs.defaults"),
    ("walogs.defaults.local_store", "from walogs.surprise import x", "walogs.surprise"),
]


@pytest.mark.parametrize(("module", "text", "target"), PLANTED)
def test_a_planted_upward_import_is_seen(module: str, text: str, target: str) -> None:
    tree = {"walogs.__init__": "", "walogs.engine.commit": "", "walogs.surprise": "", module: text}
    assert any(f"imports {target}:" in line for line in complaints(tree) if line.startswith(f"{module}:"))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("walogs.__init__", "from walogs.assembly.opening import open\nfrom . import errors"),
        (
            "walogs.assembly.opening",
            "from walogs.assembly import config\nfrom walogs.defaults.local_store import LocalStore",
        ),
        ("walogs.defaults.local_store", "import os\nfrom ..formats import native\nfrom .. import errors"),
        ("walogs.engine.commit", "import zlib\nfrom walogs.engine import rotation\nfrom .verdict import x"),
        ("walogs.testing.machine", "from walogs.assembly.opening import open"),
        ("walogs.testing.memory", "from walogs.formats.native import x\nfrom .. import errors\nfrom . import faults"),
    ],
)
def test_a_downward_import_is_allowed(module: str, text: str) -> None:
    assert complaints({module: text}) == []


def test_a_file_that_no_layer_has_is_seen() -> None:
    assert complaints({"walogs.surprise": ""}) == ["walogs.surprise has no layer: add it to LAYERS"]


def test_a_planted_circle_is_seen() -> None:
    files = {"walogs.engine.a": "from walogs.engine.b import x", "walogs.engine.b": "def f():\n    from . import a"}
    assert cycle(files)
    assert not cycle({**files, "walogs.engine.b": "if TYPE_CHECKING:\n    from . import a"})
