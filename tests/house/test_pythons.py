"""The metadata and the README name the Pythons under which `.ci/run` runs the tests."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT

OLDEST: Final = "3.11"
"""The Python of `uv run` and of `requires-python`."""
NAMED: Final = re.compile(r"Programming Language :: Python :: (3\.\d+)")
PROJECTS: Final = sorted(
    str(path.relative_to(ROOT)) for path in [ROOT / "pyproject.toml", *ROOT.glob("*/walogs-*/pyproject.toml")]
)


def versions() -> list[str]:
    run = (ROOT / ".ci" / "run").read_text()
    by_path = re.search(r"for version in ((?:3\.\d+\.\d+ ?)+);", run)
    by_chroot = re.search(r"python-chroot ((?:3\.\d+ ?)+)", run)
    assert by_path
    assert by_chroot
    return [OLDEST, *(text.rpartition(".")[0] for text in by_path[1].split()), *by_chroot[1].split()]


def project(path: str) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((ROOT / path).read_text())["project"]
    return found


def test_the_tested_ones_are_found_in_order_and_without_a_gap() -> None:
    minors = [int(version.removeprefix("3.")) for version in versions()]
    assert minors == list(range(11, minors[-1] + 1))
    assert minors[-1] >= 15


@pytest.mark.parametrize("path", PROJECTS)
def test_a_distribution_names_them_and_no_others(path: str) -> None:
    facts = project(path)
    assert facts["requires-python"] == f">={OLDEST}"
    classifiers = facts.get("classifiers")
    if classifiers is None:
        assert Path(path).parent.name == "walogs-template", "what is published says which Pythons it is tested with"
        return
    assert isinstance(classifiers, list)
    assert [version for line in classifiers for version in NAMED.findall(line)] == versions()


def test_the_readme_says_the_same() -> None:
    first, last = versions()[0], versions()[-1]
    assert f"CPython {first} to {last} are tested" in " ".join((ROOT / "README.md").read_text().split())
