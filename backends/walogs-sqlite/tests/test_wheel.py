"""What a stranger gets: the wheels of walogs and of this, installed, and the store chosen by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.wheels import CleanEnvironment

PROGRAM = """
import walogs, pathlib
with walogs.open("orders.db", store="sqlite") as wal:
    assert wal.append(b"first") == 1
with walogs.open("orders.db", store="sqlite") as wal:
    assert list(wal) == [(1, b"first")]
assert pathlib.Path("orders.db").read_bytes().startswith(b"SQLite format 3")
import walogs_sqlite
assert "site-packages" in walogs_sqlite.__file__
assert (pathlib.Path(walogs_sqlite.__file__).parent / "py.typed").exists()
print("opened by its name")
"""


@pytest.mark.wheel
@pytest.mark.timeout(600)
def test_the_wheel_gives_the_store_by_its_name(tmp_path: Path) -> None:
    environment = CleanEnvironment(tmp_path, "backends/walogs-sqlite", extras="cli,testing")
    assert environment.run(PROGRAM) == "opened by its name\n"
    environment.conformance("sqlite")
