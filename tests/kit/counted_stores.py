"""Stores that count their calls, each of which would be a request of a store behind a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from walogs.testing import MemoryCloud, MemoryImmutableStore


class Counted(MemoryImmutableStore):
    """Counts the calls. `ahead` counts the segments that `read_many` has fetched, and `alone` those of `read`."""

    def __init__(self, cloud: MemoryCloud) -> None:
        super().__init__(cloud)
        self.calls: Counter[str] = Counter()

    def counted(self, call: Callable[[], Any]) -> Counter[str]:
        self.calls.clear()
        call()
        return +self.calls

    def segments(self) -> Sequence[int]:
        self.calls["lists"] += 1
        return super().segments()

    def segments_after(self, number: int) -> Sequence[int]:
        self.calls["lists"] += 1
        return super().segments_after(number)

    def sizes(self) -> Mapping[int, int]:
        self.calls["lists"] += 1
        return super().sizes()

    def size(self, number: int) -> int:
        self.calls["sizes"] += 1
        return super().size(number)

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        self.calls["alone"] += 1
        return super().read(number, start, end)

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        for number in numbers:
            self.calls["ahead"] += 1
            content = self.cloud.objects.get(number)
            yield (number, 0, None) if content is None else (number, len(content), content[:end])


class CountedWaiting(Counted):
    """It is told of the next segment, as by a push of its server."""

    def __init__(self, cloud: MemoryCloud) -> None:
        super().__init__(cloud)
        self.coming: list[Callable[[], object]] = []

    def wait_beyond(self, number: int, seconds: float) -> bool:
        self.calls["waits"] += 1
        if self.coming:
            self.coming.pop(0)()
            return True
        return False
