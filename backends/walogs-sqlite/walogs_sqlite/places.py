"""The path of the file: which paths are allowed, how the file is made, and how its name becomes durable."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import Final

from walogs import UnsafeStore
from walogs.plugins import NETWORK_FILE_SYSTEMS, file_system, make_directories, sync_directory, sync_full

ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
"""`scheme://…`, or `scheme:/…` as pathlib shortens it."""
FILE_MODE: Final = 0o600


def local_path(path: str | os.PathLike[str]) -> str:
    """Return the path as text. Raises `ValueError` for an address, a `~` or a `$`, which would become a file's name."""
    text = os.fspath(path)
    if text.startswith(("~", "$")):
        raise ValueError(
            f"path={path!r}: {text[0]} is not expanded here: pass os.path.expanduser or os.path.expandvars of it"
        )
    if text == ":memory:":
        raise ValueError(f"path={path!r}: a log in memory would be gone with its process: pass the path of a file")
    if ADDRESS.match(text) is not None:
        raise ValueError(f"path={path!r}: this is an address, and this store is a file: pass a path like 'orders.db'")
    return text


def is_there(path: str) -> bool:
    """Return whether there is a file. Raises `UnsafeStore` or `OSError` for anything that cannot be our file.

    This function does not open the file. Closing a descriptor of the file would free all locks that this process has on
    it, including SQLite's (POSIX).
    """
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "this store is one file, not a directory; nothing was changed", path)
    if stat.S_ISLNK(status.st_mode):
        raise UnsafeStore(f"{path} is a symbolic link: name the file itself; nothing was changed.")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a file: move it away; nothing was changed", path)
    refuse_network(path, status.st_dev)
    return True


def refuse_network(path: str, device: int) -> None:
    """Raise `UnsafeStore` if several hosts can use the file. SQLite's WAL needs memory that all its users share."""
    found = file_system(device)
    if found in NETWORK_FILE_SYSTEMS:
        raise UnsafeStore(f"{path} is on {found}, over which SQLite cannot share its WAL. Use a local file system.")


def make(path: str) -> None:
    """Make an empty file that only its owner can read, and the directories above it that are missing.

    Call it only where `is_there` returned False: it closes a descriptor of the file, and so frees locks on it.
    """
    directory = os.path.dirname(path)
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    refuse_network(path, os.stat(directory).st_dev)
    make_directories(os.path.dirname(path))
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))


def sync_commits(path: str) -> None:
    """Make every commit that can be read durable.

    SQLite also reads commits that a killed writer had written into the WAL and not yet synced. SQLite holds no lock on
    that file, so it may be opened and closed here.
    """
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            sync_full(fd)
        finally:
            os.close(fd)
        with contextlib.suppress(PermissionError):
            sync_directory(os.path.dirname(path))
