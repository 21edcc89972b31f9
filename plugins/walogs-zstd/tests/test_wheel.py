"""From its wheel, in an environment of its own, by name alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.wheels import CleanEnvironment


@pytest.mark.wheel
@pytest.mark.timeout(300)
def test_the_wheel_is_found_by_name_and_its_log_reopens(tmp_path: Path) -> None:
    clean = CleanEnvironment(tmp_path, "plugins/walogs-zstd", extras="cli,testing")
    clean.run("""
import walogs, walogs_zstd
assert all("site-packages" in module.__file__ for module in (walogs, walogs_zstd))
with walogs.open("orders.wal", codec="zstd") as wal:
    assert wal.append(b"one tea, " * 1000) == 1
    assert list(wal.append_batch([b"second", b""])) == [2, 3]
    wal.rotate()
    wal.append(bytes(100_000))
""")
    clean.run("""
import walogs
expected = [b"one tea, " * 1000, b"second", b"", bytes(100_000)]
for _ in range(2):
    with walogs.open("orders.wal", codec="zstd") as wal:
        assert [data for _, data in wal] == expected
        wal.append(b"again")
        expected.append(b"again")
with walogs.reader("orders.wal") as reader:
    assert [data for _, data in reader] == expected
assert walogs.verify("orders.wal").ok
""")
    listed = clean.walogs("plugins")
    assert "walogs-zstd" in listed
    assert "broken" not in listed
    assert clean.walogs("cat", "orders.wal").count("one tea") == 1000
    clean.conformance("zstd", "--option", "level=19")
