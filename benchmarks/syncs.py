"""Syncs that take as long as those of another disk, for everything in this process that syncs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def each_sync(call: Callable[[int], object]) -> Iterator[None]:
    """Let `os.fdatasync` and `os.fsync` call *call* with the file descriptor instead."""
    whole = os.fdatasync, os.fsync
    os.fdatasync = os.fsync = call  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fdatasync, os.fsync = whole


@contextmanager
def empty_syncs() -> Iterator[None]:
    """Let a sync do nothing, where a log is only made to be read."""
    with each_sync(abs):
        yield


@contextmanager
def slow_syncs(seconds: float) -> Iterator[None]:
    """Let every sync take so many seconds longer than it does."""
    sync = os.fdatasync

    def slowly(fd: int) -> None:
        sync(fd)
        time.sleep(seconds)

    with each_sync(slowly):
        yield
