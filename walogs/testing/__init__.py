"""For tests of walogs, and of what others build for it: models of both shapes of store that crash and fail on command.

`MemoryStore` on a `MemoryDisk` is a local store under kills, power cuts and failing syncs; `MemoryChainStore` on a
`MemoryCloud` is object storage with lost answers. Each model's faults are listed at the top of its file.
"""

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
    "Fault",
    "Handle",
    "LawBroken",
    "MemoryChainStore",
    "MemoryCloud",
    "MemoryDisk",
    "MemoryStore",
    "Process",
    "Schedule",
    "SimulatedCrash",
    "Watched",
    "WriteHook",
    "assert_watermark_law",
    "assert_witness_law",
]
