"""The file that a log is compared with. It is preallocated, and each write is two system calls: a write and a sync.

`walogs bench` and the project's own benchmarks use it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from walogs.cli.bench.entries import differs
from walogs.defaults.posix import sync_data, sync_full, write_zeros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST: Final = 512
"""The offset of the first write, in bytes. A segment's first frame has the same offset."""
FILE_BYTES: Final = 4 << 20
WRITES_MIN: Final = 2


class BareFile:
    """A file of synced zeros. Writes overwrite it from its beginning, and start again there when it is full."""

    def __init__(self, path: str | os.PathLike[str], write_bytes: int, file_bytes: int = FILE_BYTES) -> None:
        """Make the file, with room for *file_bytes* bytes of writes, each of *write_bytes* bytes."""
        self.writes = 0
        """The number of writes so far."""
        self._write_bytes = write_bytes
        self._fits = max(file_bytes // write_bytes, WRITES_MIN)
        self._noise = os.urandom(write_bytes - 8)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            write_zeros(self._fd, 0, FIRST + self._fits * write_bytes)
            sync_full(self._fd)
        except BaseException:
            os.close(self._fd)
            raise

    def block(self, count: int) -> Iterator[bytes]:
        """Yield the data of the next *count* writes. The data of each is made when the caller asks for it."""
        return map(self._data, range(self.writes, self.writes + count))

    def write(self, data: bytes) -> None:
        """Write and sync these bytes."""
        os.pwrite(self._fd, data, self._offset(self.writes))
        sync_data(self._fd)
        self.writes += 1

    def prepare(self, count: int) -> Callable[[], None]:
        """Return a function that makes the next *count* writes, each with a sync, and does nothing else."""
        numbers = range(self.writes, self.writes + count)
        writes = [(self._data(number), self._offset(number)) for number in numbers]
        self.writes += count
        fd, write, sync = self._fd, os.pwrite, getattr(os, "fdatasync", sync_data)

        def write_all() -> None:
            for data, offset in writes:
                write(fd, data, offset)
                sync(fd)

        return write_all

    def check(self) -> None:
        """Raise `Differs` if the file does not hold the last write at each place."""
        for number in range(max(self.writes - self._fits, 0), self.writes):
            if os.pread(self._fd, self._write_bytes, self._offset(number)) != self._data(number):
                raise differs("the bare file", f"write {number} is not what was written")

    def close(self) -> None:
        os.close(self._fd)

    def _data(self, number: int) -> bytes:
        return number.to_bytes(8, "little") + self._noise

    def _offset(self, number: int) -> int:
        return FIRST + number % self._fits * self._write_bytes
