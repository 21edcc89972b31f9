"""Logs on a modelled disk and in a real directory, ways in which their writers die, and checks for afterwards."""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias
from zlib import crc32

import pytest

import walogs
from walogs.engine import frame_reader, verdict
from walogs.engine.appendable import AppendableWriter
from walogs.engine.extent_reader import ExtentReader
from walogs.formats import durable_mark as durable_mark_bytes
from walogs.formats.native import NativeFormat
from walogs.testing import CHANGES, DURABLE_MARK, Fault, MemoryDisk, MemoryStore, SimulatedCrash

MakeStore: TypeAlias = Callable[[MemoryDisk], MemoryStore]
Files: TypeAlias = dict[str, tuple[bytes, int]]

FIRST: Final = "wal-000001.log"
SMALL: Final = 6000
"""A segment limit that keeps windows small: recovery zeroes them to their end each time."""
FORMAT: Final = NativeFormat()


def frame_bytes(data_bytes: int) -> int:
    """A frame of one entry with that much data."""
    return FORMAT.frame_bytes(data_bytes, 4)


def go_on_after_a_failed_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a bug: the position is advanced, and the handle stays usable, although the sync has failed."""
    append = AppendableWriter.write_commit

    def go_on(self: AppendableWriter, entries: list[bytes]) -> int:
        try:
            return append(self, entries)
        except walogs.OutcomeUnknown:
            self._poison, self._in_flight = None, False
            self.active.end += frame_bytes(len(entries[0]))
            raise

    monkeypatch.setattr(AppendableWriter, "write_commit", go_on)


def frame(salt: int, offset: int, lsn: int, data: bytes, link: bytes = bytes(8)) -> bytes:
    """An intact frame of one entry, by the tables of docs/format.md alone."""
    head = struct.pack("<HBBIQQ8sIII", 0x57D7, 1, 0, len(data) + 4, lsn, 2**62, link, 1, offset, offset)
    seed = crc32(head, salt)
    whole = head + struct.pack("<I", seed) + data + struct.pack("<I", crc32(data, seed))
    return whole + bytes(-len(whole) % 8)


def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rule is broken on purpose, and nothing says any more which frame was written after which."""
    judged = verdict.frame_problem
    monkeypatch.setattr(
        frame_reader, "frame_problem", lambda header, expected_lsn, link: judged(header, expected_lsn, None)
    )
    monkeypatch.setattr(ExtentReader, "_refuse_unlinked", lambda *_: None)


# On a modelled disk


@contextmanager
def process(disk: MemoryDisk, make: MakeStore = MemoryStore, **config: Any) -> Iterator[walogs.Wal]:
    """The log, open in a process that dies when the block ends: nothing is closed, the cache stays."""
    wal = walogs.open(store=make(disk), **{"max_segment_size": SMALL, **config})
    try:
        yield wal
    finally:
        wal.closed = True  # a dead process uses nothing again
        disk.kill()


def contents(wal: walogs.Wal) -> list[bytes]:
    """The entries, whose LSNs must run densely from the first to the last (G2)."""
    found = list(wal)
    assert [lsn for lsn, _ in found] == list(range(wal.first_lsn, wal.next_lsn)), f"not dense: {wal!r}"
    return [data for _, data in found]


def look_twice(
    disk: MemoryDisk,
    acknowledged: Sequence[bytes],
    unknown: Sequence[Sequence[bytes]] = (),
    make: MakeStore = MemoryStore,
    **config: Any,
) -> list[bytes]:
    """Open, compare, append, reopen, compare again; once more after a power cut. What the first open handed out.

    *acknowledged* must be there; *unknown* are commits, each whole or not at all, in order, that may be.
    """
    allowed = [list(acknowledged)]
    for commit in unknown:
        allowed.append([*allowed[-1], *commit])
    with process(disk, make, **config) as wal:
        found = contents(wal)
        assert found in allowed, f"{shown(found)} is none of {[shown(each) for each in allowed]}"
        next_lsn = wal.next_lsn
        assert wal.append(b"after recovery") == next_lsn
    expected = [*found, b"after recovery"]
    with process(disk, make, **config) as wal:
        assert contents(wal) == expected, f"after a kill: {shown(contents(wal))}, not {shown(expected)}"
    disk.power_cut(random.Random(len(found)))
    with process(disk, make, **config) as wal:
        assert contents(wal) == expected, f"after a power cut: {shown(contents(wal))}, not {shown(expected)}"
    return found


