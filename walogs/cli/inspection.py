"""The commands that look into a log without opening it for writing; all but `repair` beside its writer, changing
nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from walogs.assembly import open_reader
from walogs.cli import show
from walogs.cli.entries import as_line, standard_output
from walogs.cli.lines import print_lines, progress_bar
from walogs.cli.log_argument import LogArgument, NamedLog
from walogs.cli.status import CORRUPT, DONE, printable
from walogs.inspection.backup import backup as make_backup
from walogs.inspection.repair import repair as repair_log
from walogs.inspection.salvage import salvage as salvage_log
from walogs.inspection.verify import verify as verify_log
from walogs.types import Entry, Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from walogs.types import RepairReport

SourceLog: TypeAlias = Annotated[NamedLog, Parameter(name="SRC", help="Directory of the log; or --log instead.")]
AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")]
Upto: TypeAlias = Literal["durable", "written"]
UPTO_HELP: Final = (
    "durable: up to where the log is known to be synced; written: every intact entry, as the next open gives them back."
)
BESIDE: Final = "Takes no lock and changes nothing: the log may be open in another process, and be written to."


def verify(log: LogArgument, /, *, as_json: AsJson = False) -> int:
    with progress_bar("checking") as progress:
        report = verify_log(log.path, log.config, progress=progress)
    if as_json:
        print(json.dumps({"ok": report.ok, **asdict(report)}, indent=2))
    else:
        entries = show.counted(report.entries, "entry", "entries")
        segments = show.counted(report.segments, "segment", "segments")
        state = "good" if report.ok else "DAMAGED"
        lsns, size = show.lsns(report.first_lsn, report.last_lsn), show.sized(report.bytes)
        print(f"{state}: {entries} ({lsns}), {size} in {segments}")
        for finding in report.findings:
            print(f"{'damage' if finding.is_damage else 'note'}: {printable(finding.message)}")
    return DONE if report.ok else CORRUPT


def salvage(log: LogArgument, /, *, as_json: AsJson = False) -> int:
    gaps: list[Gap] = []
    with standard_output() as out:
        print_lines(out, salvaged_lines(log, gaps, as_json=as_json))
    return CORRUPT if gaps else DONE


def salvaged_lines(log: NamedLog, gaps: list[Gap], *, as_json: bool) -> Iterator[bytes]:
    for found in salvage_log(log.path, log.config):
        if isinstance(found, Entry):
            yield as_line(found.lsn, found.data, as_json=as_json)
            continue
        gaps.append(found)
        if as_json:
            yield json.dumps({"gap": found._asdict()}).encode()
        elif sys.stderr is not None:
            upto = "on" if found.last_lsn is None else f"to {found.last_lsn}"
            lsns = f"from {found.first_lsn} {upto}"
            place = "" if found.segment is None else f", segment {found.segment} at byte {found.offset}"
            print(f"walogs: gap: entries {lsns}{place}: {printable(found.why)}", file=sys.stderr)


def tail(
    log: LogArgument,
    /,
    *,
    count: Annotated[
        int, Parameter(name=["--entries", "-n"], validator=Number(gte=1), help="How many of the last entries.")
    ] = 10,
    upto: Annotated[Upto, Parameter(help=UPTO_HELP)] = "written",
    as_json: AsJson = False,
) -> int:
    with standard_output() as out, open_reader(log.path, upto, log.config) as reader:
        last_lsn = reader.last_lsn
        start = max(last_lsn - count + 1, reader.first_lsn)
        print_lines(out, (as_line(lsn, data, as_json=as_json) for lsn, data in reader.iter(start, last_lsn + 1)))
    return DONE


def backup(
    log: SourceLog,
    target: Annotated[Path, Parameter(name="DST", help="Directory of the copy: new, or empty.")],
    /,
    *,
    as_json: AsJson = False,
) -> int:
    with progress_bar("copying") as progress:
        report = make_backup(log.path, target, progress, log.config)
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        segments = show.counted(report.segments, "segment", "segments")
        lsns = show.lsns(report.first_lsn, report.last_lsn)
        print(f"copied {show.sized(report.bytes)} in {segments}: {lsns}")
    return DONE


def repair(
    log: LogArgument,
    /,
    *,
    keep: Annotated[
        Literal["before", "after"],
        Parameter(help="Which intact entries to keep: those before the first damage, or after the last."),
    ] = "before",
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Change nothing; tell what would be done.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    with progress_bar("repairing", at_once=True):
        report = repair_log(log.path, log.config, keep=keep, dry_run=dry_run)
    if as_json:
        print(json.dumps(repair_facts(report), indent=2))
    else:
        for line in repair_lines(report):
            print(printable(line))
    return CORRUPT if report.is_dry_run and report.refusal is not None else DONE


def repair_facts(report: RepairReport) -> dict[str, Any]:
    """The report, in values that JSON has, each named."""
    lost = [gap._asdict() for gap in report.lost]
    dropped = [{"first_lsn": first_lsn, "last_lsn": last_lsn} for first_lsn, last_lsn in report.dropped]
    return {**asdict(report), "lost": lost, "dropped": dropped}


def repair_lines(report: RepairReport) -> Iterator[str]:
    would = "would be " if report.is_dry_run else ""
    kept = show.lsns(report.first_lsn, report.last_lsn)
    if report.refusal is None:
        yield f"good: the log opens ({kept}); nothing was changed"
        return
    yield f"damage: {report.refusal.partition('. Nothing was changed')[0]}"
    yield f"{would}kept: {kept}"
    for gap in report.lost:
        lsns = f"from {gap.first_lsn} on" if gap.last_lsn is None else show.lsns(gap.first_lsn, gap.last_lsn)
        place = "" if gap.segment is None else f", segment {gap.segment}"
        at = "" if gap.offset is None else f" at byte {gap.offset}"
        yield f"lost: {lsns}{place}{at}: {gap.why}"
    for first_lsn, last_lsn in report.dropped:
        move = "`walogs salvage` prints them" if report.is_dry_run else "they are in the files set aside"
        yield f"{would}dropped: {show.lsns(first_lsn, last_lsn)}, intact, but beyond the damage; {move}"
    if not report.set_aside:
        yield f"{would}removed: the witness (DURABLE) alone; no segment changes"
    for name in report.set_aside:
        yield f"{would}set aside: {name}"


HELP: Final[dict[Callable[..., int], str]] = {
    verify: f"Check every byte that opening would rely on, and list all that is wrong.\n\n{BESIDE} Exit status 0: it"
    " opens; 4: it is damaged, and the lines say where, what it means, and what to do.",
    salvage: f"Print every intact entry around damage, as `cat` does; each gap goes to standard error.\n\n{BESIDE} Exit"
    " status 0: there was no gap; 4: there were. With --json: an object a line, gaps among the entries.",
    tail: f"Print the last entries.\n\n{BESIDE}",
    backup: f"Copy what is durable into a new directory, which opens as a log.\n\n{BESIDE} Every byte is checked on its"
    " way; damage is never copied. What has the name DST is whole: until then it grows as DST.partial.",
    repair: "Make a damaged log one that opens, and tell what is lost by it; a log that opens is left alone.\n\nLook"
    " first: `walogs verify`, `walogs salvage`, `walogs repair --dry-run`. A log holds one run of LSNs: of the intact"
    " entries, this keeps those before the first damage, or after the last. The log must not be open elsewhere. Every"
    " segment that changes is kept beside it, as damaged-NNNNNN-TIME: nothing reads such a file, and nothing but you"
    " removes it. Exit status 0: the log opens; 4: it does not (--dry-run), or no entry is intact and nothing was"
    " changed.",
}
"""The commands of this file, and what their help says."""
