"""A directory that holds no log, or another store's: what each command says, and that none makes a second log there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import Walogs
from tests.plugins.site import Site


@pytest.fixture
def others(site: Site, command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two other stores are installed. One takes addresses, so it cannot have written what lies at a path."""
    del command  # it puts its own registry in the place of the current one first
    module = "import walogs\n@walogs.plugins.hookimpl\ndef walogs_stores(): return [walogs.plugins.StoreSpec({})]"
    lmdb, cloud = "'lmdb', 'lmdb_store:Store'", "'cloud', 'lmdb_store:Store', schemes=('cloud',)"
    made_store = "from walogs.defaults.local_store import LocalStore as Store\n"
    site.add("walogs-lmdb", {"lmdb": "gives_lmdb"}, gives_lmdb=module.format(lmdb), lmdb_store=made_store)
    site.add("walogs-cloud", {"cloud": "gives_cloud"}, gives_cloud=module.format(cloud))
    monkeypatch.setattr("walogs.assembly.registry.current", site.registry())


READING = ["cat", "info", "tail", "verify", "salvage", "repair", "backup", "append"]


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("name", READING)
def test_a_directory_of_other_files_is_told_with_the_stores_that_there_are(
    name: str, tmp_path: Path, command: Walogs
) -> None:
    """No log is offered, or made, beside the files of another store: it would hide the log that they are."""
    place = tmp_path / "a.lmdb"
    place.mkdir()
    (place / "data.mdb").write_bytes(b"x")
    (place / "lock.mdb").write_bytes(b"x")
    told = command(name, place, *([tmp_path / "copy"] if name == "backup" else []))
    assert (told.status, told.out) == (1, b"")
    why = "there is no log of store 'local' among its files (data.mdb, lock.mdb)"
    assert told.line == f"walogs: {place}: {why}. If another store wrote it, name that one: --store lmdb."
    assert sorted(path.name for path in place.iterdir()) == ["data.mdb", "lock.mdb"]


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("name", READING)
def test_a_file_is_told_with_the_stores_that_there_are(name: str, tmp_path: Path, command: Walogs) -> None:
    (tmp_path / "s.db").write_bytes(b"x")
    more: dict[str, list[str | Path]] = {"backup": [tmp_path / "copy"], "append": ["--lines", "/dev/null"]}
    told = command(name, tmp_path / "s.db", *more.get(name, []))
    assert told.status == 1
    assert told.line.startswith(f"walogs: {tmp_path}/s.db: Not a directory. A log is a directory")
    assert told.line.endswith("If another store wrote it, name that one: --store lmdb.")


def test_without_another_store_its_package_is_what_is_missing(tmp_path: Path, command: Walogs, site: Site) -> None:
    del site
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "data.mdb").write_bytes(b"x")
    told = command("cat", tmp_path / "x")
    assert told.line.endswith("A log of another store needs that store's package, and --store NAME.")


@pytest.mark.parametrize("name", ["cat", "info"])
def test_where_nothing_is_a_log_can_be_made(name: str, tmp_path: Path, command: Walogs) -> None:
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "missing"):
        assert command(name, place).line == f"walogs: {place}: there is no log; `walogs append` makes one."


@pytest.mark.usefixtures("others")
def test_every_command_takes_the_store_and_the_codec(tmp_path: Path, command: Walogs) -> None:
    log, lines = tmp_path / "x.wal", tmp_path / "lines"
    lines.write_text("one\n")
    named = ["--store", "lmdb", "--codec", "crc32"]
    assert command("append", log, "--lines", lines, *named).status == 0
    for name in ("cat", "info", "tail", "verify", "salvage", "repair", "doctor"):
        assert command(name, log, *named).status in (0, 1), name
        assert "--store" in command(name, "--help").out.decode()
    assert command("backup", log, tmp_path / "copy", *named).status == 0
    told = command("cat", log, "--store", "lmbd")
    assert told.line == "walogs: store='lmbd': no such store; did you mean 'lmdb'? (there are: local, cloud, lmdb)"
    (tmp_path / "w.toml").write_text('[log.a]\npath = "x.wal"\n')
    told = command("cat", "--config", tmp_path / "w.toml", "--log", "a", "--store", "lmdb")
    assert (told.status, told.out) == (2, b"")
    assert "a log of a configuration file has its own" in told.line
