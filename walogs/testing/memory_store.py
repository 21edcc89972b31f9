"""An appendable store on a `MemoryDisk`. It does to the modelled disk what the local store does to a real one.

Every step is a primitive of the disk, in the order that a careful store needs, so a test can crash or fail each step.
The faults are those of the disk (see `memory_disk`). They outlive the store, because one store is one process.

If *laws* is true, a caller that breaks the contract of a store gets `LawBroken`, which `except Exception` does not
catch. These calls break it:

- a write of a watermark or a durable mark that claims more than is durable;
- a change without `acquire`, or to a cursor without its lock;
- a write outside the segment, or to a segment that is neither the newest nor the one before it;
- a write or sync of a segment after a write or sync of it has failed.
"""

from __future__ import annotations

import errno
import functools
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from walogs.errors import Closed, Locked, NoSpace, SegmentExists, SegmentNotFound, UnsafeStore
from walogs.protocols import StoreCapabilities
from walogs.testing.faults import LawBroken
from walogs.testing.memory_cursors import CURSORS, MemoryCursors
from walogs.testing.watermark import assert_durable_mark_law, assert_watermark_law

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from walogs.protocols import SyncKind
    from walogs.protocols.cursor_store import CursorLock
    from walogs.testing.memory_disk import Handle, MemoryDisk

__all__ = ["DURABLE_MARK", "MemoryStore", "WriteHook"]

DURABLE_MARK: Final = "DURABLE"
"""The name of the durable mark in the directory."""

