"""What people use instead. Each peer is durable when its append returns, and is read back by its own reader."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import walogs
from benchmarks.measure import Work

LENGTH: Final = struct.Struct("<I")


class Skipped(Exception):
    """This peer cannot run here, or cannot do this. The message says why."""


class Reader(NamedTuple):
    """A peer that is open for reading."""

    walk: Callable[[], Iterable[Any]]
    """Return every entry in order, as (key, data)."""
    close: Callable[[], object]
    get: Callable[[int], bytes | None] | None = None
    """Return the data of one LSN. None if the peer cannot find an entry."""


class Peer(Protocol):
    """Keeps entries in a directory of its own. Its constructor raises `Skipped` if it cannot run here."""

    def __init__(self, directory: Path) -> None: ...

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        """Return work that appends these entries, each durable before the next one."""
        ...

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        """Return work that appends these entries as one, durable together. Raises `Skipped` if it has no batches."""
        ...

    def close(self) -> None:
        """Finish appending. This may be called again."""
        ...

    def reopen(self) -> Reader:
        """Open the peer again after `close`, to read it."""
        ...


@contextmanager
def contents(peer: Peer) -> Iterator[Iterator[bytes]]:
    """Give every entry of a peer that is closed, in order."""
    reader = peer.reopen()
    try:
        yield (data for _, data in reader.walk())
    finally:
        reader.close()


def library(name: str) -> Any:
    """Import the module of an optional peer. Raise `Skipped` if it is not installed."""
    try:
        return __import__(name)
    except ImportError:
        raise Skipped(f"{name} is not installed") from None


def with_lengths(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the entries of a stream in which each has its length before it, with their numbers from 1 on."""
    at, number = 0, 1
    while at < len(stream):
        (length,) = LENGTH.unpack_from(stream, at)
        yield number, stream[at + LENGTH.size : at + LENGTH.size + length]
        at, number = at + LENGTH.size + length, number + 1


def one_by_one(append: Callable[[bytes], object], entries: list[bytes]) -> Work:
    """Return work that calls *append* with each entry."""

    def work() -> None:
        for data in entries:
            append(data)

    return work


class Walogs:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.wal = walogs.open(directory)

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        return one_by_one(self.wal.append, entries)

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        def work() -> None:
            self.wal.append_batch(entries)

        return work

    def close(self) -> None:
        self.wal.close()

    def reopen(self) -> Reader:
        wal = walogs.open(self.directory)
        return Reader(walk=wal.iter, close=wal.close, get=wal.read)


class AppendedFile:
    """A file that is written by hand: length, data, flush, fsync. It has no check and no recovery."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "entries"
        self.file = self.path.open("ab")  # stays open as long as the peer

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        file = self.file

        def work() -> None:
            for data in entries:
                file.write(LENGTH.pack(len(data)) + data)
                file.flush()
                os.fsync(file.fileno())

        return work

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        def work() -> None:
            for data in entries:
                self.file.write(LENGTH.pack(len(data)) + data)
            self.file.flush()
            os.fsync(self.file.fileno())

        return work

    def close(self) -> None:
        self.file.close()

    def reopen(self) -> Reader:
        return Reader(walk=lambda: with_lengths(self.path.read_bytes()), close=lambda: None)


def releases(distributions: Iterable[str]) -> list[str]:
    """Return the names and releases of those distributions that are installed."""
    found = []
    for name in distributions:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found
