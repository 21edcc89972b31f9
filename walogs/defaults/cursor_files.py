"""The cursors of a local log: the files of a directory `cursors` in the directory of the log.

    mailer        the value of the cursor `mailer`: 1,024 bytes
    mailer.lock   the file that the owner of this cursor locks, and nobody removes
    mailer.tmp    a value that is being written

A file has two places for a value, in different sectors. The value at byte 0 is durable: it was synced before the file
got its name. A value that need not be durable is written at byte 512, in place and without a sync. It counts if its
CRC-32, which follows it, is right. A power cut leaves each sector as a whole (A3), so it can only take the second value
back, and never the first. A durable value replaces the whole file.

No descriptor stays open between two calls, except that of a lock. So nothing is left to close, also after a fork.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.defaults.directory import Directory, identity
from walogs.defaults.file_errors import errors_name
from walogs.defaults.lock_file import LockFile
from walogs.defaults.posix import DIRECTORY_MODE, OURS, size_of_file, sync_full, write_all
from walogs.defaults.whole_files import NO_SPACE, WholeFiles, no_space
from walogs.errors import UnsafeStore
from walogs.formats.crc32 import crc32
from walogs.formats.cursor import is_name
from walogs.protocols.cursor_store import CURSOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CURSORS: Final = "cursors"
"""The name of the directory."""
TEMPORARY: Final = ".tmp"
LOCK: Final = ".lock"
SECOND_VALUE: Final = 512
"""The place of the value that need not be durable, in bytes."""
FILE_BYTES: Final = 1024
CRC_BYTES: Final = 4


def path_of_cursors(files: CursorFiles, *_: object, **__: object) -> str:
    return files.path


def path_of_cursor(files: CursorFiles, name: str, *_: object, **__: object) -> str:
    return os.path.join(files.path, name)


class Owned(NamedTuple):
    """A lock that was taken."""

    lock: LockFile
    file: tuple[int, int]
    """The identity of its file."""
    pid: int
    """The process that took it."""

    def is_in(self, directory: Directory, name: str) -> bool:
        """Return whether the lock of the cursor in this directory is this one."""
        try:
            return identity_of_lock(directory, name) == self.file
        except FileNotFoundError:
            return False


class CursorFiles:
    """The cursors of the log in a directory, which is open or not. *path* is the path of that directory.

    The owner of a cursor has locked it in one directory. If another one has come into its place, each call about that
    cursor raises `UnsafeStore`, and changes nothing, until the owner has freed the lock.
    """

    def __init__(self, log: Directory, path: str) -> None:
        self._log = log
        self._log_path = path
        self.path = os.path.join(path, CURSORS)
        self._is_named = False
        """Whether the name of the directory `cursors` is known to be durable."""
        self._owned: dict[str, Owned] = {}
        """By the name of the cursor: each lock that was taken through this object."""

    def use(self, log: Directory) -> None:
        """Work in this directory of a log from now on. The locks that were taken stay what they are."""
        self._log = log

    def name_of(self, name: str) -> str:
        """Return the path of the value below the directory of the log, for messages."""
        return f"{CURSORS}/{name}"

    @errors_name(path_of_cursors)
    def names(self) -> Sequence[str]:
        """Return the names of the cursors that have a value, ascending."""
        try:
            with self._opened() as directory:
                names = os.listdir(directory.fd)
        except FileNotFoundError:
            return []
        return sorted(filter(is_name, names))  # an editor's `mailer~` must not hold a checkpoint back

    @errors_name(path_of_cursor)
    def read(self, name: str, *, durable: bool) -> bytes | None:
        """Return the value, or None. If *durable* is true, return the first one, and make its name durable.

        Return all bytes of a file that has another size than a cursor's.
        """
        try:
            with self._opened(name) as directory:
                fd = directory.open_file(name, os.O_RDONLY | OURS)
                try:
                    size_of_file(fd)
                    data = os.pread(fd, FILE_BYTES + 1, 0)
                finally:
                    os.close(fd)
                if durable:
                    self._sync_names(directory)
        except FileNotFoundError:
            return None
        if len(data) != FILE_BYTES:
            return data
        second = data[SECOND_VALUE : SECOND_VALUE + CURSOR_BYTES + CRC_BYTES]
        is_second = not durable and with_crc(second[:CURSOR_BYTES]) == second
        return second[:CURSOR_BYTES] if is_second else data[:CURSOR_BYTES]

    @errors_name(path_of_cursor)
    def write(self, name: str, data: bytes, *, durable: bool) -> None:
        """Write the value, and sync it if it has to be *durable*, or if it is the first. Raise `NoSpace`, `OSError`."""
        with self._opened(name) as directory:
            files = WholeFiles(directory)
            if not durable and self._write_in_place(files, directory, name, data):
                return
            os.close(files.create(name, (file_of(data),), temporary=name + TEMPORARY))
            self._sync_names(directory)

    def _write_in_place(self, files: WholeFiles, directory: Directory, name: str, data: bytes) -> bool:
        """Write the second value. Return False if there is no file of the right size to write it into."""
        try:
            fd = files.open_alone(name)
        except FileNotFoundError:
            return False
        try:
            if size_of_file(fd) != FILE_BYTES:
                return False
            write_all(fd, with_crc(data), SECOND_VALUE)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise no_space(error, directory.path_of(name)) from error
        finally:
            os.close(fd)
        return True

    @errors_name(path_of_cursor)
    def remove(self, name: str) -> None:
        """Remove the value, durably. Do nothing if there is none. The file of the lock stays."""
        try:
            with self._opened(name) as directory:
                for file in (name, name + TEMPORARY):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(file, dir_fd=directory.fd)
                sync_full(directory.fd)
        except FileNotFoundError:
            return

    def lock(self, name: str) -> CursorLockFile:
        """Return an object that can take the lock of this cursor."""
        file = LockFile(self.path, name + LOCK, f"cursor {name!r} of {self._log_path} is open")
        return CursorLockFile(self, name, file)

    @errors_name(path_of_cursors)
    def take(self, name: str, lock: LockFile) -> None:
        """Take a lock in the directory, which is made if it is missing. Raise `Locked`, `NoSpace`, `OSError`."""
        with contextlib.suppress(FileNotFoundError), self._opened(name):
            pass  # an owner in another directory would look like this one
        self._make()
        with self._opened(name) as directory:
            lock.take(Directory(path_now(directory.fd, self.path), directory.fd))
            self._owned[name] = Owned(lock, identity_of_lock(directory, name), os.getpid())
            self._is_named = False  # another directory than before may be there

    def release(self, name: str, lock: LockFile) -> None:
        """Free the lock if this object holds it."""
        owned = self._owned.get(name)
        if owned is not None and owned.lock is lock:
            self._owned.pop(name, None)
        lock.release()

    # The directory

    def _make(self) -> None:
        """Make the directory, unless it is there. Raise `NoSpace`, `OSError`.

        Its name is durable after the first durable value.
        """
        try:
            with self._log as fd, contextlib.suppress(FileExistsError):
                os.mkdir(self.path if fd is None else CURSORS, DIRECTORY_MODE, dir_fd=fd)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise no_space(error, self.path) from error

    @contextlib.contextmanager
    def _opened(self, name: str = "") -> Iterator[Directory]:
        """Open the directory for the time of one call. Raise `FileNotFoundError` if it is not there.

        Raise `UnsafeStore` if the cursor *name* was locked through this object, and in another directory.
        """
        owned = self._owned.get(name)
        if owned is not None and owned.pid != os.getpid():  # a forked child does not have the locks of its parent
            owned = None
        try:
            fd = self._log.open_file(CURSORS, os.O_RDONLY | os.O_DIRECTORY | OURS)
        except FileNotFoundError:
            if owned is not None and os.path.isdir(self._log_path):
                raise self._replaced(name) from None
            raise  # the directory of the log is away, and may come back
        directory = Directory(self.path, fd)
        try:
            if owned is not None and not owned.is_in(directory, name):
                raise self._replaced(name)
            yield directory
        finally:
            directory.close()

    def _replaced(self, name: str) -> UnsafeStore:
        why = f"another directory has come into its place since the cursor {name!r} was opened"
        move = "Close the cursor, and open the log and the cursor again"
        return UnsafeStore(f"{self.path}: {why}. Nothing was changed. {move}")

    def _sync_names(self, directory: Directory) -> None:
        """Make the names in the directory durable, and the name of the directory itself.

        Another process may have made the directory, and died before it synced its name.
        """
        sync_full(directory.fd)
        if self._is_named:
            return
        fd = self._log.open_file(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_full(fd)
        finally:
            os.close(fd)
        self._is_named = True


class CursorLockFile:
    """The lock of one cursor."""

    def __init__(self, files: CursorFiles, name: str, file: LockFile) -> None:
        self._files = files
        self._name = name
        self._file = file

    def take(self) -> None:
        """See `CursorLock.take`."""
        self._files.take(self._name, self._file)

    def release(self) -> None:
        """See `CursorLock.release`."""
        self._files.release(self._name, self._file)


def path_now(fd: int, path: str) -> str:
    """Return a path that leads to this open directory: *path*, or the one after a rename. The lock is taken by a path.

    Raise `UnsafeStore` if the system does not tell one. Linux does.
    """
    if leads_to(path, fd):
        return path
    try:
        found = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:  # this is no Linux
        found = path
    if leads_to(found, fd):
        return found
    why = f"{path} was moved or replaced since the log was opened, and the system does not tell where it is now"
    raise UnsafeStore(f"{why}. Nothing was changed. Close the log, and open it by the path that it has")


def leads_to(path: str, fd: int) -> bool:
    """Return whether the path is that of the open directory."""
    try:
        return identity(os.stat(path, follow_symlinks=False)) == identity(os.fstat(fd))
    except (FileNotFoundError, NotADirectoryError):
        return False


def identity_of_lock(directory: Directory, name: str) -> tuple[int, int]:
    """Return the identity of the lock file of this cursor. Raises `FileNotFoundError`."""
    return identity(os.stat(name + LOCK, dir_fd=directory.fd, follow_symlinks=False))


def file_of(data: bytes) -> bytes:
    """Return the bytes of a file with this durable value."""
    return data.ljust(FILE_BYTES, b"\0")


def with_crc(data: bytes) -> bytes:
    """Return the bytes with their CRC-32 after them."""
    return data + crc32(data, 0).to_bytes(CRC_BYTES, "little")
