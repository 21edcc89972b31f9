"""The sync policies that need no clock: `fdatasync` (default), `fsync`, `none`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from walogs.protocols import Barrier, Decision, Pending


class FdatasyncPolicy:
    """Every commit is synced before its append returns; its data, and what is needed to read it back (G1)."""

    name: str = "fdatasync"
    promise: Literal["durable", "none"] = "durable"
    barrier: Barrier = "data"

    def decide(self, pending: Pending) -> Decision:
        return "sync"


class FsyncPolicy:
    """As `fdatasync`, with every attribute of the file as well (G1). On macOS both are F_FULLFSYNC."""

    name: str = "fsync"
    promise: Literal["durable", "none"] = "durable"
    barrier: Barrier = "full"

    def decide(self, pending: Pending) -> Decision:
        return "sync"


class NoSyncPolicy:
    """No commit is synced before its append returns: a power cut may lose whatever `durable_lsn` does not cover.

    What the process itself loses when it is killed is nothing. `sync()`, rotation, `checkpoint()` and `close()` sync.
    """

    name: str = "none"
    promise: Literal["durable", "none"] = "none"
    barrier: Barrier = "data"

    def decide(self, pending: Pending) -> Decision:
        return "leave"


__all__: Final = ["FdatasyncPolicy", "FsyncPolicy", "NoSyncPolicy"]
