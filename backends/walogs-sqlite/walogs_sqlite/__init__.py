"""A store that keeps the segments of a walogs log in one SQLite file: `walogs.open("orders.db", store="sqlite")`."""

from walogs_sqlite.options import SqliteOptions
from walogs_sqlite.store import SqliteStore

__all__ = ["SqliteOptions", "SqliteStore"]
