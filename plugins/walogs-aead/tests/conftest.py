"""Keys for tests, and no key from the environment that the tests run in."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_keys_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WALOGS_AEAD_KEY", raising=False)
