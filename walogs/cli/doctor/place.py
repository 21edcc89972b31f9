"""The facts about a directory: its file system, its disk, the cost of a sync there, and the holder of the log's lock.

This module only collects facts; `walogs.cli.doctor.diagnosis` judges them. A fact is None if the system does not
tell it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from walogs.defaults.local_store import no_directory
from walogs.defaults.mounts import ask_for_nocow, device_numbers, is_nocow
from walogs.defaults.posix import sync_data, sync_directory, sync_full, write_all
from walogs.inspection.lock import Lock, lock_of
from walogs.inspection.mount import Mount, mount_of
from walogs.inspection.partial import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBE_PREFIX: Final = ".walogs-doctor-"
"""The first part of the name of the file that is written and removed again. A store ignores such names."""
PROBE_BYTES: Final = 1 << 20
FRAME: Final = bytes(range(176))
"""The bytes of one write: as many as a commit with one entry of 128 bytes."""
SYNCS_MAX: Final = 200
SYNCS_SECONDS: Final = 2.0
"""No more syncs are begun after this time."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of an attempt to write a file in a directory, sync it and remove it."""

    refusal: str | None = None
    """The reason why the file could not be written or synced, or None. The syncs before the failure are kept."""
    sync_seconds: tuple[float, ...] = ()
    """The time of each fdatasync. Before each, the bytes of FRAME were written over zeros in the file."""
    is_nocow: bool = False
    """Whether the file is excepted from copy-on-write (NOCOW). Segments are excepted in the same way."""
    has_locks: bool = True
    has_links: bool = True
    """Whether hard links work. A repair uses them to set damaged files aside."""


@dataclass(frozen=True, slots=True)
class Place:
    """All facts about one directory."""

    path: str
    """The directory where the log is, or where it would be made."""
    directory: str
    """The directory that was examined: the path, or, if it does not exist, the nearest directory above it."""
    mount: Mount | None
    write_cache: str | None
    """The kind of cache that the kernel assumes for the disk: `write back` or `write through`."""
    free_bytes: int
    """The free space for this process, without the blocks that are reserved for root."""
    probe: Probe
    lock: Lock | None
    """The log's lock. It is None if there is no log yet, or if its lock is no file."""
    partials: tuple[str, ...] = ()
    """Directories beside the path that hold an unfinished copy to it. The copy still runs, or its process died."""


def observe_place(path: str, *, has_lock_file: bool) -> Place:
    """Return the facts about *path*. Raises `OSError`.

    The call writes a file of 1 MiB, syncs it for at most 2 seconds, and removes it.
    """
    directory = nearest(path)
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError as error:
        raise no_directory(directory) from error
    try:
        mount = mount_of(fd)
        room = os.fstatvfs(fd)
    finally:
        os.close(fd)
    return Place(
        path=path,
        directory=directory,
        mount=mount,
        write_cache=write_cache(mount) if mount is not None else None,
        free_bytes=room.f_bavail * room.f_frsize,
        probe=probe(directory),
        lock=lock_of(path, mount) if has_lock_file and directory == path else None,
        partials=partials_of(path) if has_lock_file else (),
    )


def partials_of(path: str) -> tuple[str, ...]:
    parent, name = os.path.split(path)
    with contextlib.suppress(OSError):
        names = sorted(other for other in os.listdir(parent) if other.startswith(f"{name}{MARK}"))
        return tuple(os.path.join(parent, other) for other in names)
    return ()


def nearest(path: str) -> str:
    """Return the path itself, or the nearest directory above it that exists."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def write_cache(mount: Mount) -> str | None:
    device = mount.device
    with contextlib.suppress(OSError):  # the mount's device is not the disk's for a subvolume or several disks
        device = device_numbers(os.stat(mount.source).st_rdev) if mount.source.startswith("/dev/") else device
    disk = Path("/sys/dev/block", device)
    for there in (disk, disk / ".."):  # a partition has no queue of its own
        with contextlib.suppress(OSError):
            return (there / "queue/write_cache").read_text().strip()
    return None


# Writing


def probe(directory: str) -> Probe:
    try:
        fd, name = tempfile.mkstemp(prefix=PROBE_PREFIX, dir=directory)
    except OSError as error:
        return Probe(refusal=said(error))
    try:
        ask_for_nocow(fd)
        refusal: str | None = None
        seconds: list[float] = []
        try:
            write_all(fd, bytes(PROBE_BYTES), 0)
            sync_full(fd)
            seconds.extend(time_syncs(fd))
            sync_directory(directory)
        except OSError as error:
            refusal = said(error)
        return Probe(
            refusal=refusal,
            sync_seconds=tuple(seconds),
            is_nocow=is_nocow(fd),
            has_locks=has_locks(fd),
            has_links=has_links(name),
        )
    finally:
        os.close(fd)
        os.unlink(name)


def said(error: OSError) -> str:
    return error.strerror or str(error)


def time_syncs(fd: int) -> Iterator[float]:
    started = time.monotonic()
    for turn in range(SYNCS_MAX):
        os.pwrite(fd, FRAME, turn * len(FRAME))
        began = time.perf_counter()
        sync_data(fd)
        ended = time.perf_counter()
        yield ended - began
        if time.monotonic() - started > SYNCS_SECONDS:
            return


def has_locks(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
    return True


def has_links(name: str) -> bool:
    try:
        os.link(name, f"{name}-link")
    except OSError:
        return False
    os.unlink(f"{name}-link")
    return True
