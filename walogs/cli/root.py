"""The command line without its commands. `app` adds them."""

from __future__ import annotations

from typing import Final

from cyclopts import App

from walogs.cli.release import release

STATUSES: Final = (
    "Exit status: 0 done, 1 the log or the system refused, 2 wrong usage, 3 the log is open elsewhere, 4 the log is"
    " corrupt or of an unknown format, 130 interrupted."
)

app = App(
    name="walogs",
    help="A crash-safe write-ahead log: look at one, append to one, or watch one survive a kill.",
    help_epilogue=STATUSES,
    help_format="markdown",
    version=release,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
