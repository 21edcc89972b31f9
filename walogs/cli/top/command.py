"""`walogs top DIR`: watch a log in a terminal."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Final

from cyclopts import Parameter

from walogs.cli.absence import existing
from walogs.cli.log_argument import LogArgument
from walogs.cli.numbers import read_as
from walogs.cli.options import AsJson
from walogs.cli.output import print_text
from walogs.cli.status import CORRUPT, DONE, FAILED, USAGE, complain, is_terminal
from walogs.cli.top.samples import Sampler
from walogs.cli.top.words import plain_lines
from walogs.foundation.pip_command import pip_install
from walogs.foundation.quantities import DURATION

EVERY_MIN: Final = 0.1
EVERY_MAX: Final = 3600.0
EVERY: Final = read_as(
    DURATION, lambda seconds: EVERY_MIN <= seconds <= EVERY_MAX, "a tenth of a second or more, at most an hour"
)


def top(
    log: LogArgument,
    /,
    *,
    every: Annotated[float, EVERY, Parameter(help="How often to look at the log: 1s, 500ms.")] = 1.0,
    as_json: AsJson = False,
) -> int:
    """Watch a log in the terminal: its writer, rates, segments and cursors. Press q to quit, and p to pause.

    Takes no lock and changes nothing: the log may be open in another process, and be written to. If the output is no
    terminal, or with --json, it prints one sample, without rates, and ends. Then the exit status is 4 if the log is
    damaged, and 1 if it cannot be read. The live view needs the extra `walogs[tui]`.
    """
    sampler = Sampler(log.name, existing(log))
    if not as_json and is_terminal(sys.stdout) and is_terminal(sys.stdin):
        return watch(sampler, every)
    sample = sampler.take()
    if as_json:
        print(json.dumps(sample.as_json(), indent=2))
    else:
        print_text(plain_lines(sample))
    return CORRUPT if sample.is_damaged else FAILED if sample.problem else DONE


def watch(sampler: Sampler, every: float) -> int:
    """Show samples, one *every* so many seconds, until the user quits. Say what to install if textual is missing."""
    try:
        from walogs.cli.top.screen import TopApp
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        complain(f"the live view needs textual: {pip_install('walogs', 'tui')}")
        return USAGE
    app = TopApp(sampler, every)
    app.run()
    return app.return_code or DONE
