"""The places for the files of tests: in memory if there is room, on the disk if a test is about disks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

MEMORY: Final = "/dev/shm"
"""The file system in memory that every Linux has."""
VARIABLE: Final = "PYTEST_DEBUG_TEMPROOT"
"""The environment variable by which pytest is told where to make `tmp_path`."""
FREE_BYTES_MIN: Final = 1 << 30
"""A whole run takes less than this at any one time. A container often gives 64 MiB, which is not enough."""


def is_usable(directory: str) -> bool:
    """Return whether there is room for the tests' files, and whether scripts among them can be run."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return False
    has_room = status.f_bavail * status.f_frsize >= FREE_BYTES_MIN
    runs_scripts = not status.f_flag & getattr(os, "ST_NOEXEC", 0)
    return has_room and runs_scripts and os.access(directory, os.W_OK | os.X_OK)


IN_MEMORY: Final = MEMORY if is_usable(MEMORY) else None
"""The directory for files whose syncs cost nothing, or None: then they go where all temporary files go."""


def prefer_memory(config: pytest.Config) -> None:
    """Put `tmp_path` into memory, unless the user has chosen a place for it.

    Most tests only count their syncs, or look at the bytes. Waiting for a slow disk would take most of the run.
    """
    if IN_MEMORY is not None and config.option.basetemp is None:
        os.environ.setdefault(VARIABLE, IN_MEMORY)


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """Make an empty directory that every user can reach.

    A `tmp_path` is private: pytest closes the directory above it whenever a run begins, also during another run.
    """
    with tempfile.TemporaryDirectory(prefix="walogs-test-", dir=IN_MEMORY, ignore_cleanup_errors=True) as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture
def path_on_disk() -> Iterator[Path]:
    """Make an empty directory where the machine keeps its temporary files, for tests about a real file system."""
    with tempfile.TemporaryDirectory(prefix="walogs-test-", ignore_cleanup_errors=True) as path:
        yield Path(path)
