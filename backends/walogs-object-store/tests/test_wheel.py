"""What a stranger gets: the wheels of walogs and of this, installed, and the store chosen by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.wheels import CleanEnvironment

PROGRAM = """
import pathlib, walogs
from obstore.store import MemoryStore
from walogs_object_store import ObjectStore
import walogs_object_store
bucket = MemoryStore()
with walogs.open(store=ObjectStore.over(bucket, "memory")) as wal:
    assert wal.append(b"first") == 1
assert list(walogs.reader(store=ObjectStore.over(bucket, "memory"))) == [(1, b"first")]
try:
    walogs.open("orders", store="object-store")
except walogs.ConfigError as error:
    assert "s3://BUCKET/PREFIX" in str(error), error
assert "site-packages" in walogs_object_store.__file__
assert (pathlib.Path(walogs_object_store.__file__).parent / "py.typed").exists()
print("opened by its name")
"""


@pytest.mark.wheel
@pytest.mark.timeout(600)
def test_the_wheel_gives_the_store_by_its_name(tmp_path: Path) -> None:
    environment = CleanEnvironment(tmp_path, "backends/walogs-object-store")
    assert environment.run(PROGRAM) == "opened by its name\n"
