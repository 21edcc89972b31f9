"""The directory of a log is replaced while a consumer has a cursor in it: by a backup, another log, or nothing."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Walogs
from tests.defaults.local_stores import Calls
from tests.handles.cursors import log, lsns
from tests.system.children import forked
from walogs.defaults.local_store import LocalStore

__all__ = ["log"]

Opened = tuple[walogs.WalReader, walogs.Cursor]


@pytest.fixture
def copy(log: Path, tmp_path: Path) -> Path:
    """A backup of the log, which no cursor was opened in."""
    walogs.backup(log, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def opened(log: Path, copy: Path) -> Iterator[Opened]:
    """A cursor at entry 4 that is open, of a reader that is open."""
    with walogs.reader(log) as reader, reader.cursor("mailer") as cursor:
        cursor.commit(4)
        yield reader, cursor


def replace(log: Path, copy: Path) -> None:
    """Move the log away, and put the copy into its place."""
    log.rename(log.with_name("moved away"))
    copy.rename(log)


def fail_to_commit(cursor: walogs.Cursor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail in a commit of entry 5, so that only the store knows the position."""

    def fails(*_: object) -> None:
        raise OSError(5, "the sync fails")

    with monkeypatch.context() as patched:
        patched.setattr("walogs.defaults.whole_files.sync_full", fails)
        with pytest.raises(OSError, match="the sync fails"):
            cursor.commit(5)


