"""The sync policies: `fdatasync` (default), `fsync`, `interval`, `none`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from walogs.errors import ConfigError
from walogs.protocols import SyncBy
from walogs.quantities import Duration, Size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.protocols import Barrier, Decision, Pending, Promise


class FdatasyncPolicy:
    """Every commit is synced before its append returns; its data, and what is needed to read it back (G1)."""

    name: str = "fdatasync"
    promise: Promise = "durable"
    barrier: Barrier = "data"

    def decide(self, pending: Pending) -> Decision:
        return "sync"


class FsyncPolicy:
    """As `fdatasync`, with every attribute of the file as well (G1). On macOS both are F_FULLFSYNC."""

    name: str = "fsync"
    promise: Promise = "durable"
    barrier: Barrier = "full"

    def decide(self, pending: Pending) -> Decision:
        return "sync"


@dataclass(frozen=True, slots=True)
class IntervalOptions:
    """The keywords of `IntervalPolicy`, which says what they mean. Raises `ConfigError` with every mistake at once."""

    time: Duration = 0.01
    bytes: Size | None = 1 << 20
    entries: int | None = None

    def __post_init__(self) -> None:
        problems = tuple(self._problems())
        if problems:
            raise ConfigError("; ".join(problems), problems=problems)

    def _problems(self) -> Iterator[str]:
        if type(self.time) not in (int, float) or not 0 < self.time <= 86_400:
            yield f"time={self.time!r}: seconds, more than 0, at most a day"
        for key, value in (("bytes", self.bytes), ("entries", self.entries)):
            if value is not None and (type(value) is not int or value < 1):
                yield f"{key}={value!r}: 1 or more, or None"


class IntervalPolicy:
    """Appends return once they are written; a sync follows at most *time* seconds after the first of them, or at once
    when *bytes* of frames or *entries* are waiting for one (None: no such bound).

    A power cut loses at most what was appended since: the last *time* seconds and however long one sync takes, fewer
    than *bytes*, fewer than *entries*, always the newest ones (G2). A process that is killed loses nothing. What is
    durable, `durable_lsn` says; a sync that fails poisons the log, so the next verb raises.
    """

    name: str = "interval"
    promise: Promise = "eventually"
    barrier: Barrier = "data"

    def __init__(self, time: float = 0.01, bytes: int | None = 1 << 20, entries: int | None = None) -> None:
        IntervalOptions(time, bytes, entries)  # refuses what is wrong
        self.time = time
        self.bytes = bytes
        self.entries = entries
        self._time_ns = round(time * 1e9)
        self._bytes_max = bytes if bytes is not None else 1 << 62
        self._entries_max = entries if entries is not None else 1 << 62

    def decide(self, pending: Pending) -> Decision:
        """Sync at a bound; else by so long after the oldest of what is pending."""
        if pending.bytes >= self._bytes_max or pending.entries >= self._entries_max:
            return "sync"
        return SyncBy(pending.oldest_ns + self._time_ns)

    def __repr__(self) -> str:
        return f"IntervalPolicy(time={self.time}, bytes={self.bytes}, entries={self.entries})"


class NoSyncPolicy:
    """No commit is synced before its append returns: a power cut may lose whatever `durable_lsn` does not cover.

    What the process itself loses when it is killed is nothing. `sync()`, rotation, `checkpoint()` and `close()` sync.
    """

    name: str = "none"
    promise: Promise = "none"
    barrier: Barrier = "data"

    def decide(self, pending: Pending) -> Decision:
        return "leave"


__all__: Final = ["FdatasyncPolicy", "FsyncPolicy", "IntervalOptions", "IntervalPolicy", "NoSyncPolicy"]
