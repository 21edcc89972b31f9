"""`walogs info DIR`: show what a log holds."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter
from rich.console import Console

from walogs.cli import show
from walogs.cli.absence import existing
from walogs.cli.lines import progress_bar
from walogs.cli.log_argument import LogArgument
from walogs.cli.next_moves import after_damage
from walogs.cli.options import AsJson
from walogs.cli.output import print_text
from walogs.cli.picture import draw
from walogs.cli.status import CORRUPT, DONE, is_terminal
from walogs.inspection.facts import observe_facts

Verify: TypeAlias = Annotated[
    Literal["full", "last"],
    Parameter(help="What to check: every byte, or, of completed segments, only the headers and SEALs."),
]


def info(log: LogArgument, /, *, as_json: AsJson = False, verify: Verify = "full") -> int:
    """Show what a log holds: its segments, what a checkpoint would free, and where it is damaged.

    Takes no lock and changes nothing: the log may be open in another process, and be written to. Exit
    status 0: nothing is damaged. 4: the log is damaged, and the lines say where, what it means, and what to do.
    """
    source = existing(log)
    with progress_bar("checking") as progress:
        facts = observe_facts(log.name, source, verify, progress)
    moves = () if facts.ok else after_damage(log, source, facts.entries)
    if as_json:
        print(json.dumps(facts.as_json(), indent=2))
    elif is_terminal(sys.stdout):
        draw(facts, Console(highlight=False), time.time_ns(), moves)
    else:
        print_text(show.lines_of(facts, time.time_ns(), moves))
    return DONE if facts.ok else CORRUPT
