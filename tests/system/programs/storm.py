"""Threads append, one of them rotates and checkpoints, another submits, until the process is killed; each says what was
acknowledged.

usage: storm.py PATH THREADS FIRST_TOKEN [SYNC [STORE]]
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import threading
from collections import deque
from concurrent.futures import Future

import walogs
from tests.system.ledger import payload

MAX_SEGMENT_SIZE = 8000


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")  # one write: lines of several threads do not mix


def write_for_ever(wal: walogs.Wal, thread: int, first: int) -> None:
    rng = random.Random(first * 100 + thread)
    tokens = itertools.count(first)
    while True:
        if rng.random() < 0.15:
            batch = [next(tokens) for _ in range(rng.randint(2, 5))]
            say(f"batch {thread} " + " ".join(map(str, batch)))
            for lsn, token in zip(wal.append_batch([payload(x, thread) for x in batch]), batch, strict=True):
                say(f"ack {lsn} {token} {thread}")
        else:
            token = next(tokens)
            say(f"ack {wal.append(payload(token, thread))} {token} {thread}")
        if thread == 1 and rng.random() < 0.03:
            wal.rotate()
        if thread == 1 and rng.random() < 0.03:
            lsn = wal.last_lsn - rng.randint(100, 200)
            say(f"checkpoint {lsn}")
            wal.checkpoint(lsn)


def submit_for_ever(wal: walogs.Wal, thread: int, first: int) -> None:
    in_flight: deque[Future[int]] = deque()
    for token in itertools.count(first):
        future = wal.submit(payload(token, thread))
        future.add_done_callback(lambda done, token=token: say(f"ack {done.result()} {token} {thread}"))  # type: ignore[misc]
        in_flight.append(future)
        if len(in_flight) > 20:
            in_flight.popleft().result()


def main() -> None:
    path, threads, first = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sync, store = sys.argv[4] if sys.argv[4:] else "fdatasync", sys.argv[5] if sys.argv[5:] else "local"
    wal = walogs.open(path, max_segment_size=MAX_SEGMENT_SIZE, sync=sync, store=store)
    say("ready")
    running = [threading.Thread(target=write_for_ever, args=(wal, n, first)) for n in range(1, threads + 1)]
    running.append(threading.Thread(target=submit_for_ever, args=(wal, threads + 1, first)))
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


if __name__ == "__main__":
    main()
