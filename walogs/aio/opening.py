"""Open a log for tasks. The work of `walogs.open` and `walogs.reader` is done on a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from walogs.aio.calls import ThreadCalls
from walogs.aio.reader import AsyncWalReader
from walogs.aio.wal import WRITER_THREADS, AsyncWal
from walogs.assembly import opening
from walogs.config_file.file import load_config

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator
    from types import TracebackType
    from typing import Any

    from typing_extensions import Unpack

    from walogs.assembly.config import Overrides, ReadingOverrides, WalConfig
    from walogs.engine.observation import Visibility
    from walogs.handles.reader import WalReader
    from walogs.handles.wal import Wal


class Handle(Protocol):
    """What `async with` closes."""

    async def close(self) -> None: ...


class SyncHandle(Protocol):
    """What is closed if the task was cancelled while the log was being opened."""

    def close(self) -> None: ...


H = TypeVar("H", bound=Handle)
S = TypeVar("S", bound=SyncHandle)


class Opening(Generic[H]):
    """A log that is about to be opened: write `async with` before it, or `await`.

    If the task is cancelled meanwhile, the log is closed again before the cancellation is raised.
    """

    def __init__(self, threads: int, name: str, make: Callable[[], S], wrap: Callable[[S, ThreadCalls], H]) -> None:
        self._threads = threads
        self._name = name
        self._make = make
        self._wrap = wrap
        self._handle: H | None = None

    async def _open(self) -> H:
        calls = ThreadCalls(self._threads, self._name)
        try:
            return self._wrap(await calls.finish(self._make, undo=lambda made: made.close()), calls)
        except BaseException:
            calls.close()
            raise

    def __await__(self) -> Generator[Any, Any, H]:
        return self._open().__await__()

    async def __aenter__(self) -> H:
        self._handle = await self._open()
        return self._handle

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            await self._handle.close()


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

    def make() -> Wal:
        configured = load_config(file, log=log, path=path, **overrides)
        return opening.open(configured.path, configured.config)

    return _opening(log or file, make)


def _opening(name: object, make: Callable[[], Wal]) -> Opening[AsyncWal]:
    def make_and_start() -> Wal:
        wal = make()
        wal._commits.start()  # otherwise the first append would wait for the thread's birth, and the loop with it
        return wal

    return Opening(WRITER_THREADS, f"{name}", make_and_start, AsyncWal)


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

    # Only one thread at a time may use a reader.
    return Opening(1, f"{path}", make, AsyncWalReader)
