"""Long work shows a terminal how far it is, and nothing of that to anybody else."""

from __future__ import annotations

from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Walogs, on_a_terminal


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """More than is done before anybody could read a bar."""
    with walogs.open(tmp_path / "log", max_segment_size=2 << 20) as wal:
        for number in range(12):
            wal.append(number.to_bytes(4, "big") * (1 << 18))
    return tmp_path / "log"


def test_a_terminal_sees_how_far_it_is(log: Path) -> None:
    shown = {command: on_a_terminal(command, log) for command in ("verify", "info")}
    assert all("checking" in text for text in shown.values())
    assert "copying" in on_a_terminal("backup", log, log.with_name("copy"))
    assert "checking" in on_a_terminal("repair", log)
    assert "repairing" in on_a_terminal("repair", log, "--yes")


def test_little_is_done_before_anybody_reads_a_bar(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "small", max_segment_size=1000) as wal:
        for _ in range(40):
            wal.append(b"entry" * 10)
    assert "checking" not in on_a_terminal("verify", tmp_path / "small")
    assert "checking" not in on_a_terminal("info", tmp_path / "small")
    assert "copying" not in on_a_terminal("backup", tmp_path / "small", tmp_path / "copy")
    for repair in (
        on_a_terminal("repair", tmp_path / "small"),
        on_a_terminal("repair", tmp_path / "small", "--dry-run"),
    ):
        assert "repairing" not in repair
        assert "\x1b[?25l" not in repair, "the cursor is hidden"


def test_what_is_no_terminal_sees_nothing_of_it(log: Path, command: Walogs) -> None:
    for tokens in (("verify", log), ("info", log), ("repair", log), ("backup", log, log.with_name("copy"))):
        told = command(*tokens)
        assert (told.status, told.error) == (0, "")
        assert b"\x1b" not in told.out
