"""The diagnosis: what the facts about a place mean for a log, with a finding for each check.

These functions only turn a `Place` into sentences. They do not look at the system.
"""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from walogs.cli.show import duration_words, list_words, size_words
from walogs.defaults.mounts import NETWORK_FILE_SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.cli.doctor.place import Place, Probe
    from walogs.inspection.lock import Lock
    from walogs.inspection.mount import Mount

Grade: TypeAlias = Literal["good", "note", "bad", "held"]
"""note: good to know, but no acknowledged entry can be lost because of it. held: another process has the log open."""


class Finding(NamedTuple):
    """The result of one check."""

    check: str
    grade: Grade
    message: str
    """If the grade is not good, this says why, and what to do."""


JOURNALED: Final = frozenset(
    {"apfs", "bcachefs", "btrfs", "ext3", "ext4", "f2fs", "hfs", "jfs", "nilfs2", "xfs", "zfs"}
)
"""Local file systems that keep the name and the size of a file across a power cut, once they are synced."""
UNJOURNALED: Final = frozenset({"exfat", "ext2", "msdos", "vfat"})
MEMORY: Final = frozenset({"devtmpfs", "hugetlbfs", "ramfs", "tmpfs"})
REMOTE: Final = NETWORK_FILE_SYSTEMS | {"9p", "vboxsf", "virtiofs", "vmhgfs"}
"""File systems of another host. That of a virtual machine shares its directories by the last four."""
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
"""Mount options with which a sync returns before the bytes are on the disk.

They come from ext4(5), xfs(5), btrfs(5), and the kernel's Documentation/filesystems.
"""

COPYING: Final = frozenset({"bcachefs", "btrfs", "nilfs2", "zfs"})
"""File systems that write overwritten bytes to another place.

XFS does so too, but only in files that were copied by reflink, and walogs never copies its files so.
"""

QUICKEST_SECONDS: Final = 5e-6
"""A sync that takes less than this did not reach a disk.

A disk with a battery takes about 10 µs for a flush. The call alone takes less than 1 µs, in memory or under
libeatmydata.
"""
SLOW_SECONDS: Final = 20e-3
SPACE_BYTES_MIN: Final = 128 << 20
"""The size of two segments of the default size."""


def findings(place: Place) -> Iterator[Finding]:
    """Yield a finding for each check. The checks of a lock are left out if there is no lock."""
    if place.mount is None:
        yield Finding("file system", "note", "this system does not tell which one it is")
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
    if place.partials:
        yield interrupted_copies(place.partials)


WORST_FIRST: Final[tuple[Grade, ...]] = ("bad", "held", "note", "good")


def status_grade(found: list[Finding]) -> Grade:
    """Return the worst grade. It decides the exit status."""
    grades = {finding.grade for finding in found}
    return next(grade for grade in WORST_FIRST if grade in grades)


def file_system(mount: Mount) -> Finding:
    kind, where = mount.kind, f"{mount.kind} at {mount.point}"
    if kind in MEMORY:
        why = f"{where} is memory, whose files a restart removes; put the log on a disk"
        return Finding("file system", "bad", why)
    if kind in REMOTE:
        why = "on another machine, which decides what a sync means and whether a lock holds"
        return Finding("file system", "bad", f"{where} is {why}; put the log on a local disk")
    if kind in LAYERED:
        why = "a layer of a container, and is removed with the container; put the log on a volume"
        return Finding("file system", "note", f"{where} is {why}")
    if kind in UNJOURNALED:
        why = "has no journal, so a power cut can lose whole files; put the log on a file system with one: ext4, XFS"
        return Finding("file system", "bad", f"{where} {why}")
    if kind.startswith("fuse"):
        why = "served by a program, which decides what a sync means; put the log on the file system of a disk"
        return Finding("file system", "note", f"{where} is {why}")
    if kind in JOURNALED:
        return Finding("file system", "good", where)
    return Finding("file system", "note", f"{where} is not a file system that walogs is tested on")


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
        return Finding("copy-on-write", "good", f"{mount.kind} copies on write, but segments are excepted (NOCOW)")
    why = f"{mount.kind} writes overwritten bytes to another place, so it needs free space for them"
    move = "A full disk can refuse an append (nothing is lost), and the log is slower. Put the log on ext4 or XFS"
    return Finding("copy-on-write", "bad", f"{why}. {move}")


