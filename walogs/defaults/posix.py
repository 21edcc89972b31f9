"""File work on POSIX systems that stores need, and that is easy to get wrong.

Each function raises `OSError` as the system gave it. A function that raised can have done a part of its work.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "FILE_MODE",
    "OURS",
    "above_standard",
    "make_directories",
    "size_of_file",
    "sync_ancestors",
    "sync_data",
    "sync_directory",
    "sync_full",
    "write_all",
    "write_zeros",
]

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
OURS: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Every file of a log is opened with these flags. By O_NONBLOCK, opening a pipe that has a file's name never waits."""
LAST_STANDARD: Final = 2
ZEROS: Final = bytes(1 << 20)
CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.EROFS, errno.ENOTSUP})
"""Errors of a file system that does not sync directories."""


if sys.platform == "darwin":  # fsync there does not flush the drive's cache: fcntl(2), F_FULLFSYNC

    def sync_full(fd: int) -> None:
        """Make the bytes and all attributes of an open file or directory durable: F_FULLFSYNC on macOS, else fsync.

        Never call it again after it raised: the second call can succeed although the bytes are lost.
        """
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
            os.fsync(fd)

    def sync_data(fd: int) -> None:
        """Make the bytes of an open file durable. On macOS this is `sync_full`."""
        sync_full(fd)

else:

    def sync_full(fd: int) -> None:
        """Make the bytes and all attributes of an open file or directory durable: F_FULLFSYNC on macOS, else fsync.

        Never call it again after it raised: the second call can succeed although the bytes are lost.
        """
        os.fsync(fd)

    def sync_data(fd: int) -> None:
        """Make the bytes of an open file durable, and what is needed to read them back (fdatasync).

        Never call it again after it raised: the second call can succeed although the bytes are lost.
        """
        os.fdatasync(fd)


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable. A new file survives a power cut only after this."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_full(fd)
    finally:
        os.close(fd)


def sync_ancestors(path: str) -> None:
    """Make the name of an absolute *path* durable, and the names of all directories above it.

    The process that made a directory may have died before it synced the name, so all of them are synced. A directory
    that this process cannot open, or that its file system cannot sync, is passed over.
    """
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:
            continue
        try:
            sync_full(fd)
        except OSError as error:
            if error.errno not in CANNOT_SYNC:
                raise
        finally:
            os.close(fd)


def make_directories(path: str) -> list[str]:
    """Make the directory and those above it that are missing, readable by their owner only.

    Return the directories that were made, from the top down. Their names are durable after `sync_ancestors`.
    """
    missing: list[str] = []
    while not os.path.exists(path):
        missing.append(path)
        path = os.path.dirname(path)
    made: list[str] = []
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, DIRECTORY_MODE)
            made.append(path)
    return made


def size_of_file(fd: int) -> int:
    """Return the size in bytes of an open file. Raises `OSError` if it is none, but a directory or a pipe."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a file: move it away; nothing was changed")
    return status.st_size


def above_standard(fd: int) -> int:
    """Return a descriptor of the same open file that is above 2, and close *fd* if it was not.

    A daemon closes descriptors 0, 1 and 2, and the next file that it opens gets such a number. Everything that the
    process prints would then be written into the file.
    """
    if fd > LAST_STANDARD:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, LAST_STANDARD + 1)
    finally:
        os.close(fd)


def write_all(fd: int, data: Buffer, offset: int) -> None:
    """Write all bytes of *data* at the byte *offset*. They are durable after a sync.

    On a full disk ext4, XFS and btrfs write a part first, and give the reason only at the next call. So this function
    continues after a short write until the system raises.
    """
    view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def write_zeros(fd: int, start: int, end: int) -> None:
    """Write zeros over the bytes [start, end). The file grows to *end* where it is shorter."""
    while start < end:
        start += os.pwrite(fd, memoryview(ZEROS)[: end - start], start)
