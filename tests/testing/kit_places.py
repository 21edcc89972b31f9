"""The contracts of what walogs brings itself, with everything that the kit can be offered."""

from __future__ import annotations

import errno
import random
import time
from collections import defaultdict
from pathlib import Path
from typing import ClassVar, Final

from tests.kit.temporary import IN_MEMORY
from walogs.protocols import SegmentStore
from walogs.testing import (
    CHANGES,
    FAILED_SYNC,
    CloudFault,
    Fault,
    MemoryCloud,
    MemoryDisk,
    MemoryImmutableStore,
    MemoryStore,
    StoreContract,
)

DISK_FAULTS: Final = {
    "die": Fault("crash", only=CHANGES),
    "EIO": Fault(errno.EIO, only=CHANGES),
    "failed sync": FAILED_SYNC,
    "failed read": Fault(errno.EIO, only={"open", "names", "read"}),
}
CLOUD_FAULTS: Final = {
    "die": CloudFault("crash", only={"create", "remove"}),
    "EIO": CloudFault("unavailable", only={"create", "remove"}),
    "no answer": CloudFault("unavailable", only={"create"}),
    "false conflict": CloudFault("exists"),
    "late": CloudFault("late"),
    "failed read": CloudFault("unavailable", only={"segments", "size", "read"}),
}


class Waiting(MemoryImmutableStore):
    """A store that can wait for the next segment."""

    waited = 0

    def wait_beyond(self, number: int, seconds: float) -> bool:
        self.waited += 1
        end = time.monotonic() + seconds
        while not self.segments_after(number):
            left = end - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, 0.005))
        return True


class OnADisk(StoreContract):
    """A store on a modelled disk: it can be cut off from power, filled, and failed at each step."""

    directory = IN_MEMORY  # its places are keys only, and removing a directory costs a disk more than most checks
    faults: ClassVar[frozenset[str]] = frozenset(DISK_FAULTS)
    store_type: ClassVar[type[MemoryStore]] = MemoryStore

    def setup_method(self) -> None:
        super().setup_method()
        self.disks: defaultdict[Path, MemoryDisk] = defaultdict(MemoryDisk)

    def disk(self, place: Path) -> MemoryDisk:
        return self.disks[place]

    def store(self, place: Path) -> SegmentStore:
        return self.store_type(self.disk(place), segment_bytes_max=1 << 20)

    def crash(self, place: Path, rng: random.Random) -> None:
        self.disk(place).power_cut(rng)

    def room(self, place: Path, free: int | None) -> None:
        disk = self.disk(place)
        disk.room = None if free is None else disk.used + free

    def aside(self, place: Path, name: str) -> bytes:
        return self.disk(place).cached(name)

    def arm(self, place: Path, fault: str, step: int, rng: random.Random) -> None:
        self.disk(place).arm(step, DISK_FAULTS[fault], rng=rng)

    def disarm(self, place: Path) -> None:
        self.disk(place).disarm()


class InACloud(StoreContract):
    """A store that fences by creation, in a modelled remote; a power cut takes nothing from it."""

    directory = IN_MEMORY  # its places are keys only, and removing a directory costs a disk more than most checks
    faults: ClassVar[frozenset[str]] = frozenset(CLOUD_FAULTS)
    store_type: ClassVar[type[MemoryImmutableStore]] = MemoryImmutableStore
    cloud_type: ClassVar[type[MemoryCloud]] = MemoryCloud
    numbers_reused: ClassVar[bool] = True

    def setup_method(self) -> None:
        super().setup_method()
        self.clouds: defaultdict[Path, MemoryCloud] = defaultdict(self.new_cloud)
        self.alive: list[MemoryImmutableStore] = []

    def cloud(self, place: Path) -> MemoryCloud:
        return self.clouds[place]

    def new_cloud(self) -> MemoryCloud:
        return self.cloud_type(numbers_reused=self.numbers_reused)

    def store(self, place: Path) -> SegmentStore:
        self.alive.append(self.store_type(self.cloud(place), segment_bytes_max=1 << 20))
        return self.alive[-1]

    def crash(self, place: Path, rng: random.Random) -> None:
        for store in self.alive:
            store.kill()
        self.alive.clear()

    def arm(self, place: Path, fault: str, step: int, rng: random.Random) -> None:
        self.cloud(place).arm(step, CLOUD_FAULTS[fault], rng=rng)

    def disarm(self, place: Path) -> None:
        self.cloud(place).disarm()
        while self.cloud(place).late:
            self.cloud(place).deliver()
