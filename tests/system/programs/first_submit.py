"""Calls `submit` from a handler in the middle of this process's first `submit`, which imports what it needs.

usage: first_submit.py DIRECTORY FIRST STEP     Each point is tried in a fork of its own, where nothing is imported yet.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType

import walogs
from tests.kit.signals import looks_for_signals


def reached(call: Callable[[], object], at: int, meanwhile: Callable[[], object]) -> bool:
    """Run *meanwhile* at point *at* of *call*, where the interpreter looks for signals. Return whether it ran."""
    seen, was_reached = 0, False

    def look(frame: FrameType, event: str, arg: object) -> None:
        nonlocal seen, was_reached
        if not was_reached and looks_for_signals(frame, event) and not is_lock_of_an_import(frame):
            seen += 1
            if seen == at:
                was_reached = True
                meanwhile()

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return was_reached


def is_lock_of_an_import(frame: FrameType) -> bool:
    """Whether Python takes or frees the lock of a module here. A handler that imports in the middle of that breaks it
    (`KeyError` in the import that it interrupted, on CPython 3.11), whatever it imports."""
    owner = type(frame.f_locals.get("self")).__name__
    return frame.f_code.co_filename == "<frozen importlib._bootstrap>" and owner in (
        "_ModuleLock",
        "_ModuleLockManager",
    )


def attempt(path: str, at: int) -> bool:
    wal = walogs.open(path, sync="none")
    wal.append(b"0")
    assert "walogs.handles.futures" not in sys.modules
    mine: list[object] = []
    told: list[object] = []

    def handler() -> None:
        try:
            told.append(wal.submit(b"handler"))
        except walogs.WalError as error:
            told.append(error)

    was_reached = reached(lambda: mine.append(wal.submit(b"main")), at, handler)
    wal.submit(b"later").result(300)
    entries = dict(wal)
    assert entries[mine[0].result(300)] == b"main", mine  # type: ignore[attr-defined]
    for outcome in told:
        if isinstance(outcome, walogs.WalError):
            assert isinstance(outcome, walogs.Reentered), repr(outcome)
            assert b"handler" not in entries.values()
        else:
            assert dict(wal)[outcome.result(300)] == b"handler"  # type: ignore[attr-defined]
    wal.close()
    return was_reached


def main() -> None:
    directory, first, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    at, count = first, 0
    while True:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = 0 if attempt(f"{directory}/{at}", at) else 3
            except BaseException as error:
                error.add_note(f"at point {at}")
                raise
            finally:
                sys.excepthook(*sys.exc_info()) if status == 1 else None  # type: ignore[arg-type]
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == 3:
            break
        assert status == 0, f"point {at}: status {status}"
        at += step
        count += 1
    print(f"{count} points")
    assert count > 10


if __name__ == "__main__":
    main()
