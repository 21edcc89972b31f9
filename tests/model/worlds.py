"""The places a log can be in, each with the faults that it can have. A world outlives the processes in it."""

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
    MemoryChainStore,
    MemoryCloud,
    MemoryDisk,
    MemoryStore,
)
from walogs.testing.memory_store import WITNESS

if TYPE_CHECKING:
    from walogs.protocols import SegmentStore

Copy: TypeAlias = "tuple[Callable[[], SegmentStore], Callable[[random.Random], None] | None]"
"""How the log of a backup is opened, each time by another process, and what cuts its power, if anything can."""

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


IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where backups are made whose syncs are modelled too: removing a directory costs a disk more than all the rest."""


class DiskWorld:
    """A modelled disk: kills, power cuts, failing syncs that leave clean pages, evictions, crashes at any step."""

    appends = True
    loses_power = True
    copies = IN_MEMORY
    faults = tuple(DISK_FAULTS)

    def __init__(self) -> None:
        self.disk = MemoryDisk(block_bytes=SECTOR)  # so that small logs meet every allocation

    def store(self) -> SegmentStore:
        return MemoryStore(self.disk)

    @contextmanager
    def beside(self) -> Iterator[SegmentStore]:
        """A process that only reads: the one that runs, for as long as it is entered."""
        yield MemoryStore(self.disk)

    @contextmanager
    def in_the_writer(self) -> Iterator[None]:
        """While another process is beside it, the writer's runs."""
        yield

    def contents(self) -> object:
        """Everything that is there, and must not change under those who only read."""
        return {name: self.disk.cached(name) for name in self.disk.cached_names()}

    def witness(self) -> bytes | None:
        """Its bytes as they stand."""
        return self.disk.cached(WITNESS) if WITNESS in self.disk.cached_names() else None

    @contextmanager
    def copy(self, directory: str, synced: dict[str, bytes]) -> Iterator[Copy]:
        """The log that a backup has left, as far as it was *synced*: its stores, and what cuts its power."""
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
        """Whether anything may still go wrong by itself."""
        return bool(self.disk.schedule._armed)

    def set_room(self, free: int | None) -> None:
        self.disk.room = None if free is None else self.disk.used + free

    def close(self) -> None:
        pass


class LocalWorld(DiskWorld):
    """The same disk, and every system call of the local store on it."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.writer: MemoryOS | None = None

    def store(self) -> SegmentStore:
        self.writer = MemoryOS(self.disk)
        self._run_as(self.writer)
        return LocalStore(ROOT)

    def _run_as(self, process: MemoryOS | None) -> None:
        """Whose system calls those of the local store are."""
        if process is not None:
            run_as(process, self.patch.setattr)

    @contextmanager
    def _running(self, process: MemoryOS) -> Iterator[None]:
        self._run_as(process)
        try:
            yield
        finally:
            self._run_as(self.writer)  # it may be another one by then

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
    """A modelled remote: lost answers, conflicts in disguise, writers that fence each other."""

    appends = False
    loses_power = False
    copies = IN_MEMORY
    faults = tuple(CLOUD_FAULTS)

    def __init__(self) -> None:
        self.cloud = MemoryCloud(numbers_reused=True)
        self.alive: list[MemoryChainStore] = []

    def store(self) -> SegmentStore:
        self.alive.append(MemoryChainStore(self.cloud))
        return self.alive[-1]

    @contextmanager
    def beside(self) -> Iterator[SegmentStore]:
        yield MemoryChainStore(self.cloud)

    @contextmanager
    def in_the_writer(self) -> Iterator[None]:
        yield

    def contents(self) -> object:
        return dict(self.cloud.objects)

    @contextmanager
    def copy(self, directory: str, synced: dict[str, bytes]) -> Iterator[Copy]:
        """A backup is a directory, whatever it is of."""
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

    def witness(self) -> bytes | None:
        return files_of(self.path).get(WITNESS)

    @contextmanager
    def copy(self, directory: str, synced: dict[str, bytes]) -> Iterator[Copy]:
        """The real directory: its power cannot be cut."""
        assert files_of(directory) == synced
        yield lambda: LocalStore(directory), None

    def kill(self) -> None:
        """What the kernel does when the process dies: descriptors closed, the lock free, the files as they are."""
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
