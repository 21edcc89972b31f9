"""The checks of a store whose steps fail. A call that returns has done its work. A call that raises holds nothing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from walogs.errors import SegmentExists, SegmentNotFound, Unavailable
from walogs.foundation.foreign import describe_error
from walogs.protocols import is_appendable
from walogs.testing.contract import ContractBroken, NotOffered, breaks, must, must_not_raise, rests_on
from walogs.testing.store_places import STEPS_MAX, StorePlaces, must_hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from walogs.protocols import AppendableStore, SegmentStore

__all__ = ["RefusalChecks"]

REFUSED_STEPS: Final = 9
"""The checks fail steps below this number; most calls take fewer. A call that returns is no sign that there are no more
steps, because it may have tried again."""
SEEDS: Final = 4
SIZE: Final = 6000


class Change(NamedTuple):
    """One call, and the segments that exist when it has returned."""

    told: str
    call: Callable[[], object]
    segments: dict[int, bytes]
    is_durable: bool = True
    """Whether the change is durable on return, without a sync."""


class RefusalChecks(StorePlaces):
    """The checks of a `SegmentStore` or an `AppendableStore` whose steps fail. Each check needs one fault."""

    @rests_on(
        "test_create_takes_exactly_these_bytes",
        "test_create_is_durable_with_its_name",
        "test_remove_takes_what_it_is_told",
        "test_remove_is_durable",
        "test_extend_adds_zeros",
        "test_extend_is_durable",
        "test_write_puts_bytes_where_it_is_told",
        "test_zero_from_reaches_the_very_end",
        "test_trim_keeps_the_front",
        "test_trim_is_durable",
    )
    def test_what_returns_has_happened(self) -> None:
        """`AppendableStore.write`: "Raise an error if not all of them were written." Each call that changes something,
        refused at each of its steps."""
        self.faulty("EIO")
        for which in range(len(self.changes(self.writer(self.place())))):
            for step, place, rng in self.tries(REFUSED_STEPS):
                change = self.changes(self.writer(place))[which]
                if self.interrupt_call(place, "EIO", step, rng, change.call):
                    continue
                when = f"{change.told} was refused at step {step}, and returned"
                must_have(self.at(place), change.segments, when)
                if self.can_crash and change.is_durable:
                    self.crash(place, rng)
                    must_have(self.at(place), change.segments, f"{when}; after a power cut")

    @rests_on("test_dropping_the_durable_mark_is_durable", "test_a_dropped_durable_mark_is_gone")
    def test_a_durable_mark_that_cannot_be_dropped_raises(self) -> None:
        """`AppendableStore.drop_durable_mark`: "Raise `OSError` if it may still be there." One that stays is believed
        by the next open, which has cut what it vouches for."""
        self.faulty("EIO")
        for step, place, rng in self.tries(REFUSED_STEPS):
            store = self.appender(place)
            store.create(1, self.segment(SIZE))
            store.write_durable_mark(self.segment(64), durable=True)
            if self.interrupt_call(place, "EIO", step, rng, store.drop_durable_mark):
                continue
            told = f"drop_durable_mark() was refused at step {step}, and returned"
            must(cast("AppendableStore", self.at(place)).read_durable_mark() is None, f"{told}: there is one")
            if self.can_crash:
                self.crash(place, rng)
                beside = cast("AppendableStore", self.at(place))
                must(beside.read_durable_mark() is None, f"{told}: after a power cut there is one")

    @rests_on("test_create_is_exclusive", "test_what_returns_has_happened")
    def test_a_refused_create_claims_nothing(self) -> None:
        """`SegmentStore.create`: "Raise `SegmentExists` if the number is taken: nothing has changed." Also who tries
        again, and takes another's segment for its own first try."""
        self.faulty("EIO")
        whole = self.segment(SIZE)
        for step, place, rng in self.tries(REFUSED_STEPS):
            rival = self.writer(place)
            rival.create(1, whole)
            store = rival if rival.capabilities.exclusion == "lock" else self.writer(place)
            raised = self.interrupt_call(place, "EIO", step, rng, store.create, 1, self.segment(900))
            must(raised, f"create() was refused at step {step}, and claims a segment that another has created")
            must_hold(self.at(place), 1, whole, "after a create() that was refused")

    @rests_on("test_create_takes_exactly_these_bytes", "test_create_is_exclusive", "test_what_returns_has_happened")
    def test_a_create_without_an_answer_says_so(self) -> None:
        """`SegmentStore.create`: "Raise `Unavailable` if the segment may be there or not." After any other error the
        engine looks once. If the segment appears later, its number may be another segment's by then."""
        self.faulty("no answer")
        whole = self.segment(SIZE)
        for step, place, rng in self.tries(REFUSED_STEPS):
            store = self.writer(place)
            told = f"create() got no answer at step {step}"
            self.arm(place, "no answer", step, rng)
            try:
                store.create(1, whole)
            except (Unavailable, SegmentExists):
                pass
            except Exception as error:
                raise ContractBroken(f"{told}, and raised {describe_error(error)}") from error
            finally:
                self.disarm(place)
            try:
                store.create(1, whole)
            except SegmentExists:
                pass
            except Exception as error:
                raise ContractBroken(f"{told}, and the same call again raised {describe_error(error)}") from error
            must_hold(self.at(place), 1, whole, f"{told}, and was called again")

    @rests_on("test_a_refused_acquire_holds_nothing", "test_acquire_keeps_a_second_writer_out")
    def test_an_acquire_that_fails_holds_nothing(self) -> None:
        """`SegmentStore.acquire`: "If this raises, the store holds nothing that it did not hold before." Nobody closes
        it after that."""
        self.faulty("EIO")
        for step in range(1, STEPS_MAX):
            place = self.place()
            before = self.at(place)
            if before.capabilities.exclusion != "lock":
                raise NotOffered("its exclusion is not a lock: create() decides")
            before.acquire()  # This makes the place exist, as it does for most opens.
            before.close()
            failed = self.at(place)
            if not self.interrupt_call(place, "EIO", step, random.Random(step), failed.acquire):
                return
            told = f"acquire() by another, after one that failed at step {step}"
            must_not_raise(told, self.at(place).acquire)
        breaks(f"acquire() takes more than {STEPS_MAX} steps")

    @rests_on("test_create_is_whole_or_not_at_all")
    def test_what_an_interrupted_create_left_is_no_hindrance(self) -> None:
        """`SegmentStore.remove`: "The store then also removes whatever an interrupted `create` left behind." The next
        process creates that number."""
        self.faulty("die")
        whole = self.segment(SIZE)
        for step, place, rng in self.tries(STEPS_MAX):
            first = self.writer(place)
            died = self.interrupt_call(place, "die", step, rng, first.create, 1, whole)
            if not died:
                return
            again = self.writer(place)
            again.remove([])
            if 1 in again.segments():
                continue
            told = f"create() of a number whose creator died at step {step}"
            must_not_raise(told, again.create, 1, self.segment(900))
            must_hold(self.at(place), 1, self.segment(900), told)
        breaks(f"create() takes more than {STEPS_MAX} steps")

    @rests_on("test_a_read_is_never_short", "test_what_is_not_there_is_missing")
    def test_what_cannot_be_read_is_not_missing(self) -> None:
        """`SegmentStore.read`: "Raise `OSError` if fewer bytes can be read than `size()` says are there." Nor
        `SegmentNotFound`, nor an empty listing: that is a log with nothing in it."""
        self.faulty("failed read")
        whole = self.segment(SIZE)
        for step, place, rng in self.tries(REFUSED_STEPS):
            writer = self.writer(place)
            for number in (1, 2):
                writer.create(number, whole)
            for store in (writer, self.at(place)):
                calls = reads(store, whole)
                for told, (call, expected) in calls.items():
                    self.arm(place, "failed read", step, rng)
                    try:
                        must(call() == expected, f"{told}, which failed at step {step}, gives something else")
                    except SegmentNotFound as error:
                        raise ContractBroken(f"{told}, which failed at step {step}, says Missing") from error
                    except (OSError, Unavailable):
                        pass
                    finally:
                        self.disarm(place)

    # For the checks

    def tries(self, steps: int) -> Iterator[tuple[int, Path, random.Random]]:
        """Yield (step to fail, new place, random generator), several for each step below *steps*."""
        for step in range(1, steps):
            for seed in range(SEEDS):
                yield step, self.place(), random.Random(f"{step} {seed}")

    def changes(self, store: SegmentStore) -> list[Change]:
        """Create segments 1 and 2, and return every call that changes segments."""
        one, two, new = self.segment(SIZE, 1), self.segment(SIZE, 2), self.segment(900)
        store.create(1, one)
        store.create(2, two)
        every = [
            Change("create()", lambda: store.create(3, new), {1: one, 2: two, 3: new}),
            Change("remove()", lambda: store.remove([1]), {2: two}),
        ]
        if is_appendable(store):
            grown = two + bytes(SIZE)
            every += [
                Change("extend()", lambda: store.extend(2, 2 * SIZE), {1: one, 2: grown}),
                Change("trim()", lambda: store.trim(2, 1000), {1: one, 2: two[:1000]}),
                Change(
                    told="zero_from()",
                    call=lambda: store.zero_from(2, 1000),
                    segments={1: one, 2: two[:1000] + bytes(SIZE - 1000)},
                    is_durable=False,
                ),
                Change(
                    told="write()",
                    call=lambda: store.write(2, 1000, new),
                    segments={1: one, 2: two[:1000] + new + two[1900:]},
                    is_durable=False,
                ),
            ]
        return every


def reads(store: SegmentStore, whole: bytes) -> dict[str, tuple[Callable[[], object], object]]:
    """Return the reading calls, each with its result if segments 1 and 2 both contain *whole*."""
    return {
        "segments()": (lambda: list(store.segments()), [1, 2]),
        "size(2)": (lambda: store.size(2), len(whole)),
        "read(2)": (lambda: store.read(2), whole),
        "read(2, 600, 900)": (lambda: store.read(2, 600, 900), whole[600:900]),
    }


def must_have(store: SegmentStore, segments: dict[int, bytes], when: str) -> None:
    """Raise `ContractBroken` unless there are exactly these segments. A segment may have more zeros at its end."""
    got = list(store.segments())
    must(got == list(segments), f"{when}: there are {got}, not {list(segments)}")
    for number, expected in segments.items():
        content = store.read(number)
        fits = content[: len(expected)] == expected and not content[len(expected) :].strip(b"\0")
        must(fits, f"{when}: segment {number} is not what it should have become")
