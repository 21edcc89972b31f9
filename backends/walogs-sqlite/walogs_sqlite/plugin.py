"""The registration of the store `sqlite`."""

from __future__ import annotations

import walogs


@walogs.plugins.hookimpl
def walogs_stores() -> list[walogs.plugins.StoreSpec]:
    return [
        walogs.plugins.StoreSpec(
            "sqlite",
            "walogs_sqlite.store:SqliteStore",
            options="walogs_sqlite.options:SqliteOptions",
            summary="One SQLite file, a row for each commit",
        )
    ]
