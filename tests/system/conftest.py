from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.children import quick_directory


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """An empty directory, in memory where there is one."""
    with quick_directory() as path:
        yield path
