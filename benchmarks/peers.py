"""What people use instead. Each peer is durable when its append returns, and is read back by its own reader."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

import walogs
from benchmarks.measure import BLOCK, Costs, Row, Scale, Work, spread, time_in_turns
from benchmarks.payloads import check, payloads

CRATE: Final = Path(__file__).with_name("crate")
LENGTH: Final = struct.Struct("<I")


class Skipped(Exception):
    """This peer cannot run here. The message says why."""


class Peer(Protocol):
    """Keeps entries in a directory of its own. Its constructor raises `Skipped` if it cannot run here."""

    def __init__(self, directory: Path) -> None: ...

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        """Return work that appends these entries, each durable before the next one."""
        ...

    def close(self) -> None:
        """Finish appending. This may be called again."""
        ...

    def contents(self) -> Generator[bytes, None, None]:
        """Open the peer again after `close`, and yield every entry in order."""
        ...


class Walogs:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.wal = walogs.open(directory)

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        append = self.wal.append

        def work() -> None:
            for data in entries:
                append(data)

        return work

    def close(self) -> None:
        self.wal.close()

    def contents(self) -> Generator[bytes, None, None]:
        with walogs.open(self.directory) as wal:
            for _, data in wal:
                yield data


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

    def close(self) -> None:
        self.file.close()

    def contents(self) -> Generator[bytes, None, None]:
        yield from with_lengths(self.path.read_bytes())


class Sqlite:
    """SQLite of the standard library, in WAL mode, with a commit for each insert."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "entries.sqlite3"
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        [(mode,)] = self.connection.execute("PRAGMA journal_mode=WAL")
        if mode != "wal":
            raise Skipped(f"journal_mode is {mode!r}: no WAL on this file system")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.execute("CREATE TABLE entries (lsn INTEGER PRIMARY KEY, data BLOB NOT NULL)")

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        execute = self.connection.execute

        def work() -> None:
            for lsn, data in enumerate(entries, first_lsn):
                execute("INSERT INTO entries VALUES (?, ?)", (lsn, data))

        return work

    def close(self) -> None:
        self.connection.close()

    def contents(self) -> Generator[bytes, None, None]:
        connection = sqlite3.connect(self.path)
        try:
            for (data,) in connection.execute("SELECT data FROM entries ORDER BY lsn"):
                yield data
        finally:
            connection.close()


class Lmdb:
    def __init__(self, directory: Path) -> None:
        self.library = library("lmdb")
        self.directory = directory
        self.environment = self.library.open(str(directory), map_size=1 << 30, sync=True, metasync=True)

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        begin = self.environment.begin

        def work() -> None:
            for lsn, data in enumerate(entries, first_lsn):
                with begin(write=True) as commit:
                    commit.put(lsn.to_bytes(8, "big"), data, append=True)

        return work

    def close(self) -> None:
        self.environment.close()

    def contents(self) -> Generator[bytes, None, None]:
        with (
            self.library.open(str(self.directory), readonly=True, lock=False) as environment,
            environment.begin() as view,
        ):
            for _, data in view.cursor():
                yield data


class Plyvel:
    """LevelDB."""

    def __init__(self, directory: Path) -> None:
        self.library = library("plyvel")
        self.directory = str(directory)
        self.store = self.library.DB(self.directory, create_if_missing=True)

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        put = self.store.put

        def work() -> None:
            for lsn, data in enumerate(entries, first_lsn):
                put(lsn.to_bytes(8, "big"), data, sync=True)

        return work

    def close(self) -> None:
        self.store.close()

    def contents(self) -> Generator[bytes, None, None]:
        store = self.library.DB(self.directory)
        try:
            for _, data in store:
                yield data
        finally:
            store.close()


class Rocksdict:
    """RocksDB."""

    def __init__(self, directory: Path) -> None:
        self.library = library("rocksdict")
        self.directory = str(directory)
        self.is_closed = False
        self.store = self._open()
        options = self.library.WriteOptions()
        options.sync = True
        self.options = options

    def _open(self) -> Any:
        return self.library.Rdict(self.directory, self.library.Options(raw_mode=True))

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        put, options = self.store.put, self.options

        def work() -> None:
            for lsn, data in enumerate(entries, first_lsn):
                put(lsn.to_bytes(8, "big"), data, write_opt=options)

        return work

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.store.close()

    def contents(self) -> Generator[bytes, None, None]:
        store = self._open()
        try:
            yield from store.values()
        finally:
            store.close()


