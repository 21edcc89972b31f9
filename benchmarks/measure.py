"""The rows and pictures of the report, and how much is measured for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, NamedTuple

from walogs.cli.bench.turns import SEED, Costs, Work, time_in_turns

__all__ = ["SEED", "Costs", "Work", "time_in_turns"]

BLOCK: Final = 20
"""Operations in a block."""


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
    sizes: Sequence[int]
    """Bytes of the logs by which the growth of costs is measured, ascending."""
    segments: Sequence[int]
    """Numbers of segments of other logs, for the same."""
    callers: Sequence[int]
    """Numbers of callers at once, from 1 on."""
    entry_sizes: Sequence[int]
    """Bytes in an entry, ascending. One of them is 128."""
    seconds: float
    """How long `walogs bench` measures each of its rows."""

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


MEBIBYTE: Final = 1 << 20
FULL: Final = Scale(
    rounds=7,
    blocks=60,
    batch_blocks=30,
    walked=500_000,
    walks=9,
    reads=100,
    starts=30,
    memory_bytes=1 << 30,
    idle_seconds=10.5,
    sizes=[size * MEBIBYTE for size in (16, 64, 256, 1024, 4096)],
    segments=[1, 10, 100, 1000, 10_000, 100_000],
    callers=[1, 4, 16, 64, 256, 1000],
    entry_sizes=[16, 128, 1024, 8192, 65_536, MEBIBYTE],
    seconds=0.7,
)
LONG: Final = replace(
    FULL,
    rounds=15,
    walks=21,
    sizes=[size * MEBIBYTE for size in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)],
    segments=[1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000],
    callers=[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000],
    entry_sizes=[16 << step for step in range(17)],
    seconds=2.0,
)
QUICK: Final = Scale(
    rounds=3,
    blocks=20,
    batch_blocks=5,
    walked=100_000,
    walks=3,
    reads=25,
    starts=8,
    memory_bytes=96 << 20,
    idle_seconds=2.5,
    sizes=[2 * MEBIBYTE, 16 * MEBIBYTE],
    segments=[1, 10, 100],
    callers=[1, 16, 64],
    entry_sizes=[128, 8192],
    seconds=0.1,
)


class Limit(NamedTuple):
    """The target of a figure: at most or at least this."""

    sign: str
    value: float

    def holds(self, figure: float) -> bool:
        return figure <= self.value if self.sign == "≤" else figure >= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    name: str
    figure: float | None
    """None if it was not measured; then `beside` says why."""
    unit: str = ""
    limit: Limit | None = None
    noise: str = ""
    """What the same thing measured twice gives, in the unit of the figure."""
    beside: str = ""

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Return the texts of the columns: what, figure, noise, target, whether it is met, and what is beside it."""
        figure = f"{number(self.figure)} {self.unit}".strip() if self.figure is not None else "skipped"
        target = f"{self.limit.sign} {number(self.limit.value)} {self.unit}".strip() if self.limit else ""
        met = ""
        if self.limit is not None and self.figure is not None:
            met = "met" if self.limit.holds(self.figure) else "NOT MET"
        return self.name, figure, self.noise, target, met, self.beside

    @property
    def is_missed(self) -> bool:
        return self.figure is not None and self.limit is not None and not self.limit.holds(self.figure)


class Point(NamedTuple):
    """A point of a line. `low` and `high` are the spread of what was measured there."""

    x: float
    y: float
    low: float
    high: float


class Line(NamedTuple):
    """One line of a chart."""

    name: str
    points: list[Point]


class Chart(NamedTuple):
    """Lines over a grid whose two axes are logarithmic."""

    name: str
    """The name of its file."""
    title: str
    x: str
    """What is along the horizontal axis, and its unit."""
    y: str
    lines: list[Line]
    x_unit: str = ""
    """"bytes" if the horizontal axis counts bytes."""


class Bar(NamedTuple):
    """One bar, or the reason why there is none."""

    name: str
    value: float
    low: float
    high: float


class Bars(NamedTuple):
    """Horizontal bars, one for each thing that is compared."""

    name: str
    """The name of its file."""
    title: str
    x: str
    bars: list[Bar]
    ours: str = "walogs"
    """The bars whose names begin so are ours."""


Result = Row | Chart | Bars


def number(value: float) -> str:
    """Format a number with three significant digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.{2 if abs(value) < 10 else 1}f}"


def at_most(value: float) -> Limit:
    return Limit("≤", value)


def at_least(value: float) -> Limit:
    return Limit("≥", value)


def ratio(
    name: str, ratios: Sequence[float], noise: Sequence[float], limit: Limit | None = None, beside: str = ""
) -> Row:
    """Return the row of a ratio, from those of its rounds. *noise* is a ratio of the same thing measured twice."""
    rounds = f"rounds {number(min(ratios))}–{number(max(ratios))}"
    return Row(
        name=name,
        figure=median(ratios),
        unit="×",
        limit=limit,
        noise=spread(noise),
        beside=f"{rounds}; {beside}" if beside else rounds,
    )


def point(x: float, values: Sequence[float]) -> Point:
    return Point(x=x, y=median(values), low=min(values), high=max(values))


def bar(name: str, values: Sequence[float]) -> Bar:
    return Bar(name=name, value=median(values), low=min(values), high=max(values))


LOOP: Final = "a fixed loop"
LOOP_AGAIN: Final = "a fixed loop again"
TURNS: Final = 50_000


def fixed_loop() -> Work:
    """Return a fixed loop in Python. If its cost changes, the machine has changed its speed."""

    def work() -> None:
        for _ in range(TURNS):
            pass

    return work


LOOPS: Final = {LOOP: fixed_loop, LOOP_AGAIN: fixed_loop}
"""What is measured beside processor time. Nanoseconds of a slow processor mean little."""


def spread(values: Sequence[float]) -> str:
    """Describe the median of the rounds, the lowest and the highest."""
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


COLUMNS: Final = ("what", "figure", "noise", "target", "", "beside it")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table that is also readable as text. An empty column is left out."""
    lines = [COLUMNS, *(row.cells() for row in rows)]
    used = [column for column in range(len(COLUMNS)) if column < 2 or any(line[column] for line in lines[1:])]
    texts = [[line[column] for column in used] for line in lines]
    widths = [max(3, *(len(text[column]) for text in texts)) for column in range(len(used))]
    texts.insert(1, ["-" * width for width in widths])
    return "\n".join(_lines(texts, widths))


def _lines(texts: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    for text in texts:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(text, widths, strict=True)) + " |"
