"""Memory stores that the tests open."""

from __future__ import annotations

import random

from tests.testing.native_bytes import segment_header
from walogs.testing import MemoryDisk, MemoryStore

WINDOW = 64 * 1024
SEGMENT = segment_header() + bytes(WINDOW - 512)


def opened(disk: MemoryDisk, *, laws: bool = True) -> MemoryStore:
    store = MemoryStore(disk, laws=laws)
    store.acquire()
    return store


def with_segment(disk: MemoryDisk | None = None, *, laws: bool = True) -> MemoryStore:
    store = opened(disk if disk is not None else MemoryDisk(), laws=laws)
    store.create(1, SEGMENT)
    return store


def reopened(disk: MemoryDisk, seed: int | None = None) -> MemoryStore:
    """By another process: after a kill, or, with a seed, after a power cut."""
    disk.disarm()
    if seed is None:
        disk.kill()
    else:
        disk.power_cut(random.Random(seed))
    return MemoryStore(disk)
