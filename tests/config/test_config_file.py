"""Logs that a file describes: what is read, what is stronger than what, and every mistake with its place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import walogs
from tests.codecs import DeflateCodec
from tests.config.files import PressOptions, examined, install, problems, refused, written
from tests.house.source import ROOT
from walogs.config import KEYS
from walogs.config_log import DEFAULTS, TYPES
from walogs.config_tables import KINDS
from walogs.defaults.local_store import LocalStore
from walogs.testing import MemoryDisk, MemoryStore


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WALOGS_LOG__"):
            monkeypatch.delenv(name)


WHOLE: Final = """
[log.orders]
path = "data/orders.wal"
store = "local"
codec = { use = "crc32" }
max_segment_size = "1MiB"
max_entry_size = 1000
max_batch_size = "64KiB"
max_queued_size = "2MB"
recovery = "prefix"
verify = "last"
change_codec = true
observers = []

[log.orders.sync]
use = "interval"
time = "5ms"
bytes = "none"
entries = 100

[log.metrics]
path = "/elsewhere/metrics.wal"
"""


# What is read


def test_every_key_is_read_and_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    written(tmp_path / "etc", WHOLE)
    monkeypatch.chdir(tmp_path)
    path, config = walogs.load_config("etc/walogs.toml", log="orders")
    assert path == str(tmp_path / "etc/data/orders.wal")
    policy = config.sync
    assert isinstance(policy, walogs.IntervalPolicy)
    assert (policy.time, policy.bytes, policy.entries) == (0.005, None, 100)
    expected = walogs.WalConfig("local", "crc32", policy, 1 << 20, 1000, 1 << 16, 2 * 10**6, "prefix", "last", True)
    assert replace(config, observers=()) == expected
    path, config = walogs.load_config("etc/walogs.toml", log="metrics")
    assert path == "/elsewhere/metrics.wal"
    assert config == walogs.WalConfig()


def test_every_key_of_a_config_has_a_type_here() -> None:
    assert set(TYPES) == set(KEYS) - {*KINDS, "observers"}
    assert set(DEFAULTS) == set(KEYS)


def test_a_log_of_a_file_is_written_and_read_by_all_that_take_a_log(tmp_path: Path) -> None:
    file = written(tmp_path, WHOLE)
    with walogs.open_config(file, log="orders") as wal:
        wal.append(b"one")
        assert isinstance(wal.append_batch([b"two", b"three"]), range)
        with pytest.raises(walogs.EntryTooLarge):
            wal.append(bytes(1001))
    path, config = walogs.load_config(file, log="orders")
    entries = [(1, b"one"), (2, b"two"), (3, b"three")]
    assert list(walogs.reader(path, config=config)) == entries
    assert walogs.verify(path, config).ok
    assert [tuple(found) for found in walogs.salvage(path, config)] == entries
    assert walogs.backup(path, tmp_path / "copy", config=config).last_lsn == 3
    assert walogs.repair(path, config).refusal is None
    with walogs.open(path, config) as wal:
        assert list(wal) == entries
    assert walogs.verify(*walogs.load_config(file, log="orders")).ok
    assert (tmp_path / "data/orders.wal/wal-000001.log").exists()


def test_pyproject_has_its_logs_below_its_tool(tmp_path: Path) -> None:
    text = WHOLE.replace("[log.", "[tool.walogs.log.") + '\n[tool.other]\nlog = 5\n[project]\nname = "x"\n'
    file = written(tmp_path, text, "pyproject.toml")
    path, config = walogs.load_config(file, log="orders")
    assert path == str(tmp_path / "data/orders.wal")
    assert config.verify == "last"


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "walogs.toml"
    file.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert walogs.load_config(file, log="orders").config.verify == "last"


def test_the_address_of_a_store_that_is_no_file_is_relative_to_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, '[log.a]\npath = "s3://bucket/logs/a"\n')
    assert walogs.load_config(file, log="a").path == "s3://bucket/logs/a"


def test_loading_opens_and_makes_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, WHOLE)
    walogs.load_config(file, log="orders")
    assert list(tmp_path.iterdir()) == [file]


# Components


def test_a_component_with_options_becomes_the_object_that_one_would_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []

    class Press(DeflateCodec):
        name = "press"

    def press(**options: Any) -> DeflateCodec:
        made.append(options)
        return Press()

    install(monkeypatch, "codec", "press", press, PressOptions)
    text = '[log.a]\npath = "a"\ncodec = { use = "press", level = 5, Threads = 2, key_file = "keys/k" }\n'
    file = written(tmp_path, text + '[log.b]\npath = "b"\ncodec = "press"\n')
    with walogs.open_config(file, log="a") as wal:
        wal.append(b"pressed")
    assert made == [{"level": 5, "Threads": 2, "key_file": tmp_path / "keys/k"}]
    path, config = walogs.load_config(file, log="a")
    assert isinstance(config.codec, DeflateCodec)
    assert list(walogs.reader(path, config=config)) == [(1, b"pressed")]
    with pytest.raises(walogs.UnsupportedFormat):
        walogs.open(path)
    walogs.load_config(file, log="b")
    assert made[-1] == {"level": 3, "Threads": 1, "key_file": None}


def test_a_store_with_options_is_made_with_its_path_and_knows_it_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int]] = []

    def store(path: str, level: int, **_: Any) -> LocalStore:
        made.append((path, level))
        return LocalStore(path)

    install(monkeypatch, "store", "shelf", store, PressOptions)
    file = written(tmp_path, '[log.a]\npath = "a"\nstore = { use = "shelf", level = 1 }\n')
    with walogs.open_config(file, log="a") as wal:
        wal.append(b"one")
    assert made == [(str(tmp_path / "a"), 1)]
    path, config = walogs.load_config(file, log="a", path=tmp_path / "a")
    assert path is None
    assert list(walogs.reader(path, config=config)) == [(1, b"one")]


@pytest.mark.parametrize(
    ("error", "phrase"),
    [
        (ValueError("level 5 is for others"), "log.a.codec='press': level 5 is for others"),
        (walogs.ConfigError("x", problems=("one", "two")), "log.a.codec='press': two"),
    ],
    ids=["ValueError", "ConfigError"],
)
def test_what_a_component_refuses_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, phrase: str
) -> None:
    def press(**options: Any) -> DeflateCodec:
        raise error

    install(monkeypatch, "codec", "press", press, PressOptions)
    file = written(tmp_path, '[log.a]\npath = "a"\ncodec = "press"\n')
    found = refused(file, log="a")
    assert any(phrase in problem for problem in found.problems)
    assert examined(file).mistakes == (), "to examine a file makes no component"


def test_a_plugin_that_is_broken_is_a_mistake_of_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from walogs import registry

    def broken(kind: str, name: str) -> type | None:
        raise walogs.WalError(f"{kind} {name!r}: its distribution cannot be imported")

    monkeypatch.setattr(registry, "options", broken)
    file = written(tmp_path, '[log.a]\npath = "a"\ncodec = "press"\nsync = "fsync"\n')
    assert problems(file) == [
        "walogs.toml: log.a.codec='press': codec 'press': its distribution cannot be imported",
        "walogs.toml: log.a.sync='fsync': sync 'fsync': its distribution cannot be imported",
    ]


# What is stronger than what


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
        assert found.mistakes == ()
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
    assert found.mistakes == ()
    assert found.logs["orders-eu"].components["codec"].options == PressOptions(3, 8, tmp_path / "5")


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
        *TYPES,
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
    told = f"path={path!r}: the name of a directory, as str or pathlib.Path"
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
        "print({'cattrs', 'tomllib', 'walogs.config_file'} & set(sys.modules))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout == "set()\n"


# Observers


@dataclass(frozen=True)
class SpyOptions:
    slow: walogs.Duration = 1.0
    names: list[str] = field(default_factory=list)


class Spy:
    def __init__(self, slow: float, names: list[str]) -> None:
        self.options = (slow, names)

    def __call__(self, event: walogs.Event) -> None:
        pass


OBSERVED: Final = """
[log.a]
path = "a"

