"""Appends what it is told to, a line at a time, and says what became of it; ends without any clean-up.

usage: appending.py PATH       stdin: the size of an entry, or "checkpoint LSN"
"""

from __future__ import annotations

import os
import sys

import walogs
from tests.system.ledger import payload


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def verb(wal: walogs.Wal, line: str, token: int) -> str:
    words = line.split()
    if words[0] == "checkpoint":
        return f"checkpointed {wal.checkpoint(int(words[1]))}"
    return f"ack {wal.append(payload(token, size=int(words[0])))} {token} 0"


def main() -> None:
    try:
        wal = walogs.open(sys.argv[1], store="sqlite")
    except (walogs.WalError, OSError) as error:
        say(f"open: {type(error).__name__} {error}")
        os._exit(1)
    token = wal.next_lsn
    say(f"ready {token}")
    for line in sys.stdin:
        say(f"begin {token}")
        try:
            say(verb(wal, line, token))
            token += 1
        except (walogs.WalError, OSError) as error:
            say(f"{type(error).__name__} {error}".replace("\n", " "))
    os._exit(0)


if __name__ == "__main__":
    main()
