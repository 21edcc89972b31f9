"""Stores that break one rule each, and otherwise do what the models do: each is one override of one of them."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hypothesis import Phase
from typing_extensions import Buffer

from tests.testing.kit_places import InACloud, OnADisk
from walogs.errors import Exists, Locked, Missing, NoSpace, Unavailable
from walogs.protocols import Barrier, StoreCapabilities
from walogs.testing import WITNESS, MemoryChainStore, MemoryCloud, MemoryStore, StoreContract
from walogs.testing.memory_store import _write_all

Broken = tuple[type[StoreContract], str]
"""The contract on the broken store, and the one check that must fail."""


class CreateWithoutDirectorySync(MemoryStore):
    def create(self, number: int, data: Buffer) -> None:
        name = self.segment_name(number)
        if name in self.process.names():
            raise Exists(name)
        self._refuse_if_too_large(memoryview(data).nbytes, name)
        leftover = f"{name}.tmp" in self.process.names()
        self._write_temporary(f"{name}.tmp", (data,), is_leftover=leftover)
        self.process.rename(f"{name}.tmp", name)


class CreateInPlace(MemoryStore):
    """No temporary file: whoever dies half way leaves half a segment, under its name."""

    def create(self, number: int, data: Buffer) -> None:
        name = self.segment_name(number)
        if name in self.process.names():
            raise Exists(name)
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
        except Exists:
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
    def sync(self, number: int, barrier: Barrier) -> None:
        self._open(number)


class SyncOfAttributesOnly(MemoryStore):
    """`data` is forgotten: what most commits ask for."""

    def sync(self, number: int, barrier: Barrier) -> None:
        if barrier == "full":
            super().sync(number, barrier)


class SyncOfItsOwnOnly(MemoryStore):
    """It syncs through the descriptors that it has created segments with."""

    def create(self, number: int, data: Buffer) -> None:
        super().create(number, data)
        self._created = {*getattr(self, "_created", ()), number}

    def sync(self, number: int, barrier: Barrier) -> None:
        if number in getattr(self, "_created", ()):
            super().sync(number, barrier)


class SyncThatSwallows(MemoryStore):
    def sync(self, number: int, barrier: Barrier) -> None:
        with contextlib.suppress(OSError):
            super().sync(number, barrier)


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
    def cut(self, number: int, offset: int) -> None:
        handle = self._open(number)
        shown = handle.read(0, handle.size)
        for start in range(offset, handle.size, 512):
            piece = shown[start : start + 512]
            if piece.strip(b"\0"):
                _write_all(handle, start, bytes(len(piece)))


class CutFromTheNextSector(MemoryStore):
    def cut(self, number: int, offset: int) -> None:
        super().cut(number, min(self.size(number), -(-offset // 512) * 512))


class CutByCopying(MemoryStore):
    """For which there must be room."""

    def cut(self, number: int, offset: int) -> None:
        whole = self.read(number)
        self.replace(number, [whole[:offset], bytes(len(whole) - offset)])


class CutOfCleanPages(MemoryStore):
    """Zeros in the page cache, and nobody has said that they are to be written."""

    def cut(self, number: int, offset: int) -> None:
        handle = self._open(number)
        handle.sync()
        super().cut(number, offset)
        handle.inode._settle(random.Random(0), 0.0)


class WitnessThatRaises(MemoryStore):
    def write_witness(self, data: bytes, *, durable: bool) -> bool:
        if self._witness is None:
            self._witness = self._open_witness()
            durable = True
        _write_all(self._witness, 0, data)
        if durable:
            self._witness.sync("data")
        return True


class WitnessNeverSynced(MemoryStore):
    def write_witness(self, data: bytes, *, durable: bool) -> bool:
        return super().write_witness(data, durable=False)


class WitnessOfThisProcessOnly(MemoryStore):
    def read_witness(self) -> bytes | None:
        return super().read_witness() if self._witness is not None else None


class WitnessDroppedWithoutSync(MemoryStore):
    def drop_witness(self) -> None:
        self._witness = None
        with contextlib.suppress(FileNotFoundError):
            self.process.unlink(WITNESS)


class WitnessDroppedInMemory(MemoryStore):
    def drop_witness(self) -> None:
        self._dropped = True

    def read_witness(self) -> bytes | None:
        return None if getattr(self, "_dropped", False) else super().read_witness()

    def write_witness(self, data: bytes, *, durable: bool) -> bool:
        self._dropped = False
        return super().write_witness(data, durable=durable)


class AcquireWithoutLock(MemoryStore):
    def acquire(self) -> None:
        if self._holds_lock:
            raise Locked(self.name)
        self.process.sync_directory()
        self._holds_lock = True


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
        except Missing:
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
        self.capabilities = replace(self.capabilities, durability="platter")  # type: ignore[arg-type]


class DurableByDeclaration(MemoryStore):
    """What is written can be read, so it must be there."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.capabilities = replace(self.capabilities, exists_means_durable=True)


