"""`import walogs` loads what an append needs, and nothing that is needed later or never."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.house.source import ROOT

NOT_YET: Final = frozenset(
    {
        "asyncio",
        "cattrs",
        "concurrent.futures",
        "ctypes",
        "cyclopts",
        "dataclasses",
        "difflib",
        "dis",
        "filelock",
        "inspect",
        "json",
        "pluggy",
        "rich",
        "socket",
        "subprocess",
        "tokenize",
        "tomllib",
        "typing_extensions",
        "uuid",
    }
)


WITH_TYPING: Final = frozenset({"ast", "re"})
"""What `typing` loads itself on some Pythons: `re` before 3.13, and `ast` from 3.14 on, for a named tuple."""
NAMED_TUPLE: Final = "import typing\nclass Place(typing.NamedTuple):\n    at: int"


def loaded(statement: str, root: Path = ROOT) -> set[str]:
    """Return the modules that a new interpreter has loaded after *statement*."""
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=root)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


def too_early(root: Path = ROOT) -> set[str]:
    """Return the modules that `import walogs` loads too early. Modules of the interpreter's own start do not count."""
    early = loaded("import walogs", root)
    return (early - loaded("pass", root)) & NOT_YET | (early - loaded(NAMED_TUPLE, root)) & WITH_TYPING


def test_importing_walogs_loads_nothing_that_is_wanted_later() -> None:
    assert too_early() == set()


def test_the_interpreter_itself_does_not_hide_what_is_measured() -> None:
    assert loaded("pass") & NOT_YET == set()


def test_a_planted_import_is_seen(tmp_path: Path) -> None:
    (tmp_path / "walogs.py").write_text(
        "import concurrent.futures\nimport inspect\nfrom json import dumps\nfrom dataclasses import dataclass\n"
    )
    assert {"concurrent.futures", "dataclasses", "inspect", "json"} <= too_early(tmp_path)
