"""Stores that keep cursors wrongly. Each is one override of the model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from walogs.errors import Locked, NoSpace
from walogs.protocols.cursor_store import CursorLock
from walogs.testing import MemoryStore
from walogs.testing.memory_cursors import CURSORS, MemoryCursorLock, MemoryCursors


class CursorsOfThisProcessOnly(MemoryStore):
    """It remembers what it has written."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._values: dict[str, bytes] = {}

    def read_cursor(self, name: str, *, durable: bool = False) -> bytes | None:
        return self._values.get(name)

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        super().write_cursor(name, data, durable=durable)
        self._values[name] = data

    def remove_cursor(self, name: str) -> None:
        super().remove_cursor(name)
        self._values.pop(name, None)


class CursorsListedAsMade(MemoryStore):
    def cursors(self) -> Sequence[str]:
        self._refuse_if_closed()
        names = self.process.names(CURSORS) if CURSORS in self.process.names() else []
        return [name for name in names if not name.endswith(".tmp")]


class DamagedCursorIsNone(MemoryStore):
    def read_cursor(self, name: str, *, durable: bool = False) -> bytes | None:
        data = super().read_cursor(name, durable=durable)
        return data if data and any(data) else None


class CursorNeedsAcquire(MemoryStore):
    """It takes the lock of the log for the time of a write."""

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        if not self.process.lock():
            raise Locked(self.name)
        try:
            super().write_cursor(name, data, durable=durable)
        finally:
            self.process.unlock()


class CursorWithoutDirectorySync(MemoryStore):
    """The value is synced, and its name is not."""

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        sync = self.process.sync_directory
        self.process.sync_directory = lambda directory="": None  # type: ignore[method-assign]
        try:
            super().write_cursor(name, data, durable=durable)
        finally:
            self.process.sync_directory = sync  # type: ignore[method-assign]


class CursorInADirectoryWithoutAName(MemoryStore):
    """The name of the directory of the cursors is never synced."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._cursors._is_named = True


class CursorReplacedWithoutSync(MemoryStore):
    """What need not be durable is renamed before it is synced."""

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        if durable or name not in self.cursors():
            super().write_cursor(name, data, durable=durable)
            return
        self._refuse_if_closed()
        with suppress(FileNotFoundError):
            self.process.unlink(f"{CURSORS}/{name}.tmp")
        self.process.create_exclusive(f"{CURSORS}/{name}.tmp").write(0, data)
        self.process.rename(f"{CURSORS}/{name}.tmp", f"{CURSORS}/{name}")


class CursorWrittenInPlace(MemoryStore):
    """A process that dies in the middle leaves half of the value."""

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        if name not in self.cursors():
            super().write_cursor(name, data, durable=durable)
            return
        self._refuse_if_closed()
        handle = self.process.open(f"{CURSORS}/{name}")
        handle.write(0, data)
        if durable:
            handle.sync("full")


class DurableByDeclarationOfACursor(MemoryStore):
    """Who asks for a durable value gets whatever is there."""

    def read_cursor(self, name: str, *, durable: bool = False) -> bytes | None:
        return super().read_cursor(name, durable=False)


class CursorThatSwallows(MemoryStore):
    """A failed sync of the value is not reported."""

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        try:
            super().write_cursor(name, data, durable=durable)
        except OSError as error:
            if error.errno != 5 or name not in self.cursors():
                raise


class CursorRemovedWithoutDirectorySync(MemoryStore):
    def remove_cursor(self, name: str) -> None:
        self._refuse_if_closed()
        with suppress(FileNotFoundError):
            self.process.unlink(f"{CURSORS}/{name}")


class CursorThatMakesRoom(MemoryStore):
    """If there is no room for the new value, it removes the old one, and asks for another call."""

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        try:
            super().write_cursor(name, data, durable=durable)
        except NoSpace:
            self.remove_cursor(name)
            raise


class LockOfAProcess(MemoryStore):
    """Two objects of one process have the lock of a cursor at the same time."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **{**options, "laws": False})

    def cursor_lock(self, name: str) -> CursorLock:
        self._refuse_if_closed()
        return MemoryCursorLock(MemoryCursors(self.process, self.name, laws=False), self.process, name, name)


class CursorOpenOnceForAll(MemoryStore):
    """A child that makes a store object of its own frees the lock that its parent has."""

    def cursor_lock(self, name: str) -> CursorLock:
        owners = self.disk.__dict__.setdefault("owners", {})
        if owners.setdefault(name, os.getpid()) != os.getpid():
            self.disk._locks.pop(f"{CURSORS}/{name}.lock", None)
        return super().cursor_lock(name)
