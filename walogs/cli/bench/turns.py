"""Blocks of work that take turns, and what each cost. `walogs bench` and the project's own benchmarks use it."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Work = Callable[[], int | None]
"""Work that is timed. It may return its own cost in nanoseconds, if that is better than a clock around it."""

SEED: Final = 1


class Costs:
    """The nanoseconds of every block, by name and round."""

    def __init__(self, names: Iterable[str], rounds: int) -> None:
        self.by_name: dict[str, list[list[int]]] = {name: [[] for _ in range(rounds)] for name in names}
        self._order = list(self.by_name)
        self._chance = random.Random(SEED)

    def take_turn(self, prepared: Mapping[str, Callable[[], Work]], number: int, clock: Callable[[], int]) -> None:
        """Time one block of each name in round *number*, in a new random order, so that none always follows the same.

        Each function of *prepared* prepares a block outside the clock and returns the work that is timed.
        """
        self._chance.shuffle(self._order)
        for name in self._order:
            work = prepared[name]()
            began = clock()
            own = work()
            ended = clock()
            self.by_name[name][number].append(ended - began if own is None else own)

    def medians(self, name: str) -> list[float]:
        """Return the median block of each round."""
        return [median(blocks) for blocks in self.by_name[name]]

    def median(self, name: str) -> float:
        """Return the median of the rounds."""
        return median(self.medians(name))

    def total(self, name: str) -> int:
        """Return the sum of all blocks."""
        return sum(map(sum, self.by_name[name]))

    def ratios(self, over: str, *under: str) -> list[float]:
        """Return the median of each round of the blocks, each divided by the mean of the *under* blocks beside it.

        A disk that is slow for a while is slow for both.
        """
        return [median(a / b for a, b in pairs) for pairs in self._pairs(over, under)]

    def differences(self, over: str, *under: str) -> list[float]:
        """Return the median of each round of the blocks, each less the mean of the *under* blocks beside it."""
        return [median(a - b for a, b in pairs) for pairs in self._pairs(over, under)]

    def _pairs(self, over: str, under: tuple[str, ...]) -> list[list[tuple[int, float]]]:
        rounds = zip(self.by_name[over], *(self.by_name[name] for name in under), strict=True)
        return [[(a, fmean(b)) for a, *b in zip(*blocks, strict=True)] for blocks in rounds]


def time_in_turns(
    prepared: Mapping[str, Callable[[], Work]], rounds: int, blocks: int, clock: Callable[[], int]
) -> Costs:
    """Time so many blocks of all names in each round. See `Costs.take_turn`."""
    costs = Costs(prepared, rounds)
    for number in range(rounds):
        for _ in range(blocks):
            costs.take_turn(prepared, number, clock)
    return costs
