"""`SyncPolicyContract`: everything a sync policy owes, to be subclassed with one method."""

from __future__ import annotations

import inspect
import itertools
import random
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, get_args
from unittest import mock

from walogs.assembly import open as open_log
from walogs.protocols import Barrier, Pending, Promise, SyncBy, SyncPolicy
from walogs.testing.contract import Contract, NotOffered, after_the_rest, is_text, must, must_not_raise, rests_on
from walogs.testing.memory_disk import MemoryDisk
from walogs.testing.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.protocols import Decision

__all__ = ["SyncPolicyContract"]

CLOCKS: Final = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
COUNTS: Final = (1, 2, 3, 10, 999, 1000, 1_000_000)
SIZES: Final = (48, 100, 4096, 1 << 20, 1 << 30, 1 << 40)
OLDEST: Final = (0, 1, 1_000_000_007, 1 << 45, 1 << 62)


class SyncPolicyContract(Contract):
    """Subclass it as `class TestMyPolicy(SyncPolicyContract)` with a method `policy(self)`; pytest does the rest."""

    def policy(self) -> SyncPolicy:
        """A new policy object, each time with the same options."""
        raise NotImplementedError(f"{type(self).__name__}.policy(): the one method that every contract needs")

    def test_it_has_the_members(self) -> None:
        """`SyncPolicy`: "Decides when a commit is synced, and therefore what a returned append promises." """
        policy = self.policy()
        must(isinstance(policy, SyncPolicy), "a member of SyncPolicy is missing")
        must(is_text(policy.name), f"its name is {policy.name!r}: messages need one")

    def test_it_makes_one_of_the_promises(self) -> None:
        """`SyncPolicy.promise`: "Of an append that returned." One of three, and the same for every object."""
        promise = self.policy().promise
        must(promise in get_args(Promise), f"its promise is {promise!r}: {' or '.join(map(repr, get_args(Promise)))}")
        must(self.policy().promise == promise, "another object with the same options promises something else")

    def test_it_asks_for_one_of_the_barriers(self) -> None:
        """`SyncPolicy.barrier`: "Which of the store's syncs it asks for." """
        barrier = self.policy().barrier
        must(barrier in get_args(Barrier), f"its barrier is {barrier!r}: {' or '.join(map(repr, get_args(Barrier)))}")

    def test_eventually_is_explained(self) -> None:
        """`SyncPolicy.promise`: "it will be, after what the policy's name and docstring say". So it has a docstring."""
        policy = self.policy()
        if policy.promise != "eventually":
            raise NotOffered(f"its promise is {policy.promise!r}")
        must(inspect.getdoc(type(policy)), f"{type(policy).__name__} has no docstring that says when")

    def test_decide_never_raises(self) -> None:
        """`SyncPolicy.decide`: "Called by the commit path once a frame, after it was written." To raise would
        poison."""
        policy = self.policy()
        for pending in pendings():
            must_not_raise(f"decide({pending})", policy.decide, pending)

    @rests_on("test_decide_never_raises")
    def test_every_answer_is_a_decision(self) -> None:
        """`Decision`: "`sync`: now, before the append returns." Or "leave", or `SyncBy` with whole nanoseconds."""
        for pending, decision in self.decisions():
            fine = decision in ("sync", "leave") if isinstance(decision, str) else isinstance(decision, SyncBy)
            must(fine, f"decide({pending}) answers {decision!r}")
            if isinstance(decision, SyncBy):
                must(type(decision.deadline_ns) is int, f"decide({pending}) answers {decision!r}: whole nanoseconds")

    @rests_on("test_decide_never_raises")
    def test_decide_is_pure(self) -> None:
        """`SyncPolicy`: "Pure: no clock, no I/O." One pending, one answer: whenever, however often, whichever
        object."""
        policy = self.policy()
        asked = list(pendings())
        said = (policy.name, policy.promise, policy.barrier)

        def answers(of: SyncPolicy, order: list[Pending]) -> dict[Pending, object]:
            return {pending: of.decide(pending) for pending in order}

        first = answers(policy, asked)
        shuffled = asked * 2
        random.Random(1).shuffle(shuffled)
        must(answers(policy, shuffled) == first, "asked again in another order, decide() answers something else")
        must(answers(self.policy(), asked) == first, "another object with the same options answers something else")
        with ExitStack() as stack:
            for clock in CLOCKS:
                refusal = mock.Mock(side_effect=RuntimeError(f"time.{clock} was asked"))
                for holder, name in holders_of(getattr(time, clock), policy):
                    stack.enter_context(mock.patch.object(holder, name, refusal))
            frozen = must_not_raise("decide() without a clock", answers, policy, asked)
        must(frozen == first, "without a clock, decide() answers something else")
        must(said == (policy.name, policy.promise, policy.barrier), "its name, promise or barrier has changed")

    @rests_on("test_decide_never_raises", "test_it_makes_one_of_the_promises")
    def test_durable_means_sync(self) -> None:
        """`SyncPolicy.promise`: "`durable`: it is (G1)." So every commit is synced before its append returns."""
        promise = self.policy().promise
        if promise != "durable":
            raise NotOffered(f"its promise is {promise!r}")
        for pending, decision in self.decisions():
            must(decision == "sync", f"it promises durable appends, and decide({pending}) answers {decision!r}")

    @rests_on("test_decide_never_raises", "test_it_makes_one_of_the_promises")
    def test_eventually_never_leaves(self) -> None:
        """`SyncPolicy.promise`: "`eventually`: it will be". What is left waits for a commit that may never come."""
        promise = self.policy().promise
        if promise != "eventually":
            raise NotOffered(f"its promise is {promise!r}")
        for pending, decision in self.decisions():
            must(decision != "leave", f"it promises durability eventually, and decide({pending}) answers 'leave'")

    @rests_on("test_every_answer_is_a_decision")
    def test_a_deadline_comes_after_the_oldest(self) -> None:
        """`SyncBy`: "a sync has begun by then".
        By a time on the same clock, not before what is to be synced was written."""
        for pending, decision in self.decisions():
            if isinstance(decision, SyncBy):
                early_ns = pending.oldest_ns - decision.deadline_ns
                must(early_ns <= 0, f"decide({pending}) answers {decision}: {early_ns} ns before the oldest")

    @rests_on("test_every_answer_is_a_decision")
    def test_a_deadline_does_not_recede(self) -> None:
        """`SyncBy`: "whether or not anything more is appended". More that is pending moves no deadline back."""
        by_oldest: dict[int, int] = {}
        for pending, decision in sorted(self.decisions(), key=lambda asked: asked[0]):
            if isinstance(decision, SyncBy):
                earlier = by_oldest.setdefault(pending.oldest_ns, decision.deadline_ns)
                told = f"decide({pending}) puts off by {decision.deadline_ns - earlier} ns what fewer entries were due"
                must(decision.deadline_ns <= earlier, told)

    @after_the_rest
    def test_a_log_under_it_keeps_its_promise(self) -> None:
        """G1: "A policy that promises less says so in its name, and `durable_lsn` tells the truth". Under all."""
        for seed in range(8):
            disk, policy, rng = MemoryDisk(), self.policy(), random.Random(seed)
            wal = open_log(store=MemoryStore(disk), sync=policy, max_segment_size=3000)
            data = [rng.randbytes(rng.choice((0, 10, 900))) for _ in range(12)]
            for lsn, entry in enumerate(data, start=1):
                must(wal.append(entry) == lsn, f"append gave another LSN than {lsn}")
                if policy.promise == "durable":
                    must(wal.durable_lsn == lsn, f"it promises durable appends, and {lsn} is not durable on return")
            durable_lsn, wal.closed = wal.durable_lsn, True
            disk.power_cut(rng)
            with open_log(store=MemoryStore(disk), sync=policy) as wal:
                got = [entry for _, entry in wal]
                told = f"{durable_lsn} entries were durable; after a power cut there are {len(got)}"
                must(len(got) >= durable_lsn, told)
                must(got == data[: len(got)], "after a power cut, entries are not what was appended")

    def decisions(self) -> Iterator[tuple[Pending, Decision]]:
        policy = self.policy()
        for pending in pendings():
            yield pending, policy.decide(pending)


def holders_of(clock: object, policy: object) -> Iterator[tuple[object, str]]:
    """Where *clock* is found: in `time`, and under any name in the modules of the policy's class and its bases."""
    modules = {owner.__module__ for owner in type(policy).__mro__} - {"builtins", "typing"}
    for holder in [time, *(sys.modules[name] for name in sorted(modules) if name in sys.modules)]:
        for name, value in list(vars(holder).items()):
            if value is clock:
                yield holder, name


def pendings() -> Iterator[Pending]:
    for entries, size, oldest_ns in itertools.product(COUNTS, SIZES, OLDEST):
        yield Pending(entries, size, oldest_ns)
