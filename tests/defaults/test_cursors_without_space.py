"""A cursor is opened on a file system that has no space, or no inode, left: at each step, it is told as `NoSpace`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.defaults.local_stores import NO_SPACE, Call, Calls
from walogs.plugins import PathLock

STEPS = {
    "the directory": ("mkdir", "cursors"),
    "the lock": ("open", "mailer.lock"),
    "the file of the value": ("open", "mailer.tmp"),
    "the value": ("pwrite", "mailer.tmp"),
}


@pytest.mark.guarantee("G9", "G21")
@pytest.mark.parametrize("number", NO_SPACE, ids=os.strerror)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("shape", [walogs.open, walogs.reader])
def test_a_cursor_that_finds_no_space_says_so_and_opens_with_some(
    shape: Callable[[Path], walogs.Wal | walogs.WalReader],
    step: str,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = tmp_path / "log"
    with walogs.open(log) as wal:
        wal.append(b"one")
    name, target = STEPS[step]
    with shape(log) as handle:
        calls = Calls(monkeypatch)
        calls.fail(name, target, number)
        with pytest.raises(walogs.NoSpace) as told:
            handle.cursor("mailer")
        monkeypatch.undo()
        assert Call(name, target) in calls.made
        assert told.value.errno == number
        assert os.path.dirname(told.value.filename) == str(log if name == "mkdir" else log / "cursors")
        assert any("free some space" in note for note in told.value.__notes__)
        with handle.cursor("mailer") as cursor:
            cursor.commit(1)


@pytest.mark.parametrize("number", NO_SPACE, ids=os.strerror)
def test_a_lock_by_its_path_that_finds_no_space_says_so(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite locks its cursors so."""
    lock = PathLock(str(tmp_path / "mailer.lock"), "the mailer is running")
    Calls(monkeypatch).fail("open", "mailer.lock", number)
    with pytest.raises(walogs.NoSpace) as told:
        lock.take()
    monkeypatch.undo()
    assert told.value.filename == str(tmp_path / "mailer.lock")
    lock.take()
    lock.release()
