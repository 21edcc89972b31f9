"""A disk with a page cache, a directory and directories in it, for crash tests. It outlives its processes.

The fault model (assumptions A1-A6 of the guarantees, and measurements on ext4, XFS and btrfs):

- **Sectors.** A sector of 512 bytes is written as a whole. Larger pieces are not, and sectors are written in any order
  (A3). The cache shows the newest bytes. For each sector, a power cut leaves any version that the sector had since the
  last successful sync, or the durable one. It does not harm a sector that was not written (A2).
- **Size.** A power cut leaves any size that the file had since that sync, independently of its bytes. Bytes below the
  size that were never written read as zero.
- **Names.** Until `sync_directory` returns, every create, link, rename and unlink is kept or lost by itself (ALICE's
  strict model). The two halves of a rename are independent. A sync of a file does not make its name durable. A
  directory in the directory is a name too: if it is lost, all names in it are lost with it.
- **A sync that fails** may have written any of the dirty sectors. All sectors are clean then: the cache still shows the
  new bytes, and the next sync succeeds and writes none of them (fsyncgate, on all three file systems). The same is true
  of the size. `evict` models memory pressure: clean sectors are read from the device again. A `sync_directory` that
  fails leaves its changes pending, as a file system that could not commit its journal does.
- **Unwritten extents** (ext4). If the first sync of an allocated block failed, the block can stay flagged as unwritten.
  Later writes and syncs succeed, but the block reads as zero after a power cut. Only truncating below the block frees
  it.
- **Unseen writeback errors** (`fail_writeback`). The kernel's own writeback fails as a sync does. The next sync reports
  the error once.
- **Space** is counted in blocks of 4,096 bytes, by the files in the cache. A write that fits in part is short. A write
  that does not fit at all is refused (ENOSPC). Overwriting needs no space. Unlinking and truncating free space at once.
- **A process that dies** leaves the cache unchanged, loses its handles and frees its locks. If it dies in the middle of
  a write, it has written a prefix of the data.

The model does not have copy on write that needs space to overwrite, deeper directories, permissions or time. All
random decisions come from the `random.Random` that the caller gives, so a test can replay them from a seed.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

from walogs.foundation.turns import TurnLock
from walogs.testing.faults import Schedule, SimulatedCrash
from walogs.testing.page_cache import BIASES, BLOCK, SECTOR, Inode, pick

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

    from typing_extensions import Buffer

    from walogs.protocols import SyncKind
    from walogs.testing.faults import ArmedFault

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
    {"create_exclusive", "link", "make_directory", "rename", "unlink", "sync_directory", "write", "truncate", "sync"}
)
"""The primitives that change something. A crash at any other primitive leaves the same state as the step before it."""
ANY_STEP: Final = CHANGES | {"open", "names", "read", "lock"}
"""Every primitive."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at one primitive."""

    what: int | Literal["crash", "short"]
    """An errno raises that `OSError`. `crash` kills the process, which raises `SimulatedCrash`. `short` lets a write
    return early, without an error."""
    only: Collection[str] = ()
    """The primitives that the fault counts and fails. If it is empty, these are all primitives."""
    times: int | None = 1
    """How often the fault fires. None: at every such primitive, until `disarm`."""
    moment: Literal["before", "after"] | None = None
    """Whether the fault comes before or after the primitive's effect. None is the natural moment: an error comes before
    the effect, a crash before or after it as the rng decides, and a write has written a random prefix. A sync that
    fails ignores this."""

    def __post_init__(self) -> None:
        unknown = set(self.only) - ANY_STEP
        if unknown:  # Such a fault would never fire, and the test would prove nothing.
            raise ValueError(f"no such primitive: {sorted(unknown)}; there are {sorted(ANY_STEP)}")


CRASH: Final = Fault("crash")
"""The process dies at the step."""
FAILED_SYNC: Final = Fault(errno.EIO, only=frozenset({"sync"}))
"""The n-th sync of a file fails. Its pages are clean then, and may not be on the device."""
SHORT_WRITE: Final = Fault("short", only=frozenset({"write"}))
"""The n-th write returns early, which every writer must expect."""


