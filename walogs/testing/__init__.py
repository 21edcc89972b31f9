"""For tests of walogs, and of what others build for it (docs/testing-a-backend.md).

Contracts: `StoreContract`, `CodecContract` and `SyncPolicyContract` hold a component to every sentence of its protocol;
pytest collects a subclass, and `conform` runs one without pytest.

Models of both shapes of store that crash and fail on command: `MemoryStore` on a `MemoryDisk` is a local store under
kills, power cuts and failing syncs; `MemoryChainStore` on a `MemoryCloud` is object storage with lost answers. Each
model's faults are listed at the top of its file.
"""

from walogs.testing.codec_contract import CodecContract
from walogs.testing.contract import Contract, ContractBroken, NotOffered, Outcome, conform
from walogs.testing.faults import Armed, LawBroken, Schedule, SimulatedCrash
from walogs.testing.memory_chain_store import CLOUD_CALLS, CloudFault, MemoryChainStore, MemoryCloud
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
from walogs.testing.memory_store import WITNESS, MemoryStore, WriteHook
from walogs.testing.oracle import Oracle
from walogs.testing.store_contract import StoreContract
from walogs.testing.sync_policy_contract import SyncPolicyContract
from walogs.testing.watermark import Watched, assert_watermark_law, assert_witness_law

__all__ = [
    "ANY_STEP",
    "CHANGES",
    "CLOUD_CALLS",
    "CRASH",
    "FAILED_SYNC",
    "SECTOR",
    "SHORT_WRITE",
    "WITNESS",
    "Armed",
    "CloudFault",
    "CodecContract",
    "Contract",
    "ContractBroken",
    "Fault",
    "Handle",
    "LawBroken",
    "MemoryChainStore",
    "MemoryCloud",
    "MemoryDisk",
    "MemoryStore",
    "NotOffered",
    "Oracle",
    "Outcome",
    "Process",
    "Schedule",
    "SimulatedCrash",
    "StoreContract",
    "SyncPolicyContract",
    "Watched",
    "WriteHook",
    "assert_watermark_law",
    "assert_witness_law",
    "conform",
]
