"""A handle is closed that has cursors: what a close that is refused or interrupted leaves."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.handles.cursors import log
from tests.kit.callers import OURS, reached
from walogs.defaults import cursor_files
from walogs.handles.cursor import Cursor
from walogs.testing import MemoryDisk, MemoryStore

__all__ = ["log"]

Shape = Callable[[Path], walogs.Wal | walogs.WalReader]

shapes = pytest.mark.parametrize("shape", [walogs.open, walogs.reader])


def during(monkeypatch: pytest.MonkeyPatch, place: str, do: Callable[[], object]) -> None:
    """Call *do* at the next call of that function, as a signal handler can."""
    module, name = place.rsplit(".", 1)
    real = getattr(__import__(module, fromlist=[name]), name)

    def call(*given: object) -> object:
        monkeypatch.setattr(place, real)
        do()
        return real(*given)

    monkeypatch.setattr(place, call)


def refused(handle: walogs.Wal | walogs.WalReader) -> None:
    with pytest.raises(walogs.Reentered, match=r"(?i)nothing was done"):
        handle.close()


def works(handle: walogs.Wal | walogs.WalReader, *cursors: walogs.Cursor) -> None:
    """Use all that a close would have closed, and then close it."""
    assert not handle.closed
    for number, cursor in enumerate(cursors, 1):
        cursor.commit(number)
    handle.cursor("another").close()
    handle.close()
    assert handle.closed
    assert all(cursor.closed for cursor in cursors)


@pytest.mark.guarantee("G18")
@shapes
def test_a_close_in_the_middle_of_a_commit_of_a_cursor_leaves_all_open(
    shape: Shape, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = shape(log)
    cursors = [handle.cursor(f"mailer-{number}") for number in range(9)]
    during(monkeypatch, "walogs.defaults.cursor_files.sync_full", lambda: refused(handle))
    cursors[4].commit(2)
    works(handle, *cursors[:4])
    assert cursor_files.sync_full.__module__ == "walogs.defaults.posix", "it was called"


@pytest.mark.guarantee("G18")
def test_a_close_in_the_middle_of_an_append_leaves_the_cursors_open(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wal = walogs.open(log)
    cursor = wal.cursor("mailer")
    during(monkeypatch, "walogs.defaults.local_store.sync_data", lambda: refused(wal))
    assert wal.append(b"one more") == 21
    works(wal, cursor)


@pytest.mark.guarantee("G18")
@shapes
def test_an_interrupted_close_leaves_a_handle_that_opens_cursors(
    shape: Shape, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = shape(log)
    cursors = [handle.cursor(f"mailer-{number}") for number in range(3)]
    close, closed = Cursor.close, []

    def interrupted(self: Cursor) -> None:
        if closed:
            raise KeyboardInterrupt
        closed.append(self)
        close(self)

    with monkeypatch.context() as patched:
        patched.setattr(Cursor, "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            handle.close()
    assert [cursor.closed for cursor in cursors].count(True) == 1
    works(handle, *(cursor for cursor in cursors if not cursor.closed))
    with walogs.open(log) as wal, wal.cursor("mailer-1") as again:
        assert not again.closed


@pytest.mark.guarantee("G18")
def test_a_close_that_is_interrupted_after_the_cursors_can_be_called_again(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wal = walogs.open(log)
    cursor = wal.cursor("mailer")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(wal._commits.turns, "run", lambda _: interrupt())
        with pytest.raises(KeyboardInterrupt):
            wal.close()
    assert cursor.closed
    works(wal)


@shapes
def test_a_cursor_that_is_opened_during_the_close_is_closed_with_it(
    shape: Shape, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread has opened it when the others were closed."""
    handle, late, close = shape(log), [], Cursor.close
    first = handle.cursor("mailer")

    def closing(self: Cursor) -> None:
        close(self)
        if not late:
            late.append(handle.cursor("late"))

    monkeypatch.setattr(Cursor, "close", closing)
    handle.close()
    monkeypatch.undo()
    assert [cursor.closed for cursor in (first, *late)] == [True, True]
    with walogs.open(log) as wal:
        wal.cursor("late").close()


@pytest.mark.guarantee("G18")
def test_an_interrupt_at_any_point_of_a_close_leaves_what_a_second_close_ends() -> None:
    """At every fourth point in one run, from any on."""
    at, was_reached = -random.randrange(4), True
    while was_reached:
        at += 4
        disk = MemoryDisk()
        wal = walogs.open(store=MemoryStore(disk))
        wal.append_batch([b"one", b"two"])
        cursors = [wal.cursor(name) for name in ("auditor", "mailer")]
        with contextlib.suppress(KeyboardInterrupt):
            was_reached = reached(wal.close, at, interrupt, OURS)
        if not wal._commits.turns.is_closed:
            wal.cursor("another").close()
        wal.close()
        assert all(cursor.closed for cursor in cursors)
        with walogs.open(store=MemoryStore(disk)) as again:
            for name in ("auditor", "mailer", "another"):
                again.cursor(name).close()
    print(f"up to point {at}")
    assert at > 100


def interrupt() -> None:
    raise KeyboardInterrupt
