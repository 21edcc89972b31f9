"""The registration of the store `object-store`."""

from __future__ import annotations

import walogs


@walogs.plugins.hookimpl
def walogs_stores() -> list[walogs.plugins.StoreSpec]:
    return [
        walogs.plugins.StoreSpec(
            "object-store",
            "walogs_object_store.store:ObjectStore",
            options="walogs_object_store.options:ObjectStoreOptions",
            schemes=("az", "gs", "s3"),
            summary="A bucket of S3, GCS or Azure, an object for each commit",
        )
    ]
