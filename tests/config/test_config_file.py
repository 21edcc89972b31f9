"""What a configuration file may say, and what it becomes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.config.files import PressOptions, examined, install, problems, refused, written
from tests.config.whole_file import DURATION, WHOLE
from tests.kit.codecs import DeflateCodec
from walogs.assembly.config import KEYS
from walogs.config_file.log import DEFAULTS, TYPES
from walogs.config_file.tables import KINDS
from walogs.defaults.local_store import LocalStore

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
    expected = walogs.WalConfig(
        store="local",
        codec="crc32",
        sync=policy,
        max_segment_size=1 << 20,
        max_entry_size=1000,
        max_batch_size=1 << 16,
        max_queued_size=2 * 10**6,
        recovery="prefix",
        verify="last",
        retention=walogs.Retention(size=10 << 30, time=7 * 86_400.0),
        wait=5.0,
        change_codec=True,
    )
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
    assert examined(file).problems == (), "to examine a file makes no component"


def test_a_plugin_that_is_broken_is_a_mistake_of_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from walogs.assembly import registry

    def broken(kind: str, name: str) -> type | None:
        raise walogs.WalError(f"{kind} {name!r}: its distribution cannot be imported")

    monkeypatch.setattr(registry, "options", broken)
    file = written(tmp_path, '[log.a]\npath = "a"\ncodec = "press"\nsync = "fsync"\n')
    assert problems(file) == [
        "walogs.toml: log.a.codec='press': codec 'press': its distribution cannot be imported",
        "walogs.toml: log.a.sync='fsync': sync 'fsync': its distribution cannot be imported",
    ]


# Observers


@dataclass(frozen=True)
class SpyOptions:
    slow: walogs.plugins.Duration = 1.0
    names: list[str] = field(default_factory=list)


class Spy:
    def __init__(self, slow: float, names: list[str]) -> None:
        self.options = (slow, names)

    def __call__(self, event: walogs.events.Event) -> None:
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
