"""A parent with an open log forks a child that ends the ordinary way, or as told; the parent goes on writing.

usage: forking.py DIRECTORY HOW     HOW: exit, close, drop, uncaught, orphan
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import warnings

import walogs
from tests.system.ledger import payload


def main() -> None:
    path, how = sys.argv[1:]
    wal = walogs.open(path)
    print(f"ack {wal.append(payload(1))} 1 0", flush=True)
    pid = os.fork()
    if pid == 0:
        live_in_child(wal, how)
        del wal
        gc.collect()
        print("child ends", flush=True)
        sys.exit(3)  # the interpreter is torn down, as at the end of any program
    if how == "orphan":
        signal.pause()
    _, status = os.waitpid(pid, 0)
    print(f"child status {os.waitstatus_to_exitcode(status)}", flush=True)
    try:
        walogs.open(path)
    except walogs.Locked as error:
        print(f"still locked by {'me' if error.pid == os.getpid() else error.pid}", flush=True)
    print(f"ack {wal.append(payload(2))} 2 0", flush=True)
    wal.rotate()
    print(f"ack {wal.append(payload(3))} 3 0", flush=True)
    wal.close()
    print("over", flush=True)


def live_in_child(wal: walogs.Wal, how: str) -> None:
    warnings.simplefilter("error")
    if how == "orphan":
        print(f"child {os.getpid()}", flush=True)
        time.sleep(60)  # outlives its parent
    if how == "close":
        wal.close()
        wal.close()
    if how == "uncaught":
        raise RuntimeError("uncaught, with the handle in the traceback")


if __name__ == "__main__":
    main()
