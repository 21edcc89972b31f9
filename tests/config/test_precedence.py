"""Keywords are stronger than the environment, and the environment than the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.config.files import PressOptions, examined, install, refused, written
from tests.config.whole_file import WHOLE
from tests.house.source import ROOT
from tests.kit.codecs import DeflateCodec
from walogs.config_file.log import TYPES
from walogs.testing import MemoryDisk, MemoryStore


def test_keywords_are_stronger_than_the_environment_and_that_than_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, WHOLE)

    def loaded(**keywords: Any) -> tuple[Any, ...]:
        path, config = walogs.load_config(file, log="orders", **keywords)
        policy = config.sync
        assert isinstance(policy, walogs.IntervalPolicy)
        return path, config.max_segment_size, config.verify, config.recovery, policy.time, policy.entries

    data = str(tmp_path / "data/orders.wal")
    assert loaded() == (data, 1 << 20, "last", "prefix", 0.005, 100)
    monkeypatch.setenv("WALOGS_LOG__ORDERS__MAX_SEGMENT_SIZE", "2MiB")
    monkeypatch.setenv("WALOGS_LOG__ORDERS__VERIFY", "full")
    monkeypatch.setenv("WALOGS_LOG__ORDERS__SYNC__TIME", "7ms")
    monkeypatch.setenv("WALOGS_LOG__ORDERS__PATH", "by-variable")
    assert loaded() == (str(tmp_path / "by-variable"), 2 << 20, "full", "prefix", 0.007, 100)
    assert loaded(max_segment_size=None, path="here") == ("here", None, "full", "prefix", 0.007, 100)
    policy = walogs.IntervalPolicy(time=1)
    assert loaded(sync=policy)[4:] == (1, None)
    monkeypatch.setenv("WALOGS_LOG__ORDERS__MAX_SEGMENT_SIZE", "none")
    monkeypatch.setenv("WALOGS_LOG__ORDERS__SYNC__ENTRIES", "none")
    assert loaded() == (str(tmp_path / "by-variable"), None, "full", "prefix", 0.007, None)


def test_a_component_that_is_chosen_anew_has_none_of_the_options_of_the_other(tmp_path: Path) -> None:
    file = written(tmp_path, WHOLE)
    for choice in ("SYNC", "SYNC__USE"):
        found = examined(file, {f"WALOGS_LOG__ORDERS__{choice}": "fsync"})
        assert found.problems == ()
        assert found.logs["orders"].components["sync"][1:] == ("sync", "fsync", None)  # kind, name, options
        found = examined(file, {f"WALOGS_LOG__ORDERS__{choice}": "interval"})
        assert found.logs["orders"].components["sync"].options.entries == 100
    variables = {"WALOGS_LOG__METRICS__SYNC": "interval", "WALOGS_LOG__METRICS__SYNC__TIME": "1s"}
    assert examined(file, variables).logs["metrics"].components["sync"].options.time == 1.0


def test_a_variable_names_a_field_whatever_its_capitals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "codec", "press", DeflateCodec, PressOptions)
    file = written(tmp_path, '[log.orders-eu]\npath = "a"\ncodec = "press"\n')
    variables = {"WALOGS_LOG__ORDERS_EU__CODEC__THREADS": "8", "WALOGS_LOG__ORDERS_EU__CODEC__KEY_FILE": "5"}
    found = examined(file, variables)
    assert found.problems == ()
    assert found.logs["orders-eu"].components["codec"].options == PressOptions(3, 8, tmp_path / "5")


RETENTION: Final = ("retention.size", "retention.time", "retention.keep_for_cursors")


def test_each_value_says_where_it_comes_from(tmp_path: Path) -> None:
    found = examined(written(tmp_path, WHOLE), {"WALOGS_LOG__ORDERS__SYNC__TIME": "1s"}).logs["orders"]
    told = {setting.key: (setting.value, setting.origin, setting.variable) for setting in found.settings}
    assert list(told) == [
        "path",
        "store",
        "codec",
        "sync",
        "sync.time",
        "sync.bytes",
        "sync.entries",
        *(part for key in TYPES for part in (RETENTION if key == "retention" else (key,))),
        "observers",
    ]
    assert told["sync"] == ("interval", "file", None)
    assert told["sync.time"] == (1.0, "environment", "WALOGS_LOG__ORDERS__SYNC__TIME")
    assert told["sync.bytes"] == (None, "file", None)
    assert told["max_segment_size"] == (1 << 20, "file", None)
    metrics = {setting.key: setting for setting in examined(tmp_path / "walogs.toml").logs["metrics"].settings}
    assert (metrics["sync"].value, metrics["sync"].origin) == ("fdatasync", "default")


def test_a_store_object_needs_no_path_and_takes_none(tmp_path: Path) -> None:
    file = written(tmp_path, "[log.a]\nmax_entry_size = 5\n")
    disk = MemoryDisk()
    with walogs.open_config(file, log="a", store=MemoryStore(disk)) as wal:
        assert wal.append(b"12345") == 1
    assert refused(file, log="a").problems == (f"{file}: log.a.path: missing: where the log is, relative to this file",)
    with pytest.raises(walogs.ConfigError, match="with a store object there is no path"):
        walogs.open_config(file, log="a", store=MemoryStore(disk), path=tmp_path / "x")
    assert walogs.load_config(file, log="a", path="x").path == "x"


@pytest.mark.parametrize("path", [5, b"log", "", "a\0b", True, ["log"]])
def test_a_path_that_is_none_is_refused_by_all_that_take_one(tmp_path: Path, path: Any) -> None:
    file = written(tmp_path, '[log.a]\npath = "a"\n')
    unnamed = "no name has a NUL in it" if path else "empty"
    why = unnamed if isinstance(path, str) else f"{type(path).__name__} is no path"
    told = f"path={path!r}: {why}. Pass the name of a directory, as 'orders.wal'"
    for opening in (walogs.open, walogs.reader, walogs.verify):
        with pytest.raises(walogs.ConfigError) as error:
            opening(path)
        assert str(error.value) == told
    assert str(refused(file, log="a", path=path)) == told
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("keywords", "phrase"),
    [
        ({"log": "order"}, "log='order': no such log; did you mean 'orders'?"),
        ({"log": "x"}, "log='x': no such log (there are: orders, metrics)"),
        ({"log": 5}, "log=5: the name of a log of this file"),
        ({"log": "orders", "max_segmnt_size": 1}, "max_segmnt_size: no such key; did you mean 'max_segment_size'?"),
        ({"log": "orders", "verify": "x"}, "verify='x': 'full' or 'last'"),
    ],
)
def test_a_wrong_keyword_is_named(tmp_path: Path, keywords: dict[str, Any], phrase: str) -> None:
    assert phrase in str(refused(written(tmp_path, WHOLE), **keywords))


def test_a_file_that_is_none_is_named() -> None:
    with pytest.raises(walogs.ConfigError, match="file=5: the name of a TOML file"):
        walogs.load_config(5, log="a")  # type: ignore[arg-type]


def test_open_reads_no_file_and_no_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = "[log.log]\nmax_entry_size = 0\nverify = 5\n"
    written(tmp_path, wrong)
    written(tmp_path, "[tool.walogs]\nlog = 5\n", "pyproject.toml")
    monkeypatch.setenv("WALOGS_LOG__LOG__MAX_ENTRY_SIZE", "0")
    monkeypatch.setenv("WALOGS_LOG__LOG__WRONG", "0")
    with walogs.open("log") as wal:
        assert wal.append(b"more than nothing") == 1
    assert list(walogs.reader("log")) == [(1, b"more than nothing")]


def test_what_a_file_needs_is_loaded_by_no_open() -> None:
    statement = (
        "import sys, walogs, tempfile, os\n"
        "with tempfile.TemporaryDirectory() as d, walogs.open(os.path.join(d, 'x'), sync='interval') as wal:\n"
        "    wal.append(b'1')\n"
        "print({'cattrs', 'tomllib', 'walogs.config_file.file'} & set(sys.modules))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout == "set()\n"
