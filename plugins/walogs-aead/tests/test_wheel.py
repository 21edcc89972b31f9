"""From its wheel, in an environment of its own, by name alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.wheels import CleanEnvironment

KEY = bytes(range(32)).hex()


@pytest.mark.wheel
@pytest.mark.timeout(300)
def test_the_wheel_is_found_by_name_and_its_log_reopens(tmp_path: Path) -> None:
    clean = CleanEnvironment(tmp_path, "plugins/walogs-aead", extras="cli,testing")
    clean.run(
        """
import walogs, walogs_aead
assert all("site-packages" in module.__file__ for module in (walogs, walogs_aead))
with walogs.open("orders.wal", codec="aead") as wal:
    assert wal.append(b"one tea") == 1
    assert list(wal.append_batch([b"second", b""])) == [2, 3]
    wal.rotate()
    wal.append(bytes(100_000))
""",
        WALOGS_AEAD_KEY=KEY,
    )
    assert not any(b"one tea" in file.read_bytes() for file in (tmp_path / "orders.wal").iterdir())
    clean.run("""
import walogs, walogs_aead
assert walogs.verify("orders.wal").ok
with walogs.open("orders.wal", codec="aead") as wal:
    assert wal.last_lsn == 4
    try:
        wal.read(1)
    except walogs_aead.MissingKey as missing:
        assert missing.key_id == "1"
    else:
        raise SystemExit("read without a key")
try:
    walogs_aead.AeadCodec(compression="zstd")
except walogs.UnsupportedFormat as error:
    assert "walogs-aead[zstd]" in str(error)
else:
    raise SystemExit("compresses without walogs-zstd")
""")
    clean.run(
        """
import walogs
expected = [b"one tea", b"second", b"", bytes(100_000)]
for _ in range(2):
    with walogs.open("orders.wal", codec="aead") as wal:
        assert [data for _, data in wal] == expected
        wal.append(b"again")
        expected.append(b"again")
""",
        WALOGS_AEAD_KEY=KEY,
    )
    clean.conformance("aead", WALOGS_AEAD_KEY=KEY)


@pytest.mark.wheel
@pytest.mark.timeout(300)
def test_both_wheels_together_compress_before_they_encrypt(tmp_path: Path) -> None:
    clean = CleanEnvironment(tmp_path, "plugins/walogs-aead", "plugins/walogs-zstd")
    clean.run(
        """
import walogs, walogs_aead
codec = walogs_aead.AeadCodec(key_env="ORDERS_KEY", compression="zstd")
with walogs.open("orders.wal", codec=codec) as wal:
    wal.append(bytes(100_000))
    wal.rotate()
    assert wal.segments()[0].size < 10_000
with walogs.open("orders.wal", codec=walogs_aead.AeadCodec(key_env="ORDERS_KEY")) as wal:
    assert wal.read(1) == bytes(100_000)
""",
        ORDERS_KEY=KEY,
    )
