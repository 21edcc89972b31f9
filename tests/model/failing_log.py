"""How the log under test ends or fails: closes, kills, power cuts, faults of the store, a second writer."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

import walogs
from tests.model.log_under_test import LogUnderTest, payload, seeds
from walogs.testing import SimulatedCrash


class FailingLog(LogUnderTest):
    """A log whose process is killed, whose store fails, and whose machine loses power."""

    # Ends

    @precondition(lambda self: self.wal is not None)
    @rule()
    def close_and_reopen(self) -> None:
        wal = self.wal
        assert wal is not None
        poisoned = wal._writer.is_poisoned
        try:
            wal.close()
        except (walogs.OutcomeUnknown, OSError, walogs.Unavailable):
            self.count("close: indefinite")
        except SimulatedCrash:
            self.count("close: crash")
            self.learn(is_dead=True)
        else:
            self.count("close poisoned" if poisoned else "close")
            self.learn()
            if not wal._writer.is_poisoned:
                self.oracle.durable_up_to(self.oracle.next_lsn)
        self.forget()
        self.reopen()

    @precondition(lambda self: self.wal is not None)
    @rule()
    def kill_and_reopen(self) -> None:
        self.count("kill")
        self.abandon()
        self.reopen()

    @precondition(lambda self: self.wal is None)
    @rule()
    def open_again(self) -> None:
        self.reopen()

    @precondition(lambda self: self.wal is not None)
    @rule()
    def recover_twice(self) -> None:
        """Check that opening twice gives the same log as opening once (G15)."""
        self.world.disarm()
        self.abandon()
        self.reopen()
        assert self.wal is not None
        first = (self.wal.first_lsn, self.wal.next_lsn)
        self.abandon()
        self.reopen()
        assert (self.wal.first_lsn, self.wal.next_lsn) == first
        self.count("recover twice")

    @precondition(lambda self: self.world.loses_power)
    @rule(seed=seeds)
    def power_cut(self, seed: int) -> None:
        self.count("power cut")
        self.forget()
        self.world.power_cut(random.Random(seed))
        self.reopen()

    @precondition(lambda self: self.wal is not None and self.world.loses_power)
    @rule(seed=seeds, step=st.integers(1, 6), count=st.integers(1, 4))
    def power_cut_in_the_middle_of_a_commit(self, seed: int, step: int, count: int) -> None:
        rng = random.Random(seed)
        entries = [payload(rng) for _ in range(count)]
        self.world.arm_crash(step, rng)
        if self.attempt("append_batch", entries, lambda wal: self.commit(wal, entries)) is not None:
            self.committed(entries)
        self.power_cut(seed)

    @precondition(lambda self: self.wal is not None and "failed sync" in self.world.faults)
    @rule(seed=seeds, verb=st.sampled_from(("append", "append_batch", "checkpoint", "rotate")), power=st.booleans())
    def failed_sync_in_the_middle_of_a_commit(self, seed: int, verb: str, power: bool) -> None:
        rng = random.Random(seed)
        if verb == "checkpoint":
            self.rotate()  # so that the checkpoint has a segment to remove
        if self.wal is None:
            return
        self.world.arm("failed sync", 1, rng)
        if verb == "append":
            self.append(seed)
        elif verb == "append_batch":
            self.append_batch(seed, rng.randint(1, 4))
        elif verb == "checkpoint":
            self.checkpoint(rng.choice((seed, 1, 2, 3)))
        else:
            self.rotate()
        if power:
            self.power_cut(seed)
        elif self.wal is not None:
            self.close_and_reopen()

    @precondition(lambda self: self.wal is not None and not self.world.appends)
    @rule(seed=seeds, data=st.data(), checkpoint=st.booleans())
    def lost_answers_in_the_middle_of_a_commit(self, seed: int, data: st.DataObject, checkpoint: bool) -> None:
        fault = data.draw(st.sampled_from(("three lost answers", "no answer at all", "late", "late every time")))
        self.world.arm(fault, 1, random.Random(seed))
        if checkpoint:
            self.checkpoint(seed)
        else:
            self.append(seed)
        self.world.disarm()

    @precondition(lambda self: not self.world.appends)
    @rule()
    def late_puts_arrive(self) -> None:
        if self.world.deliver():
            self.count("late puts arrived")

    # Faults

    @precondition(lambda self: self.world.faults)
    @rule(seed=seeds, step=st.integers(1, 12), data=st.data())
    def arm_fault(self, seed: int, step: int, data: st.DataObject) -> None:
        self.arm(data.draw(st.sampled_from(self.world.faults)), step, seed)

    def arm(self, fault: str, step: int, seed: int) -> None:
        self.count(f"arm {fault}")
        self.world.arm(fault, step, random.Random(seed))

    @precondition(lambda self: self.world.faults)
    @rule(seed=seeds, step=st.integers(1, 40))
    def arm_crash(self, seed: int, step: int) -> None:
        self.count("arm crash")
        self.world.arm_crash(step, random.Random(seed))

    @precondition(lambda self: self.world.faults)
    @rule(seed=seeds, step=st.integers(1, 30), power=st.booleans())
    def crash_inside_recovery(self, seed: int, step: int, power: bool) -> None:
        self.abandon()
        rng = random.Random(seed)
        if power and self.world.loses_power:
            self.world.power_cut(rng)
        self.world.arm_crash(step, rng)
        self.reopen()

    @rule()
    def disarm(self) -> None:
        self.world.disarm()

    @precondition(lambda self: self.world.loses_power)
    @rule(seed=seeds)
    def evict(self, seed: int) -> None:
        self.count("evict")
        self.world.evict(random.Random(seed))

    @precondition(lambda self: self.world.loses_power)
    @rule(seed=seeds)
    def fail_writeback(self, seed: int) -> None:
        self.count("writeback that nobody saw fail")
        self.world.fail_writeback(random.Random(seed))

    @precondition(lambda self: self.world.loses_power)
    @rule(free=st.sampled_from((0, 1000, 4096, 9000, 70_000)))
    def fill_the_disk(self, free: int) -> None:
        self.count("fill the disk")
        self.world.set_room(free)

    @precondition(lambda self: self.world.loses_power)
    @rule()
    def make_room(self) -> None:
        self.world.set_room(None)

    @precondition(lambda self: self.wal is not None and not self.world.appends)
    @rule(seed=seeds)
    def another_writer_opens(self, seed: int) -> None:
        """Open a second writer, which fences the first one. The first one must not acknowledge another append."""
        first = self.wal
        assert first is not None
        self.world.disarm()
        self.step(first)
        self.wal = None
        self.reopen()
        self.oracle.first_lsn_max = self.oracle.first_lsn
        if not first._writer.is_poisoned:
            try:
                self.commit(first, [b"from the dead"])
            except walogs.Fenced:
                self.count("fenced by another writer")
            else:
                raise AssertionError("a fenced writer acknowledged an entry")
        first.close()

    def teardown(self) -> None:
        try:
            self.world.disarm()
            if self.world.loses_power:
                self.world.set_room(None)
            if self.wal is None:
                self.reopen()
            self.close_and_reopen()
            self.close_and_reopen()  # once more, for faults that show only at the second open
        finally:
            for handle in self.handles:
                handle.closed = True
            self.abandon()
            self.world.close()
