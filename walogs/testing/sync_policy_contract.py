"""`SyncPolicyContract`: all that a sync policy must do. A subclass needs one method."""

from __future__ import annotations

import inspect
import itertools
import random
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, get_args
from unittest import mock

from walogs.assembly.opening import open as open_log
from walogs.protocols import Durability, SyncDeadline, SyncKind, SyncPolicy, Unsynced
from walogs.testing.contract import Contract, NotOffered, after_the_rest, is_text, must, must_not_raise, rests_on
from walogs.testing.faults import SimulatedCrash
from walogs.testing.memory_disk import MemoryDisk
from walogs.testing.memory_immutable_store import MemoryCloud, MemoryImmutableStore
from walogs.testing.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from walogs.protocols import Decision

__all__ = ["SyncPolicyContract"]

CLOCKS: Final = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
COUNTS: Final = (1, 2, 3, 10, 999, 1000, 1_000_000)
SIZES: Final = (48, 100, 4096, 1 << 20, 1 << 30, 1 << 40)
HANG_SECONDS: Final = 300.0
"""An append that `sync` has waited for, and that has no result after so long, never gets one."""
OLDEST: Final = (0, 1, 1_000_000_007, 1 << 45, 1 << 62)


class SyncPolicyContract(Contract):
    """The contract of a sync policy. pytest does the rest.

    Subclass it as `class TestMyPolicy(SyncPolicyContract)` with a method `policy(self)`.
    """

    def policy(self) -> SyncPolicy:
        """Return a new policy object. Each call gives it the same options."""
        raise NotImplementedError(f"{type(self).__name__}.policy(): the one method that every contract needs")

    def test_it_has_the_members(self) -> None:
        """`SyncPolicy`: "A component that decides when a commit is synced, and therefore what a returned append
        promises." """
        policy = self.policy()
        must(isinstance(policy, SyncPolicy), "a member of SyncPolicy is missing")
        must(is_text(policy.name), f"its name is {policy.name!r}: messages need one")

    def test_it_declares_one_of_the_durabilities(self) -> None:
        """`SyncPolicy.durability`: "What holds for an append that returned." It is one of three, and each object says
        the same."""
        durability = self.policy().durability
        must(
            durability in get_args(Durability),
            f"its durability is {durability!r}: {' or '.join(map(repr, get_args(Durability)))}",
        )
        must(self.policy().durability == durability, "another object with the same options promises something else")

    def test_it_asks_for_one_of_the_sync_kinds(self) -> None:
        """`SyncPolicy.sync_kind`: "Which of the store's syncs the policy asks for." """
        sync_kind = self.policy().sync_kind
        must(
            sync_kind in get_args(SyncKind),
            f"its sync_kind is {sync_kind!r}: {' or '.join(map(repr, get_args(SyncKind)))}",
        )

    def test_eventually_is_explained(self) -> None:
        """`SyncPolicy.durability`: "after the time that the policy's docstring names". So there is a docstring."""
        policy = self.policy()
        if policy.durability != "eventually":
            raise NotOffered(f"its durability is {policy.durability!r}")
        must(inspect.getdoc(type(policy)), f"{type(policy).__name__} has no docstring that says when")

    def test_decide_never_raises(self) -> None:
        """`SyncPolicy.decide`: "The engine calls this once for each frame." An error would poison
        the handle."""
        policy = self.policy()
        for pending in pendings():
            must_not_raise(f"decide({pending})", policy.decide, pending)

    @rests_on("test_decide_never_raises")
    def test_every_answer_is_a_decision(self) -> None:
        """`Decision`: "`sync`: it syncs the commit before the append returns." Or "leave", or `SyncDeadline` with whole
        nanoseconds."""
        for pending, decision in self.decisions():
            fine = decision in ("sync", "leave") if isinstance(decision, str) else isinstance(decision, SyncDeadline)
            must(fine, f"decide({pending}) answers {decision!r}")
            if isinstance(decision, SyncDeadline):
                must(type(decision.deadline_ns) is int, f"decide({pending}) answers {decision!r}: whole nanoseconds")

    @rests_on("test_decide_never_raises")
    def test_decide_is_pure(self) -> None:
        """`SyncPolicy`: "It uses no clock and does no I/O." So it always returns the same answer for the same argument,
        from any object with the same options."""
        policy = self.policy()
        asked = list(pendings())
        said = (policy.name, policy.durability, policy.sync_kind)

        def answers(of: SyncPolicy, order: list[Unsynced]) -> dict[Unsynced, object]:
            return {pending: of.decide(pending) for pending in order}

        first = answers(policy, asked)
        shuffled = asked * 2
        random.Random(1).shuffle(shuffled)
        must(answers(policy, shuffled) == first, "asked again in another order, decide() answers something else")
        must(answers(self.policy(), asked) == first, "another object with the same options answers something else")
        with ExitStack() as stack:
            for clock in CLOCKS:
                refusal = refuse_in_this_thread(clock)
                for holder, name in holders_of(getattr(time, clock), policy):
                    stack.enter_context(mock.patch.object(holder, name, refusal))
            frozen = must_not_raise("decide() without a clock", answers, policy, asked)
        must(frozen == first, "without a clock, decide() answers something else")
        must(
            said == (policy.name, policy.durability, policy.sync_kind), "its name, durability or sync_kind has changed"
        )

    @rests_on("test_decide_never_raises", "test_it_declares_one_of_the_durabilities")
    def test_durable_means_sync(self) -> None:
        """`SyncPolicy.durability`: "its entries are durable (G1)". So every commit is synced before its append
        returns."""
        durability = self.policy().durability
        if durability != "durable":
            raise NotOffered(f"its durability is {durability!r}")
        for pending, decision in self.decisions():
            must(decision == "sync", f"it promises durable appends, and decide({pending}) answers {decision!r}")

    @rests_on("test_decide_never_raises", "test_it_declares_one_of_the_durabilities")
    def test_eventually_never_leaves(self) -> None:
        """`SyncPolicy.durability`: "they become durable". An entry that is left waits for a commit that may never
        come."""
        durability = self.policy().durability
        if durability != "eventually":
            raise NotOffered(f"its durability is {durability!r}")
        for pending, decision in self.decisions():
            must(decision != "leave", f"it promises durability eventually, and decide({pending}) answers 'leave'")

    @rests_on("test_every_answer_is_a_decision")
    def test_a_deadline_comes_after_the_oldest(self) -> None:
        """`SyncDeadline`: "a sync begins by the deadline".
        The deadline is on the clock of `oldest_ns`, and not before that time."""
        for pending, decision in self.decisions():
            if isinstance(decision, SyncDeadline):
                early_ns = pending.oldest_ns - decision.deadline_ns
                must(early_ns <= 0, f"decide({pending}) answers {decision}: {early_ns} ns before the oldest")

    @rests_on("test_every_answer_is_a_decision")
    def test_a_deadline_does_not_recede(self) -> None:
        """`SyncDeadline`: "even if nothing more is appended". More entries never move a deadline later."""
        by_oldest: dict[int, int] = {}
        for pending, decision in sorted(self.decisions(), key=lambda asked: asked[0]):
            if isinstance(decision, SyncDeadline):
                earlier = by_oldest.setdefault(pending.oldest_ns, decision.deadline_ns)
                told = f"decide({pending}) puts off by {decision.deadline_ns - earlier} ns what fewer entries were due"
                must(decision.deadline_ns <= earlier, told)

    @after_the_rest
    def test_a_log_under_it_keeps_its_promise(self) -> None:
        """G1: "`durable_lsn` is correct under every policy". This includes the tested policy."""
        for seed in range(8):
            disk, policy, rng = MemoryDisk(), self.policy(), random.Random(seed)
            wal = open_log(store=MemoryStore(disk), sync=policy, max_segment_size=3000)
            data = [rng.randbytes(rng.choice((0, 10, 900))) for _ in range(12)]
            for lsn, entry in enumerate(data, start=1):
                must(wal.append(entry) == lsn, f"append gave another LSN than {lsn}")
                if policy.durability == "durable":
                    must(wal.durable_lsn == lsn, f"it promises durable appends, and {lsn} is not durable on return")
            durable_lsn = wal.durable_lsn
            disk.power_cut(rng)
            with suppress(Exception, SimulatedCrash):
                wal.close()  # This ends the thread of the log. Nothing reaches the disk any more.
            with open_log(store=MemoryStore(disk), sync=policy) as wal:
                got = [entry for _, entry in wal]
                told = f"{durable_lsn} entries were durable; after a power cut there are {len(got)}"
                must(len(got) >= durable_lsn, told)
                must(got == data[: len(got)], "after a power cut, entries are not what was appended")
        keep_promise_in_a_cloud(self.policy())

    def decisions(self) -> Iterator[tuple[Unsynced, Decision]]:
        """Yield each state of an unsynced log that the checks try, and the decision of a new policy object about it."""
        policy = self.policy()
        for pending in pendings():
            yield pending, policy.decide(pending)


