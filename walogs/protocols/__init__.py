"""The contracts of the three kinds of component: stores, codecs and sync policies.

A store keeps bytes, a codec encodes and checks them, and a sync policy decides when they are synced. A component is any
object that has the members of its contract. It need not inherit from anything. Each docstring says who calls a method,
what is true when it returns, and what is true if it raises. `cursor_store.py` has the contract of a store that also
keeps cursors; it is imported only where cursors are used.
"""

from walogs.protocols.codec import (
    Codec,
    ExclusiveCodec,
    FrameContext,
    KeyedCodec,
    ReparameterizableCodec,
    authenticates,
)
from walogs.protocols.segment_store import (
    AppendableStore,
    ReadAheadStore,
    RepairableStore,
    SegmentStore,
    SizeListingStore,
    StoreCapabilities,
    SyncKind,
    TailListingStore,
    WaitingStore,
    is_appendable,
    is_repairable,
    read_many,
    segments_after,
    sizes_of,
)
from walogs.protocols.sync_policy import (
    Decision,
    Durability,
    SyncDeadline,
    SyncPolicy,
    Unsynced,
    always_sync,
)

__all__ = [
    "AppendableStore",
    "Codec",
    "Decision",
    "Durability",
    "ExclusiveCodec",
    "FrameContext",
    "KeyedCodec",
    "ReadAheadStore",
    "RepairableStore",
    "ReparameterizableCodec",
    "SegmentStore",
    "SizeListingStore",
    "StoreCapabilities",
    "SyncDeadline",
    "SyncKind",
    "SyncPolicy",
    "TailListingStore",
    "Unsynced",
    "WaitingStore",
    "always_sync",
    "authenticates",
    "is_appendable",
    "is_repairable",
    "read_many",
    "segments_after",
    "sizes_of",
]