def shown(entries: Sequence[bytes]) -> list[str]:
    return [entry[:12].decode("latin-1") + f"[{len(entry)}]" * (len(entry) > 12) for entry in entries]


def crashes(disk: MemoryDisk, action: Callable[[MemoryDisk], object]) -> Iterator[tuple[int, MemoryDisk]]:
    """(step, the disk after) for a process that dies at each step of *action* that changes anything, in turn."""
    for step, twin, _ in failures(disk, action, Fault("crash", only=CHANGES)):
        yield step, twin


def failures(
    disk: MemoryDisk, action: Callable[[MemoryDisk], object], fault: Fault
) -> Iterator[tuple[int, MemoryDisk, BaseException | None]]:
    """(step, the disk after, what the action raised) for *fault* at each step of *action* that it can happen to."""
    step = 0
    while True:
        step += 1
        twin, raised = disk.clone(), None
        print(f"{fault.what} at step {step} (rng {step})")  # the last one printed is the one that failed
        armed = twin.arm(step, fault, rng=random.Random(step))
        try:
            action(twin)
        except (Exception, SimulatedCrash) as error:  # noqa: BLE001  # the caller says which are right
            raised = error
        if not armed.fired:
            assert raised is None, f"nothing failed, and it raised {raised!r}"
            return
        twin.disarm()
        twin.kill()
        yield step, twin, raised


def power_cuts(disk: MemoryDisk, seeds: int) -> Iterator[tuple[int, MemoryDisk]]:
    """(seed, what a power cut leaves), on copies."""
    for seed in range(seeds):
        twin = disk.clone()
        print(f"power cut, seed {seed}")
        twin.power_cut(random.Random(seed))
        yield seed, twin


def overwrite(disk: MemoryDisk, offset: int, data: bytes, name: str = FIRST) -> None:
    """Bytes of a write that a power cut left there: on the device and in the cache, whatever becomes of them."""
    disk.damage(name, offset, data)


def dropped_durable_mark(disk: MemoryDisk) -> MemoryDisk:
    """Without its durable mark, as after a power cut that outran its write-back."""
    writer = disk.process()
    if DURABLE_MARK in disk.cached_names():
        writer.unlink(DURABLE_MARK)
        writer.sync_directory()
    writer.kill()
    return disk


def durable_mark_of(disk: MemoryDisk) -> durable_mark_bytes.DurableMark | None:
    return durable_mark_bytes.decode(disk.cached(DURABLE_MARK)) if DURABLE_MARK in disk.cached_names() else None


def segment_names(disk: MemoryDisk) -> list[str]:
    return [name for name in disk.cached_names() if name.startswith("wal-")]


# In a real directory


def files(path: Path) -> Files:
    """Every file's bytes and time of change."""
    return {entry.name: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in sorted(path.iterdir())}


def segment_files(path: Path) -> Files:
    return {name: file for name, file in files(path).items() if name.startswith("wal-")}


def killed_copy(path: Path, to: Path) -> Path:
    """What the next process finds when the writer of *path* is killed at this moment."""
    shutil.copytree(path, to, dirs_exist_ok=True)
    return to


def patch(path: Path, offset: int, data: bytes, name: str = FIRST) -> None:
    """Change these bytes of a segment."""
    with (path / name).open("r+b") as file:
        file.seek(offset)
        file.write(data)


def flip(path: Path, offset: int, bit: int = 0, name: str = FIRST) -> None:
    """Change one bit of a segment."""
    patch(path, offset, bytes([(path / name).read_bytes()[offset] ^ 1 << bit]), name)


def look_twice_at(path: Path, expected: Sequence[bytes], **config: Any) -> None:
    """Open, compare, append, reopen, compare again."""
    with walogs.open(path, **config) as wal:
        assert contents(wal) == list(expected), f"{shown(contents(wal))}, not {shown(expected)}"
        wal.append(b"after recovery")
    with walogs.open(path, **config) as wal:
        assert contents(wal) == [*expected, b"after recovery"], f"the second time: {shown(contents(wal))}"
