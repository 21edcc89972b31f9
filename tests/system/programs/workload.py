"""Every verb of a log, in order, whatever becomes of each: says on standard output what it begins and how that ended.

usage: workload.py DIRECTORY
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from typing import Final

import walogs
from tests.system.ledger import payload

MAX_SEGMENT_SIZE: Final = 1500


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


class Workload:
    """One log, and the verbs that are called on it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._wal: walogs.Wal | None = None
        self._tokens = itertools.count(1)
        self._can_go_on = True

    def attempt(self, verb: str, call: Callable[[], object]) -> None:
        """Begin it, and say how it ended. What it raises is the matter of these tests."""
        say(f"begin {verb}")
        try:
            call()
        except BaseException as error:  # noqa: BLE001  # a KeyboardInterrupt too
            cause = error.errno if isinstance(error, OSError) else 0
            say(f"raised {verb} {type(error).__name__} {cause}")
        else:
            say(f"done {verb}")

    def open(self) -> None:
        self._wal = None
        self._wal = walogs.open(self._path, max_segment_size=MAX_SEGMENT_SIZE)

    def close(self) -> None:
        if self._wal is not None:
            self._wal.close()

    def append(self, size: int | None = None) -> None:
        if self._wal is not None:
            token = next(self._tokens)
            lsn = self._wal.append(payload(token, size=size))
            say(f"ack {lsn} {token} 0")

    def append_batch(self, count: int) -> None:
        if self._wal is not None:
            tokens = [next(self._tokens) for _ in range(count)]
            say("batch 0 " + " ".join(map(str, tokens)))
            lsns = self._wal.append_batch([payload(token) for token in tokens])
            for lsn, token in zip(lsns, tokens, strict=True):
                say(f"ack {lsn} {token} 0")

    def rotate(self) -> None:
        if self._wal is not None:
            self._wal.rotate()

    def checkpoint(self, lsn: int) -> None:
        if self._wal is not None:
            say(f"checkpoint {lsn}")
            self._wal.checkpoint(lsn)

    def read(self) -> None:
        if self._wal is not None:
            say(f"walked {sum(1 for _ in self._wal)}")

    def run(self) -> None:
        self.attempt("open", self.open)
        self.attempt("append", self.append)
        self.attempt("append", self.append)
        self.attempt("batch", lambda: self.append_batch(3))
        self.attempt("rotate", self.rotate)
        self.attempt("append", self.append)
        self.attempt("growing-append", lambda: self.append(6000))  # goes alone into a segment, and makes it grow
        self.attempt("append", self.append)
        self.attempt("checkpoint", lambda: self.checkpoint(5))
        self.attempt("append", self.append)
        self.attempt("read", self.read)
        self.attempt("close", self.close)
        self.attempt("open", self.open)
        self.attempt("append", self.append)
        self.attempt("batch", lambda: self.append_batch(2))
        self.attempt("checkpoint", lambda: self.checkpoint(7))
        self.attempt("rotate", self.rotate)
        self.attempt("append", self.append)
        self.attempt("close", self.close)


if __name__ == "__main__":
    Workload(sys.argv[1]).run()
    say("over")