[[log.a.observers]]
use = "spy"
slow = "5ms"

[[log.a.observers]]
use = "spy"
names = ["x"]
"""


def test_each_observer_has_options_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "observer", "spy", Spy, SpyOptions)
    file = written(tmp_path, OBSERVED)
    made = walogs.load_config(file, log="a").config.observers
    assert [observer.options for observer in made if isinstance(observer, Spy)] == [(0.005, []), (1.0, ["x"])]
    with walogs.open_config(file, log="a") as wal:
        wal.append(b"one")
    told = [(found.key, found.value, found.origin) for found in examined(file).logs["a"].settings]
    assert told[-6:] == [
        ("observers.0", "spy", "file"),
        ("observers.0.slow", 0.005, "file"),
        ("observers.0.names", [], "default"),
        ("observers.1", "spy", "file"),
        ("observers.1.slow", 1.0, "default"),
        ("observers.1.names", ["x"], "file"),
    ]
    assert walogs.load_config(file, log="a", observers=[]).config.observers == []


def test_a_variable_replaces_every_observer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "observer", "spy", Spy, SpyOptions)
    file = written(tmp_path, OBSERVED)
    monkeypatch.setenv("WALOGS_LOG__A__OBSERVERS", '[{ use = "spy", slow = "2s" }]')
    made = walogs.load_config(file, log="a").config.observers
    assert [observer.options for observer in made if isinstance(observer, Spy)] == [(2.0, [])]
    monkeypatch.setenv("WALOGS_LOG__A__OBSERVERS", "[]")
    assert walogs.load_config(file, log="a").config.observers == ()


def test_every_mistake_of_an_observer_has_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "observer", "spy", Spy, SpyOptions)
    file = written(tmp_path, OBSERVED.replace('"5ms"', "-1").replace('["x"]', '["x", 5]') + "slw = 1\nverify = 1\n")
    assert [problem.partition(": ")[2] for problem in problems(file)] == [
        f'log.a.observers.0.slow=-1: {DURATION}, as "5ms"',
        "log.a.observers.1.names.1=5: text in quotes",
        "log.a.observers.1.slw=1: no such key; did you mean 'slow'?",
        "log.a.observers.1.verify=1: no such key here: it is one of the log: write it into [log.a]",
    ]
    monkeypatch.setenv("WALOGS_LOG__A__OBSERVERS", '["spy", { use = "spy", slow = "x" }]')
    (problem,) = refused(written(tmp_path, '[log.a]\npath = "a"\n'), log="a").problems
    assert problem.startswith("environment: WALOGS_LOG__A__OBSERVERS.1.slow='x': a duration")


# Mistakes

SIZE: Final = "a size: a number of bytes, 0 or more, or text with a unit (B, KiB, MiB, GiB, TiB, KB, MB, GB, TB)"
DURATION: Final = "a duration: a number of seconds, 0 or more, or text with a unit (ns, us, ms, s, min, h)"


@pytest.mark.parametrize(
    ("line", "told", "phrase"),
    [
        ("max_segmnt_size = 1", "max_segmnt_size=1", "no such key; did you mean 'max_segment_size'?"),
        ('max-segment-size = "1MiB"', "max-segment-size='1MiB'", "did you mean 'max_segment_size'?"),
        ("MAX_ENTRY_SIZE = 1", "MAX_ENTRY_SIZE=1", "did you mean 'max_entry_size'?"),
        ('colour = "red"', "colour='red'", "no such key (there are: path, store, codec, sync, max_segment_size, "),
        ('"a b\\n" = true', "'a b\\n'=true", "no such key"),
        ('max_segment_size = "64 MiBB"', "max_segment_size='64 MiBB'", f'{SIZE}, as "64MiB"), or "none"'),
        ('max_segment_size = "64M"', "max_segment_size='64M'", 'did you mean "64MiB" or "64MB"?'),
        ("max_segment_size = 0", "max_segment_size=0", 'bytes, 1 or more, or "none"'),
        ("max_segment_size = -1", "max_segment_size=-1", SIZE),
        ("max_entry_size = 1.5", "max_entry_size=1.5", SIZE),
        ("max_entry_size = true", "max_entry_size=true", SIZE),
        ('max_entry_size = "none"', "max_entry_size='none'", SIZE),
        ('max_entry_size = "2GiB"', "max_entry_size='2GiB'", "at most 1073741824"),
        ("max_batch_size = 0", "max_batch_size=0", "bytes, 1 to 1073741824"),
        ("max_queued_size = 1979-05-27", "max_queued_size=datetime.date(1979, 5, 27)", SIZE),
        ("max_queued_size = {}", "max_queued_size={}", SIZE),
        (f"max_queued_size = 0x{'f' * 5000}", "max_queued_size=(a huge number)", SIZE),
        (f'max_queued_size = "{"9" * 500}"', f"max_queued_size='{'9' * 79}…", SIZE),
        ('recovery = "repair"', "recovery='repair'", "'acked' or 'prefix'"),
        ("verify = 5", "verify=5", "'full' or 'last'"),
        ('verify = ["full"]', "verify=['full']", "'full' or 'last'"),
        ("sync = 5", "sync=5", "the name of a sync policy, or a table with `use` and options beside it (there are: "),
        ('sync = "fdatasnyc"', "sync='fdatasnyc'", "no such sync; did you mean 'fdatasync'?"),
        ('sync = "FSYNC"', "sync='FSYNC'", "no such sync; did you mean 'fsync'?"),
        ('sync = "sometimes"', "sync='sometimes'", "(there are: fdatasync, fsync, interval, none)"),
        ('sync = { time = "5ms" }', "sync.use", "missing: the name of a sync policy (there are: fdatasync, fsync, "),
        ("sync = { use = 5 }", "sync.use=5", "the name of a sync policy, in quotes (there are: fdatasync, "),
        ('sync = { use = "intervl" }', "sync.use='intervl'", "no such sync; did you mean 'interval'?"),
        ('sync = { use = "fsync", time = 1 }', "sync.time=1", "sync 'fsync' has no options"),
        ('sync = { use = "interval", tme = 1 }', "sync.tme=1", "no such key; did you mean 'time'?"),
        ('sync = { use = "interval", time = "5m" }', "sync.time='5m'", 'did you mean "5ms" or "5min"?'),
        ('sync = { use = "interval", time = [] }', "sync.time=[]", DURATION),
        ('sync = { use = "interval", time = 0 }', "sync.time=0", "seconds, more than 0, at most a day"),
        ('sync = { use = "interval", time = "25h" }', "sync.time='25h'", "seconds, more than 0, at most a day"),
        ('sync = { use = "interval", bytes = 0 }', "sync.bytes=0", '1 or more, or "none"'),
        ('sync = { use = "interval", entries = "9" }', "sync.entries='9'", 'a whole number, or "none"'),
        ('sync = { use = "interval", verify = "full" }', "sync.verify='full'", "one of the log: write it into [log.a]"),
        ('sync = "interval"\ntime = "5ms"', "time='5ms'", "an option of 'interval': write it into [log.a.sync]"),
        ('sync = "interval"\ncodec = { use = "crc32", time = 1 }', "codec.time=1", "write it into [log.a.sync]"),
        ('use = "interval"', "use='interval'", "it is one of [log.a.store], [log.a.codec], [log.a.sync]"),
        ('codec = "crc23"', "codec='crc23'", "no such codec; did you mean 'crc32'?"),
        ('codec = { level = 3 }', "codec.use", "missing: the name of a codec (there are: crc32)"),
        ('store = "locale"', "store='locale'", "no such store; did you mean 'local'?"),
        ('store = ["local"]', "store=['local']", "the name of a store, or a table"),
        ("observers = 5", "observers=5", "a list: of names, or of tables with `use` and options beside it"),
        ('observers = "otel"', "observers='otel'", "a list: of names"),
        ("observers = { use = 'otel' }", "observers={'use': 'otel'}", "a list: of names"),
        ("observers = [0]", "observers.0=0", "the name of an observer, or a table with `use` and options beside it"),
        ("observers = [{}]", "observers.0.use", "missing: the name of an observer (none is installed)"),
        ('observers = ["spy"]', "observers.0='spy'", "no such observer"),
        ("path = 5", "path=5", "a path, relative to the file that has it"),
        ('path = ""', "path=''", "a path"),
        ('path = "~/log"', "path='~/log'", "~ stands for no directory here"),
        ('path = "a\\u0000b"', "path='a\\x00b'", "a path"),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_a_mistake_is_told_with_its_path_its_value_and_what_is_allowed(
    tmp_path: Path, line: str, told: str, phrase: str
) -> None:
    path = "" if line.startswith("path") else 'path = "a"\n'
    for name, table in (("walogs.toml", "log.a"), ("pyproject.toml", "tool.walogs.log.a")):
        file = written(tmp_path, f"[{table}]\n{path}{line}\n", name)
        (problem,) = problems(file)
        assert problem.startswith(f"{name}: {table}.{told}"), problem
        assert phrase.replace("[log.a", f"[{table}") in problem
        error = refused(file, log="a")
        assert error.problems == (str(error),)
        assert str(error).startswith(f"{file}: {table}.{told}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pyproject.toml", "walogs.toml"]


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        ("", "walogs.toml", "log: missing: a table [log.NAME] for each log"),
        ("log = 5", "walogs.toml", "log=5: a table [log.NAME] for each log"),
        ("[[log]]\npath = 'a'", "walogs.toml", "log=[{'path': 'a'}]: a table [log.NAME] for each log"),
        ("[log]\npath = 'a'", "walogs.toml", "log.path='a': a table, of the log that has this name; path is a key"),
        ("[log.a]\n[Log.b]", "walogs.toml", "Log={'b': {}}: no such key; did you mean 'log'?"),
        ("[log.a]\n[orders]\npath='x'", "walogs.toml", "a log of that name is [log.orders]"),
        ("verify = 'full'\n[log.a]", "walogs.toml", "verify='full': no such key here; it is one of a log: write it"),
        ("[log.a]\n[tool.walogs.log.b]", "walogs.toml", "only pyproject.toml has [tool.walogs]"),
        ("[log.'a b']", "walogs.toml", "log.'a b': a log's name is letters and digits, a letter first"),
        ("[log.a__b]", "walogs.toml", "log.a__b: a log's name is"),
        ("[log.a-]", "walogs.toml", "log.a-: a log's name is"),
        ("[log.1]", "walogs.toml", "log.1: a log's name is"),
        ("[log.'']", "walogs.toml", "log.'': a log's name is"),
        ("[log.a-b]\n[log.a_b]", "walogs.toml", "log.a_b: too close to 'a-b': WALOGS_LOG__A_B__… would be of both"),
        ("[log.a]\n[log.A]", "walogs.toml", ": too close to"),
        ("", "pyproject.toml", "tool.walogs: missing: a table [tool.walogs.log.NAME] for each log"),
        ("tool = 5", "pyproject.toml", "tool.walogs: missing"),
        ("[tool]\nwalogs = 5", "pyproject.toml", "tool.walogs=5: a table, with [tool.walogs.log.NAME] for each log"),
        ("[tool.walogs]", "pyproject.toml", "tool.walogs.log: missing: a table [tool.walogs.log.NAME]"),
        ("[tool.walogs.log.a]\n[log.b]\n[tool.walogs.orders]", "pyproject.toml", "is [tool.walogs.log.orders]"),
        ("[log.a\npath = 5", "walogs.toml", "line 1, column 7: Expected ']'"),
        ("[log.a]\npath = 'a'\npath = 'b'", "walogs.toml", ": Cannot overwrite a value"),
        ("[log.a]\npath = 'a", "walogs.toml", "at its end: Expected "),
        (f"[log.a]\npath = {'[' * 5000}", "walogs.toml", "tables or lists within each other, too deep to be read"),
        (f"[log.a]\npath = {'9' * 5000}", "walogs.toml", "4300 digits"),
        ("#" * ((1 << 20) + 1), "walogs.toml", "more than 1048576 bytes, which no configuration needs"),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_a_table_that_is_none_is_told(tmp_path: Path, text: str, name: str, problem: str) -> None:
    (found,) = problems(written(tmp_path, text, name))
    assert found.startswith(f"{name}: ")
    assert problem in found


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.toml") == ["none.toml: there is no such file"]
    assert problems(tmp_path / "no" / "walogs.toml") == ["walogs.toml: there is no such file"]
    (tmp_path / "directory.toml").mkdir()
    assert problems(tmp_path / "directory.toml") == ["directory.toml: it cannot be read: Is a directory"]
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"[log.a]\npath = 'caf\xe9'\n")
    assert problems(binary) == ["binary.toml: line 2: not UTF-8 (byte 0xe9)"]
    assert [str(mistake) for mistake in examined(Path("a\0b")).mistakes] == ["a\0b: embedded null byte"]
    for name in ("none.toml", "binary.toml", "directory.toml"):
        assert str(refused(tmp_path / name, log="a")).startswith(str(tmp_path / name))


@pytest.mark.parametrize(
    ("variable", "text", "phrase"),
    [
        ("A__MAX_SEGMENT_SIZE", "64M", 'did you mean "64MiB" or "64MB"?'),
        ("A__MAX_SEGMENT_SIZE", "0", 'bytes, 1 or more, or "none"'),
        ("A__MAX_SEGMENT_SIZE", "", SIZE),
        ("A__MAX_SEGMNT_SIZE", "1", "no such key; did you mean 'max_segment_size'?"),
        ("A__VERIFY", "al", "'full' or 'last'"),
        ("A__VERIFY__X", "1", "WALOGS_LOG__NAME__KEY, or __KIND__OPTION, where KIND is one of: store, codec, sync"),
        ("A", "1", "WALOGS_LOG__NAME__KEY"),
        ("A__", "1", "no such key"),
        ("A__SYNC", "intervl", "no such sync; did you mean 'interval'?"),
        ("A__SYNC__USE", "intervl", "no such sync; did you mean 'interval'?"),
        ("A__SYNC__TIME", "1h30", DURATION),
        ("A__SYNC__TIME", "0s", "seconds, more than 0"),
        ("A__SYNC__TME", "1s", "no such key; did you mean 'time'?"),
        ("A__CODEC__LEVEL", "3", "an option, but log.a.codec chooses none (there are: crc32)"),
        ("A__OBSERVERS", "otel", "a list: of names"),
        ("A__OBSERVERS__SPANS", "true", "WALOGS_LOG__NAME__KEY, or __KIND__OPTION"),
        ("A__PATH", "~", "~ stands for no directory here"),
        ("A__PATH", "", "a path"),
    ],
    ids=lambda value: value[:30],
)
def test_a_mistake_of_the_environment_is_told_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, phrase: str
) -> None:
    file = written(tmp_path, '[log.a]\npath = "a"\nsync = "interval"\n')
    monkeypatch.setenv(f"WALOGS_LOG__{variable}", text)
    (problem,) = refused(file, log="a").problems
    assert problem.startswith(f"environment: WALOGS_LOG__{variable}={text!r}: ")
    assert phrase in problem


def test_two_variables_that_choose_one_component_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, '[log.a]\npath = "a"\n')
    variables = {"WALOGS_LOG__A__SYNC": "fsync", "WALOGS_LOG__A__SYNC__USE": "none"}
    assert problems(file, variables) == [
        "environment: WALOGS_LOG__A__SYNC__USE='none': the same as WALOGS_LOG__A__SYNC: set one of them"
    ]


def test_a_variable_for_a_log_of_another_file_is_noted_and_harms_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, '[log.orders]\npath = "a"\n')
    variables = {"WALOGS_LOG__ORDRES__VERIFY": "x", "WALOGS_LOGS__ORDERS__VERIFY": "x", "WALOGS_STRICT_PLUGINS": "1"}
    found = examined(file, variables)
    assert found.mistakes == ()
    assert found.notes == (f"WALOGS_LOG__ORDRES__VERIFY: {file} has no log of that name; did you mean 'ORDERS'?",)


def test_what_the_environment_hides_must_be_right_all_the_same(tmp_path: Path) -> None:
    file = written(tmp_path, '[log.a]\npath = "a"\nverify = "al"\nsync = { use = "interval", time = "5m" }\n')
    variables = {"WALOGS_LOG__A__VERIFY": "full", "WALOGS_LOG__A__SYNC": "fsync"}
    assert [problem.partition(": ")[2].partition("=")[0] for problem in problems(file, variables)] == [
        "log.a.sync.time",
        "log.a.verify",
    ]


def test_all_mistakes_of_a_file_are_in_one_error_whichever_log_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
    top = 1
    [log.a]
    path = "a"
    [log.b]
    max-entry-size = "64 MiBB"
    max_batch_size = "1 mib"
    verify = "al"
    codec = { level = 3 }
    [log.b.sync]
    use = "interval"
    tme = "5ms"
    time = "0ms"
    entries = 0
    max_queued_size = 1
    """
    file = written(tmp_path, text)
    monkeypatch.setenv("WALOGS_LOG__A__VERIFY", "half")
    error = refused(file, log="a")
    places = sorted(re.match(r".*?: ([\w.-]+)", problem)[1] for problem in error.problems)  # type: ignore[index]
    assert places == [
        "WALOGS_LOG__A__VERIFY",
        "log.b.codec.use",
        "log.b.max-entry-size",
        "log.b.max_batch_size",
        "log.b.sync.entries",
        "log.b.sync.max_queued_size",
        "log.b.sync.time",
        "log.b.sync.tme",
        "log.b.verify",
        "top",
    ]
    assert str(error).startswith("10 mistakes, and nothing was opened:\n  ")
    assert all(f"\n  {problem}" in str(error) for problem in error.problems)
    with pytest.raises(walogs.ConfigError) as opened:
        walogs.open_config(file, log="a")
    assert opened.value.problems == error.problems
    assert list(tmp_path.iterdir()) == [file]


