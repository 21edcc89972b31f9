"""`walogs config check` and `show`; and `--config FILE --log NAME` in the place of a directory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Walogs, entries_of, everything_in
from tests.config.files import install, written
from tests.kit.codecs import DeflateCodec

GOOD = """
[log.orders]
path = "orders.wal"
max_segment_size = "none"
sync = { use = "interval", time = "5ms" }
[log.metrics]
path = "metrics.wal"
"""
BAD = """
[log.orders]
max-segment-size = "64MiB"
verify = "al"
sync = "intervl"
"""


@pytest.fixture(autouse=True)
def nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no variable of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("WALOGS_LOG__"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, GOOD)


def lines(out: bytes) -> list[str]:
    return out.decode().splitlines()


# Checking


def test_a_good_file_is_good(file: Path, command: Walogs) -> None:
    for tokens in ((), ("walogs.toml",), ("--config", "walogs.toml")):
        told = command("config", "check", *tokens)
        assert (told.status, told.error) == (0, "")
        assert lines(told.out) == ["good: walogs.toml describes 2 logs: orders, metrics"]
    told = command("config", "check", file, "--json")
    assert told.json() == {"file": str(file), "ok": True, "problems": [], "notes": []}


def test_every_mistake_has_a_line_and_the_status_says_so(tmp_path: Path, command: Walogs) -> None:
    written(tmp_path, BAD)
    told = command("config", "check")
    assert (told.status, told.error) == (1, "")
    assert [line.partition(": ")[2].partition(":")[0] for line in lines(told.out)] == [
        "log.orders.max-segment-size='64MiB'",
        "log.orders.sync='intervl'",
        "log.orders.verify='al'",
        "log.orders.path",
    ]
    told = command("config", "check", "--json")
    assert told.status == 1
    facts = told.json()
    assert facts["ok"] is False
    assert facts["problems"][1] == {
        "file": "walogs.toml",
        "key": "log.orders.sync",
        "value": "intervl",
        "why": "no such sync; did you mean 'interval'? (there are: fdatasync, fsync, interval, none)",
        "message": "walogs.toml: log.orders.sync='intervl': no such sync; did you mean 'interval'?"
        " (there are: fdatasync, fsync, interval, none)",
    }
    assert facts["problems"][3]["value"] is None


def test_values_that_json_does_not_have_are_told_all_the_same(tmp_path: Path, command: Walogs) -> None:
    wrong = ["1979-05-27", "inf", "0x" + "f" * 5000, "[" * 40 + "]" * 40, "{ a = { b = [1.5, true] } }"]
    text = "[log.a]\npath = 'a'\n" + "".join(f"key{n} = {value}\n" for n, value in enumerate(wrong))
    told = command("config", "check", written(tmp_path, text), "--json")
    assert told.status == 1
    values = [problem["value"] for problem in told.json()["problems"]]
    assert values[0] == "datetime.date(1979, 5, 27)"
    assert values[2] == "(a huge number)"
    assert values[4] == {"a": {"b": [1.5, True]}}


def test_a_mistake_in_the_environment_is_one_of_the_check(
    file: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WALOGS_LOG__ORDERS__VERIFY", "al")
    monkeypatch.setenv("WALOGS_LOG__ORDRES__VERIFY", "al")
    told = command("config", "check")
    assert told.status == 1
    assert lines(told.out) == [
        "environment: WALOGS_LOG__ORDERS__VERIFY='al': 'full' or 'last'",
        "note: WALOGS_LOG__ORDRES__VERIFY: walogs.toml has no log of that name; did you mean 'ORDERS'?",
    ]


def test_a_file_that_is_not_there_is_named(command: Walogs, tmp_path: Path) -> None:
    told = command("config", "check")
    assert (told.status, lines(told.out)) == (1, ["walogs.toml: there is no such file"])
    written(tmp_path, '[tool.walogs.log.a]\npath = "a"\n', "pyproject.toml")
    assert lines(command("config", "check").out) == ["good: pyproject.toml describes 1 log: a"]
    told = command("config", "show", "none.toml")
    assert (told.status, told.line) == (1, "walogs: none.toml: there is no such file.")


KEYS = ("4f3c" * 16, "kJ7x0Yl3Qm9+Zb/2Vt8sWcRf1uHdEaGoPiLnTyKeDw0=")


@pytest.mark.parametrize("line", ['key = "{}"', 'codec = "{}"', 'codec = {{ use = "crc32", key = "{}" }}'])
@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_is_written_where_none_belongs_is_not_shown(
    tmp_path: Path, command: Walogs, line: str, key: str
) -> None:
    file = written(tmp_path, f'[log.a]\npath = "a"\n{line.format(key)}\n')
    for told in (command("config", "check", file), command("config", "check", file, "--json")):
        assert told.status == 1
        assert key.encode() not in told.out
        assert f"({len(key)} characters, like a key: not shown)".encode() in told.out
    told = command("cat", "--config", file, "--log", "a")
    assert (told.status, key in told.error) == (1, False)


# Showing


def test_every_value_is_shown_with_where_it_comes_from(
    file: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WALOGS_LOG__ORDERS__MAX_ENTRY_SIZE", "1KiB")
    told = command("config", "show", "--log", "orders")
    assert (told.status, told.error) == (0, "")
    assert lines(told.out) == [
        "[log.orders] of walogs.toml",
        f'path              "{tmp_path / "orders.wal"}"  (file)',
        'store             "local"  (default)',
        'codec             "crc32"  (default)',
        'sync              "interval"  (file)',
        "sync.time         0.005  (file)",
        "sync.bytes        1048576  (default)",
        'sync.entries      "none"  (default)',
        'max_segment_size  "none"  (file)',
        "max_entry_size    1024  (WALOGS_LOG__ORDERS__MAX_ENTRY_SIZE)",
        "max_batch_size    67108864  (default)",
        "max_queued_size   67108864  (default)",
        'recovery          "acked"  (default)',
        'verify            "full"  (default)',
        'retention         "none"  (default)',
        "wait              0.0  (default)",
        "change_codec      false  (default)",
        "observers         []  (default)",
    ]
    facts = command("config", "show", "walogs.toml", "--json").json()
    assert list(facts["logs"]) == ["orders", "metrics"]
    settings = {setting["key"]: setting for setting in facts["logs"]["orders"]}
    assert settings["max_entry_size"] == {
        "key": "max_entry_size",
        "value": 1024,
        "origin": "environment",
        "variable": "WALOGS_LOG__ORDERS__MAX_ENTRY_SIZE",
    }
    assert settings["max_segment_size"]["value"] is None


def test_each_bound_of_a_retention_is_shown(tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, '[log.a]\npath = "a"\nretention = { size = "1MiB" }\n')
    shown = lines(command("config", "show").out)
    assert "retention.size              1048576  (file)" in shown
    assert 'retention.time              "none"  (file)' in shown
    monkeypatch.setenv("WALOGS_LOG__A__RETENTION", '{ time = "7d" }')
    shown = lines(command("config", "show").out)
    assert 'retention.size              "none"  (WALOGS_LOG__A__RETENTION)' in shown
    assert "retention.time              604800.0  (WALOGS_LOG__A__RETENTION)" in shown


def test_what_is_wrong_is_not_shown_but_told(tmp_path: Path, command: Walogs) -> None:
    written(tmp_path, BAD)
    told = command("config", "show")
    assert (told.status, told.out) == (1, b"")
    assert told.error.count("walogs: walogs.toml: log.orders.") == 4
    written(tmp_path, GOOD)
    told = command("config", "show", "--log", "order")
    assert (told.status, told.line) == (
        1,
        "walogs: walogs.toml: log='order': no such log; did you mean 'orders'?",
    )


# --config and --log


def test_every_command_that_takes_a_directory_takes_a_log_of_a_file(
    file: Path, command: Walogs, tmp_path: Path
) -> None:
    (tmp_path / "in").write_text("one\ntwo\n")
    log = tmp_path / "orders.wal"
    named = ("--config", file, "--log", "orders")
    assert command("append", *named, "--lines", "in").out == b"appended 2 entries: 1 to 2\n"
    assert entries_of(log) == [b"one", b"two"]
    before = everything_in(log)
    assert command("cat", *named).out == b"one\ntwo\n"
    assert command("tail", *named, "-n", "1").out == b"two\n"
    assert command("salvage", *named).out == b"one\ntwo\n"
    assert command("verify", *named).out.startswith(b"good: 2 entries")
    assert command("info", *named, "--json").json()["path"] == str(log)
    assert everything_in(log) == before
    assert command("repair", *named, "--dry-run").out.startswith(b"good: the log opens")
    assert command("backup", "copy", *named).status == 0
    assert entries_of(tmp_path / "copy") == [b"one", b"two"]
    assert command("cat", "--log", "orders").out == b"one\ntwo\n", "walogs.toml is the file of this directory"


def test_every_command_with_a_directory_has_both_options(command: Walogs) -> None:
    from walogs.cli.app import app

    without = {"completion", "conformance", "demo", "config", "plugins"}
    names = {name for name in app if not name.startswith("-")} - without
    assert names >= {"append", "backup", "cat", "info", "repair", "salvage", "tail", "verify"}
    for name in sorted(names):
        told = command(name, "--help").out
        assert b"--config" in told, name
        assert b"--log" in told, name
        assert b"DIR" in told or b"SRC" in told, name


def test_the_codec_of_the_file_reads_what_it_wrote(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "codec", "deflate", DeflateCodec)
    written(tmp_path, '[log.a]\npath = "a.wal"\ncodec = "deflate"\n')
    with walogs.open_config("walogs.toml", log="a") as wal:
        wal.append(b"pressed")
    assert command("cat", "--log", "a").out == b"pressed\n"
    assert command("verify", "--log", "a").status == 0
    assert command("cat", "a.wal").out == b"pressed\n", "each segment says which codec it is of"


def test_the_limits_of_the_file_hold_and_say_so(tmp_path: Path, command: Walogs) -> None:
    written(tmp_path, '[log.a]\npath = "a.wal"\nmax_entry_size = 3\nmax_batch_size = 8\n')
    (tmp_path / "in").write_text("one\ntwo\nthree\n")
    told = command("append", "--log", "a", "--lines", "in")
    assert told.status == 1
    assert "line 3 is longer than the 3 bytes that an entry may have" in told.line
    assert "What came before it is durable, as entries 1 to 2" in told.line
    assert entries_of(tmp_path / "a.wal") == [b"one", b"two"]


@pytest.mark.parametrize(
    ("tokens", "phrase"),
    [
        (("info",), "which log? Name its directory, or --log NAME of a configuration file"),
        (("info", "x.wal", "--log", "orders"), "the log is named twice: 'x.wal', and by --config or --log"),
        (("info", "x.wal", "--config", "walogs.toml"), "the log is named twice"),
        (("info", "--config", "walogs.toml"), "--config walogs.toml: which of its logs? Say --log NAME"),
        (("backup", "--log", "orders"), "DST is missing: name a directory that is new or empty"),
        (("backup", "a"), "DST is missing: name a directory that is new or empty"),
        (("backup", "a", "b", "--log", "orders"), "the log is named twice: 'a'"),
        (("append", "x.wal", "--log", "orders"), "the log is named twice"),
    ],
)
def test_a_log_that_is_named_twice_or_not_at_all_is_wrong_usage(
    file: Path, command: Walogs, tokens: tuple[str, ...], phrase: str
) -> None:
    told = command(*tokens)
    assert (told.status, told.out) == (2, b"")
    assert phrase in told.line
    assert list(file.parent.iterdir()) == [file]


def test_a_file_with_mistakes_stops_a_command_with_a_line_for_each(tmp_path: Path, command: Walogs) -> None:
    file = written(tmp_path, BAD)
    for name in ("append", "cat", "info", "repair"):
        told = command(name, "--log", "orders")
        assert (told.status, told.out) == (1, b"")
        assert told.error.count("\n") == told.error.count("walogs: walogs.toml: log.orders.") == 3
    assert list(tmp_path.iterdir()) == [file]
    written(tmp_path, GOOD)
    assert "no such log; did you mean 'orders'?" in command("info", "--log", "order").line
    assert "metrics.wal: there is no log" in command("info", "--log", "metrics").line


def test_a_directory_alone_reads_no_file_and_no_variable(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, BAD)
    monkeypatch.setenv("WALOGS_LOG__ORDERS__VERIFY", "al")
    (tmp_path / "in").write_text("one\n")
    assert command("append", "orders", "--lines", "in").status == 0
    assert command("cat", "orders").out == b"one\n"
    assert json.loads(command("cat", "orders", "--json").out) == {"lsn": 1, "text": "one"}
