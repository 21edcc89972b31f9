"""`walogs cursors`: what it shows, sets and removes, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.cli.commands import ENVIRONMENT, Walogs, made
from walogs.assembly.opening import source_of
from walogs.formats import cursor as cursor_bytes
from walogs.inspection import cursors
from walogs.inspection.cursors import find_cursors, look, set_cursor
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

DATA = [b"entry %d." % n * 8 for n in range(1, 31)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Five segments or so, of thirty entries, and two cursors."""
    path = made(tmp_path / "x.wal", *DATA, max_segment_size=1200)
    with walogs.open(path) as wal, wal.cursor("mailer") as mailer, wal.cursor("auditor") as auditor:
        mailer.commit(12)
        auditor.commit(30)
    return path


def everything_below(log: Path) -> dict[str, object]:
    files = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (log / "cursors").iterdir()}
    above = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in log.iterdir() if path.is_file()}
    return {**above, **files, "in": (log / "cursors").stat().st_mtime_ns}


def positions(log: Path) -> dict[str, int | None]:
    return {facts.name: facts.position for facts in find_cursors(source_of(log, None))}


def test_it_shows_where_each_is_and_changes_nothing(log: Path, command: Walogs) -> None:
    before = everything_below(log)
    told = command("cursors", log, "--json")
    auditor, mailer = told.json()
    with walogs.reader(log) as reader:
        (commit,) = reader.commits(13, 14)
    for facts in (auditor, mailer):
        assert (facts["is_locked"], facts["owner"], facts["problem"]) == (False, None, None)
        assert facts["committed_ns"] >= commit.time_ns
    assert (auditor["name"], auditor["position"]) == ("auditor", 30)
    assert (auditor["lag_entries"], auditor["lag_bytes"], auditor["lag_seconds"]) == (0, 0, 0.0)
    assert (mailer["name"], mailer["position"], mailer["lag_entries"]) == ("mailer", 12, 18)
    assert mailer["lag_seconds"] > 0
    lines = command("cursors", log).out.decode().splitlines()
    assert lines[0].startswith("auditor        at 30, nothing is left, committed 20")
    assert lines[1].startswith("mailer         at 12, 18 entries behind (")
    assert all(line.endswith(", free") for line in lines)
    assert everything_below(log) == before


def test_the_bytes_behind_are_those_of_the_frames(log: Path) -> None:
    """Those after the position, in every segment, to the byte: each segment has an index or a SEAL."""
    sizes, source = {}, source_of(log, None)
    for lsn in range(31):
        set_cursor(source, "auditor", lsn, look(source).newest.log_id)
        facts = find_cursors(source)[0]
        assert (facts.name, facts.lag_entries) == ("auditor", 30 - lsn)
        sizes[lsn] = facts.lag_bytes
    frames = {lsn: 48 + len(DATA[lsn - 1]) + 4 for lsn in range(1, 31)}
    padded = {lsn: size + -size % 8 for lsn, size in frames.items()}
    assert sizes == {lsn: sum(padded[after] for after in range(lsn + 1, 31)) for lsn in range(31)}


