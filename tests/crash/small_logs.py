"""Small logs, and the entries in them. walogs writes them to a modelled disk, with a clock and entropy that repeat."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import walogs
from tests.kit.logs import (
    DURABLE_MARK,
    FRAME_HEADER,
    HEADER,
    SEAL,
    SECTOR,
    Entries,
    Files,
    Frame,
    frames_of,
    numbered,
    numbers_in,
    segment_name,
    zeroed,
)
from walogs.assembly.opening import assemble
from walogs.engine.log_source import Environment
from walogs.testing import MemoryDisk, MemoryStore

PAYLOADS: Final = ("random", "zeros", "one bit a sector", "a counter a sector")


@dataclass(frozen=True)
class SmallLog:
    """A directory, and what its writer knows of it."""

    name: str
    files: Files
    entries: Entries
    """What an open must return: all of it acknowledged."""
    synced: int
    """How far its newest segment was known to be synced."""

    @property
    def newest(self) -> int:
        return numbers_in(self.files)[-1]

    def frames(self, number: int) -> list[Frame]:
        return frames_of(self.files[segment_name(number)])

    def end(self, number: int) -> int:
        """Where the frames of a segment end, a SEAL included."""
        frames = self.frames(number)
        return frames[-1].end if frames else HEADER

    def with_file(self, name: str, content: bytes | None) -> dict[str, bytes]:
        """The directory with one file changed, or (None) gone."""
        files = {**self.files, name: content or b""}
        if content is None:
            del files[name]
        return files


def environment(seed: int) -> Environment:
    """A clock and an entropy that give the same log whenever it is made."""
    ticks, rng = itertools.count(1_700_000_000_000_000_000, 1_000_000), random.Random(seed)
    return Environment(clock=lambda: next(ticks), entropy=rng.randbytes, sleep=lambda _: None)


def disk_with(files: Files) -> MemoryDisk:
    """A disk on which exactly these files are, durably."""
    disk = MemoryDisk()
    process = disk.process()
    for name, content in files.items():
        handle = process.create_exclusive(name)
        handle.write(0, content)
        handle.sync()
    process.sync_directory()
    process.kill()
    return disk


def files_on(disk: MemoryDisk) -> dict[str, bytes]:
    return {name: disk.cached(name) for name in disk.cached_names()}


def opened(disk: MemoryDisk, seed: int = 0, **config: Any) -> walogs.Wal:
    """The log on this disk."""
    return assemble(None, walogs.WalConfig(store=MemoryStore(disk), **config), environment(seed))


def abandon(wal: walogs.Wal, disk: MemoryDisk) -> None:
    """Its process is killed."""
    disk.kill()
    wal.closed = True  # nobody is left to warn


def written(
    name: str, write: Callable[[walogs.Wal], object], *, close: bool = False, seed: int = 1, **config: Any
) -> SmallLog:
    """The log that *write* makes; then it is closed, or its process killed."""
    disk = MemoryDisk()
    config.setdefault("max_segment_size", 16_384)
    wal = opened(disk, seed, **config)
    write(wal)
    entries = list(wal)
    if close:
        wal.close()
    else:
        abandon(wal, disk)
    files = files_on(disk)
    newest = frames_of(files[segment_name(numbers_in(files)[-1])])
    return SmallLog(name=name, files=files, entries=entries, synced=newest[-1].end if newest else HEADER)


def payload(kind: str, size: int, rng: random.Random) -> bytes:
    """Data that a torn write can hide in: what is lost reads as zero, and so does much of this."""
    if kind == "random":
        return rng.randbytes(size)
    data = bytearray(size)
    if kind == "one bit a sector":
        for at in range(0, size, SECTOR):
            data[at] = 1 << rng.randrange(8)
    elif kind == "a counter a sector":
        for at in range(0, size - 3, SECTOR):
            data[at : at + 4] = (at // SECTOR + 1).to_bytes(4, "little")
    return bytes(data)


def payloads(sizes: Sequence[int], seed: int) -> list[bytes]:
    """One of each size, the kinds in turn."""
    rng = random.Random(seed)
    return [payload(kind, size, rng) for size, kind in zip(sizes, itertools.cycle(PAYLOADS))]


# The logs


def append_each(wal: walogs.Wal, data: Sequence[bytes]) -> None:
    for entry in data:
        wal.append(entry)


def singles(close: bool = False) -> SmallLog:
    name = "single appends, closed" if close else "single appends"
    return written(name, lambda wal: append_each(wal, payloads((17, 0, 300, 700, 64, 5), 1)), close=close)


def batches() -> SmallLog:
    def write(wal: walogs.Wal) -> None:
        for sizes in ((3, 0, 90), (0, 0), (600, 1, 1), (33,)):
            wal.append_batch(payloads(sizes, len(sizes)))

    return written("batches", write)


def segments() -> SmallLog:
    """Sealed ones, and one that is active."""
    data = payloads((40, 500, 10, 0, 300, 800, 20, 9), 3)
    return written("several segments", lambda wal: append_each(wal, data), max_segment_size=1300)


def unsealed() -> SmallLog:
    """The same, but a crash came before each SEAL: frames, then zeros."""
    log = segments()
    files = dict(log.files)
    for number in numbers_in(files)[:-1]:
        frames = log.frames(number)
        assert frames[-1].kind == SEAL
        content = files[segment_name(number)]
        files[segment_name(number)] = zeroed(content, frames[-1].offset, len(content)).ljust(6144, b"\0")
    return replace(log, name="several segments, unsealed", files=files)


def checkpointed(*, last: bool = False) -> SmallLog:
    """A CHECKPOINT between the entries of the active segment; *last*: another is its last frame."""

    def write(wal: walogs.Wal) -> None:
        append_each(wal, payloads((400, 500, 400, 500, 30), 4))
        wal.checkpoint(2)
        wal.append_batch(payloads((60, 0), 5))
        if last:
            wal.checkpoint(4)
        else:
            append_each(wal, payloads((100, 1), 6))

    return written("a CHECKPOINT at the end" if last else "CHECKPOINTs", write, max_segment_size=1000)


def far_checkpoint() -> SmallLog:
    """A CHECKPOINT in another sector than the beginning of the frame before it."""

    def write(wal: walogs.Wal) -> None:
        append_each(wal, payloads((400, 500, 400, 700), 10))
        wal.checkpoint(2)
        wal.append(b"after it")

    return written("a CHECKPOINT further on", write, max_segment_size=1400)


def nested() -> SmallLog:
    """A log in a log: entries are the very frames, and segments, of this log."""

    def write(wal: walogs.Wal) -> None:
        store = wal._source.store
        append_each(wal, payloads((100, 40), 7))
        wal.append(store.read(1, HEADER, wal._writer.active_extent().end))
        wal.append(store.read(1, 0, 1200))
        wal.append_batch([store.read(1, HEADER + 16, 900), b"x" * 5, store.read(1, HEADER, 1000)])

    return written("a log in a log", write)


def reopened() -> SmallLog:
    """Killed and recovered between appends, so that segments are not continued; the last open appended nothing."""
    disk = MemoryDisk()
    data = payloads((90, 0, 250, 700, 11), 8)
    for seed, entry in enumerate(data):
        wal = opened(disk, seed, max_segment_size=16_384)
        wal.append(entry)
        abandon(wal, disk)
    wal = opened(disk, 99, max_segment_size=16_384)
    entries = list(wal)
    abandon(wal, disk)
    files = files_on(disk)
    newest = frames_of(files[segment_name(numbers_in(files)[-1])])
    return SmallLog(name="reopened after each append", files=files, entries=entries, synced=newest[-1].end)


def body_by_the_sector() -> SmallLog:
    """Bodies that fill a sector, their headers in the one before: a sector that went astray takes a body alone."""

    def write(wal: walogs.Wal) -> None:
        rng = random.Random(9)
        wal.append(rng.randbytes(SECTOR - 2 * FRAME_HEADER - 4))
        for _ in range(3):
            wal.append(rng.randbytes(SECTOR - 4))
            wal.append(rng.randbytes(SECTOR - 2 * FRAME_HEADER - 4))

    log = written("a body a sector", write)
    bodies = [frame for frame in log.frames(1) if frame.body_bytes == SECTOR]
    assert [(frame.offset + FRAME_HEADER) % SECTOR for frame in bodies] == [0, 0, 0]
    return log


def empty() -> SmallLog:
    return written("no entry", lambda _: None)


LOGS: Final[dict[str, Callable[[], SmallLog]]] = {
    "singles": singles,
    "closed": lambda: singles(close=True),
    "batches": batches,
    "segments": segments,
    "unsealed": unsealed,
    "checkpoints": checkpointed,
    "last-checkpoint": lambda: checkpointed(last=True),
    "far-checkpoint": far_checkpoint,
    "nested": nested,
    "reopened": reopened,
    "bodies": body_by_the_sector,
    "empty": empty,
}

__all__ = [
    "DURABLE_MARK",
    "LOGS",
    "PAYLOADS",
    "SmallLog",
    "abandon",
    "disk_with",
    "environment",
    "files_on",
    "numbered",
    "opened",
    "payload",
    "payloads",
    "written",
]
