"""What walogs is told of this distribution."""

from __future__ import annotations

import walogs


@walogs.hookimpl
def walogs_stores() -> list[walogs.StoreSpec]:
    return [
        walogs.StoreSpec(
            "sqlite",
            "walogs_sqlite.store:SqliteStore",
            options="walogs_sqlite.options:SqliteOptions",
            summary="One SQLite file, a row for each commit",
        )
    ]
