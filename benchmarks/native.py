"""Logs for Rust and Go. A program of native/ appends to them, in a process of its own that keeps its own time."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from benchmarks.measure import Work
from benchmarks.peers import LENGTH, Peer, Reader, Skipped, with_lengths

SOURCES: Final = Path(__file__).with_name("native")
LOCK_FILES: Final = ("Cargo.lock", "go.sum", "target")
COMMANDS: Final = {
    "rust": (["cargo", "build", "--quiet", "--release"], "target/release/native-logs"),
    "go": (["go", "build", "-mod=mod", "-o", "native-logs", "."], "native-logs"),
}
"""How the program in each language is built, and where it is then."""


def program(language: str) -> Path:
    """Return the program of a language, built outside the source tree. Raise `Skipped` if that is impossible.

    It is built once. Processes that this one starts find it by an environment variable.
    """
    variable = f"WALOGS_NATIVE_{language.upper()}"
    if variable not in os.environ:
        os.environ[variable] = str(build(language))
    return Path(os.environ[variable])


@cache
def build(language: str) -> Path:
    command, built = COMMANDS[language]
    if shutil.which(command[0]) is None:
        raise Skipped(f"{command[0]} is not installed")
    scratch = Path(mkdtemp(prefix="walogs-native-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    shutil.copytree(SOURCES / language, scratch, ignore=shutil.ignore_patterns(*LOCK_FILES), dirs_exist_ok=True)
    ran = subprocess.run(command, cwd=scratch, check=False, capture_output=True, text=True)
    if ran.returncode:
        reasons = [line for line in ran.stderr.splitlines() if line and not line.startswith("go: downloading")]
        raise Skipped(f"{command[0]} could not build it: {(reasons or ['no reason given'])[0]}")
    return scratch / built


class NativeLog:
    """One log of the program of a language."""

    def __init__(self, directory: Path, language: str, log: str, *, has_batches: bool = True) -> None:
        self.log = log
        self.has_batches = has_batches
        self.found = b""
        self.process = subprocess.Popen(
            [program(language), log, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def block(self, first_lsn: int, entries: list[bytes]) -> Work:
        return self._request(entries, is_batch=False)

    def batch(self, first_lsn: int, entries: list[bytes]) -> Work:
        if not self.has_batches:
            raise Skipped("it has no batches")
        return self._request(entries, is_batch=True)

    def _request(self, entries: list[bytes], *, is_batch: bool) -> Work:
        wanted, told = self.process.stdin, self.process.stdout
        assert wanted is not None
        assert told is not None
        head = LENGTH.pack(len(entries)) + LENGTH.pack(is_batch)
        request = head + b"".join(LENGTH.pack(len(data)) + data for data in entries)

        def work() -> int:
            wanted.write(request)
            wanted.flush()
            answer = told.read(8)
            if len(answer) < 8:
                raise RuntimeError(f"the program of {self.log} has ended; it says why above")
            return int.from_bytes(answer, "little")

        return work

    def close(self) -> None:
        if self.process.returncode is None:
            self.found, _ = self.process.communicate(LENGTH.pack(0))

    def reopen(self) -> Reader:
        return Reader(walk=lambda: with_lengths(self.found), close=lambda: None)


NATIVE: Final[dict[str, Callable[[Path], Peer]]] = {
    "Rust: open-wal 0.2": partial(NativeLog, language="rust", log="open-wal"),
    "Rust: okaywal 0.3": partial(NativeLog, language="rust", log="okaywal"),
    "Rust: raft-engine 0.4": partial(NativeLog, language="rust", log="raft-engine"),
    "Rust: the crate walogs 0.1": partial(NativeLog, language="rust", log="walogs", has_batches=False),
    "Go: etcd's wal 3.7": partial(NativeLog, language="go", log="etcd"),
    "Go: Pebble 2.1": partial(NativeLog, language="go", log="pebble"),
    "Go: raft-wal 0.4": partial(NativeLog, language="go", log="raft-wal"),
    "Go: tidwall/wal 1.2": partial(NativeLog, language="go", log="tidwall"),
}
