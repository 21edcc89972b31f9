"""walogs for asyncio and trio: the same log, whose verbs are awaited.

async with walogs.aio.open("orders.wal") as wal:
    lsn = await wal.append(b"first")  # durable when it returns
    async for lsn, data in wal:
        ...

It needs anyio, which the extra `walogs[aio]` installs. No call blocks the event loop: what touches the disk runs on
another thread. docs/async.md explains cancellation, back-pressure and several processes.
"""

from walogs.foundation.pip_command import pip_install

try:
    from walogs.aio.appends import outcome_of
    from walogs.aio.awaited import Opening
    from walogs.aio.cursor import AsyncCursor
    from walogs.aio.opening import open, open_config, reader
    from walogs.aio.reader import AsyncWalReader
    from walogs.aio.streams import AsyncStream, EntryStream
    from walogs.aio.wal import AsyncWal
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "anyio":
        raise
    raise ModuleNotFoundError(f"walogs.aio needs anyio: {pip_install('walogs', 'aio')}", name="anyio") from error

__all__ = [
    "AsyncCursor",
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
