"""`local`: segments are the files of one directory, on one host's local file system (A5).

    wal-000001.log   a segment; six digits, more when needed     LOCK      locked by the one writer, never removed
    wal-000001.log.tmp   one being created, or copied            DURABLE   the witness
    damaged-000001-…     what a repair has set aside: never read, never removed

Every system call is in this file. The rules it keeps: the offset is ours (pwrite, no O_APPEND: there Linux ignores the
offset); a short write is gone on with; a new name is durable only after its directory was synced (etcd #6368); a
descriptor written through is the one synced, so that no write-back error goes to somebody else; no symlink is
followed; a failed sync is never repeated (fsyncgate).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import re
import stat
import sys
import time
import weakref
from typing import TYPE_CHECKING, Final

from walogs.defaults.mounts import MAPPABLE, ask_for_nocow, file_system
from walogs.errors import Exists, Locked, Missing, NoSpace, Unsafe, UnsupportedFormat
from walogs.protocols import Barrier, StoreCapabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from filelock import BaseFileLock
    from typing_extensions import Buffer

SEGMENT: Final = re.compile(r"wal-(\d{6}|[1-9]\d{6,})\.log", re.ASCII)
ALMOST: Final = re.compile(r"wal-.*\.log", re.IGNORECASE | re.DOTALL)
LEFTOVER: Final = re.compile(r"wal-(\d{6}|[1-9]\d{6,})\.log\.tmp", re.ASCII)
CRATE_LOG: Final = "wal.log"
LOCK: Final = "LOCK"
WITNESS: Final = "DURABLE"
WITNESS_BYTES: Final = 64

NO_LINKS: Final = frozenset({errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What a file system says that has no hard links, or no more of them for this file."""
COPY_BYTES: Final = 1 << 20
NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
OURS: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in the place of a file is refused, not waited for
LAST_STANDARD: Final = 2
ZEROS: Final = bytes(1 << 20)
HOST: Final = os.uname().nodename.replace(" ", "_") or "localhost"


