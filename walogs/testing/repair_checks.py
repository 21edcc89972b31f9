"""The checks of a store that `repair` can use. It keeps copies, and replaces the bytes of a segment."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, cast

from walogs.errors import NoSpace, SegmentExists, SegmentNotFound
from walogs.protocols import RepairableStore
from walogs.testing.contract import NotOffered, breaks, must, must_not_raise, must_raise, rests_on
from walogs.testing.store_places import STEPS_MAX, StorePlaces, must_hold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["RepairChecks"]

ASIDE: Final = "damaged-000001-conformance"
SIZE: Final = 6000


class RepairChecks(StorePlaces):
    """The checks of a `RepairableStore`. They are skipped for a store without its two members."""

    is_for_appendable = True

    def test_what_is_set_aside_is_no_segment(self) -> None:
        """`RepairableStore.set_aside`: "Keep a copy of the segment under *name*". The name is taken from then on, and
        nothing else."""
        place, store, _ = self.repairable()
        before = self.everything(place)
        store.set_aside(1, ASIDE)
        must_raise(SegmentExists, "set_aside() under a name that is taken", store.set_aside, 1, ASIDE)
        must_raise(SegmentNotFound, "set_aside() of a segment that is not there", store.set_aside, 9, f"{ASIDE}-9")
        after = self.everything(place)
        must(before == after, f"set_aside() has changed what is read: there are {list(after)}, not {list(before)}")
        store.replace(1, [b"other bytes, "] * 100)
        must_raise(SegmentExists, "set_aside() after replace(), under a name that is taken", store.set_aside, 1, ASIDE)
        must_hold(self.at(place), 2, self.segment(SIZE, 2), "after another segment was set aside")

    @rests_on("test_what_is_set_aside_is_no_segment", "test_close_changes_no_byte")
    def test_what_is_set_aside_stays_as_it_was(self) -> None:
        """`RepairableStore.set_aside`: "The copy stays the same when the segment is written to, cut, trimmed". By this
        store object, and by the next process that opens the log."""
        place, store, _ = self.repairable()
        whole = self.segment(SIZE, 2)
        for count, is_reopened in enumerate((False, True), 1):
            name = f"{ASIDE}-{count}"
            store.set_aside(2, name)
            if is_reopened:
                store.close()
                store = cast("RepairableStore", self.appender(place))
            store.write(2, 600, b"other bytes")
            store.extend(2, SIZE + 4096)
            store.zero_from(2, 1000)
            store.trim(2, SIZE)
            store.sync(2, "full")
            when = "the next process has" if is_reopened else "this one has"
            must(
                self.aside(place, name) == whole, f"what was set aside is not what it was after {when} written in place"
            )
            whole = store.read(2)

    def test_replace_puts_exactly_these_bytes(self) -> None:
        """`RepairableStore.replace`: "Replace the bytes of a segment by exactly these pieces, end to end." The pieces
        may be read from it meanwhile."""
        place, store, whole = self.repairable()

        def pieces() -> Iterator[bytes]:
            yield whole[:600]
            yield store.read(1, 1000, 3000)
            yield b""
            yield bytes(50_000)

        store.replace(1, pieces())
        must_hold(self.at(place), 1, whole[:600] + whole[1000:3000] + bytes(50_000), "after replace()")
        must_hold(self.at(place), 2, self.segment(SIZE, 2), "after replace() of another segment")

    @rests_on("test_replace_puts_exactly_these_bytes")
    def test_replace_by_pieces_that_raise_changes_nothing(self) -> None:
        """`RepairableStore.replace`: "or what *pieces* raise: nothing has changed"."""
        place, store, whole = self.repairable()

        def pieces() -> Iterator[bytes]:
            yield b"half of it"
            raise LookupError("no more")

        must_raise(LookupError, "replace() by pieces that raise LookupError", store.replace, 1, pieces())
        must_hold(self.at(place), 1, whole, "after replace() by pieces that raise")
        must_hold(store, 1, whole, "after replace() by pieces that raise")

    @rests_on("test_create_is_durable_with_its_name", "test_replace_puts_exactly_these_bytes")
    def test_replace_is_all_or_nothing(self) -> None:
        """`RepairableStore.replace`: "all the old bytes or all the new ones". At whichever step its process dies."""
        self.faulty("die")
        new = self.segment(SIZE - 500, 9)
        for step in range(1, STEPS_MAX):
            for seed in range(4):
                place, store, whole = self.repairable()
                rng = random.Random(f"{step} {seed}")
                died = self.interrupt_call(place, "die", step, rng, store.replace, 1, [new])
                if self.can_crash:
                    self.crash(place, rng)
                beside = self.at(place)
                if not died:
                    must_hold(beside, 1, new, "after replace() and a power cut")
                    if seed == 3:
                        return
                    continue
                must_hold(beside, 1, new if beside.read(1) == new else whole, f"after replace() died at step {step}")
        breaks(f"replace() takes more than {STEPS_MAX} steps")

    @rests_on("test_what_is_set_aside_is_no_segment")
    def test_what_is_set_aside_is_durable(self) -> None:
        """`RepairableStore.set_aside`: "Keep a copy of the segment under *name*, durable on return." So the name is
        taken."""
        for rng in self.crashes():
            place, store, _ = self.repairable()
            store.set_aside(1, ASIDE)
            self.crash(place, rng)
            again = cast("RepairableStore", self.appender(place))
            told = "set_aside() under a name that was taken before a power cut"
            must_raise(SegmentExists, told, again.set_aside, 1, ASIDE)

    @rests_on("test_replace_is_all_or_nothing", "test_replace_puts_exactly_these_bytes")
    def test_refused_room_replaces_nothing(self) -> None:
        """`RepairableStore.replace`: "Raise `NoSpace`, or what *pieces* raise: nothing has changed." And it works once
        there is room."""
        place, store, whole = self.repairable()
        new = self.segment(300_000, 9)
        for free in (0, 100_000):
            self.room(place, free)
            must_raise(NoSpace, f"replace() with {free} bytes of room", store.replace, 1, [new[:50_000], new[50_000:]])
            must_hold(self.at(place), 1, whole, f"after replace() with {free} bytes of room")
        self.room(place, None)
        must_not_raise("replace() once there is room again", store.replace, 1, [new])
        must_hold(self.at(place), 1, new, "once there was room again")

    def repairable(self) -> tuple[Path, RepairableStore, bytes]:
        """Make a place with segments 1 and 2. Return the place, its writer, and the bytes of segment 1."""
        place, whole = self.place(), self.segment(SIZE)
        store = self.appender(place)
        if not isinstance(store, RepairableStore):
            raise NotOffered("the store has no set_aside() and replace(): they are optional")
        store.create(1, whole)
        store.create(2, self.segment(SIZE, 2))
        return place, store, whole
