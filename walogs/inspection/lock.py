"""The lock of a log: who holds it, and who has its file open. A fact is None if the system does not tell it.

The lock is never taken to find that out, so that a writer that opens the log at this moment is not refused.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from walogs.defaults.directory import LOCK
from walogs.defaults.mounts import device_numbers
from walogs.inspection.mount import Mount, mount_of


@dataclass(frozen=True, slots=True)
class Lock:
    """The log's lock file."""

    holders: tuple[int, ...] | None
    """The process ids that the kernel names as holders of the lock, or None if it does not tell them here."""
    ended: tuple[int, ...] = ()
    """The holders that do not run any more."""
    openers: tuple[int, ...] = ()
    """The processes that have the file open. They are looked up only if a holder has ended, or none is named."""
    signature: str = ""
    """The text that the last writer wrote into the file: process id, host and time."""


def lock_holders(path: str) -> tuple[int, ...] | None:
    """Return the process ids that the kernel names as holders of the lock of the log in that directory.

    Return None if the kernel does not tell them here, or if there is no lock file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        lock = lock_of(path, mount_of(fd))
    finally:
        os.close(fd)
    return None if lock is None else lock.holders


def lock_of(path: str, mount: Mount | None) -> Lock | None:
    """Return the facts about the log's lock, or None if there is no lock file."""
    read = read_lock_file(os.path.join(path, LOCK))
    if read is None:
        return None
    status, signature = read
    found = holders(mount, status)
    opened_by = openers(status) if not found or not all(map(is_alive, found)) else ()
    if not found and opened_by:  # a writer may have locked it in the meantime
        found = holders(mount, status)
    ended = tuple(pid for pid in found or () if not is_alive(pid))
    return Lock(holders=found, ended=ended, openers=opened_by if ended or not found else (), signature=signature)


def read_lock_file(file: str) -> tuple[os.stat_result, str] | None:
    """Return the status of a lock file, and what its last holder wrote into it. None if there is no such file."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # does not wait for a pipe
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        return (
            (status, os.pread(fd, 512, 0).decode("utf-8", "replace").strip()) if stat.S_ISREG(status.st_mode) else None
        )
    except OSError:
        return None
    finally:
        os.close(fd)


def holders(mount: Mount | None, status: os.stat_result) -> tuple[int, ...] | None:
    """Return the processes that hold the lock of the file, or None if the kernel does not tell them here.

    /proc/locks names the device of the mount, which is not the device of a file in a btrfs subvolume (proc(5)). In a
    chroot the mount may be unknown. Then the file's own device is used: it can find a holder, but it cannot prove that
    there is none, so an empty result becomes None.
    """
    device = mount.device if mount is not None else device_numbers(status.st_dev)
    found = holders_on(device, status.st_ino)
    return None if mount is None and not found else found


def holders_on(device: str, inode: int) -> tuple[int, ...] | None:
    major, minor = map(int, device.split(":"))
    wanted = f"{major:02x}:{minor:02x}:{inode}"
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    fields = (line.split() for line in lines)
    return tuple(int(held[4]) for held in fields if held[1:2] == ["FLOCK"] and held[5:6] == [wanted])


def is_alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def openers(status: os.stat_result) -> tuple[int, ...]:
    """Return the processes that have the file open. Only those are found whose open files this process may examine."""
    return tuple(sorted(pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if has_open(pid, status)))


def has_open(pid: int, status: os.stat_result) -> bool:
    """Return whether the process has the file open. False if it has ended, or if this process may not look."""
    try:
        files = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    return any(is_same(f"/proc/{pid}/fd/{fd}", status) for fd in files)


def is_same(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False
