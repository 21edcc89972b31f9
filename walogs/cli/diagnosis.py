"""What a place means for a log: a finding for each thing that was looked at. Pure: from a `Place` to sentences."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from walogs.cli.show import lasted, listed, sized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.cli.place import Lock, Mount, Place, Probe

Grade: TypeAlias = Literal["good", "note", "bad", "held"]
"""note: worth knowing, and nothing that was acknowledged can be lost by it. held: the log is open elsewhere."""


class Finding(NamedTuple):
    """What one look has shown."""

    check: str
    grade: Grade
    message: str
    """Where it is not good: why, and the next move."""


JOURNALED: Final = frozenset(
    {"apfs", "bcachefs", "btrfs", "ext3", "ext4", "f2fs", "hfs", "jfs", "nilfs2", "xfs", "zfs"}
)
"""File systems of one host that keep a name and a size across a power cut once they were synced."""
UNJOURNALED: Final = frozenset({"exfat", "ext2", "msdos", "vfat"})
MEMORY: Final = frozenset({"devtmpfs", "hugetlbfs", "ramfs", "tmpfs"})
REMOTE: Final = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"}
    | {"orangefs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"}
    | {"fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"}
)
LAYERED: Final = frozenset({"aufs", "overlay"})

DROPPING: Final = {
    "bcachefs": {"journal_flush_disabled"},
    "btrfs": {"nobarrier"},
    "ext3": {"barrier=0", "nobarrier"},
    "ext4": {"barrier=0", "nobarrier"},
    "f2fs": {"fsync_mode=nobarrier", "nobarrier"},
    "gfs2": {"nobarrier"},
    "jfs": {"nointegrity"},
    "nilfs2": {"barrier=off", "nobarrier"},
    "overlay": {"fsync=volatile", "volatile"},
    "reiserfs": {"barrier=none"},
    "xfs": {"nobarrier"},
}
"""Mount options with which a sync returns before the disk has the bytes: ext4(5), xfs(5), btrfs(5), and the kernel's
Documentation/filesystems of the others."""

COPYING: Final = frozenset({"bcachefs", "btrfs", "nilfs2", "zfs"})
"""File systems that write what is overwritten to another place. XFS does so too, but only with files that were copied
by reflink, which a log never does."""

QUICKEST_SECONDS: Final = 5e-6
"""No disk is quicker: one behind a battery takes some 10 µs for a flush, and the call alone, on a file system in memory
or under libeatmydata, less than one."""
SLOW_SECONDS: Final = 20e-3
SPACE_BYTES_MIN: Final = 128 << 20
"""Two segments of the size they have by default."""


def findings(place: Place) -> Iterator[Finding]:
    """One for each check; those of the lock only where there is one."""
    if place.mount is None:
        yield Finding("file system", "note", "it cannot be told on this system")
    else:
        yield file_system(place.mount)
        yield mount_options(place.mount)
        yield copy_on_write(place.mount, place.probe)
    yield disk_cache(place.write_cache)
    yield space(place.free_bytes)
    yield writing(place.probe)
    if place.probe.sync_seconds:
        yield sync_latency(place.probe.sync_seconds)
    if place.lock is not None:
        yield lock_holder(place.lock)


WORST_FIRST: Final[tuple[Grade, ...]] = ("bad", "held", "note", "good")


def status_grade(found: list[Finding]) -> Grade:
    """The worst of them, which decides how the command ends."""
    grades = {finding.grade for finding in found}
    return next(grade for grade in WORST_FIRST if grade in grades)


def file_system(mount: Mount) -> Finding:
    kind, where = mount.kind, f"{mount.kind} at {mount.point}"
    if kind in MEMORY:
        why = f"{where}: it is memory, and gone with the next restart; put the log on a disk"
        return Finding("file system", "bad", why)
    if kind in REMOTE:
        why = "of another machine: what a sync there means, and whether a lock holds, is not in this one's hands"
        return Finding("file system", "bad", f"{where} is {why}; put the log on a local disk")
    if kind in LAYERED:
        why = "a layer of a container, and goes with it; put the log on a volume"
        return Finding("file system", "note", f"{where} is {why}")
    if kind in UNJOURNALED:
        why = "has no journal: a power cut can take files whole; put the log on ext4, XFS or another that has one"
        return Finding("file system", "bad", f"{where} {why}")
    if kind.startswith("fuse"):
        why = "served by a program: a sync there is what that makes of it; put the log on a disk's own file system"
        return Finding("file system", "note", f"{where} is {why}")
    if kind in JOURNALED:
        return Finding("file system", "good", where)
    return Finding("file system", "note", f"{where} is not one that walogs is tried on")


def mount_options(mount: Mount) -> Finding:
    dropping = [option for option in mount.options if option in DROPPING.get(mount.kind, ())]
    if "ro" in mount.options:
        return Finding("mount options", "bad", f"{mount.point} is mounted read-only: remount it with rw")
    if dropping:
        why = f"{mount.point} is mounted with {', '.join(dropping)}: a sync returns before the disk has the bytes"
        move = "A power cut loses acknowledged entries; mount it without"
        return Finding("mount options", "bad", f"{why}. {move}")
    return Finding("mount options", "good", "none that drops flushes")


def copy_on_write(mount: Mount, probe: Probe) -> Finding:
    if mount.kind not in COPYING:
        return Finding("copy-on-write", "good", f"{mount.kind} overwrites in place")
    if probe.is_nocow:
        return Finding("copy-on-write", "good", f"{mount.kind} copies on write, and excepts segments (NOCOW)")
    why = f"{mount.kind} copies what is overwritten: the room that a segment has set aside does not keep its place"
    move = "A full disk can refuse an append (and lose nothing); the log is slower. Put it on ext4 or XFS"
    return Finding("copy-on-write", "bad", f"{why}. {move}")


def disk_cache(write_cache: str | None) -> Finding:
    match write_cache:
        case None:
            return Finding("disk cache", "note", "what the disk says of its cache cannot be told")
        case "write through":
            why = "the disk says that it has no volatile cache, so the kernel sends it no flushes"
            return Finding("disk cache", "note", f"{why}; in a virtual machine that is for its host to keep")
        case _:
            return Finding("disk cache", "good", f"{write_cache}: the kernel flushes it at each sync")


def space(free_bytes: int) -> Finding:
    if free_bytes < SPACE_BYTES_MIN:
        why = f"{sized(free_bytes)} are free: less than two segments of the default size take"
        return Finding("space", "bad", f"{why}. Appends will raise NoSpace; free some, or set max_segment_size")
    return Finding("space", "good", f"{sized(free_bytes)} are free")


def writing(probe: Probe) -> Finding:
    if probe.refusal is not None:
        return Finding("writing", "bad", f"a file cannot be written and synced here: {probe.refusal}")
    if not probe.has_locks:
        why = "files cannot be locked here: two writers would not see each other"
        return Finding("writing", "bad", f"{why}; put the log on a local disk")
    if not probe.has_links:
        return Finding("writing", "note", "there are no hard links here: a repair copies what it sets aside")
    return Finding("writing", "good", "files can be made, synced, locked and linked")


def sync_latency(seconds: tuple[float, ...]) -> Finding:
    middle = median(seconds)
    p99 = quantiles(seconds, n=100, method="inclusive")[98] if len(seconds) > 1 else middle
    told = f"{lasted(middle)}, and {lasted(p99)} for one in a hundred"
    if middle < QUICKEST_SECONDS:
        why = f"{told}: no disk is so quick. Something drops flushes: memory, libeatmydata, a host"
        return Finding("fdatasync", "bad", f"{why}. A power cut loses acknowledged entries")
    if middle > SLOW_SECONDS:
        move = "Batches, submit, and sync='interval' make many entries durable by one"
        return Finding("fdatasync", "note", f"{told}: slow, and every append waits for one. {move}")
    return Finding("fdatasync", "good", told)


def lock_holder(lock: Lock) -> Finding:
    signature = f" (its last writer signed: {lock.signature})" if lock.signature else ""
    if lock.holders is None:
        return Finding("lock", "note", f"who holds it cannot be told on this system{signature}")
    if lock.ended:
        openers = (
            f"process {listed(lock.openers)} has it open" if lock.openers else "which one cannot be seen from here"
        )
        why = f"held for process {listed(lock.ended)}, which has ended: a process that it started holds it on"
        return Finding("lock", "bad", f"{why}, and {openers}. End that one; no open works before")
    if lock.holders:
        return Finding("lock", "held", f"held by process {listed(lock.holders)}{signature}")
    return Finding("lock", "good", "free, as far as can be seen from this process's container")
