"""Something that is opened on a thread: `async with` opens and closes it, and `await` only opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

    from walogs.aio.calls import ThreadCalls


class Handle(Protocol):
    """What `async with` closes."""

    async def close(self) -> None: ...


H = TypeVar("H", bound=Handle)


class Opening(Generic[H]):
    """A log or a cursor that is about to be opened: write `async with` before it, or `await`.

    If the task is cancelled meanwhile, it is closed again before the cancellation is raised.
    """

    def __init__(
        self,
        calls_of: Callable[[], ThreadCalls],
        make: Callable[[], Any],
        wrap: Callable[[Any, ThreadCalls], H],
        *,
        closes_calls: bool = False,
    ) -> None:
        """*make* opens the synchronous handle, on a thread. *closes_calls* says that the threads end with the handle,
        so they end too if it cannot be opened."""
        self._calls_of = calls_of
        self._make = make
        self._wrap = wrap
        self._closes_calls = closes_calls
        self._handle: H | None = None
        self._is_used = False

    async def _open(self) -> H:
        if self._is_used:
            raise RuntimeError("this was opened before: call `open` again for another handle")
        self._is_used = True
        calls = self._calls_of()
        try:
            return self._wrap(await calls.finish(self._make, undo=lambda made: made.close()), calls)
        except BaseException:
            if self._closes_calls:
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
