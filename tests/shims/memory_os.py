"""`os`, as far as the local store uses it, over a `MemoryDisk`: its own system calls run under the crash model.

    run_as(MemoryOS(disk), monkeypatch.setattr)
    store = LocalStore(ROOT)

One `MemoryOS` is one process: after a kill or power cut, run as another. What is not modelled is an
`AttributeError`, so that no new system call reaches the real machine unseen. File descriptors are numbers that no real
file has, and the device is one that no mount has: whoever asks the real system about them learns, and maps, nothing.
"""

from __future__ import annotations

import errno
import itertools
import os
import posixpath
import stat
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from walogs.testing import Handle, MemoryDisk, Process, SimulatedCrash

if TYPE_CHECKING:
    from typing_extensions import Buffer

ROOT: Final = "/memory/log"
"""The directory that the disk is. It is there, and so are its parents, durably. It can hold directories."""
DEVICE: Final = os.makedev(0xFFF, 0xFFFFF)

MODULES: Final = (
    "cursor_files",
    "directory",
    "durable_mark_file",
    "local_store",
    "lock_file",
    "posix",
    "whole_files",
)
"""The modules of the local store."""

_FDS: Final = itertools.count(1 << 24)  # above any limit on real ones; over all processes, so none is used twice
_HARMLESS: Final = frozenset({"PathLike", "fspath", "getpid", "strerror", "uname"})


@dataclass
class Opened:
    """What a file descriptor stands for."""

    handle: Handle | None
    """None: a directory."""
    directory: str | None
    """The name of the directory on the disk; "": the disk's own. None: a file, or a directory above it."""
    is_writable: bool


class MemoryOS:
    """The `os` of one process. Errors are those of the real one; `SimulatedCrash` once the process is dead."""

    def __init__(self, disk: MemoryDisk, root: str = ROOT) -> None:
        self.disk = disk
        self.process: Process = disk.process()
        self.path = SimpleNamespace(
            abspath=posixpath.abspath,
            basename=posixpath.basename,
            dirname=posixpath.dirname,
            exists=self._exists,
            join=posixpath.join,
        )
        self.filelock = SimpleNamespace(FileLock=self._file_lock, Timeout=Timeout)
        """Stands in for the module of that name: its lock is the disk's, and dies with the process."""
        self._root = root
        self._first_fd = next(_FDS)
        self._opened: dict[int, Opened] = {}
        self.locked: dict[str, MemoryFileLock] = {}
        """The locks of this process."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("O_") or name in _HARMLESS:
            return getattr(os, name)
        raise AttributeError(f"os.{name} is not modelled; add it here before the local store uses it")

    # Names

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        del mode
        self.process.refuse_if_dead()
        is_writable = flags & os.O_ACCMODE != os.O_RDONLY
        if self._is_directory(path, dir_fd):
            if is_writable or flags & os.O_CREAT:
                raise _error(errno.EISDIR, path)
            return self._issue(Opened(None, self._directory(path, dir_fd), is_writable))
        name = self._name(path, dir_fd)
        if flags & os.O_DIRECTORY:
            raise _error(errno.ENOTDIR if name in self.disk.cached_names() else errno.ENOENT, path)
        handle = self._open_file(name, flags)
        if flags & os.O_TRUNC and handle.size:
            handle.truncate(0)
        return self._issue(Opened(handle, None, is_writable))

    def _open_file(self, name: str, flags: int) -> Handle:
        if flags & os.O_CREAT and (flags & os.O_EXCL or name not in self.disk.cached_names()):
            return self.process.create_exclusive(name)
        return self.process.open(name)

    def listdir(self, path: str | int) -> list[str]:
        self.process.refuse_if_dead()
        directory = self._get(path).directory if isinstance(path, int) else self._directory(path, None)
        if directory is not None:
            return self.process.names(directory)
        is_file = isinstance(path, int) or self._name(path, None) in self.disk.cached_names()
        raise _error(errno.ENOTDIR if is_file else errno.ENOENT, None if isinstance(path, int) else path)

    def stat(self, path: str, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        del follow_symlinks  # there are none
        if self._is_directory(path, dir_fd):
            return _status(stat.S_IFDIR | 0o700, 1, 0)
        handle = self.process.open(self._name(path, dir_fd))
        return _status(stat.S_IFREG | 0o600, handle.inode.number, handle.size, handle.inode.links)

    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        del mode
        self.process.refuse_if_dead()
        if dir_fd is None and self._exists(path):
            raise _error(errno.EEXIST, path)
        self.process.make_directory(self._name(path, dir_fd))

    def rename(self, src: str, dst: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        self.process.rename(self._name(src, src_dir_fd), self._name(dst, dst_dir_fd))

    def link(
        self,
        src: str,
        dst: str,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        del follow_symlinks  # there are none
        self.process.link(self._name(src, src_dir_fd), self._name(dst, dst_dir_fd))

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        self.process.unlink(self._name(path, dir_fd))

    # Descriptors

    def close(self, fd: int) -> None:
        self._get(fd)
        del self._opened[fd]

    def fstat(self, fd: int) -> os.stat_result:
        handle = self._get(fd).handle
        if handle is None:
            return _status(stat.S_IFDIR | 0o700, 1, 0)
        return _status(stat.S_IFREG | 0o600, handle.inode.number, handle.size, handle.inode.links)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return self._file(fd).read(offset, offset + size)

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        return self._file(fd, writes=True).write(offset, data)

    def ftruncate(self, fd: int, size: int) -> None:
        self._file(fd, writes=True).truncate(size)

    def fsync(self, fd: int) -> None:
        opened = self._get(fd)
        if opened.handle is not None:
            opened.handle.sync("full")
        elif opened.directory is not None:
            self.process.sync_directory(opened.directory)

    def fdatasync(self, fd: int) -> None:
        self._file(fd).sync("data")

    # How

    def _issue(self, opened: Opened) -> int:
        fd = next(_FDS)
        self._opened[fd] = opened
        return fd

    def _get(self, fd: int) -> Opened:
        self.process.refuse_if_dead()
        if fd in self._opened:
            return self._opened[fd]
        if 0 <= fd < self._first_fd:
            raise SimulatedCrash("this descriptor is of a process that is dead")
        raise _error(errno.EBADF)

    def _file(self, fd: int, *, writes: bool = False) -> Handle:
        opened = self._get(fd)
        if opened.handle is None:
            raise _error(errno.EISDIR)
        if writes and not opened.is_writable:
            raise _error(errno.EBADF)
        return opened.handle

    def _exists(self, path: str) -> bool:
        return self._is_directory(path, None) or (
            posixpath.dirname(path) == self._root and posixpath.basename(path) in self.disk.cached_names()
        )

    def _is_directory(self, path: str, dir_fd: int | None) -> bool:
        if self._directory(path, dir_fd) is not None:
            return True
        return dir_fd is None and f"{self._root}/".startswith(f"{posixpath.normpath(path)}/".replace("//", "/"))

    def _directory(self, path: str, dir_fd: int | None) -> str | None:
        """The name of the directory on the disk; None: it is no directory, or one above the disk's own."""
        if path == ".":
            return None if dir_fd is None else self._get(dir_fd).directory
        if dir_fd is None and posixpath.normpath(path) == self._root:
            return ""
        try:
            name = self._name(path, dir_fd)
        except FileNotFoundError:
            return None
        return name if self.disk.is_directory(name) else None

    def _name(self, path: str, dir_fd: int | None) -> str:
        """The name on the disk: `file`, or `directory/file`. Raises `FileNotFoundError` for any other place."""
        self.process.refuse_if_dead()
        if dir_fd is not None and not path.startswith("/"):
            directory = self._get(dir_fd).directory
            if directory is None or "/" in path:
                raise _error(errno.ENOENT, path)
            return f"{directory}/{path}" if directory else path
        name = posixpath.relpath(path, self._root)
        if name == "." or name.startswith("..") or name.count("/") > 1:
            raise _error(errno.ENOENT, path)
        return name

    def _file_lock(self, path: str, **options: object) -> MemoryFileLock:
        del options
        return MemoryFileLock(self, self._name(path, None))


