"""Opens a log, says every entry that it hands out, and waits.

usage: handing.py DIRECTORY
"""

from __future__ import annotations

import sys

import walogs
from tests.system.ledger import token_of


def main() -> None:
    wal = walogs.open(sys.argv[1], max_segment_size=8000)
    for lsn, data in wal:
        thread, token = token_of(data)
        print(f"ack {lsn} {token} {thread}", flush=True)
    print("handed out", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
