"""The process that `walogs demo` kills. It appends the lines of a file again and again, and prints each LSN."""

from __future__ import annotations

import sys
from importlib.resources import files
from itertools import cycle
from typing import Final

from walogs.assembly.opening import open as open_log

FILE_NAME: Final = "walogs/handles/wal.py"


def lines() -> list[bytes]:
    """Return the lines of a real file that every installation of walogs contains."""
    return files("walogs").joinpath("handles/wal.py").read_bytes().splitlines()


def write(path: str) -> None:
    """Append to the log at *path* until the process is killed. Print an LSN only after `append` has returned it."""
    with open_log(path) as wal, open(1, "wb", buffering=0, closefd=False) as pipe:
        tell = pipe.write
        for line in cycle(lines()):
            tell(b"%d\n" % wal.append(line))


if __name__ == "__main__":
    try:
        write(sys.argv[1])
    except BrokenPipeError:  # the parent process ended first
        sys.exit(1)
