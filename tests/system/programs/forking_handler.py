"""A signal handler forks while the main thread waits for a future; parent and child each tell what became of the wait.

usage: forking_handler.py DIRECTORY
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import walogs
from walogs.defaults.local_store import LocalStore
from walogs.protocols import SyncKind

MAY_SYNC = threading.Lock()


class Waiting(LocalStore):
    """A store whose syncs wait until the handler has forked."""

    def sync(self, number: int, kind: SyncKind) -> None:
        with MAY_SYNC:
            super().sync(number, kind)


def main() -> None:
    wal = walogs.open(store=Waiting(sys.argv[1]))
    MAY_SYNC.acquire()
    child: int | None = None

    def fork(*_: object) -> None:
        nonlocal child
        if child is None:
            child = os.fork()
            if child:
                MAY_SYNC.release()

    signal.signal(signal.SIGUSR1, fork)
    future = wal.submit(b"x")

    def kick() -> None:
        """Signal the main thread once it waits, until it has forked: a signal just before the wait does not end it."""
        while child is None:
            if future._condition._waiters:  # type: ignore[attr-defined]
                os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.01)

    threading.Thread(target=kick, daemon=True).start()
    try:
        outcome = str(future.result(300))
    except walogs.Closed:
        outcome = "Closed"
    if not child:
        print(f"child: {outcome}", flush=True)
        os._exit(0)
    print(f"child status {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}", flush=True)
    print(f"parent: {outcome}", flush=True)
    wal.close()


if __name__ == "__main__":
    main()
