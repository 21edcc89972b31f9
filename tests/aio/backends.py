"""Run a test's coroutine on asyncio, on uvloop and on trio."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import anyio
import pytest

import walogs.aio
from walogs.aio.calls import ThreadCalls

T = TypeVar("T")

BACKENDS: Final[dict[str, dict[str, Any]]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


def run_on(backend: str, main: Callable[[], Awaitable[T]]) -> T:
    """Run *main* to its end on an event loop of its own. Skip the test if the loop is not installed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} has no release for this Python")
    return anyio.run(main, **BACKENDS[backend])


on_each_backend = pytest.mark.parametrize("backend", list(BACKENDS))


def for_tasks(wal: walogs.Wal) -> walogs.aio.AsyncWal:
    """Return the handle for tasks of a log that a test has made, for example with threads that it steps by hand."""
    return walogs.aio.AsyncWal(wal, ThreadCalls(2, "the test's log"))


async def iterations(count: int = 3) -> None:
    """Let the other tasks of the loop run, in so many iterations of it. One hands appends over, and the next one wakes
    their tasks."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()
