"""The file system that a file is on, and what it supports. Only Linux can tell; elsewhere nothing is known."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAPPABLE: Final = frozenset({"ext2", "ext3", "ext4", "tmpfs"})
"""File systems on which writing to a mapped, preallocated block needs no space. On a file system that copies on write
(btrfs, XFS with reflinks) such a write raises SIGBUS when the disk is full."""

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs"}
    | {"fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "smb3", "smbfs"}
)
"""The types of file systems that several hosts can have mounted at the same time."""

GET_FLAGS: Final = 0x80086601
SET_FLAGS: Final = 0x40086602
NOCOW: Final = 0x00800000


def file_system(device: int) -> str | None:
    """Return the type of the mounted file system with this `st_dev`, for example `ext4`. None: it is unknown."""
    wanted = device_numbers(device)
    return next((there[0] for mount, there in mounts() if mount[2:3] == [wanted]), None)


def device_numbers(device: int) -> str:
    """Return the device as the kernel's files name it: `major:minor`, in decimal."""
    return f"{os.major(device)}:{os.minor(device)}"


def mounts() -> Iterator[tuple[list[str], list[str]]]:
    """Yield the fields of each mount in /proc/self/mountinfo (proc(5)): those before the " - ", and those after it."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return
    for line in lines:
        mount, _, there = line.partition(" - ")
        yield mount.split(" "), there.split(" ")


def ask_for_nocow(fd: int) -> None:
    """On btrfs, ask that a new, empty file is overwritten in place. On other file systems, do nothing."""
    try:
        fcntl.ioctl(fd, SET_FLAGS, struct.pack("l", flags(fd) | NOCOW))
    except (OSError, struct.error):
        pass


def is_nocow(fd: int) -> bool:
    """Return True if the file is overwritten in place on a file system that copies otherwise. False: or unknown."""
    try:
        return bool(flags(fd) & NOCOW)
    except (OSError, struct.error):
        return False


def flags(fd: int) -> int:
    """Return the inode flags of an open file (ioctl_iflags(2))."""
    found: int = struct.unpack("l", fcntl.ioctl(fd, GET_FLAGS, bytes(struct.calcsize("l"))))[0]
    return found
