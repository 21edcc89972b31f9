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


SCHEMES: Final = """
    import walogs

    @walogs.plugins.hookimpl
    def walogs_stores():
        return [walogs.plugins.StoreSpec(NAME, "cloud_store:Store", schemes=("cloud", "s3"))]
"""


@pytest.fixture
def by_scheme(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A place where a store is installed that takes the addresses of two schemes."""
    site.add("walogs-schemes", {"far": "walogs_schemes"}, walogs_schemes=SCHEMES.replace("NAME", '"far"'))
    monkeypatch.setattr("walogs.assembly.registry.current", site.registry())
    return site


def test_the_store_of_an_address_is_found_by_its_scheme(by_scheme: Site, tmp_path: Path, command: Walogs) -> None:
    before = set(tmp_path.iterdir())
    with walogs.open("cloud://bucket/b") as wal:
        assert wal.append(b"one") == 1
    for address in ("cloud://bucket/b", "CLOUD://bucket/b", Path("cloud://bucket/b")):
        assert list(walogs.reader(address)) == [(1, b"one")]
    assert walogs.verify("cloud://bucket/b").ok
    told = command("cat", "cloud://bucket/b")
    assert (told.status, told.out) == (0, b"one\n")
    file = written(tmp_path, '[log.far]\npath = "cloud://bucket/b"\n')
    with walogs.open_config(file, log="far") as wal:
        assert wal.last_lsn == 1
    assert set(tmp_path.iterdir()) == before


def test_two_stores_for_one_scheme_are_told_apart_by_name(by_scheme: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    other = SCHEMES.replace("NAME", '"near"').replace('("cloud", "s3")', '("cloud",)')
    by_scheme.add("walogs-other", {"near": "walogs_other"}, walogs_other=other)
    monkeypatch.setattr("walogs.assembly.registry.current", by_scheme.registry())
    with pytest.raises(walogs.ConfigError, match="far and near take addresses as cloud://; name the one you mean"):
        walogs.open("cloud://bucket/c")
    walogs.open("cloud://bucket/c", store="near").close()


def test_the_package_for_an_address_is_named_if_it_is_not_installed() -> None:
    for address, package in (("nats://host/orders", "walogs-jetstream"), ("gs://b/orders", "walogs-object-store")):
        with pytest.raises(walogs.ConfigError, match=f"another store may take it: pip install .*{package}"):
            walogs.open(address)


@pytest.mark.parametrize("schemes", ['"s3"', '["s3"]', '("S3",)', '("file",)', '("c",)', "(7,)"])
def test_schemes_that_are_none_are_told(site: Site, schemes: str) -> None:
    plugin = SCHEMES.replace("NAME", '"bad"').replace('("cloud", "s3")', schemes)
    site.add("walogs-bad", {"bad": "walogs_bad"}, walogs_bad=plugin)
    with pytest.raises(walogs.PluginError, match="a tuple of schemes"):
        site.registry().spec("store", "bad")


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
    before = files_below(tmp_path)
    told = command(*tokens)
    assert (told.status, told.out) == (1, b"")
    wrong = next(token for token in tokens if token.startswith(("s3:", "~")))
    assert f"={wrong!r}: " in told.line
    assert files_below(tmp_path) == before


def files_below(place: Path) -> set[Path]:
    """Return what is there, without the bytecode of a plugin that was imported."""
    return {path for path in place.rglob("*") if "__pycache__" not in path.parts}
