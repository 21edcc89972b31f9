"""Stores that hide a failure, or replace a segment wrongly. Each is one override of the model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from typing_extensions import Buffer

from walogs.errors import Locked, NoSpace, SegmentExists, SegmentNotFound
from walogs.protocols import SyncKind
from walogs.testing import Handle, MemoryStore
from walogs.testing.memory_store import _write_all


class ReusesWhatItHasRemoved(MemoryStore):
    """Each call by itself is right; but what is created after a removal is given blocks that the oldest segment has."""

    _has_removed = False

    def remove(self, numbers: Sequence[int]) -> None:
        super().remove(numbers)
        self._has_removed |= bool(numbers)

    def create(self, number: int, data: Buffer) -> None:
        super().create(number, data)
        oldest = self.segments()[0]
        if self._has_removed and oldest < number:
            handle = self._open(oldest)
            _write_all(handle, 0, bytes(handle.size))


class SetAsideByMoving(MemoryStore):
    def set_aside(self, number: int, name: str) -> None:
        super().set_aside(number, name)
        self.process.unlink(self.segment_name(number))
        self.process.sync_directory()


class ReplaceOfWhatIsEmptyByThen(MemoryStore):
    """Room is made first; the pieces are read from what is left."""

    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        self._open(number).truncate(0)
        super().replace(number, pieces)


class ReplaceInPlace(MemoryStore):
    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        handle, content = self._open(number), b"".join(bytes(piece) for piece in pieces)
        handle.truncate(0)
        _write_all(handle, 0, content)
        handle.sync()


class ReplaceAsItReads(MemoryStore):
    """The pieces go straight into the segment that they are read from."""

    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        kept: list[Buffer] = []
        try:
            kept.extend(pieces)
        finally:
            super().replace(number, kept)


class SyncOfWhatItHasWritten(MemoryStore):
    """What is not dirty needs no sync; and of what others wrote it knows nothing."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._dirty: set[int] = set()

    def write(self, number: int, offset: int, data: Buffer) -> None:
        self._dirty.add(number)
        super().write(number, offset, data)

    def zero_from(self, number: int, offset: int) -> None:
        self._dirty.add(number)
        super().zero_from(number, offset)

    def sync(self, number: int, kind: SyncKind) -> None:
        if number in self._dirty:
            super().sync(number, kind)
            self._dirty.discard(number)


class SyncOfTheNewest(MemoryStore):
    """Who syncs one that is not the newest is sealing it, it thinks, and that has time."""

    def sync(self, number: int, kind: SyncKind) -> None:
        if number == self.segments()[-1]:
            super().sync(number, kind)


class SetAsideWithoutDirectorySync(MemoryStore):
    def set_aside(self, number: int, name: str) -> None:
        self._open(number)
        if name in self.process.names():
            raise SegmentExists(name)
        self.process.link(self.segment_name(number), name)


class SetAsideByALinkThatIsWrittenTo(MemoryStore):
    def _open_alone(self, number: int) -> Handle:
        return self._open(number)


class ReplaceThatMakesRoom(MemoryStore):
    """Where there is none, the old bytes are in the way."""

    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        try:
            super().replace(number, pieces)
        except NoSpace:
            self._open(number).truncate(0)
            raise


class WriteThatSwallows(MemoryStore):
    """A cache is no place to fail, it thinks."""

    def write(self, number: int, offset: int, data: Buffer) -> None:
        with contextlib.suppress(OSError):
            super().write(number, offset, data)


class ExtendThatSwallows(MemoryStore):
    """A window is only an optimization, it thinks."""

    def extend(self, number: int, size: int) -> None:
        try:
            super().extend(number, size)
        except NoSpace:
            raise
        except OSError:
            pass


class TrimThatSwallows(MemoryStore):
    def trim(self, number: int, size: int) -> None:
        with contextlib.suppress(OSError):
            super().trim(number, size)


class CutThatSwallows(MemoryStore):
    def zero_from(self, number: int, offset: int) -> None:
        with contextlib.suppress(OSError):
            super().zero_from(number, offset)


class RemoveThatSwallows(MemoryStore):
    """What is not removed now is removed next time, it thinks."""

    def remove(self, numbers: Sequence[int]) -> None:
        with contextlib.suppress(OSError):
            super().remove(numbers)


class DurableMarkDroppedPerhaps(MemoryStore):
    """Advisory, as it is written: so nothing is said."""

    def drop_durable_mark(self) -> None:
        with contextlib.suppress(OSError):
            super().drop_durable_mark()


class AcquireThatKeepsTheLockWhenItFails(MemoryStore):
    """What comes after the lock may fail too."""

    def acquire(self) -> None:
        if self._holds_lock or not self.process.lock():
            raise Locked(self.name)
        self.process.sync_directory()
        self._holds_lock = True


class CreateThatTripsOverItsLeftovers(MemoryStore):
    """Its temporary file is created exclusively, and nobody removes that of a process that died."""

    def remove(self, numbers: Sequence[int]) -> None:
        self._refuse_without_lock()
        for name in {self.segment_name(number) for number in numbers} & set(self.process.names()):
            self.process.unlink(name)
        self.process.sync_directory()

    def create(self, number: int, data: Buffer) -> None:
        self._refuse_without_lock()
        if f"{self.segment_name(number)}.tmp" in self.process.names():
            raise FileExistsError(f"{self.segment_name(number)}.tmp")
        super().create(number, data)


class MissingWhatItCannotRead(MemoryStore):
    """Every error is that there is none."""

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        try:
            return super().read(number, start, end)
        except OSError as error:
            raise SegmentNotFound(self.segment_name(number)) from error
