"""The directory of an open log gets another name. The writer continues in it (A6), and so do its cursors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import walogs
from tests.defaults.local_stores import descriptors
from tests.handles.cursors import log, lsns
from walogs.defaults import cursor_files

__all__ = ["log"]


@pytest.fixture
def moved(log: Path) -> Path:
    return log.with_name("moved.wal")


@pytest.fixture
def wal(log: Path, moved: Path) -> Iterator[walogs.Wal]:
    """A log whose directory was renamed while it was open. The cursor `before` had been opened before."""
    with walogs.open(log) as wal:
        with wal.cursor("before") as cursor:
            cursor.commit(2)
        log.rename(moved)
        wal.append(b"after the rename")
        yield wal


def position_in(directory: Path, name: str) -> int:
    with walogs.reader(directory) as reader, reader.cursor(name) as cursor:
        return cursor.position


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize("name", ["before", "new"])
def test_a_writer_opens_its_cursors_under_the_new_name(wal: walogs.Wal, log: Path, moved: Path, name: str) -> None:
    with wal.cursor(name) as cursor:
        cursor.commit(5)
        for directory in (wal, walogs.reader(moved)):
            with pytest.raises(walogs.Locked, match=f"by process {os.getpid()} "):
                directory.cursor(name)
        cursor.commit(21, durable=False)
        assert lsns(cursor) == []
    assert position_in(moved, name) == 21
    assert not log.exists()


@pytest.mark.guarantee("G21")
def test_a_log_that_gets_the_old_name_keeps_its_cursors_to_itself(wal: walogs.Wal, log: Path, moved: Path) -> None:
    with walogs.open(log) as other, other.cursor("mailer") as its_own:
        other.append_batch([b"other"] * 9)
        its_own.commit(3)
        with wal.cursor("mailer") as cursor:
            cursor.commit(20)
            with wal.cursor("only-here"):
                assert sorted(os.listdir(log / "cursors")) == ["mailer", "mailer.lock"]
            its_own.commit(4)
            with walogs.reader(moved) as reader, pytest.raises(walogs.Locked):
                reader.cursor("mailer")
    assert (position_in(log, "mailer"), position_in(moved, "mailer")) == (4, 20)


@pytest.mark.guarantee("G21")
def test_a_cursor_that_is_held_through_the_rename_does_not_lock_that_of_the_other_log(log: Path, moved: Path) -> None:
    with walogs.open(log) as wal, wal.cursor("mailer") as held:
        log.rename(moved)
        with walogs.open(log) as other, other.cursor("mailer") as its_own:
            other.append(b"other")
            its_own.commit(1)
            held.commit(20)
        assert held.position == 20
    assert (position_in(log, "mailer"), position_in(moved, "mailer")) == (1, 20)


@pytest.mark.parametrize("there", ["nothing", "another log"])
def test_where_the_system_does_not_tell_the_new_name_the_cursor_is_refused(
    wal: walogs.Wal, log: Path, moved: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    if there == "another log":
        with walogs.open(log) as other:
            other.cursor("mailer").close()

    def unknown(path: str) -> str:
        raise FileNotFoundError(2, "there is no /proc", path)

    files, before = sorted((*log.rglob("*"), *moved.rglob("*"))), descriptors("/")
    monkeypatch.setattr(cursor_files.os, "readlink", unknown)
    for name in ("before", "mailer", "new"):
        with pytest.raises(walogs.UnsafeStore, match=r"was moved or replaced .* Nothing was changed"):
            wal.cursor(name)
    monkeypatch.undo()
    assert sorted((*log.rglob("*"), *moved.rglob("*"))) == files
    assert len(descriptors("/")) == len(before)
    wal.cursor("before").close()


def test_in_a_directory_that_was_removed_no_cursor_is_opened(tmp_path: Path) -> None:
    wal = walogs.open(tmp_path / "log")
    wal.append(b"one")
    wal.cursor("mailer").close()
    shutil.rmtree(tmp_path / "log")
    with pytest.raises((walogs.UnsafeStore, OSError)) as told:
        wal.cursor("mailer")
    assert str(tmp_path / "log") in str(told.value)
    assert not (tmp_path / "log").exists()
    with pytest.raises(walogs.UnsafeStore):
        wal.close()
