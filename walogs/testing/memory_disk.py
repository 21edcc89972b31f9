"""A disk with a page cache and one directory, for crash tests. It outlives the processes that use it.

The fault model (assumptions A1-A6 of the guarantees, and what was measured on ext4, XFS and btrfs):

- **Sectors** of 512 bytes are written whole, nothing larger is, and there is no order among them (A3). The cache shows
  the newest bytes. A power cut leaves, sector by sector, any version the sector had since the last sync that
  succeeded, the durable one included. A sector that was not written is not harmed (A2).
- **Size** is one more such thing: any size the file had since that sync, in no order with its bytes. Bytes below the
  size that were never written read as zero.
- **Names** are a directory's own: every create, link, rename and unlink is kept or lost by itself until
  `sync_directory` returns (ALICE's strict model; a file's sync does not make its name durable). The two halves of a
  rename are two.
- **A sync that fails** may have written any of the dirty sectors. All of them are clean now: the cache goes on showing
  the new bytes, the next sync succeeds and writes none of them (fsyncgate, on all three file systems). So is the size.
  `evict` is memory pressure: clean sectors are read from the device again. A failing `sync_directory` leaves its
  changes pending, as a journal that could not commit does.
- **Unwritten extents** (ext4): a block that was allocated, and whose first sync failed, can stay flagged as unwritten:
  later writes and syncs succeed, but after a power cut it reads as zero. Only truncating below it frees it.
- **Writeback nobody saw** (`fail_writeback`): the kernel's own writeback fails like a sync; the next sync says so once.
- **Room** is counted in blocks of 4,096 bytes by what the cache shows. A write that does not fit is short first, and
  refused (ENOSPC) when nothing of it fits. Overwriting needs none. Unlinking and truncating free at once.
- **A process that dies** leaves the cache as it is, loses its handles and frees its locks. One that dies in the middle
  of a write has written a prefix of it.

Not modelled: copy on write that needs room to overwrite, several directories, permissions, time.
Everything random comes from the `random.Random` that a call is given, so a seed replays it.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

from walogs.testing.faults import Schedule, SimulatedCrash
from walogs.testing.page_cache import BIASES, BLOCK, SECTOR, Inode, pick

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

    from typing_extensions import Buffer

    from walogs.protocols import Barrier
    from walogs.testing.faults import Armed

__all__ = [
    "ANY_STEP",
    "CHANGES",
    "CRASH",
    "FAILED_SYNC",
    "SECTOR",
    "SHORT_WRITE",
    "Fault",
    "Handle",
    "Inode",
    "MemoryDisk",
    "Process",
]

CHANGES: Final = frozenset(
    {"create_exclusive", "link", "rename", "unlink", "sync_directory", "write", "truncate", "sync"}
)
"""The primitives that change something: a crash at any other leaves what the step before it left."""
ANY_STEP: Final = CHANGES | {"open", "names", "read", "lock"}
"""Every primitive."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at one primitive."""

    what: int | Literal["crash", "short"]
    """An errno: `OSError`. `crash`: the process dies, `SimulatedCrash`. `short`: a write returns early, no error."""
    only: Collection[str] = ()
    """The primitives it counts and fails; empty: every one. `CHANGES` for those that leave a trace."""
    times: int | None = 1
    """One-shot, n times, or None: sticky, until `disarm`."""
    moment: Literal["before", "after"] | None = None
    """Before or after the primitive's effect. None, the natural one: an error comes before the effect, a crash before
    or after it as the rng says; of a write a random prefix has happened. A sync that fails ignores this."""

    def __post_init__(self) -> None:
        unknown = set(self.only) - ANY_STEP
        if unknown:  # it would never fire, and the test would prove nothing
            raise ValueError(f"no such primitive: {sorted(unknown)}; there are {sorted(ANY_STEP)}")


CRASH: Final = Fault("crash")
"""The process dies at the step."""
FAILED_SYNC: Final = Fault(errno.EIO, only=frozenset({"sync"}))
"""The n-th sync of a file fails; pages clean, not on the device."""
SHORT_WRITE: Final = Fault("short", only=frozenset({"write"}))
"""The n-th write returns early, which every writer must expect."""