class MemoryDisk:
    """The hardware, the kernel and one directory. The top of this file describes the model.

    Several threads can use one disk. Every primitive of a process is one step. A test calls `kill`, `power_cut`,
    `evict` and the like itself, and these are no steps.
    """

    def __init__(self, *, room: int | None = None, unwritten_extents: bool = True, block_bytes: int = BLOCK) -> None:
        self.room = room
        """The capacity in bytes, or None for no limit. A test may change it at any time."""
        self.unwritten_extents = unwritten_extents
        """Whether a block whose first sync failed may stay unwritten, as on ext4. On XFS and btrfs it does not."""
        self.block_bytes = block_bytes
        self.schedule: Schedule[Fault] = Schedule()
        self._mutex = TurnLock()
        self._names: dict[str, Inode] = {}
        self._durable_names: dict[str, Inode] = {}
        self._name_versions: dict[str, list[Inode | None]] = {}  # Since the last sync_directory, oldest first.
        self._locks: dict[str, Process] = {}
        self._processes: list[Process] = []
        self._used_blocks = 0
        self._inodes_made = 0

    # Processes and faults.

    def process(self) -> Process:
        """Return a new process that is alive."""
        with self._mutex:
            self._processes.append(Process(self))
            return self._processes[-1]

    def kill(self) -> None:
        """Kill every process. Its handles are dead and its locks free; the cache stays. `Process.kill` kills one."""
        with self._mutex:
            for process in tuple(self._processes):
                process.kill()

    def arm(self, step: int, fault: Fault, *, rng: random.Random) -> ArmedFault[Fault]:
        """Let *fault* fire at the *step*-th primitive that it counts from now; 1 is the next one.

        Raises `ValueError` for a step below 1.
        """
        with self._mutex:
            return self.schedule.arm(step, fault, rng)

    def disarm(self) -> None:
        """Forget every armed fault."""
        with self._mutex:
            self.schedule.disarm()

    @property
    def steps(self) -> int:
        """The number of primitives begun so far. `schedule.count(CHANGES)` counts only those that change something."""
        return self.schedule.count()

    # Events that happen to the disk.

    def power_cut(self, rng: random.Random, bias: float | None = None) -> None:
        """Cut the power. Each piece that is not synced is kept or lost by itself, and all processes die.

        *bias* is the chance, 0.0 to 1.0, that a piece has its newest version. Otherwise it has any older one. So 1.0
        keeps all that was not synced. None draws one of `BIASES`.
        """
        with self._mutex:
            chance = rng.choice(BIASES) if bias is None else bias
            self.kill()
            for name, versions in self._name_versions.items():
                self._settle_name(name, pick([self._durable_names.get(name), *versions], rng, chance))
            self._name_versions.clear()
            for name in [name for name in self._durable_names if not self._durable_names.keys() >= {*_above(name)}]:
                del self._durable_names[name]
            self._names = dict(self._durable_names)
            self._count_links()
            for inode in self._inodes():
                inode.power_cut(rng, chance)
            self._used_blocks = sum(len(inode.blocks) for inode in self._inodes())

    def evict(self, rng: random.Random) -> None:
        """Model memory pressure: read some clean sectors from the device again. This shows only after a failed sync."""
        with self._mutex:
            for inode in self._inodes():
                inode.evict(rng)

    def fail_writeback(self, rng: random.Random) -> None:
        """Let the kernel's own writeback fail as a sync fails. The next sync of each dirty file raises EIO once."""
        with self._mutex:
            for inode in self._inodes():
                if inode.versions or inode.sizes:
                    inode.fail_sync(rng, unwritten_extents=self.unwritten_extents)
                    inode.has_unseen_error = True

    def damage(self, name: str, offset: int, data: bytes) -> None:
        """Put these bytes on the device and in the cache, up to the end of the file, as bit rot does. This is no step.

        Raises `FileNotFoundError`.
        """
        with self._mutex:
            self._inode(name).damage(offset, data)

    def clone(self) -> MemoryDisk:
        """Copy the disk without processes, locks and armed faults, so that one run gives many crash states."""
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

    # For tests and laws. None of these is a step.

    @property
    def used(self) -> int:
        """The bytes of all blocks of files that have a name. They can be above `room` after a power cut."""
        return self._used_blocks * self.block_bytes

    def cached_names(self) -> list[str]:
        """Return the names that a process would see, sorted."""
        with self._mutex:
            return sorted(self._names)

    def cached(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes that a process would read. Raises `FileNotFoundError`."""
        with self._mutex:
            inode = self._inode(name)
            return inode.read(start, len(inode.cache) if end is None else end)

    def is_directory(self, name: str) -> bool:
        """Return whether a process would see a directory of this name."""
        with self._mutex:
            return name in self._names and self._names[name].is_directory

    def durable(self, name: str) -> bytes | None:
        """Return the durable bytes of the file with this durable name, or None if there is no such name.

        Nothing that is not synced is decided by this.
        """
        with self._mutex:
            inode = self._durable_names.get(name)
            return None if inode is None else bytes(inode.durable)

    def durable_prefix(self, name: str) -> int:
        """Return the largest p such that no power cut now could change bytes [0, p) of *name*.

        Return 0 if the name itself is not durable, or does not exist.
        """
        with self._mutex:
            inode = self._names.get(name)
            if inode is None or name in self._name_versions or self._durable_names.get(name) is not inode:
                return 0
            return inode.durable_prefix()

    # The directory, for Process. The caller holds the mutex.

    def _inode(self, name: str) -> Inode:
        try:
            return self._names[name]
        except KeyError:
            raise _os_error(errno.ENOENT, name) from None

    def _inodes(self) -> list[Inode]:
        """Return each inode that has a name once, in the order in which they were made."""
        return sorted(set(self._names.values()), key=lambda inode: inode.number)

    def _make_inode(self) -> Inode:
        self._inodes_made += 1
        return Inode(self._inodes_made, self.block_bytes)

    def _make_named_inode(self, name: str) -> Inode:
        if name in self._names:
            raise _os_error(errno.EEXIST, name)
        if not self._names.keys() >= {*_above(name)}:
            raise _os_error(errno.ENOENT, name)
        inode = self._make_inode()
        self._point(name, inode)
        return inode

    def _point(self, name: str, inode: Inode | None) -> None:
        """Give *name* to this file. None: remove the name."""
        old = self._names.pop(name, None)
        if old is not None:
            old.links -= 1
            self._used_blocks -= 0 if old.links else len(old.blocks)
        if inode is not None:
            self._names[name] = inode
            self._used_blocks += 0 if inode.links else len(inode.blocks)
            inode.links += 1
        self._name_versions.setdefault(name, []).append(inode)

    def _sync_names(self, directory: str) -> None:
        for name in [name for name in self._name_versions if _directory_of(name) == directory]:
            del self._name_versions[name]
            self._settle_name(name, self._names.get(name))

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
        """Allocate blocks for *size* bytes at *offset*. Return the number of bytes that there is space for."""
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
    """One process on a `MemoryDisk`. Its handles and locks end with it. Each method is one step, and can fail.

    Every method raises `SimulatedCrash` once the process is dead. An `OSError` has a real errno, and the class of that
    errno, such as `FileNotFoundError`. Nothing has changed then, unless the method's docstring says otherwise.
    """

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk
        self.is_alive = True

    def kill(self) -> None:
        """Kill the process. Its handles are dead and its locks free. The cache stays."""
        disk = self.disk
        with disk._mutex:
            self.is_alive = False
            disk._locks = {name: holder for name, holder in disk._locks.items() if holder is not self}
            if self in disk._processes:
                disk._processes.remove(self)

    def refuse_if_dead(self) -> None:
        """Raise `SimulatedCrash` if this process is dead. This is no step."""
        if not self.is_alive:
            raise SimulatedCrash("this process is dead: it was killed, or the power was cut")

    def create_exclusive(self, name: str) -> Handle:
        """Create an empty file, and return a handle. Its name is durable after `sync_directory`.

        Raises `FileExistsError`.
        """
        disk = self.disk
        with disk._mutex, _begin(self, "create_exclusive"):
            return Handle(self, disk._make_named_inode(name))

    def make_directory(self, name: str) -> None:
        """Make a directory. A file in it has the name `directory/file`. Its own name is durable after `sync_directory`.

        Raises `FileExistsError`.
        """
        disk = self.disk
        with disk._mutex, _begin(self, "make_directory"):
            disk._make_named_inode(name).is_directory = True

    def open(self, name: str) -> Handle:
        """Return a handle of the file that has this name now. The handle stays with the file if the name changes.

        Raises `FileNotFoundError`.
        """
        disk = self.disk
        with disk._mutex, _begin(self, "open"):
            return Handle(self, disk._inode(name))

    def rename(self, old: str, new: str) -> None:
        """Give the name *new* to the file *old*, and remove the name *old*. All processes see both changes at once.

        A file that had the name *new* loses it. Until `sync_directory`, a power cut keeps or loses each of the two
        changes by itself. Raises `FileNotFoundError`.
        """
        disk = self.disk
        with disk._mutex, _begin(self, "rename"):
            inode = disk._inode(old)
            if old != new:
                disk._point(new, inode)
                disk._point(old, None)

    def link(self, old: str, new: str) -> None:
        """Give the file *old* the second name *new*. Raises `FileExistsError` or `FileNotFoundError`.

        The name is durable after `sync_directory`, which makes no byte of the file durable.
        """
        disk = self.disk
        with disk._mutex, _begin(self, "link"):
            inode = disk._inode(old)
            if new in disk._names:
                raise _os_error(errno.EEXIST, new)
            disk._point(new, inode)

    def unlink(self, name: str) -> None:
        """Remove the name, durably after `sync_directory`. Handles of the file still work.

        Raises `FileNotFoundError`.
        """
        disk = self.disk
        with disk._mutex, _begin(self, "unlink"):
            disk._inode(name)
            disk._point(name, None)

    def names(self, directory: str = "") -> list[str]:
        """Return every name in the directory, in any order. "" is the directory that the disk is."""
        disk = self.disk
        with disk._mutex, _begin(self, "names"):
            return [name.rpartition("/")[2] for name in disk._names if _directory_of(name) == directory]

    def sync_directory(self, directory: str = "") -> None:
        """Make every earlier change of a name in the directory durable.

        If it raises, each change may still be durable or not.
        """
        disk = self.disk
        with disk._mutex, _begin(self, "sync_directory"):
            disk._sync_names(directory)

    def lock(self, name: str = "LOCK") -> bool:
        """Take the lock. Return False if another live process holds it. This makes no file."""
        disk = self.disk
        with disk._mutex, _begin(self, "lock"):
            return disk._locks.setdefault(name, self) is self

    def unlock(self, name: str = "LOCK") -> None:
        """Free the lock if this process holds it. Never raises."""
        disk = self.disk
        with disk._mutex:
            if disk._locks.get(name) is self:
                del disk._locks[name]


class Handle:
    """An open file of one process. Each method is one step, and can fail. `size` is no step."""

    def __init__(self, process: Process, inode: Inode) -> None:
        self.process = process
        self.inode = inode

    @property
    def size(self) -> int:
        """The size in bytes, as the cache shows it. Raises `SimulatedCrash` if the process is dead."""
        with self.process.disk._mutex:
            self.process.refuse_if_dead()
            return len(self.inode.cache)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes [start, end) of the cache, or fewer if the file ends before."""
        with self.process.disk._mutex, _begin(self.process, "read"):
            return self.inode.read(start, end)

    def write(self, offset: int, data: Buffer) -> int:
        """Write *data* at *offset*. Return how many bytes were written: fewer if there is not enough space for all.

        Raises `OSError` (ENOSPC) if there is no space for any byte. If it raises another `OSError`, it may have written
        a prefix.
        """
        disk = self.process.disk
        view = memoryview(data).cast("B")
        with disk._mutex, _begin(self.process, "write") as step:
            offered = step.reached(view.nbytes)
            fits = disk._allocate(self.inode, offset, offered)
            if fits:
                self.inode.write(offset, view[:fits])
            elif offered:
                raise _os_error(errno.ENOSPC)
            return fits

    def truncate(self, size: int) -> None:
        """Set the size. Added bytes read as zero, and take no space yet."""
        disk = self.process.disk
        with disk._mutex, _begin(self.process, "truncate"):
            disk._truncate(self.inode, size)

    def sync(self, kind: SyncKind = "full") -> None:
        """Make the size and all written bytes of the file durable, by whichever process. Both kinds do the same here.

        If it raises, any of these may be durable, and a later successful sync does not make the rest durable.
        """
        disk = self.process.disk
        with disk._mutex, _begin(self.process, "sync", self.inode):
            self.inode.sync()
            if self.inode.has_unseen_error:
                self.inode.has_unseen_error = False
                raise _os_error(errno.EIO)


def _begin(process: Process, primitive: str, inode: Inode | None = None) -> _Step:
    """Begin one primitive: raise if the process is dead, count the primitive, and raise a fault that comes before it.

    The caller holds the mutex, and carries out the primitive inside a `with` of the result.
    """
    if not process.is_alive:
        process.refuse_if_dead()
    armed = process.disk.schedule.tick(primitive)
    if armed is None:
        return _UNDISTURBED
    step = _FailingStep(process, armed)
    step.begin(primitive, inode)
    return step


class _Step:
    """One primitive at which no fault is due."""

    __slots__ = ()

    def reached(self, size: int) -> int:
        """Return how many bytes of a write of *size* bytes are written."""
        return size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the primitive, which may have raised an error of this kind."""


_UNDISTURBED: Final = _Step()
"""Almost every primitive is this one, so that nothing is made for it."""


class _FailingStep(_Step):
    """One primitive at which a fault is due."""

    __slots__ = ("_armed", "_process")

    def __init__(self, process: Process, armed: ArmedFault[Fault]) -> None:
        self._process = process
        self._armed = armed

    def begin(self, primitive: str, inode: Inode | None) -> None:
        """Raise the error of a fault that comes before the effect."""
        armed, fault = self._armed, self._armed.fault
        if fault.what == "short" or (primitive == "write" and fault.moment is None):
            return  # A part of the write happens, see `reached`.
        if primitive == "sync" and inode is not None and fault.what != "crash":
            inode.fail_sync(armed.rng, unwritten_extents=self._process.disk.unwritten_extents)
            self._raise()
        moment = fault.moment
        if moment is None:
            moment = "before" if fault.what != "crash" else armed.rng.choice(("before", "after"))
        if moment == "before":
            self._raise()

    def reached(self, size: int) -> int:
        """Return how many bytes of a write of *size* bytes are written."""
        fault = self._armed.fault
        if fault.moment is not None:
            return size
        return self._armed.rng.randint(min(size, 1) if fault.what == "short" else 0, size)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Raise the fault after the effect. An error of the primitive itself comes first, unless the process dies."""
        if kind is None or self._armed.fault.what == "crash":
            self._raise()

    def _raise(self) -> None:
        what = self._armed.fault.what
        if what == "crash":
            self._process.kill()
            raise SimulatedCrash("the process died at this step")
        if isinstance(what, int):
            raise _os_error(what)


def _directory_of(name: str) -> str:
    return name.rpartition("/")[0]


def _above(name: str) -> list[str]:
    """Return the name of the directory that a name is in, if that is not the directory that the disk is."""
    return [directory] if (directory := _directory_of(name)) else []


def _os_error(number: int, name: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), name)
