"""A path that names no directory of this machine reaches the store that asks for such paths."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.cli.commands import Walogs
from tests.config.files import written
from tests.plugins.site import Site

CLOUD: Final = """
    from walogs.testing import MemoryImmutableStore, MemoryCloud

    CLOUDS = {}

    class Store(MemoryImmutableStore):
        def __init__(self, path):
            super().__init__(CLOUDS.setdefault(path, MemoryCloud()))
"""
CLOUD_PLUGIN: Final = """
    import walogs

    @walogs.plugins.hookimpl
    def walogs_stores():
        return [walogs.plugins.StoreSpec("cloud", "cloud_store:Store")]
"""


@pytest.fixture(autouse=True)
def cloud(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, where a store `cloud` is installed and a log of it configured."""
    site.add("walogs-cloud", {"cloud": "walogs_cloud"}, walogs_cloud=CLOUD_PLUGIN, cloud_store=CLOUD)
    monkeypatch.setattr("walogs.assembly.registry.current", site.registry())
    monkeypatch.chdir(tmp_path)
    return written(tmp_path, '[log.far]\npath = "s3://bucket/a"\nstore = "cloud"\n')


def test_a_store_that_takes_addresses_gets_them(cloud: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with walogs.open("s3://bucket/a", store="cloud") as wal:
        assert wal.append(b"one") == 1
    with walogs.open_config(cloud, log="far") as wal:
        assert list(wal) == [(1, b"one")]
    assert walogs.load_config(cloud, log="far").path == "s3://bucket/a"  # relative to nothing
    with walogs.open("~who/log", store="cloud") as wal:
        assert list(wal) == []
    assert set(tmp_path.iterdir()) == before


def test_what_lies_elsewhere_cannot_be_measured_beside_it(command: Walogs) -> None:
    told = command("bench", "--log", "far", "--seconds", "5ms")
    assert (told.status, told.out) == (1, b"")
    assert "on no disk of this machine; name a DIR, not --log" in told.line


@pytest.mark.parametrize(
    "tokens",
    [
        ("append", "s3://bucket/x", "--lines", "walogs.toml"),
        ("cat", "s3://bucket/x"), ("tail", "s3://bucket/x"), ("info", "s3://bucket/x"),
        ("verify", "s3://bucket/x"), ("salvage", "~nobody/x"), ("repair", "~/x"), ("doctor", "s3://bucket/x"),
        ("backup", "s3://bucket/x", "copy"), ("backup", "log", "~/copy"), ("bench", "s3://bucket/x"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_command_makes_a_directory_of_an_address_or_of_a_home(
    command: Walogs, tmp_path: Path, tokens: tuple[str, ...]
) -> None:
    walogs.open("log").close()
    before = set(tmp_path.rglob("*"))
    told = command(*tokens)
    assert (told.status, told.out) == (1, b"")
    wrong = next(token for token in tokens if token.startswith(("s3:", "~")))
    assert f"={wrong!r}: " in told.line
    assert set(tmp_path.rglob("*")) == before
