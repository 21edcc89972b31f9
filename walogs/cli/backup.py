"""`walogs backup SRC DST`: copy a log beside its writer."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from walogs.cli import show
from walogs.cli.lines import progress_bar
from walogs.cli.log_argument import NamedLog
from walogs.cli.options import AsJson
from walogs.cli.status import DONE
from walogs.inspection.backup import backup as make_backup

SourceLog: TypeAlias = Annotated[NamedLog, Parameter(name="SRC", help="Directory of the log; or --log instead.")]


def backup(
    log: SourceLog,
    target: Annotated[Path, Parameter(name="DST", help="Directory of the copy: new, or empty.")],
    /,
    *,
    as_json: AsJson = False,
) -> int:
    """Copy the durable entries into a new directory, which opens as a log.

    Takes no lock and changes nothing: the log may be open in another process, and be written to. Every
    byte is checked while it is copied, and damage is never copied. The copy is made in a directory
    DST.partial-XXXXXXXX, which is renamed to DST when it is complete. A backup that is killed leaves that directory
    behind, and no other backup removes it. Remove it yourself (rm -r) when no backup is running.
    """
    with progress_bar("copying") as progress:
        report = make_backup(log.path, target, progress, config=log.config)
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        segments = show.count_words(report.segments, "segment", "segments")
        lsns = show.lsns(report.first_lsn, report.last_lsn)
        print(f"copied {show.size_words(report.bytes)} in {segments}: {lsns}")
    return DONE
