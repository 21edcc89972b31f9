"""Commits a cursor where it is told to, a line at a time, and says what became of it; ends without any clean-up.

usage: consuming.py PATH NAME       stdin: "commit LSN durable", "commit LSN", or "fork"

After "fork", a child of this process reads the rest of the input, and does nothing with it.
"""

from __future__ import annotations

import os
import sys

import walogs


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        say(f"forked {os.getpid()}")  # the child says it, because it has let go of the locks by then
        while os.read(0, 1000):
            pass
        os._exit(0)
    os.waitpid(pid, 0)


def main() -> None:
    reader = walogs.reader(sys.argv[1], store="sqlite")
    try:
        cursor = reader.cursor(sys.argv[2])
    except (walogs.WalError, OSError) as error:
        say(f"open: {type(error).__name__} {error}")
        os._exit(1)
    say(f"ready {cursor.position}")
    for line in iter(sys.stdin.readline, ""):
        words = line.split()
        if words[0] == "fork":
            fork()
            continue
        say(f"begin {words[1]}")
        try:
            cursor.commit(int(words[1]), durable=words[2:] == ["durable"])
            say(f"committed {cursor.position}")
        except (walogs.WalError, OSError) as error:
            say(f"{type(error).__name__} {error}".replace("\n", " "))
    os._exit(0)


if __name__ == "__main__":
    main()
