"""Stores that list or read segments wrongly. Each is one override of the model."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import Buffer

from walogs.errors import SegmentNotFound, Unavailable
from walogs.testing import MemoryStore


class ReadingNeedsAcquire(MemoryStore):
    def size(self, number: int) -> int:
        if not self._holds_lock:
            raise OSError("acquire() first")
        return super().size(number)


class ShortReads(MemoryStore):
    """One answer of the system is taken for all there is."""

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        return super().read(number, start, end)[: 1 << 16]


class OnePositionForAll(MemoryStore):
    """Seek, then read: and in between, another thread does the same."""

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        self._position = number
        if threading.active_count() > 1:
            time.sleep(0.0005)
        return super().read(self._position, start, end)


class ReadsToTheSectorsEnd(MemoryStore):
    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        return super().read(number, start, None if end is None else -(-end // 512) * 512)


class NothingInsteadOfMissing(MemoryStore):
    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        try:
            return super().read(number, start, end)
        except SegmentNotFound:
            return b""


class SizeInBlocks(MemoryStore):
    """As the disk counts."""

    def size(self, number: int) -> int:
        size = super().size(number)
        return size if size % 4096 != 4095 else size + 1


class StaleListing(MemoryStore):
    """Listed once; from then on, what this object itself has created."""

    _listed: list[int] | None = None

    def segments(self) -> Sequence[int]:
        if self._listed is None:
            self._listed = list(super().segments())
        return self._listed

    def create(self, number: int, data: Buffer) -> None:
        super().create(number, data)
        self._listed = None

    def remove(self, numbers: Sequence[int]) -> None:
        super().remove(numbers)
        self._listed = None


class NewestFromMemory(MemoryStore):
    """It knows what this object itself has created, and asks nobody else."""

    _created = 0

    def create(self, number: int, data: Buffer) -> None:
        super().create(number, data)
        self._created = number

    def segments_after(self, number: int) -> Sequence[int]:
        return range(number + 1, self._created + 1)


class ListingByName(MemoryStore):
    def segments(self) -> Sequence[int]:
        return sorted(super().segments(), key=str)


class ListingOfSomethingElse(MemoryStore):
    """An empty place has a first segment already, it says."""

    def segments(self) -> Sequence[int]:
        return super().segments() if self._holds_lock or super().segments() else [1]


class CapabilitiesOfTheMoment(MemoryStore):
    def acquire(self) -> None:
        super().acquire()
        self.capabilities = replace(self.capabilities, torn_tail=False)


class ImpossibleDurability(MemoryStore):
    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.capabilities = replace(self.capabilities, persistence="platter")  # type: ignore[arg-type]


class DurableByDeclaration(MemoryStore):
    """What is written can be read, so it must be there."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.capabilities = replace(self.capabilities, exists_means_durable=True)


class NoDurableMarkAtAll(MemoryStore):
    """A member of `AppendableStore` is not there."""

    drop_durable_mark = None  # type: ignore[assignment]


class OpenOnceInAProcess(MemoryStore):
    """As LMDB: to the child, what its parent has opened is open in "this" process already."""

    _opened_by = os.getpid()

    def segments(self) -> Sequence[int]:
        if os.getpid() != self._opened_by:
            raise Unavailable("it is open in this process already")
        return super().segments()


class ListingToBeReadOnce(MemoryStore):
    def segments(self) -> Sequence[int]:
        return iter(super().segments())  # type: ignore[return-value]


class SizeRemembered(MemoryStore):
    """Asked for once: what is complete does not grow, it thinks, and its own changes it knows of."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._sizes: dict[int, int] = {}

    def size(self, number: int) -> int:
        if number not in self._sizes or self._holds_lock:
            self._sizes[number] = super().size(number)
        return self._sizes[number]


class PagesRemembered(MemoryStore):
    """What was read from a segment of that size is what is there, it thinks."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._pages: dict[tuple[int, int, int, int | None], bytes] = {}

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        page = (self.size(number), number, start, end)
        if page not in self._pages or self._holds_lock:
            self._pages[page] = super().read(number, start, end)
        return self._pages[page]


class OnePositionForReadsAndWrites(MemoryStore):
    """Seek, then write: and in between, another thread reads."""

    _position = 0

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        self._position = start
        return super().read(number, start, end)

    def write(self, number: int, offset: int, data: Buffer) -> None:
        self._position = offset
        if threading.active_count() > 1:
            time.sleep(0.0005)
        super().write(number, self._position, data)
