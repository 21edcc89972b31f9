"""Fetch several things at the same time, and yield them in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

T = TypeVar("T")


def fetch_in_order(numbers: Sequence[int], fetch: Callable[[int], T], *, at_once: int) -> Iterator[tuple[int, T]]:
    """Yield (number, what *fetch* returns for it) in order. At most *at_once* results are held or under way.

    Raises what *fetch* raises, when its turn comes. If the caller stops early, what is under way ends by itself.
    """
    if len(numbers) < 2 or at_once == 1:
        for number in numbers:
            yield number, fetch(number)
        return
    threads = ThreadPoolExecutor(min(at_once, len(numbers)), "walogs-object-store")
    ahead: deque[tuple[int, Future[T]]] = deque()
    try:
        for number in numbers:
            ahead.append((number, threads.submit(fetch, number)))
            if len(ahead) == at_once:
                first, fetched = ahead.popleft()
                yield first, fetched.result()
        while ahead:
            first, fetched = ahead.popleft()
            yield first, fetched.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
