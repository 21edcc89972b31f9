"""A log, and what the tests of its cursors share."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

import walogs

DATA: Final = [b"entry %d" % number * 20 for number in range(1, 21)]
SEGMENT: Final = 900
"""A few entries for each segment."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.wal"
    with walogs.open(path, max_segment_size=SEGMENT) as wal:
        for data in DATA:
            wal.append(data)
    return path


def lsns(cursor: walogs.Cursor) -> list[int]:
    return [lsn for lsn, _ in cursor]
