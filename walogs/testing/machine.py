"""A Hypothesis state machine over one log on the contract's store, and an oracle that knows nothing of either.

What it can do to the store is what the contract offers: power cuts, armed faults, rival writers. It looks twice: what
an open hands out is judged, and the log is closed and opened again at the end of every history.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from hypothesis import HealthCheck, Phase, reporting, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from walogs.assembly import open as open_log
from walogs.assembly import open_reader
from walogs.errors import Fenced, Indefinite, Poisoned, Unavailable
from walogs.testing.contract import NotOffered, must
from walogs.testing.faults import SimulatedCrash
from walogs.testing.oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from walogs.protocols import SegmentStore
    from walogs.testing.store_places import StorePlaces

__all__ = ["StoreMachine", "run_machine"]

REFUSED = (OSError, Unavailable)
SIZES = (0, 1, 7, 20, 128, 500, 700, 1500, 3000, 9000)
SETTINGS: Final[dict[str, Any]] = {
    "deadline": None,  # a disk's pause is no failure
    "database": None,  # nothing is left where it runs
    "print_blob": True,
    "report_multiple_bugs": False,
    "phases": (Phase.generate, Phase.shrink),
    "suppress_health_check": list(HealthCheck),
}
seeds = st.integers(0, 2**32 - 1)


class StoreMachine(RuleBasedStateMachine):
    """One log, one writer at a time, and whatever the contract can do to them."""

    contract: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self.places: StorePlaces = self.contract
        self.place = self.places.place()
        self.oracle = Oracle()
        self.store: SegmentStore | None = None
        self.wal: Any = None

    @initialize(
        segment=st.sampled_from((1, 600, 2000, 6000, None)),
        sync=st.sampled_from(("fdatasync", "fdatasync", "none")),
        verify=st.sampled_from(("full", "last")),
    )
    def begin(self, segment: int | None, sync: Any, verify: Any) -> None:
        capabilities = self.places.store(self.place).capabilities
        self.is_chain = capabilities.exclusion == "chain"
        self.keeps = capabilities.durability not in ("none", "page-cache")
        self.options: dict[str, Any] = {"max_segment_size": segment, "verify": verify}
        self.options["sync"] = sync if self.keeps else "none"
        self.reopen()

    # Opening, and what may come of it

    def reopen(self) -> None:
        """Open until it opens: armed faults may fail it a few times. Never `Corrupt`."""
        for attempt in range(20):
            if attempt == 10 and self.places.faults:
                self.places.disarm(self.place)
            store = self.places.store(self.place)
            try:
                wal = open_log(store=store, **self.options)
            except (*REFUSED, Indefinite, SimulatedCrash):
                with suppress(Exception, SimulatedCrash):
                    store.close()
                continue
            try:
                got = list(wal)
            except (*REFUSED, SimulatedCrash):
                self.store, self.wal = store, wal
                self.abandon()
                continue
            self.store, self.wal = store, wal
            self.oracle.opened(wal.first_lsn, wal.next_lsn, got)
            must(wal.durable_lsn == wal.last_lsn, "open handed out entries that it does not call durable (G4)")
            return
        must(False, "it did not open in twenty tries, ten of them without a fault")

    def abandon(self) -> None:
        """The process dies: nothing of the handle is used again."""
        if self.wal is not None:
            self.wal.closed = True
        if self.store is not None:
            with suppress(Exception, SimulatedCrash):
                self.store.close()
        self.wal = self.store = None

    # Verbs

    def attempt(self, entries: list[bytes], verb: Any) -> Any:
        """Run a verb; what it raised, if anything, decides what may be there now."""
        result = None
        try:
            result = verb(self.wal)
        except Indefinite:
            self.oracle.written(entries)
        except SimulatedCrash:
            self.oracle.written(entries)
            self.abandon()
            return None
        except (Poisoned, Fenced, *REFUSED):
            pass
        else:
            self.oracle.written(entries)
        self.oracle.durable_up_to(self.wal.durable_lsn)
        return result

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds)
    def append(self, seed: int) -> None:
        data, expected = payload(random.Random(seed)), self.oracle.next_lsn
        lsn = self.attempt([data], lambda wal: wal.append(data))
        must(lsn in (None, expected), f"append gave LSN {lsn}; it is {expected}")

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds, count=st.integers(1, 6))
    def append_batch(self, seed: int, count: int) -> None:
        rng = random.Random(seed)
        batch, expected = [payload(rng) for _ in range(count)], self.oracle.next_lsn
        lsns = self.attempt(batch, lambda wal: wal.append_batch(batch))
        must(lsns in (None, range(expected, expected + count)), f"append_batch gave {lsns}; it is from {expected} on")

    @precondition(lambda self: self.wal is not None)
    @rule()
    def sync(self) -> None:
        if self.attempt([], lambda wal: (wal.sync(), True)) is not None:
            must(not self.oracle.possible, "sync() returned, and not everything is durable")

    @precondition(lambda self: self.wal is not None)
    @rule()
    def rotate(self) -> None:
        self.attempt([], lambda wal: wal.rotate())

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds)
    def checkpoint(self, seed: int) -> None:
        rng, before = random.Random(seed), self.oracle.base
        lsn = rng.randint(0, self.oracle.next_lsn)
        self.oracle.base_max = max(self.oracle.base_max, min(lsn + 1, self.oracle.next_lsn))
        done = self.attempt([], lambda wal: (wal.checkpoint(lsn), True))
        if self.wal is not None:
            must(before <= self.wal.first_lsn <= max(before, lsn + 1), f"checkpoint({lsn}): base {self.wal.first_lsn}")
            self.oracle.base = self.wal.first_lsn
            if done is not None:
                self.oracle.base_max = self.wal.first_lsn

    @precondition(lambda self: self.wal is not None)
    @rule()
    def look(self) -> None:
        """What the handle hands out is what was appended."""
        expected = [(lsn, data) for lsn, data in self.oracle.visible() if lsn < self.wal.next_lsn]
        try:
            got = list(self.wal)
        except REFUSED:
            return
        except SimulatedCrash:
            self.abandon()
            return
        must(got == expected, f"the handle hands out {len(got)} entries, not the {len(expected)} that were appended")

    @precondition(lambda self: self.wal is not None)
    @rule()
    def read_beside(self) -> None:
        """Another process sees what was appended, and of that only what is durable (G14)."""
        beside, everything = self.places.store(self.place), self.oracle.everything()
        try:
            got = list(open_reader(store=beside))
        except (*REFUSED, SimulatedCrash):
            return
        finally:
            with suppress(Exception, SimulatedCrash):
                beside.close()
        dense = [lsn for lsn, _ in got] == list(range(got[0][0], got[0][0] + len(got))) if got else True
        must(dense, "a reader beside sees no dense run of LSNs")
        must(all(data == everything[lsn - 1] for lsn, data in got), "a reader beside sees what was not appended")
        if got and not self.is_chain:
            must(got[-1][0] <= self.wal.durable_lsn, "a reader beside sees more than is durable")

    # Ends

    @precondition(lambda self: self.wal is not None)
    @rule()
    def close_and_reopen(self) -> None:
        with suppress(Indefinite, SimulatedCrash, *REFUSED):
            self.wal.close()
        self.oracle.durable_up_to(self.wal.durable_lsn)
        self.abandon()
        self.reopen()

    @precondition(lambda self: self.wal is not None)
    @rule()
    def kill_and_reopen(self) -> None:
        self.abandon()
        self.reopen()

    @precondition(lambda self: self.wal is None)
    @rule()
    def open_again(self) -> None:
        self.reopen()

    @precondition(lambda self: self.places.can_crash and self.keeps)
    @rule(seed=seeds)
    def power_cut(self, seed: int) -> None:
        self.places.crash(self.place, random.Random(seed))
        self.abandon()
        self.reopen()

    @precondition(lambda self: self.places.faults and self.wal is not None)
    @rule(seed=seeds, step=st.integers(1, 12), data=st.data())
    def arm(self, seed: int, step: int, data: st.DataObject) -> None:
        fault = data.draw(st.sampled_from(sorted(self.places.faults)))
        self.places.arm(self.place, fault, step, random.Random(seed))

    @precondition(lambda self: self.wal is not None and self.is_chain)
    @rule()
    def another_writer_opens(self) -> None:
        """It fences this one, whose next append must not be acknowledged."""
        first, store = self.wal, self.store
        if self.places.faults:
            self.places.disarm(self.place)
        self.reopen()
        self.oracle.base_max = self.oracle.base
        try:
            first.append(b"from the dead")
        except (Fenced, Poisoned):
            pass
        else:
            must(False, "a writer that another has fenced acknowledged an entry")
        first.closed = True
        if store is not None:
            store.close()

    def teardown(self) -> None:
        try:
            if self.places.faults:
                self.places.disarm(self.place)
            if self.wal is None:
                self.reopen()
            self.close_and_reopen()  # what bites on the second open bites here
        finally:
            self.abandon()


def payload(rng: random.Random) -> bytes:
    """Random, zero, or one set bit: what lost sectors can be mistaken for."""
    size, kind = rng.choice(SIZES), rng.randrange(3)
    if kind == 0:
        return rng.randbytes(size)
    data = bytearray(size)
    if kind == 1 and size:
        data[rng.randrange(size)] = 1 << rng.randrange(8)
    return bytes(data)


def run_machine(contract: StorePlaces, options: Mapping[str, Any]) -> None:
    """Search for a history that the oracle does not allow; what is raised has its shortest form in its notes.

    *options* are Hypothesis settings, and go before those that every search has.
    """
    machine: Any = type("StoreMachine", (StoreMachine,), {"contract": contract})
    told: list[str] = []
    with reporting.with_reporter(lambda line: told.append(str(line))):
        try:
            run_state_machine_as_test(machine, settings=settings(**{**SETTINGS, **options}))
        except NotOffered:
            raise
        except BaseException as error:
            error.add_note("\n".join(told))
            raise