class NoWitnessAtAll(MemoryStore):
    """A member of `AppendableStore` is not there."""

    drop_witness = None  # type: ignore[assignment]


class OneNameForAll(MemoryChainStore):
    def segment_name(self, number: int) -> str:
        return f"{number % 10:020d}"


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


class SyncOfWhatItHasWritten(MemoryStore):
    """What is not dirty needs no sync; and of what others wrote it knows nothing."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._dirty: set[int] = set()

    def write(self, number: int, offset: int, data: Buffer) -> None:
        self._dirty.add(number)
        super().write(number, offset, data)

    def cut(self, number: int, offset: int) -> None:
        self._dirty.add(number)
        super().cut(number, offset)

    def sync(self, number: int, barrier: Barrier) -> None:
        if number in self._dirty:
            super().sync(number, barrier)
            self._dirty.discard(number)


class SyncOfTheNewest(MemoryStore):
    """Who syncs one that is not the newest is sealing it, it thinks, and that has time."""

    def sync(self, number: int, barrier: Barrier) -> None:
        if number == self.segments()[-1]:
            super().sync(number, barrier)


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


class SetAsideWithoutDirectorySync(MemoryStore):
    def set_aside(self, number: int, name: str) -> None:
        self._open(number)
        if name in self.process.names():
            raise Exists(name)
        self.process.link(self.segment_name(number), name)


class ReplaceThatMakesRoom(MemoryStore):
    """Where there is none, the old bytes are in the way."""

    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        try:
            super().replace(number, pieces)
        except NoSpace:
            self._open(number).truncate(0)
            raise


# What is refused half way


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
    def cut(self, number: int, offset: int) -> None:
        with contextlib.suppress(OSError):
            super().cut(number, offset)


class RemoveThatSwallows(MemoryStore):
    """What is not removed now is removed next time, it thinks."""

    def remove(self, numbers: Sequence[int]) -> None:
        with contextlib.suppress(OSError):
            super().remove(numbers)


class WitnessDroppedPerhaps(MemoryStore):
    """Advisory, as it is written: so nothing is said."""

    def drop_witness(self) -> None:
        with contextlib.suppress(OSError):
            super().drop_witness()


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
        for name in {self.segment_name(number) for number in numbers} & set(self.process.names()):
            self.process.unlink(name)
        self.process.sync_directory()

    def create(self, number: int, data: Buffer) -> None:
        if f"{self.segment_name(number)}.tmp" in self.process.names():
            raise FileExistsError(f"{self.segment_name(number)}.tmp")
        super().create(number, data)


class MissingWhatItCannotRead(MemoryStore):
    """Every error is that there is none."""

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        try:
            return super().read(number, start, end)
        except OSError as error:
            raise Missing(self.segment_name(number)) from error


# Chains


class ChainThatListsNothing(MemoryChainStore):
    """Who does not answer has nothing, it thinks."""

    def segments(self) -> Sequence[int]:
        try:
            return super().segments()
        except Unavailable:
            return []


class ChainThatTriesAgain(MemoryChainStore):
    """The first try was not answered, the second meets a segment: its own, it thinks."""

    def create(self, number: int, data: Buffer) -> None:
        try:
            super().create(number, data)
        except Unavailable:
            with contextlib.suppress(Exists):
                super().create(number, data)


class ChainThatSwallows(MemoryChainStore):
    def create(self, number: int, data: Buffer) -> None:
        with contextlib.suppress(Unavailable):
            super().create(number, data)


class ChainCreateThatOverwrites(MemoryChainStore):
    def create(self, number: int, data: Buffer) -> None:
        self.cloud.objects.pop(number, None)
        self.cloud._highest = 0
        super().create(number, data)


class ChainThatKeepsTheCallersBuffer(MemoryChainStore):
    def create(self, number: int, data: Buffer) -> None:
        super().create(number, data)
        self.cloud.objects[number] = memoryview(data)  # type: ignore[assignment]

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        return bytes(super().read(number, start, end))


class ChainThatLooksFirst(MemoryChainStore):
    """Look, then put: between the two, somebody else does the same."""

    def create(self, number: int, data: Buffer) -> None:
        if number in self.cloud.objects:
            raise Exists(self.segment_name(number))
        time.sleep(0.002)
        self.cloud.discard([number])
        super().create(number, data)


class ChainThatClaimsToReuse(MemoryChainStore):
    def __init__(self, cloud: MemoryCloud, **options: Any) -> None:
        super().__init__(cloud, **options)
        self.capabilities = replace(self.capabilities, numbers_reused=True)


class ChainThatAnswersToWrite(MemoryChainStore):
    def write(self, number: int, offset: int, data: Buffer) -> None:
        """Kept in a cache that nobody reads."""


class ChainThatShowsWhatItDoubts(MemoryChainStore):
    def __init__(self, cloud: MemoryCloud, **options: Any) -> None:
        super().__init__(cloud, **options)
        self.capabilities: StoreCapabilities = replace(self.capabilities, exists_means_durable=False)


class ChainThatLagsBehind(MemoryChainStore):
    """A new process does not see the newest object yet, and gives its LSNs to others."""

    def __init__(self, cloud: MemoryCloud, **options: Any) -> None:
        super().__init__(cloud, **options)
        self._unseen = set(cloud.objects) and {max(cloud.objects)}

    def segments(self) -> Sequence[int]:
        return [number for number in super().segments() if number not in self._unseen]


class ChainInOneBucket(InACloud):
    """Two places are one."""

    def cloud(self, place: Path) -> MemoryCloud:
        return super().cloud(place.parent)

    def place(self) -> Path:
        places = getattr(self, "given", 0)
        self.given = places + 1
        return self.scratch() / f"place-{places}"


SEARCH: Final = {
    "max_examples": 1000,
    "stateful_step_count": 30,
    "derandomize": True,
    "phases": (Phase.generate,),
}
"""Until it is found, and then no further."""


def on_disk(store: type[MemoryStore], check: str) -> Broken:
    own = {"store_type": store, "machine": SEARCH}
    return type(f"On{store.__name__}", (OnADisk,), own), check


def in_cloud(store: type[MemoryChainStore], check: str, *, numbers_reused: bool = True) -> Broken:
    own = {"store_type": store, "numbers_reused": numbers_reused, "machine": SEARCH}
    return type(f"In{store.__name__}", (InACloud,), own), check


BROKEN: Final[list[Broken]] = [
    on_disk(CreateWithoutDirectorySync, "test_create_is_durable_with_its_name"),
    on_disk(CreateInPlace, "test_create_is_whole_or_not_at_all"),
    on_disk(CreateThatOverwrites, "test_create_is_exclusive"),
    on_disk(CreateThatForgetsWhatItCouldNotName, "test_a_create_that_fails_is_whole_or_not_listed"),
    on_disk(CreateThatLeavesHalf, "test_refused_room_creates_nothing"),
    on_disk(NoLimitAtAll, "test_the_largest_segment_is_as_declared"),
    on_disk(RemoveWithoutDirectorySync, "test_remove_is_durable"),
    on_disk(RemoveThatWantsThemThere, "test_remove_passes_over_what_is_not_there"),
    on_disk(RemoveOfARange, "test_remove_takes_what_it_is_told"),
    on_disk(SyncThatLies, "test_sync_makes_written_bytes_durable"),
    on_disk(SyncOfAttributesOnly, "test_sync_makes_written_bytes_durable"),
    on_disk(SyncOfItsOwnOnly, "test_sync_of_a_segment_of_another_process"),
    on_disk(SyncThatSwallows, "test_a_failed_sync_raises"),
    on_disk(TrimOfTheWrongSide, "test_trim_keeps_the_front"),
    on_disk(TrimWithoutSync, "test_trim_is_durable"),
    on_disk(ExtendThatLeavesGarbage, "test_extend_adds_zeros"),
    on_disk(ExtendThatShowsWhatTrimTookOff, "test_extend_shows_nothing_old"),
    on_disk(ExtendThatShrinks, "test_extend_never_shrinks"),
    on_disk(ExtendWithoutSync, "test_extend_is_durable"),
    on_disk(ExtendThatKeepsWhatFitted, "test_refused_room_extends_nothing"),
    on_disk(WriteAtTheEnd, "test_write_puts_bytes_where_it_is_told"),
    on_disk(WriteThatIsShort, "test_write_puts_bytes_where_it_is_told"),
    on_disk(WriteToTheNewestOnly, "test_both_newest_segments_can_be_written"),
    on_disk(CutOfWhatIsNotZero, "test_a_cut_is_written_where_it_reads_as_zero"),
    on_disk(CutFromTheNextSector, "test_cut_zeroes_to_the_very_end"),
    on_disk(CutByCopying, "test_cut_needs_no_room"),
    on_disk(CutOfCleanPages, "test_cut_is_durable_after_sync"),
    on_disk(WitnessThatRaises, "test_writing_the_witness_never_raises"),
    on_disk(WitnessNeverSynced, "test_a_durable_witness_survives"),
    on_disk(WitnessOfThisProcessOnly, "test_the_witness_is_what_was_last_written"),
    on_disk(WitnessDroppedWithoutSync, "test_dropping_the_witness_is_durable"),
    on_disk(WitnessDroppedInMemory, "test_a_dropped_witness_is_gone"),
    on_disk(AcquireWithoutLock, "test_acquire_keeps_a_second_writer_out"),
    on_disk(AcquireThatKeepsHalf, "test_a_refused_acquire_holds_nothing"),
    on_disk(AcquireWithoutDirectorySync, "test_acquire_makes_the_listing_durable"),
    on_disk(CloseThatKeepsTheLock, "test_close_frees_the_log"),
    on_disk(CloseThatTrims, "test_close_changes_no_byte"),
    on_disk(CloseOnlyOnce, "test_close_may_come_twice"),
    on_disk(ReadingNeedsAcquire, "test_reading_needs_no_acquire"),
    on_disk(ShortReads, "test_a_read_is_never_short"),
    on_disk(OnePositionForAll, "test_any_thread_may_read_beside_the_writer"),
    on_disk(ReadsToTheSectorsEnd, "test_a_read_gives_the_bytes_it_is_asked_for"),
    on_disk(NothingInsteadOfMissing, "test_what_is_not_there_is_missing"),
    on_disk(SizeInBlocks, "test_a_size_is_in_bytes"),
    on_disk(StaleListing, "test_the_listing_is_fresh"),
    on_disk(ListingByName, "test_the_listing_is_ascending"),
    on_disk(ListingOfSomethingElse, "test_nothing_is_listed_where_nothing_is"),
    on_disk(CapabilitiesOfTheMoment, "test_its_capabilities_do_not_change"),
    on_disk(ImpossibleDurability, "test_its_capabilities_are_possible"),
    on_disk(DurableByDeclaration, "test_what_can_be_read_is_durable_where_declared"),
    on_disk(NoWitnessAtAll, "test_it_has_the_members"),
    on_disk(ReusesWhatItHasRemoved, "test_the_state_machine"),
    on_disk(SetAsideByMoving, "test_what_is_set_aside_is_no_segment"),
    on_disk(ReplaceOfWhatIsEmptyByThen, "test_replace_puts_exactly_these_bytes"),
    on_disk(ReplaceInPlace, "test_replace_is_all_or_nothing"),
    on_disk(ReplaceAsItReads, "test_replace_by_pieces_that_raise_changes_nothing"),
    on_disk(ListingToBeReadOnce, "test_the_listing_is_a_sequence"),
    on_disk(SizeRemembered, "test_what_was_read_before_is_read_anew"),
    on_disk(PagesRemembered, "test_a_reader_beside_sees_every_change"),
    on_disk(SyncOfWhatItHasWritten, "test_sync_of_what_another_process_wrote"),
    on_disk(SyncOfTheNewest, "test_sync_is_of_the_segment_it_is_told"),
    on_disk(OnePositionForReadsAndWrites, "test_readers_do_not_disturb_the_writer"),
    on_disk(LockThatAnybodyFrees, "test_a_readers_close_frees_nothing"),
    on_disk(SetAsideWithoutDirectorySync, "test_what_is_set_aside_is_durable"),
    on_disk(ReplaceThatMakesRoom, "test_refused_room_replaces_nothing"),
    on_disk(WriteThatSwallows, "test_what_returns_has_happened"),
    on_disk(ExtendThatSwallows, "test_what_returns_has_happened"),
    on_disk(TrimThatSwallows, "test_what_returns_has_happened"),
    on_disk(CutThatSwallows, "test_what_returns_has_happened"),
    on_disk(RemoveThatSwallows, "test_what_returns_has_happened"),
    on_disk(WitnessDroppedPerhaps, "test_a_witness_that_cannot_be_dropped_raises"),
    on_disk(AcquireThatKeepsTheLockWhenItFails, "test_an_acquire_that_fails_holds_nothing"),
    on_disk(CreateThatTripsOverItsLeftovers, "test_what_an_interrupted_create_left_is_no_hindrance"),
    on_disk(MissingWhatItCannotRead, "test_what_cannot_be_read_is_not_missing"),
    in_cloud(ChainThatListsNothing, "test_what_cannot_be_read_is_not_missing"),
    in_cloud(ChainThatTriesAgain, "test_a_refused_create_claims_nothing"),
    in_cloud(ChainThatSwallows, "test_what_returns_has_happened"),
    in_cloud(OneNameForAll, "test_names_tell_segments_apart"),
    in_cloud(ChainCreateThatOverwrites, "test_create_is_exclusive"),
    in_cloud(ChainThatKeepsTheCallersBuffer, "test_create_takes_exactly_these_bytes"),
    in_cloud(ChainThatLooksFirst, "test_of_two_who_create_one_number_one_wins"),
    in_cloud(ChainThatClaimsToReuse, "test_removed_numbers_are_as_declared", numbers_reused=False),
    in_cloud(ChainThatAnswersToWrite, "test_what_is_not_declared_raises"),
    in_cloud(ChainThatShowsWhatItDoubts, "test_its_capabilities_are_possible"),
    in_cloud(ChainThatLagsBehind, "test_the_listing_is_fresh"),
    (ChainInOneBucket, "test_places_are_apart"),
]

__all__ = ["BROKEN"]
