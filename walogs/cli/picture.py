"""The picture that `walogs info` draws on a terminal: a row for each segment, with a bar for its size.

It is a table if one fits. On a narrow terminal, each segment has lines of its own. So nothing is left out.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from rich import box
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from walogs.cli.show import (
    age_words,
    count_words,
    damage_of,
    encodable,
    findings_of,
    headline,
    lsns,
    missing_name,
    notes_of,
    size_words,
    state_of,
    summary_of,
)
from walogs.cli.status import printable
from walogs.inspection.facts import MissingSegments, SegmentFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from walogs.cli.next_moves import NextMove
    from walogs.inspection.facts import LogFacts
    from walogs.types import Verification

BAR_MIN: Final = 8
BAR_MAX: Final = 40
"""Most cells of the largest segment's bar, in a table."""
UNFOLDED_MAX: Final = 40
"""Show at most this many segments in rows of their own. In a longer log, those in the middle share one row."""
OLDEST_SHOWN: Final = 8
NEWEST_SHOWN: Final = 16
DAMAGED_SHOWN: Final = 16
FINDINGS_SHOWN: Final = 16
UNBOUNDED: Final = 10_000

STYLES: Final = {
    "active": "bold cyan",
    "sealed": "green",
    "complete": "green",
    "fence": "bright_black",
    "not sealed": "yellow",
    "leftover": "bright_black",
    "damaged": "bold red",
    "missing": "bold red",
}


class Glyphs(NamedTuple):
    """The characters of a bar."""

    whole: str
    parts: tuple[str, ...]
    """A cell that is filled by 0 to 7 eighths. ("",) if only whole cells can be drawn."""
    window: str
    damage: str
    folded: str


UNICODE: Final = Glyphs(whole="█", parts=("", "▏", "▎", "▍", "▌", "▋", "▊", "▉"), window="░", damage="✗", folded="…")
ASCII: Final = Glyphs(whole="#", parts=("",), window=".", damage="X", folded="...")


class Fold(NamedTuple):
    """Several segments in one row."""

    segments: tuple[SegmentFacts, ...]


Drawn: TypeAlias = SegmentFacts | MissingSegments | Fold


class Row(NamedTuple):
    """The texts of one row: for a segment, for several that are folded, or for missing ones."""

    name: str
    short_name: str
    lsns: str
    size: str
    age: str
    frees: str
    """Bytes that a checkpoint at the last of these LSNs frees."""
    state: str
    style: str
    drawn: Drawn


def draw_verified(report: Verification, moves: Sequence[NextMove], console: Console) -> None:
    """Print what verify has found and what can be done, within the width of *console*."""
    console.print(Text(encodable(headline(report), console.encoding), style="" if report.ok else STYLES["damaged"]))
    console.print(labelled_table(console, findings_of(report), "bold"))
    draw_moves(moves, console)


def draw_moves(moves: Sequence[NextMove], console: Console) -> None:
    """Print the block `Next:`. Each command stays in one line, which can be copied whole."""
    if moves:
        console.print(Text("Next:", style="bold"))
    for move in moves:
        style, indent = "", 2
        if move.command:
            command = Text(f"  {encodable(printable(move.command), console.encoding)}")
            console.print(command, soft_wrap=True)  # a command that is copied from a terminal keeps its line breaks
            style, indent = "bright_black", 6
        console.print(Padding(Text(encodable(move.what, console.encoding), style=style), (0, 0, 0, indent)))


def draw(facts: LogFacts, console: Console, now_ns: int, moves: Sequence[NextMove] = ()) -> None:
    """Print a summary, the segments, the damage, and what can be done.

    Uses only the width and the characters that *console* has.
    """
    is_simple = console.options.ascii_only or console.legacy_windows
    glyphs = ASCII if is_simple else UNICODE
    console.print(labelled_table(console, (*summary_of(facts), *notes_of(facts)), "bold"))
    rows = [row_of(drawn, glyphs, now_ns) for drawn in fold(facts)]
    largest = max(segment.size for segment in facts.segments)
    for is_short in (False, True):
        spare = console.width - natural_width(console, table_of(rows, BAR_MIN, largest, glyphs, is_short=is_short))
        if spare >= 0:
            console.print(table_of(rows, min(BAR_MIN + spare, BAR_MAX), largest, glyphs, is_short=is_short))
            break
    else:
        for row in rows:
            console.print(stack(row, min(console.width - 2, BAR_MAX), largest, glyphs))
    if any(segment.frees for segment in facts.segments):
        console.print(Text("frees: what a checkpoint at the last LSN of a row would free", style="bright_black"))
    damage = list(damage_of(facts))
    if damage:
        console.print(labelled_table(console, damage[:FINDINGS_SHOWN], STYLES["damaged"]))
    if len(damage) > FINDINGS_SHOWN:
        console.print(
            Text(f"and {len(damage) - FINDINGS_SHOWN} more: `walogs verify` lists all of it", style="bold red")
        )
    draw_moves(moves, console)


