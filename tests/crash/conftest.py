"""The sweeps open thousands of torn logs on purpose: what the log says of each would drown what they find."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="walogs")