def content(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize("durable", [True, False])
def test_a_commit_that_is_refused_changes_neither_the_position_nor_the_new_directory(
    opened: Opened, log: Path, copy: Path, durable: bool
) -> None:
    _, cursor = opened
    replace(log, copy)
    names, before = sorted(os.listdir(log)), content(log)
    with pytest.raises(walogs.UnsafeStore, match="Nothing was changed"):
        cursor.commit(5, durable=durable)
    assert (sorted(os.listdir(log)), content(log)) == (names, before)
    assert (cursor.position, lsns(cursor)[0], cursor.lag.entries) == (4, 5, 16)
    with walogs.reader(log) as other, other.cursor("mailer") as owned:
        owned.commit(8)
    assert (cursor.position, lsns(cursor)[0], cursor.lag.entries) == (4, 5, 16)


@pytest.mark.guarantee("G17", "G21")
def test_a_commit_that_is_refused_leaves_an_empty_directory_empty(opened: Opened, log: Path) -> None:
    _, cursor = opened
    shutil.rmtree(log)
    log.mkdir()
    with pytest.raises(walogs.UnsafeStore):
        cursor.commit(5)
    assert (os.listdir(log), cursor.position) == ([], 4)
    with walogs.open(log) as wal:
        assert wal.append(b"a new log") == 1


@pytest.mark.guarantee("G21")
def test_a_directory_that_is_away_for_a_moment_keeps_its_owner(opened: Opened, log: Path) -> None:
    """A rename and back, or a mount that was not there: the same directory returns, with the same lock."""
    _, cursor = opened
    log.rename(log.with_name("away"))
    with pytest.raises(FileNotFoundError):
        cursor.commit(5)
    assert not log.exists()
    log.with_name("away").rename(log)
    assert cursor.position == 4
    with walogs.reader(log) as other, pytest.raises(walogs.Locked):
        other.cursor("mailer")
    cursor.commit(6)
    assert cursor.position == 6


@pytest.mark.guarantee("G21")
def test_what_the_refusal_advises_works(opened: Opened, log: Path, copy: Path) -> None:
    reader, cursor = opened
    replace(log, copy)
    with pytest.raises(walogs.UnsafeStore, match="Close the cursor, and open the log and the cursor again"):
        cursor.commit(5)
    cursor.close()
    reader.close()
    with walogs.reader(log) as again, again.cursor("mailer") as owned:
        assert owned.position == 0
        owned.commit(5)
        assert owned.position == 5


@pytest.mark.guarantee("G21")
def test_an_unknown_position_is_not_taken_from_the_new_owner(
    opened: Opened, log: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit has failed, so the store is asked. It has the value of somebody else by then."""
    _, cursor = opened
    fail_to_commit(cursor, monkeypatch)
    replace(log, copy)
    with walogs.reader(log) as other, other.cursor("mailer") as owned:
        owned.commit(8)
    calls: list[Callable[[], object]] = [lambda: cursor.position, cursor.iter, lambda: cursor.lag]
    for call in (*calls, lambda: cursor.commit(9)):
        with pytest.raises(walogs.UnsafeStore, match="another directory has come into its place"):
            call()
    with walogs.reader(log) as other, other.cursor("mailer") as owned:
        assert owned.position == 8


@pytest.mark.guarantee("G21")
def test_a_refused_owner_stays_refused_although_its_directory_comes_back(opened: Opened, log: Path, copy: Path) -> None:
    """Another owner may have had the cursor meanwhile: the refused one has freed it."""
    _, cursor = opened
    replace(log, copy)
    with pytest.raises(walogs.UnsafeStore):
        cursor.commit(5)
    log.rename(copy)
    log.with_name("moved away").rename(log)
    with walogs.reader(log) as other, other.cursor("mailer") as owned:
        owned.commit(7)
        with pytest.raises(walogs.UnsafeStore):
            cursor.commit(9)
        assert owned.position == 7


def test_the_advice_for_a_value_that_is_gone_works(
    opened: Opened, log: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    _, cursor = opened
    fail_to_commit(cursor, monkeypatch)
    (log / "cursors/mailer").unlink()
    with pytest.raises(walogs.Corrupt, match=r"is gone\. Nothing was changed\. Close it, and `walogs cursors ") as told:
        cursor.commit(5)
    cursor.close()
    for typed in re.findall("`walogs (.*?)`", str(told.value)):
        result = Walogs(capfdbinary)(*shlex.split(typed.replace("LSN", "3")))
        assert result.status == 0, result.err
    with walogs.reader(log) as reader, reader.cursor("mailer") as again:
        assert again.position == 3


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize("was_refused", [True, False])
def test_the_old_cursor_of_a_reader_does_not_move_the_new_one(
    opened: Opened, log: Path, copy: Path, was_refused: bool
) -> None:
    """Both have the same name, and are opened through the same store object."""
    reader, old = opened
    replace(log, copy)
    if was_refused:
        with pytest.raises(walogs.UnsafeStore):
            old.commit(5)
    else:
        with pytest.raises(walogs.UnsafeStore, match="Close the cursor"):
            reader.cursor("mailer")
        assert not (log / "cursors").exists()
        old.close()
    with reader.cursor("mailer") as new:
        new.commit(1)
        for durable in (True, False):
            with pytest.raises(walogs.UnsafeStore if was_refused else walogs.Closed):
                old.commit(9, durable=durable)
        assert new.position == 1
        old.close()
        with pytest.raises(walogs.Locked):
            reader.cursor("mailer")
        new.commit(2)
    with reader.cursor("mailer") as again:
        assert again.position == 2


@pytest.mark.guarantee("G21")
def test_a_writer_that_opens_the_new_log_by_the_same_store_does_not_hide_the_old_lock(log: Path, copy: Path) -> None:
    store = LocalStore(log)
    with walogs.reader(store=store) as reader, reader.cursor("mailer") as old:
        old.commit(4)
        replace(log, copy)
        with walogs.open(store=store) as wal:
            with pytest.raises(walogs.UnsafeStore, match="Close the cursor"):
                wal.cursor("mailer")
            with walogs.reader(log) as other, other.cursor("mailer") as owned:
                with pytest.raises(walogs.UnsafeStore):
                    old.commit(9)
                owned.commit(1)
            with wal.cursor("mailer") as new:
                assert new.position == 1


@pytest.mark.guarantee("G21")
def test_the_first_value_in_a_new_directory_is_durable_with_all_names(
    opened: Opened, log: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, old = opened
    old.close()
    replace(log, copy)
    calls = Calls(monkeypatch)
    reader.cursor("mailer").close()
    assert calls.of("fsync") == ["mailer.tmp", "cursors", log.name]
    monkeypatch.undo()


def test_a_forked_child_opens_a_cursor_of_its_own_in_the_new_directory(opened: Opened, log: Path, copy: Path) -> None:
    reader, old = opened
    replace(log, copy)

    def child() -> None:
        with walogs.reader(log) as other, other.cursor("auditor"), reader.cursor("mailer") as own:
            own.commit(3)

    assert forked(child) == 0
    with pytest.raises(walogs.UnsafeStore):
        old.commit(5)
    with reader.cursor("mailer") as new:
        assert new.position == 3
