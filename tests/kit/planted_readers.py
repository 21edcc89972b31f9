"""Bugs of a reader that tests of several rooms plant, to see that they would find them."""

from __future__ import annotations

from typing import Any

import pytest

from walogs.engine import observation


def show_unsynced_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every reader return what is written, also a reader of durable entries."""
    honest = observation.find_end

    def find_end_of_everything(
        source: Any, newest: Any, durable_mark: Any, visibility: Any, known: Any, *, from_start: bool
    ) -> Any:
        return honest(source, newest, durable_mark, "written", known, from_start=from_start)

    monkeypatch.setattr(observation, "find_end", find_end_of_everything)
