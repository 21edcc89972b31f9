"""Rows of the table, and the interleaved blocks that their figures come from."""

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
"""What is timed. It may return what it cost, in nanoseconds, where it knows better than a clock around it."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. Figures of a small scale are for trying the benchmark, not for quoting."""

    rounds: int
    blocks: int
    """Of 20 durable appends, each round."""
    batch_blocks: int
    """Of 5 durable batches, each round."""
    walked: int
    """Entries in each log that is walked or opened."""
    walks: int
    """How often each of those is walked, and opened."""
    reads: int
    """Blocks of 20 entries read at random."""
    starts: int
    """Pairs of interpreters started."""
    memory_bytes: int
    """Size of the log that is walked while its reader's memory is watched."""

    @property
    def turns(self) -> int:
        """How often each rate is measured."""
        return self.rounds * max(self.blocks // 30, 1)

    @property
    def turn_seconds(self) -> float:
        """How long a rate is measured at a time: so short that what is compared runs beside it, and long enough for
        many threads to settle."""
        return max(self.blocks / 120, 0.05)


FULL: Final = Scale(7, 60, 60, 500_000, 9, 100, 30, 1 << 30)
QUICK: Final = Scale(3, 20, 10, 400_000, 3, 25, 20, 96 << 20)


class Limit(NamedTuple):
    """What a figure is to be: not more than this, or not less."""

    sign: str
    value: float

    def holds(self, figure: float) -> bool:
        return figure <= self.value if self.sign == "≤" else figure >= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    figure: float | None
    """None: it was not measured, and `beside` says why."""
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
    """Three significant digits, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.{2 if abs(value) < 10 else 1}f}"


def at_most(value: float) -> Limit:
    return Limit("≤", value)


def at_least(value: float) -> Limit:
    return Limit("≥", value)


class Costs:
    """Nanoseconds of every block, by name and round."""

    def __init__(self, names: Mapping[str, object], rounds: int) -> None:
        self.by_name: dict[str, list[list[int]]] = {name: [[] for _ in range(rounds)] for name in names}

    def medians(self, name: str) -> list[float]:
        """The median block of each round."""
        return [median(blocks) for blocks in self.by_name[name]]

    def median(self, name: str) -> float:
        return median(self.medians(name))

    def total(self, name: str) -> int:
        return sum(map(sum, self.by_name[name]))

    def ratios(self, over: str, *under: str) -> list[float]:
        """The median of each round, of blocks ÷ those of *under* (their mean) that ran beside them: a disk that was
        slow for a while was slow for both."""
        return [median(a / b for a, b in pairs) for pairs in self._pairs(over, under)]

    def differences(self, over: str, *under: str) -> list[float]:
        """The median of each round, of blocks less those of *under* (their mean) that ran beside them."""
        return [median(a - b for a, b in pairs) for pairs in self._pairs(over, under)]

    def _pairs(self, over: str, under: tuple[str, ...]) -> list[list[tuple[int, float]]]:
        rounds = zip(self.by_name[over], *(self.by_name[name] for name in under), strict=True)
        return [[(a, fmean(b)) for a, *b in zip(*blocks, strict=True)] for blocks in rounds]


def interleaved(
    prepared: Mapping[str, Callable[[], Work]], rounds: int, blocks: int, clock: Callable[[], int]
) -> Costs:
    """Blocks of one name after blocks of another, in an order drawn anew each time: nothing follows always the same.

    *prepared* makes ready, outside the clock, and returns what is timed."""
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
    """Nothing but Python, the same each time: what changes about its cost is the machine."""

    def work() -> None:
        for _ in range(TURNS):
            pass

    return work


def steadiness(costs: Costs, during: str) -> Row:
    """How fast the processor was meanwhile. Nanoseconds measured while it was slow mean little."""
    each = [nanoseconds / TURNS for nanoseconds in costs.medians(LOOP)]
    return Row(f"noise: a fixed loop, a turn, during {during}", median(each), "ns", None, f"rounds {spread(each)}")


def spread(values: list[float]) -> str:
    """Median, and the least and most of the rounds."""
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def table(rows: list[Row]) -> str:
    """The rows, as a table that is read as it stands and by Markdown."""
    lines = [("what", "figure", "target", "", "beside it"), *(row.cells() for row in rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(5)]
    lines.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
