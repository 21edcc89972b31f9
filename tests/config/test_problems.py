"""Every problem in a configuration is reported with its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.config.files import examined, problems, refused, written
from tests.config.whole_file import DURATION

SIZE: Final = "a size: a number of bytes, 0 or more, or text with a unit (B, KiB, MiB, GiB, TiB, KB, MB, GB, TB)"


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
        ("retention = 5", "retention=5", 'a table, or "none"'),
        ('retention = "7d"', "retention='7d'", 'a table, or "none"'),
        ("retention = {}", "retention", "a retention has a size, a time, or both"),
        ('retention = { size = "10G" }', "retention.size='10G'", 'did you mean "10GiB" or "10GB"?'),
        ("retention = { size = 0 }", "retention.size=0", 'bytes, 1 or more, or "none"'),
        ("retention = { time = 7 }", "retention.time=7", 'did you mean "7ms", "7s" or "7min"?'),
        ("retention = { time = 0 }", "retention.time=0", 'seconds, more than 0, or "none"'),
        ('retention = { tme = "7d" }', "retention.tme='7d'", "no such key; did you mean 'time'?"),
        ("wait = 5", "wait=5", 'did you mean "5ms", "5s" or "5min"?'),
        ('wait = "-1s"', "wait='-1s'", DURATION),
        ("wait = true", "wait=true", DURATION),
        ('wait = "none"', "wait='none'", DURATION),
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
        ("[log]\npath = 'a'", "walogs.toml", "log.path='a': a table for the log of this name; path is a key"),
        ("[log.a]\n[Log.b]", "walogs.toml", "Log={'b': {}}: no such key; did you mean 'log'?"),
        ("[log.a]\n[orders]\npath='x'", "walogs.toml", "a log of that name is [log.orders]"),
        ("verify = 'full'\n[log.a]", "walogs.toml", "verify='full': no such key here; it is one of a log: write it"),
        ("[log.a]\n[tool.walogs.log.b]", "walogs.toml", "only pyproject.toml has [tool.walogs]"),
        ("[log.'a b']", "walogs.toml", "log.'a b': a log's name is letters and digits, a letter first"),
        ("[log.a__b]", "walogs.toml", "log.a__b: a log's name is"),
        ("[log.a-]", "walogs.toml", "log.a-: a log's name is"),
        ("[log.1]", "walogs.toml", "log.1: a log's name is"),
        ("[log.'']", "walogs.toml", "log.'': a log's name is"),
        ("[log.a-b]\n[log.a_b]", "walogs.toml", "log.a_b: too close to 'a-b': WALOGS_LOG__A_B__… would belong to both"),
        ("[log.a]\n[log.A]", "walogs.toml", ": too close to"),
        ("", "pyproject.toml", "tool.walogs: missing: a table [tool.walogs.log.NAME] for each log"),
        ("tool = 5", "pyproject.toml", "tool.walogs: missing"),
        ("[tool]\nwalogs = 5", "pyproject.toml", "tool.walogs=5: a table, with [tool.walogs.log.NAME] for each log"),
        ("[tool.walogs]", "pyproject.toml", "tool.walogs.log: missing: a table [tool.walogs.log.NAME]"),
        ("[tool.walogs.log.a]\n[log.b]\n[tool.walogs.orders]", "pyproject.toml", "is [tool.walogs.log.orders]"),
        ("[log.a\npath = 5", "walogs.toml", "line 1, column 7: Expected ']'"),
        ("[log.a]\npath = 'a'\npath = 'b'", "walogs.toml", ": Cannot overwrite a value"),
        ("[log.a]\npath = 'a", "walogs.toml", "at its end: Expected "),
        (f"[log.a]\npath = {'[' * 5000}", "walogs.toml", "the tables or lists are nested too deeply"),
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
    assert [str(problem) for problem in examined(Path("a\0b")).problems] == ["a\0b: embedded null byte"]
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


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("WALOGS_LOG_ORDERS_SYNC", "WALOGS_LOG__ORDERS__SYNC"),
        ("WALOGS_ORDERS_SYNC", "WALOGS_LOG__ORDERS__SYNC"),
        ("WALOGS_LOG__ORDERS_SYNC", "WALOGS_LOG__ORDERS__SYNC"),
        ("WALOGS_LOG_ORDERS__SYNC", "WALOGS_LOG__ORDERS__SYNC"),
        ("WALOGS__LOG__ORDERS__SYNC", "WALOGS_LOG__ORDERS__SYNC"),
        ("walogs_log__orders__sync", "WALOGS_LOG__ORDERS__SYNC"),
        ("WALOGS_LOG_ORDERS_SYNC_TIME", "WALOGS_LOG__ORDERS__SYNC__TIME"),
        ("WALOGS_LOG__ORDERS_SYNC__TIME", "WALOGS_LOG__ORDERS__SYNC__TIME"),
        ("WALOGS_LOG_ORDERS_MAX_SEGMENT_SIZE", "WALOGS_LOG__ORDERS__MAX_SEGMENT_SIZE"),
        ("WALOGS_LOG_ORDERS_OLD_PATH", "WALOGS_LOG__ORDERS_OLD__PATH"),
        ("WALOGS_STRICT_PLUGINS", None),
        ("WALOGS_LOG_OTHERS_SYNC", None),
        ("WALOGS_LOG_ORDERS_COLOUR", None),
        ("WALOGS_LOG__ORDERS_SYNC__VERIFY", None),
        ("MY_WALOGS_LOG_ORDERS_SYNC", None),
    ],
)
def test_a_variable_with_an_underscore_less_is_told_and_not_passed_over(
    tmp_path: Path, variable: str, meant: str | None
) -> None:
    file = written(tmp_path, '[log.orders]\npath = "a"\n[log.orders-old]\npath = "b"\n')
    found = problems(file, {variable: "fsync"})
    if meant is None:
        assert found == []
    else:
        (problem,) = found
        assert problem.startswith(f"environment: {variable}='fsync': no such variable; did you mean {meant}?")


def test_the_only_log_of_a_file_needs_no_name(tmp_path: Path) -> None:
    file = written(tmp_path, '[log.orders]\npath = "a"\n')
    with walogs.open_config(file) as wal:
        assert wal.append(b"one") == 1
    found: walogs.ConfiguredLog = walogs.load_config(file)
    assert found == walogs.load_config(file, log="orders")
    assert list(walogs.reader(*found)) == [(1, b"one")]
    written(tmp_path, '[log.orders]\npath = "a"\n[log.audit]\npath = "b"\n')
    for verb in (walogs.open_config, walogs.load_config):
        with pytest.raises(walogs.ConfigError, match=r"log=None: which of its logs\? \(there are: orders, audit\)"):
            verb(file)


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
    assert found.problems == ()
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
    assert str(error).startswith("10 problems, and nothing was opened:\n  ")
    assert all(f"\n  {problem}" in str(error) for problem in error.problems)
    with pytest.raises(walogs.ConfigError) as opened:
        walogs.open_config(file, log="a")
    assert opened.value.problems == error.problems
    assert list(tmp_path.iterdir()) == [file]
