"""How a file of a log gets its name: with all of its bytes, which are synced already, or not at all.

Each file is first written under a temporary name and synced. Only then is it renamed. The caller syncs the directory,
because only then is the name durable.

No file is written in place while it has another name too. People copy logs by hard links, and so does a repair.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

from walogs.defaults.mounts import MAPPABLE, ask_for_nocow, file_system
from walogs.defaults.posix import FILE_MODE, OURS, above_standard, sync_full, write_all
from walogs.errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from walogs.defaults.directory import Directory

NO_LINKS: Final = frozenset({errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors of a file system that has no hard links, or allows no more of them for this file."""
NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
COPY_BYTES: Final = 1 << 20


class WholeFiles:
    """The files of a directory that is open. Each method raises `NoSpace` if there is no space: nothing has changed."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.may_have_leftovers = True
        """True: a writer that died, or a `create` that failed here, may have left its temporary file."""

    def exists(self, name: str) -> bool:
        """Return whether a file has this name."""
        try:
            os.stat(name, dir_fd=self._directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def create(self, name: str, pieces: Iterable[Buffer], temporary: str | None = None) -> int:
        """Create a file with these bytes, end to end, and sync it. It takes the place of a file of the same name.

        Return its descriptor. Its temporary name is *temporary*, or else *name* with `.tmp` at the end.
        """
        temporary = f"{name}.tmp" if temporary is None else temporary
        fd = self._create_temporary(temporary, pieces)
        try:
            os.rename(temporary, name, src_dir_fd=self._directory.fd, dst_dir_fd=self._directory.fd)
        except BaseException as error:
            self._give_up(fd, temporary, error)
            raise
        return fd

    def _create_temporary(self, name: str, pieces: Iterable[Buffer]) -> int:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory.fd)
        fd = -1
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | OURS
            fd = above_standard(os.open(name, flags, FILE_MODE, dir_fd=self._directory.fd))
            if file_system(os.fstat(fd).st_dev) not in MAPPABLE:
                ask_for_nocow(fd)
            offset = 0
            for piece in pieces:
                write_all(fd, piece, offset)
                offset += memoryview(piece).nbytes
            sync_full(fd)
        except BaseException as error:
            self._give_up(fd, name, error)
            raise
        return fd

    def _give_up(self, fd: int, temporary: str, error: BaseException) -> None:
        """Close a temporary file that will not be renamed. If there is no space, remove it and raise `NoSpace`."""
        self.may_have_leftovers = True
        if fd >= 0:
            os.close(fd)
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._directory.fd)
            raise no_space(error, self._directory.path_of(temporary)) from error

    def open_alone(self, name: str) -> int:
        """Open a file so that it can be written in place. Return its descriptor.

        The file has another name too (a hard link) after a repair has set it aside, or after somebody has copied the
        log by links. A copy then takes this name, and the other name keeps the old file.
        """
        fd = above_standard(os.open(name, os.O_RDWR | OURS, dir_fd=self._directory.fd))
        if os.fstat(fd).st_nlink < 2:
            return fd
        try:
            copy = self.create(name, pieces_of(fd))
        finally:
            os.close(fd)
        try:
            sync_full(self._directory.fd)
        except BaseException:
            os.close(copy)
            raise
        return copy

    def give_second_name(self, fd: int, name: str, second: str) -> None:
        """Give the file *name* the name *second* too, by a hard link, which costs no space. Copy it if that fails.

        *fd* is a descriptor of the file. `open_alone` makes sure that the linked file is never written in place. A copy
        first has the temporary name of *name*, which the next open removes, so an unfinished copy never has the name of
        a whole one.
        """
        try:
            os.link(name, second, src_dir_fd=self._directory.fd, dst_dir_fd=self._directory.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            os.close(self.create(second, pieces_of(fd), temporary=f"{name}.tmp"))


def pieces_of(fd: int) -> Iterator[bytes]:
    """Yield all the bytes of an open file, piece by piece."""
    offset = 0
    while piece := os.pread(fd, COPY_BYTES, offset):
        yield piece
        offset += len(piece)


def no_space(error: OSError, path: str) -> NoSpace:
    """Return the error to raise in the place of *error*, by which the system says that there is no space."""
    refused = NoSpace(error.errno or errno.ENOSPC, os.strerror(error.errno or errno.ENOSPC), path)
    refused.add_note("Nothing was changed in the log: free some space, or inodes (`df -i`), and the same call works.")
    return refused
