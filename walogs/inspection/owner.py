"""Who writes a log: which process opened it last, and since when.

Nothing is locked and nothing is changed. A store with a lock is asked for its lock file. In any other store, the
headers of the segments tell: each has the name of its writer and an epoch, which grows by one with every open.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from walogs.defaults.directory import LOCK
from walogs.defaults.local_store import LocalStore
from walogs.engine.recovery import header_in
from walogs.errors import SegmentNotFound, Unavailable
from walogs.inspection.lock import holders, read_lock_file
from walogs.inspection.mount import mount_of

if TYPE_CHECKING:
    from walogs.engine.log_source import LogSource

ATTEMPTS: Final = 10
"""A checkpoint can remove a segment between the list and the look at it. Then look again, so often at most."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that opened a log for writing last. A fact is None or "" if it is not known."""

    name: str
    """The process id and the host, as `4242@app-1`."""
    since_ns: int | None
    """When it opened the log: Unix time in nanoseconds."""
    epoch: int
    """In an immutable-segment store: how often the log was opened for writing. Otherwise: when the newest segment was
    made."""
    segment: str
    """The newest segment."""
    segment_ns: int
    """When that was made: Unix time in nanoseconds. In an immutable-segment store: the time of the last commit."""
    is_open: bool | None = None
    """Whether it has the log open now. None: the store cannot tell."""

    def as_json(self) -> dict[str, Any]:
        """Return the facts, by the names that scripts use."""
        return {
            "writer": self.name or None,
            "since_ns": self.since_ns,
            "epoch": self.epoch,
            "segment": self.segment,
            "segment_ns": self.segment_ns,
            "is_open": self.is_open,
        }


def find_owner(source: LogSource) -> Owner:
    """Return who opened the log last. Raises `SegmentNotFound` if there is no segment, and what a read raises.

    In an immutable-segment store with n segments, this reads about log2 n headers.
    """
    for _ in range(ATTEMPTS):
        numbers = source.store.segments()
        if not numbers:
            raise SegmentNotFound(f"{source.store.name} has no segment")
        try:
            newest = header_in(source, numbers, numbers[-1])
            if isinstance(source.store, LocalStore):
                name, since_ns, is_open = signed(source.store)
            else:
                at = bisect_left(numbers, newest.epoch, key=lambda number: header_in(source, numbers, number).epoch)
                first = header_in(source, numbers, numbers[at])
                since_ns = first.created_ns if first.is_fence else None  # a checkpoint can remove the FENCE
                name, is_open = newest.writer_name, None
        except SegmentNotFound:
            continue
        return Owner(
            name=name,
            since_ns=since_ns,
            epoch=newest.epoch,
            segment=source.store.segment_name(newest.number),
            segment_ns=newest.created_ns,
            is_open=is_open,
        )
    raise Unavailable(f"{source.store.name} never settled: checkpoints keep removing what is looked at")


def signed(store: LocalStore) -> tuple[str, int | None, bool | None]:
    """Return what the lock file of a local log says: the process, since when, and whether it has the log open."""
    fd = os.open(store.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mount = mount_of(fd)
    finally:
        os.close(fd)
    read = read_lock_file(os.path.join(store.path, LOCK))
    if read is None:
        return "", None, None
    status, signature = read
    held_by = holders(mount, status)
    is_open = None if held_by is None else bool(held_by)
    words = signature.split()
    if len(words) != 3 or not words[0].isdecimal():
        return "", None, is_open
    pid, host, since = words
    try:
        opened = datetime.strptime(since, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return f"{pid}@{host}", None, is_open
    return f"{pid}@{host}", int(opened.timestamp()) * 1_000_000_000, is_open
