"""Open a log for tasks. The work of `walogs.open` and `walogs.reader` is done on a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from walogs.aio.awaited import Opening
from walogs.aio.calls import ThreadCalls
from walogs.aio.reader import READER_THREADS, AsyncWalReader
from walogs.aio.wal import READING_THREADS, AsyncWal
from walogs.assembly import opening
from walogs.config_file import file as file_config

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from typing_extensions import Unpack

    from walogs.assembly.config import Overrides, ReadingOverrides, WalConfig
    from walogs.engine.observation import Visibility
    from walogs.handles.reader import WalReader
    from walogs.handles.wal import Wal


def open(
    path: str | os.PathLike[str] | None = None, config: WalConfig | None = None, **overrides: Unpack[Overrides]
) -> Opening[AsyncWal]:
    """Open a log for writing, as `walogs.open` does: `async with walogs.aio.open(path) as wal`.

    `await walogs.aio.open(path)` returns the handle, which the caller then closes. Either raises what `walogs.open`
    raises.
    """
    return _opening(path, lambda: opening.open(path, config, **overrides))


def open_config(
    file: str | os.PathLike[str],
    *,
    log: str | None = None,
    path: str | os.PathLike[str] | None = None,
    **overrides: Unpack[Overrides],
) -> Opening[AsyncWal]:
    """Open a log that *file* describes, as `walogs.open_config` does: `async with walogs.aio.open_config(file) as wal`.

    `await` and `async with` raise what `walogs.open_config` raises.
    """
    return _opening(log or file, lambda: file_config.open_config(file, log=log, path=path, **overrides))


def _opening(name: object, make: Callable[[], Wal]) -> Opening[AsyncWal]:
    def make_and_start() -> Wal:
        wal = make()
        wal._commits.start()  # otherwise the first append would wait for the thread's birth, and the loop with it
        return wal

    return Opening(lambda: ThreadCalls(READING_THREADS, f"{name}"), make_and_start, AsyncWal, closes_calls=True)


def reader(
    path: str | os.PathLike[str] | None = None,
    config: WalConfig | None = None,
    *,
    visibility: Visibility = "durable",
    **overrides: Unpack[ReadingOverrides],
) -> Opening[AsyncWalReader]:
    """Open a log for reading, as `walogs.reader` does: `async with walogs.aio.reader(path) as reader`.

    `await` and `async with` raise what `walogs.reader` raises.
    """

    def make() -> WalReader:
        return opening.reader(path, config, visibility=visibility, **overrides)

    return Opening(lambda: ThreadCalls(READER_THREADS, f"{path}"), make, AsyncWalReader, closes_calls=True)
