"""Notice a fork without a system call.

A handle that was opened before a fork is refused in the child. Each append asks which process it is in, and
`os.getpid()` can cost a thirtieth of an append.

So the identifier of this process is kept in a page of memory that a child gets filled with zeros (MADV_WIPEONFORK). The
kernel does that however the child was forked. Python's own hooks do not suffice: a server such as uWSGI forks in C and
calls none of them. Where the system has no such pages, it is asked each time.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Final

WIPE_ON_FORK: Final = 18
"""MADV_WIPEONFORK of Linux, which the module `mmap` does not name."""


class AskedProcess:
    """The identifier of this process, asked for each time. It is read like the memory that stands for it elsewhere."""

    def __getitem__(self, at: int) -> int:
        return os.getpid()

    def __setitem__(self, at: int, pid: int) -> None:
        pass


def shared_with_no_child() -> memoryview | AskedProcess:
    """Return memory for a number that is 0 in every forked child, or what asks the system instead."""
    if sys.platform == "linux":
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            page.madvise(WIPE_ON_FORK)
        except OSError:  # Linux before 4.14, or what only resembles Linux
            page.close()
        else:
            return memoryview(page).cast("Q")
    return AskedProcess()


PROCESS: Final = shared_with_no_child()
"""`PROCESS[0]` is the identifier of this process, or 0 in a child that has not called `own_pid` yet."""


def own_pid() -> int:
    """Return the identifier of this process. From now on, `PROCESS[0]` has it too."""
    PROCESS[0] = pid = os.getpid()
    return pid


own_pid()
os.register_at_fork(after_in_child=own_pid)
