"""What the local store does is tried on the machine's own file system: its syncs, its names, its blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.defaults.local_stores import calls, set_umask, store
from tests.kit.temporary import path_on_disk

__all__ = ["calls", "path_on_disk", "set_umask", "store", "tmp_path"]


@pytest.fixture
def tmp_path(path_on_disk: Path) -> Path:
    return path_on_disk
