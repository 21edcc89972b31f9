"""`walogs salvage --into` and `walogs append --json-lines`: no byte of an entry changes on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Walogs, entries_of, made

DATA = [b"", b"a line\nand another", b"\xff\x00\xfe", "æ €".encode(), b'{"gap": 1}', b"x" * 3000, b"\r\n", b"\n"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return made(tmp_path / "x.wal", *DATA)


def damaged(log: Path) -> Path:
    (file,) = log.glob("wal-*.log")
    file.write_bytes(file.read_bytes().replace("æ €".encode(), "Æ €".encode()))
    return log


@pytest.mark.parametrize("command_name", ["cat", "salvage"])
def test_what_is_printed_is_appended_byte_for_byte(
    log: Path, tmp_path: Path, command: Walogs, command_name: str
) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(command(command_name, log, "--json").out)
    told = command("append", tmp_path / "new.wal", "--json-lines", "--lines", lines)
    assert (told.status, told.out, told.error) == (0, b"appended 8 entries: 1 to 8\n", "")
    assert entries_of(tmp_path / "new.wal") == DATA


def test_it_works_through_a_pipe_and_counts_gaps(log: Path, tmp_path: Path, command: Walogs) -> None:
    lines = command.apart("salvage", damaged(log), "--json")
    assert lines.status == 4
    told = command.apart("append", tmp_path / "new.wal", "--json-lines", stdin=lines.out)
    assert told.status == 0
    assert "the lines describe 1 gap" in told.error
    assert entries_of(tmp_path / "new.wal") == [data for data in DATA if data != "æ €".encode()]


@pytest.mark.parametrize(
    ("line", "phrase"),
    [
        (b"plain text", "line 2 is no JSON"),
        (b"", "line 2 is no JSON"),
        (b"[" * 100_000, "line 2 is no JSON"),
        (b'"text"', "line 2 is no object"),
        (b'{"lsn": 1}', "line 2 is no object"),
        (b'{"text": "a", "base64": "YQ=="}', "line 2 is no object"),
        (b'{"text": "a", "data": 1}', "line 2 is no object"),
        (b'{"text": 5}', 'line 2: "text" is 5'),
        (b'{"text": "\\ud800"}', 'line 2: "text" is'),
        (b'{"base64": "YQ="}', 'line 2: "base64" is'),
        (b'{"base64": "Y Q=="}', 'line 2: "base64" is'),
        (b'{"base64": null}', 'line 2: "base64" is'),
    ],
)
def test_a_line_that_is_wrong_is_told_by_its_number_and_nothing_is_appended(
    tmp_path: Path, command: Walogs, line: bytes, phrase: str
) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(b'{"lsn": 1, "text": "first"}\n' + line + b'\n{"text": "third"}\n')
    told = command("append", tmp_path / "new.wal", "--json-lines", "--lines", lines)
    assert told.status == 1
    assert phrase in told.error
    assert "Nothing was appended before it" in told.error
    assert entries_of(tmp_path / "new.wal") == []


def test_salvage_into_a_new_log_says_what_each_lsn_has_become(log: Path, tmp_path: Path, command: Walogs) -> None:
    told = command("salvage", log, "--into", tmp_path / "whole.wal")
    assert (told.status, told.error) == (0, "")
    assert told.out.decode().splitlines()[1:] == ["  1 to 8: with the same LSNs"]
    told = command("salvage", damaged(log), "--into", tmp_path / "new.wal")
    assert told.status == 4
    assert told.error.startswith("walogs: gap: entries from 4 to 4, segment 1 at byte ")
    assert told.out.decode().splitlines() == [
        f"put 7 entries into {tmp_path / 'new.wal'}: 1 to 7",
        "  1 to 3: with the same LSNs",
        "  5 to 8: now 4 to 7",
    ]
    assert entries_of(tmp_path / "new.wal") == [data for data in DATA if data != "æ €".encode()]
    told = command("salvage", log, "--into", tmp_path / "new.wal")
    assert told.status == 1
    assert "new or empty" in told.error
    report = command("salvage", log, "--into", tmp_path / "json.wal", "--json").json()
    assert report["stretches"] == [
        {"first_lsn": 1, "last_lsn": 3, "new_first_lsn": 1},
        {"first_lsn": 5, "last_lsn": 8, "new_first_lsn": 4},
    ]
    assert [gap["first_lsn"] for gap in report["gaps"]] == [4]
    assert (report["entries"], report["first_lsn"], report["last_lsn"]) == (7, 1, 7)


def test_the_lines_are_those_of_the_page(log: Path, command: Walogs) -> None:
    objects = [json.loads(line) for line in command("cat", log, "--json").out.splitlines()]
    assert all(set(told) in ({"lsn", "text"}, {"lsn", "base64"}) for told in objects)
    assert walogs.verify(log).ok
