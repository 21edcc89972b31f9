"""Memory disks that the tests share."""

from __future__ import annotations

import errno
import random

import pytest

from walogs.testing import FAILED_SYNC, SECTOR, Handle, MemoryDisk, Process

SEEDS = range(200)


def sectors(letters: bytes) -> bytes:
    """A sector of each letter; `-` is zeros."""
    return b"".join(bytes(SECTOR) if letter == ord("-") else bytes([letter]) * SECTOR for letter in letters)


def letters(content: bytes | None) -> bytes:
    assert content is not None
    return bytes(content[at] or ord("-") for at in range(0, len(content), SECTOR))


def settled(disk: MemoryDisk, seed: int, bias: float | None = None) -> MemoryDisk:
    """What a power cut leaves, on a copy."""
    twin = disk.clone()
    twin.power_cut(random.Random(seed), bias)
    return twin


def after_power_cuts(disk: MemoryDisk, name: str = "x", seeds: range = SEEDS) -> set[bytes | None]:
    """Everything that power cuts leave of the file; None: no such name."""
    return {settled(disk, seed).durable(name) for seed in seeds}


def durable_file(disk: MemoryDisk, content: bytes, name: str = "x") -> tuple[Process, Handle]:
    process = disk.process()
    handle = process.create_exclusive(name)
    assert handle.write(0, content) == len(content)
    handle.sync()
    process.sync_directory()
    return process, handle


def fail_next_sync(disk: MemoryDisk, handle: Handle, seed: int) -> None:
    disk.arm(1, FAILED_SYNC, rng=random.Random(seed))
    with pytest.raises(OSError) as refused:
        handle.sync()
    assert refused.value.errno == errno.EIO
