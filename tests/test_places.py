"""Places where no log is made: at an address, below a `~`, and among other files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.config.files import written
from tests.kit.logs import LogOnDisk, numbered
from walogs.defaults.local_store import LocalStore

ELSEWHERE: Final = {
    "s3": ("s3://bucket/x.wal", "an address (s3://), and only a directory of this machine can be made here"),
    "gs": ("gs://bucket", "an address (gs://)"),
    "capitals": ("S3://bucket/x.wal", "an address (S3://)"),
    "as pathlib makes it": (Path("s3://bucket/x.wal"), "an address (s3:/"),
    "a drive": ("C:/logs/x.wal", "an address (C:/)"),
    "a file": ("file:///tmp/x.wal", "an address, and the local store takes paths: did you mean '/tmp/x.wal'?"),
    "a file, shorter": ("file:/tmp/x.wal", "did you mean '/tmp/x.wal'?"),
    "home": ("~", "~ stands for no directory here: write the directory out"),
    "below home": ("~/x.wal", "~ stands for no directory here"),
    "below home, a path": (Path("~/x.wal"), "~ stands for no directory here"),
    "below another home": ("~root/x.wal", "~ stands for no directory here"),
    "a variable": ("$HOME/x.wal", "$ stands for no directory here: write the directory out"),
    "a variable in braces": ("${XDG_DATA_HOME}/x.wal", "$ stands for no directory here"),
    "memory": (":memory:", "MemoryStore(MemoryDisk()), of walogs.testing, is in memory"),
}

VERBS: Final[dict[str, Callable[[Any], object]]] = {
    "open": walogs.open,
    "reader": walogs.reader,
    "verify": walogs.verify,
    "salvage": walogs.salvage,
    "repair": walogs.repair,
    "backup": lambda path: walogs.backup(path, "copy"),
    "backup to": lambda path: walogs.backup("log", path),
    "salvage into": lambda path: walogs.salvage_into("log", path),
    "a store object": lambda path: walogs.open(store=LocalStore(path)),
}


@pytest.mark.parametrize(("path", "words"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS.keys())
def test_no_directory_is_made_of_an_address_or_of_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: Callable[[Any], object], path: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(walogs.ConfigError) as refused:
        verb(path)
    told = str(refused.value)
    argument, _, rest = told.partition("=")
    assert argument in ("path", "dst", "into")
    assert words in rest
    assert "Path(" not in told, "the path is told as it is written"
    assert isinstance(path, Path) or repr(path) in told
    assert refused.value.problems == (told,)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("path", "words"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize("wherefrom", ["file", "environment", "keyword"])
def test_a_configuration_names_the_place_of_such_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, words: str, wherefrom: str
) -> None:
    text = os.fspath(path)
    file = written(tmp_path, f'[log.a]\npath = "{text if wherefrom == "file" else "a.wal"}"\n')
    if wherefrom == "environment":
        monkeypatch.setenv("WALOGS_LOG__A__PATH", text)
    with pytest.raises(walogs.ConfigError) as refused:
        walogs.load_config(file, log="a", path=path if wherefrom == "keyword" else None)
    where = {"file": f"{file}: log.a.path=", "environment": "environment: WALOGS_LOG__A__PATH=", "keyword": "path="}
    assert str(refused.value).startswith(where[wherefrom])
    assert words.partition(": write ")[0] in str(refused.value)
    assert list(tmp_path.iterdir()) == [file]


def test_an_address_is_told_with_the_slash_that_pathlib_took_from_it() -> None:
    for path, told in (
        (Path("s3://b/x"), "'s3://b/x': an address (s3://)"),
        (Path("C:/x"), "'C:/x': an address (C:/)"),
    ):
        with pytest.raises(walogs.ConfigError, match=re.escape(f"path={told}, and only")):
            walogs.open(path)


@pytest.mark.parametrize("path", [None, 7, b"bytes", "", "a\0b"], ids=repr)
@pytest.mark.parametrize("verb", [VERBS["backup to"], VERBS["salvage into"]], ids=["backup", "salvage"])
def test_a_copy_has_no_place_where_the_path_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: Callable[[Any], object], path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(walogs.ConfigError, match=r"^(dst|into)=") as refused:
        verb(path)
    assert "the name of a directory, as 'orders.wal'" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("", "path='': empty. Pass the name of a directory, as 'orders.wal'"),
        (7, "path=7: int is no path. Pass the name of a directory, as 'orders.wal'"),
        (b"x", "path=b'x': bytes is no path. Pass the name of a directory, as 'orders.wal'"),
        (None, "path=None: the store 'local' needs one. Pass the name of a directory, as 'orders.wal'"),
        ("a\0b", "path='a\\x00b': no name has a NUL in it. Pass the name of a directory, as 'orders.wal'"),
    ],
    ids=repr,
)
def test_what_is_no_path_is_told_with_what_would_be_one(path: Any, told: str) -> None:
    for verb in (walogs.open, walogs.reader, walogs.verify, walogs.salvage, walogs.repair):
        with pytest.raises(walogs.ConfigError) as refused:
            verb(path)
        assert str(refused.value) == told


def test_a_wrong_store_is_told_whether_there_is_a_path_or_not() -> None:
    for path in (None, "orders.wal"):
        with pytest.raises(walogs.ConfigError, match=r"^store=5: a name, or an object with the members"):
            walogs.open(path, store=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("file", ["~/walogs.toml", "$HOME/walogs.toml", "", Path("~/x.toml")], ids=repr)
def test_a_configuration_file_is_not_looked_for_below_a_home(file: Any) -> None:
    with pytest.raises(walogs.ConfigError, match=r"(stands for no file here: write the file out|empty)"):
        walogs.load_config(file)


@pytest.mark.parametrize("name", ["./s3:", "./~", "./$x", "a~", "a$b", "data:1", "s3", "ab:c/d", ":memory:/x"])
def test_a_directory_may_be_called_so_by_whoever_means_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with walogs.open(f"{name}/x.wal") as wal:
        assert wal.append(b"one") == 1
    assert (tmp_path / name / "x.wal" / "wal-000001.log").is_file()


# Somebody else's files


def contents(directory: Path) -> dict[str, bytes | None]:
    return {path.name: path.read_bytes() if path.is_file() else None for path in directory.iterdir()}


FOREIGN: Final[dict[str, tuple[list[str], str]]] = {
    "a file": (["readme.txt"], "holds 'readme.txt', and no log"),
    "files": (["b.txt", "a.txt", "c.txt"], "holds 'a.txt' and 2 more, and no log"),
    "a directory": (["orders.wal/"], "holds 'orders.wal', and no log"),
    "beside hidden ones": ([".git/", "readme.txt"], "holds 'readme.txt', and no log"),
    "another database": (["LOCK", "CURRENT", "000003.log"], "holds '000003.log' and 1 more, and no log"),
    "almost a durable mark": (["DURABLE.old"], "holds 'DURABLE.old', and no log"),
    "a backup of a segment": (["wal-000001.log.gz"], "holds 'wal-000001.log.gz', and no log"),
}


def fill(directory: Path, names: list[str]) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        if name.endswith("/"):
            (directory / name).mkdir()
        else:
            (directory / name).write_bytes(b"" if name == "LOCK" else b"theirs")


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize(("names", "words"), FOREIGN.values(), ids=FOREIGN.keys())
def test_a_directory_of_other_files_is_not_made_into_a_log(tmp_path: Path, names: list[str], words: str) -> None:
    directory = tmp_path / "theirs"
    fill(directory, names)
    before = contents(directory), stat.S_IMODE(directory.stat().st_mode)
    for _ in range(2):  # a refused attempt leaves nothing that the next one would take for a log
        with pytest.raises(walogs.ConfigError) as refused:
            walogs.open(directory)
        assert words in str(refused.value)
        assert f"name one that is new or empty, as '{directory}/log.wal'. Nothing was changed" in str(refused.value)
        assert (contents(directory), stat.S_IMODE(directory.stat().st_mode)) == before
    LogOnDisk(directory / "log.wal").append(b"one").goes_on(numbered(1, b"one"))


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize(
    "names",
    [[], [".gitkeep"], ["lost+found/"], [".DS_Store", ".nfs0001", "lost+found/"], ["LOCK"], ["LOCK", ".hidden/"]],
    ids=",".join,
)
def test_a_directory_that_is_as_good_as_empty_becomes_a_log(tmp_path: Path, names: list[str]) -> None:
    fill(tmp_path / "log", names)
    LogOnDisk(tmp_path / "log").append(b"one").goes_on(numbered(1, b"one"))
    assert set(os.listdir(tmp_path / "log")) >= {name.rstrip("/") for name in names}


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize("kept", ["all", "the lock", "a left-over file"])
def test_a_log_that_others_have_put_files_beside_stays_a_log(tmp_path: Path, kept: str) -> None:
    """Any file of a log shows that the directory is a log. Recovery reports what became of the other files."""
    log = LogOnDisk(tmp_path / "log")
    log.open().close()
    if kept != "all":
        for path in (log.segment(1), log.durable_mark):
            path.unlink()
    if kept == "a left-over file":
        (log.path / "LOCK").unlink()
        (log.path / "wal-000001.log.tmp").write_bytes(b"half of it")
    (log.path / "readme.txt").write_bytes(b"theirs")
    log.append(b"one").goes_on(numbered(1, b"one"))
    assert (log.path / "readme.txt").read_bytes() == b"theirs"


@pytest.mark.guarantee("G13", "G17")
def test_whoever_holds_the_lock_of_a_new_log_is_told_and_not_what_lies_beside_it(tmp_path: Path) -> None:
    """A file that came between the lock and the first segment does not change the error of the second writer."""
    holder, other = LocalStore(tmp_path / "log"), LocalStore(tmp_path / "log")
    holder.acquire()
    (tmp_path / "log" / "readme.txt").write_bytes(b"theirs")
    with pytest.raises(walogs.Locked, match=f"process {os.getpid()} on"):
        other.acquire()
    holder.close()


@pytest.mark.guarantee("G13")
def test_a_lock_that_is_not_signed_yet_may_be_another_process_s(tmp_path: Path) -> None:
    holder, other = LocalStore(tmp_path / "log"), LocalStore(tmp_path / "log")
    holder.acquire()
    (tmp_path / "log" / "LOCK").write_bytes(b"")
    with pytest.raises(walogs.Locked, match="by another handle or process, which has not written into LOCK yet"):
        other.acquire()
    holder.close()


@pytest.mark.parametrize("verb", [walogs.open, walogs.reader, walogs.verify, walogs.repair])
def test_a_file_in_the_place_of_a_log_is_told_in_the_same_words_by_all(
    tmp_path: Path, verb: Callable[[Path], object]
) -> None:
    (tmp_path / "file").write_bytes(b"theirs")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError) as refused:
            verb(path)
        assert "A log is a directory: name one, or a path where one can be made" in str(refused.value)
        assert str(path) in str(refused.value)
    assert contents(tmp_path) == {"file": b"theirs"}
