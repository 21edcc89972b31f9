"""`walogs verify DIR`: check every byte of a log."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from rich.console import Console

from walogs.assembly.opening import source_of
from walogs.cli import show
from walogs.cli.lines import progress_bar
from walogs.cli.log_argument import LogArgument
from walogs.cli.next_moves import after_damage, block
from walogs.cli.options import AsJson
from walogs.cli.output import print_text
from walogs.cli.picture import draw_verified
from walogs.cli.status import CORRUPT, DONE, is_terminal, printable
from walogs.inspection.verify import verify_source


def verify(log: LogArgument, /, *, as_json: AsJson = False) -> int:
    """Check every byte that opening the log relies on, and list all damage.

    Takes no lock and changes nothing: the log may be open in another process, and be written to. Exit
    status 0: the log opens. 4: it is damaged, and the lines say where, what it means, and what to do.
    """
    source = source_of(log.path, log.config)
    with progress_bar("checking") as progress:
        report = verify_source(source, progress=progress)
    moves = () if report.ok else after_damage(log, source, report.entries)
    if as_json:
        print(json.dumps({"ok": report.ok, **asdict(report), "gaps": [gap._asdict() for gap in report.gaps]}, indent=2))
    elif is_terminal(sys.stdout):
        draw_verified(report, moves, Console(highlight=False))
    else:
        lines = (show.headline(report), *map(": ".join, show.findings_of(report)), *block(moves))
        print_text(map(printable, lines))
    return DONE if report.ok else CORRUPT