class Timeout(TimeoutError):
    """As filelock's: another process holds the lock."""


class MemoryFileLock:
    """As much of a `filelock.FileLock` as a writer needs: its file is made, and never removed."""

    def __init__(self, system: MemoryOS, name: str) -> None:
        self._process = system.process
        self._locked = system.locked
        self._name = name

    def acquire(self) -> None:
        """Raises `Timeout` at once when the lock is another process's, or another object's."""
        if self._locked.setdefault(self._name, self) is not self:
            raise Timeout(self._name)
        if not self._process.lock(self._name):
            del self._locked[self._name]
            raise Timeout(self._name)
        if self._name not in self._process.disk.cached_names():
            self._process.create_exclusive(self._name)

    def release(self) -> None:
        if self._locked.get(self._name) is self:
            del self._locked[self._name]
            self._process.unlock(self._name)


def run_as(process: MemoryOS, patch: Callable[[str, object], None]) -> None:
    """Let the local store be this process: *patch* sets an attribute by its dotted name, as monkeypatch does."""
    for module in (
        "local_store",
        "cursor_files",
        "directory",
        "durable_mark_file",
        "lock_file",
        "posix",
        "whole_files",
    ):
        import_module(f"walogs.defaults.{module}")
        patch(f"walogs.defaults.{module}.os", process)
    patch("filelock.FileLock", process.filelock.FileLock)
    patch("filelock.Timeout", process.filelock.Timeout)


def _status(mode: int, inode: int, size: int, links: int = 1) -> os.stat_result:
    return os.stat_result((mode, inode, DEVICE, links, os.getuid(), os.getgid(), size, 0, 0, 0))


def _error(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)
