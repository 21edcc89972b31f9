"""What every store owes, whatever its shape: capabilities, listing, reading, creating, removing, acquiring, closing."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, get_args, get_type_hints

from walogs.errors import Exists, Locked, Missing, NoSpace
from walogs.protocols import AppendableStore, SegmentStore, StoreCapabilities, is_appendable
from walogs.testing.contract import NotOffered, breaks, is_text, must, must_not_raise, must_raise, rests_on, shortened
from walogs.testing.store_places import STEPS_MAX, StorePlaces, must_hold

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SegmentChecks"]

ROUNDS: Final = 5
"""So often at least each thread reads all that is there, in an order of its own, when everything is."""
SMALL: Final = 700
LARGE: Final = 3 << 20
"""More than one read, one packet or one chunk of anything."""
MEASURABLE: Final = 8 << 20
"""A limit up to which segments are made to see whether it holds."""


class SegmentChecks(StorePlaces):
    """Holds of `SegmentStore`."""

    foundation = (
        "test_it_has_the_members",
        "test_nothing_is_listed_where_nothing_is",
        "test_places_are_apart",
        "test_close_frees_the_log",
        "test_reading_needs_no_acquire",
        "test_the_listing_is_a_sequence",
        "test_the_listing_is_fresh",
        "test_a_read_gives_the_bytes_it_is_asked_for",
        "test_a_read_is_never_short",
    )

    # What it says of itself

    def test_it_has_the_members(self) -> None:
        """`SegmentStore`: "Holds the bytes of numbered segments." And `AppendableStore`, where its capabilities say
        so."""
        store = self.at(self.place())
        must(isinstance(store, SegmentStore), "a member of SegmentStore is missing")
        must(is_text(store.name), f"its name is {store.name!r}: messages need one")
        if store.capabilities.appendable:
            must(isinstance(store, AppendableStore), "appendable is declared; a member of AppendableStore is missing")

    def test_its_capabilities_are_possible(self) -> None:
        """`StoreCapabilities`: "What a store can do." Every field has one of its values, and they go together."""
        capabilities = self.at(self.place()).capabilities
        must(type(capabilities) is StoreCapabilities, f"they are {capabilities!r}")
        for field, hint in get_type_hints(StoreCapabilities).items():
            value, literals = getattr(capabilities, field), get_args(hint)
            fine = value in literals if literals else isinstance(value, hint)
            must(fine, f"{field} is {value!r}: {' or '.join(map(repr, literals)) if literals else hint.__name__}")
        must(capabilities.segment_bytes_max > 4096, f"segment_bytes_max is {capabilities.segment_bytes_max}: too small")
        if not capabilities.appendable:
            must(capabilities.exists_means_durable, "a chain shows segments that are not durable yet: refused by open")
        if capabilities.appendable:
            must(capabilities.exclusion == "lock", "appendable, and its exclusion is no lock")

    def test_its_capabilities_do_not_change(self) -> None:
        """`StoreCapabilities`: "The engine asks these, never the store's name". It may ask at any time."""
        place = self.place()
        store = self.at(place)
        before = store.capabilities
        store.acquire()
        must(store.capabilities == before, "they differ after acquire()")
        store.create(1, self.segment(SMALL))
        must(store.capabilities == before, "they differ after create()")
        store.close()
        must(self.at(place).capabilities == before, "another store object on the same place has others")

    def test_what_is_not_declared_raises(self) -> None:
        """`StoreCapabilities.appendable`: "nothing is added to it later". Not even by who calls the members anyway."""
        place = self.place()
        store = self.writer(place)
        if is_appendable(store):
            raise NotOffered("appendable is declared: the checks of AppendableStore hold it to that")
        whole = self.segment(SMALL)
        store.create(1, whole)
        calls: dict[str, tuple[object, ...]] = {
            "write": (1, 0, b"x"),
            "extend": (1, 2 * SMALL),
            "cut": (1, 100),
            "trim": (1, 100),
            "sync": (1, "data"),
        }
        for name, arguments in calls.items():
            member = getattr(store, name, None)
            if member is not None:
                must_raise(Exception, f"{name}() answers, and appendable is False", member, *arguments)
        must_hold(store, 1, whole, "after calls that must raise")

    @rests_on("test_create_takes_exactly_these_bytes")
    def test_the_largest_segment_is_as_declared(self) -> None:
        """`StoreCapabilities.segment_bytes_max`: "The largest segment, bytes." It can be made; a larger one is
        refused."""
        store = self.writer(self.place())
        largest = store.capabilities.segment_bytes_max
        if largest > MEASURABLE:
            raise NotOffered(f"segment_bytes_max is {largest:,}: more than is made here to see")
        whole = self.segment(largest)
        must_not_raise("a segment of segment_bytes_max is refused", store.create, 1, whole)
        must_hold(store, 1, whole, "after create() of the largest segment")
        must_raise(NoSpace, "a segment larger than segment_bytes_max", store.create, 2, whole + b"x")
        must(list(store.segments()) == [1], "a segment that was refused is listed")

    def test_names_tell_segments_apart(self) -> None:
        """`SegmentStore.segment_name`: "What messages call this segment". One name each, the same in every process."""
        place = self.place()
        store, other = self.at(place), self.at(place)
        names = [store.segment_name(number) for number in (1, 2, 10, 11, 999_999, 1_000_000)]
        must(all(map(is_text, names)), f"they are {names}")
        must(len(set(names)) == len(names), f"two segments have one name: {names}")
        must(names[0] == other.segment_name(1), "another store object has another name for the same segment")

    # Listing

    def test_nothing_is_listed_where_nothing_is(self) -> None:
        """`SegmentStore.segments`: "Empty where nothing is there yet." """
        place = self.place()
        must(list(self.at(place).segments()) == [], "before acquire()")
        must(list(self.writer(place).segments()) == [], "after acquire()")

    def test_the_listing_is_ascending(self) -> None:
        """`SegmentStore.segments`: "The numbers that are there, ascending". Numbers, not names: 10 comes after 9."""
        store = self.writer(self.place())
        numbers = [1, 2, 9, 10, 11, 100, 999_999, 1_000_000]
        for number in numbers:
            store.create(number, self.segment(SMALL, number))
        got = list(store.segments())
        must(got == numbers, f"it lists {got}, not {numbers}")

    def test_the_listing_is_a_sequence(self) -> None:
        """`SegmentStore.segments`: "The numbers that are there, ascending". It can be counted, indexed and read
        twice."""
        store = self.writer(self.place())
        for number in (1, 2, 3):
            store.create(number, self.segment(SMALL, number))
        numbers: object = store.segments()
        must(isinstance(numbers, Sequence), f"segments() gives {shortened(numbers)}: a Sequence")
        must(all(type(number) is int for number in store.segments()), f"it lists {shortened(numbers)}: each an int")

    def test_the_listing_is_fresh(self) -> None:
        """`SegmentStore.segments`: "reflects every `create` and `remove` that has returned". Whoever made the call."""
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
            must_raise(Missing, f"{who}, which has read it before: size() of a segment removed", looking.size, 2)
            must_raise(Missing, f"{who}, which has read it before: read() of a segment removed", looking.read, 2)
        if store.capabilities.numbers_reused:
            store.create(2, self.segment(900))
            for looking in (store, beside):
                must_hold(looking, 2, self.segment(900), "after a number that was read before was created again")

    # Reading

    def test_what_is_not_there_is_missing(self) -> None:
        """`SegmentStore.read`: "Raises `Missing`." So does `size`; for what was removed too, and beside the writer."""
        place = self.place()
        writer = self.writer(place)
        for number in (1, 2):
            writer.create(number, self.segment(SMALL))
        writer.remove([1])
        for who, store in (("the writer", writer), ("a store beside it", self.at(place))):
            for number, why in ((1, "removed"), (7, "never created")):
                must_raise(Missing, f"{who}: size() of a segment {why}", store.size, number)
                must_raise(Missing, f"{who}: read() of a segment {why}", store.read, number)

    def test_a_size_is_in_bytes(self) -> None:
        """`SegmentStore.size`: "Bytes in the segment"."""
        store = self.writer(self.place())
        for number, size in enumerate((512, 513, 4095, 4096, 4097, 70_001), start=1):
            store.create(number, self.segment(size))
            must(store.size(number) == size, f"of a segment of {size} bytes it says {store.size(number)}")

    def test_a_read_gives_the_bytes_it_is_asked_for(self) -> None:
        """`SegmentStore.read`: "The bytes [start, end) (None: to its size)." As far as the segment goes."""
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
        """`SegmentStore.read`: "Fewer bytes than `size()` says are there is an `OSError`, never a short answer"."""
        store = self.writer(self.place())
        size = min(LARGE, store.capabilities.segment_bytes_max)
        whole = self.segment(size)
        store.create(1, whole)
        for start, end in ((0, None), (0, size), (1, size - 1), (size // 2, None)):
            got = store.read(1, start, end)
            expected = whole[start:end]
            must(len(got) >= len(expected), f"read(1, {start}, {end}) gives {len(got):,} of {len(expected):,} bytes")
            must(got == expected, f"read(1, {start}, {end}) gives other bytes than were created")

    def test_reading_needs_no_acquire(self) -> None:
        """`SegmentStore`: "`segments`, `size`, `read` change nothing and need no `acquire()`"."""
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
        """`SegmentStore`: "The reading methods are called from any thread at any time, beside a writing one"."""
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
            except Exception as error:  # noqa: BLE001 told below
                complaints.append(f"{type(error).__name__}: {error}")

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

    # Creating

    def test_create_takes_exactly_these_bytes(self) -> None:
        """`SegmentStore.create`: "The segment appears with exactly these bytes". Of any buffer, as they are now."""
        place = self.place()
        store = self.writer(place)
        contents = {number: self.segment(size) for number, size in enumerate((512, 513, 8192, 70_001), start=1)}
        for number, content in contents.items():
            store.create(number, content)
        changing = bytearray(self.segment(2000))
        for number, lent in ((11, changing), (12, memoryview(changing)), (13, memoryview(changing)[100:1900])):
            contents[number] = bytes(lent)
            store.create(number, lent)
        changing[:] = bytes(len(changing))
        for number, content in contents.items():
            must_hold(store, number, content, "after create()")
            must_hold(self.at(place), number, content, "for a store beside it")

    def test_create_is_exclusive(self) -> None:
        """`SegmentStore.create`: "Raises `Exists` (nothing changed)". For every process's number, not its own alone."""
        place = self.place()
        store = self.writer(place)
        whole = self.segment(SMALL)
        store.create(1, whole)
        must_raise(Exists, "create() of a number that is there", store.create, 1, self.segment(900))
        must_hold(store, 1, whole, "after a create() that was refused")
        store.close()
        again = self.writer(place)
        must_raise(Exists, "create() of a number of another process", again.create, 1, self.segment(900))
        must_hold(again, 1, whole, "after a create() that was refused")

    @rests_on("test_create_is_exclusive")
    def test_of_two_who_create_one_number_one_wins(self) -> None:
        """`StoreCapabilities.exclusion`: "create-if-absent of the next number fences them". Also at the same moment."""
        place = self.place()
        first, second = self.at(place), self.at(place)
        if first.capabilities.exclusion != "chain":
            raise NotOffered("its exclusion is a lock: there is one writer at a time")
        for store in (first, second):
            must_not_raise("where creating fences, acquire() lets a second writer in", store.acquire)
        for number in range(1, 21):
            won: list[str] = []
            start = threading.Barrier(2)

            def put(store: SegmentStore, who: str, at: int, won: list[str], start: threading.Barrier) -> None:
                start.wait(10)
                with suppress(Exists):
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
        """`SegmentStore.create`: "whole or not at all". At whichever step its process dies, and the power is cut."""
        self.faulty("die")
        whole = self.segment(5000)
        for step in range(1, STEPS_MAX):
            for seed in range(4):
                place, rng = self.place(), random.Random(f"{step} {seed}")
                store = self.writer(place)
                died = self.interrupted(place, "die", step, rng, store.create, 1, whole)
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
        """`SegmentStore.create`: "a number that is not listed was not created". It does not come back, either."""
        self.faulty("EIO")
        whole = self.segment(5000)
        for step in range(1, STEPS_MAX):
            for seed in range(12):
                place, rng = self.place(), random.Random(f"{step} {seed}")
                store = self.writer(place)
                failed = self.interrupted(place, "EIO", step, rng, store.create, 1, whole)
                if not failed:
                    return
                listed = 1 in store.segments()
                if listed:
                    must_hold(store, 1, whole, f"after create() failed at step {step}")
                if self.can_crash:
                    self.crash(place, rng)
                    beside = self.at(place)
                    is_consistent = listed or 1 not in beside.segments()
                    must(is_consistent, "a segment that was not listed appeared after a power cut")
        breaks(f"create() takes more than {STEPS_MAX} steps")

    def test_refused_room_creates_nothing(self) -> None:
        """`SegmentStore.create`: "`NoSpace` (nothing changed)". And the same call works once there is room."""
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
        """`StoreCapabilities.exists_means_durable`: "What is read back has been acknowledged." It survives, then."""
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
        """`SegmentStore.remove`: "The segments are gone". Those, and no others."""
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
        """`SegmentStore.remove`: "a number that is not there is passed over".
        Every open calls it, often for nothing."""
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
        """`SegmentStore.remove`: "The segments are gone, durably, on return"."""
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
        """`StoreCapabilities.numbers_reused`: "A removed number can be created again." Or it never can."""
        store = self.writer(self.place())
        for number in (1, 2):
            store.create(number, self.segment(SMALL, number))
        store.remove([2])
        if store.capabilities.numbers_reused:
            must_not_raise("numbers_reused is declared: create() of one", store.create, 2, self.segment(900))
            must_hold(store, 2, self.segment(900), "after a removed number was created again")
        else:
            must_raise(Exists, "numbers_reused is not declared: create() of one", store.create, 2, self.segment(900))

    # Acquiring and closing

    def test_acquire_keeps_a_second_writer_out(self) -> None:
        """`SegmentStore.acquire`: "Raises `Locked` (also when this very object is acquired already)". Until close()."""
        place = self.place()
        store = self.locking(place)
        store.acquire()
        second = self.at(place)
        must_raise(Locked, "acquire() by a second store object", second.acquire)
        must_raise(Locked, "acquire() by the same store object again", store.acquire)
        must_raise(Locked, "acquire() by a third store object", self.at(place).acquire)
        must_not_raise("create() by the holder after others were refused", store.create, 1, self.segment(SMALL))

    @rests_on("test_acquire_keeps_a_second_writer_out")
    def test_a_refused_acquire_holds_nothing(self) -> None:
        """`SegmentStore.acquire`: "whatever it raises, it holds nothing that it did not hold before"."""
        place = self.place()
        store, refused = self.locking(place), self.at(place)
        store.acquire()
        for _ in range(2):
            must_raise(Locked, "acquire() by a second store object", refused.acquire)
        store.close()
        told = "acquire() by a third, once the holder has closed, beside one that was refused"
        must_not_raise(told, self.at(place).acquire)

    @rests_on("test_create_is_durable_with_its_name")
    def test_acquire_makes_the_listing_durable(self) -> None:
        """`SegmentStore.acquire`: "On return, what `segments()` lists is durable by name." Whoever made it, and
        died."""
        self.faulty("die")
        if not self.can_crash:
            raise NotOffered("needs crash(place, rng): a power cut")
        for step in range(1, STEPS_MAX):
            for seed in range(6):
                place, rng = self.place(), random.Random(f"{step} {seed}")
                first = self.writer(place)
                died = self.interrupted(place, "die", step, rng, first.create, 1, self.segment(SMALL))
                if not died:
                    return
                second = self.writer(place)
                listed = list(second.segments())
                self.crash(place, rng)
                got = list(self.at(place).segments())
                must(set(listed) <= set(got), f"acquire() came back to {listed}; after a power cut there are {got}")

    def test_close_frees_the_log(self) -> None:
        """`SegmentStore.close`: "Let go of everything, the lock too"."""
        place = self.place()
        for _ in range(3):
            store = self.at(place)
            must_not_raise("acquire() after the holder has closed", store.acquire)
            store.close()

    @rests_on("test_acquire_keeps_a_second_writer_out", "test_close_frees_the_log")
    def test_a_readers_close_frees_nothing(self) -> None:
        """`SegmentStore.close`: "Let go of everything, the lock too". Its own, and not that of the writer beside it."""
        place = self.place()
        store, beside = self.locking(place), self.at(place)
        store.acquire()
        beside.segments()
        beside.close()
        must_raise(Locked, "acquire() after a reader beside the holder has closed", self.at(place).acquire)

    def test_close_changes_no_byte(self) -> None:
        """`SegmentStore.close`: "changes no byte". The windows of zeros stay as they are."""
        place = self.place()
        store = self.writer(place)
        store.create(1, self.segment(SMALL) + bytes(5000))
        if is_appendable(store):
            store.write_witness(self.segment(64), durable=True)
        before = self.everything(place)
        store.close()
        must(self.everything(place) == before, "what is read after close() is not what was read before it")

    def test_close_may_come_twice(self) -> None:
        """`SegmentStore.close`: "once more if it was interrupted". And after nothing but reading."""
        place = self.place()
        store = self.writer(place)
        store.create(1, self.segment(SMALL))
        for which in ("first", "second"):
            must_not_raise(f"the {which} close()", store.close)
        reader = self.at(place)
        reader.segments()
        for which in ("first", "second"):
            must_not_raise(f"the {which} close() of a store that was never acquired", reader.close)

    def test_places_are_apart(self) -> None:
        """`SegmentStore`: "Holds the bytes of numbered segments." Of one log: two places share nothing."""
        here, there = self.place(), self.place()
        first = self.writer(here)
        second = self.at(there)
        must_not_raise("acquire() of another place", second.acquire)
        first.create(1, self.segment(SMALL, 1))
        second.create(1, self.segment(SMALL, 2))
        must_hold(first, 1, self.segment(SMALL, 1), "with another log in another place")
        must_hold(second, 1, self.segment(SMALL, 2), "with another log in another place")

    # For the checks

    def locking(self, place: Path) -> SegmentStore:
        """A store object that is not acquired. Raises `NotOffered` where creation fences, and not a lock."""
        store = self.at(place)
        if store.capabilities.exclusion != "lock":
            raise NotOffered("its exclusion is not a lock: create() decides")
        return store