class LocalStore:
    """An `AppendableStore` of files in a directory, which is made where it is missing."""

    capabilities: StoreCapabilities = StoreCapabilities(
        appendable=True,
        torn_tail=True,
        exclusion="lock",
        numbers_reused=True,
        exists_means_durable=False,
        segment_bytes_max=(1 << 63) - 1,
        durability="disk",
    )

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self.name = self.path
        self._lock: BaseFileLock | None = None
        self._directory = -1
        self._files: dict[int, int] = {}
        self._witness_fd = -1
        self._witness: mmap.mmap | None = None
        self._witness_fails = False

    # Reading: needs no lock, changes nothing

    def segment_name(self, number: int) -> str:
        return f"wal-{number:06d}.log"

    def segments(self) -> Sequence[int]:
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            error.add_note("A log is a directory: name one, or a path where one can be made. Nothing was changed.")
            raise
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
                raise Unsafe(f"{self._path(name)} {why}. Rename it or move it away; nothing was changed.")
        return sorted(numbers)

    def size(self, number: int) -> int:
        try:
            return os.stat(self._path(self.segment_name(number)), follow_symlinks=False).st_size
        except FileNotFoundError:
            raise Missing(f"{self._path(self.segment_name(number))} is not there") from None

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        try:
            fd = os.open(self._path(self.segment_name(number)), os.O_RDONLY | OURS)
        except FileNotFoundError:
            raise Missing(f"{self._path(self.segment_name(number))} is not there") from None
        try:
            size = self._size_of_file(fd, self.segment_name(number))
            wanted = (size if end is None else min(end, size)) - start
            data = os.pread(fd, wanted, start) if wanted > 0 else b""
            return data if len(data) >= wanted else self._read_on(fd, data, start, wanted)
        finally:
            os.close(fd)

    def _read_on(self, fd: int, data: bytes, start: int, wanted: int) -> bytes:
        pieces, length = [data], len(data)
        while length < wanted:
            piece = os.pread(fd, wanted - length, start + length)
            if not piece:  # LevelDB #1285: a short read taken for the end of the file drops what follows
                if os.fstat(fd).st_size > start + length:
                    raise OSError(errno.EIO, "read fewer bytes than the file has", self.name)
                break  # its writer has trimmed it since its size was asked for
            pieces.append(piece)
            length += len(piece)
        return b"".join(pieces)

    def read_witness(self) -> bytes | None:
        try:
            fd = os.open(self._path(WITNESS), os.O_RDONLY | OURS)
        except FileNotFoundError:
            return None
        try:
            self._size_of_file(fd, WITNESS)
            return os.pread(fd, WITNESS_BYTES, 0)
        finally:
            os.close(fd)

    def _size_of_file(self, fd: int, name: str) -> int:
        """Its size; raises `OSError` for what is no file."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a file: move it away; nothing was changed", self._path(name))
        return status.st_size

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)

    # The lock

    def acquire(self) -> None:
        if self._directory >= 0:
            raise Locked(f"{self.path} is open for writing through this very store object. Close that handle first.")
        try:
            self._make_directory()
            self._directory = above_standard(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            OPEN.add(self)
            self._take_lock()
            sync_full(self._directory)
            self._sync_ancestors()
        except BaseException:
            self.close()
            raise

    def _make_directory(self) -> None:
        missing: list[str] = []
        path = self.path
        while not os.path.exists(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, DIRECTORY_MODE)

    def _sync_ancestors(self) -> None:
        """The log's own name, and those above it, are durable: whoever made them may have died before syncing them.
        A directory that cannot be opened, or that its file system does not sync, is not ours to make durable."""
        path = self.path
        while path != os.path.dirname(path):
            path = os.path.dirname(path)
            try:
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except PermissionError:
                continue
            try:
                sync_full(fd)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):
                    raise
            finally:
                os.close(fd)

    def _take_lock(self) -> None:
        from filelock import FileLock, Timeout

        lock = FileLock(
            self._path(LOCK),
            timeout=0,
            mode=FILE_MODE,
            thread_local=False,
            fallback_to_soft=False,
            preserve_lock_file=True,
        )
        try:
            with standard_descriptors_taken(self.path):
                lock.acquire()
        except Timeout:
            raise self._locked() from None
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOTSUP):
                raise Unsafe(
                    f"{self.path} is on a file system without locks: two writers would not see each other"
                ) from error
            raise
        self._lock = lock
        self._sign_lock()

    def _sign_lock(self) -> None:
        """Who holds it, for the message of whoever comes next; the lock itself is the kernel's. A full disk is fine."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(OSError):
            fd = os.open(self._path(LOCK), os.O_WRONLY | os.O_TRUNC | OURS)
            try:
                os.pwrite(fd, f"{os.getpid()} {HOST} {now}\n".encode(), 0)
            finally:
                os.close(fd)

    def _locked(self) -> Locked:
        pid, host, since = self._lock_signature()
        holder = f"process {pid} on {host} since {since}" if pid is not None else "another handle"
        move = "Close it there; a writer that died has freed it already"
        return Locked(f"{self.path} is open for writing by {holder}. {move}.", pid=pid, host=host, since=since)

    def _lock_signature(self) -> tuple[int | None, str | None, str | None]:
        try:
            fd = os.open(self._path(LOCK), os.O_RDONLY | OURS)
        except OSError:
            return None, None, None
        try:
            words = os.pread(fd, 512, 0).decode("utf-8", "replace").split()
        finally:
            os.close(fd)
        if len(words) != 3 or not words[0].isdecimal():
            return None, None, None
        return int(words[0]), words[1], words[2]

    # Segments

    def create(self, number: int, data: Buffer) -> None:
        name = self.segment_name(number)
        if self._exists(name):
            raise Exists(f"{self._path(name)} is there already")
        fd = self._renamed(self._create_whole(f"{name}.tmp", (data,)), f"{name}.tmp", name)
        try:
            sync_full(self._directory)
        except BaseException:
            os.close(fd)
            raise
        for older in [n for n in self._files if n < number - 1]:
            os.close(self._files.pop(older))
        self._files[number] = fd

    def _create_whole(self, name: str, pieces: Iterable[Buffer]) -> int:
        """A new file with these bytes, end to end, synced; its descriptor."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory)
        fd = -1
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | OURS
            fd = above_standard(os.open(name, flags, FILE_MODE, dir_fd=self._directory))
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

    def _renamed(self, fd: int, temporary: str, name: str) -> int:
        try:
            os.rename(temporary, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except BaseException as error:
            self._give_up(fd, temporary, error)
            raise
        return fd

    def _give_up(self, fd: int, temporary: str, error: BaseException) -> None:
        """Not created. Room refused is said as such, with nothing left behind; whatever else it is goes on as it is."""
        if fd >= 0:
            os.close(fd)
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._directory)
            raise no_space(error, self._path(temporary)) from error

    def _exists(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def extend(self, number: int, size: int) -> None:
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
        fd = self._files.get(number)
        if fd is None:
            fd = self._file(number)
        written = os.pwrite(fd, data, offset)
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        if written != size:
            write_all(fd, memoryview(data).cast("B")[written:], offset + written)

    def sync(self, number: int, barrier: Barrier) -> None:
        if barrier == "data":
            sync_data(self._file(number))
        else:
            sync_full(self._file(number))

    def cut(self, number: int, offset: int) -> None:
        fd = self._file(number)
        write_zeros(fd, offset, os.fstat(fd).st_size)

    def trim(self, number: int, size: int) -> None:
        fd = self._file(number)
        os.ftruncate(fd, size)
        sync_full(fd)
        if number != max(self._files):
            os.close(self._files.pop(number))

    def remove(self, numbers: Sequence[int]) -> None:
        leftovers = [name for name in os.listdir(self.path) if LEFTOVER.fullmatch(name) is not None]
        names = [self.segment_name(number) for number in numbers]
        for number in numbers:
            fd = self._files.pop(number, None)
            if fd is not None:
                os.close(fd)
        for name in (*names, *leftovers):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._directory)
        if names or leftovers:
            sync_full(self._directory)

    # For a repair

    def set_aside(self, number: int, name: str) -> None:
        segment = self.segment_name(number)
        if self._exists(name):
            raise Exists(f"{self._path(name)} is there already")
        try:
            fd = os.open(segment, os.O_RDONLY | OURS, dir_fd=self._directory)
        except FileNotFoundError:
            raise Missing(f"{self._path(segment)} is not there") from None
        try:
            self._size_of_file(fd, segment)
            sync_full(fd)
        finally:
            os.close(fd)
        try:
            os.link(segment, name, src_dir_fd=self._directory, dst_dir_fd=self._directory, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            self._copy(number, name)
        sync_full(self._directory)

    def _copy(self, number: int, name: str) -> None:
        """Under a temporary name first: half a copy never has the name of one, and the next open removes it."""
        temporary = f"{self.segment_name(number)}.tmp"
        copied = self._create_whole(temporary, self._pieces(number))
        os.close(self._renamed(copied, temporary, name))

    def _pieces(self, number: int) -> Iterator[bytes]:
        size = self.size(number)
        for start in range(0, size, COPY_BYTES):
            yield self.read(number, start, min(size, start + COPY_BYTES))

    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        name = self.segment_name(number)
        if not self._exists(name):
            raise Missing(f"{self._path(name)} is not there")
        fd = self._renamed(self._create_whole(f"{name}.tmp", pieces), f"{name}.tmp", name)
        before, self._files[number] = self._files.get(number), fd
        if before is not None:
            os.close(before)
        sync_full(self._directory)

    def _file(self, number: int) -> int:
        fd = self._files.get(number)
        if fd is None:
            fd = above_standard(os.open(self.segment_name(number), os.O_RDWR | OURS, dir_fd=self._directory))
            self._files[number] = fd
        return fd

    # The witness

    def write_witness(self, data: bytes, *, durable: bool) -> bool:
        if self._witness_fails and not durable:
            return False
        try:
            if self._witness_fd < 0:
                self._open_witness(data)
            if self._witness is not None:
                self._witness[:WITNESS_BYTES] = data
            else:
                os.pwrite(self._witness_fd, data, 0)
            if durable:
                sync_full(self._witness_fd)
            self._witness_fails = False
        except Exception:  # noqa: BLE001  # advisory: an append never fails for it
            self._witness_fails = True
        return not self._witness_fails

    def _open_witness(self, data: bytes) -> None:
        """Written anew and synced before it is mapped, so that storing into the mapping cannot need a block."""
        fd = above_standard(os.open(WITNESS, os.O_RDWR | os.O_CREAT | OURS, FILE_MODE, dir_fd=self._directory))
        try:
            write_all(fd, data, 0)
            sync_full(fd)
            sync_full(self._directory)
            if file_system(os.fstat(fd).st_dev) in MAPPABLE:
                self._witness = mmap.mmap(fd, WITNESS_BYTES)
        except BaseException:
            os.close(fd)
            raise
        self._witness_fd = fd

    def drop_witness(self) -> None:
        self._let_go_of_witness()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(WITNESS, dir_fd=self._directory)
        sync_full(self._directory)

    def _let_go_of_witness(self) -> None:
        mapped, self._witness = self._witness, None
        if mapped is not None:
            mapped.close()
        fd, self._witness_fd = self._witness_fd, -1
        if fd >= 0:
            os.close(fd)

    # Closing

    def close(self) -> None:
        try:
            self._close_files()
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _close_files(self) -> None:
        OPEN.discard(self)
        files, self._files = self._files, {}
        for fd in files.values():
            os.close(fd)
        self._let_go_of_witness()
        directory, self._directory = self._directory, -1
        if directory >= 0:
            os.close(directory)


OPEN: Final[weakref.WeakSet[LocalStore]] = weakref.WeakSet()


def close_in_child() -> None:
    """A forked child closes what it inherited, and nothing else: it neither writes nor frees the lock (G18). The
    lock's own descriptor is closed by filelock, in the same way."""
    for store in list(OPEN):
        with contextlib.suppress(OSError):
            store._close_files()


