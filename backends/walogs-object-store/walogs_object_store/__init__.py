"""A store that keeps the segments of a walogs log in object storage: `walogs.open("s3://…")`."""

from walogs_object_store.options import ObjectStoreOptions
from walogs_object_store.store import ObjectStore

__all__ = ["ObjectStore", "ObjectStoreOptions"]