def labelled_table(console: Console, facts: Iterable[tuple[str, str]], style: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in facts:
        table.add_row(Text(label, style=style), Text(encodable(value, console.encoding)))
    return table


# Which rows


def fold(facts: LogFacts) -> Iterator[Drawn]:
    """Yield the rows in the order of segment numbers. Fold a long log's middle segments that are not damaged."""
    rows: list[SegmentFacts | MissingSegments] = sorted((*facts.segments, *facts.missing), key=number_of)
    if len(rows) <= UNFOLDED_MAX:
        yield from rows
        return
    notable = [at for at, row in enumerate(rows) if isinstance(row, MissingSegments) or row.state == "damaged"]
    shown = {*range(OLDEST_SHOWN), *notable[:DAMAGED_SHOWN], *range(len(rows) - NEWEST_SHOWN, len(rows))}
    for is_shown, group in groupby(enumerate(rows), key=lambda item: item[0] in shown):
        found = [row for _, row in group]
        if is_shown or len(found) == 1:
            yield from found
        else:
            yield Fold(tuple(row for row in found if isinstance(row, SegmentFacts)))


def number_of(row: SegmentFacts | MissingSegments) -> int:
    return row.number if isinstance(row, SegmentFacts) else row.first_number


def row_of(drawn: Drawn, glyphs: Glyphs, now_ns: int) -> Row:
    match drawn:
        case MissingSegments():
            name = missing_name(drawn)
            return Row(
                name=name,
                short_name=name.partition(" ")[2],
                lsns=known_lsns(drawn),
                size="-",
                age="-",
                frees="-",
                state="missing",
                style=STYLES["missing"],
                drawn=drawn,
            )
        case Fold(segments):
            return fold_row(drawn, segments, glyphs, now_ns)
        case _:
            return Row(
                name=drawn.name,
                short_name=str(drawn.number),
                lsns=known_lsns(drawn),
                size=size_words(drawn.size),
                age=age_words(drawn.last_commit_ns, now_ns),
                frees=size_words(drawn.frees) if drawn.frees is not None else "-",
                state=state_of(drawn),
                style=STYLES[drawn.state],
                drawn=drawn,
            )


def fold_row(fold: Fold, segments: Sequence[SegmentFacts], glyphs: Glyphs, now_ns: int) -> Row:
    """Return the row of folded segments: their sums, and the age of the newest."""
    name = f"{glyphs.folded} {count_words(len(segments), 'segment', 'segments')}"
    states = {state: sum(segment.state == state for segment in segments) for state in STYLES}
    present = [state for state, count in states.items() if count]
    is_uniform = len(present) == 1
    return Row(
        name=name,
        short_name=f"{glyphs.folded} {len(segments)}",
        lsns=lsns(segments[0].first_lsn, segments[-1].last_lsn),
        size=size_words(sum(segment.size for segment in segments)),
        age=age_words(segments[-1].last_commit_ns, now_ns),
        frees=size_words(frees) if (frees := segments[-1].frees) is not None else "-",
        state=present[0] if is_uniform else ", ".join(f"{states[state]} {state}" for state in present),
        style=STYLES["damaged"] if states["damaged"] else "bright_black",
        drawn=fold,
    )


def known_lsns(drawn: SegmentFacts | MissingSegments) -> str:
    return lsns(drawn.first_lsn, drawn.last_lsn)


# How they are drawn


def table_of(rows: Sequence[Row], bar_width: int, largest: int, glyphs: Glyphs, *, is_short: bool) -> Table:
    """Return the rows as a table. If *is_short*, it names segments by their numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("#" if is_short else "segment", no_wrap=True, justify="right" if is_short else "left")
    table.add_column("", no_wrap=True)
    table.add_column("size", no_wrap=True, justify="right")
    table.add_column("LSNs", no_wrap=True)
    table.add_column("age", no_wrap=True, justify="right")
    table.add_column("frees", no_wrap=True, justify="right")
    table.add_column("state", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(row.short_name if is_short else row.name),
            bar(row.drawn, bar_width, largest, glyphs, row.style),
            Text(row.size),
            Text(row.lsns),
            Text(row.age),
            Text(row.frees),
            Text(row.state, style=row.style),
        )
    return table


def natural_width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(max_width=UNBOUNDED), table).maximum


def stack(row: Row, bar_width: int, largest: int, glyphs: Glyphs) -> Table:
    """Return one segment in lines of its own, for a terminal that is too narrow for a table."""
    lines = Table.grid()
    lines.add_column(overflow="fold")
    lines.add_row(Text.assemble(row.name, "  ", (row.state, row.style)))
    drawn = bar(row.drawn, max(bar_width, 1), largest, glyphs, row.style)
    if drawn:
        lines.add_row(Padding(drawn, (0, 0, 0, 2)))
    facts = [f"LSNs {row.lsns}", row.size, f"age {row.age}", f"frees {row.frees}"]
    lines.add_row(Padding(Text(", ".join(part for part in facts if not part.endswith("-"))), (0, 0, 0, 2)))
    return lines


def bar(drawn: Drawn, width: int, largest: int, glyphs: Glyphs, style: str) -> Text:
    """Return the bar of a segment: as long as the segment is large, and *width* cells for the largest.

    The zeros after the active segment's end are lighter. Damage is marked where it is.
    """
    if not isinstance(drawn, SegmentFacts):
        return Text("")
    eighths = max(round(drawn.size * width * 8 / max(largest, 1)), 8 if drawn.damaged_at else 1)
    if len(glyphs.parts) > 1:
        cells = list(glyphs.whole * (eighths // 8) + glyphs.parts[eighths % 8])
    else:
        cells = list(glyphs.whole * max(round(eighths / 8), 1))
    if drawn.is_active and drawn.end is not None and drawn.size:
        used = -(-len(cells) * drawn.end // drawn.size)
        cells[used:] = glyphs.window * len(cells[used:])
    drawn_bar = Text(style=style if drawn.state != "damaged" else "green")  # so that the mark stands out
    marks = {min(offset * len(cells) // max(drawn.size, 1), len(cells) - 1) for offset in drawn.damaged_at}
    for is_mark, run in groupby(range(len(cells)), key=marks.__contains__):
        text = "".join(glyphs.damage if is_mark else cells[at] for at in run)
        drawn_bar.append(text, STYLES["damaged"] if is_mark else None)
    return drawn_bar
