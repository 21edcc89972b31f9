"""The checks of `segments` and `segments_after`: what is listed is what is there now."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from walogs.errors import SegmentNotFound
from walogs.protocols import WaitingStore, segments_after, sizes_of
from walogs.testing.contract import NotOffered, must, must_raise, rests_on, shorten
from walogs.testing.store_places import SMALL, StorePlaces, must_hold

__all__ = ["ListingChecks"]


class ListingChecks(StorePlaces):
    """The checks of the listing of a `SegmentStore`."""

    def test_nothing_is_listed_where_nothing_is(self) -> None:
        """`SegmentStore.segments`: "It is empty if nothing is there yet." """
        place = self.place()
        must(list(self.at(place).segments()) == [], "before acquire()")
        must(list(self.writer(place).segments()) == [], "after acquire()")

    def test_the_listing_is_ascending(self) -> None:
        """`SegmentStore.segments`: "Return the numbers of the segments that are there, ascending." Numbers, not names:
        10 comes after 9."""
        store = self.writer(self.place())
        numbers = list(range(1, 13))
        for number in numbers:
            store.create(number, self.segment(SMALL, number))
        got = list(store.segments())
        must(got == numbers, f"it lists {got}, not {numbers}")

    @rests_on("test_the_listing_is_ascending")
    def test_numbers_with_gaps_are_listed_in_order(self) -> None:
        """`StoreCapabilities.number_gaps`: "Whether `create` takes every number that is free." 1,000,000 comes after
        999,999."""
        store = self.writer(self.place())
        if not store.capabilities.number_gaps:
            raise NotOffered("its numbers have no gaps: create() takes the next number only")
        numbers = [2, 9, 10, 100, 999_999, 1_000_000]
        for number in numbers:
            store.create(number, self.segment(SMALL, number))
        got = list(store.segments())
        must(got == numbers, f"it lists {got}, not {numbers}")

    def test_the_listing_is_a_sequence(self) -> None:
        """`SegmentStore.segments`: "Return the numbers of the segments that are there, ascending." It can be counted,
        indexed and read twice."""
        store = self.writer(self.place())
        for number in (1, 2, 3):
            store.create(number, self.segment(SMALL, number))
        numbers: object = store.segments()
        must(isinstance(numbers, Sequence), f"segments() gives {shorten(numbers)}: a Sequence")
        must(all(type(number) is int for number in store.segments()), f"it lists {shorten(numbers)}: each an int")

    def test_the_listing_is_fresh(self) -> None:
        """`SegmentStore.segments`: "reflects every `create` and `remove` that has returned". This includes other
        processes' calls."""
        place = self.place()
        writer, beside = self.writer(place), self.at(place)
        there: list[int] = []

        def look(after: str) -> None:
            for who, store in (("the writer", writer), ("a store beside it", beside), ("a new one", self.at(place))):
                got = list(store.segments())
                must(got == there, f"after {after}, {who} lists {got}, not {there}")

        look("acquire()")
        for number in (1, 2, 3, 4):
            writer.create(number, self.segment(SMALL, number))
            there.append(number)
            look(f"create({number})")
        for number in (1, 3):
            writer.remove([number])
            there.remove(number)
            look(f"remove([{number}])")

    def test_what_is_newer_is_listed(self) -> None:
        """`TailListingStore.segments_after`: "Return the numbers above *number*, ascending, as `segments()` would list
        them now." For a store with that member; of any other `segments()` is asked."""
        place = self.place()
        writer, beside = self.writer(place), self.at(place)

        def look(after: str) -> None:
            there = list(writer.segments())
            for store in (writer, beside, self.at(place)):
                for number in range(1, 8):
                    got, wanted = list(segments_after(store, number)), [other for other in there if other > number]
                    must(got == wanted, f"after {after}, {got} are above {number}, and {wanted} are there")

        for number in range(1, 7):
            writer.create(number, self.segment(SMALL, number))
            look(f"create({number})")
        writer.remove([1, 2, 3])
        look("remove([1, 2, 3])")
        writer.create(7, self.segment(SMALL, 7))
        look("create(7)")

    @rests_on("test_what_is_newer_is_listed")
    def test_waiting_ends_when_the_next_segment_is_there(self) -> None:
        """`WaitingStore.wait_beyond`: "Wait until there may be a segment above *number*, for at most so many *seconds*
        and the time of one request." """
        place = self.place()
        writer, beside = self.writer(place), self.at(place)
        if not isinstance(beside, WaitingStore):
            raise NotOffered("it has no wait_beyond(): readers list its segments again and again")
        for number in (1, 2):
            writer.create(number, self.segment(SMALL, number))
        must(beside.wait_beyond(1, 300), "segment 2 is there, and wait_beyond(1, 300) says that none is")
        must(not beside.wait_beyond(2, 0), "wait_beyond(2, 0) says that there is more than segment 2")
        coming = threading.Timer(0.05, writer.create, (3, self.segment(SMALL, 3)))
        coming.start()
        try:
            must(beside.wait_beyond(2, 300), "segment 3 came, and wait_beyond(2, 300) did not notice")
        finally:
            coming.join()
        writer.remove([3])
        must(not self.at(place).wait_beyond(3, 0), "nothing is above segment 3")  # type: ignore[attr-defined]

    @rests_on("test_what_was_read_before_is_read_anew")
    def test_sizes_are_those_of_the_segments(self) -> None:
        """`SizeListingStore.sizes`: "Return the size in bytes of each segment that `segments()` would list now, by its
        number." For a store with that member; of any other `size()` is asked."""
        place = self.place()
        writer, beside = self.writer(place), self.at(place)
        for number, size in enumerate((512, 700, 20_000), start=1):
            writer.create(number, self.segment(size))
            for store in (writer, beside):
                there = store.segments()
                got, wanted = sizes_of(store, [*there, number + 1]), {other: store.size(other) for other in there}
                must(got == wanted, f"after create({number}) the sizes are {got}, not {wanted}")
        writer.remove([2])
        for store in (writer, beside):
            got = sizes_of(store, [1, 2, 3])
            must(got == {1: 512, 3: 20_000}, f"after remove([2]) the sizes are {got}")

    @rests_on("test_removed_numbers_are_as_declared", "test_what_is_not_there_is_missing")
    def test_what_was_read_before_is_read_anew(self) -> None:
        """`SegmentStore.segments`: "reflects every `create` and `remove` that has returned". `size` and `read` do as
        well."""
        place = self.place()
        store, beside = self.writer(place), self.at(place)
        for number in (1, 2):
            store.create(number, self.segment(SMALL, number))
        for looking in (store, beside):
            must_hold(looking, 2, self.segment(SMALL, 2), "before it is removed")
        store.remove([2])
        for who, looking in (("the writer", store), ("a store beside it", beside)):
            must_raise(
                SegmentNotFound, f"{who}, which has read it before: size() of a segment removed", looking.size, 2
            )
            must_raise(
                SegmentNotFound, f"{who}, which has read it before: read() of a segment removed", looking.read, 2
            )
        if store.capabilities.numbers_reused:
            store.create(2, self.segment(900))
            for looking in (store, beside):
                must_hold(looking, 2, self.segment(900), "after a number that was read before was created again")
