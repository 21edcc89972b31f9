"""The cursors of a `MemoryStore`. They do to the modelled disk what those of the local store do to a real one."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from walogs.errors import Locked, NoSpace
from walogs.testing.faults import LawBroken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from walogs.testing.memory_disk import Process

__all__ = ["CURSORS", "MemoryCursorLock", "MemoryCursors"]

CURSORS: Final = "cursors"
"""The name of their directory."""
_TEMPORARY: Final = ".tmp"
_LOCK: Final = ".lock"
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class MemoryCursors:
    """The cursors on a modelled disk, as one process uses them. *log* is the name of the log in messages.

    If *laws* is true, a caller that changes a cursor without its lock gets `LawBroken`.
    """

    def __init__(self, process: Process, log: str, *, laws: bool) -> None:
        self._process = process
        self._log = log
        self._laws = laws
        self._is_named = False
        """Whether this process has synced the name of the directory."""
        self.locks: dict[str, MemoryCursorLock] = {}
        """The locks that this process has, by the names of their cursors."""

    def names(self) -> Sequence[str]:
        """Return the names of the cursors that have a value, ascending."""
        names = self._process.names(CURSORS) if CURSORS in self._process.names() else []
        return sorted(name for name in names if not name.endswith((_TEMPORARY, _LOCK)))

    def read(self, name: str, *, durable: bool) -> bytes | None:
        """Return the value, or None. If *durable* is true, sync the names, so that no power cut takes it back."""
        try:
            handle = self._process.open(f"{CURSORS}/{name}")
        except FileNotFoundError:
            return None
        data = handle.read(0, handle.size)
        if durable:
            self._sync_names()
        return data

    def write(self, name: str, data: bytes, *, durable: bool) -> None:
        """Write a temporary file, sync it, rename it, and sync the directory if *durable* is true.

        The first value is always durable. Raises `NoSpace`; nothing has changed then.
        """
        self._refuse_without_lock(name)
        if CURSORS not in self._process.names():
            with suppress(FileExistsError):
                self._process.make_directory(CURSORS)
        names = self._process.names(CURSORS)
        path = f"{CURSORS}/{name}"
        if name + _TEMPORARY in names:
            self._process.unlink(path + _TEMPORARY)
        self._write_temporary(path + _TEMPORARY, data)
        self._process.rename(path + _TEMPORARY, path)
        if durable or name not in names:
            self._sync_names()

    def _sync_names(self) -> None:
        self._process.sync_directory(CURSORS)
        if not self._is_named:
            self._process.sync_directory()
            self._is_named = True

    def _write_temporary(self, path: str, data: bytes) -> None:
        handle = self._process.create_exclusive(path)
        try:
            written = 0
            while written < len(data):
                written += handle.write(written, data[written:])
            handle.sync("full")
        except OSError as error:
            with suppress(OSError):
                self._process.unlink(path)
            if error.errno in _NO_ROOM:
                raise NoSpace(error.errno, f"no room to write {path.removesuffix(_TEMPORARY)}") from error
            raise

    def remove(self, name: str) -> None:
        """Unlink the value, and sync the directory."""
        self._refuse_without_lock(name)
        if CURSORS not in self._process.names():
            return
        for found in {name, name + _TEMPORARY}.intersection(self._process.names(CURSORS)):
            self._process.unlink(f"{CURSORS}/{found}")
        self._process.sync_directory(CURSORS)

    def lock(self, name: str) -> MemoryCursorLock:
        """Return an object that can take the lock of this cursor."""
        return MemoryCursorLock(self, self._process, name, f"cursor {name!r} of {self._log}")

    def _refuse_without_lock(self, name: str) -> None:
        if self._laws and name not in self.locks:
            raise LawBroken(f"cursor {name!r} of {self._log} was to be changed by a caller that has not locked it")


class MemoryCursorLock:
    """A `CursorLock`. The lock is one of the modelled disk, and is freed when its process dies."""

    def __init__(self, cursors: MemoryCursors, process: Process, name: str, told: str) -> None:
        self._cursors = cursors
        self._process = process
        self._name = name
        self._told = told

    def take(self) -> None:
        """Take the lock. Raises `Locked` if another live process or another object has it."""
        if self._cursors.locks.setdefault(self._name, self) is not self:
            raise Locked(f"{self._told} is open in this process already; close it there first")
        if not self._process.lock(f"{CURSORS}/{self._name}{_LOCK}"):
            self.release()
            raise Locked(f"{self._told} is open in another process on this disk; close it there first")

    def release(self) -> None:
        """Free the lock if this object holds it."""
        if self._cursors.locks.get(self._name) is self:
            self._process.unlock(f"{CURSORS}/{self._name}{_LOCK}")
            del self._cursors.locks[self._name]
