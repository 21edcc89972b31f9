"""The bare thing: a zero-filled, synced file, written and synced by nothing but the two system calls."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from benchmarks.measure import Work
from walogs.defaults.local_store import sync_data

FIRST: Final = 512
"""Where a segment's first frame begins: the bare writes lie as walogs' do."""


class ZeroFilled:
    """A file of zeros whose every block has been written and synced, written to from its beginning, round and round."""

    def __init__(self, path: Path, size: int) -> None:
        self.size = size
        self.offset = FIRST
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        chunk = bytes(1 << 20)
        for at in range(0, size, len(chunk)):
            os.pwrite(self.fd, chunk[: size - at], at)
        os.fsync(self.fd)

    def close(self) -> None:
        os.close(self.fd)

    def block(self, data: bytes, times: int) -> Work:
        """So many times: write these bytes, sync."""
        if self.offset + times * len(data) > self.size:
            self.offset = FIRST
        fd, first, length = self.fd, self.offset, len(data)
        self.offset += times * length
        write, sync = os.pwrite, getattr(os, "fdatasync", sync_data)

        def work() -> None:
            for offset in range(first, first + times * length, length):
                write(fd, data, offset)
                sync(fd)

        return work
