"""multiprocessing beside an open log: what a worker can do with it.

usage: pooled.py DIRECTORY METHOD     METHOD: fork or spawn
"""

from __future__ import annotations

import multiprocessing
import sys

import walogs
from tests.system.ledger import payload

HELD: list[walogs.Wal] = []
"""The handle. A forked worker finds it here; a spawned worker finds nothing."""


def work(path: str) -> list[str]:
    """Try to use the log in a worker in each way, and return what happened."""
    outcomes = []
    for wal in HELD:
        try:
            wal.append(b"from the worker")
        except walogs.Closed:
            outcomes.append("append: Closed")
        wal.close()
    try:
        walogs.open(path).close()
    except walogs.Locked:
        outcomes.append("open: Locked")
    return outcomes


def main() -> None:
    path, method = sys.argv[1:]
    context = multiprocessing.get_context(method)
    with walogs.open(path) as wal:
        HELD.append(wal)
        print(f"ack {wal.append(payload(1))} 1 0")
        with context.Pool(2) as pool:
            for outcomes in pool.map(work, [path] * 4):
                print("worker", *outcomes)
            try:
                pool.apply(print, (wal,))
            except TypeError as error:
                print("pickling", error)
            pool.close()
            pool.join()
        print(f"ack {wal.append(payload(2))} 2 0")
    print("over")


if __name__ == "__main__":
    main()
