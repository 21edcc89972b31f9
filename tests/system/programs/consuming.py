"""Consumes a log with a cursor, until it is told up to where; says every entry it was handed, and every commit.

usage: consuming.py DIRECTORY STEP DURABLE     standard input: one line with the LSN to end at

It commits after STEP entries. DURABLE is `yes`, `no`, or `both`, in turn.
"""

from __future__ import annotations

import sys
import threading

import walogs

last_lsn: list[int] = []


def listen() -> None:
    last_lsn.append(int(sys.stdin.readline()))


def main() -> None:
    path, step, durable = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    threading.Thread(target=listen, daemon=True).start()
    with walogs.reader(path) as reader, reader.cursor("mailer") as cursor:
        print(f"begins {cursor.position}")
        commits, handled = 0, cursor.position
        while not last_lsn or handled < last_lsn[0]:
            for lsn, data in cursor.follow(timeout=0.05):
                assert data == b"entry %d" % lsn, data
                print(f"seen {lsn}")
                handled = lsn
                if lsn - cursor.position >= step:
                    cursor.commit(lsn, durable=durable == "yes" or (durable == "both" and commits % 2 == 0))
                    commits += 1
                    print(f"committed {lsn}")
            if handled > cursor.position:
                cursor.commit(handled)
                print(f"committed {handled}")
    print("done")


if __name__ == "__main__":
    main()
