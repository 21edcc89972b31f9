from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Walogs
from tests.plugins.site import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Empty, on `sys.path`; what is imported from it is forgotten afterwards."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    before = set(sys.modules)
    yield Site(path)
    for name in set(sys.modules) - before:
        if str(path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes], site: Site, monkeypatch: pytest.MonkeyPatch) -> Walogs:
    """`walogs`, in this process, where nothing is installed but what *site* has."""
    monkeypatch.setattr("walogs.assembly.registry.current", site.registry())
    return Walogs(capfdbinary)
