"""One file between its page cache and the device: the rules are at the top of `memory_disk`, the bookkeeping is here.

Every sector and the size have one durable content, and the newer ones since the last sync that succeeded. A power cut
picks one of them for each; a failed sync picks too, but leaves the cache as it was. A sector that was never written
otherwise than the device holds it has no entry anywhere, so windows of zeros over zeros cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["BIASES", "BLOCK", "SECTOR", "Inode", "pick"]

SECTOR: Final = 512
"""Bytes that are written whole (A3)."""
BLOCK: Final = 4096
"""Bytes that a file system allocates at a time, unless the disk is told otherwise."""
BIASES: Final = (0.0, 0.2, 0.5, 0.8, 1.0)
"""The chances that the newest version is kept, of which one is drawn for each power cut and each failed sync."""

_SCAN: Final = 64 * SECTOR  # bytes compared at a time

T = TypeVar("T")


class Inode:
    """One file's bytes: what the cache shows, what is on the device, and what is between. Knows no name, no process."""

    def __init__(self, number: int, block_bytes: int = BLOCK) -> None:
        self.number = number
        """Order of creation; it makes every walk over inodes deterministic."""
        self.cache = bytearray()
        self.durable = bytearray()
        self.versions: dict[int, list[bytes]] = {}
        """Dirty sectors: every content since the last sync, oldest first, without the durable one."""
        self.stale: set[int] = set()
        """Clean sectors that the cache shows otherwise than the device holds them."""
        self.sizes: list[int] = []
        """Sizes since the last sync, without the durable one."""
        self.size_at_sync = 0
        """The size that a sync now makes durable; below the cached one where a failed sync lost a size."""
        self.blocks: set[int] = set()
        """Allocated."""
        self.fresh: set[int] = set()
        """Allocated since the last sync."""
        self.unwritten: set[int] = set()
        """Blocks that stay flagged as unwritten, whatever is written and synced into them."""
        self.links = 0
        """Names that the cache shows for it."""
        self.has_unseen_error = False
        """The kernel's own writeback failed, and no sync has said so yet."""
        self._block_bytes = block_bytes

    # What a process does.

    def read(self, start: int, end: int) -> bytes:
        return bytes(memoryview(self.cache)[start:end])

    def write(self, offset: int, data: memoryview) -> None:
        old, end = len(self.cache), offset + data.nbytes
        if end > old:
            self.cache.extend(bytes(end - old))
        self.cache[offset:end] = data
        self._note(min(old, offset), end)
        if end > self.size_at_sync:
            self._note_size(end)

    def truncate(self, size: int) -> None:
        old = len(self.cache)
        _resize(self.cache, size)
        self._note(min(old, size), max(old, size))
        self._note_size(size)
        for blocks in (self.blocks, self.fresh, self.unwritten):
            blocks -= {block for block in blocks if block * self._block_bytes >= size}

    def sync(self) -> None:
        """Every dirty sector and the size reach the device, except into blocks that stay unwritten."""
        _resize(self.durable, self.size_at_sync)
        for sector in self.versions:
            if not self._is_unwritten(sector):
                _put(self.durable, sector, _sector(self.cache, sector))
        self._clean(self.versions)

    # What the kernel and the device do.

    def fail_sync(self, rng: random.Random, *, unwritten_extents: bool) -> None:
        """Any of the dirty sectors was written; all are clean; the cache shows what it showed."""
        bias = rng.choice(BIASES)
        if unwritten_extents:
            self.unwritten.update(block for block in sorted(self.fresh) if rng.random() >= bias)
        self._settle(rng, bias)

    def evict(self, rng: random.Random) -> None:
        """Half of the clean sectors that show what the device does not hold are read from it again."""
        for sector in sorted(self.stale):
            if rng.random() < 0.5:
                _put(self.cache, sector, _sector(self.durable, sector))
                self.stale.discard(sector)

    def power_cut(self, rng: random.Random, bias: float) -> None:
        """Decide what the device holds; the cache shows that. Costs what is dirty or stale, not what is there."""
        touched = {*self.versions, *self.stale}
        self._settle(rng, bias)
        if len(self.durable) > len(self.cache):
            self.cache.extend(self.durable[len(self.cache) :])
        else:
            _resize(self.cache, len(self.durable))
        for sector in touched:
            _put(self.cache, sector, _sector(self.durable, sector))
        self.stale.clear()
        self.unwritten.clear()  # a new boot reads the flag from the device, and writes there like anywhere else
        self.blocks = set(range(-(-len(self.durable) // self._block_bytes)))
        self.has_unseen_error = False

    # What a test looks at.

    def durable_prefix(self) -> int:
        """The largest p such that no power cut, now, could leave bytes [0, p) otherwise than the cache shows them."""
        limit = min(len(self.cache), len(self.durable), *self.sizes, self.size_at_sync)
        for sector in (*self.versions, *self.stale):
            start = sector * SECTOR
            if start < limit:
                shown = _sector(self.cache, sector)
                same = min(_same_prefix(shown, other) for other in self._possible(sector))
                limit = min(limit, start + same) if same < SECTOR else limit
        return limit

    def damage(self, offset: int, data: bytes) -> None:
        """These bytes changed wherever they were: in the cache, on the device, in what is on its way there."""
        for content in (self.cache, self.durable):
            _overlay(content, offset, data)
        for sector in range(offset // SECTOR, -(-(offset + len(data)) // SECTOR)):
            for at, version in enumerate(self.versions.get(sector, ())):
                changed = bytearray(version)
                _overlay(changed, offset - sector * SECTOR, data)
                self.versions[sector][at] = bytes(changed)

    def copy(self) -> Inode:
        twin = Inode(self.number, self._block_bytes)
        twin.cache[:], twin.durable[:] = self.cache, self.durable
        twin.versions = {sector: list(versions) for sector, versions in self.versions.items()}
        twin.stale, twin.sizes, twin.size_at_sync = set(self.stale), list(self.sizes), self.size_at_sync
        twin.blocks, twin.fresh, twin.unwritten = set(self.blocks), set(self.fresh), set(self.unwritten)
        twin.links, twin.has_unseen_error = self.links, self.has_unseen_error
        return twin

    # Bookkeeping.

    def _note(self, start: int, end: int) -> None:
        """Bytes [start, end) were written or cut off: remember the content of each sector where that could show."""
        for sector in self._differing(start // SECTOR, -(-end // SECTOR)):
            content, versions = _sector(self.cache, sector), self.versions.setdefault(sector, [])
            if not versions or versions[-1] != content:
                versions.append(content)
        if self.stale:  # dirty now, or shown as the device holds them
            self.stale.difference_update(range(start // SECTOR, -(-end // SECTOR)))

    def _differing(self, first: int, last: int) -> Iterator[int]:
        """The sectors of [first, last) that are dirty, or not what the device holds."""
        for start in range(first * SECTOR, last * SECTOR, _SCAN):
            end = min(start + _SCAN, last * SECTOR)
            shown = bytes(self.cache[start:end]).ljust(end - start, b"\0")
            held = bytes(self.durable[start:end]).ljust(end - start, b"\0")
            differ = shown != held
            if not differ and not self.versions:
                continue
            for at in range(0, end - start, SECTOR):
                sector = (start + at) // SECTOR
                if sector in self.versions or (differ and shown[at : at + SECTOR] != held[at : at + SECTOR]):
                    yield sector

    def _note_size(self, size: int) -> None:
        self.size_at_sync = size
        self.sizes.append(size)

    def _is_unwritten(self, sector: int) -> bool:
        return bool(self.unwritten) and sector * SECTOR // self._block_bytes in self.unwritten

    def _possible(self, sector: int) -> list[bytes]:
        """What the device may hold of a sector after a power cut now, oldest first."""
        held = _sector(self.durable, sector)
        return [held] if self._is_unwritten(sector) else [held, *self.versions.get(sector, ())]

    def _settle(self, rng: random.Random, bias: float) -> None:
        """Decide what the device holds of all that is not synced."""
        size = pick([len(self.durable), *self.sizes], rng, bias)
        contents = {sector: pick(self._possible(sector), rng, bias) for sector in self.versions}
        _resize(self.durable, size)
        for sector, content in contents.items():
            _put(self.durable, sector, content)
        self.size_at_sync = size
        self._clean(contents)

    def _clean(self, sectors: Iterable[int]) -> None:
        """Nothing is dirty any more; where the cache and the device differ all the same is stale."""
        self.stale.update(sector for sector in sectors if _sector(self.cache, sector) != _sector(self.durable, sector))
        self.versions.clear()
        self.sizes.clear()
        self.fresh.clear()


def _sector(content: bytearray, sector: int) -> bytes:
    """One sector's bytes; beyond the end they are zero."""
    return bytes(content[sector * SECTOR : (sector + 1) * SECTOR]).ljust(SECTOR, b"\0")


def _put(content: bytearray, sector: int, data: bytes) -> None:
    """Set one sector's bytes, as far as *content* is long."""
    start = sector * SECTOR
    end = min(start + SECTOR, len(content))
    if start < end:
        content[start:end] = data[: end - start]


def _overlay(content: bytearray, offset: int, data: bytes) -> None:
    """Put *data* at *offset*, which may be negative, as far as *content* reaches."""
    data, offset = data[max(0, -offset) :], max(0, offset)
    end = min(offset + len(data), len(content))
    if offset < end:
        content[offset:end] = data[: end - offset]


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _same_prefix(a: bytes, b: bytes) -> int:
    return len(a) if a == b else next(at for at, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)


def pick(options: Sequence[T], rng: random.Random, bias: float) -> T:
    """The newest (last) with chance *bias*, else any older one; the only one, if there is only one."""
    if len(options) == 1 or rng.random() < bias:
        return options[-1]
    return options[rng.randrange(len(options) - 1)]
