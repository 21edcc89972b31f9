"""Follows a log until it is told up to where; says every entry it was handed out.

usage: following.py DIRECTORY     standard input: one line with the LSN to end at
"""

from __future__ import annotations

import contextlib
import sys
import threading

import walogs
from tests.system.ledger import token_of

last_lsn: list[int] = []


def listen() -> None:
    last_lsn.append(int(sys.stdin.readline()))


def main() -> None:
    threading.Thread(target=listen, daemon=True).start()
    next_lsn = 1
    while not last_lsn or next_lsn <= last_lsn[0]:
        with contextlib.suppress(walogs.LogNotFound), walogs.reader(sys.argv[1]) as reader:
            try:
                for lsn, data in reader.follow(next_lsn, timeout=0.05):
                    assert lsn == next_lsn, f"entry {lsn} came after {next_lsn - 1}"
                    thread, token = token_of(data)
                    print(f"seen {lsn} {token} {thread}")
                    next_lsn += 1
            except walogs.Checkpointed as error:
                next_lsn = error.first_lsn
                print(f"skipped to {next_lsn}")
    print("done", flush=True)


if __name__ == "__main__":
    main()