os.register_at_fork(after_in_child=close_in_child)


def above_standard(fd: int) -> int:
    """The same open file, not as descriptor 0, 1 or 2: where a process has closed those, as daemons do, whatever it
    prints would be written into a segment (SQLite keeps the same rule, and has the scars)."""
    if fd > LAST_STANDARD:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, LAST_STANDARD + 1)
    finally:
        os.close(fd)


@contextlib.contextmanager
def standard_descriptors_taken(directory: str) -> Iterator[None]:
    """While filelock opens its file, which must not become one of them either."""
    held = [os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        while held[-1] <= LAST_STANDARD:
            held.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        yield
    finally:
        for fd in held:
            os.close(fd)


def write_all(fd: int, data: Buffer, offset: int) -> None:
    """A short write comes first and its reason only with the next call (ext4, XFS, btrfs: measured): so go on."""
    view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def write_zeros(fd: int, start: int, end: int) -> None:
    while start < end:
        start += os.pwrite(fd, memoryview(ZEROS)[: end - start], start)


def no_space(error: OSError, path: str) -> NoSpace:
    refused = NoSpace(error.errno or errno.ENOSPC, os.strerror(error.errno or errno.ENOSPC), path)
    refused.add_note("Nothing was changed: free some space, and the same call works.")
    return refused


if sys.platform == "darwin":  # fsync there does not reach the platter: fcntl(2), F_FULLFSYNC

    def sync_full(fd: int) -> None:
        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
            os.fsync(fd)

    def sync_data(fd: int) -> None:
        sync_full(fd)

else:

    def sync_full(fd: int) -> None:
        os.fsync(fd)

    def sync_data(fd: int) -> None:
        os.fdatasync(fd)
