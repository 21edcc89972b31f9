"""What the models share: a crash that no `except Exception` survives, and the schedule that says which step fails.

A schedule counts every primitive its model carries out, so a test can learn how many steps an operation takes and then
fail it at each one in turn (SQLite's rule: the Nth operation, one-shot and sticky, until it passes).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

__all__ = ["Armed", "LawBroken", "Schedule", "SimulatedCrash"]


class SimulatedCrash(BaseException):
    """The process died at this step, or had died before it: whatever it calls from now on raises this again.

    A `BaseException`, because a dead process runs no handler: code under test that catches `Exception` must not be
    able to go on. What other processes see, and what a power cut leaves, is up to the model it died on.
    """


class LawBroken(BaseException):
    """The code under test did what the contract of a store, or the format, forbids: always a bug in that code.

    A `BaseException`, so that code which poisons itself at any `Exception` cannot turn it into an expected outcome.
    """


class Schedulable(Protocol):
    """What a schedule must know of a fault."""

    @property
    def only(self) -> Collection[str]:
        """The primitives that it counts and fails; empty: every one."""
        ...

    @property
    def times(self) -> int | None:
        """How often it fires once it is due, each time at the next primitive it counts; None: for ever (sticky)."""
        ...


F = TypeVar("F", bound=Schedulable)


class Armed(Generic[F]):
    """One fault that waits for its step."""

    def __init__(self, step: int, fault: F, rng: random.Random) -> None:
        if step < 1:
            raise ValueError(f"step counts from 1, the next primitive; it is {step}")
        self.fault = fault
        self.rng = rng
        """Decides whatever the fault leaves open, so that a seed replays it."""
        self.fired = 0
        """How often it has fired: 0 tells a test that its step was never reached."""
        self._wait = step

    @property
    def is_spent(self) -> bool:
        """Whether it has fired as often as it may."""
        return self.fault.times is not None and self.fired >= self.fault.times

    def count_down(self, primitive: str) -> bool:
        """Whether it is due at this primitive."""
        if self.fault.only and primitive not in self.fault.only:
            return False
        self._wait -= 1
        return self._wait <= 0


class Schedule(Generic[F]):
    """Counts primitives and says which one fails. Not locked: its model calls it under the model's own mutex."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How often each primitive was begun, those that failed included."""
        self._armed: list[Armed[F]] = []

    def count(self, only: Collection[str] = ()) -> int:
        """How many primitives were begun, of those named in *only*; of all when it is empty."""
        return sum(self.counts[name] for name in only) if only else sum(self.counts.values())

    def arm(self, step: int, fault: F, rng: random.Random) -> Armed[F]:
        """Let *fault* fire at the *step*-th primitive it counts from now (1: the next). `ValueError`: step below 1."""
        armed = Armed(step, fault, rng)
        self._armed.append(armed)
        return armed

    def disarm(self) -> None:
        """Forget every armed fault, the sticky ones too; the counts stay."""
        self._armed.clear()

    def tick(self, primitive: str) -> Armed[F] | None:
        """Count one primitive; the fault that fires at it, or None. Of two that are due, the later waits its turn."""
        self.counts[primitive] += 1
        if not self._armed:
            return None
        due = [armed for armed in self._armed if armed.count_down(primitive)]
        if not due:
            return None
        due[0].fired += 1
        self._armed = [armed for armed in self._armed if not armed.is_spent]
        return due[0]
