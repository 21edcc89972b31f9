"""`local`: the store whose segments are the files of one directory, on a local file system of one host (A5).

    wal-000001.log       a segment: six digits, or more if needed
    wal-000001.log.tmp   a segment that is being created or copied
    LOCK                 the file that the one writer locks, and nobody removes
    DURABLE              the durable mark
    damaged-000001-…     a segment that a repair has set aside: the store never reads, writes or removes it
    cursors              the directory of the cursors (cursor_files.py)

Every system call of the store is in this file and in those that it imports from this package: the directory, LOCK,
DURABLE, cursors, files that are there whole, and the calls themselves (posix.py). They keep these rules, and each rule
has a failure behind it:

- The store gives the offset of each write (pwrite) and never opens with O_APPEND: Linux then ignores the offset.
- It never writes in place into a file that has another name. People copy logs by hard links, and so does a repair.
- It continues a short write until all bytes are written, or an error says why not.
- It syncs the directory after each new name, because only then is the name durable (etcd #6368).
- It syncs the descriptor that it wrote through. Otherwise another descriptor could get the write-back error.
- It follows no symbolic link.
- It never repeats a failed sync, because the second one can succeed without the data (fsyncgate).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import weakref
from typing import TYPE_CHECKING, Final

from walogs.defaults.directory import LOCK, Directory
from walogs.defaults.durable_mark_file import DURABLE_MARK, DURABLE_MARK_BYTES, DurableMarkFile
from walogs.defaults.file_errors import errors_name, name_file, name_read
from walogs.defaults.lock_file import LockFile
from walogs.defaults.posix import (
    FILE_MODE,
    OURS,
    above_standard,
    make_directories,
    size_of_file,
    sync_ancestors,
    sync_data,
    sync_full,
    write_all,
    write_zeros,
)
from walogs.defaults.whole_files import NO_SPACE, WholeFiles, no_space
from walogs.errors import ConfigError, Locked, NoSpace, SegmentExists, SegmentNotFound, UnsafeStore, UnsupportedFormat
from walogs.foundation.lazy import lazy_import
from walogs.foundation.local_paths import local_path
from walogs.protocols import StoreCapabilities, SyncKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typing_extensions import Buffer

    from walogs.defaults.cursor_files import CursorFiles
    from walogs.defaults.directory_watch import DirectoryWatch
    from walogs.protocols.cursor_store import CursorLock

__all__ = ["DURABLE_MARK", "FILE_MODE", "OURS", "LocalStore", "is_ours", "segment_name"]

SEGMENT: Final = re.compile(r"wal-(\d{6}|[1-9]\d{6,})\.log", re.ASCII)
ALMOST: Final = re.compile(r"wal-.*\.log", re.IGNORECASE | re.DOTALL)
LEFTOVER: Final = re.compile(r"(wal-(\d{6}|[1-9]\d{6,})\.log|DURABLE)\.tmp", re.ASCII)
CRATE_LOG: Final = "wal.log"
SET_ASIDE: Final = "damaged-"


def path_of_directory(store: LocalStore, *_: object) -> str:
    return store.path


def path_of_segment(store: LocalStore, number: int, *_: object) -> str:
    return os.path.join(store.path, segment_name(number))


class LocalStore:
    """An appendable store of files in one directory. `acquire` makes the directory if it is missing."""

    capabilities: StoreCapabilities = StoreCapabilities(
        appendable=True,
        torn_tail=True,
        exclusion="lock",
        numbers_reused=True,
        exists_means_durable=False,
        segment_bytes_max=(1 << 63) - 1,
        persistence="disk",
        number_gaps=True,
    )

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(local_path(path))
        self.name = self.path
        self._lock = LockFile(self.path)
        self._cursors: CursorFiles | None = None
        self._use(Directory(self.path))
        self._files: dict[int, int] = {}
        """The descriptor of each segment that this store has created or written in place, by its number."""

    def _use(self, directory: Directory) -> None:
        """Work in this directory from now on."""
        self._directory = directory
        self._whole_files = WholeFiles(directory)
        if self._cursors is not None:
            self._cursors.use(directory)
        self._durable_mark = DurableMarkFile(directory, self._whole_files)

    # Reading. It needs no lock and changes nothing. A writer reads through the directory's descriptor, by which it also
    # writes. A store on which nobody has called `acquire` reads by the path.

    def segment_name(self, number: int) -> str:
        """See `SegmentStore.segment_name`."""
        return segment_name(number)

    def segments(self) -> Sequence[int]:
        """See `SegmentStore.segments`."""
        try:
            names = self._names()
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise no_directory(self.path) from None
        numbers: list[int] = []
        for name in names:
            found = SEGMENT.fullmatch(name)
            if found is not None and int(found[1]):
                numbers.append(int(found[1]))
            elif name == CRATE_LOG:
                why = "is a log of the Rust crate walogs (its first version)"
                move = "Give the new log a directory of its own. Nothing was changed"
                raise UnsupportedFormat(f"{self._path(name)} {why}. {move}.", found="walogs-rs")
            elif ALMOST.fullmatch(name) is not None:
                why = "is almost, but not quite, the name of a segment (wal-000001.log)"
                raise UnsafeStore(f"{self._path(name)} {why}. Rename it or move it away; nothing was changed.")
        return sorted(numbers)

    def segments_after(self, number: int) -> Sequence[int]:
        """See `TailListingStore.segments_after`. This looks only at the names of the next segments.

        `create` takes the next number, and `remove` begins with the lowest. So if a segment is there and its successor
        is not, no segment is above it.
        """
        newest = number
        while self._is_there(newest + 1):
            newest += 1
        if newest == number and not self._is_there(number):
            return [there for there in self.segments() if there > number]
        return range(number + 1, newest + 1)

    def _is_there(self, number: int) -> bool:
        try:
            self.size(number)
        except SegmentNotFound:
            return False
        return True

    @errors_name(path_of_segment)
    def size(self, number: int) -> int:
        """See `SegmentStore.size`."""
        name = self.segment_name(number)
        try:
            with self._directory as fd:
                return os.stat(self._path(name) if fd is None else name, dir_fd=fd, follow_symlinks=False).st_size
        except FileNotFoundError:
            raise SegmentNotFound(f"{self._path(name)} is not there") from None

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """See `SegmentStore.read`."""
        name = self.segment_name(number)
        try:
            fd = self._directory.open_file(name, os.O_RDONLY | OURS)
        except FileNotFoundError:
            raise SegmentNotFound(f"{self._path(name)} is not there") from None
        wanted = 0
        try:
            size = size_of_file(fd)
            wanted = (size if end is None else min(end, size)) - start
            data = os.pread(fd, wanted, start) if wanted > 0 else b""
            return data if len(data) >= wanted else self._read_on(fd, data, start, wanted)
        except OSError as error:
            name_read(error, self._path(name), start, wanted)
            raise
        finally:
            os.close(fd)

    def _read_on(self, fd: int, data: bytes, start: int, wanted: int) -> bytes:
        pieces, length = [data], len(data)
        while length < wanted:
            piece = os.pread(fd, wanted - length, start + length)
            if not piece:  # LevelDB #1285: a short read taken for the end of the file drops what follows
                if os.fstat(fd).st_size > start + length:
                    raise OSError(errno.EIO, "read fewer bytes than the file has")
                break  # the writer has trimmed it since `fstat`
            pieces.append(piece)
            length += len(piece)
        return b"".join(pieces)

    def read_durable_mark(self) -> bytes | None:
        """See `AppendableStore.read_durable_mark`."""
        try:
            fd = self._directory.open_file(DURABLE_MARK, os.O_RDONLY | OURS)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise no_directory(self.path) from None
        try:
            size_of_file(fd)
            return os.pread(fd, DURABLE_MARK_BYTES, 0)
        except OSError as error:
            name_read(error, self._path(DURABLE_MARK), 0, DURABLE_MARK_BYTES)
            raise
        finally:
            os.close(fd)

    @errors_name(path_of_directory)
    def _names(self) -> list[str]:
        """Return the names in the directory.

        A writer opens a new descriptor for it: two threads that list by one descriptor each see a part of the names.
        """
        if self._directory.fd < 0:
            return os.listdir(self.path)
        fd = self._directory.open_file(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)

    # The lock

    def acquire(self) -> None:
        """See `SegmentStore.acquire`."""
        if self._directory.fd >= 0:
            raise Locked(f"{self.path} is open for writing through this very store object. Close that handle first.")
        try:
            make_directories(self.path)
            fd = above_standard(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            self._use(Directory(self.path, fd))
            OPEN.add(self)
            self._refuse_foreign_directory()
            self._lock.take(self._directory)
            sync_full(fd)
            sync_ancestors(self.path)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                name_file(error, self.path)
                if error.errno in NO_SPACE and not isinstance(error, NoSpace):
                    raise no_space(error, error.filename) from error
            raise

    def files_of_others(self) -> list[str]:
        """Return the files that are not of a log. Return none if the directory also holds a part of a log (G17).

        Names that begin with a dot, and lost+found, do not count: they also occur in directories that are meant to be
        empty. A LOCK is of a log if it is signed, or if it is the only file. Other databases have files of that name.
        """
        names = self._names()
        if any(is_ours(name) for name in names) or self._lock.signature()[0] is not None:
            return []
        return sorted(name for name in names if name not in (LOCK, "lost+found") and not name.startswith("."))

    def _refuse_foreign_directory(self) -> None:
        """Raise `ConfigError` if the directory holds files, and none of a log. `acquire` calls this before it makes
        LOCK."""
        others = self.files_of_others()
        if others:
            found = f"{others[0]!r}" + (f" and {len(others) - 1} more" if len(others) > 1 else "")
            own = os.path.join(self.path, "log.wal")
            problem = f"path={self.path!r}: this directory holds {found}, and no log. A log has a directory of its own"
            problem = f"{problem}: name one that is new or empty, as {own!r}. Nothing was changed"
            raise ConfigError(problem, problems=(problem,))

    # Segments

    @errors_name(path_of_segment)
    def create(self, number: int, data: Buffer) -> None:
        """See `SegmentStore.create`."""
        self._directory.refuse_if_lost()
        name = self.segment_name(number)
        if self._whole_files.exists(name):
            raise SegmentExists(f"{self._path(name)} is there already")
        fd = self._whole_files.create(name, (data,))
        try:
            sync_full(self._directory.fd)
        except BaseException:
            os.close(fd)
            raise
        for older in [n for n in self._files if n < number - 1]:
            os.close(self._files.pop(older))
        self._files[number] = fd

    @errors_name(path_of_segment)
    def extend(self, number: int, size: int) -> None:
        """See `AppendableStore.extend`."""
        self._directory.refuse_if_lost()
        fd = self._file(number)
        before = os.fstat(fd).st_size
        if size <= before:
            return
        try:
            write_zeros(fd, before, size)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            os.ftruncate(fd, before)
            raise no_space(error, self._path(self.segment_name(number))) from error
        sync_data(fd)

    def write(self, number: int, offset: int, data: Buffer) -> None:
        """See `AppendableStore.write`."""
        fd = self._files.get(number)
        if fd is None:
            fd = self._file(number)
        written = os.pwrite(fd, data, offset)
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        if written != size:
            write_all(fd, memoryview(data).cast("B")[written:], offset + written)

    def sync(self, number: int, kind: SyncKind) -> None:
        """See `AppendableStore.sync`."""
        fd = self._files.get(number)
        if fd is None:
            fd = self._file(number)
        if kind == "data":
            sync_data(fd)
        else:
            sync_full(fd)

    @errors_name(path_of_segment)
    def zero_from(self, number: int, offset: int) -> None:
        """See `AppendableStore.zero_from`."""
        fd = self._file(number)
        write_zeros(fd, offset, os.fstat(fd).st_size)

    @errors_name(path_of_segment)
    def trim(self, number: int, size: int) -> None:
        """See `AppendableStore.trim`."""
        fd = self._file(number)
        os.ftruncate(fd, size)
        sync_full(fd)
        if number != max(self._files):
            os.close(self._files.pop(number))

    @errors_name(path_of_directory)
    def remove(self, numbers: Sequence[int]) -> None:
        """See `SegmentStore.remove`."""
        self._directory.refuse_if_lost()
        names = [self.segment_name(number) for number in sorted(numbers)]  # `segments_after` relies on the order
        leftovers = self._leftovers() if self._whole_files.may_have_leftovers else []
        for number in numbers:
            fd = self._files.pop(number, None)
            if fd is not None:
                os.close(fd)
        for name in (*names, *leftovers):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._directory.fd)
        if names or leftovers:
            sync_full(self._directory.fd)
        self._whole_files.may_have_leftovers = False

    def _leftovers(self) -> list[str]:
        return [name for name in self._names() if LEFTOVER.fullmatch(name) is not None]

    # For a repair

    @errors_name(path_of_segment)
    def set_aside(self, number: int, name: str) -> None:
        """See `RepairableStore.set_aside`."""
        segment = self.segment_name(number)
        if self._whole_files.exists(name):
            raise SegmentExists(f"{self._path(name)} is there already")
        try:
            fd = os.open(segment, os.O_RDONLY | OURS, dir_fd=self._directory.fd)
        except FileNotFoundError:
            raise SegmentNotFound(f"{self._path(segment)} is not there") from None
        try:
            size_of_file(fd)
            sync_full(fd)
            self._whole_files.give_second_name(fd, segment, name)
        finally:
            os.close(fd)
        written = self._files.pop(number, None)  # its file now has two names
        if written is not None:
            os.close(written)
        sync_full(self._directory.fd)

    @errors_name(path_of_segment)
    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        """See `RepairableStore.replace`."""
        name = self.segment_name(number)
        if not self._whole_files.exists(name):
            raise SegmentNotFound(f"{self._path(name)} is not there")
        fd = self._whole_files.create(name, pieces)
        before, self._files[number] = self._files.get(number), fd
        if before is not None:
            os.close(before)
        sync_full(self._directory.fd)

    def _file(self, number: int) -> int:
        fd = self._files.get(number)
        if fd is None:
            fd = self._files[number] = self._whole_files.open_alone(self.segment_name(number))
        return fd

    # The durable mark

    def write_durable_mark(self, data: bytes, *, durable: bool) -> bool:
        """See `AppendableStore.write_durable_mark`."""
        return self._durable_mark.write(data, durable=durable)

    @errors_name(path_of_directory)
    def drop_durable_mark(self) -> None:
        """See `AppendableStore.drop_durable_mark`."""
        self._durable_mark.drop()

    # For followers

    def watch(self, changed: Callable[[], object]) -> DirectoryWatch | None:
        """See `WatchedStore.watch`."""
        with lazy_import:
            from walogs.defaults.directory_watch import WATCHES

        return WATCHES.begin(self.path, changed)

    # Cursors. They need no lock but their own.

    def cursor_name(self, name: str) -> str:
        """See `CursorStore.cursor_name`."""
        return self._cursor_files().name_of(name)

    def cursors(self) -> Sequence[str]:
        """See `CursorStore.cursors`."""
        return self._cursor_files().names()

    def read_cursor(self, name: str, *, durable: bool = False) -> bytes | None:
        """See `CursorStore.read_cursor`."""
        return self._cursor_files().read(name, durable=durable)

    def write_cursor(self, name: str, data: bytes, *, durable: bool) -> None:
        """See `CursorStore.write_cursor`."""
        self._cursor_files().write(name, data, durable=durable)

    def remove_cursor(self, name: str) -> None:
        """See `CursorStore.remove_cursor`."""
        self._cursor_files().remove(name)

    def cursor_lock(self, name: str) -> CursorLock:
        """See `CursorStore.cursor_lock`."""
        return self._cursor_files().lock(name)

    def _cursor_files(self) -> CursorFiles:
        """Return the cursors. Their code is imported when a program uses one."""
        cursors = self._cursors
        if cursors is None:
            with lazy_import:
                from walogs.defaults.cursor_files import CursorFiles

            cursors = self._cursors = CursorFiles(self._directory, self.path)
        return cursors

    # Closing

    def close(self) -> None:
        """See `SegmentStore.close`."""
        try:
            if not self._directory.was_told:
                self._directory.refuse_if_lost()
        finally:
            try:
                self._close_files()
            finally:
                self._lock.release()

    def _close_files(self) -> None:
        OPEN.discard(self)
        files, self._files = self._files, {}
        for fd in files.values():
            os.close(fd)
        self._durable_mark.close()
        self._directory.close()


OPEN: Final[weakref.WeakSet[LocalStore]] = weakref.WeakSet()


def segment_name(number: int) -> str:
    return f"wal-{number:06d}.log"


def is_ours(name: str) -> bool:
    """Return whether only a log of this store leaves a file of this name."""
    if name == DURABLE_MARK or name.startswith(SET_ASIDE):
        return True
    return SEGMENT.fullmatch(name) is not None or LEFTOVER.fullmatch(name) is not None


def close_in_child() -> None:
    """Close the descriptors that a forked child inherited. This neither writes nor frees the lock (G18).

    filelock closes the descriptor of the lock in the same way.
    """
    for store in list(OPEN):
        with contextlib.suppress(OSError):
            store._directory.forget_users()
            store._close_files()


os.register_at_fork(after_in_child=close_in_child)


def no_directory(path: str) -> NotADirectoryError:
    why = "Not a directory. A log is a directory: name one, or a path where one can be made"
    refused = NotADirectoryError(errno.ENOTDIR, why, path)
    refused.add_note("Nothing was changed: no file, and no directory.")
    return refused
