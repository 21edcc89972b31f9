"""The checks of `acquire` and `close`: one writer at a time, and nothing that is held for longer."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from walogs.errors import Locked
from walogs.protocols import is_appendable
from walogs.testing.contract import NotOffered, must, must_not_raise, must_raise, rests_on
from walogs.testing.store_places import SMALL, STEPS_MAX, StorePlaces

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from walogs.protocols import SegmentStore

__all__ = ["LockChecks"]


class LockChecks(StorePlaces):
    """The checks of how a `SegmentStore` takes a log and gives it back."""

    @rests_on("test_close_frees_the_log")
    def test_acquire_does_not_wait(self) -> None:
        """`SegmentStore.acquire`: "This does not wait for the other writer." Otherwise a program that is started twice
        hangs, and does not say why."""
        place = self.place()
        store, second = self.locking(place), self.at(place)
        store.acquire()
        attempt = threading.Thread(target=ignore_errors, args=(second.acquire,), daemon=True)
        attempt.start()
        attempt.join(self.hang_seconds)
        has_returned = not attempt.is_alive()
        store.close()  # an attempt that waits for the lock gets it now, and ends
        attempt.join(self.hang_seconds)
        must(has_returned, f"acquire() by a second store object has not returned after {self.hang_seconds:g} seconds")

    @rests_on("test_acquire_does_not_wait")
    def test_acquire_keeps_a_second_writer_out(self) -> None:
        """`SegmentStore.acquire`: "Raise `Locked` if another writer has the log, or if this very object is acquired
        already." Until close()."""
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
        """`SegmentStore.acquire`: "If this raises, the store holds nothing that it did not hold before." """
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
        """`SegmentStore.acquire`: "On return, the name of each segment that `segments()` lists is durable." Whoever
        made it, and died."""
        self.faulty("die")
        if not self.can_crash:
            raise NotOffered("needs crash(place, rng): a power cut")
        for step in range(1, STEPS_MAX):
            for seed in range(6):
                place, rng = self.place(), random.Random(f"{step} {seed}")
                first = self.writer(place)
                died = self.interrupt_call(place, "die", step, rng, first.create, 1, self.segment(SMALL))
                if not died:
                    return
                second = self.writer(place)
                listed = list(second.segments())
                self.crash(place, rng)
                got = list(self.at(place).segments())
                must(set(listed) <= set(got), f"acquire() came back to {listed}; after a power cut there are {got}")

    def test_close_frees_the_log(self) -> None:
        """`SegmentStore.close`: "Release everything, including the lock"."""
        place = self.place()
        for _ in range(3):
            store = self.at(place)
            must_not_raise("acquire() after the holder has closed", store.acquire)
            store.close()

    @rests_on("test_acquire_keeps_a_second_writer_out", "test_close_frees_the_log")
    def test_a_readers_close_frees_nothing(self) -> None:
        """`SegmentStore.close`: "Release everything, including the lock". Its own, and not that of the writer beside
        it."""
        place = self.place()
        store, beside = self.locking(place), self.at(place)
        store.acquire()
        beside.segments()
        beside.close()
        must_raise(Locked, "acquire() after a reader beside the holder has closed", self.at(place).acquire)

    def test_close_changes_no_byte(self) -> None:
        """`SegmentStore.close`: "without changing a byte". The windows of zeros stay as they are."""
        place = self.place()
        store = self.writer(place)
        store.create(1, self.segment(SMALL) + bytes(5000))
        if is_appendable(store):
            store.write_durable_mark(self.segment(64), durable=True)
        before = self.everything(place)
        store.close()
        must(self.everything(place) == before, "what is read after close() is not what was read before it")

    def test_close_may_come_twice(self) -> None:
        """`SegmentStore.close`: "once more if a call was interrupted". And after nothing but reading."""
        place = self.place()
        store = self.writer(place)
        store.create(1, self.segment(SMALL))
        for which in ("first", "second"):
            must_not_raise(f"the {which} close()", store.close)
        reader = self.at(place)
        reader.segments()
        for which in ("first", "second"):
            must_not_raise(f"the {which} close() of a store that was never acquired", reader.close)

    # For the checks

    def locking(self, place: Path) -> SegmentStore:
        """Return a store object that is not acquired. Raises `NotOffered` if the store fences by creation."""
        store = self.at(place)
        if store.capabilities.exclusion != "lock":
            raise NotOffered("its exclusion is not a lock: create() decides")
        return store


def ignore_errors(call: Callable[[], object]) -> None:
    """Call *call*. Other checks test which error it raises."""
    with suppress(Exception):
        call()
