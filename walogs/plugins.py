"""The names that authors of plugins and components need. A program that only uses a log does not import them.

A plugin implements the hooks of `walogs.assembly.hookspecs`, marks them with `hookimpl`, and returns specs. A component
has the members of `SegmentStore`, `Codec` or `SyncPolicy`. It implements the other protocols to offer more. `Observer`
is in `walogs.events`. The errors that a component raises are in `walogs`, except for two that only stores raise:
`SegmentExists` and `SegmentNotFound`.
"""

from __future__ import annotations

from walogs.assembly.hookspecs import hookimpl
from walogs.assembly.specs import CodecSpec, CommandSpec, ObserverSpec, StoreSpec, SyncPolicySpec
from walogs.defaults.lock_file import PathLock
from walogs.defaults.mounts import NETWORK_FILE_SYSTEMS, file_system
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
from walogs.errors import SegmentExists, SegmentNotFound
from walogs.formats.crc32 import crc32
from walogs.foundation.attempts import Attempts
from walogs.foundation.closings import Closings
from walogs.foundation.quantities import Duration, Size
from walogs.foundation.servers import DEADLINE_SECONDS, check_deadline, is_server_address
from walogs.foundation.turns import TurnLock
from walogs.protocols import (
    AppendableStore,
    Codec,
    Decision,
    Durability,
    ExclusiveCodec,
    FrameContext,
    KeyedCodec,
    ReadAheadStore,
    RepairableStore,
    ReparameterizableCodec,
    SegmentStore,
    SizeListingStore,
    StoreCapabilities,
    SyncDeadline,
    SyncKind,
    SyncPolicy,
    TailListingStore,
    Unsynced,
    WaitingStore,
)
from walogs.protocols.cursor_store import CURSOR_BYTES, CursorLock, CursorStore

__all__ = [
    "CURSOR_BYTES",
    "DEADLINE_SECONDS",
    "NETWORK_FILE_SYSTEMS",
    "AppendableStore",
    "Attempts",
    "Closings",
    "Codec",
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
    "SegmentExists",
    "SegmentNotFound",
    "SegmentStore",
    "Size",
    "SizeListingStore",
    "StoreCapabilities",
    "StoreSpec",
    "SyncDeadline",
    "SyncKind",
    "SyncPolicy",
    "SyncPolicySpec",
    "TailListingStore",
    "TurnLock",
    "Unsynced",
    "WaitingStore",
    "above_standard",
    "check_deadline",
    "crc32",
    "file_system",
    "hookimpl",
    "is_server_address",
    "make_directories",
    "sync_ancestors",
    "sync_data",
    "sync_directory",
    "sync_full",
    "write_all",
    "write_zeros",
]
