"""The testing kit: contracts and models for tests of walogs and of its components (docs/testing-a-backend.md).

**Contracts.** `StoreContract`, `CodecContract` and `SyncPolicyContract` test a component against every sentence of its
protocol. pytest collects a subclass, and `conform` runs one without pytest.

**Models.** There is one for each shape of store, and a test decides when it crashes or fails. `MemoryStore` on a
`MemoryDisk` is a local store with kills, power cuts and failing syncs. `MemoryImmutableStore` on a `MemoryCloud` is
object storage with lost answers. The top of each model's file lists its faults.
"""

from walogs.testing.codec_contract import CodecContract
from walogs.testing.contract import Contract, ContractBroken, NotOffered, Outcome, conform
from walogs.testing.faults import ArmedFault, LawBroken, Schedule, SimulatedCrash
from walogs.testing.memory_disk import (
    ANY_STEP,
    CHANGES,
    CRASH,
    FAILED_SYNC,
    SECTOR,
    SHORT_WRITE,
    Fault,
    Handle,
    MemoryDisk,
    Process,
)
from walogs.testing.memory_immutable_store import CLOUD_CALLS, CloudFault, MemoryCloud, MemoryImmutableStore
from walogs.testing.memory_store import DURABLE_MARK, MemoryStore, WriteHook
from walogs.testing.oracle import Oracle
from walogs.testing.store_contract import StoreContract
from walogs.testing.sync_policy_contract import SyncPolicyContract
from walogs.testing.watermark import WatchedStore, assert_durable_mark_law, assert_watermark_law

__all__ = [
    "ANY_STEP",
    "CHANGES",
    "CLOUD_CALLS",
    "CRASH",
    "DURABLE_MARK",
    "FAILED_SYNC",
    "SECTOR",
    "SHORT_WRITE",
    "ArmedFault",
    "CloudFault",
    "CodecContract",
    "Contract",
    "ContractBroken",
    "Fault",
    "Handle",
    "LawBroken",
    "MemoryCloud",
    "MemoryDisk",
    "MemoryImmutableStore",
    "MemoryStore",
    "NotOffered",
    "Oracle",
    "Outcome",
    "Process",
    "Schedule",
    "SimulatedCrash",
    "StoreContract",
    "SyncPolicyContract",
    "WatchedStore",
    "WriteHook",
    "assert_durable_mark_law",
    "assert_watermark_law",
    "conform",
]
