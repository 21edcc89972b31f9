"""A log in one SQLite file, as tests meet it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.stores import CODECS, LogFactory
from walogs_sqlite import SqliteStore


class SqliteFactory(LogFactory):
    """The place that the engine's own tests run in."""

    def __init__(self, codec: str, directory: Path) -> None:
        super().__init__("sqlite", codec, directory)
        self.appends = False
        self.path = directory / "log.db"

    def open(self, **overrides: Any) -> walogs.Wal:
        overrides.setdefault("codec", CODECS[self.codec]())
        wal = walogs.open(self.path, store="sqlite", **overrides)
        self._open.append(wal)
        return wal

    def store(self) -> SqliteStore:
        return SqliteStore(self.path)

    def another(self) -> LogFactory:
        directory = self._directory / f"other-{next(self._fresh)}"
        return SqliteFactory(self.codec, directory)


IN_MEMORY: Final = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where syncs cost nothing: the tests of the engine make thousands, and are not about them."""


@pytest.fixture(params=CODECS)
def log_factory(request: pytest.FixtureRequest) -> Iterator[LogFactory]:
    """With every codec."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as directory:
        factory = SqliteFactory(request.param, Path(directory))
        yield factory
        factory.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """One that has acquired its place."""
    made = SqliteStore(path)
    made.acquire()
    yield made
    made.close()
