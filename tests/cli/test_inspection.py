"""`walogs verify`, `salvage`, `tail`, `backup`, `cat --follow`: beside a writer, and what their statuses say."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import COMMAND, ENVIRONMENT, Walogs, bytes_of, entries_of, made


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return made(tmp_path / "x.wal", *(b"entry %d." % n * 3 for n in range(1, 31)), max_segment_size=1200)


def damage(log: Path, find: bytes) -> None:
    for file in log.glob("wal-*.log"):
        data = file.read_bytes()
        if find in data:
            file.write_bytes(data.replace(find, find.upper()))


def test_a_good_log_verifies_also_while_it_is_open(log: Path, command: Walogs) -> None:
    with walogs.open(log):
        before = bytes_of(log)
        told = command("verify", log)
        assert (told.status, told.error) == (0, "")
        assert told.out.startswith(b"good: 30 entries (1 to 30), ")
        report = command("verify", log, "--json").json()
        assert report["ok"]
        assert (report["entries"], report["last_lsn"], report["findings"]) == (30, 30, [])
        assert bytes_of(log) == before


def test_damage_has_a_status_and_every_place_a_line(log: Path, command: Walogs) -> None:
    damage(log, b"entry 5.e")
    damage(log, b"entry 25.e")
    before = bytes_of(log)
    told = command("verify", log)
    assert told.status == 4
    lines = told.out.decode().splitlines()
    assert lines[0].startswith("DAMAGED: 28 entries")
    assert [line.split(":")[0] for line in lines[1:]] == ["damage", "damage"]
    told = command("salvage", log)
    assert told.status == 4
    assert told.out == b"".join(b"entry %d." % n * 3 + b"\n" for n in range(1, 31) if n not in (5, 25))
    assert told.error.count("walogs: gap: entries from ") == 2
    objects = [json.loads(line) for line in command("salvage", log, "--json").out.splitlines()]
    assert [entry["gap"]["first_lsn"] for entry in objects if "gap" in entry] == [5, 25]
    assert bytes_of(log) == before


def test_a_whole_log_salvages_as_cat_prints_it(log: Path, command: Walogs) -> None:
    assert command("salvage", log) == command("cat", log)


def test_tail_prints_the_last_entries_beside_the_writer(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        wal.append(b"newest")
        assert command("tail", log, "-n", "2").out == b"entry 30." * 3 + b"\nnewest\n"
        assert command("tail", log).out.count(b"\n") == 10
        assert command("tail", log, "-n", "100").out.count(b"\n") == 31
        assert json.loads(command("tail", log, "-n", "1", "--json").out) == {"lsn": 31, "text": "newest"}


def test_a_backup_is_a_log(log: Path, tmp_path: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        wal.append(b"newest")
        told = command("backup", log, tmp_path / "copy.wal")
        assert (told.status, told.error) == (0, "")
        assert told.out.startswith(b"copied ")
    assert entries_of(tmp_path / "copy.wal") == entries_of(log)
    told = command("backup", log, tmp_path / "copy.wal")
    assert told.status == 1
    assert "new or empty" in told.line
    report = command("backup", log, tmp_path / "other.wal", "--json").json()
    assert report["last_lsn"] == 31


@pytest.mark.parametrize("name", ["verify", "salvage", "tail"])
def test_where_there_is_no_log_nothing_is_made(name: str, tmp_path: Path, command: Walogs) -> None:
    told = command(name, tmp_path / "typo")
    assert (told.status, told.out) == (1, b"")
    assert "holds no log" in told.line
    assert list(tmp_path.iterdir()) == []


def test_cat_follows_the_writer(log: Path) -> None:
    with walogs.open(log) as wal:
        process = subprocess.Popen(
            [*COMMAND, "cat", str(log), "--follow", "--start", "30", "--stop", "34"],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"entry 30." * 3 + b"\n"
            for n in range(31, 36):
                wal.append(b"new %d" % n)
            assert process.stdout.read() == b"new 31\nnew 32\nnew 33\n"
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]


def test_cat_begins_at_a_time(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        commits = list(wal.commits())
    time = datetime.fromtimestamp(commits[20].time_ns / 1e9, tz=UTC)
    told = command("cat", log, "--json", "--from-time", time.strftime("%Y-%m-%dT%H:%M:%S"))
    assert told.status == 0
    assert json.loads(told.out.splitlines()[0])["lsn"] <= 21
    assert command("cat", log, "--from-time", "2100-01-01").out == b""
    assert command("cat", log, "--from-time", "2001-01-01").out.count(b"\n") == 30
