"""walogs: a crash-safe write-ahead log. You hand it bytes; it gives them back in order, intact, after a crash.

with walogs.open("orders.wal") as wal:
    lsn = wal.append(b"first")  # durable when it returns
    for lsn, data in wal:
        ...
"""

from typing import TYPE_CHECKING, Any, Final

from walogs.assembly import open
from walogs.config import WalConfig
from walogs.errors import (
    Checkpointed,
    Closed,
    ConfigError,
    Corrupt,
    CutBelow,
    EntryTooLarge,
    Exists,
    Fenced,
    Indefinite,
    Locked,
    Missing,
    NoSpace,
    PluginError,
    Poisoned,
    Reentered,
    StoreError,
    Unavailable,
    Unsafe,
    UnsupportedFormat,
    WalError,
)
from walogs.formats.crc32 import crc32
from walogs.protocols import (
    AppendableStore,
    Codec,
    FrameContext,
    Pending,
    ReadsOtherParameters,
    RefusesOtherCodecs,
    RepairableStore,
    SegmentStore,
    StoreCapabilities,
    SyncBy,
    SyncPolicy,
)
from walogs.types import (
    MAX_ENTRY_SIZE,
    BackupReport,
    Clean,
    Commit,
    Entry,
    Finding,
    Gap,
    RecoveryReport,
    RepairReport,
    SegmentSummary,
    TailState,
    TruncatedAt,
    Verification,
)
from walogs.wal import Wal

if TYPE_CHECKING:
    from walogs.assembly import open_reader as reader
    from walogs.config_file import load_config, open_config
    from walogs.defaults.sync_policies import IntervalPolicy
    from walogs.events import (
        AppendEvent,
        CheckpointEvent,
        CorruptionEvent,
        Event,
        Observer,
        RecoveryEvent,
        RotationEvent,
        SyncEvent,
    )
    from walogs.hookspecs import hookimpl
    from walogs.inspection.backup import backup
    from walogs.inspection.repair import repair
    from walogs.inspection.salvage import salvage
    from walogs.inspection.verify import verify
    from walogs.quantities import Duration, Size
    from walogs.specs import CodecSpec, CommandSpec, ObserverSpec, StoreSpec, SyncPolicySpec
    from walogs.wal_reader import WalReader

__version__ = "0.1.0.dev0"

LATER: Final = {
    "AppendEvent": ("walogs.events", "AppendEvent"),
    "CheckpointEvent": ("walogs.events", "CheckpointEvent"),
    "CodecSpec": ("walogs.specs", "CodecSpec"),
    "CommandSpec": ("walogs.specs", "CommandSpec"),
    "CorruptionEvent": ("walogs.events", "CorruptionEvent"),
    "Duration": ("walogs.quantities", "Duration"),
    "Event": ("walogs.events", "Event"),
    "IntervalPolicy": ("walogs.defaults.sync_policies", "IntervalPolicy"),
    "Observer": ("walogs.events", "Observer"),
    "ObserverSpec": ("walogs.specs", "ObserverSpec"),
    "RecoveryEvent": ("walogs.events", "RecoveryEvent"),
    "RotationEvent": ("walogs.events", "RotationEvent"),
    "Size": ("walogs.quantities", "Size"),
    "StoreSpec": ("walogs.specs", "StoreSpec"),
    "SyncEvent": ("walogs.events", "SyncEvent"),
    "SyncPolicySpec": ("walogs.specs", "SyncPolicySpec"),
    "WalReader": ("walogs.wal_reader", "WalReader"),
    "backup": ("walogs.inspection.backup", "backup"),
    "hookimpl": ("walogs.hookspecs", "hookimpl"),
    "load_config": ("walogs.config_file", "load_config"),
    "open_config": ("walogs.config_file", "open_config"),
    "reader": ("walogs.assembly", "open_reader"),
    "repair": ("walogs.inspection.repair", "repair"),
    "salvage": ("walogs.inspection.salvage", "salvage"),
    "verify": ("walogs.inspection.verify", "verify"),
}
"""Imported when they are asked for: a program that appends does not pay for them."""


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module 'walogs' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = LATER[name]
    found = globals()[name] = getattr(import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER})


__all__ = [
    "MAX_ENTRY_SIZE",
    "AppendEvent",
    "AppendableStore",
    "BackupReport",
    "CheckpointEvent",
    "Checkpointed",
    "Clean",
    "Closed",
    "Codec",
    "CodecSpec",
    "CommandSpec",
    "Commit",
    "ConfigError",
    "Corrupt",
    "CorruptionEvent",
    "CutBelow",
    "Duration",
    "Entry",
    "EntryTooLarge",
    "Event",
    "Exists",
    "Fenced",
    "Finding",
    "FrameContext",
    "Gap",
    "Indefinite",
    "IntervalPolicy",
    "Locked",
    "Missing",
    "NoSpace",
    "Observer",
    "ObserverSpec",
    "Pending",
    "PluginError",
    "Poisoned",
    "ReadsOtherParameters",
    "RecoveryEvent",
    "RecoveryReport",
    "Reentered",
    "RefusesOtherCodecs",
    "RepairReport",
    "RepairableStore",
    "RotationEvent",
    "SegmentStore",
    "SegmentSummary",
    "Size",
    "StoreCapabilities",
    "StoreError",
    "StoreSpec",
    "SyncBy",
    "SyncEvent",
    "SyncPolicy",
    "SyncPolicySpec",
    "TailState",
    "TruncatedAt",
    "Unavailable",
    "Unsafe",
    "UnsupportedFormat",
    "Verification",
    "Wal",
    "WalConfig",
    "WalError",
    "WalReader",
    "backup",
    "crc32",
    "hookimpl",
    "load_config",
    "open",
    "open_config",
    "reader",
    "repair",
    "salvage",
    "verify",
]
