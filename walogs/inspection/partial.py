"""A directory that `backup` or `salvage_into` fills, and that gets its final name when it is complete.

Rules of this file:

1. The partial directory has a name that no other call has. `mkdir` makes it, and fails if the name is taken.
2. Files are made through the directory's descriptor. If another process renames or replaces the directory, this call
   still writes nowhere else.
3. This call removes only what it has made. Before it removes a file or the directory by name, it compares it with what
   it has made.
4. The rename is the only step that touches the target. The kernel refuses it if the target holds anything.
5. The rename uses the parent's descriptor, so it follows a parent that was renamed. This call succeeds only if the
   path that the caller asked for leads to what was made.
"""

from __future__ import annotations

import contextlib
import errno
import os
from io import BufferedWriter, FileIO
from typing import TYPE_CHECKING, Final

from walogs.defaults.directory import LOCK
from walogs.defaults.file_errors import errors_name
from walogs.defaults.local_store import FILE_MODE, OURS, is_ours
from walogs.defaults.posix import DIRECTORY_MODE, make_directories, sync_ancestors, sync_full

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

MARK: Final = ".partial-"
"""`copy.wal.partial-3f2a9c1b` is an unfinished `copy.wal`."""
NAME_BYTES_MAX: Final = 255
TRIES_MAX: Final = 100
IN_THE_WAY: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR})
"""Errors of `rename` if the target has become a file, or a directory that holds something."""


def target_of(made: Partial | FileOfPartial, *_: object) -> str:
    return made.target