HOLDER = """
import sys, walogs
with walogs.reader(sys.argv[1]) as reader, reader.cursor("mailer"):
    print(flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(log: Path) -> Iterator[int]:
    """The id of another process, which has the cursor `mailer`."""
    command = [sys.executable, "-c", HOLDER, str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process.pid
        process.kill()


@pytest.mark.guarantee("G21")
def test_the_owner_is_named_and_keeps_the_cursor(log: Path, owner: int, command: Walogs) -> None:
    auditor, mailer = command("cursors", log, "--json").json()
    assert (auditor["is_locked"], mailer["is_locked"]) == (False, True)
    assert mailer["owner"].startswith(f"{owner} ")
    assert f", open in process {owner} " in command("cursors", log).out.decode()
    for change in (("--set", "mailer", "3"), ("--drop", "mailer")):
        told = command("cursors", log, *change)
        assert (told.status, told.out) == (3, b"")
        assert f"cursor 'mailer' of {log} is open by process {owner} on " in told.line
    assert command("cursors", log, "--set", "auditor", "5").status == 0
    assert positions(log) == {"auditor": 5, "mailer": 12}


def test_it_sets_a_cursor_also_back_and_beside_a_writer(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        told = command("cursors", log, "--set", "mailer", "4")
        assert (told.status, told.error) == (0, "")
        assert told.out.decode().splitlines()[1].startswith("mailer         at 4, 26 entries behind (")
        with wal.cursor("mailer") as cursor:
            assert cursor.position == 4
        assert command("cursors", log, "--set", "new", "30").status == 0
        assert command("cursors", log, "--set", "new", "0").status == 0
        assert positions(log) == {"auditor": 30, "mailer": 4, "new": 0}


def test_it_removes_a_cursor(log: Path, command: Walogs) -> None:
    assert command("cursors", log, "--drop", "mailer").status == 0
    assert positions(log) == {"auditor": 30}
    told = command("cursors", log, "--drop", "mailer")
    assert (told.status, told.out) == (2, b"")
    assert told.line == (
        f"walogs: --drop mailer: {log} has no such cursor. Nothing was changed; `walogs cursors {log}` lists those that"
        " are there."
    )
    command("cursors", log, "--drop", "auditor")
    assert command("cursors", log).out.decode() == f"{log} has no cursors\n"


@pytest.mark.parametrize("lsn", ["31", "-1", "1.5", "x", "", "99999999999999999999999"])
def test_a_place_where_there_is_no_entry_is_refused(log: Path, command: Walogs, lsn: str) -> None:
    before = everything_below(log)
    told = command("cursors", log, "--set", "mailer", lsn)
    assert (told.status, told.out) == (2, b"")
    assert told.line.endswith("here it may be at 0 to 30. Nothing was changed.")
    assert everything_below(log) == before


def test_a_place_that_was_checkpointed_is_refused(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        wal.checkpoint(20)
        first_lsn = wal.first_lsn
    told = command("cursors", log, "--set", "mailer", str(first_lsn - 2))
    assert told.line.endswith(f"here it may be at {first_lsn - 1} to 30. Nothing was changed.")
    assert command("cursors", log).status == 4, "mailer is at 12, and cannot continue"
    assert command("cursors", log, "--set", "mailer", str(first_lsn - 1)).status == 0


def test_wrong_names_and_two_changes_are_refused(log: Path, command: Walogs) -> None:
    before = everything_below(log)
    for change in (("--set", "../x", "3"), ("--drop", "a/b"), ("--set", "a.lock", "3")):
        told = command("cursors", log, *change)
        assert (told.status, told.out) == (2, b"")
        assert "no name of a cursor" in told.line
    assert command("cursors", log, "--set", "mailer", "3", "--drop", "mailer").status == 2
    assert everything_below(log) == before


@pytest.mark.guarantee("G21")
def test_a_consumer_that_cannot_continue_is_told(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        wal.checkpoint(20)
        first_lsn = wal.first_lsn
    file = log / "cursors/auditor"
    whole = file.read_bytes()
    ahead = cursor_bytes.encode(cursor_bytes.decode(whole[:64]).log_id, 31, 0)
    for content, said in (
        (whole[:5] + b"?" + whole[6:], "cursors/auditor in"),
        (ahead + whole[64:], "at 31, committed 1970-01-01 00:00:00Z"),
    ):
        file.write_bytes(content)
        told = command("cursors", log)
        auditor, mailer = told.out.decode().splitlines()
        assert told.status == 4
        assert said in auditor
        assert "free, CANNOT CONTINUE: " in auditor
        assert "at 12, committed 20" in mailer
        assert mailer.endswith(f"CANNOT CONTINUE: a checkpoint has removed the entries up to {first_lsn - 1}")
    assert command("cursors", log, "--json").json()[0]["problem"] == (
        "the log ends before that, at 30: it was cut or replaced"
    )
    assert command("cursors", log, "--set", "auditor", "30").status == 4, "the other one still cannot"
    assert positions(log)["auditor"] == 30


@pytest.mark.guarantee("G21")
def test_who_only_looks_needs_no_file_that_can_be_written(log: Path, command: Walogs) -> None:
    for path in (*log.rglob("*"), log):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        before = everything_below(log)
        assert command("cursors", log).status == 0
        assert everything_below(log) == before
    finally:
        for path in (log, *log.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)


def test_where_there_is_no_log_none_is_made(tmp_path: Path, command: Walogs) -> None:
    for change in ((), ("--set", "mailer", "0"), ("--drop", "mailer")):
        told = command("cursors", tmp_path / "typo", *change)
        assert (told.status, told.out) == (1, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_tell_the_owner_says_nothing_of_it() -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal, wal.cursor("mailer") as cursor:
        wal.append(b"one")
        cursor.commit(1)
    (facts,) = find_cursors(source_of(None, walogs.WalConfig(store=MemoryStore(disk))))
    assert (facts.position, facts.lag_entries, facts.is_locked, facts.owner) == (1, 0, None, "")


@pytest.mark.guarantee("G21")
def test_a_consumer_at_work_is_not_taken_for_one_of_another_log(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It moves between two looks at the log, or is removed."""
    read = cursors.read_value
    with walogs.open(log) as wal, wal.cursor("mailer") as mailer:

        def moved_and_read(*given: Any) -> Any:
            mailer.commit(wal.append(b"meanwhile"))
            return read(*given)

        monkeypatch.setattr(cursors, "read_value", moved_and_read)
        auditor, found = find_cursors(source_of(log, None))
        assert (auditor.problem, found.problem) == ("", "")
        assert found.position == wal.last_lsn
        monkeypatch.setattr(cursors, "read_value", lambda *_: None)
        assert find_cursors(source_of(log, None)) == []


def test_damage_of_the_log_is_not_that_of_a_cursor(log: Path, command: Walogs) -> None:
    file = max(log.glob("wal-*.log"))
    content = bytearray(file.read_bytes())
    content[60] ^= 1
    file.write_bytes(content)
    told = command("cursors", log)
    assert (told.status, told.out) == (4, b"")
    assert f"`walogs verify {log}` lists all damage" in told.line


def test_a_store_without_cursors_has_none_to_show() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        wal.append(b"one")
    with pytest.raises(walogs.ConfigError, match="its store keeps no cursors"):
        find_cursors(source_of(None, walogs.WalConfig(store=MemoryImmutableStore(cloud))))
