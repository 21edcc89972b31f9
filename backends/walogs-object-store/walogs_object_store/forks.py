"""Refuse obstore in a forked child: its threads do not survive a fork, and every call would wait for ever."""

from __future__ import annotations

import os

from walogs import UnsafeStore

_used_in: int | None = None
"""The process that made the first call."""


def refuse_after_fork(name: str) -> None:
    """Raise `UnsafeStore` if a parent of this process has used obstore before the fork."""
    global _used_in  # noqa: PLW0603
    pid = os.getpid()
    if _used_in is None:
        _used_in = pid
    elif _used_in != pid:
        raise UnsafeStore(
            f"{name} cannot be used here: this process was forked from one that had used object storage before. Start"
            ' it with the method "spawn" or "forkserver", or open the log only after the fork.'
        )
