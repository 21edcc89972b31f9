"""The places where a log can be, each with its faults. A world outlives the processes in it."""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.kit.temporary import IN_MEMORY
from tests.model.copies import disk_of, files_of
from tests.shims.memory_os import ROOT, MemoryOS, run_as
from walogs.defaults.local_store import LocalStore
from walogs.testing import (
    CRASH,
    FAILED_SYNC,
    SECTOR,
    SHORT_WRITE,
    CloudFault,
    Fault,
    MemoryCloud,
    MemoryDisk,
    MemoryImmutableStore,
    MemoryStore,
)
from walogs.testing.memory_store import DURABLE_MARK

if TYPE_CHECKING:
    from walogs.protocols import SegmentStore

Copy: TypeAlias = "tuple[Callable[[], SegmentStore], Callable[[random.Random], None] | None]"
"""What opens the log of a backup, each time in a new process, and what cuts its power, or None."""

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
    """A modelled disk: kills, power cuts, failed syncs that leave clean pages, evictions, and crashes at any step."""

    appends = True
    loses_power = True
    copies = IN_MEMORY  # their syncs are modelled too, so no disk is needed; removing a directory would be slow on one
    faults = tuple(DISK_FAULTS)

    def __init__(self) -> None:
        self.disk = MemoryDisk(block_bytes=SECTOR)  # small blocks, so that small logs meet every allocation

    def store(self) -> SegmentStore:
        return MemoryStore(self.disk)

    @contextmanager
    def beside(self) -> Iterator[SegmentStore]:
        """Run as a process that only reads, until the block ends."""
        yield MemoryStore(self.disk)

    @contextmanager
    def in_the_writer(self) -> Iterator[None]:
        """Run as the writer's process again, while another process stands beside it."""
        yield

    def contents(self) -> object:
        """Return everything that a process which only reads must not change."""
        return {name: self.disk.cached(name) for name in self.disk.cached_names()}

    def durable_mark(self) -> bytes | None:
        """Return the bytes of the durable mark as they are now."""
        return self.disk.cached(DURABLE_MARK) if DURABLE_MARK in self.disk.cached_names() else None

    @contextmanager
    def copy(self, directory: str, synced: dict[str, bytes]) -> Iterator[Copy]:
        """Make the log that a backup has left from the *synced* files: its stores, and what cuts its power."""
        disk = disk_of(synced)
        yield lambda: MemoryStore(disk), disk.power_cut

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

    def is_armed(self) -> bool:
        """Return whether a fault is still armed."""
        return bool(self.disk.schedule._armed)

    def set_room(self, free: int | None) -> None:
        self.disk.room = None if free is None else self.disk.used + free

    def close(self) -> None:
        pass


class LocalWorld(DiskWorld):
    """The same disk, with every system call of LocalStore on it."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.writer: MemoryOS | None = None

    def store(self) -> SegmentStore:
        self.writer = MemoryOS(self.disk)
        self._run_as(self.writer)
        return LocalStore(ROOT)

    def _run_as(self, process: MemoryOS | None) -> None:
        """Let the system calls of LocalStore be those of this process."""
        if process is not None:
            run_as(process, self.patch.setattr)

    @contextmanager
    def _running(self, process: MemoryOS) -> Iterator[None]:
        self._run_as(process)
        try:
            yield
        finally:
            self._run_as(self.writer)  # the process may have changed meanwhile

    @contextmanager
    def beside(self) -> Iterator[SegmentStore]:
        self.reader = MemoryOS(self.disk)
        with self._running(self.reader):
            yield LocalStore(ROOT)

    @contextmanager
    def in_the_writer(self) -> Iterator[None]:
        reader = self.reader
        self._run_as(self.writer)
        try:
            yield
        finally:
            self._run_as(reader)

    @contextmanager
    def copy(self, directory: str, synced: dict[str, bytes]) -> Iterator[Copy]:
        disk = disk_of(synced)

        def store() -> SegmentStore:
            self._run_as(MemoryOS(disk))
            return LocalStore(ROOT)

        try:
            yield store, disk.power_cut
        finally:
            self._run_as(self.writer)

    def close(self) -> None:
        self.disk.kill()
        self.patch.undo()


class CloudWorld:
    """A modelled remote store: lost answers, conflicts that look like success, writers that fence each other."""

    appends = False
    loses_power = False
    copies = IN_MEMORY  # their syncs are modelled too, so no disk is needed; removing a directory would be slow on one
    faults = tuple(CLOUD_FAULTS)

    def __init__(self) -> None:
        self.cloud = MemoryCloud(numbers_reused=True)
        self.alive: list[MemoryImmutableStore] = []

    def store(self) -> SegmentStore:
        self.alive.append(MemoryImmutableStore(self.cloud))
        return self.alive[-1]

    @contextmanager
    def beside(self) -> Iterator[SegmentStore]:
        yield MemoryImmutableStore(self.cloud)

    @contextmanager
    def in_the_writer(self) -> Iterator[None]:
        yield

    def contents(self) -> object:
        return dict(self.cloud.objects)

    @contextmanager
    def copy(self, directory: str, synced: dict[str, bytes]) -> Iterator[Copy]:
        """Make the copy's log. A backup of any store is a directory."""
        disk = disk_of(synced)
        yield lambda: MemoryStore(disk), disk.power_cut

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

    def is_armed(self) -> bool:
        return bool(self.cloud.schedule._armed)

    def deliver(self) -> int:
        """Let delayed puts arrive, whatever has happened since. Return how many there were."""
        arrived = 0
        while self.cloud.late:
            self.cloud.deliver()
            arrived += 1
        return arrived

    def close(self) -> None:
        pass


class DirectoryWorld:
    """A real directory. The kernel is real, so a process can die here, and nothing else can go wrong."""

    appends = True
    loses_power = False
    copies = None
    faults: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="walogs-model-")
        self.alive: list[LocalStore] = []

    def store(self) -> SegmentStore:
        self.alive.append(LocalStore(self.path))
        return self.alive[-1]

    @contextmanager
    def beside(self) -> Iterator[SegmentStore]:
        yield LocalStore(self.path)

    @contextmanager
    def in_the_writer(self) -> Iterator[None]:
        yield

    def contents(self) -> object:
        times = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(self.path)}
        return files_of(self.path), times

    def durable_mark(self) -> bytes | None:
        return files_of(self.path).get(DURABLE_MARK)

    @contextmanager
    def copy(self, directory: str, synced: dict[str, bytes]) -> Iterator[Copy]:
        """Use the real directory, whose power cannot be cut."""
        assert files_of(directory) == synced
        yield lambda: LocalStore(directory), None

    def kill(self) -> None:
        """Do what the kernel does when the process dies: close the descriptors, free the lock, keep the files."""
        for store in self.alive:
            store.close()
        self.alive.clear()

    def disarm(self) -> None:
        pass

    def is_armed(self) -> bool:
        return False

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.path)


WORLDS: dict[str, Any] = {"disk": DiskWorld, "local": LocalWorld, "cloud": CloudWorld, "directory": DirectoryWorld}
