"""A log in one SQLite file, as tests meet it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.kit.stores import CODECS, LogFactory
from tests.kit.temporary import path_on_disk
from walogs_sqlite import SqliteStore

__all__ = ["log_factory", "path", "path_on_disk", "store"]


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


@pytest.fixture(params=CODECS)
def log_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogFactory]:
    """With every codec."""
    factory = SqliteFactory(request.param, tmp_path)
    yield factory
    factory.close()


@pytest.fixture
def path(path_on_disk: Path) -> Path:
    """Where SQLite meets the machine's own file system."""
    return path_on_disk / "orders.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """One that has acquired its place."""
    made = SqliteStore(path)
    made.acquire()
    yield made
    made.close()
