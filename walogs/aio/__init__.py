"""walogs for asyncio and trio: the same log, whose verbs are awaited.

async with walogs.aio.open("orders.wal") as wal:
    lsn = await wal.append(b"first")  # durable when it returns
    async for lsn, data in wal:
        ...

It needs anyio: `pip install walogs[aio]`. No call blocks the event loop: whatever touches the disk runs on another
thread. docs/async.md explains cancellation, back-pressure and several processes.
"""

from walogs.aio.appends import outcome_of
from walogs.aio.opening import Opening, open, open_config, reader
from walogs.aio.reader import AsyncWalReader
from walogs.aio.streams import AsyncStream, EntryStream
from walogs.aio.wal import AsyncWal

__all__ = [
    "AsyncStream",
    "AsyncWal",
    "AsyncWalReader",
    "EntryStream",
    "Opening",
    "open",
    "open_config",
    "outcome_of",
    "reader",
]
