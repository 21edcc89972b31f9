"""The distributions of the workspace are what is tested here: their plugins are there, by name."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def plugins_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
