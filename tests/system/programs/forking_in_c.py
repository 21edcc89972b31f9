"""Open a log, fork as a server in C does, without Python's hooks, and print what the child may do.

usage: forking_in_c.py LOG OWN
"""

import ctypes
import os
import sys

import walogs


def outcome(verb: object) -> object:
    try:
        return verb()  # type: ignore[operator]
    except walogs.WalError as error:
        return type(error).__name__


log, own = sys.argv[1:]
with walogs.open(log) as wal:
    fork = ctypes.PyDLL(None).fork
    child = fork()
    if child == 0:
        print(outcome(lambda: wal.append(b"x")))
        print(outcome(lambda: wal.append_batch([b"x", b"y"])))
        print(outcome(lambda: wal.submit(b"x")))
        with walogs.open(own) as mine:
            print(outcome(lambda: mine.append(b"x")))
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    assert wal.append(b"x") == 1
    print(outcome(lambda: wal.append(b"y")))
