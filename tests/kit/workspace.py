"""The tests of `backends/` and `plugins/` use the distributions of this workspace by name, as a user does."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def plugins_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enable plugins, which the root's conftest.py disables in all tests."""
    monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
