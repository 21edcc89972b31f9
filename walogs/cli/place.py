"""What a directory stands on, as the system shows it: its file system, its disk, what writing there costs, and who
holds the log's lock. Nothing is judged here (`walogs.cli.diagnosis` does), and what cannot be told is None."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from walogs.defaults.local_store import LOCK, sync_data, sync_full, write_all
from walogs.defaults.mounts import ask_for_nocow, is_nocow, mounts
from walogs.inspection.backup import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBE_PREFIX: Final = ".walogs-doctor-"
"""Of the file that is written and removed again. A store knows no such name, and passes over it."""
PROBE_BYTES: Final = 1 << 20
FRAME: Final = bytes(range(176))
"""As many bytes as an entry of 128 takes."""
SYNCS_MAX: Final = 200
SYNCS_SECONDS: Final = 2.0
"""No more syncs are begun after so long."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system, as proc(5) has it."""

    point: str
    kind: str
    """`ext4`, `btrfs`, `fuse.sshfs`."""
    source: str
    options: tuple[str, ...]
    """Those of the mount, and those of the file system."""
    device: str
    """`major:minor`, in decimal."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What became of writing a file there, and removing it again."""

    refusal: str | None = None
    """Why nothing could be written, or synced; what follows is then as far as it came."""
    sync_seconds: tuple[float, ...] = ()
    """Of each fdatasync, after overwriting so much of a file of zeros as an entry takes."""
    is_nocow: bool = False
    """Where its file system copies on write: the file is excepted, as segments are."""
    has_locks: bool = True
    has_links: bool = True
    """Hard links, which a repair sets damaged files aside by."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The log's lock file."""

    holders: tuple[int, ...] | None
    """Process ids that the kernel names as its holders; None: it does not tell here."""
    ended: tuple[int, ...] = ()
    """Those of them that do not run any more."""
    openers: tuple[int, ...] = ()
    """Where a holder has ended: the processes that have the file open."""
    signature: str = ""
    """What the last writer has written into it: process id, host, time."""


@dataclass(frozen=True, slots=True)
class Place:
    """Everything that was found about one directory."""

    path: str
    """Where the log is, or would be."""
    directory: str
    """What was looked at: the path, or, until there is one, the nearest directory above it."""
    mount: Mount | None
    write_cache: str | None
    """`write back`, `write through`: what the kernel takes the disk's cache for."""
    free_bytes: int
    """For whoever asks, without what is kept for root."""
    probe: Probe
    lock: Lock | None
    """None: there is no log yet, or none whose lock is a file."""


def observed(path: str, *, has_lock_file: bool) -> Place:
    """Look at *path*; writes a file of 1 MiB, syncs it for 2 seconds at most, and removes it. Raises `OSError`."""
    directory = nearest(path)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
        probe=probed(directory),
        lock=lock_of(path, mount) if has_lock_file and directory == path else None,
    )


def nearest(path: str) -> str:
    """The directory itself, or the next above it that exists."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


# The file system


def mount_of(fd: int) -> Mount | None:
    """That which the open file is on: by the id of the mount, since a btrfs subvolume has devices of its own."""
    try:
        told = re.search(r"^mnt_id:\s*(\d+)$", Path(f"/proc/self/fdinfo/{fd}").read_text(), re.MULTILINE)
    except OSError:
        return None
    for mount, there in mounts():
        if told is not None and mount[0] == told[1] and len(mount) >= 6 and len(there) >= 3:
            options = (*mount[5].split(","), *there[2].split(","))
            return Mount(unescaped(mount[4]), there[0], unescaped(there[1]), tuple(dict.fromkeys(options)), mount[2])
    return None


def unescaped(field: str) -> str:
    """Of what the kernel writes as \\040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def write_cache(mount: Mount) -> str | None:
    device = mount.device
    with contextlib.suppress(OSError):  # a file system on several disks, or in a subvolume, has a device of its own
        device = numbers(os.stat(mount.source).st_rdev) if mount.source.startswith("/dev/") else device
    disk = Path("/sys/dev/block", device)
    for there in (disk, disk / ".."):  # a partition has none of its own
        with contextlib.suppress(OSError):
            return (there / "queue/write_cache").read_text().strip()
    return None


def numbers(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


# Writing


def probed(directory: str) -> Probe:
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
            seconds.extend(timed_syncs(fd))
            sync_directory(directory)
        except OSError as error:
            refusal = said(error)
        return Probe(refusal, tuple(seconds), is_nocow(fd), has_locks(fd), has_links(name))
    finally:
        os.close(fd)
        os.unlink(name)


def said(error: OSError) -> str:
    return error.strerror or str(error)


def timed_syncs(fd: int) -> Iterator[float]:
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


# The lock


def lock_of(path: str, mount: Mount | None) -> Lock | None:
    """Without taking it: a writer that comes in this moment must not find it taken."""
    file = os.path.join(path, LOCK)
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe is not waited for
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        signature = os.pread(fd, 512, 0).decode("utf-8", "replace").strip()
    except OSError:
        return None
    finally:
        os.close(fd)
    found = holders(mount, status.st_ino) if mount is not None else None
    ended = tuple(pid for pid in found or () if not is_alive(pid))
    return Lock(found, ended, openers(status) if ended else (), signature)


def holders(mount: Mount, inode: int) -> tuple[int, ...] | None:
    """By the device of the mount: that of a file in a btrfs subvolume is another (proc(5), /proc/locks)."""
    major, minor = map(int, mount.device.split(":"))
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
    """Of the processes whose files may be looked at."""
    return tuple(sorted({int(fd.parts[2]) for fd in Path("/proc").glob("[0-9]*/fd/*") if is_same(fd, status)}))


def is_same(fd: Path, status: os.stat_result) -> bool:
    try:
        there = fd.stat()
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)
