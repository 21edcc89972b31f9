"""The methods that a subclass of a store's contract provides: one factory, and optional control over a place."""

from __future__ import annotations

import functools
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
"""The number of power cuts that a check of durability tries. Each has its own seed."""
SMALL: Final = 700
"""The size in bytes of most segments that the checks create."""
STEPS_MAX: Final = 60
"""The contract expects that no call of a store takes more steps than this."""


NOT_APPENDABLE: Final = "the store is not appendable: its capabilities say so"


class StorePlaces(Contract):
    """The base of all checks of a store. A subclass must define `store`.

    Every other method is optional. The checks that need a method which the subclass does not define are skipped.
    """

    faults: ClassVar[frozenset[str]] = frozenset()
    """The faults that `arm` knows: any of `die`, `EIO`, `no answer`, `failed sync` and `failed read`."""

    hang_seconds: ClassVar[float] = 60.0
    """A call that has not returned after this many seconds is taken for one that never does. No call of a sound store
    takes nearly as long."""

    def store(self, place: Path) -> SegmentStore:
        """Return a new store object for *place* that is not acquired.

        A second call with the same place stands for another process that uses the same log. *place* is a path in a
        temporary directory, where nothing exists yet. A store that needs no path can use it as a key.
        """
        raise NotImplementedError(f"{type(self).__name__}.store(place): the one method that every contract needs")

    def crash(self, place: Path, rng: random.Random) -> None:
        """Cut the power. Every process dies, and *rng* decides which of the bytes that are not yet durable are kept."""
        raise NotOffered("needs crash(place, rng): a power cut")

    def room(self, place: Path, free: int | None) -> None:
        """Limit the space that is free from now on to *free* bytes. None: remove the limit."""
        raise NotOffered("needs room(place, free): a place that can be full")

    def aside(self, place: Path, name: str) -> bytes:
        """Return the bytes of the copy that was set aside under *name*."""
        raise NotOffered("needs aside(place, name): a way to what was set aside")

    def arm(self, place: Path, fault: str, step: int, rng: random.Random) -> None:
        """Let *fault* happen once, at the *step*-th change of the place from now; 1 is the next one.

        - `die`: the process dies at that change and raises `SimulatedCrash`.
        - `EIO`: the change fails and raises `OSError`.
        - `no answer`: the *step*-th `create` of a segment gets no answer before the store's own time-out. The segment
          may be there, or not, or appear later.
        - `false conflict`: the server says of the *step*-th `create` that the number is taken, and it is not.
        - `late`: the *step*-th `create` gets no answer, and the segment appears when `disarm` is called.
        - `failed sync`: the *step*-th sync fails. The bytes that it should have made durable may be on the disk or not,
          and they can still be read.
        - `failed read`: the *step*-th reading step fails.
        """
        raise NotOffered("needs arm(place, fault, step, rng)")

    def disarm(self, place: Path) -> None:
        """Forget the armed faults that have not happened."""
        raise NotOffered("needs disarm(place)")

    # For the checks

    @property
    def can_crash(self) -> bool:
        """Whether the subclass can cut the power: it defines `crash`."""
        return type(self).crash is not StorePlaces.crash

    @property
    def can_be_full(self) -> bool:
        """Whether the subclass can limit the free space: it defines `room`."""
        return type(self).room is not StorePlaces.room

    def place(self) -> Path:
        """Return a new place, where nothing exists yet."""
        self._places = getattr(self, "_places", 0) + 1
        return self.scratch() / f"place-{self._places}"

    def at(self, place: Path) -> SegmentStore:
        """Return a store object that is not acquired. It is closed when the check has ended."""
        store = self.store(place)
        self.afterwards(store.close)
        return store

    def writer(self, place: Path) -> SegmentStore:
        """Return a store object that has acquired the place."""
        store = self.at(place)
        store.acquire()
        return store

    def appender(self, place: Path) -> AppendableStore:
        """Return an appendable store that has acquired the place. Raises `NotOffered` if the store is not
        appendable."""
        store = self.at(place)
        if not is_appendable(store):
            raise NotOffered(NOT_APPENDABLE)
        store.acquire()
        return store

    def not_applicable(self, check: str) -> str:
        """Return why *check* does not concern this store: it is not appendable, and *check* is for stores that are."""
        owner = next((one for one in type(self).__mro__ if check in vars(one)), None)
        is_for_appendable = owner is not None and vars(owner).get("is_for_appendable", False)
        return NOT_APPENDABLE if is_for_appendable and not is_appendable(self.at(self.place())) else ""

    def segment(self, size: int, seed: int = 0) -> bytes:
        """Return *size* random bytes, none of them zero. They are no valid segment."""
        return random_bytes(size, seed)

    def crashes(self) -> Iterator[random.Random]:
        """Yield a random generator for each of several power cuts.

        Raises `NotOffered` if the subclass cannot cut the power, or the store does not promise to survive it.
        """
        if not self.can_crash:
            raise NotOffered("needs crash(place, rng): a power cut")
        persistence = self.store(self.place()).capabilities.persistence
        if persistence in ("none", "page-cache"):
            raise NotOffered(f"the store declares that it holds bytes in {persistence!r} only")
        for seed in range(CRASHES):
            yield random.Random(seed)

    def faulty(self, fault: str) -> None:
        """Raise `NotOffered` unless `arm` knows this fault."""
        if fault not in self.faults:
            raise NotOffered(f"needs arm(place, {fault!r}, …), and {fault!r} among its faults")

    def interrupt_call(
        self,
        place: Path,
        fault: str,
        step: int,
        rng: random.Random,
        call: Callable[P, object],
        *given: P.args,
        **options: P.kwargs,
    ) -> bool:
        """Call *call* with *fault* armed at its *step*-th change. Return whether it raised. Then disarm the fault."""
        self.arm(place, fault, step, rng)
        try:
            call(*given, **options)
        except (SimulatedCrash, Exception):  # noqa: BLE001 (another check tests which error it is)
            return True
        else:
            return False
        finally:
            self.disarm(place)

    def everything(self, place: Path) -> dict[int | str, bytes | None]:
        """Return what another process reads in *place*: each segment by its number, and the durable mark."""
        store = self.at(place)
        found: dict[int | str, bytes | None] = {number: store.read(number) for number in store.segments()}
        if is_appendable(store):
            found["durable_mark"] = store.read_durable_mark()
        with suppress(Exception, SimulatedCrash):
            store.close()
        return found


@functools.lru_cache(maxsize=64)
def random_bytes(size: int, seed: int) -> bytes:
    """Return *size* random bytes, none of them zero. The checks ask for the same ones at every step that they fail."""
    return random.Random(f"{size} {seed}").randbytes(size).replace(b"\0", b"\1")


def must_hold(store: SegmentStore, number: int, expected: bytes, when: str) -> None:
    """Raise `ContractBroken` unless `segments`, `read` and `size` all show the segment with exactly these bytes."""
    must(number in store.segments(), f"{when}, segment {number} is not listed: {list(store.segments())}")
    got = store.read(number)
    if got != expected:
        same = next((at for at, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), None)
        where = f"{len(got)} bytes, not {len(expected)}" if same is None else f"byte {same} is {got[same]:#04x}"
        must(False, f"{when}, segment {number} is not what was put there: {where}")
    must(store.size(number) == len(expected), f"{when}, size({number}) is {store.size(number)}, not {len(expected)}")
