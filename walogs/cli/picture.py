"""The picture that `walogs info` draws on a terminal: a row for each segment, with a bar as long as it is large.

As a table where one fits, else each segment in lines of its own. Nothing is left out for want of columns.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from rich import box
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from walogs.cli.facts import MissingSegments, SegmentFacts
from walogs.cli.show import aged, counted, damage_of, encodable, lsns, named, notes_of, sized, state_of, summary_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from walogs.cli.facts import LogFacts

BAR_MIN: Final = 8
BAR_MAX: Final = 40
"""Cells of the largest segment's bar, in a table."""
UNFOLDED_MAX: Final = 40
"""Rows: of a log that has more, segments in the middle become one."""
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
    "below base": "bright_black",
    "damaged": "bold red",
    "missing": "bold red",
}


class Glyphs(NamedTuple):
    """What bars are drawn with."""

    whole: str
    parts: tuple[str, ...]
    """A cell filled by 0 to 7 eighths; ("",): only whole ones can be drawn."""
    window: str
    damage: str
    folded: str


UNICODE: Final = Glyphs("█", ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉"), "░", "✗", "…")
ASCII: Final = Glyphs("#", ("",), ".", "X", "...")


class Fold(NamedTuple):
    """Segments that are told in one row."""

    segments: tuple[SegmentFacts, ...]


Drawn: TypeAlias = SegmentFacts | MissingSegments | Fold


class Row(NamedTuple):
    """What is told of one segment, of several folded, or of missing ones."""

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


def draw(facts: LogFacts, console: Console, now_ns: int) -> None:
    """Summary, segments, and what is wrong, within the width and the characters of *console*."""
    is_simple = console.options.ascii_only or console.legacy_windows
    glyphs = ASCII if is_simple else UNICODE
    console.print(labelled(console, (*summary_of(facts), *notes_of(facts)), "bold"))
    rows = [row_of(drawn, glyphs, now_ns) for drawn in folded(facts)]
    largest = max(segment.size for segment in facts.segments)
    for is_short in (False, True):
        spare = console.width - natural_width(console, table_of(rows, BAR_MIN, largest, glyphs, is_short=is_short))
        if spare >= 0:
            console.print(table_of(rows, min(BAR_MIN + spare, BAR_MAX), largest, glyphs, is_short=is_short))
            break
    else:
        for row in rows:
            console.print(stacked(row, min(console.width - 2, BAR_MAX), largest, glyphs))
    if any(segment.frees for segment in facts.segments):
        console.print(Text("frees: what a checkpoint at the last LSN of a row would free", style="bright_black"))
    damage = list(damage_of(facts))
    if damage:
        console.print(labelled(console, damage[:FINDINGS_SHOWN], STYLES["damaged"]))
    if len(damage) > FINDINGS_SHOWN:
        console.print(
            Text(f"and {len(damage) - FINDINGS_SHOWN} more: `walogs verify` lists all of it", style="bold red")
        )


def labelled(console: Console, facts: Iterable[tuple[str, str]], style: str) -> Table:
    told = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    told.add_column(no_wrap=True)
    told.add_column(overflow="fold")
    for label, value in facts:
        told.add_row(Text(label, style=style), Text(encodable(value, console.encoding)))
    return told


# Which rows


def folded(facts: LogFacts) -> Iterator[Drawn]:
    """Everything in order of its number; of many segments, those in the middle that are not damaged as one."""
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
            name = named(drawn)
            return Row(name, name.partition(" ")[2], known(drawn), "-", "-", "-", "missing", STYLES["missing"], drawn)
        case Fold(segments):
            return fold_row(drawn, segments, glyphs, now_ns)
        case _:
            return Row(
                name=drawn.name,
                short_name=str(drawn.number),
                lsns=known(drawn),
                size=sized(drawn.size),
                age=aged(drawn.last_commit_ns, now_ns),
                frees=sized(drawn.frees) if drawn.frees is not None else "-",
                state=state_of(drawn),
                style=STYLES[drawn.state],
                drawn=drawn,
            )


def fold_row(fold: Fold, segments: Sequence[SegmentFacts], glyphs: Glyphs, now_ns: int) -> Row:
    """Their sums, and the age of the newest."""
    name = f"{glyphs.folded} {counted(len(segments), 'segment', 'segments')}"
    states = {state: sum(segment.state == state for segment in segments) for state in STYLES}
    present = [state for state, count in states.items() if count]
    is_uniform = len(present) == 1
    return Row(
        name=name,
        short_name=f"{glyphs.folded} {len(segments)}",
        lsns=lsns(segments[0].first_lsn, segments[-1].last_lsn),
        size=sized(sum(segment.size for segment in segments)),
        age=aged(segments[-1].last_commit_ns, now_ns),
        frees=sized(frees) if (frees := segments[-1].frees) is not None else "-",
        state=present[0] if is_uniform else ", ".join(f"{states[state]} {state}" for state in present),
        style=STYLES["damaged"] if states["damaged"] else "bright_black",
        drawn=fold,
    )


def known(drawn: SegmentFacts | MissingSegments) -> str:
    return lsns(drawn.first_lsn, drawn.last_lsn)


# How they are drawn


def table_of(rows: Sequence[Row], bar_width: int, largest: int, glyphs: Glyphs, *, is_short: bool) -> Table:
    """*is_short*: segments by their numbers."""
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


def stacked(row: Row, bar_width: int, largest: int, glyphs: Glyphs) -> Table:
    """One segment in lines of its own, for terminals on which no table fits."""
    lines = Table.grid()
    lines.add_column(overflow="fold")
    lines.add_row(Text.assemble(row.name, "  ", (row.state, row.style)))
    drawn = bar(row.drawn, max(bar_width, 1), largest, glyphs, row.style)
    if drawn:
        lines.add_row(Padding(drawn, (0, 0, 0, 2)))
    told = [f"LSNs {row.lsns}", row.size, f"age {row.age}", f"frees {row.frees}"]
    lines.add_row(Padding(Text(", ".join(part for part in told if not part.endswith("-"))), (0, 0, 0, 2)))
    return lines


def bar(drawn: Drawn, width: int, largest: int, glyphs: Glyphs, style: str) -> Text:
    """As long as the segment is large, up to *width* cells; its window of zeros lighter, its damage marked in place."""
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
    drawn_bar = Text(style=style if drawn.state != "damaged" else "green")  # so that the mark is what is seen
    marks = {min(offset * len(cells) // max(drawn.size, 1), len(cells) - 1) for offset in drawn.damaged_at}
    for is_mark, run in groupby(range(len(cells)), key=marks.__contains__):
        text = "".join(glyphs.damage if is_mark else cells[at] for at in run)
        drawn_bar.append(text, STYLES["damaged"] if is_mark else None)
    return drawn_bar
