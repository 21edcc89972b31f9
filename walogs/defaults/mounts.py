"""What file system something is on, and what may be asked of it. Linux; elsewhere nothing is known."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAPPABLE: Final = frozenset({"ext2", "ext3", "ext4", "tmpfs"})
"""A store into a mapped, preallocated block cannot fault here for want of space. Where a file system may copy on
write (btrfs, XFS with reflinks), a full disk would turn it into SIGBUS: measured."""

GET_FLAGS: Final = 0x80086601
SET_FLAGS: Final = 0x40086602
NOCOW: Final = 0x00800000


def file_system(device: int) -> str | None:
    """Type of the mounted file system with this `st_dev`; None: it cannot be told."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    return next((there[0] for mount, there in mounts() if mount[2:3] == [wanted]), None)


def mounts() -> Iterator[tuple[list[str], list[str]]]:
    """Each mount's fields in proc(5)'s /proc/PID/mountinfo: those before the " - ", and those after; none elsewhere."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return
    for line in lines:
        mount, _, there = line.partition(" - ")
        yield mount.split(" "), there.split(" ")


def ask_for_nocow(fd: int) -> None:
    """On btrfs, have a new, empty file overwritten in place, as journald does; elsewhere nothing happens."""
    try:
        import fcntl

        fcntl.ioctl(fd, SET_FLAGS, struct.pack("l", flags(fd) | NOCOW))
    except (ImportError, OSError, struct.error):
        pass


def is_nocow(fd: int) -> bool:
    """Whether the file is overwritten in place where its file system would copy. False: also where it has no flags."""
    try:
        return bool(flags(fd) & NOCOW)
    except (ImportError, OSError, struct.error):
        return False


def flags(fd: int) -> int:
    """ioctl_iflags(2)."""
    import fcntl

    found: int = struct.unpack("l", fcntl.ioctl(fd, GET_FLAGS, bytes(struct.calcsize("l"))))[0]
    return found
