"""The file LOCK of a log. The one writer holds a lock of the kernel on it, and signs it.

The kernel frees the lock when its process ends, in whatever way. The file itself is never removed: otherwise one writer
could lock the old file, and another one a new file of the same name. The signature only names the holder in the message
to the next writer, so it may be missing or stale.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING, Final

from walogs.defaults.directory import LOCK
from walogs.defaults.posix import FILE_MODE, LAST_STANDARD, OURS
from walogs.errors import Locked, UnsafeStore
from walogs.foundation.lazy import lazy_import
from walogs.foundation.process_name import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import BaseFileLock

    from walogs.defaults.directory import Directory

UNSIGNED: Final = "another handle or process, which has not written into LOCK yet who it is"


class LockFile:
    """The LOCK in the directory of a log. This object holds the lock between `take` and `release`."""

    def __init__(self, log: str) -> None:
        self._log = log
        """The path of the directory."""
        self._path = os.path.join(log, LOCK)
        self._held: BaseFileLock | None = None

    def take(self, directory: Directory) -> None:
        """Lock LOCK in this directory, which is open, and sign it.

        Raise `Locked` if another writer has the lock: this never waits. After any other error this object can hold the
        lock; `release` then frees it.
        """
        with lazy_import:
            from filelock import FileLock, Timeout

        lock = FileLock(
            self._path,
            timeout=0,
            mode=FILE_MODE,
            thread_local=False,
            fallback_to_soft=False,
            preserve_lock_file=True,
        )
        self._held = lock  # first: an interrupt can arrive when the lock has just been taken
        try:
            with standard_descriptors_taken(self._log):
                lock.acquire()
        except Timeout:
            self._held = None
            raise self._locked() from None
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOTSUP):
                raise UnsafeStore(
                    f"{self._log} is on a file system without locks: two writers would not see each other"
                ) from error
            raise
        directory.remember_lock()
        sign(directory)

    def release(self) -> None:
        """Free the lock, if this object holds it."""
        if self._held is not None:
            self._held.release()
            self._held = None

    def signature(self) -> tuple[int | None, str | None, str | None]:
        """Return the process, the host and the time that the last writer wrote into LOCK, or three times None."""
        words: list[str] = []
        with contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_RDONLY | OURS)
            try:
                words = os.pread(fd, 512, 0).decode("utf-8", "replace").split()
            finally:
                os.close(fd)
        if len(words) != 3 or not words[0].isdecimal():
            return None, None, None
        return int(words[0]), words[1], words[2]

    def _locked(self) -> Locked:
        pid, host, since = self.signature()
        holder = f"process {pid} on {host} since {since}" if pid is not None else UNSIGNED
        move = "Close it there; a writer that died has freed it already"
        return Locked(f"{self._log} is open for writing by {holder}. {move}.", pid=pid, host=host, since=since)


def sign(directory: Directory) -> None:
    """Write this process, its host and the time into LOCK, for the message to the next writer.

    The lock itself is the kernel's, so a full disk does no harm here. A LOCK that has a second name (a hard link) stays
    as it is, because it may be a file of somebody else.
    """
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError):
        fd = directory.open_file(LOCK, os.O_WRONLY | OURS)
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
