"""One file, with its page cache and its bytes on the device. The top of `memory_disk` describes the rules.

Every sector has one durable content, and the newer contents since the last successful sync; so has the size. A power
cut picks one of them for each. A failed sync picks one too, but leaves the cache unchanged. A sector takes no memory
here if the bytes written to it never differed from those on the device, so zeros written over zeros cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

__all__ = ["BIASES", "BLOCK", "SECTOR", "Inode", "pick"]

SECTOR: Final = 512
"""The bytes of a sector, which is written as a whole or not at all (A3)."""
BLOCK: Final = 4096
"""The bytes that a file system allocates at a time, unless the disk is made with another number."""
BIASES: Final = (0.0, 0.2, 0.5, 0.8, 1.0)
"""Chances that the newest version is kept. Each power cut and each failed sync draws one of them."""

_SCAN: Final = 64 * SECTOR  # This many bytes are compared at a time.

T = TypeVar("T")


class Inode:
    """The bytes of one file: in the cache, on the device, and on the way between. It knows no names or processes."""

    def __init__(self, number: int, block_bytes: int = BLOCK) -> None:
        self.number = number
        """The place in the order of creation. Iterating in this order is deterministic."""
        self.cache = bytearray()
        self.durable = bytearray()
        self.versions: dict[int, list[bytes]] = {}
        """The contents of each dirty sector since the last sync, oldest first, without the durable content."""
        self.stale: set[int] = set()
        """The clean sectors whose bytes in the cache differ from those on the device."""
        self.sizes: list[int] = []
        """The sizes since the last sync, without the durable size."""
        self.size_at_sync = 0
        """The size that a sync now makes durable. It is below the cached size if a failed sync lost a size."""
        self.blocks: set[int] = set()
        """The allocated blocks."""
        self.fresh: set[int] = set()
        """The blocks that were allocated since the last sync."""
        self.unwritten: set[int] = set()
        """The blocks that stay flagged as unwritten, also after writes and syncs."""
        self.links = 0
        """The number of names that the file has in the cache."""
        self.has_unseen_error = False
        """Whether the kernel's own writeback failed and no sync has reported it yet."""
        self.is_directory = False
        self._block_bytes = block_bytes

    # Actions of a process.

    def read(self, start: int, end: int) -> bytes:
        """Return the cached bytes [start, end), or those before the end of the file."""
        return bytes(memoryview(self.cache)[start:end])

    def write(self, offset: int, data: memoryview) -> None:
        """Put *data* into the cache at the byte *offset*. The file grows if it is shorter, with zeros before *offset*.

        The sectors are dirty then: a power cut keeps any state of each that it had since the last sync.
        """
        old, end = len(self.cache), offset + data.nbytes
        if end > old:
            self.cache.extend(bytes(end - old))
        self.cache[offset:end] = data
        self._note(min(old, offset), end)
        if end > self.size_at_sync:
            self._note_size(end)

    def truncate(self, size: int) -> None:
        """Make the cached file *size* bytes long. It grows with zeros. The size is durable after the next sync."""
        old = len(self.cache)
        _resize(self.cache, size)
        self._note(min(old, size), max(old, size))
        self._note_size(size)
        for blocks in (self.blocks, self.fresh, self.unwritten):
            blocks -= {block for block in blocks if block * self._block_bytes >= size}

    def sync(self) -> None:
        """Write every dirty sector and the size to the device, except sectors in blocks that stay unwritten."""
        if not (self.stale or self.unwritten) and self.size_at_sync == len(self.cache):
            self._write_all()
            return
        _resize(self.durable, self.size_at_sync)
        for sector in self.versions:
            if not self._is_unwritten(sector):
                _put(self.durable, sector, _sector(self.cache, sector))
        self._clean(self.versions)

    # Actions of the kernel and the device.

    def fail_sync(self, rng: random.Random, *, unwritten_extents: bool) -> None:
        """Write any of the dirty sectors to the device. All sectors are clean then, and the cache does not change."""
        bias = rng.choice(BIASES)
        if unwritten_extents:
            self.unwritten.update(block for block in sorted(self.fresh) if rng.random() >= bias)
        self._settle(rng, bias)

    def evict(self, rng: random.Random) -> None:
        """Read about half of the stale sectors from the device again."""
        for sector in sorted(self.stale):
            if rng.random() < 0.5:
                _put(self.cache, sector, _sector(self.durable, sector))
                self.stale.discard(sector)

    def power_cut(self, rng: random.Random, bias: float) -> None:
        """Decide which bytes the device has, and show them in the cache.

        The time for this depends on the number of dirty and stale sectors, and not on the size of the file.
        """
        touched = {*self.versions, *self.stale}
        self._settle(rng, bias)
        if len(self.durable) > len(self.cache):
            self.cache.extend(self.durable[len(self.cache) :])
        else:
            _resize(self.cache, len(self.durable))
        for sector in touched:
            _put(self.cache, sector, _sector(self.durable, sector))
        self.stale.clear()
        self.unwritten.clear()  # A new boot reads the flag from the device. Later writes clear it as usual.
        self.blocks = set(range(-(-len(self.durable) // self._block_bytes)))
        self.has_unseen_error = False

    # For tests.

    def durable_prefix(self) -> int:
        """Return the largest p such that no power cut now could change bytes [0, p) of the cache."""
        limit = min(len(self.cache), len(self.durable), *self.sizes, self.size_at_sync)
        for sector in (*self.versions, *self.stale):
            start = sector * SECTOR
            if start < limit:
                shown = _sector(self.cache, sector)
                same = min(_same_prefix(shown, other) for other in self._possible(sector))
                limit = min(limit, start + same) if same < SECTOR else limit
        return limit

    def damage(self, offset: int, data: bytes) -> None:
        """Change these bytes in the cache, on the device, and in all contents on the way there."""
        for content in (self.cache, self.durable):
            _overlay(content, offset, data)
        for sector in range(offset // SECTOR, -(-(offset + len(data)) // SECTOR)):
            for at, version in enumerate(self.versions.get(sector, ())):
                changed = bytearray(version)
                _overlay(changed, offset - sector * SECTOR, data)
                self.versions[sector][at] = bytes(changed)

    def copy(self) -> Inode:
        """Return another file in the same state: the cache, the device, and all that a power cut can choose from."""
        twin = Inode(self.number, self._block_bytes)
        twin.cache[:], twin.durable[:] = self.cache, self.durable
        twin.versions = {sector: list(versions) for sector, versions in self.versions.items()}
        twin.stale, twin.sizes, twin.size_at_sync = set(self.stale), list(self.sizes), self.size_at_sync
        twin.blocks, twin.fresh, twin.unwritten = set(self.blocks), set(self.fresh), set(self.unwritten)
        twin.links, twin.has_unseen_error = self.links, self.has_unseen_error
        twin.is_directory = self.is_directory
        return twin

    # Bookkeeping.

    def _write_all(self) -> None:
        """Make the device equal to the cache, which differ in dirty sectors only. Almost every sync is this one."""
        if len(self.versions) * SECTOR * 4 > len(self.cache):
            self.durable[:] = self.cache
        else:
            _resize(self.durable, len(self.cache))
            for sector in self.versions:
                start = sector * SECTOR
                self.durable[start : start + SECTOR] = self.cache[start : start + SECTOR]
        self._forget_unsynced()

    def _note(self, start: int, end: int) -> None:
        """Note that bytes [start, end) were written or cut off. Keep the content of each sector that may differ."""
        first, last = start // SECTOR, -(-end // SECTOR)
        for begin in range(first * SECTOR, last * SECTOR, _SCAN):
            self._note_differing(begin, min(begin + _SCAN, last * SECTOR))
        if self.stale:  # They are dirty now, or equal to the device's bytes.
            self.stale.difference_update(range(first, last))

    def _note_differing(self, start: int, end: int) -> None:
        """Keep the content of each sector of [start, end) that is dirty or differs from the device."""
        shown = bytes(self.cache[start:end]).ljust(end - start, b"\0")
        held = bytes(self.durable[start:end]).ljust(end - start, b"\0")
        differ = shown != held
        if not differ and not self.versions:
            return
        for at in range(0, end - start, SECTOR):
            content = shown[at : at + SECTOR]
            versions = self.versions.get((start + at) // SECTOR)
            if versions is not None:
                if versions[-1] != content:
                    versions.append(content)
            elif differ and content != held[at : at + SECTOR]:
                self.versions[(start + at) // SECTOR] = [content]

    def _note_size(self, size: int) -> None:
        self.size_at_sync = size
        self.sizes.append(size)

    def _is_unwritten(self, sector: int) -> bool:
        return bool(self.unwritten) and sector * SECTOR // self._block_bytes in self.unwritten

    def _possible(self, sector: int) -> list[bytes]:
        """Return the contents that a sector may have on the device after a power cut now, oldest first."""
        held = _sector(self.durable, sector)
        return [held] if self._is_unwritten(sector) else [held, *self.versions.get(sector, ())]

    def _settle(self, rng: random.Random, bias: float) -> None:
        """Decide which of the bytes that are not synced are on the device."""
        size = pick([len(self.durable), *self.sizes], rng, bias)
        contents = {sector: pick(self._possible(sector), rng, bias) for sector in self.versions}
        _resize(self.durable, size)
        for sector, content in contents.items():
            _put(self.durable, sector, content)
        self.size_at_sync = size
        self._clean(contents)

    def _clean(self, sectors: Iterable[int]) -> None:
        """Mark all sectors as clean. Those of *sectors* that still differ from the device are stale."""
        self.stale.update(sector for sector in sectors if _sector(self.cache, sector) != _sector(self.durable, sector))
        self._forget_unsynced()

    def _forget_unsynced(self) -> None:
        self.versions.clear()
        self.sizes.clear()
        self.fresh.clear()


def _sector(content: bytearray, sector: int) -> bytes:
    """Return the bytes of one sector. Bytes beyond the end are zero."""
    return bytes(content[sector * SECTOR : (sector + 1) * SECTOR]).ljust(SECTOR, b"\0")


def _put(content: bytearray, sector: int, data: bytes) -> None:
    """Set the bytes of one sector, up to the end of *content*."""
    start = sector * SECTOR
    end = min(start + SECTOR, len(content))
    if start < end:
        content[start:end] = data[: end - start]


def _overlay(content: bytearray, offset: int, data: bytes) -> None:
    """Put *data* at *offset*, which may be negative. Leave out the bytes that are outside *content*."""
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
    """Return the newest (last) option with chance *bias*, else any older one. Return the only one if there is one."""
    if len(options) == 1 or rng.random() < bias:
        return options[-1]
    return options[rng.randrange(len(options) - 1)]
