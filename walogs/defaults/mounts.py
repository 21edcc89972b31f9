"""What file system something is on, and what may be asked of it. Linux; elsewhere nothing is known."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

MAPPABLE: Final = frozenset({"ext2", "ext3", "ext4", "tmpfs"})
"""A store into a mapped, preallocated block cannot fault here for want of space. Where a file system may copy on
write (btrfs, XFS with reflinks), a full disk would turn it into SIGBUS: measured."""

GET_FLAGS: Final = 0x80086601
SET_FLAGS: Final = 0x40086602
NOCOW: Final = 0x00800000


def file_system(device: int) -> str | None:
    """Type of the mounted file system with this `st_dev`; None: it cannot be told."""
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


def ask_for_nocow(fd: int) -> None:
    """On btrfs, have a new, empty file overwritten in place, as journald does; elsewhere nothing happens."""
    try:
        import fcntl

        flags = struct.unpack("l", fcntl.ioctl(fd, GET_FLAGS, bytes(struct.calcsize("l"))))[0]
        fcntl.ioctl(fd, SET_FLAGS, struct.pack("l", flags | NOCOW))
    except (ImportError, OSError, struct.error):
        pass
