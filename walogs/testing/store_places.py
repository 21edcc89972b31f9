"""What a store's contract is given: one factory, and what its author can do to a place beyond that."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final, ParamSpec

from walogs.protocols import is_appendable
from walogs.testing.contract import Contract, NotOffered, must
from walogs.testing.faults import SimulatedCrash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from walogs.protocols import AppendableStore, SegmentStore

__all__ = ["StorePlaces"]

P = ParamSpec("P")

CRASHES: Final = 16
"""How many power cuts a check of durability tries, each with its own seed."""
STEPS_MAX: Final = 60
"""No call of a store is expected to take more steps than this."""


class StorePlaces(Contract):
    """`store` must be given; every other member unlocks the checks that need it, which are skipped by name without."""

    faults: ClassVar[frozenset[str]] = frozenset()
    """Which faults `arm` knows: any of `die`, `EIO`, `failed sync`, `failed read`."""

    def store(self, place: Path) -> SegmentStore:
        """A new store object for *place*, not acquired. Called again with the same place it is another process's way
        to what is there. *place* is a path in a temporary directory, where nothing is yet; or a mere key."""
        raise NotImplementedError(f"{type(self).__name__}.store(place): the one method that every contract needs")

    def crash(self, place: Path, rng: random.Random) -> None:
        """The power is cut: of what no call has promised to keep, *rng* decides what is kept. Every process dies."""
        raise NotOffered("needs crash(place, rng): a power cut")

    def room(self, place: Path, free: int | None) -> None:
        """From now on there is room for so many bytes more; None: for any number."""
        raise NotOffered("needs room(place, free): a place that can be full")

    def arm(self, place: Path, fault: str, step: int, rng: random.Random) -> None:
        """Let *fault* happen once, at the *step*-th change of the place from now (1: the next).

        `die`: the process dies of `SimulatedCrash`. `EIO`: the step fails, `OSError`. `failed sync`: of syncs, the
        *step*-th fails, and what it should have written may be there or not, while it goes on being read. `failed
        read`: of what is only looked at, the *step*-th look fails.
        """
        raise NotOffered("needs arm(place, fault, step, rng)")

    def disarm(self, place: Path) -> None:
        """Forget the armed faults that have not happened."""
        raise NotOffered("needs disarm(place)")

    # For the checks

    @property
    def can_crash(self) -> bool:
        return type(self).crash is not StorePlaces.crash

    @property
    def can_be_full(self) -> bool:
        return type(self).room is not StorePlaces.room

    def place(self) -> Path:
        """Where nothing is yet."""
        self._places = getattr(self, "_places", 0) + 1
        return self.scratch() / f"place-{self._places}"

    def at(self, place: Path) -> SegmentStore:
        """A store object that is not acquired; closed when the check has ended."""
        store = self.store(place)
        self.afterwards(store.close)
        return store

    def writer(self, place: Path) -> SegmentStore:
        """A store object that has acquired the place."""
        store = self.at(place)
        store.acquire()
        return store

    def appender(self, place: Path) -> AppendableStore:
        """As `writer`, where segments grow. Raises `NotOffered` where they do not."""
        store = self.at(place)
        if not is_appendable(store):
            raise NotOffered("the store is not appendable: its capabilities say so")
        store.acquire()
        return store

    def segment(self, size: int, seed: int = 0) -> bytes:
        """Bytes that are nothing to anybody, none of them zero."""
        return random.Random(f"{size} {seed}").randbytes(size).replace(b"\0", b"\1")

    def crashes(self) -> Iterator[random.Random]:
        """What decides each of several power cuts. Raises `NotOffered`: there are none, or nothing is promised."""
        if not self.can_crash:
            raise NotOffered("needs crash(place, rng): a power cut")
        durability = self.store(self.place()).capabilities.durability
        if durability in ("none", "page-cache"):
            raise NotOffered(f"the store declares that it holds bytes in {durability!r} only")
        for seed in range(CRASHES):
            yield random.Random(seed)

    def faulty(self, fault: str) -> None:
        """Raise `NotOffered` unless `arm` knows this fault."""
        if fault not in self.faults:
            raise NotOffered(f"needs arm(place, {fault!r}, …), and {fault!r} among its faults")

    def interrupted(
        self,
        place: Path,
        fault: str,
        step: int,
        rng: random.Random,
        call: Callable[P, object],
        *given: P.args,
        **options: P.kwargs,
    ) -> bool:
        """Whether *fault* met *call* at its *step*-th change. The fault is disarmed on return."""
        self.arm(place, fault, step, rng)
        try:
            call(*given, **options)
        except (SimulatedCrash, Exception):  # noqa: BLE001 what it says is another check's to judge
            return True
        else:
            return False
        finally:
            self.disarm(place)

    def everything(self, place: Path) -> dict[int | str, bytes | None]:
        """What another process reads there: each segment, and the witness."""
        store = self.at(place)
        found: dict[int | str, bytes | None] = {number: store.read(number) for number in store.segments()}
        if is_appendable(store):
            found["witness"] = store.read_witness()
        with suppress(Exception, SimulatedCrash):
            store.close()
        return found


def must_hold(store: SegmentStore, number: int, expected: bytes, when: str) -> None:
    """The segment is there with exactly these bytes, whichever way it is asked."""
    must(number in store.segments(), f"{when}, segment {number} is not listed: {list(store.segments())}")
    got = store.read(number)
    if got != expected:
        same = next((at for at, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), None)
        where = f"{len(got)} bytes, not {len(expected)}" if same is None else f"byte {same} is {got[same]:#04x}"
        must(False, f"{when}, segment {number} is not what was put there: {where}")
    must(store.size(number) == len(expected), f"{when}, size({number}) is {store.size(number)}, not {len(expected)}")