# Whatever is in the file

NAMES: Final = (
    "log a tool walogs path use local crc32 interval fsync none 5ms 64MiB ~ time bytes entries max-entry-size"
)
WORDS: Final = st.sampled_from(["", *NAMES.split(), *KEYS])
SCALARS: Final = (
    WORDS
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.integers(-2, 5)
    | st.floats()
    | st.booleans()
    | st.datetimes().map(lambda moment: moment.isoformat())
)
VALUES: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)
COMPONENTS: Final = WORDS | st.dictionaries(
    st.sampled_from(["use", "time", "bytes", "entries", "x"]), VALUES, max_size=4
)
LOGS: Final = st.dictionaries(st.sampled_from([*KEYS, "path", "time"]), COMPONENTS | VALUES, max_size=6)
DOCUMENTS: Final = st.dictionaries(WORDS, LOGS | VALUES, max_size=3).map(lambda logs: {"log": logs}) | st.dictionaries(
    WORDS, VALUES, max_size=3
)


def as_toml(value: Any) -> str:
    """A TOML value."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            quoted = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
            return f'"{quoted}"'
        case dict():
            return "{" + ", ".join(f"{as_toml(key)} = {as_toml(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(as_toml, value)) + "]"
        case _:
            return repr(value)


def loads_or_is_refused(directory: Path, text: str | bytes, name: str) -> None:
    """Either what `walogs.open` takes, or `ConfigError` with every problem naming the file; and the disk as it was."""
    file = directory / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        path, config = walogs.load_config(file, log="a")
    except walogs.ConfigError as error:
        told = error.problems
    else:
        assert path is not None
        assert isinstance(config, walogs.WalConfig)
        told = (f"{file}: none",)
    assert told
    assert all(problem.startswith(f"{file}: ") for problem in told)
    assert list(directory.iterdir()) == [file]
    file.unlink()


@example(document={"log": {"a": {"observers": [0, {}, {"use": 5}, ["otel"]]}}}, name="walogs.toml")
@given(document=DOCUMENTS, name=st.sampled_from(["walogs.toml", "pyproject.toml"]))
def test_no_document_raises_anything_else_or_changes_anything(
    document: dict[str, Any], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = document if name == "walogs.toml" else {"tool": {"walogs": document}}
    text = "".join(f"{as_toml(key)} = {as_toml(value)}\n" for key, value in table.items())
    loads_or_is_refused(tmp_path_factory.mktemp("config"), text, name)


@given(text=st.binary(max_size=60) | st.text(st.sampled_from("[]{}=.'\"log a\n#5\\-_"), max_size=40).map(str.encode))
def test_no_bytes_raise_anything_else_or_change_anything(text: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    loads_or_is_refused(tmp_path_factory.mktemp("config"), text, "walogs.toml")


VARIABLES: Final = st.dictionaries(
    st.text("ABUSEYNC_1TIM", max_size=12) | st.sampled_from(["A__SYNC", "A__SYNC__TIME", "A__PATH"]),
    st.text(st.characters(codec="utf-8"), max_size=8) | WORDS,
    max_size=4,
)


@given(variables=VARIABLES)
def test_no_variable_raises_anything_else(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = written(tmp_path_factory.mktemp("config"), '[log.a]\npath = "a"\nsync = "interval"\n')
    found = examined(file, {f"WALOGS_LOG__{name}": text for name, text in variables.items()})
    assert all(str(mistake).startswith("environment: WALOGS_LOG__A") for mistake in found.mistakes)
