"""The checks of `create` and `remove`: a segment comes whole and durably, or not at all, and goes durably."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from walogs.errors import NoSpace, SegmentExists, SegmentNotFound
from walogs.protocols import is_appendable
from walogs.testing.contract import NotOffered, breaks, must, must_not_raise, must_raise, rests_on
from walogs.testing.store_places import SMALL, STEPS_MAX, StorePlaces, must_hold

if TYPE_CHECKING:
    from walogs.protocols import SegmentStore

__all__ = ["CreationChecks"]


class CreationChecks(StorePlaces):
    """The checks of the changes that every `SegmentStore` makes."""

    def test_create_takes_exactly_these_bytes(self) -> None:
        """`SegmentStore.create`: "Create the segment with exactly these bytes". Of any buffer, as they are now."""
        place = self.place()
        store = self.writer(place)
        contents = {number: self.segment(size) for number, size in enumerate((512, 513, 8192, 70_001), start=1)}
        for number, content in contents.items():
            store.create(number, content)
        changing = bytearray(self.segment(2000))
        for number, lent in ((5, changing), (6, memoryview(changing)), (7, memoryview(changing)[100:1900])):
            contents[number] = bytes(lent)
            store.create(number, lent)
        changing[:] = bytes(len(changing))
        for number, content in contents.items():
            must_hold(store, number, content, "after create()")
            must_hold(self.at(place), number, content, "for a store beside it")

    def test_create_is_exclusive(self) -> None:
        """`SegmentStore.create`: "Raise `SegmentExists` if the number is taken: nothing has changed." For every
        process's number, not its own alone."""
        place = self.place()
        store = self.writer(place)
        whole = self.segment(SMALL)
        store.create(1, whole)
        must_raise(SegmentExists, "create() of a number that is there", store.create, 1, self.segment(900))
        must_hold(store, 1, whole, "after a create() that was refused")
        store.close()
        again = self.writer(place)
        must_raise(SegmentExists, "create() of a number of another process", again.create, 1, self.segment(900))
        must_hold(again, 1, whole, "after a create() that was refused")

    @rests_on("test_create_takes_exactly_these_bytes")
    def test_a_closed_store_changes_nothing(self) -> None:
        """`SegmentStore.close`: "From then on `create` and `remove` raise and change nothing". The log may be another
        writer's by then."""
        place = self.place()
        store, whole = self.writer(place), self.segment(SMALL)
        store.create(1, whole)
        store.close()
        must_raise(Exception, "create() of a closed store", store.create, 2, whole)
        must_raise(Exception, "remove() of a closed store", store.remove, [1])
        beside = self.at(place)
        must(list(beside.segments()) == [1], f"after calls of a closed store, {list(beside.segments())} are there")

    @rests_on("test_create_is_exclusive")
    def test_of_two_who_create_one_number_one_wins(self) -> None:
        """`StoreCapabilities.exclusion`: "create() refuses a number that is taken". If two writers create one at the
        same moment, one of them succeeds."""
        place = self.place()
        first, second = self.at(place), self.at(place)
        if first.capabilities.exclusion != "create_if_absent":
            raise NotOffered("its exclusion is a lock: there is one writer at a time")
        for store in (first, second):
            must_not_raise("where creating fences, acquire() lets a second writer in", store.acquire)
        for number in range(1, 21):
            won: list[str] = []
            start = threading.Barrier(2)

            def put(store: SegmentStore, who: str, at: int, won: list[str], start: threading.Barrier) -> None:
                start.wait(300)
                with suppress(SegmentExists):
                    store.create(at, self.segment(SMALL, ord(who)))
                    won.append(who)

            writers = ((first, "a"), (second, "b"))
            threads = [threading.Thread(target=put, args=(*writer, number, won, start)) for writer in writers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            must(len(won) == 1, f"of two that created segment {number}, {len(won)} were told that they won")
            must_hold(self.at(place), number, self.segment(SMALL, ord(won[0])), "after two created one number")

    def test_create_is_durable_with_its_name(self) -> None:
        """`SegmentStore.create`: "whole or not at all, and durable with its name on return"."""
        for rng in self.crashes():
            place = self.place()
            store = self.writer(place)
            for number in (1, 2):
                store.create(number, self.segment(5000, number))
            self.crash(place, rng)
            for number in (1, 2):
                must_hold(self.at(place), number, self.segment(5000, number), "after create() and a power cut")

    @rests_on("test_create_takes_exactly_these_bytes")
    def test_create_is_whole_or_not_at_all(self) -> None:
        """`SegmentStore.create`: "whole or not at all". This holds if its process dies at any step, and after a power
        cut."""
        self.faulty("die")
        whole = self.segment(5000)
        for step in range(1, STEPS_MAX):
            for seed in range(4):
                place, rng = self.place(), random.Random(f"{step} {seed}")
                store = self.writer(place)
                died = self.interrupt_call(place, "die", step, rng, store.create, 1, whole)
                if self.can_crash and seed:
                    self.crash(place, rng)
                if not died:
                    return
                beside = self.at(place)
                if 1 in beside.segments():
                    must_hold(beside, 1, whole, f"after its creator died at step {step}")
        breaks(f"create() takes more than {STEPS_MAX} steps")

    @rests_on("test_create_is_whole_or_not_at_all")
    def test_a_create_that_fails_is_whole_or_not_listed(self) -> None:
        """`SegmentStore.create`: "If that raises `SegmentNotFound`, the segment was not created". It does not come
        back, either."""
        self.faulty("EIO")
        whole = self.segment(5000)
        for step in range(1, STEPS_MAX):
            for seed in range(12):
                place, rng = self.place(), random.Random(f"{step} {seed}")
                store = self.writer(place)
                failed = self.interrupt_call(place, "EIO", step, rng, store.create, 1, whole)
                if not failed:
                    return
                listed = 1 in store.segments()
                if listed:
                    must_hold(store, 1, whole, f"after create() failed at step {step}")
                else:
                    must_raise(SegmentNotFound, f"size() after create() failed at step {step}", store.size, 1)
                if self.can_crash:
                    self.crash(place, rng)
                    beside = self.at(place)
                    is_consistent = listed or 1 not in beside.segments()
                    must(is_consistent, "a segment that was not listed appeared after a power cut")
        breaks(f"create() takes more than {STEPS_MAX} steps")

    def test_refused_room_creates_nothing(self) -> None:
        """`SegmentStore.create`: "Raise `NoSpace` if there is no space: nothing has changed." And the same call works
        once there is room."""
        place = self.place()
        store = self.writer(place)
        store.create(1, self.segment(SMALL))
        whole = self.segment(300_000)
        for free in (0, 100_000):
            self.room(place, free)
            before = self.everything(place)
            must_raise(NoSpace, f"create() with {free} bytes of room", store.create, 2, whole)
            must(self.everything(place) == before, f"create() with {free} bytes of room left something behind")
        self.room(place, None)
        must_not_raise("create() once there is room again", store.create, 2, whole)
        must_hold(store, 2, whole, "once there was room again")

    @rests_on("test_create_is_durable_with_its_name")
    def test_what_can_be_read_is_durable_where_declared(self) -> None:
        """`StoreCapabilities.exists_means_durable`: "Whether everything that can be read is durable." It survives a
        power cut."""
        for rng in self.crashes():
            place = self.place()
            store = self.writer(place)
            if not store.capabilities.exists_means_durable:
                raise NotOffered("exists_means_durable is not declared")
            store.create(1, self.segment(SMALL))
            if is_appendable(store):
                store.write(1, 100, self.segment(200, 1))
            read = store.read(1)
            self.crash(place, rng)
            must_hold(self.at(place), 1, read, "after it was read and the power was cut")

    # Removing

    def test_remove_takes_what_it_is_told(self) -> None:
        """`SegmentStore.remove`: "Remove these segments." Those, and no others."""
        place = self.place()
        store = self.writer(place)
        kept = {number: self.segment(SMALL, number) for number in range(1, 8)}
        for number, content in kept.items():
            store.create(number, content)
        for numbers in ([3], [1, 5], [7]):
            store.remove(numbers)
            kept = {number: content for number, content in kept.items() if number not in numbers}
            got = list(store.segments())
            must(got == list(kept), f"after remove({numbers}) there are {got}, not {list(kept)}")
            for number, content in kept.items():
                must_hold(self.at(place), number, content, f"after remove({numbers})")

    @rests_on("test_remove_takes_what_it_is_told")
    def test_remove_passes_over_what_is_not_there(self) -> None:
        """`SegmentStore.remove`: "Ignore a number that is not there." Every open calls it, often for nothing."""
        store = self.writer(self.place())
        must_not_raise("remove([]) where nothing is", store.remove, [])
        must_not_raise("remove() of what never was", store.remove, [4, 5])
        for number in (1, 2, 3):
            store.create(number, self.segment(SMALL, number))
        for _ in range(2):
            must_not_raise("remove() of what is gone in part", store.remove, [1, 9, 2])
        must(3 in store.segments(), "remove([1, 9, 2]) took segment 3")

    @rests_on("test_create_is_durable_with_its_name", "test_remove_takes_what_it_is_told")
    def test_remove_is_durable(self) -> None:
        """`SegmentStore.remove`: "They are durably gone on return." """
        for rng in self.crashes():
            place = self.place()
            store = self.writer(place)
            for number in (1, 2, 3):
                store.create(number, self.segment(SMALL, number))
            store.remove([1, 2])
            self.crash(place, rng)
            got = list(self.at(place).segments())
            must(not {1, 2} & set(got), f"after remove([1, 2]) and a power cut there are {got}")

    def test_removed_numbers_are_as_declared(self) -> None:
        """`StoreCapabilities.numbers_reused`: "Whether the number of a removed segment can be created again." The store
        does as it says."""
        store = self.writer(self.place())
        for number in (1, 2):
            store.create(number, self.segment(SMALL, number))
        store.remove([2])
        if store.capabilities.numbers_reused:
            must_not_raise("numbers_reused is declared: create() of one", store.create, 2, self.segment(900))
            must_hold(store, 2, self.segment(900), "after a removed number was created again")
        else:
            must_raise(
                SegmentExists, "numbers_reused is not declared: create() of one", store.create, 2, self.segment(900)
            )