def keep_promise_in_a_cloud(policy: SyncPolicy) -> None:
    """Append to a log of immutable segments, where the policy says how long commits wait for more entries.

    Whatever it says: `sync` does not wait, and what is acknowledged is durable.
    """
    cloud = MemoryCloud()
    with open_log(store=MemoryImmutableStore(cloud), sync=policy) as wal:
        futures = [wal.submit(b"%d" % number) for number in range(12)]
        wal.sync()
        got = [future.result(HANG_SECONDS) for future in futures]
        must(got == list(range(1, 13)), f"in a store of immutable segments, 12 appends got the LSNs {got}")
        must(wal.durable_lsn == 12, f"12 entries are acknowledged, and {wal.durable_lsn} are durable")
        must(len(cloud.objects) > 1, "12 entries are acknowledged, and no segment holds them")


def refuse_in_this_thread(clock: str) -> Callable[[], object]:
    """Return what stands for `time.<clock>` while a policy is tested: it raises in this thread, and works in others.

    Another thread of the process may read the clock meanwhile, to log for example.
    """
    tested, read = threading.get_ident(), getattr(time, clock)

    def refuse() -> object:
        if threading.get_ident() == tested:
            raise RuntimeError(f"time.{clock} was asked")
        return read()

    return refuse


def holders_of(clock: object, policy: object) -> Iterator[tuple[object, str]]:
    """Yield each module that contains *clock*, and its name there: `time`, and the modules of the policy's classes."""
    modules = {owner.__module__ for owner in type(policy).__mro__} - {"builtins", "typing"}
    for holder in [time, *(sys.modules[name] for name in sorted(modules) if name in sys.modules)]:
        for name, value in list(vars(holder).items()):
            if value is clock:
                yield holder, name


def pendings() -> Iterator[Unsynced]:
    """Yield the states of an unsynced log that the checks try: few and many entries, bytes and nanoseconds."""
    for entries, size, oldest_ns in itertools.product(COUNTS, SIZES, OLDEST):
        yield Unsynced(entries, size, oldest_ns)
