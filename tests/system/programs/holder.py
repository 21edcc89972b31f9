"""Opens a log and keeps it, appending when told to; says what happened.

usage: holder.py DIRECTORY [--go]     --go: wait for a line before opening
stdin: a line with a token appends it; an empty line ends.
"""

from __future__ import annotations

import os
import sys

import walogs
from tests.system.ledger import payload


def main() -> None:
    path = sys.argv[1]
    if "--go" in sys.argv:
        print("ready", flush=True)
        sys.stdin.readline()
    try:
        wal = walogs.open(path)
    except walogs.Locked as error:
        print(f"locked {error.pid} {error.host} {error.since}", flush=True)
        return
    with wal:
        print(f"open {os.getpid()}", flush=True)
        for line in sys.stdin:
            if not line.strip():
                break
            token = int(line)
            print(f"ack {wal.append(payload(token))} {token} 0", flush=True)


if __name__ == "__main__":
    main()
