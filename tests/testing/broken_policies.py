"""Sync policies that break one rule each."""

from __future__ import annotations

import itertools
import time
from time import monotonic_ns as now_ns
from typing import Any, ClassVar, Final

from walogs.defaults.sync_policies import FdatasyncPolicy, IntervalPolicy, NoSyncPolicy
from walogs.protocols import Decision, SyncDeadline, SyncPolicy, Unsynced
from walogs.testing import SyncPolicyContract


class OfAPolicy(SyncPolicyContract):
    """Of the class that is named."""

    policy_type: ClassVar[Any] = FdatasyncPolicy

    def policy(self) -> SyncPolicy:
        policy: SyncPolicy = self.policy_type()
        return policy


class DurableInName(FdatasyncPolicy):
    def decide(self, pending: Unsynced) -> Decision:
        return "leave"


class DurableUnlessMany(FdatasyncPolicy):
    """Under load there is no time to sync."""

    def decide(self, pending: Unsynced) -> Decision:
        return "sync" if pending.entries < 1000 else SyncDeadline(pending.oldest_ns + 1_000_000)


class EventuallyPerhaps(IntervalPolicy):
    """Every hundred entries: the last ninety-nine wait for ever."""

    def decide(self, pending: Unsynced) -> Decision:
        return "sync" if pending.entries >= 100 else "leave"


class EventuallyWithoutAWord:
    name = "eventually"
    durability = "eventually"
    sync_kind = "data"

    def decide(self, pending: Unsynced) -> Decision:
        return SyncDeadline(pending.oldest_ns + 10)


class ByTheClock(IntervalPolicy):
    def decide(self, pending: Unsynced) -> Decision:
        return (
            "sync" if time.monotonic_ns() - pending.oldest_ns > self._time_ns else SyncDeadline(pending.oldest_ns + 1)
        )


class ByAClockOfItsOwn(IntervalPolicy):
    """`from time import monotonic_ns`: a name of its module."""

    def decide(self, pending: Unsynced) -> Decision:
        return (
            "sync" if now_ns() - pending.oldest_ns > self._time_ns else SyncDeadline(pending.oldest_ns + self._time_ns)
        )


class EveryOther(NoSyncPolicy):
    def __init__(self) -> None:
        self.turns = itertools.cycle(("sync", "leave"))

    def decide(self, pending: Unsynced) -> Decision:
        return next(self.turns)  # type: ignore[return-value]


class Overflow(FdatasyncPolicy):
    def decide(self, pending: Unsynced) -> Decision:
        pending.oldest_ns.to_bytes(6, "big")
        return "sync"


class TrueIsNoDecision(NoSyncPolicy):
    def decide(self, pending: Unsynced) -> Decision:
        return True  # type: ignore[return-value]


class InSeconds(IntervalPolicy):
    """A deadline of this clock, in another unit."""

    def decide(self, pending: Unsynced) -> Decision:
        return SyncDeadline(pending.oldest_ns // 10**9 + 1)


class InFractions(IntervalPolicy):
    def decide(self, pending: Unsynced) -> Decision:
        return SyncDeadline(pending.oldest_ns + 1e6)  # type: ignore[arg-type]


class AlwaysALittleLater(IntervalPolicy):
    """Every append puts it off: while there are any, none is synced."""

    def decide(self, pending: Unsynced) -> Decision:
        return SyncDeadline(pending.oldest_ns + pending.entries * 1000)


class SyncKindOfItsOwn(FdatasyncPolicy):
    sync_kind = "fast"  # type: ignore[assignment]


class DurabilityOfItsOwn(NoSyncPolicy):
    durability = "mostly"  # type: ignore[assignment]


class NoMembers:
    name = "nothing"


Broken = tuple[type[SyncPolicyContract], str]


def of(policy: Any, check: str) -> Broken:
    return type(f"Of{policy.__name__}", (OfAPolicy,), {"policy_type": policy}), check


BROKEN: Final[list[Broken]] = [
    of(DurableInName, "test_durable_means_sync"),
    of(DurableUnlessMany, "test_durable_means_sync"),
    of(EventuallyPerhaps, "test_eventually_never_leaves"),
    of(EventuallyWithoutAWord, "test_eventually_is_explained"),
    of(ByTheClock, "test_decide_is_pure"),
    of(ByAClockOfItsOwn, "test_decide_is_pure"),
    of(EveryOther, "test_decide_is_pure"),
    of(Overflow, "test_decide_never_raises"),
    of(TrueIsNoDecision, "test_every_answer_is_a_decision"),
    of(InFractions, "test_every_answer_is_a_decision"),
    of(InSeconds, "test_a_deadline_comes_after_the_oldest"),
    of(AlwaysALittleLater, "test_a_deadline_does_not_recede"),
    of(SyncKindOfItsOwn, "test_it_asks_for_one_of_the_sync_kinds"),
    of(DurabilityOfItsOwn, "test_it_declares_one_of_the_durabilities"),
    of(NoMembers, "test_it_has_the_members"),
]

__all__ = ["BROKEN", "OfAPolicy"]
