"""These tests use the machine's own file system, unless a test asks for `quick_path`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.temporary import path_on_disk
from tests.system.children import quick_directory

__all__ = ["path_on_disk", "quick_path", "tmp_path"]


@pytest.fixture
def tmp_path(path_on_disk: Path) -> Path:
    return path_on_disk


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """Return an empty directory, in memory if the machine has a file system in memory."""
    with quick_directory() as path:
        yield path
