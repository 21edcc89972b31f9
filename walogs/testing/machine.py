"""A Hypothesis state machine for one log on the contract's store, with an oracle that knows nothing of either.

It does to the store what the contract's subclass provides: power cuts, armed faults and rival writers. It compares the
entries after each open with the oracle, and closes and opens the log once more at the end of every history.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from hypothesis import HealthCheck, Phase, reporting, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from walogs.assembly.opening import open as open_log
from walogs.assembly.opening import reader as open_reader
from walogs.errors import Fenced, OutcomeUnknown, Poisoned, Unavailable
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
    "deadline": None,  # A pause of the disk is not a failure.
    "database": None,  # Leave no files in the directory where it runs.
    "print_blob": True,
    "report_multiple_bugs": False,
    "phases": (Phase.generate, Phase.shrink),
    "suppress_health_check": list(HealthCheck),
}
seeds = st.integers(0, 2**32 - 1)


class StoreMachine(RuleBasedStateMachine):
    """One log with one writer at a time, and everything that the contract can do to them."""

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
        """Choose the configuration, and open the log for the first time.

        `sync` is "none" for a store whose persistence lets `open` refuse every other policy.
        """
        capabilities = self.places.store(self.place).capabilities
        self.is_immutable = capabilities.exclusion == "create_if_absent"
        self.keeps = capabilities.persistence not in ("none", "page-cache")
        self.options: dict[str, Any] = {"max_segment_size": segment, "verify": verify}
        self.options["sync"] = sync if self.keeps else "none"
        self.reopen()

    # Opening, and its possible outcomes

    def reopen(self) -> None:
        """Open the log. Try again if an armed fault makes an open fail. An open never raises `Corrupt`."""
        for attempt in range(20):
            if attempt == 10 and self.places.faults:
                self.places.disarm(self.place)
            store = self.places.store(self.place)
            try:
                wal = open_log(store=store, **self.options)
            except (*REFUSED, OutcomeUnknown, SimulatedCrash):
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
            self.oracle.check_opened(wal.first_lsn, wal.next_lsn, got)
            must(wal.durable_lsn == wal.last_lsn, "open handed out entries that it does not call durable (G4)")
            return
        must(False, "it did not open in twenty tries, ten of them without a fault")

    def abandon(self) -> None:
        """Let the process die. The handle is not used again."""
        if self.wal is not None:
            self.wal.closed = True
        if self.store is not None:
            with suppress(Exception, SimulatedCrash):
                self.store.close()
        self.wal = self.store = None

    # Verbs

    def attempt(self, entries: list[bytes], verb: Any) -> Any:
        """Call *verb* and return its result. If it raises, the error decides which entries the log may contain now."""
        result = None
        try:
            result = verb(self.wal)
        except OutcomeUnknown:
            self.oracle.note_written(entries)
        except SimulatedCrash:
            self.oracle.note_written(entries)
            self.abandon()
            return None
        except (Poisoned, Fenced, *REFUSED):
            pass
        else:
            self.oracle.note_written(entries)
        self.oracle.durable_up_to(self.wal.durable_lsn)
        return result

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds)
    def append(self, seed: int) -> None:
        """Append one entry. It gets the next LSN, or the append raises."""
        data, expected = payload(random.Random(seed)), self.oracle.next_lsn
        lsn = self.attempt([data], lambda wal: wal.append(data))
        must(lsn in (None, expected), f"append gave LSN {lsn}; it is {expected}")

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds, count=st.integers(1, 6))
    def append_batch(self, seed: int, count: int) -> None:
        """Append one to six entries in one call. They get the next LSNs, or the call raises."""
        rng = random.Random(seed)
        batch, expected = [payload(rng) for _ in range(count)], self.oracle.next_lsn
        lsns = self.attempt(batch, lambda wal: wal.append_batch(batch))
        must(lsns in (None, range(expected, expected + count)), f"append_batch gave {lsns}; it is from {expected} on")

    @precondition(lambda self: self.wal is not None)
    @rule()
    def sync(self) -> None:
        """Sync the log. If that returns, every entry is durable."""
        if self.attempt([], lambda wal: (wal.sync(), True)) is not None:
            must(not self.oracle.possible, "sync() returned, and not everything is durable")

    @precondition(lambda self: self.wal is not None)
    @rule()
    def rotate(self) -> None:
        """Rotate the log. This changes no entry."""
        self.attempt([], lambda wal: wal.rotate())

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds)
    def checkpoint(self, seed: int) -> None:
        """Give up the entries up to a random LSN, perhaps all. If that returns, the oracle knows the first LSN.

        If it raises, the first LSN may be the old one or any up to the new one.
        """
        rng, before = random.Random(seed), self.oracle.first_lsn
        lsn = rng.randint(0, self.oracle.next_lsn)
        self.oracle.first_lsn_max = max(self.oracle.first_lsn_max, min(lsn + 1, self.oracle.next_lsn))
        done = self.attempt([], lambda wal: (wal.checkpoint(lsn), True))
        if self.wal is not None:
            must(
                before <= self.wal.first_lsn <= max(before, lsn + 1),
                f"checkpoint({lsn}): first LSN {self.wal.first_lsn}",
            )
            self.oracle.first_lsn = self.wal.first_lsn
            if done is not None:
                self.oracle.first_lsn_max = self.wal.first_lsn

    @precondition(lambda self: self.wal is not None)
    @rule()
    def look(self) -> None:
        """Check that the handle returns the entries that were appended."""
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
        """Check that another process sees only entries that were appended and are durable (G14)."""
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
        if got and not self.is_immutable:
            must(got[-1][0] <= self.wal.durable_lsn, "a reader beside sees more than is durable")

    # Ends

    @precondition(lambda self: self.wal is not None)
    @rule()
    def close_and_reopen(self) -> None:
        """Close the log, also if that raises, and open it again."""
        with suppress(OutcomeUnknown, SimulatedCrash, *REFUSED):
            self.wal.close()
        self.oracle.durable_up_to(self.wal.durable_lsn)
        self.abandon()
        self.reopen()

    @precondition(lambda self: self.wal is not None)
    @rule()
    def kill_and_reopen(self) -> None:
        """Let the process die, and open the log in another one. Entries that are not durable may be lost."""
        self.abandon()
        self.reopen()

    @precondition(lambda self: self.wal is None)
    @rule()
    def open_again(self) -> None:
        """Open the log after the process has died in a verb."""
        self.reopen()

    @precondition(lambda self: self.places.can_crash and self.keeps)
    @rule(seed=seeds)
    def power_cut(self, seed: int) -> None:
        """Cut the power and open the log again. Only the entries that were durable have to be there."""
        self.places.crash(self.place, random.Random(seed))
        self.abandon()
        self.reopen()

    @precondition(lambda self: self.places.faults and self.wal is not None)
    @rule(seed=seeds, step=st.integers(1, 12), data=st.data())
    def arm(self, seed: int, step: int, data: st.DataObject) -> None:
        """Arm one of the faults that the contract knows, at one of the next twelve changes."""
        fault = data.draw(st.sampled_from(sorted(self.places.faults)))
        self.places.arm(self.place, fault, step, random.Random(seed))

    @precondition(lambda self: self.wal is not None and self.is_immutable)
    @rule()
    def another_writer_opens(self) -> None:
        """Let another writer fence this one, whose next append must not be acknowledged."""
        first, store = self.wal, self.store
        if self.places.faults:
            self.places.disarm(self.place)
        self.reopen()
        self.oracle.first_lsn_max = self.oracle.first_lsn
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
        """End the history: close and open the log once more, and compare it with the oracle."""
        try:
            if self.places.faults:
                self.places.disarm(self.place)
            if self.wal is None:
                self.reopen()
            self.close_and_reopen()  # A fault may show only at the second open.
        finally:
            self.abandon()


def payload(rng: random.Random) -> bytes:
    """Return random bytes, zeros, or zeros with one set bit. Lost sectors can look like the last two."""
    size, kind = rng.choice(SIZES), rng.randrange(3)
    if kind == 0:
        return rng.randbytes(size)
    data = bytearray(size)
    if kind == 1 and size:
        data[rng.randrange(size)] = 1 << rng.randrange(8)
    return bytes(data)


def run_machine(contract: StorePlaces, options: Mapping[str, Any]) -> None:
    """Search for a history that the oracle does not allow. Raise its error, with the shortest such history in its
    notes.

    *options* are Hypothesis settings. They replace those of `SETTINGS`.
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