_TEMPORARY: Final = ".tmp"
_OURS: Final = re.compile(r"wal-(\d{6}|[1-9]\d{6,})\.log", re.ASCII)
_ALMOST_OURS: Final = re.compile(r"wal-.*\.log", re.IGNORECASE | re.DOTALL)
_OUR_TEMPORARY: Final = re.compile(_OURS.pattern + r"\.tmp", re.ASCII)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class MemoryStore:
    """A `RepairableStore` and a `CursorStore` on *disk*, with a process of its own.

    A crash, a kill or a power cut ends the process.

    *models* is the persistence that the store models, and that its capabilities declare. All bytes are in fact in this
    process's memory. Use the store for tests, or with "none" for a log that need not survive.
    """

    def __init__(
        self,
        disk: MemoryDisk,
        *,
        name: str = "memory",
        segment_bytes_max: int = (1 << 32) - 1,
        models: Literal["none", "page-cache", "disk"] = "disk",
        laws: bool = True,
    ) -> None:
        self.disk = disk
        self.name = name
        self.capabilities = StoreCapabilities(
            appendable=True,
            torn_tail=True,
            exclusion="lock",
            numbers_reused=True,
            exists_means_durable=False,
            segment_bytes_max=segment_bytes_max,
            persistence=models,
            number_gaps=True,
        )
        self.process = disk.process()
        """The process that carries out the steps. `process.kill()` kills this store and no other."""
        self.laws = laws
        self._cursors = MemoryCursors(self.process, name, laws=laws)
        self.on_write: list[WriteHook] = [assert_watermark_law] if laws else []
        """The functions that each `write` calls first, with (store, number, offset, data). If one raises, nothing is
        written."""
        self._holds_lock = False
        self._is_closed = False
        self._failed: set[int] = set()
        self._durable_mark: Handle | None = None

    # Reading. None of these needs the lock.

    def segment_name(self, number: int) -> str:
        """Return the file's name, such as `wal-000001.log`."""
        return f"wal-{number:06d}.log"

    def segments(self) -> Sequence[int]:
        """Return the numbers of all segments, ascending. Raises `UnsafeStore` for a name such as `wal-7.log`."""
        self._refuse_if_closed()
        return sorted(_numbers(self.process.names()))

    def size(self, number: int) -> int:
        """Return the number of bytes in the segment. Raises `SegmentNotFound`."""
        return self._open(number).size

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes [start, end) of the segment, up to its size. Raises `SegmentNotFound`."""
        handle = self._open(number)
        return handle.read(start, handle.size if end is None else end)

    def read_durable_mark(self) -> bytes | None:
        """Return the durable mark that was written last, or None."""
        self._refuse_if_closed()
        try:
            handle = self.process.open(DURABLE_MARK)
        except FileNotFoundError:
            return None
        return handle.read(0, handle.size) or None

    # Changing segments.

    def acquire(self) -> None:
        """Take the disk's lock, then make every name durable. Raises `Locked` while another live store holds it."""
        self._refuse_if_closed()
        if self._holds_lock or not self.process.lock():
            raise Locked(f"{self.name} is open in another store on this disk, or in this one; close that first")
        try:
            self.process.sync_directory()
        except OSError:
            self.process.unlock()
            raise
        self._holds_lock = True

    def create(self, number: int, data: Buffer) -> None:
        """Write a temporary file, sync it, rename it, and sync the directory.

        Raises `SegmentExists` or `NoSpace`; nothing has changed then.
        """
        self._refuse_without_lock()
        name = self.segment_name(number)
        names = self.process.names()
        if name in names:
            raise SegmentExists(f"{name} is in {self.name} already")
        self._refuse_if_too_large(memoryview(data).nbytes, name)
        self._write_temporary(name + _TEMPORARY, (data,), is_leftover=name + _TEMPORARY in names)
        self.process.rename(name + _TEMPORARY, name)
        self.process.sync_directory()
        self._failed.discard(number)

    def remove(self, numbers: Sequence[int]) -> None:
        """Unlink the segments and every temporary file of this store, then sync the directory."""
        self._refuse_without_lock()
        wanted = {self.segment_name(number) for number in numbers}
        for name in self.process.names():
            if name in wanted or _is_temporary(name):
                self.process.unlink(name)
        self.process.sync_directory()

    def extend(self, number: int, size: int) -> None:
        """Write zeros up to *size*, then sync. Raises `NoSpace`; nothing has changed then."""
        self._refuse_unlawful_change(number)
        handle = self._open_alone(number)
        self._refuse_if_too_large(size, self.segment_name(number))
        refused = self._grow(number, handle, size)
        if refused is not None:
            raise NoSpace(refused.errno or 0, f"no room for {size} bytes of {self.segment_name(number)}") from refused
        with self._remembering_failure(number):
            handle.sync("full")

    def write(self, number: int, offset: int, data: Buffer) -> None:
        """Write all of *data* at *offset*, or raise an error. The bytes are durable after `sync`."""
        self._refuse_unlawful_change(number)
        handle = self._open_alone(number)
        content = bytes(data)
        if self.laws and not 0 <= offset <= offset + len(content) <= handle.size:
            raise LawBroken(
                f"a write of [{offset}, {offset + len(content)}) to {handle.size} bytes: it never grows them"
            )
        for hook in self.on_write:
            hook(self, number, offset, content)
        with self._remembering_failure(number):
            _write_all(handle, offset, content)

    def sync(self, number: int, kind: SyncKind) -> None:
        """Make every byte written to the segment durable. If it raises, any of them may be on the disk or not."""
        self._refuse_unlawful_change(number)
        with self._remembering_failure(number):
            self._open(number).sync(kind)

    def zero_from(self, number: int, offset: int) -> None:
        """Write zeros from *offset* to the end of the file. They are durable after `sync`."""
        self._refuse_unlawful_change(number)
        handle = self._open_alone(number)
        with self._remembering_failure(number):
            _write_all(handle, offset, bytes(max(0, handle.size - offset)))

    def trim(self, number: int, size: int) -> None:
        """Truncate the segment to *size* bytes, then sync it."""
        self._refuse_without_lock()
        handle = self._open_alone(number)
        if self.laws and size > handle.size:
            raise LawBroken(f"a trim of {self.segment_name(number)} from {handle.size} bytes to {size}: never larger")
        with self._remembering_failure(number):
            handle.truncate(size)
            handle.sync("full")

    # For a repair.

    def set_aside(self, number: int, name: str) -> None:
        """Sync the segment, link it as *name*, and sync the directory.

        Raises `SegmentExists` or `SegmentNotFound`; nothing has changed then.
        """
        self._refuse_without_lock()
        if self.laws and _is_ours(name):
            raise LawBroken(f"{name} is a name of this store's own: a copy is kept under another")
        handle = self._open(number)
        if name in self.process.names():
            raise SegmentExists(f"{name} is in {self.name} already")
        with self._remembering_failure(number):
            handle.sync("full")
        self.process.link(self.segment_name(number), name)
        self.process.sync_directory()

    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        """Write a temporary file, sync it, rename it over the segment, and sync the directory.

        Raises `SegmentNotFound` or `NoSpace`; nothing has changed then.
        """
        self._refuse_without_lock()
        name = self.segment_name(number)
        names = self.process.names()
        if name not in names:
            raise SegmentNotFound(f"{name} is not in {self.name}")
        self._write_temporary(name + _TEMPORARY, pieces, is_leftover=name + _TEMPORARY in names)
        self.process.rename(name + _TEMPORARY, name)
        self._failed.discard(number)
        self.process.sync_directory()

    # The durable mark.

    def write_durable_mark(self, data: bytes, *, durable: bool) -> bool:
        """Write the durable mark over the one before. Return whether this succeeded. Never raises `Exception`.

        The first mark that a store object writes is always durable, and so is the name of its file.
        """
        if self._is_closed:
            return False
        self._refuse_without_lock()
        if self.laws:
            assert_durable_mark_law(self, data)
        try:
            if self._durable_mark is None:
                self._durable_mark = self._open_durable_mark()
                durable = True
            _write_all(self._durable_mark, 0, data)
            if durable:
                self._durable_mark.sync("data")
        except Exception:  # noqa: BLE001 (the mark is optional: an error here fails no append)
            return False
        return True

    def drop_durable_mark(self) -> None:
        """Unlink the durable mark, then sync the directory. Raises `OSError`."""
        self._refuse_without_lock()
        self._durable_mark = None
        with suppress(FileNotFoundError):
            self.process.unlink(DURABLE_MARK)
        self.process.sync_directory()

    # Cursors. None of these needs `acquire`.

    def cursor_name(self, name: str) -> str:
        """Return the path of the file, such as `cursors/mailer`."""
        return f"{CURSORS}/{name}"

    def cursors(self) -> Sequence[str]:
        """Return the names of the cursors that have a value, ascending."""
        self._refuse_if_closed()
        return self._cursors.names()

    def read_cursor(self, name: str, *, durable: bool = False) -> bytes | None:
        """Return the value, or None. If *durable* is true, the directory is synced, so no power cut takes it back."""
        self._refuse_if_closed()
        return self._cursors.read(name, durable=durable)

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        """Write a temporary file, sync it, rename it, and sync the directory if *durable* is true.

        Raises `NoSpace`; nothing has changed then.
        """
        self._refuse_if_closed()
        self._cursors.write(name, data, durable=durable)

    def remove_cursor(self, name: str) -> None:
        """Unlink the value, and sync the directory."""
        self._refuse_if_closed()
        self._cursors.remove(name)

    def cursor_lock(self, name: str) -> CursorLock:
        """Return an object that can take the lock of this cursor."""
        self._refuse_if_closed()
        return self._cursors.lock(name)

    def close(self) -> None:
        """Free the locks, and change no byte. Never raises, also if the process is dead."""
        self._is_closed = True
        self._holds_lock = False
        self.process.kill()

    # For the laws, and for tests with laws of their own. None of these is a step of the disk.

    def durable_prefix(self, number: int) -> int:
        """Return the largest p such that a power cut now would not change bytes [0, p) of the segment.

        Raises `SegmentNotFound`.
        """
        name = self.segment_name(number)
        if name not in self.disk.cached_names():
            raise SegmentNotFound(f"{name} is not in {self.name}")
        return self.disk.durable_prefix(name)

    def peek(self, number: int, start: int, end: int) -> bytes:
        """Return the bytes [start, end), or fewer if the segment ends before. Raises `SegmentNotFound`."""
        try:
            return self.disk.cached(self.segment_name(number), start, end)
        except FileNotFoundError:
            raise SegmentNotFound(f"{self.segment_name(number)} is not in {self.name}") from None

    # Implementation.

    def _open(self, number: int) -> Handle:
        self._refuse_if_closed()
        try:
            return self.process.open(self.segment_name(number))
        except FileNotFoundError:
            raise SegmentNotFound(f"{self.segment_name(number)} is not in {self.name}") from None

    def _open_alone(self, number: int) -> Handle:
        """Return a handle for writing in place. If the file has a second name, a copy takes the segment's name first.

        Raises `NoSpace`; nothing has changed then.
        """
        handle = self._open(number)
        if handle.inode.links > 1:
            name, pieces = self.segment_name(number), (handle.read(0, handle.size),)
            is_leftover = name + _TEMPORARY in self.process.names()
            self._write_temporary(name + _TEMPORARY, pieces, is_leftover=is_leftover)
            self.process.rename(name + _TEMPORARY, name)
            self.process.sync_directory()
            handle = self._open(number)
        return handle

    def _grow(self, number: int, handle: Handle, size: int) -> OSError | None:
        """Write zeros up to *size*. If there is no space, restore the size and return the error."""
        before = handle.size
        with self._remembering_failure(number):
            try:
                _write_all(handle, before, bytes(max(0, size - before)))
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                handle.truncate(before)
                return error
        return None

    def _open_durable_mark(self) -> Handle:
        try:
            handle = self.process.open(DURABLE_MARK)
        except FileNotFoundError:
            handle = self.process.create_exclusive(DURABLE_MARK)
        self.process.sync_directory()  # An earlier call may have failed just before this step.
        return handle

    def _write_temporary(self, name: str, pieces: Iterable[Buffer], *, is_leftover: bool) -> None:
        """Write and sync a whole file under its temporary name. Raises `NoSpace`. After an `OSError` the file is
        gone."""
        if is_leftover:
            self.process.unlink(name)
        try:
            handle = self.process.create_exclusive(name)
            for piece in pieces:
                self._refuse_if_too_large(handle.size + memoryview(piece).nbytes, name.removesuffix(_TEMPORARY))
                _write_all(handle, handle.size, piece)
            handle.sync("full")
        except OSError as error:
            with suppress(OSError):
                self.process.unlink(name)
            if error.errno in _NO_ROOM:
                raise NoSpace(error.errno, f"no room to create {name.removesuffix(_TEMPORARY)}") from error
            raise

    @contextmanager
    def _remembering_failure(self, number: int) -> Iterator[None]:
        try:
            yield
        except OSError:
            self._failed.add(number)
            raise

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise Closed(f"{self.name} was closed")
        self.process.refuse_if_dead()  # This comes before the laws: a dead process breaks none.

    def _refuse_if_too_large(self, size: int, name: str) -> None:
        if size > self.capabilities.segment_bytes_max:
            raise NoSpace(errno.EFBIG, f"{name} may have {self.capabilities.segment_bytes_max} bytes, not {size}")

    def _refuse_without_lock(self) -> None:
        self._refuse_if_closed()
        if self.laws and not self._holds_lock:
            raise LawBroken(f"{self.name} was to be changed before acquire()")

    def _refuse_unlawful_change(self, number: int) -> None:
        self._refuse_without_lock()
        if self.laws and number in self._failed:
            raise LawBroken(
                f"a write or sync of {self.segment_name(number)} failed: nothing is written to it, or synced, again"
            )
        if self.laws and number not in sorted(_numbers(self.disk.cached_names()))[-2:]:
            raise LawBroken(f"{self.segment_name(number)} is neither the newest segment nor the one before it")


