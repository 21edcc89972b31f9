"""Immutable-segment stores that break one rule each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from typing_extensions import Buffer

from tests.testing.kit_places import InACloud, Waiting
from walogs.errors import SegmentExists, Unavailable
from walogs.protocols import StoreCapabilities
from walogs.testing import MemoryCloud, MemoryImmutableStore


class OneNameForAll(MemoryImmutableStore):
    def segment_name(self, number: int) -> str:
        return f"{number % 10:020d}"


class ChainThatListsNothing(MemoryImmutableStore):
    """Who does not answer has nothing, it thinks."""

    def segments(self) -> Sequence[int]:
        try:
            return super().segments()
        except Unavailable:
            return []


class ChainThatTriesAgain(MemoryImmutableStore):
    """The first try was not answered, the second meets a segment: its own, it thinks."""

    def create(self, number: int, data: Buffer) -> None:
        try:
            super().create(number, data)
        except Unavailable:
            with contextlib.suppress(SegmentExists):
                super().create(number, data)


class ChainThatTimesOut(MemoryImmutableStore):
    """It gives the error of its client to the engine as it is."""

    def create(self, number: int, data: Buffer) -> None:
        try:
            super().create(number, data)
        except Unavailable as error:
            raise TimeoutError(str(error)) from error


class ChainThatSwallows(MemoryImmutableStore):
    def create(self, number: int, data: Buffer) -> None:
        with contextlib.suppress(Unavailable):
            super().create(number, data)


class ChainThatWritesWhenClosed(MemoryImmutableStore):
    """It connects again for whoever calls it."""

    def close(self) -> None:
        pass


class ChainCreateThatOverwrites(MemoryImmutableStore):
    def create(self, number: int, data: Buffer) -> None:
        self.cloud.objects.pop(number, None)
        self.cloud._highest = 0
        super().create(number, data)


class ChainThatKeepsTheCallersBuffer(MemoryImmutableStore):
    def create(self, number: int, data: Buffer) -> None:
        super().create(number, data)
        self.cloud.objects[number] = memoryview(data)  # type: ignore[assignment]

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        return bytes(super().read(number, start, end))


class ChainThatLooksFirst(MemoryImmutableStore):
    """Look, then put: between the two, somebody else does the same."""

    def create(self, number: int, data: Buffer) -> None:
        if number in self.cloud.objects:
            raise SegmentExists(self.segment_name(number))
        time.sleep(0.002)
        self.cloud.discard([number])
        super().create(number, data)


class ChainThatClaimsToReuse(MemoryImmutableStore):
    def __init__(self, cloud: MemoryCloud, **options: Any) -> None:
        super().__init__(cloud, **options)
        self.capabilities = replace(self.capabilities, numbers_reused=True)


class ChainThatAnswersToWrite(MemoryImmutableStore):
    def write(self, number: int, offset: int, data: Buffer) -> None:
        """Kept in a cache that nobody reads."""


class ChainThatShowsWhatItDoubts(MemoryImmutableStore):
    def __init__(self, cloud: MemoryCloud, **options: Any) -> None:
        super().__init__(cloud, **options)
        self.capabilities: StoreCapabilities = replace(self.capabilities, exists_means_durable=False)


class ChainThatLagsBehind(MemoryImmutableStore):
    """A new process does not see the newest object yet, and gives its LSNs to others."""

    def __init__(self, cloud: MemoryCloud, **options: Any) -> None:
        super().__init__(cloud, **options)
        self._unseen = set(cloud.objects) and {max(cloud.objects)}

    def segments(self) -> Sequence[int]:
        return [number for number in super().segments() if number not in self._unseen]


class ChainListedBySixDigits(MemoryImmutableStore):
    """Its names are in order up to the millionth segment."""

    def segments(self) -> Sequence[int]:
        return sorted(super().segments(), key=lambda number: f"{number:06d}")


class ChainThatRemembersSizes(MemoryImmutableStore):
    """What it has listed once is not listed again."""

    def sizes(self) -> Mapping[int, int]:
        self.listed: dict[int, int] = {**super().sizes(), **getattr(self, "listed", {})}
        return self.listed


class ChainThatYieldsWhatComesFirst(MemoryImmutableStore):
    """Of many requests, a small answer arrives before a large one."""

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        yield from sorted(super().read_many(numbers, end), key=lambda item: item[1])


class ChainThatWaitsForOneMore(Waiting):
    """It waits for the segment after the next."""

    def wait_beyond(self, number: int, seconds: float) -> bool:
        return super().wait_beyond(number + 1, min(seconds, 0.2))


class ChainWithOneReading(MemoryImmutableStore):
    """A second reading ends the first one."""

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        self.reading = reading = object()
        for item in super().read_many(numbers, end):
            if self.reading is not reading:
                return
            yield item


class ChainInOneBucket(InACloud):
    """Two places are one."""

    def cloud(self, place: Path) -> MemoryCloud:
        return super().cloud(place.parent)

    def place(self) -> Path:
        places = getattr(self, "given", 0)
        self.given = places + 1
        return self.scratch() / f"place-{places}"
