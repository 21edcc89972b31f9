"""The names that authors of plugins and components need. A program that only uses a log does not import them.

A plugin implements the hooks of `walogs.assembly.hookspecs`, marks them with `hookimpl`, and returns specs. The
protocols in this module are optional: a component implements them to offer more. The protocols that every component
needs (`SegmentStore`, `Codec`, `SyncPolicy`) are in `walogs`, and `Observer` is in `walogs.events`.
"""

from __future__ import annotations

from walogs.assembly.hookspecs import hookimpl
from walogs.assembly.specs import CodecSpec, CommandSpec, ObserverSpec, StoreSpec, SyncPolicySpec
from walogs.cursor_store import CURSOR_BYTES, CursorLock, CursorStore
from walogs.defaults.lock_file import PathLock
from walogs.defaults.mounts import file_system
from walogs.defaults.posix import (
    above_standard,
    make_directories,
    sync_ancestors,
    sync_data,
    sync_directory,
    sync_full,
    write_all,
    write_zeros,
)
from walogs.formats.crc32 import crc32
from walogs.foundation.closings import Closings
from walogs.foundation.quantities import Duration, Size
from walogs.foundation.turns import TurnLock
from walogs.protocols import (
    AppendableStore,
    Decision,
    Durability,
    ExclusiveCodec,
    FrameContext,
    KeyedCodec,
    ReadAheadStore,
    RepairableStore,
    ReparameterizableCodec,
    SizeListingStore,
    StoreCapabilities,
    SyncDeadline,
    SyncKind,
    TailListingStore,
    Unsynced,
    WaitingStore,
)

__all__ = [
    "CURSOR_BYTES",
    "AppendableStore",
    "Closings",
    "CodecSpec",
    "CommandSpec",
    "CursorLock",
    "CursorStore",
    "Decision",
    "Durability",
    "Duration",
    "ExclusiveCodec",
    "FrameContext",
    "KeyedCodec",
    "ObserverSpec",
    "PathLock",
    "ReadAheadStore",
    "RepairableStore",
    "ReparameterizableCodec",
    "Size",
    "SizeListingStore",
    "StoreCapabilities",
    "StoreSpec",
    "SyncDeadline",
    "SyncKind",
    "SyncPolicySpec",
    "TailListingStore",
    "TurnLock",
    "Unsynced",
    "WaitingStore",
    "above_standard",
    "crc32",
    "file_system",
    "hookimpl",
    "make_directories",
    "sync_ancestors",
    "sync_data",
    "sync_directory",
    "sync_full",
    "write_all",
    "write_zeros",
]
