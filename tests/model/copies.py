"""The judge of a finished backup. It looks at the copy alone, and never again at the log that was copied."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import walogs
from walogs.testing import SECTOR, MemoryDisk

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.protocols import SegmentStore
    from walogs.types import BackupReport


class Synced:
    """Replaces the syncs of a backup, and remembers which bytes of each file and which names they cover."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self.names: dict[int, dict[str, int]] = {}

    def __call__(self, fd: int) -> None:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(fd) as entries:
                self.names[status.st_ino] = {entry.name: entry.inode() for entry in entries}
        else:
            self.sizes[status.st_ino] = status.st_size

    def left(self, directory: str) -> dict[str, bytes]:
        """Return the files of *directory* after a power cut now. Raise `KeyError` if its own name was not synced."""
        inside = self.names[self.names[os.stat(os.path.dirname(directory)).st_ino][os.path.basename(directory)]]
        files = files_of(directory)
        return {name: files[name][: self.sizes[inode]] for name, inode in inside.items() if inode in self.sizes}


def files_of(directory: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), "rb") as file:
            files[name] = file.read()
    return files


def disk_of(files: dict[str, bytes]) -> MemoryDisk:
    """Return a modelled disk that holds these files, synced."""
    disk = MemoryDisk(block_bytes=SECTOR)
    process = disk.process()
    for name, data in files.items():
        handle = process.create_exclusive(name)
        handle.write(0, data)
        handle.sync("full")
    process.sync_directory()
    return disk


def judge_report(report: BackupReport, files: dict[str, bytes], said: list[tuple[int, int]]) -> None:
    """Check that the report has the numbers of the *files*, and that the reported progress ended at them."""
    segments = {name: data for name, data in files.items() if name.startswith("wal-")}
    assert set(files) - set(segments) <= {"DURABLE"}
    assert (report.segments, report.bytes) == (len(segments), sum(map(len, segments.values())))
    copied = [done for done, _ in said]
    assert copied == sorted(copied)
    assert said[-1] == (report.bytes, report.bytes)
    assert report.duration_seconds >= 0


def judge_copy(
    store: Callable[[], SegmentStore], first_lsn: int, entries: list[bytes], crash: Callable[[], None] | None
) -> None:
    """Check that the copy is a log without findings, holds these entries, and keeps what is appended to it."""
    found = walogs.verify(store=store())
    assert found.ok, found
    assert (found.first_lsn, found.last_lsn) == (first_lsn, first_lsn + len(entries) - 1)
    for added in range(3):
        with walogs.open(store=store(), max_segment_size=4096) as wal:
            assert (wal.first_lsn, wal.last_lsn) == (first_lsn, first_lsn + len(entries) - 1), added
            assert list(wal) == list(enumerate(entries, first_lsn)), added
            assert wal.durable_lsn == wal.last_lsn
            entries = [*entries, b"on its own %d" % added]
            assert wal.append(entries[-1]) == first_lsn + len(entries) - 1
            if crash is not None and added == 0:
                wal.closed = True  # the handle is not used again
                crash()