def disk_cache(write_cache: str | None) -> Finding:
    match write_cache:
        case None:
            return Finding("disk cache", "note", "this system does not tell which cache the disk has")
        case "write through":
            why = "the disk says that it has no volatile cache, so the kernel sends it no flushes"
            return Finding("disk cache", "note", f"{why}; in a virtual machine, the host must keep this promise")
        case _:
            return Finding("disk cache", "good", f"{write_cache}: the kernel flushes it at each sync")


def space(free_bytes: int) -> Finding:
    if free_bytes < SPACE_BYTES_MIN:
        why = f"{size_words(free_bytes)} are free, and two segments of the default size take more"
        return Finding("space", "bad", f"{why}. Appends will raise NoSpace; free some space, or lower max_segment_size")
    return Finding("space", "good", f"{size_words(free_bytes)} are free")


def writing(probe: Probe) -> Finding:
    if probe.refusal is not None:
        return Finding("writing", "bad", f"a file cannot be written and synced here: {probe.refusal}")
    if not probe.has_locks:
        why = "files cannot be locked here: two writers would not see each other"
        return Finding("writing", "bad", f"{why}; put the log on a local disk")
    if not probe.has_links:
        return Finding("writing", "note", "hard links do not work here: a repair copies the files that it sets aside")
    return Finding("writing", "good", "files can be made, synced, locked and linked")


def sync_latency(seconds: tuple[float, ...]) -> Finding:
    middle = median(seconds)
    p99 = quantiles(seconds, n=100, method="inclusive")[98] if len(seconds) > 1 else middle
    told = f"{duration_words(middle)}, and {duration_words(p99)} for one in a hundred"
    if middle < QUICKEST_SECONDS:
        why = f"{told}: no disk is that fast. Something drops flushes: memory, libeatmydata, or a host"
        return Finding("fdatasync", "bad", f"{why}. A power cut loses acknowledged entries")
    if middle > SLOW_SECONDS:
        move = "Batches, submit, and sync='interval' make many entries durable with one sync"
        return Finding("fdatasync", "note", f"{told}: slow, and every append waits for a sync. {move}")
    return Finding("fdatasync", "good", told)


def lock_holder(lock: Lock) -> Finding:
    signature = f" (its last writer signed: {lock.signature})" if lock.signature else ""
    if not lock.holders and lock.openers:  # a container sees only its own processes
        why = (
            f"process {list_words(lock.openers)} has it open, and the kernel names no holder that can be seen from here"
        )
        move = "If opening the log raises `Locked`, end that process: it can hold the lock for one that has ended"
        return Finding("lock", "bad", f"{why}. {move}")
    if lock.holders is None:
        return Finding("lock", "note", f"this system does not tell which process holds it{signature}")
    if lock.ended:
        openers = (
            f"process {list_words(lock.openers)} has it open" if lock.openers else "which one cannot be seen from here"
        )
        why = f"held for process {list_words(lock.ended)}, which has ended: a process that it started still holds it"
        return Finding("lock", "bad", f"{why}, and {openers}. End that process; the log cannot be opened before")
    if lock.holders:
        return Finding("lock", "held", f"held by process {list_words(lock.holders)}{signature}")
    return Finding("lock", "good", "free, as far as can be seen from this process's container")


def interrupted_copies(partials: tuple[str, ...]) -> Finding:
    what = f"{list_words(partials)}: the beginning of a copy to this place"
    move = "If no copy is running now, it was interrupted: remove that directory (rm -r)"
    return Finding("partial copies", "note", f"{what}. {move}")
