"""The package that an error tells people to install is the one that gives the name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.house.source import ROOT
from walogs.assembly.entry_points import DeclaredPlugin
from walogs.assembly.resolver import PACKAGES

NOT_TOLD: Final = frozenset({"walogs-template"})
"""Distributions that are not needed to use a log."""


def members(root: Path) -> dict[str, list[DeclaredPlugin]]:
    """Return the entry points of each distribution of the workspace."""
    found = {}
    for path in sorted([*root.glob("plugins/*/pyproject.toml"), *root.glob("backends/*/pyproject.toml")]):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        points = project.get("entry-points", {}).get("walogs", {})
        found[project["name"]] = [
            DeclaredPlugin(distribution=project["name"], version="", entry_point=name, target=target)
            for name, target in points.items()
        ]
    return found


def complaints(packages: Mapping[str, str], found: Mapping[str, list[DeclaredPlugin]]) -> list[str]:
    """Return what is wrong with *packages*, which maps the names of components to distributions."""
    unfindable = [
        f"{package} has no entry point for {name!r}"
        for name, package in packages.items()
        if package in found and not any(declared.claims(name) for declared in found[package])
    ]
    untold = sorted(found.keys() - set(packages.values()) - NOT_TOLD)
    return unfindable + [f"{package} is never told: add it to PACKAGES" for package in untold]


def test_every_package_that_is_told_gives_the_name_it_is_told_for() -> None:
    assert complaints({name: package for (_, name), package in PACKAGES.items()}, members(ROOT)) == []


def test_a_planted_mistake_is_seen(tmp_path: Path) -> None:
    for folder, name, point in (
        ("plugins", "walogs-zstd", "zstandard"),
        ("plugins", "walogs-template", "rot13"),
        ("backends", "walogs-new", "new"),
    ):
        member = tmp_path / folder / name
        member.mkdir(parents=True)
        text = f'[project]\nname = "{name}"\n[project.entry-points.walogs]\n{point} = "module"\n'
        (member / "pyproject.toml").write_text(text)
    assert complaints({"zstd": "walogs-zstd", "aead": "walogs-aead"}, members(tmp_path)) == [
        "walogs-zstd has no entry point for 'zstd'",
        "walogs-new is never told: add it to PACKAGES",
    ]
    good = {"zstandard-fast": "walogs-zstd", "new": "walogs-new"}
    assert complaints(good, members(tmp_path)) == []
