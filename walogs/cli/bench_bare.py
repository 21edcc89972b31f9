"""What `walogs bench` compares with: a preallocated file, written and synced by nothing but the two system calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from walogs.cli.bench_entries import differs
from walogs.defaults.local_store import sync_data, sync_full, write_zeros

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST: Final = 512
"""Offset of the first write: that of a segment's first frame."""
FILE_BYTES: Final = 4 << 20
WRITES_MIN: Final = 2


class BareFile:
    """A file of zeros, every block of it written and synced; then written to from its beginning, round and round."""

    def __init__(self, path: str, write_bytes: int) -> None:
        self.writes = 0
        """How many there were."""
        self._write_bytes = write_bytes
        self._fits = max(FILE_BYTES // write_bytes, WRITES_MIN)
        self._noise = os.urandom(write_bytes - 8)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            write_zeros(self._fd, 0, FIRST + self._fits * write_bytes)
            sync_full(self._fd)
        except BaseException:
            os.close(self._fd)
            raise

    def block(self, count: int) -> Iterator[bytes]:
        """What the next so many writes write, each made when it is asked for."""
        return map(self._data, range(self.writes, self.writes + count))

    def write(self, data: bytes) -> None:
        """Returns when the bytes are written and synced."""
        os.pwrite(self._fd, data, self._offset(self.writes))
        sync_data(self._fd)
        self.writes += 1

    def check(self) -> None:
        """Raises `Differs` unless the file holds what was written to it last, everywhere."""
        for number in range(max(self.writes - self._fits, 0), self.writes):
            if os.pread(self._fd, self._write_bytes, self._offset(number)) != self._data(number):
                raise differs("the bare file", f"write {number} is not what was written")

    def close(self) -> None:
        os.close(self._fd)

    def _data(self, number: int) -> bytes:
        return number.to_bytes(8, "little") + self._noise

    def _offset(self, number: int) -> int:
        return FIRST + number % self._fits * self._write_bytes
