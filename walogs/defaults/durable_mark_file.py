"""The file DURABLE, in which a writer keeps the durable mark.

The mark is advisory: no append fails because the mark cannot be written. So `write` returns whether the mark was
written, and raises nothing but an interrupt.

The file is mapped into memory where no write to a mapping can fail for want of a block. Writing the mark then takes no
system call.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import TYPE_CHECKING, Final

from walogs.defaults.mounts import MAPPABLE, file_system
from walogs.defaults.posix import FILE_MODE, OURS, above_standard, sync_full, write_all

if TYPE_CHECKING:
    from walogs.defaults.directory import Directory
    from walogs.defaults.whole_files import WholeFiles

DURABLE_MARK: Final = "DURABLE"
DURABLE_MARK_BYTES: Final = 64
WHOLE: Final = slice(0, DURABLE_MARK_BYTES)


class DurableMarkFile:
    """The DURABLE in a directory that is open. It is opened when it is first written."""

    def __init__(self, directory: Directory, whole_files: WholeFiles) -> None:
        self._directory = directory
        self._whole_files = whole_files
        self._fd = -1
        self._mapped: mmap.mmap | None = None
        self._fails = False
        """True: the last write failed. Only a write that must be durable is tried after that."""

    def write(self, data: bytes, *, durable: bool) -> bool:
        """Write the mark, and sync it if it has to be *durable*. Return whether that was done."""
        if self._fails and not durable:
            return False
        try:
            if durable and self._directory.is_lost:
                return False  # the file with this name may be another writer's
            if self._fd < 0:
                self._open(data)
            if (mapped := self._mapped) is not None:
                mapped[WHOLE] = data
            else:
                os.pwrite(self._fd, data, 0)
            if durable:
                sync_full(self._fd)
                self._fails = False
        except Exception:  # noqa: BLE001  # the mark is advisory, so no append may fail
            self._fails = True
            return False
        return True

    def _open(self, data: bytes) -> None:
        """Write the mark and sync it before the file is mapped. A write to the mapping then needs no new block."""
        try:
            fd = self._whole_files.open_alone(DURABLE_MARK)
        except FileNotFoundError:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | OURS
            fd = above_standard(os.open(DURABLE_MARK, flags, FILE_MODE, dir_fd=self._directory.fd))
        try:
            write_all(fd, data, 0)
            sync_full(fd)
            sync_full(self._directory.fd)
            if file_system(os.fstat(fd).st_dev) in MAPPABLE:
                self._mapped = mmap.mmap(fd, DURABLE_MARK_BYTES)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def drop(self) -> None:
        """Remove the file, durably. Raise `OSError` if it may still be there."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(DURABLE_MARK, dir_fd=self._directory.fd)
        sync_full(self._directory.fd)

    def close(self) -> None:
        """Close the file and its mapping. The file stays as it is."""
        mapped, self._mapped = self._mapped, None
        if mapped is not None:
            mapped.close()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
