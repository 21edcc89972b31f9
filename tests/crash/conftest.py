"""Silence the warnings of walogs. The sweeps open thousands of torn logs, and each logs a warning."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="walogs")