class RustCrate:
    """The Rust crate walogs 0.1, in a process of its own that keeps its own time."""

    def __init__(self, directory: Path) -> None:
        self.found = b""
        self.building = TemporaryDirectory(prefix="walogs-crate-")
        try:
            program = build_crate(Path(self.building.name))
            self.process = subprocess.Popen(
                [program, str(directory / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except BaseException:
            self.building.cleanup()
            raise

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        wanted, told = self.process.stdin, self.process.stdout
        assert wanted is not None
        assert told is not None
        request = LENGTH.pack(len(entries)) + b"".join(LENGTH.pack(len(data)) + data for data in entries)

        def work() -> int:
            wanted.write(request)
            wanted.flush()
            return int.from_bytes(told.read(8), "little")

        return work

    def close(self) -> None:
        if self.process.returncode is None:
            with self.building:
                self.found, _ = self.process.communicate(LENGTH.pack(0))

    def contents(self) -> Generator[bytes, None, None]:
        yield from with_lengths(self.found)


def build_crate(scratch: Path) -> Path:
    """Compile the program in crate/ outside the source tree. Raise `Skipped` if that is impossible."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise Skipped("cargo is not installed")
    source = shutil.copytree(CRATE, scratch / "source", ignore=shutil.ignore_patterns("target", "Cargo.lock"))
    command = [cargo, "build", "--quiet", "--release", "--target-dir", str(scratch / "target")]
    ran = subprocess.run(command, cwd=source, check=False, capture_output=True, text=True)
    if ran.returncode:
        raise Skipped(f"cargo could not build it: {(ran.stderr.strip().splitlines() or ['no reason given'])[0]}")
    return scratch / "target" / "release" / "append-with-the-crate"


def library(name: str) -> Any:
    """Import the module of an optional peer. Raise `Skipped` if it is not installed."""
    try:
        return __import__(name)
    except ImportError:
        raise Skipped(f"{name} is not installed") from None


def with_lengths(stream: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(stream):
        (length,) = LENGTH.unpack_from(stream, at)
        yield stream[at + LENGTH.size : at + LENGTH.size + length]
        at += LENGTH.size + length


PEERS: Final[dict[str, Callable[[Path], Peer]]] = {
    "walogs": Walogs,
    'open(…, "ab"), write, flush, fsync': AppendedFile,
    "sqlite3, WAL, synchronous=FULL": Sqlite,
    "lmdb, sync=True": Lmdb,
    "plyvel (LevelDB), sync=True": Plyvel,
    "rocksdict (RocksDB), sync=True": Rocksdict,
    "Rust crate walogs 0.1": RustCrate,
}
DISTRIBUTIONS: Final = ("lmdb", "plyvel", "rocksdict")


def releases() -> str:
    """Describe the releases of the installed peers."""
    found = [f"SQLite {sqlite3.sqlite_version}"]
    for name in DISTRIBUTIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def peers(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure one durable append of each peer ÷ one of walogs, in one run and one directory."""
    running: dict[str, Peer] = {}
    skipped: list[Row] = []
    try:
        for number, (name, peer) in enumerate(PEERS.items()):
            directory = place / str(number)
            directory.mkdir()
            try:
                running[name] = peer(directory)
            except Skipped as why:
                skipped.append(Row(f"{name} ÷ walogs", None, beside=str(why)))
        costs = append_and_check(running, scale)
    finally:
        for each in running.values():
            each.close()
    ours = costs.median("walogs") / BLOCK / 1000
    for name in running:
        if name != "walogs":
            ratios = costs.ratios(name, "walogs")
            theirs = costs.median(name) / BLOCK / 1000
            beside = f"rounds {spread(ratios)}; {theirs:.0f} and {ours:.0f} µs"
            yield Row(name=f"{name} ÷ walogs", figure=median(ratios), unit="×", limit=None, beside=beside)
    yield from skipped


def append_and_check(running: Mapping[str, Peer], scale: Scale) -> Costs:
    """Time blocks of appends of every peer, close all of them and read them back. Raise `Differs`."""
    appended = dict.fromkeys(running, 0)

    def block(name: str) -> Work:
        first_lsn = appended[name] + 1
        appended[name] += BLOCK
        return running[name].block(first_lsn, payloads(first_lsn, BLOCK))

    prepared = {name: partial(block, name) for name in running}
    for warm in prepared.values():
        warm()()
    costs = time_in_turns(prepared, scale.rounds, scale.blocks, time.perf_counter_ns)
    for name, peer in running.items():
        peer.close()
        with closing(peer.contents()) as found:
            check(name, found, appended[name])
    return costs
