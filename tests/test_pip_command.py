"""What messages say to install can be installed: it comes from where walogs came from."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Mapping
from importlib.metadata import Distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests.house.source import ROOT
from walogs.assembly.resolver import PACKAGES
from walogs.foundation import pip_command
from walogs.foundation.pip_command import folder_of, origin, pip_install, requirement

CLONE: Final = {"url": ROOT.as_uri(), "dir_info": {"editable": True}}
GIT: Final = {"url": "https://host/walogs.git", "vcs_info": {"vcs": "git", "commit_id": "12ab"}}
WHEEL: Final = {"url": "file:///x/walogs-1-py3-none-any.whl", "archive_info": {}}


@pytest.mark.parametrize(
    ("came_from", "extra", "plugin"),
    [
        ({}, "walogs[cli]", "walogs-zstd"),
        (CLONE, f"{ROOT}[cli]", f"{ROOT}/plugins/walogs-zstd"),
        (
            GIT,
            "walogs[cli] @ git+https://host/walogs.git@12ab",
            "walogs-zstd @ git+https://host/walogs.git@12ab#subdirectory=plugins/walogs-zstd",
        ),
        (WHEEL, "walogs[cli] @ file:///x/walogs-1-py3-none-any.whl", "walogs-zstd"),
        ({"url": "file:///nowhere%20at%20all", "dir_info": {}}, "walogs[cli]", "walogs-zstd"),
    ],
    ids=["an index", "a clone", "a commit", "a wheel", "a clone that is gone"],
)
def test_the_rest_comes_from_where_walogs_came_from(came_from: Mapping[str, Any], extra: str, plugin: str) -> None:
    assert requirement("walogs", "cli", came_from) == extra
    assert requirement("walogs-zstd", "", came_from) == plugin


@pytest.mark.parametrize("package", sorted(PACKAGES.values()))
def test_in_a_clone_every_package_that_is_told_is_a_project_of_that_name(package: str) -> None:
    place = Path(requirement(package, "", CLONE))
    project = tomllib.loads((place / "pyproject.toml").read_text())["project"]
    assert project["name"] == package
    assert (ROOT / folder_of(package) / package).samefile(place)


def test_a_path_with_a_space_is_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "my clone"
    (tree / "plugins" / "walogs-zstd").mkdir(parents=True)
    monkeypatch.setattr(pip_command, "origin", lambda: {"url": tree.as_uri(), "dir_info": {}})
    assert shlex.split(pip_install("walogs", "cli")) == ["pip", "install", f"{tree}[cli]"]
    assert shlex.split(pip_install("walogs-zstd")) == ["pip", "install", f"{tree}/plugins/walogs-zstd"]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (json.dumps(CLONE), CLONE),
        (json.dumps(GIT), GIT),
        (None, CLONE["url"]),
        ("", CLONE["url"]),
        ("{half", CLONE["url"]),
        ("[]", CLONE["url"]),
        ('{"url": 5}', {}),
    ],
)  # fmt: skip
def test_what_the_installer_wrote_is_read_whatever_it_is(
    written: str | None, found: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = SimpleNamespace(read_text=lambda name: written if name == "direct_url.json" else None)
    monkeypatch.setattr(Distribution, "from_name", lambda name: recorded)
    assert origin() == found or origin()["url"] == found


def test_a_walogs_that_was_never_installed_runs_from_its_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.metadata.MetadataPathFinder.find_distributions", lambda *_: iter(()), raising=False)
    monkeypatch.setattr(Distribution, "discover", classmethod(lambda cls, **_: iter(())))
    assert origin()["url"] == ROOT.as_uri()
    elsewhere = tmp_path / "site-packages" / "walogs" / "foundation" / "pip_command.py"
    monkeypatch.setattr(pip_command, "__file__", str(elsewhere))
    assert origin() == {}
    assert pip_install("walogs", "testing") == "pip install 'walogs[testing]'"
