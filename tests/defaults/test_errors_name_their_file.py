"""An error of the system says which file or directory it is about, also when the failed call knew only its number."""

from __future__ import annotations

import errno
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import walogs
from walogs.cli.status import message_line
from walogs.defaults.local_store import LocalStore

BY_NUMBER = ("pread", "pwrite", "fsync", "fdatasync", "fstat", "ftruncate")
"""The calls whose errors come without a name."""
BY_NAME = ("open", "stat", "mkdir", "rename", "unlink", "listdir")
"""The calls whose errors have the name that the call was given, which is relative to an open directory."""


@contextmanager
def failing(call: str) -> Iterator[list[OSError]]:
    """Let each such call fail during the block. Yield the errors that it gave."""
    real, given = getattr(os, call), list[OSError]()

    def fail(name: object = None, *_: object, **__: object) -> object:
        error = OSError(errno.EIO, os.strerror(errno.EIO), *((name,) if isinstance(name, str) else ()))
        given.append(error)
        raise error

    setattr(os, call, fail)
    try:
        yield given
    finally:
        setattr(os, call, real)


DEEDS: dict[str, Callable[[LocalStore], object]] = {
    "segments": LocalStore.segments,
    "size": lambda store: store.size(1),
    "read": lambda store: store.read(1, 0, 4096),
    "read_durable_mark": LocalStore.read_durable_mark,
    "create": lambda store: store.create(3, bytes(512)),
    "extend": lambda store: store.extend(2, 1 << 16),
    "zero_from": lambda store: store.zero_from(2, 512),
    "trim": lambda store: store.trim(2, 512),
    "remove": lambda store: store.remove([1]),
    "set_aside": lambda store: store.set_aside(2, "damaged-000002-x"),
    "replace": lambda store: store.replace(2, [bytes(512)]),
    "drop_durable_mark": LocalStore.drop_durable_mark,
    "cursors": LocalStore.cursors,
    "read_cursor": lambda store: store.read_cursor("mailer", durable=True),
    "write_cursor": lambda store: store.write_cursor("mailer", bytes(120), durable=False),
    "write_cursor durably": lambda store: store.write_cursor("mailer", bytes(120), durable=True),
    "remove_cursor": lambda store: store.remove_cursor("mailer"),
    "cursor_lock": lambda store: store.cursor_lock("mailer").take(),
}


def log_with_a_cursor(path: Path) -> None:
    with walogs.open(path) as wal:
        wal.append(b"one")
        wal.rotate()
        wal.append(b"two")
        with wal.cursor("mailer") as cursor:
            cursor.commit(1)


def error_of(call: str, do: Callable[[], object]) -> OSError | None:
    """Return what *do* raises while each such call fails."""
    with failing(call) as given:
        try:
            do()
        except OSError as error:
            assert given
            return error
    return None


@pytest.mark.parametrize("call", [*BY_NUMBER, *BY_NAME])
def test_an_error_of_the_local_store_names_an_absolute_path(call: str, tmp_path: Path) -> None:
    told = dict[str, OSError]()
    log_with_a_cursor(tmp_path / "log")
    for number, (deed, do) in enumerate(DEEDS.items()):
        path = tmp_path / str(number)
        shutil.copytree(tmp_path / "log", path)
        store = LocalStore(path)
        store.acquire()
        store.sync(2, "data")
        error = error_of(call, functools.partial(do, store))
        store.close()
        if error is not None:
            told[deed] = error
            assert Path(error.filename or "").is_relative_to(path), f"{deed}: {error}"
    assert told


@pytest.mark.parametrize("call", ["pread", "fsync", "fstat", "open", "listdir"])
def test_an_error_of_open_names_an_absolute_path(call: str, tmp_path: Path) -> None:
    log_with_a_cursor(tmp_path / "log")
    error = error_of(call, lambda: walogs.open(tmp_path / "log"))
    assert error is not None
    assert os.path.isabs(error.filename)


def test_a_device_that_cannot_be_read_is_told_with_the_bytes_and_what_to_do(tmp_path: Path) -> None:
    log_with_a_cursor(tmp_path)
    with failing("pread"), pytest.raises(OSError) as told:
        LocalStore(tmp_path).read(2, 512, 1024)
    line = message_line(told.value)
    assert line.startswith(f"{tmp_path}/wal-000002.log: Input/output error. Bytes 512 to 1023 could not be read")
    assert "ddrescue" in line


@pytest.mark.parametrize("made", ["a directory", "a pipe"])
def test_what_is_no_file_in_the_place_of_a_cursor_is_named(made: str, tmp_path: Path) -> None:
    log_with_a_cursor(tmp_path)
    place = tmp_path / "cursors" / "other"
    (os.mkdir if made == "a directory" else os.mkfifo)(place)
    with walogs.open(tmp_path) as wal, pytest.raises(OSError, match="move it away") as told:
        wal.checkpoint()
    assert told.value.filename == str(place)
