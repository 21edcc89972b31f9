"""The mounted file system that a directory is on, as the kernel describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from walogs.defaults.mounts import mounts


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system, as proc(5) describes it."""

    point: str
    kind: str
    """For example `ext4`, `btrfs` or `fuse.sshfs`."""
    source: str
    options: tuple[str, ...]
    """The options of the mount and the options of the file system."""
    device: str
    """The device as `major:minor`, in decimal."""


def mount_of(fd: int) -> Mount | None:
    """Return the mount of an open file, or None if the system does not tell it.

    The id of the mount is compared, and not the device, because a btrfs subvolume has a device of its own.
    """
    try:
        told = re.search(r"^mnt_id:\s*(\d+)$", Path(f"/proc/self/fdinfo/{fd}").read_text(), re.MULTILINE)
    except OSError:
        return None
    for mount, there in mounts():
        if told is not None and mount[0] == told[1] and len(mount) >= 6 and len(there) >= 3:
            options = (*mount[5].split(","), *there[2].split(","))
            return Mount(
                point=unescape(mount[4]),
                kind=there[0],
                source=unescape(there[1]),
                options=tuple(dict.fromkeys(options)),
                device=mount[2],
            )
    return None


def unescape(field: str) -> str:
    """Return a field with the kernel's escapes, such as \\040 for a space, decoded."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
