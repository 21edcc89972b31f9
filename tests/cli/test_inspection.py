"""`walogs verify`, `salvage`, `tail`, `backup`, `repair`, `cat --follow`: what they print, and their statuses."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import COMMAND, ENVIRONMENT, Walogs, bytes_of, entries_of, made
from walogs.assembly.opening import assemble
from walogs.cli.cat import selected_entries, unix_ns
from walogs.cli.log_argument import in_directory
from walogs.engine.log_source import Environment
from walogs.handles.reader import WalReader


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return made(tmp_path / "x.wal", *(b"entry %d." % n * 3 for n in range(1, 31)), max_segment_size=1270)


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
    held = "DAMAGED: 28 entries can be read (1 to 4, 6 to 24, 26 to 30), and entries 5, 25 cannot; "
    assert lines[0].startswith(held)
    assert [line.split(":")[0] for line in lines[1:4]] == ["damage", "damage", "Next"]
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


@pytest.mark.parametrize("name", ["verify", "salvage", "tail", "repair"])
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
            assert process.wait(300) == 0
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


def test_a_repair_is_told_before_it_is_made_and_after(log: Path, command: Walogs) -> None:
    damage(log, b"entry 15.e")
    before = bytes_of(log)
    told = command("repair", log, "--dry-run")
    assert (told.status, told.error) == (4, "")
    assert bytes_of(log) == before
    lines = told.out.decode().splitlines()
    assert lines[0].startswith("damage: wal-000002.log in ")
    assert "Nothing was changed" not in lines[0]
    assert lines[1:3] == ["--keep before:", "  would be kept: 1 to 14"]
    assert lines[3].startswith("  lost: 15, segment 2 at byte ")
    assert lines[4].startswith("  would be dropped: 16 to 30, intact, ")
    assert [line[:33] for line in lines[5:8]] == [f"  would be set aside: damaged-{n:06d}-"[:33] for n in (2, 3, 4)]
    assert lines[8:10] == ["--keep after:", "  would be kept: 19 to 30"]
    report = command("repair", log, "--dry-run", "--json", "--keep", "after").json()
    assert (report["first_lsn"], report["last_lsn"], report["is_dry_run"]) == (19, 30, True)
    assert report["lost"][0]["first_lsn"] == 15
    assert report["other_side"] == {"keep": "before", "first_lsn": 1, "last_lsn": 14}
    assert report["dropped"] == [{"first_lsn": 1, "last_lsn": 14}, {"first_lsn": 16, "last_lsn": 18}]
    assert bytes_of(log) == before
    told = command("repair", log, "--yes")
    assert (told.status, told.error) == (0, "")
    assert told.out.decode().splitlines()[1] == "kept: 1 to 14"
    assert command("verify", log).status == 0
    assert entries_of(log) == [b"entry %d." % n * 3 for n in range(1, 15)]
    told = command("repair", log)
    assert (told.status, told.out) == (0, b"good: the log opens (1 to 14); nothing was changed\n")
    assert command("repair", log, "--dry-run").status == 0
    assert command("repair", log, "--json").json()["refusal"] is None


def test_a_repair_keeps_what_is_after_the_damage(log: Path, command: Walogs) -> None:
    damage(log, b"entry 15.e")
    report = command("repair", log, "--keep", "after", "--json").json()
    assert (report["first_lsn"], report["last_lsn"]) == (19, 30)
    assert all((log / name).is_file() for name in report["set_aside"])
    assert entries_of(log) == [b"entry %d." % n * 3 for n in range(19, 31)]


def test_a_copy_of_a_live_log_loses_its_durable_mark(log: Path, command: Walogs) -> None:
    newest = max(log.glob("wal-*.log"))
    newest.write_bytes(newest.read_bytes()[:512] + bytes(8192))
    told = command("repair", log, "--keep", "before")
    assert told.status == 0
    lines = told.out.decode().splitlines()
    assert lines[1].startswith("kept: 1 to ")
    assert lines[2].startswith("lost: ")
    assert lines[-1] == "removed: only the durable mark (DURABLE); no segment changes"


def test_a_repair_refuses_what_it_cannot_do(log: Path, tmp_path: Path, command: Walogs) -> None:
    damage(log, b"entry 15.e")
    before = bytes_of(log)
    assert command("repair", log, "--keep", "both").status == 2
    assert command("repair").status == 2
    with walogs.open(tmp_path / "other.wal") as wal:
        wal.append(b"one")
        damage(tmp_path / "other.wal", b"one")
        told = command("repair", tmp_path / "other.wal", "--yes")
        assert (told.status, told.out) == (3, b"")
        assert "open for writing" in told.line
    told = command("repair", tmp_path / "other.wal")
    assert (told.status, told.out) == (4, b"")
    assert "no entry in it is intact" in told.line
    assert bytes_of(log) == before


def test_a_follower_waits_for_a_time_that_has_not_come(log: Path) -> None:
    named = in_directory(log)
    with walogs.open(log) as wal:
        wal.append(b"early")
        since_ns = time.time_ns() + 300_000_000

        def write() -> None:
            while time.time_ns() <= since_ns:
                time.sleep(0.01)
            wal.append_batch([b"late", b"later"])

        writer = threading.Thread(target=write)
        following = selected_entries(named, None, 34, since_ns, "durable", follow=True)
        writer.start()
        assert list(following) == [(32, b"late"), (33, b"later")]
        writer.join()
        assert list(selected_entries(named, 5, 34, since_ns, "durable", follow=True)) == [(32, b"late"), (33, b"later")]
        assert list(selected_entries(named, 33, 34, since_ns, "durable", follow=True)) == [(33, b"later")]
        assert list(selected_entries(named, 33, None, since_ns, "written", follow=False)) == [(33, b"later")]


def test_a_clock_that_was_wrong_once_does_not_make_what_came_later_late(tmp_path: Path, command: Walogs) -> None:
    """The log has commits of now, one of the year 2126, and again commits of now."""
    now_ns, ahead_ns = 1_700_000_000 * 10**9, 4_923_000_000 * 10**9
    ticks = itertools.chain([now_ns] * 3, [ahead_ns], itertools.count(now_ns + 10**9, 10**9))
    environment = Environment(lambda: next(ticks), os.urandom, lambda _: None)
    with assemble(tmp_path / "log", walogs.WalConfig(), environment) as wal:
        for n in range(1, 7):
            wal.append(b"%d" % n)
    assert command("cat", tmp_path / "log", "--from-time", "2100-01-01").out == b"3\n"
    assert command("cat", tmp_path / "log", "--from-time", "2001-01-01").out == b"1\n2\n3\n4\n5\n6\n"
    since_ns = now_ns + 2 * 10**9
    named = in_directory(tmp_path / "log")
    assert [lsn for lsn, _ in selected_entries(named, None, None, since_ns, "written", follow=False)] == [3, 5, 6]
    assert [lsn for lsn, _ in selected_entries(named, None, 7, since_ns, "durable", follow=True)] == [3, 5, 6]


@pytest.mark.guarantee("G6")
def test_from_a_time_on_up_to_damage(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        time_ns = next(wal.commits(7)).time_ns
        since = datetime.fromtimestamp(time_ns // 1000 / 1e6, tz=UTC)
        first = next(commit.first_lsn for commit in wal.commits() if commit.time_ns >= unix_ns(since))
        newest = wal.segments()[-1]
    damage(log, b"entry %d.e" % newest.first_lsn)
    told = command("cat", log, "--json", "--from-time", since.isoformat())
    assert told.status == 4
    assert [json.loads(line)["lsn"] for line in told.out.splitlines()] == list(range(first, newest.first_lsn))
    assert unix_ns(None) == 0
    assert unix_ns(datetime(1970, 1, 1, 0, 0, 1)) == unix_ns(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 10**9  # noqa: DTZ001


def test_a_checkpointed_log_salvages_without_a_gap(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        assert wal.checkpoint(15)
    told = command("salvage", log)
    assert (told.status, told.error) == (0, "")
    assert told == command("cat", log)


def test_a_missing_segment_is_told_once_and_of_no_other(log: Path, command: Walogs) -> None:
    (log / "wal-000002.log").unlink()
    findings = command("verify", log, "--json").json()["findings"]
    assert [(found["segment"], found["offset"]) for found in findings] == [(2, None)]
    told = command("salvage", log)
    assert told.status == 4
    assert told.error.endswith(": no segment that is there holds them\n")


@pytest.mark.parametrize("count", [1, 3, 200])
def test_tail_prints_no_more_than_asked_for_however_much_comes(count: int, log: Path, command: Walogs) -> None:
    """`tail` does not print entries that are appended between its looks."""
    with walogs.open(log) as wal:
        seen = WalReader.iter

        def iter_later(reader: WalReader, *given: int) -> Iterator[tuple[int, bytes]]:
            wal.append_batch([b"new"] * 5)
            return seen(reader, *given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WalReader, "iter", iter_later)
            told = command("tail", log, "-n", str(count), "--json")
    assert [json.loads(line)["lsn"] for line in told.out.splitlines()] == list(range(max(31 - count, 1), 31))
