from __future__ import annotations

import pytest

from tests.cli.commands import Walogs


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Walogs:
    return Walogs(capfdbinary)
