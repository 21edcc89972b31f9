"""How much the laboratory tries: a sample in `.ci/run`, everything in `.ci/laboratory --long`.

A sample tries fewer states, but every kind of fault, every verb and every rule.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from tests.system.children import seed_of

VARIABLE: Final = "WALOGS_LABORATORY"
"""The environment variable that asks for everything when it is `long`."""
IS_LONG: Final = os.environ.get(VARIABLE, "") == "long"

T = TypeVar("T")


def amount(sample: int, everything: int) -> int:
    """Return *sample*, or *everything* if a long run was asked for."""
    return everything if IS_LONG else sample


def sampled(states: Iterable[T], step: int, name: str, step_when_long: int = 1) -> Iterator[T]:
    """Yield every *step*-th state, beginning with a random one, and at least one state. The seed is printed.

    An odd step makes sure that all eight bits of a byte are tried.
    """
    step = amount(step, step_when_long)
    start = random.Random(seed_of(name)).randrange(step)
    number, last = -1, None
    for number, state in enumerate(states):
        if number % step == start:
            yield state
        last = state
    if 0 <= number < start and last is not None:  # there were fewer states than *step*
        yield last
