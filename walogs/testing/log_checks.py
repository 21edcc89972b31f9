"""Checks of whole logs on a store. Its parts, which other checks test one by one, must also work together.

These checks run the engine. If only these fail, the mistake may be the engine's. `conform` skips them if any other
check has failed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from walogs.assembly.opening import open as open_log
from walogs.assembly.opening import reader as open_reader
from walogs.errors import Fenced, Locked
from walogs.testing.contract import after_the_rest, must, must_not_raise, must_raise
from walogs.testing.faults import SimulatedCrash
from walogs.testing.store_places import StorePlaces

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from walogs.protocols import SegmentStore

__all__ = ["LogChecks"]


class LogChecks(StorePlaces):
    """The checks of a log on the store, by the guarantees of docs/guarantees.md."""

    machine: ClassVar[Mapping[str, Any]] = {"max_examples": 40, "stateful_step_count": 30}
    """Hypothesis settings of the state machine, such as how many histories it tries and how long they are."""

    @after_the_rest
    def test_a_log_comes_back(self) -> None:
        """G1: "every later open returns those entries byte for byte". This holds through rotations and clean closes."""
        place, expected = self.place(), list[tuple[int, bytes]]()
        for opening in range(4):
            with self.log(place, max_segment_size=3000) as wal:
                must(list(wal) == expected, f"opening {opening}: {len(list(wal))} entries, not {len(expected)}")
                for size in (0, 1, 700, 5000):
                    expected.append((wal.append(self.segment(size, opening)), self.segment(size, opening)))
                wal.rotate()
                batch = [self.segment(size, 9) for size in (3, 0, 900)]
                expected += zip(wal.append_batch(batch), batch, strict=True)
        with self.log(place) as wal:
            must(list(wal) == expected, "what was appended is not what is there")
            must([lsn for lsn, _ in expected] == list(range(1, len(expected) + 1)), "LSNs are not dense from 1")

    @after_the_rest
    def test_a_log_comes_back_after_kills(self) -> None:
        """G1: "after any number of kills and power cuts". Here several writers die in turn, without a close."""
        place, expected = self.place(), list[bytes]()
        for _ in range(5):
            store = self.store(place)
            wal = open_log(store=store, sync=self.policy(store), max_segment_size=3000)
            must([data for _, data in wal] == expected, f"after a kill, {len(list(wal))} of {len(expected)} entries")
            for size in (10, 2000):
                expected.append(self.segment(size, len(expected)))
                wal.append(expected[-1])
            kill(wal, store)

    @after_the_rest
    def test_a_checkpoint_frees_segments(self) -> None:
        """G11: "entries up to n may be gone, but no later entry is". Entries that are gone do not come back."""
        place = self.place()
        with self.log(place, max_segment_size=600) as wal:
            for at in range(12):
                wal.append(self.segment(300, at))
            before = wal.segment_count
            wal.checkpoint(6)
            must(wal.segment_count < before, f"checkpoint(6) freed none of {before} segments")
            first_lsn = wal.first_lsn
        must(1 < first_lsn <= 7, f"after checkpoint(6) the log begins at {first_lsn}")
        for _ in range(2):
            with self.log(place, max_segment_size=600) as wal:
                must(wal.first_lsn == first_lsn, f"reopened, the log begins at {wal.first_lsn}, not {first_lsn}")
                kept = [self.segment(300, at) for at in range(first_lsn - 1, 12)]
                must([data for _, data in wal] == kept, "entries from the first LSN on are not there")

    @after_the_rest
    def test_a_reader_beside_sees_what_is_durable(self) -> None:
        """G14: "A reader works in any process, needs no lock, and changes nothing"."""
        place, expected = self.place(), list[tuple[int, bytes]]()
        with self.log(place, max_segment_size=2000) as wal:
            wal.append(b"first")
            expected.append((1, b"first"))
            with open_reader(store=self.at(place)) as reader:
                for at in range(2, 9):
                    expected.append((wal.append(self.segment(500, at)), self.segment(500, at)))
                    wal.sync()
                    before = self.everything(place)
                    got = list(reader)
                    must(got == expected, f"a reader beside sees {len(got)} entries; {len(expected)} are durable")
                    must(self.everything(place) == before, "reading beside the writer has changed something")

    @after_the_rest
    def test_one_writer_has_the_log(self) -> None:
        """G13: "At most one live writer has the log". The second writer gets `Locked`, or the first one gets
        `Fenced`."""
        place = self.place()
        first = self.log(place)
        first.append(b"first")
        if self.at(place).capabilities.exclusion == "lock":
            must_raise(Locked, "a second open for writing", self.log, place)
            must_not_raise("an append after another open was refused", first.append, b"on")
            first.close()
            must_not_raise("open once the first writer has closed", self.log, place)
            return
        second = self.log(place)
        second.append(b"second")
        must_raise(Fenced, "an append by a writer that another has overtaken", first.append, b"from the dead")
        must([data for _, data in second] == [b"first", b"second"], f"the second writer has {list(second)}")

    @after_the_rest
    def test_acknowledged_entries_survive_power_cuts(self) -> None:
        """G1: "every later open returns those entries byte for byte". This holds after several power cuts in a row."""
        for rng in self.crashes():
            place, expected = self.place(), list[tuple[int, bytes]]()
            for _ in range(3):
                store = self.store(place)
                wal = open_log(store=store, max_segment_size=2500)
                must(list(wal) == expected, f"after a power cut: {len(list(wal))} of {len(expected)} entries")
                for _ in range(rng.randrange(1, 8)):
                    data = self.segment(rng.choice((0, 9, 600, 3000)), len(expected))
                    expected.append((wal.append(data), data))
                self.crash(place, rng)
                kill(wal, store)

    @after_the_rest
    def test_the_state_machine(self) -> None:
        """G2: "An open returns all entries from the first LSN up to some LSN, without gaps". This holds after any
        history.

        A Hypothesis state machine appends, syncs, rotates, checkpoints, reads, closes and kills. If the contract's
        subclass provides them, it also uses power cuts, faults and rival writers. An oracle, which knows only lists of
        bytes and nothing of walogs, decides which entries the log must and may contain.
        """
        try:
            from walogs.testing.machine import run_machine
        except ModuleNotFoundError as missing:
            if missing.name != "hypothesis":
                raise
            from walogs.foundation.pip_command import pip_install

            message = f"the state machine needs hypothesis: {pip_install('walogs', 'testing')}"
            raise ModuleNotFoundError(message, name=missing.name) from None
        run_machine(self, self.machine)

    # For the checks

    def log(self, place: Path, *, max_segment_size: int | None = None) -> Any:
        """Open the log in *place* for writing. It is closed when the check has ended."""
        store = self.store(place)
        wal = open_log(store=store, sync=self.policy(store), max_segment_size=max_segment_size)
        self.afterwards(wal.close)
        return wal

    def policy(self, store: SegmentStore) -> Literal["fdatasync", "none"]:
        """Return the strongest sync policy that the store's persistence allows."""
        return "none" if store.capabilities.persistence in ("none", "page-cache") else "fdatasync"


def kill(wal: Any, store: SegmentStore) -> None:
    """Do to a log what the death of its process does: nothing more is written, and its lock is free."""
    wal.closed = True
    with suppress(Exception, SimulatedCrash):
        store.close()
