"""The words of `walogs top`, the same on a terminal and in plain lines. Nothing here draws."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from walogs.cli.show import age_words, at_utc, count_words, duration_words, lsns, size_words
from walogs.cli.status import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from walogs.cli.top.samples import CursorSample, Sample

BARS: Final = "▁▂▃▄▅▆▇█"
LABEL: Final = 15
"""The columns of a label in plain lines."""
UNKNOWN: Final = "-"
CANNOT: Final = "CANNOT CONTINUE"
"""What the line of a problem begins with."""


def plain_lines(sample: Sample) -> Iterator[str]:
    """Yield the sample in lines, each with its label first."""
    for label, value in (("log", printable(sample.name)), *facts_of(sample), *rates_of(sample)):
        yield f"{label:<{LABEL}}{value}"
    yield f"{'segments':<{LABEL}}{segments_words(sample)}"
    yield from (f"{'':<{LABEL}}{line}" for line in table(segment_rows(sample)))
    yield f"{'cursors':<{LABEL}}{cursors_words(sample)}"
    yield from (f"{'':<{LABEL}}{line}" for line in cursor_lines(sample))
    if sample.problem:
        yield f"{'problem':<{LABEL}}{printable(sample.problem)}"


def facts_of(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yield (label, value) of the writer and of the entries."""
    yield "writer", writer_words(sample)
    if sample.entries is not None:
        count = count_words(sample.entries, "entry", "entries")
        span = lsns(sample.first_lsn, sample.last_lsn)
        yield (
            "entries",
            f"none; the next one is {(sample.last_lsn or 0) + 1}" if not sample.entries else (f"{span} ({count})"),
        )


def writer_words(sample: Sample) -> str:
    """Return the process that writes the log, whether it has it open, and since when."""
    owner = sample.writer
    if owner is None:
        return "unknown"
    name = printable(owner.name) if owner.name else "unknown"
    state = "" if owner.is_open is None else ", open now" if owner.is_open else ", not open now"
    if owner.since_ns is None:
        return name + state
    return f"{name}{state}, opened {at_utc(owner.since_ns)} ({age_words(owner.since_ns, sample.taken_ns)})"


def rates_of(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yield (label, value) of each rate. There is none if there are no two samples to compare."""
    rates = sample.rates
    if rates is None:
        return
    per_commit = rates.entries_per_commit
    yield "entries/s", number_words(rates.entries)
    yield "commits/s", number_words(rates.commits)
    yield "entries/commit", UNKNOWN if per_commit is None else number_words(per_commit)
    yield "bytes/s", size_words(round(rates.bytes))


def number_words(number: float) -> str:
    """Return the number, with one decimal if it is small and not whole."""
    return f"{number:,.0f}" if number >= 100 or number == round(number) else f"{number:,.1f}"


def sparkline(values: Sequence[float], columns: int) -> str:
    """Return the values as bars, the latest on the right, in at most *columns* characters.

    The highest bar is the largest value. If there are more values than columns, each bar is the mean of its values.
    """
    if not values or columns < 1:
        return ""
    count = min(len(values), columns)
    edges = [at * len(values) // count for at in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    top = max(means)
    if top <= 0:
        return BARS[0] * count
    return "".join(BARS[min(int(mean / top * len(BARS)), len(BARS) - 1)] for mean in means)


def segments_words(sample: Sample) -> str:
    """Return how many segments there are, and their size."""
    return f"{sample.segments:,}, {size_words(sample.size)}"


def segment_rows(sample: Sample) -> list[tuple[str, str, str]]:
    """Return (name, size, age) of the newest segments, the newest first."""
    return [
        (printable(one.name), size_words(one.size), f"{age_words(one.created_ns, sample.taken_ns)} old")
        for one in sample.newest
    ]


def cursors_words(sample: Sample) -> str:
    """Return how many cursors there are."""
    if sample.cursors is None:
        return "unknown" if sample.last_lsn is None else "the store keeps none"
    return "none" if not sample.cursors else f"{len(sample.cursors):,}"


def cursor_lines(sample: Sample) -> Iterator[str]:
    """Yield a line for each cursor, under a line that names the columns. A problem has a line of its own."""
    cursors = sample.cursors or ()
    if not cursors:
        return
    head, *lines = table([("name", "position", "lag", "lag time", "owner"), *map(cursor_row, cursors)])
    yield head
    for cursor, line in zip(cursors, lines, strict=True):
        yield line
        if cursor.problem:
            yield f"  {CANNOT}: {printable(cursor.problem)}"


def cursor_row(cursor: CursorSample) -> tuple[str, ...]:
    """Return the columns of one cursor."""
    position = UNKNOWN if cursor.position is None else f"{cursor.position:,}"
    behind = UNKNOWN if cursor.lag_entries is None else f"{cursor.lag_entries:,}"
    seconds = cursor.lag_seconds
    lasting = UNKNOWN if seconds is None or not cursor.lag_entries else lasting_words(seconds)
    owner = UNKNOWN if cursor.is_locked is None else "free"
    if cursor.is_locked:
        owner = "@".join(cursor.owner.split()[:2]) or "unknown"
    return printable(cursor.name), position, behind, lasting, printable(owner)


def lasting_words(seconds: float) -> str:
    """Return a time in whole units, or in tenths of a second if it is short."""
    return duration_words(seconds) if seconds < 10 else age_words(0, int(seconds * 1e9))


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the rows with their columns one below the other. The middle columns are numbers, at the right."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.rjust(width) if 0 < at < last else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
