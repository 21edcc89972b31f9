"""Appends until there are some completed segments; then, told to, until there is no more room; then waits to be killed.

usage: filling.py DIRECTORY MAX_SEGMENT_SIZE
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

import walogs
from tests.system.ledger import EMPTY_THREAD, payload


def main() -> None:
    path, max_segment_size = sys.argv[1], int(sys.argv[2])
    tokens = itertools.count(1)
    with walogs.open(path, max_segment_size=max_segment_size) as wal:
        while wal.segment_count < 5:
            append(wal, next(tokens))
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            append_until_refused(wal, tokens, 0)
            errno = append_until_refused(wal, itertools.repeat(0), EMPTY_THREAD)  # not even an empty one goes in
            print("full", errno, flush=True)
        except walogs.OutcomeUnknown as error:
            print("indefinite", error.__cause__, flush=True)
        sys.stdin.readline()


def append_until_refused(wal: walogs.Wal, tokens: Iterator[int], thread: int) -> int:
    while True:
        try:
            append(wal, next(tokens), thread)
        except walogs.NoSpace as error:
            return error.errno


def append(wal: walogs.Wal, token: int, thread: int = 0) -> None:
    print(f"ack {wal.append(payload(token, thread))} {token} {thread}", flush=True)


if __name__ == "__main__":
    main()
