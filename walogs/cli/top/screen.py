"""The screen of `walogs top`. It takes each sample in a thread, so that a slow store never stops the keys."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.app import App, ScreenStackError
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.css.query import NoMatches
from textual.widgets import Static

from walogs.cli.show import at_utc
from walogs.cli.status import printable
from walogs.cli.top.words import (
    CANNOT,
    cursor_lines,
    cursors_words,
    facts_of,
    number_words,
    rates_of,
    segment_rows,
    segments_words,
    sparkline,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.timer import Timer

    from walogs.cli.top.samples import Sample, Sampler

WIDE_COLUMNS: Final = 100
"""From this width on, the segments and the cursors are side by side."""
WIDTHS: Final = [(0, "-narrow"), (WIDE_COLUMNS, "-wide")]
KEYS: Final = Text.assemble(("q", "bold"), " quit   ", ("p", "bold"), " pause")
LABEL: Final = "dim"
VALUE: Final = "bold"
BAD: Final = "bold red"


class TopApp(App[None]):
    """Shows samples of one log, one below the other in time. `look` takes the next one."""

    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = WIDTHS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit"),
        Binding("p", "pause"),
        Binding("ctrl+c", "quit", priority=True),
    ]
    CSS = """
    Screen { layout: vertical; }
    Static { text-wrap: nowrap; text-overflow: ellipsis; }
    #title { height: 1; padding: 0 1; background: $primary; color: $text; text-style: bold; }
    #facts { height: auto; padding: 0 1; }
    #rates, #segments, #cursors { border: round $primary; border-title-style: bold; padding: 0 1; }
    #rates { height: 5; }
    #lower { height: 1fr; layout: vertical; }
    #segments { height: auto; max-height: 7; }
    #cursors { height: 1fr; min-height: 4; }
    #cursor_lines { height: auto; width: 1fr; text-wrap: wrap; }
    .-wide #lower { layout: horizontal; }
    .-wide #segments { width: 2fr; height: 1fr; max-height: 100%; }
    .-wide #cursors { width: 3fr; }
    #notice { height: 1; padding: 0 1; }
    #keys { height: 1; padding: 0 1; background: $panel; }
    """

    def __init__(self, sampler: Sampler, every: float) -> None:
        """*every* is the time between two samples, in seconds."""
        super().__init__()
        self._sampler, self._every = sampler, every
        self._timer: Timer | None = None
        self._is_looking = False
        self._is_paused = False
        self._begins_anew = False
        self._shown: Sample | None = None

    def compose(self) -> ComposeResult:
        """Yield the parts of the screen, from the top down."""
        yield Static(id="title", markup=False)
        yield Static(id="facts", markup=False)
        yield Static(id="rates", markup=False)
        with Container(id="lower"):
            yield Static(id="segments", markup=False)
            with VerticalScroll(id="cursors"):
                yield Static(id="cursor_lines", markup=False)
        yield Static(id="notice", markup=False)
        yield Static(KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        """Take the first sample, and then one after each interval."""
        self.query_one("#rates").border_title = "written"
        self._timer = self.set_interval(self._every, self.look)
        self.look()

    def on_resize(self) -> None:
        """Draw the last sample in the new size."""
        self.call_after_refresh(self._draw)

    def look(self) -> None:
        """Take a sample in a thread, and show it. Do nothing in a pause, or if the sample before is not finished."""
        if not self._is_looking and not self._is_paused:
            self._is_looking = True
            self.run_worker(self._take, thread=True)

    def _take(self) -> None:
        if self._begins_anew:
            self._begins_anew = False
            self._sampler.begin_anew()
        sample = self._sampler.take()
        self.call_from_thread(self._show, sample)

    def action_pause(self) -> None:
        """Stop looking at the log, or begin again. No rate spans the pause."""
        self._is_paused = not self._is_paused
        if self._timer is not None:
            (self._timer.pause if self._is_paused else self._timer.resume)()
        if not self._is_paused:
            self._begins_anew = True
            self.look()
        self._draw()

    def _show(self, sample: Sample) -> None:
        self._is_looking = False
        self._shown = sample
        with suppress(NoMatches, ScreenStackError):  # the user has quit, and the screen is gone
            self._draw()

    # Drawing

    def _draw(self) -> None:
        sample = self._shown
        if sample is None:
            return
        self._draw_title(sample)
        self.query_one("#facts", Static).update(labelled(facts_of(sample)))
        self.query_one("#rates", Static).update(self._rates(sample))
        segments, cursors = self.query_one("#segments", Static), self.query_one("#cursors")
        segments.border_title = f"segments: {segments_words(sample)}"
        segments.update("\n".join(table(segment_rows(sample))))
        cursors.border_title = f"cursors: {cursors_words(sample)}"
        self.query_one("#cursor_lines", Static).update(cursor_text(sample))
        self.query_one("#notice", Static).update(notice_text(sample))

    def _draw_title(self, sample: Sample) -> None:
        columns = max(self.size.width - 2, 0)
        state = "paused" if self._is_paused else f"every {self._every:g} s"
        right = f"{at_utc(sample.taken_ns)}  {state}"
        name = printable(sample.name)
        room = columns - len(right) - 2
        if len(name) > room > 1:  # the end of a path says more than its beginning
            name = f"…{name[1 - room :]}"
        self.query_one("#title", Static).update(f"{name}{right:>{max(columns - len(name), 0)}}")

    def _rates(self, sample: Sample) -> Text:
        """Return the rates, the bars of the last minute, and what the highest of them stands for."""
        text = Text(no_wrap=True)
        if sample.rates is None:
            text.append("no figures: the log cannot be read" if sample.problem else "measuring …", style=LABEL)
            return text
        for label, value in rates_of(sample):
            text.append(f"{label} ", style=LABEL).append(value, style=VALUE).append("   ")
        text.append("\n").append(sparkline(sample.history, max(self.size.width - 4, 0)), style="green")
        most = number_words(max(sample.history, default=0.0))
        text.append(f"\nentries/s of the last minute, at most {most}", style=LABEL)
        return text


def labelled(facts: Iterable[tuple[str, str]]) -> Text:
    """Return a line for each fact, with its label first."""
    lines = [Text.assemble((f"{label:<9}", LABEL), value) for label, value in facts]
    return Text("\n").join(lines)


def cursor_text(sample: Sample) -> Text:
    """Return the lines of the cursors. Why one cannot continue is red."""
    text = Text()
    for at, line in enumerate(cursor_lines(sample)):
        is_bad = line.lstrip().startswith(f"{CANNOT}: ")
        text.append(f"{line}\n", style=LABEL if at == 0 else BAD if is_bad else "")
    return text


def notice_text(sample: Sample) -> Text:
    """Return the problem if there is one, and otherwise the last thing that happened to the log."""
    if sample.problem:
        return Text(f"{printable(sample.problem)}; still looking", style=BAD)
    if sample.notice is not None:
        return Text(f"{at_utc(sample.notice.at_ns)[11:]} {printable(sample.notice.text)}", style="yellow")
    return Text("")
