"""walogs: a crash-safe write-ahead log. You hand it bytes; it gives them back in order, intact, after a crash.

with walogs.open("orders.wal") as wal:
    lsn = wal.append(b"first")  # durable when it returns
    for lsn, data in wal:
        ...
"""

from walogs.assembly import open
from walogs.config import WalConfig
from walogs.errors import (
    Checkpointed,
    Closed,
    ConfigError,
    Corrupt,
    EntryTooLarge,
    Exists,
    Fenced,
    Indefinite,
    Locked,
    Missing,
    NoSpace,
    Poisoned,
    Reentered,
    StoreError,
    Unavailable,
    Unsafe,
    UnsupportedFormat,
    WalError,
)
from walogs.protocols import (
    AppendableStore,
    Codec,
    FrameContext,
    Pending,
    SegmentStore,
    StoreCapabilities,
    SyncPolicy,
)
from walogs.types import (
    MAX_ENTRY_SIZE,
    Clean,
    Commit,
    RecoveryReport,
    SegmentSummary,
    TailState,
    TruncatedAt,
)
from walogs.wal import Wal

__version__ = "0.1.0.dev0"

__all__ = [
    "MAX_ENTRY_SIZE",
    "AppendableStore",
    "Checkpointed",
    "Clean",
    "Closed",
    "Codec",
    "Commit",
    "ConfigError",
    "Corrupt",
    "EntryTooLarge",
    "Exists",
    "Fenced",
    "FrameContext",
    "Indefinite",
    "Locked",
    "Missing",
    "NoSpace",
    "Pending",
    "Poisoned",
    "RecoveryReport",
    "Reentered",
    "SegmentStore",
    "SegmentSummary",
    "StoreCapabilities",
    "StoreError",
    "SyncPolicy",
    "TailState",
    "TruncatedAt",
    "Unavailable",
    "Unsafe",
    "UnsupportedFormat",
    "Wal",
    "WalConfig",
    "WalError",
    "open",
]
