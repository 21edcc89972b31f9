"""Logs that the tests of this folder damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.contents import DATA
from tests.kit.logs import LogOnDisk


@pytest.fixture
def log(tmp_path: Path) -> LogOnDisk:
    """Make a closed log with one segment."""
    return LogOnDisk(tmp_path / "log").append(*DATA)


@pytest.fixture
def long_log(tmp_path: Path) -> LogOnDisk:
    """Make a closed log with six entries, each in a segment of its own."""
    return LogOnDisk(tmp_path / "log", max_segment_size=1).append(*(b"%d" % lsn * 50 for lsn in range(1, 7)))