WriteHook: TypeAlias = "Callable[[MemoryStore, int, int, bytes], object]"
"""A function that `MemoryStore.write` calls before it writes, with (store, number, offset, data)."""


def _write_all(handle: Handle, offset: int, data: Buffer) -> None:
    """Write all of *data*. A single write may be short, so repeat it until all is written or it raises."""
    rest = memoryview(data).cast("B")
    while rest.nbytes:
        written = handle.write(offset, rest)
        offset, rest = offset + written, rest[written:]


def _numbers(names: Sequence[str]) -> list[int]:
    return [number for name in names if (number := _number(name)) is not None]


@functools.cache
def _number(name: str) -> int | None:
    """Return the number of the segment, or None if the name is not a segment's.

    Raises `UnsafeStore` for a name that is too similar to a segment's.
    """
    found = _OURS.fullmatch(name)
    if found is not None and int(found[1]):
        return int(found[1])
    if _ALMOST_OURS.fullmatch(name) is not None:
        raise UnsafeStore(f"{name} looks like a segment of this log and is none; move it away")
    return None


def _is_ours(name: str) -> bool:
    return name == DURABLE_MARK or _ALMOST_OURS.fullmatch(name.removesuffix(_TEMPORARY)) is not None


def _is_temporary(name: str) -> bool:
    return _OUR_TEMPORARY.fullmatch(name) is not None
