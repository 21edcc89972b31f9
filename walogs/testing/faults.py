"""The faults of the models: a crash that `except Exception` does not catch, and the schedule of the steps that fail.

A schedule counts every primitive of its model. So a test can learn how many steps an operation takes, and then fail it
at each step in turn. SQLite's tests do the same: they fail the Nth operation, once or from then on, until it passes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

__all__ = ["ArmedFault", "LawBroken", "Schedule", "SimulatedCrash"]


class SimulatedCrash(BaseException):
    """The process died at this step or before it. Every later call of the process raises this again.

    This is a `BaseException` because a dead process runs no code. Code under test that catches `Exception` must not be
    able to continue. The model decides what other processes see, and what a power cut leaves.
    """


class LawBroken(BaseException):
    """The code under test did something that the contract of a store, or the format, forbids. It always has a bug.

    This is a `BaseException`, so that code which poisons itself at any `Exception` cannot hide it.
    """


class Schedulable(Protocol):
    """The members of a fault that a schedule needs."""

    @property
    def only(self) -> Collection[str]:
        """The primitives that the fault counts and fails. If it is empty, these are all primitives."""
        ...

    @property
    def times(self) -> int | None:
        """How often the fault fires from its step on, each time at the next primitive it counts. None: for ever."""
        ...


F = TypeVar("F", bound=Schedulable)


class ArmedFault(Generic[F]):
    """A fault that waits for its step."""

    def __init__(self, step: int, fault: F, rng: random.Random) -> None:
        if step < 1:
            raise ValueError(f"step counts from 1, the next primitive; it is {step}")
        self.fault = fault
        self.rng = rng
        """It decides all that the fault leaves open, so that a test can replay the fault from a seed."""
        self.fired = 0
        """How often the fault has fired. 0 shows that its step was never reached."""
        self._wait = step

    @property
    def is_spent(self) -> bool:
        """Whether the fault has fired as often as it may."""
        return self.fault.times is not None and self.fired >= self.fault.times

    def count_down(self, primitive: str) -> bool:
        """Count one primitive, and return whether the fault is due at it."""
        if self.fault.only and primitive not in self.fault.only:
            return False
        self._wait -= 1
        return self._wait <= 0


class Schedule(Generic[F]):
    """A counter of primitives that decides which one fails. It has no lock: its model calls it under its own mutex."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How often each primitive was begun, including those that failed."""
        self._armed: list[ArmedFault[F]] = []

    def count(self, only: Collection[str] = ()) -> int:
        """Return how many of the primitives in *only* were begun. If it is empty, count all primitives."""
        return sum(self.counts[name] for name in only) if only else sum(self.counts.values())

    def arm(self, step: int, fault: F, rng: random.Random) -> ArmedFault[F]:
        """Let *fault* fire at the *step*-th primitive that it counts from now; 1 is the next one.

        Raises `ValueError` for a step below 1.
        """
        armed = ArmedFault(step, fault, rng)
        self._armed.append(armed)
        return armed

    def disarm(self) -> None:
        """Forget every armed fault, also those that fire for ever. The counts stay."""
        self._armed.clear()

    def tick(self, primitive: str) -> ArmedFault[F] | None:
        """Count one primitive, and return the fault that fires at it, or None.

        If two faults are due, the one that was armed first fires, and the other one waits for the next primitive.
        """
        self.counts[primitive] += 1
        first = None
        for armed in self._armed:
            if armed.count_down(primitive) and first is None:
                first = armed
        if first is not None:
            first.fired += 1
            self._armed = [armed for armed in self._armed if not armed.is_spent]
        return first
