"""The rows of the table, and the interleaved blocks from which their figures are computed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final, NamedTuple

BLOCK: Final = 20
"""Operations in a block."""
SEED: Final = 1

Work = Callable[[], int | None]
"""Work that is timed. It may return its own cost in nanoseconds, if that is better than a clock around it."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. A small scale is for trying the benchmark; its figures are not to be quoted."""

    rounds: int
    blocks: int
    """Blocks of 20 durable appends, each round."""
    batch_blocks: int
    """Blocks of 5 durable batches, each round."""
    walked: int
    """Entries in each log that is walked or opened."""
    walks: int
    """How often each of those logs is walked and opened."""
    reads: int
    """Blocks of 20 entries read at random."""
    starts: int
    """Pairs of interpreters started."""
    memory_bytes: int
    """Size of the log that is walked while its reader's memory is watched."""
    idle_seconds: float
    """How long a follower that has nothing to do is watched."""

    @property
    def turns(self) -> int:
        """How often each rate is measured."""
        return self.rounds * max(self.blocks // 30, 1)

    @property
    def turn_seconds(self) -> float:
        """How many seconds a rate is measured at a time.

        Turns are short, so that things that are compared run close to each other, and long enough for many threads to
        settle.
        """
        return max(self.blocks / 120, 0.05)


FULL: Final = Scale(
    rounds=7,
    blocks=60,
    batch_blocks=60,
    walked=500_000,
    walks=9,
    reads=100,
    starts=30,
    memory_bytes=1 << 30,
    idle_seconds=10.5,
)
QUICK: Final = Scale(
    rounds=3,
    blocks=20,
    batch_blocks=10,
    walked=400_000,
    walks=3,
    reads=25,
    starts=20,
    memory_bytes=96 << 20,
    idle_seconds=4.5,
)


class Limit(NamedTuple):
    """The target of a figure: at most or at least this."""

    sign: str
    value: float

    def holds(self, figure: float) -> bool:
        return figure <= self.value if self.sign == "≤" else figure >= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    figure: float | None
    """None if it was not measured; then `beside` says why."""
    unit: str = ""
    limit: Limit | None = None
    beside: str = ""

    def cells(self) -> tuple[str, str, str, str, str]:
        figure = f"{number(self.figure)} {self.unit}".strip() if self.figure is not None else "skipped"
        target = f"{self.limit.sign} {number(self.limit.value)} {self.unit}".strip() if self.limit else ""
        met = ""
        if self.limit is not None and self.figure is not None:
            met = "met" if self.limit.holds(self.figure) else "NOT MET"
        return self.name, figure, target, met, self.beside


def number(value: float) -> str:
    """Format a number with three significant digits, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.{2 if abs(value) < 10 else 1}f}"


def at_most(value: float) -> Limit:
    return Limit("≤", value)


def at_least(value: float) -> Limit:
    return Limit("≥", value)


class Costs:
    """The nanoseconds of every block, by name and round."""

    def __init__(self, names: Mapping[str, object], rounds: int) -> None:
        self.by_name: dict[str, list[list[int]]] = {name: [[] for _ in range(rounds)] for name in names}

    def medians(self, name: str) -> list[float]:
        """Return the median block of each round."""
        return [median(blocks) for blocks in self.by_name[name]]

    def median(self, name: str) -> float:
        return median(self.medians(name))

    def total(self, name: str) -> int:
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
    """Time the blocks of all names in turn, in a new random order each time, so that none always follows the same one.

    Each function of *prepared* prepares a block outside the clock and returns the work that is timed.
    """
    costs = Costs(prepared, rounds)
    order, chance = list(prepared), random.Random(SEED)
    for turn in range(rounds):
        for _ in range(blocks):
            chance.shuffle(order)
            for name in order:
                work = prepared[name]()
                began = clock()
                own = work()
                ended = clock()
                costs.by_name[name][turn].append(ended - began if own is None else own)
    return costs


LOOP: Final = "a fixed loop"
TURNS: Final = 50_000


def fixed_loop() -> Work:
    """Return a fixed loop in Python. If its cost changes, the machine has changed its speed."""

    def work() -> None:
        for _ in range(TURNS):
            pass

    return work


def steadiness(costs: Costs, during: str) -> Row:
    """Return a row with the speed of the processor meanwhile. Nanoseconds of a slow processor mean little."""
    each = [nanoseconds / TURNS for nanoseconds in costs.medians(LOOP)]
    return Row(
        name=f"noise: a fixed loop, a turn, during {during}",
        figure=median(each),
        unit="ns",
        limit=None,
        beside=f"rounds {spread(each)}",
    )


def spread(values: list[float]) -> str:
    """Describe the median of the rounds, the lowest and the highest."""
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table that is also readable as text."""
    lines = [("what", "figure", "target", "", "beside it"), *(row.cells() for row in rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(5)]
    lines.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
