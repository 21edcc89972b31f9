"""`walogs rotate`: the next segment begins, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Walogs, bytes_of, entries_of, made
from walogs.assembly import opening
from walogs.cli.log_argument import NamedLog
from walogs.cli.rotate import rotate
from walogs.testing import MemoryCloud, MemoryImmutableStore


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return made(tmp_path / "x.wal", b"one", b"two")


def test_the_next_segment_begins_and_a_checkpoint_can_free_all_before_it(log: Path, command: Walogs) -> None:
    told = command("rotate", log)
    assert (told.status, told.error) == (0, "")
    assert told.out == b"wal-000002.log is the active segment now; it begins at entry 3\n"
    assert command("checkpoint", log, "--lsn", "2", "--json").json()["segments"] == 1
    with walogs.open(log) as wal:
        assert list(wal) == []
        assert wal.append(b"three") == 3


def test_an_active_segment_without_entries_stays_active(log: Path, command: Walogs) -> None:
    command("rotate", log)
    before = bytes_of(log)
    told = command("rotate", log)
    assert told.status == 0
    assert told.out == b"wal-000002.log holds no entry yet, and stays the active segment\n"
    assert {name: data for name, (data, _) in bytes_of(log).items() if name != "DURABLE"} == {
        name: data for name, (data, _) in before.items() if name != "DURABLE"
    }
    assert entries_of(log) == [b"one", b"two"]


def test_json_has_the_same_facts(log: Path, command: Walogs) -> None:
    for is_rotated in (True, False):
        told = command("rotate", log, "--json")
        assert told.json() == {"is_rotated": is_rotated, "number": 2, "segment": "wal-000002.log", "first_lsn": 3}


def test_where_there_is_no_log_none_is_made(tmp_path: Path, command: Walogs) -> None:
    told = command("rotate", tmp_path / "typo")
    assert (told.status, told.out) == (1, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_log_is_left_alone(log: Path, command: Walogs) -> None:
    file = log / "wal-000001.log"
    file.write_bytes(file.read_bytes().replace(b"two", b"tow"))
    before = bytes_of(log)
    assert command("rotate", log).status == 4
    assert bytes_of(log) == before


def test_beside_a_writer_it_waits_as_long_as_it_is_told(
    log: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = walogs.open(log)
    assert command("rotate", log).status == 3
    assert holder.segment_count == 1
    environment = opening.ENVIRONMENT._replace(sleep=lambda _: holder.close())
    monkeypatch.setattr(opening, "ENVIRONMENT", environment)
    assert command("rotate", log, "--wait", "1h").status == 0


def test_a_store_of_immutable_segments_has_nothing_to_rotate(capsys: pytest.CaptureFixture[str]) -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        wal.append(b"one")
    assert (
        rotate(NamedLog(path=None, config=walogs.WalConfig(store=MemoryImmutableStore(cloud)), name="cloud", words=()))
        == 0
    )
    said = "in this store each commit is a segment of its own, so there is nothing to rotate\n"
    assert capsys.readouterr().out == said
