"""The places a log can be in, each with the faults that it can have. A world outlives the processes in it."""

from __future__ import annotations

import errno
import random
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.shims.memory_os import ROOT, MemoryOS, run_as
from walogs.defaults.local_store import LocalStore
from walogs.testing import (
    CRASH,
    FAILED_SYNC,
    SECTOR,
    SHORT_WRITE,
    CloudFault,
    Fault,
    MemoryChainStore,
    MemoryCloud,
    MemoryDisk,
    MemoryStore,
)

if TYPE_CHECKING:
    from walogs.protocols import SegmentStore

DISK_FAULTS: dict[str, Fault] = {
    "failed sync": FAILED_SYNC,
    "short write": SHORT_WRITE,
    "EIO": Fault(
        errno.EIO, only={"write", "sync", "truncate", "rename", "unlink", "create_exclusive", "sync_directory"}
    ),
    "EIO at a read": Fault(errno.EIO, only={"read"}),
    "ENOSPC": Fault(errno.ENOSPC, only={"write", "create_exclusive"}),
    "EMFILE": Fault(errno.EMFILE, only={"create_exclusive", "open"}),
}
CLOUD_FAULTS: dict[str, CloudFault] = {
    "lost answer": CloudFault("unavailable"),
    "three lost answers": CloudFault("unavailable", times=3),
    "no answer at all": CloudFault("unavailable", times=12),
    "409 in disguise": CloudFault("exists"),
    "late": CloudFault("late"),
    "late every time": CloudFault("late", times=12),
}


class DiskWorld:
    """A modelled disk: kills, power cuts, failing syncs that leave clean pages, evictions, crashes at any step."""

    appends = True
    loses_power = True
    faults = tuple(DISK_FAULTS)

    def __init__(self) -> None:
        self.disk = MemoryDisk(block_bytes=SECTOR)  # so that small logs meet every allocation

    def store(self) -> SegmentStore:
        return MemoryStore(self.disk)

    def beside(self) -> SegmentStore | None:
        """For a process that only reads; None: this world has room for one process."""
        return MemoryStore(self.disk)

    def kill(self) -> None:
        self.disk.kill()

    def power_cut(self, rng: random.Random) -> None:
        self.disk.power_cut(rng)

    def evict(self, rng: random.Random) -> None:
        self.disk.evict(rng)

    def fail_writeback(self, rng: random.Random) -> None:
        self.disk.fail_writeback(rng)

    def arm(self, fault: str, step: int, rng: random.Random) -> None:
        self.disk.arm(step, DISK_FAULTS[fault], rng=rng)

    def arm_crash(self, step: int, rng: random.Random) -> None:
        self.disk.arm(step, CRASH, rng=rng)

    def disarm(self) -> None:
        self.disk.disarm()

    def set_room(self, free: int | None) -> None:
        self.disk.room = None if free is None else self.disk.used + free

    def close(self) -> None:
        pass


class LocalWorld(DiskWorld):
    """The same disk, and every system call of the local store on it."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()

    def store(self) -> SegmentStore:
        run_as(MemoryOS(self.disk), self.patch.setattr)
        return LocalStore(ROOT)

    def beside(self) -> None:
        return None

    def close(self) -> None:
        self.disk.kill()
        self.patch.undo()


class CloudWorld:
    """A modelled remote: lost answers, conflicts in disguise, writers that fence each other."""

    appends = False
    loses_power = False
    faults = tuple(CLOUD_FAULTS)

    def __init__(self) -> None:
        self.cloud = MemoryCloud(numbers_reused=True)
        self.alive: list[MemoryChainStore] = []

    def store(self) -> SegmentStore:
        self.alive.append(MemoryChainStore(self.cloud))
        return self.alive[-1]

    def beside(self) -> SegmentStore:
        return MemoryChainStore(self.cloud)

    def kill(self) -> None:
        for store in self.alive:
            store.kill()
        self.alive.clear()

    def arm(self, fault: str, step: int, rng: random.Random) -> None:
        self.cloud.arm(step, CLOUD_FAULTS[fault], rng=rng)

    def arm_crash(self, step: int, rng: random.Random) -> None:
        self.cloud.arm(step, CloudFault("crash"), rng=rng)

    def disarm(self) -> None:
        self.cloud.disarm()

    def deliver(self) -> int:
        """Puts that were under way arrive, whatever has happened since; how many did."""
        arrived = 0
        while self.cloud.late:
            self.cloud.deliver()
            arrived += 1
        return arrived

    def close(self) -> None:
        pass


class DirectoryWorld:
    """A real directory: what the kernel does is real, so a process can die here, and nothing else can go wrong."""

    appends = True
    loses_power = False
    faults: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="walogs-model-")
        self.alive: list[LocalStore] = []

    def store(self) -> SegmentStore:
        self.alive.append(LocalStore(self.path))
        return self.alive[-1]

    def beside(self) -> SegmentStore:
        return LocalStore(self.path)

    def kill(self) -> None:
        """What the kernel does when the process dies: descriptors closed, the lock free, the files as they are."""
        for store in self.alive:
            store.close()
        self.alive.clear()

    def disarm(self) -> None:
        pass

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.path)


WORLDS: dict[str, Any] = {"disk": DiskWorld, "local": LocalWorld, "cloud": CloudWorld, "directory": DirectoryWorld}
