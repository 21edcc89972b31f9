"""Held to the contract of a store, as any."""

from __future__ import annotations

from pathlib import Path

from walogs.testing import StoreContract
from walogs_sqlite import SqliteStore


class TestSqliteStore(StoreContract):
    def store(self, place: Path) -> SqliteStore:
        return SqliteStore(place)
