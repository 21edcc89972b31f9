"""Stores that create, write, sync or cut a segment wrongly. Each is one override of the model."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from typing import Any

from typing_extensions import Buffer

from walogs.errors import NoSpace, SegmentExists
from walogs.protocols import SyncKind
from walogs.testing import MemoryStore
from walogs.testing.memory_store import _write_all


class CreateWithoutDirectorySync(MemoryStore):
    def create(self, number: int, data: Buffer) -> None:
        self._refuse_without_lock()
        name = self.segment_name(number)
        if name in self.process.names():
            raise SegmentExists(name)
        self._refuse_if_too_large(memoryview(data).nbytes, name)
        leftover = f"{name}.tmp" in self.process.names()
        self._write_temporary(f"{name}.tmp", (data,), is_leftover=leftover)
        self.process.rename(f"{name}.tmp", name)


class CreateInPlace(MemoryStore):
    """No temporary file: whoever dies half way leaves half a segment, under its name."""

    def create(self, number: int, data: Buffer) -> None:
        self._refuse_without_lock()
        name = self.segment_name(number)
        if name in self.process.names():
            raise SegmentExists(name)
        self._refuse_if_too_large(memoryview(data).nbytes, name)
        try:
            handle = self.process.create_exclusive(name)
            _write_all(handle, 0, data)
            handle.sync("full")
            self.process.sync_directory()
        except OSError as error:
            with contextlib.suppress(OSError):
                self.process.unlink(name)
            raise NoSpace(error.errno or 0, name) from error


class CreateThatOverwrites(MemoryStore):
    def create(self, number: int, data: Buffer) -> None:
        try:
            super().create(number, data)
        except SegmentExists:
            self.replace(number, [data])


class CreateThatForgetsWhatItCouldNotName(MemoryStore):
    """It answers a failure of the last step as if nothing were there, and the number comes back."""

    def segments(self) -> Sequence[int]:
        return [number for number in super().segments() if number not in self._unnamed]

    def create(self, number: int, data: Buffer) -> None:
        try:
            super().create(number, data)
        except OSError:
            if number in super().segments():
                self._unnamed.add(number)
            raise

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._unnamed: set[int] = set()


class CreateThatLeavesHalf(MemoryStore):
    """Where room is refused, what fitted stays, under the segment's name."""

    def create(self, number: int, data: Buffer) -> None:
        try:
            super().create(number, data)
        except NoSpace:
            if memoryview(data).nbytes <= self.capabilities.segment_bytes_max:
                with contextlib.suppress(OSError):
                    self.process.create_exclusive(self.segment_name(number))
            raise


class NoLimitAtAll(MemoryStore):
    def _refuse_if_too_large(self, size: int, name: str) -> None:
        pass


class RemoveWithoutDirectorySync(MemoryStore):
    def remove(self, numbers: Sequence[int]) -> None:
        self._refuse_without_lock()
        for name in {self.segment_name(number) for number in numbers} & set(self.process.names()):
            self.process.unlink(name)


