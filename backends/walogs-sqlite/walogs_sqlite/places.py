"""Where the file may be, and its name: what is there, what is made, and what makes it survive a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import Final

from walogs import Unsafe

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
NETWORK: Final = frozenset({"afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs"})
"""In WAL mode all who use the file share memory: of two hosts, neither would see the other."""


def is_there(path: str) -> bool:
    """Whether there is a file. Raises `Unsafe` or `OSError` for what cannot be one of ours.

    It is never opened here: closing any descriptor of the file would free the locks that this process has on it, those
    of SQLite too (POSIX).
    """
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "this store is one file: name that; nothing was changed", path)
    if stat.S_ISLNK(status.st_mode):
        raise Unsafe(f"{path} is a symbolic link: name the file itself; nothing was changed.")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a file: move it away; nothing was changed", path)
    refuse_network(path, status.st_dev)
    return True


def refuse_network(path: str, device: int) -> None:
    found = file_system(device)
    if found in NETWORK:
        raise Unsafe(f"{path} is on {found}, over which SQLite cannot share its WAL. Use a local file system.")


def make(path: str) -> None:
    """The directories above it, and an empty file, private. For the caller alone: see `is_there`."""
    missing: list[str] = []
    directory = os.path.dirname(path)
    while not os.path.exists(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    refuse_network(path, os.stat(directory).st_dev)
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, DIRECTORY_MODE)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))


def sync_names(path: str) -> None:
    """The file's name is durable, and those above it: whoever made them may have died before syncing them."""
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        try:
            sync(path, os.O_DIRECTORY)
        except PermissionError:
            continue  # not ours to make durable
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):
                raise


def sync_commits(path: str) -> None:
    """Every commit that can be read is durable: SQLite reads what a killed writer had written into the WAL and not yet
    synced. (No lock of SQLite's is on that file, so it may be opened and closed.)"""
    with contextlib.suppress(FileNotFoundError):
        sync(f"{path}-wal", os.O_NOFOLLOW)
        with contextlib.suppress(PermissionError):
            sync(os.path.dirname(path), os.O_DIRECTORY)


def sync(path: str, flags: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        sync_full(fd)
    finally:
        os.close(fd)


def sync_full(fd: int) -> None:
    if sys.platform == "darwin":  # fsync there does not reach the platter: fcntl(2), F_FULLFSYNC
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fsync(fd)


def file_system(device: int) -> str | None:
    """Type of the mounted file system with this `st_dev`; None: it cannot be told (it is no Linux)."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return None
    for line in lines:
        mount, _, rest = line.partition(" - ")
        if mount.split(" ")[2:3] == [wanted]:
            return rest.split(" ")[0]
    return None
