"""The checks of `size` and `read`: the bytes that are there, all of them, in any thread and without a lock."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Final

from walogs.errors import SegmentNotFound
from walogs.foundation.foreign import describe_error
from walogs.protocols import read_many
from walogs.testing.contract import must, must_not_raise, must_raise, rests_on, shorten
from walogs.testing.store_places import SMALL, StorePlaces

if TYPE_CHECKING:
    from walogs.protocols import SegmentStore

__all__ = ["ReadingChecks"]

ROUNDS: Final = 5
"""When all segments exist, each thread reads them all at least this often, in random order."""
LARGE: Final = 3 << 20
"""A size in bytes that no store reads or sends in one piece."""


class ReadingChecks(StorePlaces):
    """The checks of the reading methods of a `SegmentStore`."""

    def test_what_is_not_there_is_missing(self) -> None:
        """`SegmentStore.read`: "Raise `SegmentNotFound` if the segment is not there." So does `size`; for what was
        removed too, and beside the writer."""
        place = self.place()
        writer = self.writer(place)
        for number in (1, 2):
            writer.create(number, self.segment(SMALL))
        writer.remove([1])
        for who, store in (("the writer", writer), ("a store beside it", self.at(place))):
            for number, why in ((1, "removed"), (7, "never created")):
                must_raise(SegmentNotFound, f"{who}: size() of a segment {why}", store.size, number)
                must_raise(SegmentNotFound, f"{who}: read() of a segment {why}", store.read, number)

    def test_a_size_is_in_bytes(self) -> None:
        """`SegmentStore.size`: "Return the size of the segment in bytes"."""
        store = self.writer(self.place())
        for number, size in enumerate((512, 513, 4095, 4096, 4097, 70_001), start=1):
            store.create(number, self.segment(size))
            must(store.size(number) == size, f"of a segment of {size} bytes it says {store.size(number)}")

    def test_a_read_gives_the_bytes_it_is_asked_for(self) -> None:
        """`SegmentStore.read`: "Return the bytes [start, end) of the segment". As far as the segment goes."""
        store = self.writer(self.place())
        whole = self.segment(5000)
        store.create(1, whole)
        must(type(store.read(1)) is bytes, f"it gives {type(store.read(1)).__name__}: bytes")
        edges = (0, 1, 511, 512, 513, 4095, 4096, 4097, 4999, 5000)
        for start in edges:
            for end in (*(edge for edge in edges if edge >= start), None, 5001, 9000):
                got, expected = store.read(1, start, end), whole[start:end]
                told = f"read(1, {start}, {end}) gives {len(got)} bytes, and other ones than [{start}, {end})"
                must(got == expected, told)

    def test_a_read_is_never_short(self) -> None:
        """`SegmentStore.read`: "Raise `OSError` if fewer bytes can be read than `size()` says are there." """
        store = self.writer(self.place())
        size = min(LARGE, store.capabilities.segment_bytes_max)
        whole = self.segment(size)
        store.create(1, whole)
        for start, end in ((0, None), (0, size), (1, size - 1), (size // 2, None)):
            got = store.read(1, start, end)
            expected = whole[start:end]
            must(len(got) >= len(expected), f"read(1, {start}, {end}) gives {len(got):,} of {len(expected):,} bytes")
            must(got == expected, f"read(1, {start}, {end}) gives other bytes than were created")

    @rests_on("test_a_read_is_never_short", "test_what_is_not_there_is_missing")
    def test_many_segments_are_read_in_the_order_asked_for(self) -> None:
        """`ReadAheadStore.read_many`: "Yield (number, size, the bytes [0, *end*) as far as they go) for each of
        *numbers*, in this order." For a store with that member; any other is asked by `read()`."""
        place = self.place()
        writer = self.writer(place)
        contents = {number: self.segment(400 + 200 * number, number) for number in range(1, 41)}
        for number, content in contents.items():
            writer.create(number, content)
        writer.remove([7])
        del contents[7]
        for store in (writer, self.at(place)):
            for numbers in (range(1, 42), range(41, 0, -1), [3], [7], [], [40, 2, 39, 4]):
                for end in (None, 512, 100_000):
                    got = list(read_many(store, numbers, end))
                    wanted = [
                        (n, len(contents[n]), contents[n][:end]) if n in contents else (n, 0, None) for n in numbers
                    ]
                    must(got == wanted, f"read_many({shorten(numbers)}, {end}) gives something else")

    @rests_on("test_many_segments_are_read_in_the_order_asked_for")
    def test_a_reading_of_many_segments_can_stop_anywhere(self) -> None:
        """`ReadAheadStore.read_many`: "The caller can stop at any item", and "Several threads can each have one." """
        place = self.place()
        writer = self.writer(place)
        for number in range(1, 31):
            writer.create(number, self.segment(SMALL, number))
        store = self.at(place)
        first, second = read_many(store, range(1, 31)), read_many(store, range(30, 0, -1))
        for number in range(1, 6):
            must(next(first) == (number, SMALL, self.segment(SMALL, number)), f"segment {number}, of two readings")
            must(next(second)[0] == 31 - number, f"segment {31 - number}, of two readings")
        first.close()  # type: ignore[attr-defined]
        del second
        must(
            [n for n, _, _ in read_many(store, range(1, 31))] == [*range(1, 31)], "after two readings that were stopped"
        )
        store.close()

    def test_reading_needs_no_acquire(self) -> None:
        """`SegmentStore`: "`segments`, `size` and `read` change nothing and need no `acquire()`." """
        place = self.place()
        writer = self.writer(place)
        writer.create(1, self.segment(SMALL))
        beside = self.at(place)
        must_not_raise("segments() beside the writer", beside.segments)
        must(beside.size(1) == SMALL, "size() beside the writer")
        must(beside.read(1) == self.segment(SMALL), "read() beside the writer")
        writer.close()
        must_not_raise("acquire() while nobody but a reader is there", self.at(place).acquire)

    @rests_on("test_create_is_whole_or_not_at_all")
    def test_any_thread_may_read_beside_the_writer(self) -> None:
        """`SegmentStore`: "Any thread can call the reading methods at any time, also while another thread writes." """
        place = self.place()
        writer, beside = self.writer(place), self.at(place)
        contents = {number: self.segment(20_000, number) for number in range(1, 13)}
        complaints: list[str] = []
        done = threading.Event()

        def look(store: SegmentStore, rng: random.Random) -> None:
            rounds = 0
            try:
                while not done.is_set() or rounds < ROUNDS:
                    numbers = list(store.segments())
                    rng.shuffle(numbers)
                    rounds += len(numbers) == len(contents)
                    for number in numbers:
                        got = store.read(number, 0, store.size(number))
                        if got != contents[number]:
                            complaints.append(f"segment {number} was seen with {len(got)} bytes, not whole")
                            return
            except Exception as error:  # noqa: BLE001 (reported below)
                complaints.append(describe_error(error))

        threads = [
            threading.Thread(target=look, args=(store, random.Random(seed)))
            for seed, store in enumerate((writer, writer, beside))
        ]
        for thread in threads:
            thread.start()
        try:
            for number, content in contents.items():
                writer.create(number, content)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        must(not complaints, "; ".join(complaints))