class RemoveThatWantsThemThere(MemoryStore):
    def remove(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.size(number)
        super().remove(numbers)


class RemoveOfARange(MemoryStore):
    """From the first to the last: DELETE … WHERE number BETWEEN."""

    def remove(self, numbers: Sequence[int]) -> None:
        there = set(numbers) & set(self.segments())
        super().remove([n for n in self.segments() if there and min(there) <= n <= max(there)])


class SyncThatLies(MemoryStore):
    def sync(self, number: int, kind: SyncKind) -> None:
        self._open(number)


class SyncOfAttributesOnly(MemoryStore):
    """`data` is forgotten: what most commits ask for."""

    def sync(self, number: int, kind: SyncKind) -> None:
        if kind == "full":
            super().sync(number, kind)


class SyncOfItsOwnOnly(MemoryStore):
    """It syncs through the descriptors that it has created segments with."""

    def create(self, number: int, data: Buffer) -> None:
        super().create(number, data)
        self._created = {*getattr(self, "_created", ()), number}

    def sync(self, number: int, kind: SyncKind) -> None:
        if number in getattr(self, "_created", ()):
            super().sync(number, kind)


class SyncThatSwallows(MemoryStore):
    def sync(self, number: int, kind: SyncKind) -> None:
        with contextlib.suppress(OSError):
            super().sync(number, kind)


class TrimOfTheWrongSide(MemoryStore):
    def trim(self, number: int, size: int) -> None:
        handle = self._open(number)
        kept = handle.read(handle.size - size, handle.size)
        super().trim(number, size)
        handle.write(0, kept)
        handle.sync()


class TrimWithoutSync(MemoryStore):
    def trim(self, number: int, size: int) -> None:
        self._open(number).truncate(size)


class ExtendThatLeavesGarbage(MemoryStore):
    """Blocks that another file had, as they are."""

    def extend(self, number: int, size: int) -> None:
        before = self.size(number)
        super().extend(number, size)
        if size > before + 4096:
            handle = self._open(number)
            handle.write(size - 100, b"what a removed file had here")
            handle.sync()


class ExtendThatShowsWhatTrimTookOff(MemoryStore):
    """It trims by remembering the size, and extends by forgetting it again."""

    def trim(self, number: int, size: int) -> None:
        self._hidden = self.read(number, size)
        super().trim(number, size)

    def extend(self, number: int, size: int) -> None:
        before, hidden = self.size(number), getattr(self, "_hidden", b"")
        super().extend(number, size)
        if hidden and size > before:
            handle = self._open(number)
            handle.write(before, hidden[: size - before])
            handle.sync()


class ExtendThatShrinks(MemoryStore):
    def extend(self, number: int, size: int) -> None:
        handle = self._open(number)
        if size < handle.size:
            handle.truncate(size)
        super().extend(number, size)


class ExtendWithoutSync(MemoryStore):
    def extend(self, number: int, size: int) -> None:
        refused = self._grow(number, self._open(number), size)
        if refused is not None:
            raise NoSpace(refused.errno or 0, "no room")


class ExtendThatKeepsWhatFitted(MemoryStore):
    def extend(self, number: int, size: int) -> None:
        before = self.size(number)
        try:
            super().extend(number, size)
        except NoSpace:
            self._open(number).truncate(before + 1)
            raise


class WriteAtTheEnd(MemoryStore):
    """O_APPEND, where Linux ignores the offset."""

    def write(self, number: int, offset: int, data: Buffer) -> None:
        super().write(number, self.size(number) - memoryview(data).nbytes, data)


class WriteThatIsShort(MemoryStore):
    def write(self, number: int, offset: int, data: Buffer) -> None:
        super().write(number, offset, memoryview(data)[:4096])


class WriteToTheNewestOnly(MemoryStore):
    def write(self, number: int, offset: int, data: Buffer) -> None:
        super().write(self.segments()[-1], offset, data)


class CutOfWhatIsNotZero(MemoryStore):
    def zero_from(self, number: int, offset: int) -> None:
        handle = self._open(number)
        shown = handle.read(0, handle.size)
        for start in range(offset, handle.size, 512):
            piece = shown[start : start + 512]
            if piece.strip(b"\0"):
                _write_all(handle, start, bytes(len(piece)))


class CutFromTheNextSector(MemoryStore):
    def zero_from(self, number: int, offset: int) -> None:
        super().zero_from(number, min(self.size(number), -(-offset // 512) * 512))


class CutByCopying(MemoryStore):
    """For which there must be room."""

    def zero_from(self, number: int, offset: int) -> None:
        whole = self.read(number)
        self.replace(number, [whole[:offset], bytes(len(whole) - offset)])


class CutOfCleanPages(MemoryStore):
    """Zeros in the page cache, and nobody has said that they are to be written."""

    def zero_from(self, number: int, offset: int) -> None:
        handle = self._open(number)
        handle.sync()
        super().zero_from(number, offset)
        handle.inode._settle(random.Random(0), 0.0)
