"""A LocalStore whose system calls are recorded, and made to fail."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from walogs.defaults import local_store
from walogs.defaults.local_store import LocalStore

HEADER: Final = b"h" * 512


NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


FIRST: Final = "wal-000001.log"


DURABLE_MARK_BYTES: Final = bytes(range(64))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    made = LocalStore(tmp_path / "log")
    made.acquire()
    yield made
    made.close()


@pytest.fixture
def set_umask() -> Iterator[Callable[[int], object]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


class Call(NamedTuple):
    name: str
    target: str
    """Name of the file, in its directory, that the call was about."""


class Calls:
    """Every system call of the local store that changes something, in order; and those told to fail do."""

    NAMES: Final = ("open", "pwrite", "fsync", "fdatasync", "rename", "unlink", "ftruncate", "mkdir")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Call] = []
        self.failing: Callable[[Call], int] = lambda _: 0
        """The errno a call fails with; 0: it does not."""
        for name in self.NAMES:
            monkeypatch.setattr(local_store.os, name, self._recording(name, getattr(os, name)))

    def _recording(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def recorded(*args: object, **kwargs: object) -> object:
            subject = args[0]
            path = os.readlink(f"/proc/self/fd/{subject}") if isinstance(subject, int) else os.fspath(subject)  # type: ignore[call-overload]
            call = Call(name, os.path.basename(path))
            self.made.append(call)
            if number := self.failing(call):
                raise OSError(number, os.strerror(number), path)
            return real(*args, **kwargs)

        return recorded

    def of(self, name: str) -> list[str]:
        return [call.target for call in self.made if call.name == name]

    def fail(self, name: str, target: str, number: int) -> None:
        self.failing = lambda call: number if call == Call(name, target) else 0


@pytest.fixture
def calls(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Records what the store does from here on."""
    return Calls(monkeypatch)


def descriptors(directory: str) -> list[int]:
    """This process's open descriptors of files in *directory*, and of the directory itself."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(directory):
                found.append(int(name))
    return found


def content(store: LocalStore, name: str) -> bytes:
    return Path(store.path, name).read_bytes()