class MemoryDisk:
    """The hardware, the kernel and one directory. Processes come and go; see the top of the file for what is modelled.

    Safe to use from several threads; every primitive is one step. `kill`, `power_cut`, `evict` and the like are the
    test's own hand, not steps.
    """

    def __init__(self, *, room: int | None = None, unwritten_extents: bool = True, block_bytes: int = BLOCK) -> None:
        self.room = room
        """Capacity in bytes; None: endless. A test may change it at any time."""
        self.unwritten_extents = unwritten_extents
        """Whether a block whose first sync failed may stay unwritten (ext4) or never does (XFS, btrfs)."""
        self.block_bytes = block_bytes
        self.schedule: Schedule[Fault] = Schedule()
        self._mutex = threading.RLock()
        self._names: dict[str, Inode] = {}
        self._durable_names: dict[str, Inode] = {}
        self._name_versions: dict[str, list[Inode | None]] = {}  # since the last sync_directory, oldest first
        self._locks: dict[str, Process] = {}
        self._processes: list[Process] = []
        self._used_blocks = 0
        self._inodes_made = 0

    # Processes and faults.

    def process(self) -> Process:
        """A new process, alive."""
        with self._mutex:
            self._processes.append(Process(self))
            return self._processes[-1]

    def kill(self) -> None:
        """Every process dies: handles dead, locks free; the cache stays. (`Process.kill`: one of them.)"""
        with self._mutex:
            for process in tuple(self._processes):
                process.kill()

    def arm(self, step: int, fault: Fault, *, rng: random.Random) -> Armed[Fault]:
        """Let *fault* fire at the *step*-th primitive it counts from now (1: the next). `ValueError`: step below 1."""
        with self._mutex:
            return self.schedule.arm(step, fault, rng)

    def disarm(self) -> None:
        """Forget every armed fault."""
        with self._mutex:
            self.schedule.disarm()

    @property
    def steps(self) -> int:
        """Primitives begun so far; `schedule.count(CHANGES)`: those that change something."""
        return self.schedule.count()

    # What happens to the disk.

    def power_cut(self, rng: random.Random, bias: float | None = None) -> None:
        """All that is not synced is kept or lost, piece by piece; then the cache shows what is left; all processes die.

        *bias* is the chance, 0.0 to 1.0, that a piece has its newest version; otherwise it has any older one. So 0.0
        leaves nothing that was not synced, 1.0 all of it. None: drawn for this power cut.
        """
        with self._mutex:
            chance = rng.choice(BIASES) if bias is None else bias
            self.kill()
            for name, versions in self._name_versions.items():
                self._settle_name(name, pick([self._durable_names.get(name), *versions], rng, chance))
            self._name_versions.clear()
            self._names = dict(self._durable_names)
            self._count_links()
            for inode in self._inodes():
                inode.power_cut(rng, chance)
            self._used_blocks = sum(len(inode.blocks) for inode in self._inodes())

    def evict(self, rng: random.Random) -> None:
        """Memory pressure: some clean sectors are read from the device again; seen only after a failed sync."""
        with self._mutex:
            for inode in self._inodes():
                inode.evict(rng)

    def fail_writeback(self, rng: random.Random) -> None:
        """The kernel writes back what is dirty, and fails as a sync fails; each file's next sync raises EIO, once."""
        with self._mutex:
            for inode in self._inodes():
                if inode.versions or inode.sizes:
                    inode.fail_sync(rng, unwritten_extents=self.unwritten_extents)
                    inode.has_unseen_error = True

    def damage(self, name: str, offset: int, data: bytes) -> None:
        """Bit rot: these bytes are on the device and in the cache now, as far as the file is long. No step.

        Raises `FileNotFoundError`.
        """
        with self._mutex:
            self._inode(name).damage(offset, data)

    def clone(self) -> MemoryDisk:
        """The same disk at this moment, without processes, locks and armed faults: many crash states from one run."""
        with self._mutex:
            twin = MemoryDisk(room=self.room, unwritten_extents=self.unwritten_extents, block_bytes=self.block_bytes)
            known = {*self._names.values(), *self._durable_names.values()}
            known.update(inode for versions in self._name_versions.values() for inode in versions if inode)
            copies = {inode: inode.copy() for inode in known}
            twin._names = {name: copies[inode] for name, inode in self._names.items()}
            twin._durable_names = {name: copies[inode] for name, inode in self._durable_names.items()}
            twin._name_versions = {
                name: [inode and copies[inode] for inode in versions] for name, versions in self._name_versions.items()
            }
            twin._used_blocks, twin._inodes_made = self._used_blocks, self._inodes_made
            return twin

    # What a test, or a law, looks at. None of it is a step.

    @property
    def used(self) -> int:
        """Bytes of the blocks allocated to files that have a name; may be above `room` after a power cut."""
        return self._used_blocks * self.block_bytes

    def cached_names(self) -> list[str]:
        """The names that a process would see, sorted."""
        with self._mutex:
            return sorted(self._names)

    def cached(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes that a process would read. Raises `FileNotFoundError`."""
        with self._mutex:
            inode = self._inode(name)
            return inode.read(start, len(inode.cache) if end is None else end)

    def durable(self, name: str) -> bytes | None:
        """The device's bytes under the device's name, before anything unsynced is decided; None: no such name there."""
        with self._mutex:
            inode = self._durable_names.get(name)
            return None if inode is None else bytes(inode.durable)

    def durable_prefix(self, name: str) -> int:
        """The largest p such that no power cut, now, could leave bytes [0, p) of *name* otherwise than they read.

        0 when the name itself is not durable, or not there.
        """
        with self._mutex:
            inode = self._names.get(name)
            if inode is None or name in self._name_versions or self._durable_names.get(name) is not inode:
                return 0
            return inode.durable_prefix()

    # The directory, for Process. Called with the mutex held.

    def _inode(self, name: str) -> Inode:
        try:
            return self._names[name]
        except KeyError:
            raise _os_error(errno.ENOENT, name) from None

    def _inodes(self) -> list[Inode]:
        """Those that have a name, each once, in the order they were made."""
        return sorted(set(self._names.values()), key=lambda inode: inode.number)

    def _make_inode(self) -> Inode:
        self._inodes_made += 1
        return Inode(self._inodes_made, self.block_bytes)

    def _point(self, name: str, inode: Inode | None) -> None:
        """*name* is this file's from now on; None: nobody's."""
        old = self._names.pop(name, None)
        if old is not None:
            old.links -= 1
            self._used_blocks -= 0 if old.links else len(old.blocks)
        if inode is not None:
            self._names[name] = inode
            self._used_blocks += 0 if inode.links else len(inode.blocks)
            inode.links += 1
        self._name_versions.setdefault(name, []).append(inode)

    def _sync_names(self) -> None:
        self._durable_names = dict(self._names)
        self._name_versions.clear()

    def _settle_name(self, name: str, inode: Inode | None) -> None:
        if inode is None:
            self._durable_names.pop(name, None)
        else:
            self._durable_names[name] = inode

    def _count_links(self) -> None:
        for inode in self._names.values():
            inode.links = 0
        for inode in self._names.values():
            inode.links += 1

    def _allocate(self, inode: Inode, offset: int, size: int) -> int:
        """How many of *size* bytes at *offset* there is room for; their blocks are allocated."""
        if size == 0:
            return 0
        for block in range(offset // self.block_bytes, (offset + size - 1) // self.block_bytes + 1):
            if block not in inode.blocks:
                if inode.links and self.room is not None and self.used + self.block_bytes > self.room:
                    return max(0, block * self.block_bytes - offset)
                inode.blocks.add(block)
                inode.fresh.add(block)
                self._used_blocks += 1 if inode.links else 0
        return size

    def _truncate(self, inode: Inode, size: int) -> None:
        before = len(inode.blocks)
        inode.truncate(size)
        if inode.links:
            self._used_blocks -= before - len(inode.blocks)


class Process:
    """One process on a `MemoryDisk`: its handles and locks die with it. Each method is one step, and can be failed.

    Every method raises `SimulatedCrash` once the process is dead. An `OSError` has a real errno, and the class that
    goes with it (`FileNotFoundError`, ...); then nothing has changed, unless the method says otherwise.
    """

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk
        self.is_alive = True

    def kill(self) -> None:
        """It dies: handles dead, its locks free; the cache stays."""
        disk = self.disk
        with disk._mutex:
            self.is_alive = False
            disk._locks = {name: holder for name, holder in disk._locks.items() if holder is not self}
            if self in disk._processes:
                disk._processes.remove(self)

    def refuse_if_dead(self) -> None:
        """Raise `SimulatedCrash` if this process is dead. No step."""
        if not self.is_alive:
            raise SimulatedCrash("this process is dead: it was killed, or the power was cut")

    def create_exclusive(self, name: str) -> Handle:
        """A new empty file. Raises `FileExistsError`. Its name is durable after `sync_directory`."""
        disk = self.disk
        with disk._mutex, _Step(self, "create_exclusive"):
            if name in disk._names:
                raise _os_error(errno.EEXIST, name)
            inode = disk._make_inode()
            disk._point(name, inode)
            return Handle(self, inode)

    def open(self, name: str) -> Handle:
        """The file that has this name now; the handle stays with it, whatever happens to the name."""
        disk = self.disk
        with disk._mutex, _Step(self, "open"):
            return Handle(self, disk._inode(name))

    def rename(self, old: str, new: str) -> None:
        """*new* is what *old* was, at once for whoever looks, and *old* is gone; a file that *new* was loses that name.

        Each half is durable, or not, by itself until `sync_directory`.
        """
        disk = self.disk
        with disk._mutex, _Step(self, "rename"):
            inode = disk._inode(old)
            if old != new:
                disk._point(new, inode)
                disk._point(old, None)

    def link(self, old: str, new: str) -> None:
        """*new* is the same file as *old*: what is written to one is in both. Raises `FileExistsError`.

        Its name is durable after `sync_directory`, which makes no byte of the file durable.
        """
        disk = self.disk
        with disk._mutex, _Step(self, "link"):
            inode = disk._inode(old)
            if new in disk._names:
                raise _os_error(errno.EEXIST, new)
            disk._point(new, inode)

    def unlink(self, name: str) -> None:
        """The name is gone, durably after `sync_directory`; handles of the file go on working."""
        disk = self.disk
        with disk._mutex, _Step(self, "unlink"):
            disk._inode(name)
            disk._point(name, None)

    def names(self) -> list[str]:
        """Every name, in no order that means anything."""
        disk = self.disk
        with disk._mutex, _Step(self, "names"):
            return list(disk._names)

    def sync_directory(self) -> None:
        """Every change of a name before the call is durable. If it raises, each may be or not, as before."""
        disk = self.disk
        with disk._mutex, _Step(self, "sync_directory"):
            disk._sync_names()

    def lock(self, name: str = "LOCK") -> bool:
        """Whether the lock is this process's now; False: another live process holds it. No file is made."""
        disk = self.disk
        with disk._mutex, _Step(self, "lock"):
            return disk._locks.setdefault(name, self) is self

    def unlock(self, name: str = "LOCK") -> None:
        """Let go of the lock; nothing happens when it is not this process's. Never raises."""
        disk = self.disk
        with disk._mutex:
            if disk._locks.get(name) is self:
                del disk._locks[name]


class Handle:
    """A process's way to one file. Each method but `size` is one step, and can be failed."""

    def __init__(self, process: Process, inode: Inode) -> None:
        self.process = process
        self.inode = inode

    @property
    def size(self) -> int:
        """Bytes, as the cache shows it. Raises `SimulatedCrash` when the process is dead."""
        with self.process.disk._mutex:
            self.process.refuse_if_dead()
            return len(self.inode.cache)

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end) as the cache shows them; fewer where the file ends."""
        with self.process.disk._mutex, _Step(self.process, "read"):
            return self.inode.read(start, end)

    def write(self, offset: int, data: Buffer) -> int:
        """How many bytes are at *offset* now; fewer than offered when room runs out on the way.

        Raises `OSError` (ENOSPC) when there is room for none. Any other `OSError` may have written a prefix.
        """
        disk = self.process.disk
        view = memoryview(data).cast("B")
        with disk._mutex, _Step(self.process, "write") as step:
            offered = step.reached(view.nbytes)
            fits = disk._allocate(self.inode, offset, offered)
            if fits:
                self.inode.write(offset, view[:fits])
            elif offered:
                raise _os_error(errno.ENOSPC)
            return fits

    def truncate(self, size: int) -> None:
        """The size becomes this; what is added reads as zero and takes no room yet."""
        disk = self.process.disk
        with disk._mutex, _Step(self.process, "truncate"):
            disk._truncate(self.inode, size)

    def sync(self, barrier: Barrier = "full") -> None:
        """What was written to the file by whomever, and its size, is durable; both barriers do the same here.

        If it raises, any of it may be durable, and a later sync that succeeds does not make the rest so.
        """
        disk = self.process.disk
        with disk._mutex, _Step(self.process, "sync", self.inode):
            self.inode.sync()
            if self.inode.has_unseen_error:
                self.inode.has_unseen_error = False
                raise _os_error(errno.EIO)


class _Step:
    """One primitive: counts it, refuses the dead, and makes the fault that is due at it happen."""

    __slots__ = ("_armed", "_inode", "_process")

    def __init__(self, process: Process, primitive: str, inode: Inode | None = None) -> None:
        process.refuse_if_dead()
        self._process = process
        self._inode = inode
        self._armed = process.disk.schedule.tick(primitive)
        if self._armed is not None:
            self._before(self._armed, primitive)

    def _before(self, armed: Armed[Fault], primitive: str) -> None:
        """Raise what comes before the effect."""
        fault = armed.fault
        if fault.what == "short" or (primitive == "write" and fault.moment is None):
            return  # part of it happens: see `reached`
        if primitive == "sync" and self._inode is not None and fault.what != "crash":
            self._inode.fail_sync(armed.rng, unwritten_extents=self._process.disk.unwritten_extents)
            self._raise(armed)
        moment = fault.moment
        if moment is None:
            moment = "before" if fault.what != "crash" else armed.rng.choice(("before", "after"))
        if moment == "before":
            self._raise(armed)

    def reached(self, size: int) -> int:
        """Of a write of *size* bytes, how many happen."""
        if self._armed is None or self._armed.fault.moment is not None:
            return size
        return self._armed.rng.randint(min(size, 1) if self._armed.fault.what == "short" else 0, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._armed is not None and (kind is None or self._armed.fault.what == "crash"):
            self._raise(self._armed)

    def _raise(self, armed: Armed[Fault]) -> None:
        what = armed.fault.what
        if what == "crash":
            self._process.kill()
            raise SimulatedCrash("the process died at this step")
        if isinstance(what, int):
            raise _os_error(what)


def _os_error(number: int, name: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), name)
