"""MemoryDisk agrees with a model that is too simple to be wrong."""

from __future__ import annotations

import random

import pytest

from tests.testing.disks import durable_file, fail_next_sync, settled
from walogs.testing import SECTOR, Handle, MemoryDisk


class Reference:
    """The same file without any cleverness: every content each sector may have on the device, as a set."""

    def __init__(self, content: bytes) -> None:
        self.shown = bytearray(content)
        self.possible = [{self.sector(at)} for at in range(64)]
        self.sizes = {len(content)}
        self.at_sync = {len(content)}
        self.dirty: set[int] = set()

    def sector(self, at: int) -> bytes:
        return bytes(self.shown[at * SECTOR : (at + 1) * SECTOR]).ljust(SECTOR, b"\0")

    def changed(self, start: int, end: int) -> None:
        for at in range(start // SECTOR, -(-end // SECTOR)):
            self.possible[at].add(self.sector(at))
            self.dirty.add(at)

    def write(self, offset: int, data: bytes) -> None:
        start, end = min(offset, len(self.shown)), offset + len(data)
        self.shown.extend(bytes(max(0, end - len(self.shown))))
        self.shown[offset:end] = data
        self.changed(start, end)
        self.at_sync = {max(size, end) for size in self.at_sync}
        self.sizes |= self.at_sync

    def truncate(self, size: int) -> None:
        before = len(self.shown)
        self.shown = self.shown[:size].ljust(size, b"\0")
        self.changed(min(before, size), max(before, size))
        self.at_sync = {size}
        self.sizes |= self.at_sync

    def sync(self) -> None:
        for at in self.dirty:
            self.possible[at] = {self.sector(at)}
        self.sizes = set(self.at_sync)
        self.forget_beyond({size for size in self.sizes if size < len(self.shown)})
        self.dirty.clear()

    def fail_sync(self) -> None:
        self.forget_beyond(self.sizes)
        self.at_sync = set(self.sizes)
        self.dirty.clear()

    def forget_beyond(self, sizes: set[int]) -> None:
        """Any of these sizes may be the one that is left, and then what was beyond it is gone."""
        for size in sizes:
            for at in range(size // SECTOR, len(self.possible)):
                kept = max(0, size - at * SECTOR)
                self.possible[at] |= {content[:kept].ljust(SECTOR, b"\0") for content in self.possible[at]}

    def allows(self, image: bytes) -> bool:
        if len(image) not in self.sizes:
            return False
        for start in range(0, len(image), SECTOR):
            end = min(start + SECTOR, len(image))
            if image[start:end] not in {content[: end - start] for content in self.possible[start // SECTOR]}:
                return False
        return True


def change_at_random(rng: random.Random, disk: MemoryDisk, handle: Handle, reference: Reference) -> None:
    what = rng.choice(["write", "write", "write", "truncate", "sync", "fail"])
    if what == "write":
        offset = rng.randrange(6000)
        data = rng.choice([bytes(rng.randrange(3000)), rng.randbytes(rng.randrange(3000))])
        if data:
            handle.write(offset, data)
            reference.write(offset, data)
    elif what == "truncate":
        size = rng.randrange(7000)
        handle.truncate(size)
        reference.truncate(size)
    elif what == "sync":
        handle.sync()
        reference.sync()
    else:
        fail_next_sync(disk, handle, rng.randrange(1 << 30))
        reference.fail_sync()


@pytest.mark.parametrize("seed", range(60))
def test_the_model_agrees_with_one_that_is_too_simple_to_be_wrong(seed: int) -> None:
    rng = random.Random(seed)
    disk = MemoryDisk(unwritten_extents=False)
    content = rng.randbytes(rng.randrange(5000))
    _, handle = durable_file(disk, content)
    reference = Reference(content)
    for _ in range(40):
        change_at_random(rng, disk, handle, reference)
        shown = bytes(reference.shown)
        assert disk.cached("x") == shown
        prefix = disk.durable_prefix("x")
        for _ in range(3):
            image = settled(disk, rng.randrange(1 << 30)).durable("x")
            assert image is not None
            assert reference.allows(image)
            assert image[:prefix] == shown[:prefix]


@pytest.mark.parametrize("unwritten_extents", [True, False])
def test_the_durable_prefix_is_no_shorter_than_it_must_be(unwritten_extents: bool) -> None:
    """Some power cut does change the byte after it."""
    rng = random.Random(5)
    disk = MemoryDisk(unwritten_extents=unwritten_extents)
    _, handle = durable_file(disk, b"")
    for _ in range(100):
        change_at_random(rng, disk, handle, Reference(b""))
        shown, prefix = disk.cached("x"), disk.durable_prefix("x")
        images = [settled(disk, seed).durable("x") or b"" for seed in range(150)]
        assert all(image[:prefix] == shown[:prefix] for image in images)
        if prefix < len(shown):
            assert any(image[prefix : prefix + 1] != shown[prefix : prefix + 1] for image in images)
