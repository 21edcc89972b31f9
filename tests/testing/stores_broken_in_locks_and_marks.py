"""Stores that keep the durable mark or the lock wrongly. Each is one override of the model."""

from __future__ import annotations

import contextlib
import time

from walogs.errors import Locked
from walogs.testing import DURABLE_MARK, MemoryStore
from walogs.testing.memory_store import _write_all


class DurableMarkThatRaises(MemoryStore):
    def write_durable_mark(self, data: bytes, *, durable: bool) -> bool:
        if self._durable_mark is None:
            self._durable_mark = self._open_durable_mark()
            durable = True
        _write_all(self._durable_mark, 0, data)
        if durable:
            self._durable_mark.sync("data")
        return True


class DurableMarkNeverSynced(MemoryStore):
    def write_durable_mark(self, data: bytes, *, durable: bool) -> bool:
        return super().write_durable_mark(data, durable=False)


class DurableMarkOfThisProcessOnly(MemoryStore):
    def read_durable_mark(self) -> bytes | None:
        return super().read_durable_mark() if self._durable_mark is not None else None


class DurableMarkDroppedWithoutSync(MemoryStore):
    def drop_durable_mark(self) -> None:
        self._durable_mark = None
        with contextlib.suppress(FileNotFoundError):
            self.process.unlink(DURABLE_MARK)


class DurableMarkDroppedInMemory(MemoryStore):
    def drop_durable_mark(self) -> None:
        self._dropped = True

    def read_durable_mark(self) -> bytes | None:
        return None if getattr(self, "_dropped", False) else super().read_durable_mark()

    def write_durable_mark(self, data: bytes, *, durable: bool) -> bool:
        self._dropped = False
        return super().write_durable_mark(data, durable=durable)


class AcquireWithoutLock(MemoryStore):
    def acquire(self) -> None:
        if self._holds_lock:
            raise Locked(self.name)
        self.process.sync_directory()
        self._holds_lock = True


class AcquireThatWaits(MemoryStore):
    """It waits until the lock is free."""

    def acquire(self) -> None:
        while True:
            try:
                super().acquire()
            except Locked:
                time.sleep(0.001)
            else:
                return


class AcquireThatKeepsHalf(MemoryStore):
    """Two locks, one after the other; whoever does not get the second keeps the first."""

    def acquire(self) -> None:
        if self._holds_lock or not self.process.lock("QUEUE"):
            raise Locked(self.name)
        super().acquire()
        self.process.unlock("QUEUE")


class AcquireWithoutDirectorySync(MemoryStore):
    def acquire(self) -> None:
        if self._holds_lock or not self.process.lock():
            raise Locked(self.name)
        self._holds_lock = True


class CloseThatKeepsTheLock(MemoryStore):
    def close(self) -> None:
        self._is_closed = True


class CloseThatTrims(MemoryStore):
    def close(self) -> None:
        if not self._is_closed and self._holds_lock and self.process.is_alive:
            for number in self.segments():
                self._open(number).truncate(len(self.read(number).rstrip(b"\0")))
        super().close()


class CloseOnlyOnce(MemoryStore):
    def close(self) -> None:
        if self._is_closed:
            raise ValueError("I/O operation on a closed store")
        super().close()


class LockThatAnybodyFrees(MemoryStore):
    """A key in a table; whoever closes deletes it."""

    def acquire(self) -> None:
        super().acquire()
        self.disk.__dict__["holder"] = self.process

    def close(self) -> None:
        holder = self.disk.__dict__.pop("holder", None)
        if holder is not None and holder.is_alive:
            holder.unlock()
        super().close()
