"""The store is held to the contract of every store, over obstore's store in memory."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from obstore.store import MemoryStore

from tests.kit.temporary import IN_MEMORY
from walogs.testing import StoreContract
from walogs_object_store import ObjectStore


class TestObjectStore(StoreContract):
    directory = IN_MEMORY

    def setup_method(self) -> None:
        super().setup_method()
        self.buckets: defaultdict[Path, MemoryStore] = defaultdict(MemoryStore)

    def store(self, place: Path) -> ObjectStore:
        return ObjectStore.over(self.buckets[place], f"memory://{place.name}")
