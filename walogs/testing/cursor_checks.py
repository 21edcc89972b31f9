"""The checks of a `CursorStore`: one value for each cursor, durable when it has to be, and one owner at a time."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Final, cast

from walogs.errors import Locked, NoSpace
from walogs.protocols.cursor_store import CURSOR_BYTES, CursorStore
from walogs.testing.contract import NotOffered, breaks, must, must_not_raise, must_raise, rests_on, shorten
from walogs.testing.fork_checks import failure_in_child
from walogs.testing.store_places import STEPS_MAX, StorePlaces

if TYPE_CHECKING:
    from pathlib import Path

    from walogs.protocols.cursor_store import CursorLock

__all__ = ["CursorChecks"]

NAME: Final = "mailer"
NAMES: Final = ("0", "Mailer-2", "a.b_c-d", "mailer", "mailer.1", "z" * 63)
"""Ascending, as `sorted` orders them."""


class CursorChecks(StorePlaces):
    """The checks of a `CursorStore`. They are skipped for a store without its members."""

    def test_a_cursor_has_the_value_that_was_written_last(self) -> None:
        """`CursorStore.read_cursor`: "Return the value that was written last, or None if there is none." In this
        process and in another one."""
        place, store, _ = self.owned()
        must(store.read_cursor(NAME) is None, "a cursor has a value before one was written")
        must(list(store.cursors()) == [], "a cursor is listed before it has a value")
        for seed, is_durable in enumerate((True, False, False, True, False), 1):
            store.write_cursor(NAME, value(seed), durable=is_durable)
            for who, looking in (("the owner", store), ("a store beside it", self.keeper(place))):
                got = looking.read_cursor(NAME)
                must(got == value(seed), f"{who} reads {shorten(got)} after value {seed} was written")
        store.remove_cursor(NAME)
        must_not_raise("remove_cursor() of a cursor without a value", store.remove_cursor, NAME)
        must(self.keeper(place).read_cursor(NAME) is None, "a cursor has a value after it was removed")

    @rests_on("test_a_cursor_has_the_value_that_was_written_last")
    def test_cursors_are_listed_by_their_names(self) -> None:
        """`CursorStore.cursors`: "Return the names of the cursors that have a value, ascending." Each has a value of
        its own, and none is a segment."""
        place, store, _ = self.owned()
        segments = list(self.at(place).segments())
        for seed, name in enumerate(reversed(NAMES)):
            if name != NAME:
                self.locked(store, name)
            store.write_cursor(name, value(seed), durable=seed % 2 == 0)
        self.locked(store, "locked-only")
        for looking in (store, self.keeper(place)):
            got = list(looking.cursors())
            must(got == list(NAMES), f"it lists {got}, not {list(NAMES)}")
            for seed, name in enumerate(reversed(NAMES)):
                must(looking.read_cursor(name) == value(seed), f"cursor {name!r} has not the value that it was given")
        store.remove_cursor(NAME)
        left = [name for name in NAMES if name != NAME]
        must(list(self.keeper(place).cursors()) == left, "remove_cursor() has not removed this cursor alone")
        must(list(self.at(place).segments()) == segments, "a cursor is listed among the segments")

    @rests_on("test_a_cursor_has_the_value_that_was_written_last")
    def test_a_damaged_value_is_returned_as_it_is(self) -> None:
        """`CursorStore`: "It never interprets the value." Whoever reads it judges it, also if it is empty or cut."""
        place, store, _ = self.owned()
        for data in (bytes(CURSOR_BYTES), b"\xff" * CURSOR_BYTES):
            for is_durable in (True, False):
                store.write_cursor(NAME, data, durable=is_durable)
                got = self.keeper(place).read_cursor(NAME)
                must(got == data, f"of the value {data!r} it returns {got!r}")

    @rests_on("test_a_cursor_has_the_value_that_was_written_last")
    def test_a_cursor_needs_no_acquire(self) -> None:
        """`CursorStore`: "No member needs `acquire()`, because a consumer can be another process than the writer." """
        place = self.place()
        writer = self.writer(place)
        writer.create(1, self.segment(700))
        store = self.keeper(place)
        lock = self.locked(store, NAME)
        store.write_cursor(NAME, value(1), durable=True)
        must(cast("CursorStore", writer).read_cursor(NAME) == value(1), "the writer does not see the value")
        lock.release()
        must(writer.read(1) == self.segment(700), "a cursor has changed a segment")

    @rests_on("test_a_cursor_has_the_value_that_was_written_last")
    def test_a_durable_cursor_survives(self) -> None:
        """`CursorStore.write_cursor`: "If *durable* is true, the value is durable on return." The first one always
        is."""
        for rng in self.crashes():
            for is_first in (True, False):
                place, store, _ = self.owned()
                store.write_cursor(NAME, value(1), durable=not is_first)
                if not is_first:
                    store.write_cursor(NAME, value(2), durable=True)
                self.crash(place, rng)
                got = self.keeper(place).read_cursor(NAME)
                must(got == value(1 if is_first else 2), f"after a power cut, the value is {shorten(got)}")

    @rests_on("test_a_durable_cursor_survives")
    def test_a_power_cut_takes_only_what_need_not_be_durable(self) -> None:
        """`CursorStore.write_cursor`: "a power cut leaves a value that was written since the last durable one, or that
        one". Never a mixture of two, and never nothing."""
        possible = {value(seed) for seed in (2, 3, 4)}
        for rng in self.crashes():
            place, store, _ = self.owned()
            for seed, is_durable in ((1, True), (2, True), (3, False), (4, False)):
                store.write_cursor(NAME, value(seed), durable=is_durable)
            self.crash(place, rng)
            got = self.keeper(place).read_cursor(NAME)
            must(got in possible, f"after a power cut, the value is {shorten(got)}, which is none of the last three")

    @rests_on("test_a_cursor_has_the_old_value_or_the_new_one")
    def test_what_is_read_as_durable_survives(self) -> None:
        """`CursorStore.read_cursor`: "If *durable* is true, return a value that no power cut takes back". Also if its
        writer has died before it could sync it."""
        self.faulty("die")
        for step in range(1, STEPS_MAX):
            for seed, rng in enumerate(self.crashes()):
                place, store, _ = self.owned()
                store.write_cursor(NAME, value(1), durable=True)
                store.write_cursor(NAME, value(2), durable=False)
                died = self.interrupt_call(place, "die", step, rng, store.write_cursor, NAME, value(3), durable=True)
                got = self.keeper(place).read_cursor(NAME, durable=True)
                self.crash(place, rng)
                left = self.keeper(place).read_cursor(NAME)
                values = [value(number) for number in (1, 2, 3)]
                is_kept = got in values and left in values and values.index(left) >= values.index(got)
                must(is_kept, f"read as durable: {shorten(got)}; after a power cut: {shorten(left)}")
                if not died and seed == 3:
                    return
        breaks(f"write_cursor() takes more than {STEPS_MAX} steps")

    @rests_on("test_a_power_cut_takes_only_what_need_not_be_durable")
    def test_a_cursor_has_the_old_value_or_the_new_one(self) -> None:
        """`CursorStore.write_cursor`: "Every reader finds the old value or the new one, as a whole." At whichever step
        its process dies, and after a power cut too."""
        self.faulty("die")
        for is_durable in (True, False):
            for step in range(1, STEPS_MAX):
                if not self._dies_while_it_writes(step, is_durable=is_durable):
                    break
            else:
                breaks(f"write_cursor() takes more than {STEPS_MAX} steps")

    def _dies_while_it_writes(self, step: int, *, is_durable: bool) -> bool:
        """Check the value after its writer died at that step. Return whether there is such a step."""
        died = False
        for seed in range(4):
            place, store, _ = self.owned()
            store.write_cursor(NAME, value(1), durable=True)
            rng = random.Random(f"{step} {seed}")
            died = self.interrupt_call(place, "die", step, rng, store.write_cursor, NAME, value(2), durable=is_durable)
            if self.can_crash and seed % 2:
                self.crash(place, rng)
            got = self.keeper(place).read_cursor(NAME)
            wanted = (value(1), value(2)) if died or not is_durable else (value(2),)
            must(got in wanted, f"after write_cursor(durable={is_durable}) died at step {step}: {shorten(got)}")
        return died

    @rests_on("test_a_cursor_has_the_old_value_or_the_new_one")
    def test_a_failed_sync_of_a_cursor_raises(self) -> None:
        """`CursorStore.write_cursor`: "If *durable* is true, the value is durable on return." If a sync fails, it
        raises, and the next durable value is durable again."""
        self.faulty("failed sync")
        for step in (1, 2, 3):
            for rng in self.crashes():
                place, store, _ = self.owned()
                store.write_cursor(NAME, value(1), durable=True)
                write = store.write_cursor
                failed = self.interrupt_call(place, "failed sync", step, rng, write, NAME, value(2), durable=True)
                got = store.read_cursor(NAME)
                must(got in (value(1), value(2)), f"after a sync failed, the value is {shorten(got)}")
                if failed:
                    write(NAME, value(3), durable=True)
                self.crash(place, rng)
                got = self.keeper(place).read_cursor(NAME)
                wanted = value(3 if failed else 2)
                must(got == wanted, f"sync {step} failed; after a power cut, the value is {shorten(got)}")

    @rests_on("test_a_durable_cursor_survives")
    def test_a_removed_cursor_is_gone(self) -> None:
        """`CursorStore.remove_cursor`: "Remove the value. It is durably gone on return." """
        for rng in self.crashes():
            place, store, _ = self.owned()
            store.write_cursor(NAME, value(1), durable=True)
            store.remove_cursor(NAME)
            self.crash(place, rng)
            got = self.keeper(place).read_cursor(NAME)
            must(got is None, f"after a power cut, a removed cursor has the value {shorten(got)}")

    @rests_on("test_a_cursor_has_the_value_that_was_written_last")
    def test_refused_room_changes_no_cursor(self) -> None:
        """`CursorStore.write_cursor`: "Raise `NoSpace` if there is no space: nothing has changed." And it works once
        there is room. A store that needs no room for it may write it."""
        place, store, _ = self.owned()
        store.write_cursor(NAME, value(1), durable=True)
        self.room(place, 0)
        wanted = value(2)
        try:
            store.write_cursor(NAME, wanted, durable=True)
        except NoSpace:
            wanted = value(1)
        got = self.keeper(place).read_cursor(NAME)
        must(got == wanted, f"after write_cursor() without room, the value is {shorten(got)}")
        self.room(place, None)
        must_not_raise("write_cursor() once there is room", store.write_cursor, NAME, value(2), durable=True)
        must(self.keeper(place).read_cursor(NAME) == value(2), "the value is not the one that there was room for")

    # The lock

    def test_a_cursor_has_one_owner(self) -> None:
        """`CursorLock.take`: "Raise `Locked` if another owner has it, in this process too". Each cursor has a lock of
        its own."""
        place, store, lock = self.owned()
        others = (store.cursor_lock(NAME), self.keeper(place).cursor_lock(NAME))
        for other in others:
            must_raise(Locked, "take() by a second owner", other.take)
            must_not_raise("release() by an owner who was refused", other.release)
            told = "take() after an owner who was refused has released"
            must_raise(Locked, told, self.keeper(place).cursor_lock(NAME).take)
        must_not_raise("take() of another cursor", self.locked, store, "other")
        lock.release()
        must_not_raise("a second release()", lock.release)
        for other in others:
            must_not_raise("take() after the owner has released", other.take)
            other.release()

    @rests_on("test_a_cursor_has_one_owner")
    def test_a_forked_child_has_no_lock_of_a_cursor(self) -> None:
        """`CursorLock`: "A forked child does not have it, and cannot free it." Its end does not free it either."""
        if not hasattr(os, "fork"):
            raise NotOffered("this system has no fork")
        place, _, _ = self.owned()

        def look() -> None:
            beside = cast("CursorStore", self.store(place))
            must_raise(Locked, "the parent's lock keeps nobody out", beside.cursor_lock(NAME).take)

        failure = failure_in_child(look)
        must(not failure, f"in a forked child, {failure}")
        must_raise(Locked, "the lock is free after a child has ended", self.keeper(place).cursor_lock(NAME).take)

    # For the checks

    def keeper(self, place: Path) -> CursorStore:
        """Return a store object that is not acquired. Raises `NotOffered` if the store keeps no cursors."""
        store = self.at(place)
        if not isinstance(store, CursorStore):
            raise NotOffered("the store keeps no cursors: its members are optional")
        return store

    def locked(self, store: CursorStore, name: str) -> CursorLock:
        """Return the lock of that cursor, which is taken. It is released when the check has ended."""
        lock = store.cursor_lock(name)
        self.afterwards(lock.release)
        lock.take()
        return lock

    def owned(self) -> tuple[Path, CursorStore, CursorLock]:
        """Make a place with a segment. Return the place, a store beside its writer, and the lock of the cursor."""
        place = self.place()
        writer = self.writer(place)
        writer.create(1, self.segment(700))
        writer.close()
        store = self.keeper(place)
        return place, store, self.locked(store, NAME)


def value(seed: int) -> bytes:
    """Return a value of a cursor."""
    return random.Random(seed).randbytes(CURSOR_BYTES)
