"""Plugins and backends of this repository use what a stranger can: what the public modules export."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import walogs
import walogs.testing
from tests.house.source import ROOT, sources

EXPORTED: Final = {
    module.__name__: set(module.__all__)
    for module in (walogs, walogs.events, walogs.plugins, walogs.testing, walogs.types)
}
ATTRIBUTES: Final = EXPORTED["walogs"] | walogs.MODULES
"""What `import walogs` alone gives."""
PACKAGES: Final = sorted(
    path.parent for kind in ("plugins", "backends") for path in ROOT.glob(f"{kind}/walogs-*/walogs_*/__init__.py")
)


def unexported(text: str) -> Iterator[str]:
    """Each import, and each use of a name of `walogs`, that a stranger could not rely on."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                yield from (
                    one.name for one in names if one.name.partition(".")[0] == "walogs" and one.name not in EXPORTED
                )
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "walogs":
                given = EXPORTED.get(module, set())
                yield from (f"{module}.{one.name}" for one in names if one.name not in given)
            case ast.Attribute(value=ast.Name(id="walogs"), attr=name) if name not in ATTRIBUTES:
                yield f"walogs.{name}"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_it_uses_what_is_exported_and_nothing_else(package: Path) -> None:
    folder = str(package.relative_to(ROOT))
    found = {str(path.relative_to(ROOT)): [*unexported(text)] for path, text in sources(folder).items()}
    assert {path: names for path, names in found.items() if names} == {}


def test_there_are_plugins_and_what_they_must_not_do_is_seen() -> None:
    assert len(PACKAGES) >= 5
    bad = "import walogs.engine.frame_reader\nfrom walogs.formats.crc32 import crc32\nfrom walogs import Corrupt\n"
    bad += "from walogs.assembly import registry\n"
    assert [*unexported(bad + "import walogs\nwalogs.assembly.opening.open\nwalogs.open\n")] == [
        "walogs.engine.frame_reader",
        "walogs.formats.crc32.crc32",
        "walogs.assembly.registry",
        "walogs.assembly",
    ]
