"""Held to the contract of a store, as any."""

from __future__ import annotations

from pathlib import Path

from tests.kit.temporary import IN_MEMORY
from walogs.testing import StoreContract
from walogs_sqlite import SqliteStore


class TestSqliteStore(StoreContract):
    directory = IN_MEMORY  # it makes thousands of databases, and what SQLite asks of a disk has tests of its own

    def store(self, place: Path) -> SqliteStore:
        return SqliteStore(place)
