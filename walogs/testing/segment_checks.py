"""The checks of how a store describes itself: its members, its capabilities, and the names of its segments."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, get_args, get_type_hints

from walogs.errors import NoSpace
from walogs.protocols import AppendableStore, SegmentStore, StoreCapabilities, is_appendable
from walogs.testing.contract import NotOffered, is_text, must, must_not_raise, must_raise, rests_on
from walogs.testing.store_places import SMALL, StorePlaces, must_hold

__all__ = ["SegmentChecks"]

MEASURABLE: Final = 8 << 20
"""The checks make a segment of the largest size only if that is at most this many bytes."""


class SegmentChecks(StorePlaces):
    """The checks of a `SegmentStore` as a whole: what it says of itself is so, and two logs share nothing."""

    def test_it_has_the_members(self) -> None:
        """`SegmentStore`: "A component that holds the bytes of numbered segments." And `AppendableStore`, where its
        capabilities say so."""
        store = self.at(self.place())
        must(isinstance(store, SegmentStore), "a member of SegmentStore is missing")
        must(is_text(store.name), f"its name is {store.name!r}: messages need one")
        if store.capabilities.appendable:
            must(isinstance(store, AppendableStore), "appendable is declared; a member of AppendableStore is missing")

    def test_its_capabilities_are_possible(self) -> None:
        """`StoreCapabilities`: "What a store can do." Each field has an allowed value, and the fields agree with one
        another."""
        capabilities = self.at(self.place()).capabilities
        must(type(capabilities) is StoreCapabilities, f"they are {capabilities!r}")
        for field, hint in get_type_hints(StoreCapabilities).items():
            value, literals = getattr(capabilities, field), get_args(hint)
            fine = value in literals if literals else isinstance(value, hint)
            must(fine, f"{field} is {value!r}: {' or '.join(map(repr, literals)) if literals else hint.__name__}")
        must(capabilities.segment_bytes_max > 4096, f"segment_bytes_max is {capabilities.segment_bytes_max}: too small")
        if not capabilities.appendable:
            must(
                capabilities.exists_means_durable,
                "it is not appendable, and shows segments that are not durable yet: open refuses it",
            )
        if capabilities.appendable:
            must(capabilities.exclusion == "lock", "appendable, and its exclusion is no lock")

    def test_its_capabilities_do_not_change(self) -> None:
        """`StoreCapabilities`: "The engine asks for these fields". The answer stays the same. Only `segment_bytes_max`
        may become known at `acquire()`."""
        place = self.place()
        store = self.at(place)
        before = store.capabilities
        store.acquire()
        acquired = store.capabilities
        must(acquired == replace(before, segment_bytes_max=acquired.segment_bytes_max), "they differ after acquire()")
        store.create(1, self.segment(SMALL))
        must(store.capabilities == acquired, "they differ after create()")
        store.close()
        must(self.at(place).capabilities == before, "another store object on the same place has others")

    def test_what_is_not_declared_raises(self) -> None:
        """`StoreCapabilities.appendable`: "a segment never changes". If the store has a member that would change
        one, a call of it raises."""
        place = self.place()
        store = self.writer(place)
        if is_appendable(store):
            raise NotOffered("appendable is declared: the checks of AppendableStore hold it to that")
        whole = self.segment(SMALL)
        store.create(1, whole)
        calls: dict[str, tuple[object, ...]] = {
            "write": (1, 0, b"x"),
            "extend": (1, 2 * SMALL),
            "zero_from": (1, 100),
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
        """`StoreCapabilities.segment_bytes_max`: "The size of the largest segment, in bytes." It can be created, and
        a larger one is refused."""
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
        """`SegmentStore.segment_name`: "Return the name of this segment in messages". One name each, the same in every
        process."""
        place = self.place()
        store, other = self.at(place), self.at(place)
        names = [store.segment_name(number) for number in (1, 2, 10, 11, 999_999, 1_000_000)]
        must(all(map(is_text, names)), f"they are {names}")
        must(len(set(names)) == len(names), f"two segments have one name: {names}")
        must(names[0] == other.segment_name(1), "another store object has another name for the same segment")

    def test_places_are_apart(self) -> None:
        """`SegmentStore`: "A component that holds the bytes of numbered segments." Of one log: two places share
        nothing."""
        here, there = self.place(), self.place()
        first = self.writer(here)
        second = self.at(there)
        must_not_raise("acquire() of another place", second.acquire)
        first.create(1, self.segment(SMALL, 1))
        second.create(1, self.segment(SMALL, 2))
        must_hold(first, 1, self.segment(SMALL, 1), "with another log in another place")
        must_hold(second, 1, self.segment(SMALL, 2), "with another log in another place")
