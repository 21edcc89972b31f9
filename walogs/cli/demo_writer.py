"""The process that `walogs demo` kills: it appends a file's lines, over and over, and tells each LSN it was given."""

from __future__ import annotations

import sys
from importlib.resources import files
from itertools import cycle
from typing import Final

from walogs.assembly import open as open_log

FILE_NAME: Final = "walogs/wal.py"


def lines() -> list[bytes]:
    """Of a real file, which is there wherever walogs is."""
    return files("walogs").joinpath("wal.py").read_bytes().splitlines()


def write(path: str) -> None:
    """Until it is killed. An LSN is told only once `append` has returned it."""
    with open_log(path) as wal, open(1, "wb", buffering=0, closefd=False) as pipe:
        tell = pipe.write
        for line in cycle(lines()):
            tell(b"%d\n" % wal.append(line))


if __name__ == "__main__":
    try:
        write(sys.argv[1])
    except BrokenPipeError:  # whoever was to kill it has died first
        sys.exit(1)
