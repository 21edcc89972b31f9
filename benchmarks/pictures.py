"""Charts and bars as SVG. A picture follows the light or dark mode. The same figures give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from benchmarks.measure import Bar, Bars, Chart, Line, number

WIDTH: Final = 760
CHART_HEIGHT: Final = 400
LEFT: Final = 74
RIGHT: Final = 190
TOP: Final = 70
BOTTOM: Final = 58
BAR_HEIGHT: Final = 26
LINE_HEIGHT: Final = 17
TICKS_MAX: Final = 8
LOGARITHMIC_FROM: Final = 60
"""Bars are logarithmic if the longest is so many times the shortest."""
COLOURS: Final = (
    ("#1d5fd1", "#7db2ff"),
    ("#c2410c", "#ff9d5c"),
    ("#0f7b4f", "#58d39a"),
    ("#8b2fb8", "#d59bff"),
    ("#a16207", "#f2c94c"),
    ("#0e7490", "#5fd6ec"),
    ("#be185d", "#ff8fbf"),
    ("#57606a", "#a9b1ba"),
)
"""The colour of each line, in light and in dark mode."""
STYLE: Final = """
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 13px }
.ground { fill: #ffffff }
.ink { fill: #1f2328 }
.soft { fill: #59636e }
.title { font-size: 16px; font-weight: 600 }
.ours { font-weight: 600 }
.grid { stroke: #d8dee4; stroke-width: 1 }
.axis { stroke: #59636e; stroke-width: 1 }
.whisker { stroke: #1f2328; stroke-width: 1.2; opacity: 0.65 }
.line { fill: none; stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round }
.band { opacity: 0.14 }
"""
DARK_STYLE: Final = """
.ground { fill: #14181f }
.ink { fill: #e6edf3 }
.soft { fill: #9aa4af }
.grid { stroke: #2b323b }
.axis { stroke: #9aa4af }
.whisker { stroke: #e6edf3 }
.band { opacity: 0.2 }
"""


def style() -> str:
    """Return the style sheet of every picture."""
    light, dark = (
        "".join(
            f".s{place} {{ stroke: {pair[mode]} }} .f{place} {{ fill: {pair[mode]} }}\n"
            for place, pair in enumerate(COLOURS)
        )
        for mode in (0, 1)
    )
    return f"{STYLE}{light}@media (prefers-color-scheme: dark) {{{DARK_STYLE}{dark}}}\n"


def draw(picture: Chart | Bars) -> str:
    """Return the SVG of a picture."""
    height, body = _chart(picture) if isinstance(picture, Chart) else _bars(picture)
    frame = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} role="img" aria-label="{escape(picture.title)}">',
        f"<style>{style()}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>',
        text(20, 30, picture.title, "ink title"),
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


# Charts


class Axis:
    """A logarithmic axis from the pixel *begin* to the pixel *end*."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self.low, self.high = min(values), max(values)
        if self.low == self.high:
            self.low, self.high = self.low / 2, self.high * 2
        self._begin = begin
        self._scale = (end - begin) / math.log(self.high / self.low)

    def at(self, value: float) -> float:
        return self._begin + math.log(value / self.low) * self._scale

    def ticks(self) -> list[float]:
        """Return the round values of this axis: 1, 2 and 5 of each decade, or fewer if there are many."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        choices = [
            [step * 10.0**power for power in range(first, last + 1) for step in steps]
            for steps in ((1, 2, 5), (1, 3), (1,))
        ]
        within = [[value for value in found if self.low <= value <= self.high] for found in choices]
        fewest = within[-1]
        return next((found for found in within if len(found) <= TICKS_MAX), fewest[:: len(fewest) // TICKS_MAX + 1])


def _chart(chart: Chart) -> tuple[int, Iterator[str]]:
    points = [point for line in chart.lines for point in line.points]
    spread = [value for point in points for value in (point.low, point.high)]
    x = Axis([point.x for point in points], LEFT, WIDTH - RIGHT)
    y = Axis([min(spread) / 1.15, max(spread) * 1.15], CHART_HEIGHT - BOTTOM, TOP)
    return CHART_HEIGHT, _chart_body(chart, x, y)


def _chart_body(chart: Chart, x: Axis, y: Axis) -> Iterator[str]:
    bottom, right = CHART_HEIGHT - BOTTOM, WIDTH - RIGHT
    yield text(20, 52, chart.y, "soft")
    for value in y.ticks():
        yield rule(LEFT, y.at(value), right, y.at(value), "grid")
        yield text(LEFT - 10, y.at(value) + 4, f"{value:,g}", "soft", "end")
    for value in spaced([point.x for line in chart.lines for point in line.points], x):
        yield rule(x.at(value), bottom, x.at(value), bottom + 5, "axis")
        words = size(value) if chart.x_unit == "bytes" else number(value)
        yield text(x.at(value), bottom + 20, words, "soft", "middle")
    yield rule(LEFT, bottom, right, bottom, "axis")
    yield text((LEFT + right) / 2, CHART_HEIGHT - 14, chart.x, "soft", "middle")
    for place, line in enumerate(chart.lines):
        yield from _line(line, place % len(COLOURS), x, y)
    for place, (line, at) in enumerate(zip(chart.lines, labels(chart.lines, y), strict=True)):
        end = line.points[-1]
        yield rule(x.at(end.x) + 5, y.at(end.y), right + 14, at, f"s{place % len(COLOURS)}")
        yield text(right + 18, at + 4, line.name, f"f{place % len(COLOURS)}")


def _line(line: Line, place: int, x: Axis, y: Axis) -> Iterator[str]:
    upper = [f"{x.at(point.x):.1f},{y.at(point.high):.1f}" for point in line.points]
    lower = [f"{x.at(point.x):.1f},{y.at(point.low):.1f}" for point in reversed(line.points)]
    yield f'<polygon class="band f{place}" points="{" ".join(upper + lower)}"/>'
    middle = " ".join(f"{x.at(point.x):.1f},{y.at(point.y):.1f}" for point in line.points)
    yield f'<polyline class="line s{place}" points="{middle}"/>'
    for point in line.points:
        yield f'<circle class="f{place}" cx="{x.at(point.x):.1f}" cy="{y.at(point.y):.1f}" r="3"/>'


def spaced(values: Sequence[float], x: Axis, apart: float = 62) -> list[float]:
    """Return the values that are so far apart that their labels do not touch, from the last one back."""
    found: list[float] = []
    for value in sorted(set(values), reverse=True):
        if not found or x.at(found[-1]) - x.at(value) >= apart:
            found.append(value)
    return found


def labels(lines: Sequence[Line], y: Axis) -> list[float]:
    """Return the height of the label of each line: where the line ends, or as near as the other labels allow."""
    order = sorted(range(len(lines)), key=lambda place: y.at(lines[place].points[-1].y))
    heights = [y.at(lines[place].points[-1].y) for place in order]
    for _ in range(200):
        for at, (above, below) in enumerate(pairwise(heights)):
            missing = LINE_HEIGHT - (below - above)
            if missing > 0:
                heights[at] -= missing / 2
                heights[at + 1] += missing / 2
    return [heights[order.index(place)] for place in range(len(lines))]


def size(count: float) -> str:
    """Return a number of bytes in the largest unit that divides it."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:g} {name}"
    return f"{count:g} B"


# Bars


class BarAxis:
    """The horizontal axis of bars: from zero on, or logarithmic if the longest bar would hide the others."""

    def __init__(self, bars: Bars) -> None:
        self.begin = 20 + max(width_of(bar.name, is_bold=is_ours(bar, bars)) for bar in bars.bars) + 10
        room = WIDTH - self.begin - 70
        high, low = max(bar.high for bar in bars.bars), min(bar.low for bar in bars.bars)
        self.is_logarithmic = high / low > LOGARITHMIC_FROM
        self._log = Axis([low / 2, high], self.begin, self.begin + room)
        self._scale = room / high
        self._high = high

    def at(self, value: float) -> float:
        return self._log.at(value) if self.is_logarithmic else self.begin + value * self._scale

    def ticks(self) -> list[float]:
        if self.is_logarithmic:
            return self._log.ticks()
        power = 10.0 ** math.floor(math.log10(self._high / 4))
        step = next(step * power for step in (1, 2, 2.5, 5, 10) if self._high / (step * power) <= TICKS_MAX)
        return [turn * step for turn in range(math.floor(self._high / step) + 1)]


def width_of(words: str, *, is_bold: bool) -> float:
    """Return about as many pixels as these words take. Fonts differ, so this is rather too many."""
    return len(words) * (7.9 if is_bold else 7.2)


def is_ours(bar: Bar, bars: Bars) -> bool:
    return bar.name.startswith(bars.ours)


def _bars(bars: Bars) -> tuple[int, Iterator[str]]:
    return TOP + len(bars.bars) * BAR_HEIGHT + BOTTOM - 10, _bars_body(bars)


def _bars_body(bars: Bars) -> Iterator[str]:
    bottom, axis = TOP + len(bars.bars) * BAR_HEIGHT + 4, BarAxis(bars)
    yield text(20, 52, f"{bars.x}{' (logarithmic)' if axis.is_logarithmic else ''}", "soft")
    for value in axis.ticks():
        yield rule(axis.at(value), TOP - 4, axis.at(value), bottom, "grid")
        yield text(axis.at(value), bottom + 18, f"{value:g}", "soft", "middle")
    for place, bar in enumerate(bars.bars):
        yield from _bar(bar, place, axis, is_ours=is_ours(bar, bars))
    yield rule(axis.begin, TOP - 4, axis.begin, bottom, "axis")


def _bar(bar: Bar, place: int, axis: BarAxis, *, is_ours: bool) -> Iterator[str]:
    top, middle = TOP + place * BAR_HEIGHT, TOP + (place + 0.5) * BAR_HEIGHT
    kind, words = ("f0", "ink ours") if is_ours else ("f7", "ink")
    yield text(axis.begin - 10, middle + 4, bar.name, words, "end")
    width = axis.at(bar.value) - axis.begin
    yield (
        f'<rect class="{kind}" x="{axis.begin:.1f}" y="{top + 4}" width="{width:.1f}"'
        f' height="{BAR_HEIGHT - 8}" rx="2"/>'
    )
    low, high = axis.at(bar.low), axis.at(bar.high)
    yield rule(low, middle, high, middle, "whisker")
    for end in (low, high):
        yield rule(end, middle - 4, end, middle + 4, "whisker")
    figure = f"{bar.value:.2f}" if bar.value < 10 else number(bar.value)
    yield text(max(high, axis.at(bar.value)) + 8, middle + 4, figure, words)
