"""Whole logs on the store: what its parts promise one by one, they must give together.

These run the engine, so a failure here and nowhere else may be the engine's. `conform` leaves them out when a check of
a part has failed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from walogs.assembly import open as open_log
from walogs.assembly import open_reader
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
    """Holds of a log on the store (docs/guarantees.md)."""

    machine: ClassVar[Mapping[str, Any]] = {"max_examples": 40, "stateful_step_count": 30}
    """Hypothesis settings of the state machine: how many histories it tries, how long they are, and any other."""

    @after_the_rest
    def test_a_log_comes_back(self) -> None:
        """G1: "every later open gives those entries back byte for byte". Through rotations and clean closes."""
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
        """G1: "through any number of kills and power cuts". Its writers die, one after the other, without a close."""
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
        """G11: "entries up to n may be gone, later ones never". And what is gone stays gone."""
        place = self.place()
        with self.log(place, max_segment_size=600) as wal:
            for at in range(12):
                wal.append(self.segment(300, at))
            before = wal.segment_count
            wal.checkpoint(6)
            must(wal.segment_count < before, f"checkpoint(6) freed none of {before} segments")
            base = wal.first_lsn
        must(1 < base <= 7, f"after checkpoint(6) the log begins at {base}")
        for _ in range(2):
            with self.log(place, max_segment_size=600) as wal:
                must(wal.first_lsn == base, f"reopened, the log begins at {wal.first_lsn}, not {base}")
                kept = [self.segment(300, at) for at in range(base - 1, 12)]
                must([data for _, data in wal] == kept, "entries above the base are not there")

    @after_the_rest
    def test_a_reader_beside_sees_what_is_durable(self) -> None:
        """G14: "A reader beside a live writer, in any process, needs no lock and changes nothing"."""
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
        """G13: "At most one live writer has the log". The second gets `Locked`, or the first `Fenced`."""
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
        """G1: "every later open gives those entries back byte for byte". After power cuts, at any moment, in a row."""
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
        """G2: "What an open gives back is a dense run of LSNs from the base". Whatever happened, against an oracle.

        A Hypothesis state machine appends, syncs, rotates, checkpoints, reads, closes, kills, and does what the
        contract offers: power cuts, faults, rival writers. What may then be there, lists of bytes say that know
        nothing of walogs.
        """
        try:
            from walogs.testing.machine import run_machine
        except ModuleNotFoundError as missing:
            if missing.name != "hypothesis":
                raise
            message = "the state machine needs hypothesis: pip install 'walogs[testing]'"
            raise ModuleNotFoundError(message, name=missing.name) from None
        run_machine(self, self.machine)

    # For the checks

    def log(self, place: Path, *, max_segment_size: int | None = None) -> Any:
        """The `Wal` in *place*, open for writing; closed when the check has ended."""
        store = self.store(place)
        wal = open_log(store=store, sync=self.policy(store), max_segment_size=max_segment_size)
        self.afterwards(wal.close)
        return wal

    def policy(self, store: SegmentStore) -> Literal["fdatasync", "none"]:
        """The strongest sync policy that the store is strong enough for."""
        return "none" if store.capabilities.durability in ("none", "page-cache") else "fdatasync"


def kill(wal: Any, store: SegmentStore) -> None:
    """What its process's death leaves: nothing is written any more, and what the process held is free."""
    wal.closed = True
    with suppress(Exception, SimulatedCrash):
        store.close()
