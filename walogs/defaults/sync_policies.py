"""The sync policies: `fdatasync` (default), `fsync`, `interval`, `none`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from walogs.errors import ConfigError
from walogs.foundation.quantities import Duration, Size
from walogs.protocols import SyncDeadline, always_sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.protocols import Decision, Durability, SyncKind, Unsynced


class FdatasyncPolicy:
    """Syncs every commit before its append returns (G1): the data, and what is needed to read it back."""

    name: str = "fdatasync"
    durability: Durability = "durable"
    sync_kind: SyncKind = "data"
    decide = always_sync


class FsyncPolicy:
    """Syncs every commit as `fdatasync` does, with every attribute of the file (G1). On macOS both use F_FULLFSYNC."""

    name: str = "fsync"
    durability: Durability = "durable"
    sync_kind: SyncKind = "full"
    decide = always_sync


@dataclass(frozen=True, slots=True)
class IntervalOptions:
    """The options of `IntervalPolicy`, which explains them. Raises `ConfigError`, which lists every problem."""

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

    In a store of immutable segments, such as a bucket, each commit is a request. There a commit waits for more entries
    by the same bounds, and an append waits for its commit: when it returns, its entry is durable (G1).

    In every other store, a power cut loses only the newest entries (G2): at most those of the last *time* seconds and
    of the time that one sync takes, fewer than *entries*, and in frames of fewer than *bytes*. A process that is killed
    loses nothing. `durable_lsn` says what is durable. A sync that fails poisons the log, and is logged as a warning.
    The next verb that writes raises; if there is none, `close` does.
    """

    name: str = "interval"
    durability: Durability = "eventually"
    sync_kind: SyncKind = "data"

    def __init__(self, time: float = 0.01, bytes: int | None = 1 << 20, entries: int | None = None) -> None:
        IntervalOptions(time, bytes, entries)  # refuses what is wrong
        self.time = time
        self.bytes = bytes
        self.entries = entries
        self._time_ns = round(time * 1e9)
        self._bytes_max = bytes if bytes is not None else 1 << 62
        self._entries_max = entries if entries is not None else 1 << 62

    def decide(self, pending: Unsynced) -> Decision:
        """Sync at a bound; else by so long after the oldest of what is pending."""
        if pending.bytes >= self._bytes_max or pending.entries >= self._entries_max:
            return "sync"
        return SyncDeadline(pending.oldest_ns + self._time_ns)

    def __repr__(self) -> str:
        return f"IntervalPolicy(time={self.time}, bytes={self.bytes}, entries={self.entries})"


class NoSyncPolicy:
    """No commit is synced before its append returns: a power cut may lose whatever `durable_lsn` does not cover.

    A process that is killed loses nothing. `sync()`, rotation, `checkpoint()` and `close()` sync.
    """

    name: str = "none"
    durability: Durability = "none"
    sync_kind: SyncKind = "data"

    def decide(self, pending: Unsynced) -> Decision:
        """See `SyncPolicy.decide`."""
        return "leave"


__all__: Final = ["FdatasyncPolicy", "FsyncPolicy", "IntervalOptions", "IntervalPolicy", "NoSyncPolicy"]
