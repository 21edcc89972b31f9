"""A file that one process at a time locks and signs: the LOCK of a log, and the lock of a cursor.

The lock is one of the kernel, which frees it when its process ends, in whatever way. The file itself is never removed:
otherwise one process could lock the old file, and another one a new file of the same name. The signature only names the
holder in the message to the next process, so it may be missing or stale.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING

from walogs.defaults.directory import LOCK, Directory
from walogs.defaults.posix import FILE_MODE, LAST_STANDARD, OURS
from walogs.defaults.whole_files import NO_SPACE, no_space
from walogs.errors import Locked, UnsafeStore
from walogs.foundation.lazy import lazy_import
from walogs.foundation.process_name import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import BaseFileLock


class LockFile:
    """A lock file in a directory. This object holds the lock between `take` and `release`.

    *path* is the path of the directory, and *name* the name of the file. *held* says in messages what the holder of the
    lock has.
    """

    def __init__(self, path: str, name: str = LOCK, held: str = "") -> None:
        self._directory = path
        self._name = name
        self._told = held or f"{path} is open for writing"
        self._path = os.path.join(path, name)
        self._held: BaseFileLock | None = None

    def take(self, directory: Directory) -> None:
        """Lock the file in this directory, which is open, and sign it. The file is found by the path of *directory*.

        Raise `Locked` if another holder has the lock: this never waits. Raise `NoSpace` if there is no space for the
        file. After any error but `Locked` this object can hold the lock; `release` then frees it.
        """
        with lazy_import:
            from filelock import FileLock, Timeout

        path = directory.path_of(self._name)
        lock = FileLock(
            path,
            timeout=0,
            mode=FILE_MODE,
            thread_local=False,
            fallback_to_soft=False,
            preserve_lock_file=True,
        )
        self._held = lock  # first: an interrupt can arrive when the lock has just been taken
        try:
            with standard_descriptors_taken(os.path.dirname(path)):
                lock.acquire()
        except Timeout:
            self._held = None
            raise self._locked(path) from None
        except OSError as error:
            if error.errno in NO_SPACE:
                raise no_space(error, path) from error
            if error.errno in (errno.ENOSYS, errno.ENOTSUP):
                raise UnsafeStore(
                    f"{self._directory} is on a file system without locks: two writers would not see each other"
                ) from error
            raise
        directory.remember_lock(self._name)
        sign(directory, self._name)

    def release(self) -> None:
        """Free the lock, if this object holds it."""
        if self._held is not None:
            self._held.release()
            self._held = None

    def signature(self) -> tuple[int | None, str | None, str | None]:
        """Return the process, the host and the time that the last holder wrote into the file, or three times None."""
        return signature_in(self._path)

    def _locked(self, path: str) -> Locked:
        pid, host, since = signature_in(path)
        unsigned = f"another handle or process, which has not written into {self._name} yet who it is"
        holder = f"process {pid} on {host} since {since}" if pid is not None else unsigned
        move = "Close it there; a process that died has freed it already"
        if (pid, host) == (os.getpid(), HOST):
            holder, move = f"{holder}, which is this process", "Close the handle that has it, or use that one"
        return Locked(f"{self._told} by {holder}. {move}.", pid=pid, host=host, since=since)


class PathLock:
    """A lock of the kernel on the file *path*, which is made if it is missing, and never removed. A `CursorLock`.

    *held* says in messages what the holder has, such as `cursor 'mailer' of orders.db is open`.
    """

    def __init__(self, path: str, held: str) -> None:
        self._path, name = os.path.split(os.path.abspath(path))
        self._file = LockFile(self._path, name, held)

    def take(self) -> None:
        """Lock the file, and write into it which process has it. Never wait.

        Raise `Locked` if another holder has it, in this process too, `NoSpace` and `OSError`. After any error but
        `Locked`, this object can hold the lock; `release` then frees it.
        """
        directory = Directory(self._path, os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            self._file.take(directory)
        finally:
            directory.close()

    def release(self) -> None:
        """Free the lock if this object holds it. A second call does nothing."""
        self._file.release()


def signature_in(path: str) -> tuple[int | None, str | None, str | None]:
    """Return what `sign` wrote into the lock file: process, host and time. Return three times None without that."""
    words: list[str] = []
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | OURS)
        try:
            words = os.pread(fd, 512, 0).decode("utf-8", "replace").split()
        finally:
            os.close(fd)
    if len(words) != 3 or not words[0].isdecimal():
        return None, None, None
    return int(words[0]), words[1], words[2]


def sign(directory: Directory, name: str) -> None:
    """Write this process, its host and the time into a lock file, for the message to the next process.

    The lock itself is the kernel's, so a full disk does no harm here. A file that has a second name (a hard link) stays
    as it is, because it may be a file of somebody else.
    """
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError):
        fd = directory.open_file(name, os.O_WRONLY | OURS)
        try:
            if os.fstat(fd).st_nlink == 1:
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()} {HOST} {now}\n".encode(), 0)
        finally:
            os.close(fd)


@contextlib.contextmanager
def standard_descriptors_taken(directory: str) -> Iterator[None]:
    """Occupy the descriptors 0 to 2 during the block, in which filelock opens its file. It must not get one of them."""
    held = [os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        while held[-1] <= LAST_STANDARD:
            held.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        yield
    finally:
        for fd in held:
            os.close(fd)