class Partial:
    """The partial directory of one target. Leaving its context removes it, unless it was published.

    An `OSError` of a method names the target, or another absolute path.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        """The path that it gets in the end, without symbolic links."""
        self._directory, self._target_name = os.path.split(target)
        self._made_parents: list[tuple[str, os.stat_result]] = []
        self._made: dict[str, os.stat_result] = {}
        self._made_directories: dict[str, os.stat_result] = {}
        self._parent_fd = self.fd = -1
        self.name = ""
        self._is_published = False

    @property
    def path(self) -> str:
        return os.path.join(self._directory, self.name)

    @errors_name(target_of)
    def __enter__(self) -> Self:
        refuse_occupied(self.target)
        try:
            self._made_parents = [(path, os.lstat(path)) for path in make_directories(self._directory)]
            self._parent_fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._make()
        except BaseException:
            self._discard()
            raise
        return self

    def _make(self) -> None:
        beginning = os.fsencode(self._target_name)[: NAME_BYTES_MAX - len(MARK) - 8]
        for _ in range(TRIES_MAX):
            name = f"{os.fsdecode(beginning)}{MARK}{os.urandom(4).hex()}"
            try:
                os.mkdir(name, DIRECTORY_MODE, dir_fd=self._parent_fd)
            except FileExistsError:
                continue
            self.name = name
            self.fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._parent_fd)
            return
        raise FileExistsError(errno.EEXIST, "every name for a partial is taken", self.path)

    @errors_name(target_of)
    def create(self, name: str) -> BufferedWriter:
        """Make a file in the directory and return it, open for writing.

        Raises `FileExistsError`, and `OSError` if the directory is gone.
        """
        try:
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OURS, FILE_MODE, dir_fd=self.fd)
        except FileNotFoundError:
            raise self._lost_error() from None
        self._made[name] = os.fstat(fd)
        return BufferedWriter(FileOfPartial(fd, self.target))

    @errors_name(target_of)
    def flush_and_sync(self, file: BufferedWriter) -> None:
        """Make the bytes durable that were written to *file*, which `create` has returned."""
        file.flush()
        sync_full(file.fileno())

    @errors_name(target_of)
    def make_directory(self, name: str) -> None:
        """Make a directory in the directory. A file in it has the name `directory/file`.

        Raises `FileExistsError`, and `OSError` if the directory is gone.
        """
        os.mkdir(name, DIRECTORY_MODE, dir_fd=self.fd)
        self._made_directories[name] = os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    @errors_name(target_of)
    def sync_directory(self, name: str) -> None:
        """Make the names in a directory durable that was made in the directory."""
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | OURS, dir_fd=self.fd)
        try:
            sync_full(fd)
        finally:
            os.close(fd)

    def remove(self, name: str) -> None:
        """Remove a file that this object has made, unless another one is in its place."""
        remove_own(name, self._made.pop(name), self.fd, is_directory=False)

    def adopt(self) -> None:
        """Count the files of the log in the directory as made by this call, which has opened that log."""
        for name in filter(is_store_file, os.listdir(self.fd)):
            self._made.setdefault(name, os.stat(name, dir_fd=self.fd, follow_symlinks=False))

    @errors_name(target_of)
    def publish(self) -> None:
        """Sync the directory, and durably give it the target's name.

        Raises `FileExistsError` if something was put at the target meanwhile, and `OSError`. The target is then
        unchanged, with two exceptions. If only the last syncs fail, a note on the error says that the copy is whole. If
        the target's path does not lead to the copy, the error says where the copy is.
        """
        sync_full(self.fd)
        if not is_same(self.name, os.fstat(self.fd), self._parent_fd):
            raise self._lost_error()
        try:
            os.rename(self.name, self._target_name, src_dir_fd=self._parent_fd, dst_dir_fd=self._parent_fd)
        except OSError as error:
            if error.errno not in IN_THE_WAY:
                raise
            raise occupied_error(self.target, "something was put there meanwhile, perhaps by another copy") from error
        self._is_published = True
        self._refuse_moved()
        try:
            sync_full(self._parent_fd)
            sync_ancestors(self.target)
        except OSError as error:
            self._refuse_moved()
            error.add_note(f"{self.target} is whole, but a power cut may remove its name.")
            raise

    def _refuse_moved(self) -> None:
        """Raise `OSError` unless the target's path leads to the directory that was made."""
        with contextlib.suppress(OSError):
            if is_same(self.target, os.fstat(self.fd), None):
                return
        why = "this path does not lead to the copy: a directory above it was renamed, replaced or removed meanwhile"
        try:
            place = f"The copy is whole, in {os.readlink(f'/proc/self/fd/{self.fd}')}"
        except OSError:  # this system has no /proc
            place = f"The copy is whole, and is named {self._target_name} in the directory that was renamed"
        error = OSError(errno.ESTALE, why, self.target)
        error.add_note(f"{place}. Move it to where it belongs.")
        raise error

    def _lost_error(self) -> OSError:
        why = "this directory was removed or renamed while a copy was being made in it. The copy was given up"
        return FileNotFoundError(errno.ENOENT, why, self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._discard()

    def _discard(self) -> None:
        """Close the descriptors. Remove everything that was made, unless it was published."""
        try:
            if self.name and not self._is_published:
                for name in tuple(self._made):
                    self.remove(name)
                for name, status in self._made_directories.items():
                    remove_own(name, status, self.fd, is_directory=True)
                if self.fd >= 0:
                    remove_own(self.name, os.fstat(self.fd), self._parent_fd, is_directory=True)
                for path, status in reversed(self._made_parents):
                    remove_own(path, status, None, is_directory=True)
        finally:
            for fd in (self.fd, self._parent_fd):
                if fd >= 0:
                    os.close(fd)
            self.fd = self._parent_fd = -1


class FileOfPartial(FileIO):
    """A file in a partial directory. An error of a write names the target, because the partial is removed then."""

    def __init__(self, fd: int, target: str) -> None:
        super().__init__(fd, "wb")
        self.target = target

    @errors_name(target_of)
    def write(self, data: Buffer, /) -> int:
        return super().write(data)


def is_store_file(name: str) -> bool:
    return name == LOCK or is_ours(name)


def refuse_occupied(target: str) -> None:
    """Raise `FileExistsError` if anything but an empty directory is at *target*."""
    if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
        raise occupied_error(target, "a copy needs a directory that is new or empty")


def occupied_error(target: str, why: str) -> FileExistsError:
    error = FileExistsError(errno.EEXIST, why, target)
    error.add_note("Nothing was changed there. Name another directory.")
    return error


def is_same(name: str, status: os.stat_result, directory: int | None) -> bool:
    """Return whether *name* leads to the file or directory that *status* describes."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, status)


def remove_own(name: str, status: os.stat_result, directory: int | None, *, is_directory: bool) -> None:
    """Remove the file or the empty directory that *status* describes. Anything else of that name stays.

    This only cleans up, so errors are ignored. What stays has a name that says what it is.
    """
    with contextlib.suppress(OSError):
        if not is_same(name, status, directory):
            return
        if is_directory:
            os.rmdir(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
