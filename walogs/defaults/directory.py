"""The directory of a log. The writer holds it by a descriptor, so a renamed path does not matter.

Reading threads use the descriptor at any time, also while the store is being closed. Closing does not wait for them,
and does not close the descriptor while a thread uses it: another file could get the same number. The last thread that
uses the descriptor closes it.
"""

from __future__ import annotations

import os
from typing import Final

from walogs.errors import UnsafeStore

LOCK: Final = "LOCK"


class Directory:
    """A directory that is open or closed. It is closed while it has no descriptor."""

    def __init__(self, path: str, fd: int = -1) -> None:
        self._path = path
        self._fds = [fd] if fd >= 0 else []
        self._users: list[None] = []
        self._is_open = fd >= 0
        self._lock_name = LOCK
        self._locked: tuple[int, int] | None = None
        """The device and inode of the lock file that this process holds. None: it holds no lock."""
        self.was_told = False
        """True: a caller has received the error that the directory is lost."""

    def __enter__(self) -> int | None:
        """Return the descriptor, which stays open until the block ends. None: the directory is closed."""
        self._users.append(None)
        return self._fds[0] if self._is_open else None

    def __exit__(self, *_: object) -> None:
        self._users.pop()
        if not self._is_open:
            self._close_if_unused()

    @property
    def fd(self) -> int:
        """The descriptor, for the writing thread, which is in no call while the store is closed. -1: it is closed."""
        return self._fds[0] if self._is_open else -1

    def path_of(self, name: str) -> str:
        """Return the path of the file with this name, for messages."""
        return os.path.join(self._path, name)

    def open_file(self, name: str, flags: int) -> int:
        """Open the file with this name, by its path if the directory is closed. Return its descriptor."""
        try:
            with self as fd:
                return os.open(self.path_of(name) if fd is None else name, flags, dir_fd=fd)
        except OSError as error:
            error.filename = self.path_of(name)
            raise

    def close(self) -> None:
        """Close the directory. A second call does nothing."""
        self._is_open = False
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._users:
            return
        try:
            fd = self._fds.pop()
        except IndexError:  # it is closed, or another thread was quicker
            return
        os.close(fd)

    def forget_users(self) -> None:
        """Forget the threads that used the descriptor. A forked child calls this, because it does not have them."""
        self._users.clear()

    # The lock

    def remember_lock(self, name: str = LOCK) -> None:
        """Remember the file that was just locked by its path. Raises `UnsafeStore` if it is not in this directory."""
        self._lock_name = name
        by_path = identity(os.stat(self.path_of(name), follow_symlinks=False))
        if self._lock_there() != by_path:
            raise UnsafeStore(
                f"{self._path} was moved or replaced while it was being opened. Nothing was changed: try again."
            )
        self._locked = by_path

    @property
    def is_lost(self) -> bool:
        """True if another writer can lock this log, because its LOCK or its directory was removed or replaced."""
        return self._is_open and self._locked is not None and self._lock_there() != self._locked

    def refuse_if_lost(self) -> None:
        """Raise `UnsafeStore` if the directory is lost."""
        if not self.is_lost:
            return
        self.was_told = True
        what = "was replaced" if self._lock_there() is not None else "is gone, perhaps with the whole directory"
        move = "Close this handle and find out who did that, before the log is opened again"
        raise UnsafeStore(f"{self.path_of(self._lock_name)} {what}: another writer may have the log by now. {move}.")

    def _lock_there(self) -> tuple[int, int] | None:
        try:
            return identity(os.stat(self._lock_name, dir_fd=self.fd, follow_symlinks=False))
        except FileNotFoundError:
            return None


def identity(status: os.stat_result) -> tuple[int, int]:
    """Return the device and the inode of a file."""
    return status.st_dev, status.st_ino
