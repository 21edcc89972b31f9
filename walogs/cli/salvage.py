"""`walogs salvage DIR`: print the intact entries of a damaged log, or put them into a new one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from walogs.cli import show
from walogs.cli.entries import as_line, standard_output
from walogs.cli.lines import print_lines
from walogs.cli.log_argument import LogArgument, NamedLog
from walogs.cli.options import AsJson
from walogs.cli.paths import typed_path
from walogs.cli.status import CORRUPT, DONE, printable
from walogs.inspection.salvage import salvage as salvage_entries
from walogs.inspection.salvage_into import salvage_into
from walogs.types import Entry, Gap

if TYPE_CHECKING:
    from collections.abc import Iterator


def salvage(
    log: LogArgument,
    /,
    *,
    into: Annotated[
        Path | None,
        Parameter(
            converter=typed_path,
            help="Put the intact entries into a new log in this directory, new or empty, instead of printing them.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Print every intact entry, as `cat` does, whatever damage lies between them. Print each gap to standard error.

    Takes no lock and changes nothing: the log may be open in another process, and be written to. Exit
    status 0: there was no gap. 4: there was one. With --json, each line is an object, and gaps stand among the entries;
    `walogs append --json-lines` reads such lines. With --into, the entries go into a new log, and the output says which
    LSNs they have there. Entries before the first gap keep their LSNs; entries after a gap get lower ones, which close
    it.
    """
    if into is not None:
        return salvage_to_log(log, into, as_json=as_json)
    gaps: list[Gap] = []
    with standard_output() as out:
        print_lines(out, salvage_lines(log, gaps, as_json=as_json))
    return CORRUPT if gaps else DONE


def salvage_lines(log: NamedLog, gaps: list[Gap], *, as_json: bool) -> Iterator[bytes]:
    for found in salvage_entries(log.path, log.config):
        if isinstance(found, Entry):
            yield as_line(found.lsn, found.data, as_json=as_json)
            continue
        gaps.append(found)
        if as_json:
            yield json.dumps({"gap": found._asdict()}).encode()
        else:
            print_gap(found)


def print_gap(gap: Gap) -> None:
    """Print the gap to standard error."""
    extent = "on" if gap.last_lsn is None else f"to {gap.last_lsn}"
    lsns = f"from {gap.first_lsn} {extent}"
    at = "" if gap.offset is None else f" at byte {gap.offset}"
    place = "" if gap.segment is None else f", segment {gap.segment}{at}"
    if sys.stderr is not None:
        print(f"walogs: gap: entries {lsns}{place}: {printable(gap.why)}", file=sys.stderr)


def salvage_to_log(log: NamedLog, into: Path, *, as_json: bool) -> int:
    """Put what is intact into a new log, and print which LSNs the entries have there."""
    report = salvage_into(log.path, into, log.config)
    if as_json:
        totals = {"entries": report.entries, "first_lsn": report.first_lsn, "last_lsn": report.last_lsn}
        stretches = [stretch._asdict() for stretch in report.stretches]
        facts = {**totals, "stretches": stretches, "gaps": [gap._asdict() for gap in report.gaps]}
        print(json.dumps(facts, indent=2))
    else:
        for gap in report.gaps:
            print_gap(gap)
        entries = show.count_words(report.entries, "entry", "entries")
        print(printable(f"put {entries} into {into}: {show.lsns(report.first_lsn, report.last_lsn)}"))
        for first_lsn, last_lsn, new_lsn in report.stretches:
            new = (
                "with the same LSNs"
                if new_lsn == first_lsn
                else f"now {show.lsns(new_lsn, new_lsn + last_lsn - first_lsn)}"
            )
            print(f"  {show.lsns(first_lsn, last_lsn)}: {new}")
    return CORRUPT if report.gaps else DONE
