"""`walogs info`: a picture on a terminal, lines elsewhere, JSON if asked; and the log as it was."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Told, Walogs, entries_of, everything_in, made, on_a_terminal


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Four segments, the oldest of them checkpointed."""
    log = made(tmp_path / "x.wal", *(b"x" * 100 for _ in range(19)), max_segment_size=1300)
    with walogs.open(log) as wal:
        wal.checkpoint(5)
        wal.append(b"x" * 100)
    return log


def test_json_says_what_the_library_says(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        names = [segment.name for segment in wal.segments()]
        first_lsn = wal.first_lsn
    told = command("info", log, "--json")
    facts = told.json()
    assert (told.status, told.error) == (0, "")
    assert {key: facts[key] for key in ("entries", "first_lsn", "last_lsn", "next_lsn", "path")} == {
        "entries": 21 - first_lsn,
        "first_lsn": first_lsn,
        "last_lsn": 20,
        "next_lsn": 21,
        "path": str(log),
    }
    assert [segment["name"] for segment in facts["segments"]] == names
    assert [segment["is_sealed"] for segment in facts["segments"]] == [True] * (len(names) - 1) + [False]
    assert facts["recovery"]["verdict"] == "clean"
    assert facts["recovery"]["tail_state"] == {"state": "Clean"}
    assert sum(segment["size"] for segment in facts["segments"]) == sum(
        path.stat().st_size for path in log.glob("wal-*.log")
    )


def test_a_pipe_gets_lines_and_no_escapes(log: Path, command: Walogs) -> None:
    told = command("info", log)
    lines = told.out.decode().splitlines()
    assert told.status == 0
    assert told.out.isascii()
    assert "\x1b" not in told.out.decode()
    assert lines[0].split() == ["log", str(log)]
    assert re.fullmatch(r"entries +\d+ to 20 \(\d+\)", lines[1])
    segments = [line for line in lines if line.startswith("segment ")]
    assert len(segments) == len(list(log.glob("wal-*.log")))
    assert segments[0].endswith(", sealed")
    assert segments[-1].endswith(", active")


def test_a_terminal_gets_a_table(log: Path) -> None:
    shown = on_a_terminal("info", log)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert plain != shown
    assert "segment" in plain
    assert "─────" in plain
    for path in log.glob("wal-*.log"):
        assert path.name in plain


def test_a_path_is_shown_as_it_is(tmp_path: Path) -> None:
    log = made(tmp_path / "[red]x[/red]:smile:.wal", b"a")
    assert "[red]x[/red]:smile:.wal" in on_a_terminal("info", log).replace("\r\n", "").replace(" ", "")


def test_an_empty_log_is_told_as_such(tmp_path: Path, command: Walogs) -> None:
    made(tmp_path / "x.wal")
    told = command("info", tmp_path / "x.wal")
    assert told.status == 0
    assert re.search(r"^entries +none$", told.out.decode(), re.MULTILINE)
    assert re.search(
        r"^segment +wal-000001\.log, LSNs none, .*, last commit -, active$", told.out.decode(), re.MULTILINE
    )
    facts = command("info", tmp_path / "x.wal", "--json").json()
    assert (facts["entries"], facts["first_lsn"], facts["last_lsn"]) == (0, 1, 0)


@pytest.mark.guarantee("G15")
def test_looking_adds_nothing(log: Path, command: Walogs) -> None:
    before = sorted(os.listdir(log)), entries_of(log)
    first = command("info", log, "--json").json()
    for _ in range(3):
        again = command("info", log, "--json").json()
        assert {**again, "recovery": None} == {**first, "recovery": None}
    assert (sorted(os.listdir(log)), entries_of(log)) == before


@pytest.mark.guarantee("G5")
def test_a_torn_end_is_told_and_left_for_the_next_writer_to_cut(log: Path, command: Walogs) -> None:
    newest = max(log.glob("wal-*.log"))
    (log / "DURABLE").unlink()
    newest.write_bytes(newest.read_bytes().rstrip(b"\0")[:-1])
    before = everything_in(log)
    for _ in range(2):
        told = command("info", log)
        assert (told.status, told.error) == (0, "")
        torn = re.search(
            r"^torn +segment (\d+) at byte (\d+), (\d+) bytes: an unfinished write", text_of(told), re.MULTILINE
        )
        assert torn is not None
        assert re.search(r"^entries +\d+ to 19 ", text_of(told), re.MULTILINE)
    assert everything_in(log) == before
    with walogs.open(log) as wal:
        cut = wal.recovery_report.tail_state
        assert isinstance(cut, walogs.TruncatedAt)
        assert [cut.segment, cut.offset, cut.discarded_bytes] == [int(found) for found in torn.groups()]
    assert "\ntorn " not in text_of(command("info", log))


def test_json_names_the_cut(log: Path, command: Walogs) -> None:
    newest = max(log.glob("wal-*.log"))
    (log / "DURABLE").unlink()
    newest.write_bytes(newest.read_bytes().rstrip(b"\0")[:-1])
    tail = command("info", log, "--json").json()["recovery"]["tail_state"]
    assert tail["state"] == "TruncatedAt"
    assert (tail["segment"], tail["offset"] > 512, tail["discarded_bytes"] > 0) == (int(newest.stem[4:]), True, True)


def test_a_segment_without_its_seal_is_told(log: Path, command: Walogs) -> None:
    oldest = min(log.glob("wal-*.log"))
    data = oldest.read_bytes()
    oldest.write_bytes(data[: data.rindex(b"SEAL")])
    told = command("info", log)
    assert told.status == 0
    assert re.search(rf"^not sealed +{int(oldest.stem[4:])}: intact, only slower", told.out.decode(), re.MULTILINE)
    assert f"{oldest.name}, " in told.out.decode()


def text_of(told: Told) -> str:
    return told.out.decode()
