"""`walogs repair`: show what each side would keep, and repair the log only when the user has decided."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from cyclopts import Parameter

from walogs.assembly.opening import source_of
from walogs.cli import show
from walogs.cli.lines import WORTH_A_BAR, is_watched, progress_bar
from walogs.cli.log_argument import LogArgument, NamedLog
from walogs.cli.options import AsJson, Wait, waiting
from walogs.cli.status import CORRUPT, DONE, complain, is_terminal, printable
from walogs.inspection.repair import repair as repair_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.types import RepairReport

Flag: TypeAlias = Annotated[bool, Parameter(negative="", show_default=False)]
Side: TypeAlias = Literal["before", "after"]
SIDES: Final[tuple[Side, Side]] = ("before", "after")


def repair(
    log: LogArgument,
    /,
    *,
    keep: Annotated[
        Side | None,
        Parameter(
            help="Which intact entries to keep: those before the first damage, or those after the last. With --yes"
            " alone: those before, or those after if there are none before."
        ),
    ] = None,
    yes: Annotated[Flag, Parameter(name=["--yes", "-y"], help="Do not ask.")] = False,
    dry_run: Annotated[Flag, Parameter(help="Change nothing; say what would be done.")] = False,
    wait: Wait = None,
    as_json: AsJson = False,
) -> int:
    """Make a damaged log one that opens, and say what is lost by it. A log that opens is left alone.

    LSNs have no gaps, so this keeps either the intact entries before the first damage, or those after the last. If
    there are entries on both sides, it first shows what each side would keep. On a terminal it then asks, unless --yes
    is given. Elsewhere it repairs the log if --keep or --yes is given, and otherwise changes nothing. A damaged log
    must not be open elsewhere. Every segment that changes is kept beside it as damaged-NNNNNN-TIME. Nothing reads such
    a file, and only you remove it. With --dry-run it takes no lock and writes nothing, so it also works on a read-only
    mount. Exit status 0: the log opens. 4: it does not, and nothing was changed.
    """
    is_decided = yes or (keep is not None and (as_json or not can_ask()))
    if dry_run or not is_decided:
        with progress_bar("checking", at_once=is_worth_a_bar(log)):
            plans = make_plans(log, keep)
        first = next(iter(plans.values()))
        if first.refusal is None:
            return print_report(first, as_json=as_json)
        if as_json:
            side: Side = keep if keep is not None else next(iter(plans))
            print(json.dumps({**repair_facts(plans[side]), "other_side": other_side(plans, side)}, indent=2))
        else:
            for line in (*damage_lines(first), *plan_lines(plans, keep)):
                print(printable(line))
        if dry_run:
            return CORRUPT
        if as_json or not can_ask():
            complain(f"Nothing was changed. {how_to_decide(plans)}")
            return CORRUPT
        is_wanted, keep = ask(plans, keep)
        if not is_wanted:
            complain("Nothing was changed.")
            return CORRUPT
    with progress_bar("repairing", at_once=is_worth_a_bar(log)):
        report = repair_log(log.path, waiting(log.config, wait), keep=keep)
    return print_report(report, as_json=as_json)


def make_plans(log: NamedLog, keep: Side | None) -> dict[Side, RepairReport]:
    """Return what each side of the damage would keep, if it has entries. Raises `Corrupt` if *keep* has none."""
    first = repair_log(log.path, log.config, dry_run=True)
    plans: dict[Side, RepairReport] = {first.sides[0] if first.sides else "before": first}
    for side in first.sides[1:]:
        plans[side] = repair_log(log.path, log.config, keep=side, dry_run=True)
    if keep is not None and first.refusal is not None and keep not in plans:
        plans[keep] = repair_log(log.path, log.config, keep=keep, dry_run=True)
    return plans


def how_to_decide(plans: dict[Side, RepairReport]) -> str:
    """Return which options make a script's call repair the log."""
    if is_same(plans):
        return "Give --yes to repair the log like this."
    return "Say what to keep: --keep before or --keep after, or --yes for the first that has entries."


def can_ask() -> bool:
    """Return whether the user can see a question, and answer it."""
    return is_terminal(sys.stdin) and is_terminal(sys.stdout)


def ask(plans: dict[Side, RepairReport], keep: Side | None) -> tuple[bool, Side | None]:
    """Ask the user. Return (whether to repair the log, the side to keep)."""
    if keep is None and not is_same(plans):
        answer = read_answer("Keep the entries before the damage, or after it? [before/after/NO] ")
        side: Side | None = next((one for one in SIDES if answer == one), None)
        return side is not None, side
    return read_answer("Repair the log like this? [yes/NO] ") in ("y", "yes"), keep


def read_answer(question: str) -> str:
    print(question, end="", flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print()
    return answer.strip().lower()


def is_same(plans: dict[Side, RepairReport]) -> bool:
    """Return whether there is no choice: only one side has entries, or both keep the same ones."""
    return len({(plan.first_lsn, plan.last_lsn) for plan in plans.values()}) == 1


def print_report(report: RepairReport, *, as_json: bool) -> int:
    """Print what was done, or that there was nothing to do. Return the exit status."""
    if as_json:
        print(json.dumps(repair_facts(report), indent=2))
    else:
        for line in (*damage_lines(report), *repair_lines(report)):
            print(printable(line))
    return DONE


def is_worth_a_bar(log: NamedLog) -> bool:
    """Return whether the log is so large that the user would wonder what is going on."""
    store = source_of(log.path, log.config).store
    return is_watched() and sum(map(store.size, store.segments())) >= WORTH_A_BAR


def repair_facts(report: RepairReport) -> dict[str, Any]:
    """Return the report as named values that JSON has."""
    lost = [gap._asdict() for gap in report.lost]
    dropped = [{"first_lsn": first_lsn, "last_lsn": last_lsn} for first_lsn, last_lsn in report.dropped]
    return {**asdict(report), "lost": lost, "dropped": dropped}


def other_side(plans: dict[Side, RepairReport], keep: Side) -> dict[str, Any] | None:
    """Return what the other side than *keep* would keep; None if no entries are there."""
    side: Side = "before" if keep == "after" else "after"
    if side not in plans:
        return None
    return {"keep": side, "first_lsn": plans[side].first_lsn, "last_lsn": plans[side].last_lsn}


def damage_lines(report: RepairReport) -> Iterator[str]:
    for finding in report.damage:
        yield f"damage: {finding.message}"


def plan_lines(plans: dict[Side, RepairReport], keep: Side | None) -> Iterator[str]:
    """Yield what each side would keep; only once if both keep the same."""
    if is_same(plans):
        yield from repair_lines(plans[keep if keep is not None else next(iter(plans))])
        return
    for side in SIDES:
        yield f"--keep {side}:"
        yield from (f"  {line}" for line in repair_lines(plans[side]))


def repair_lines(report: RepairReport) -> Iterator[str]:
    """Yield what was kept, lost, dropped and set aside, or would be."""
    would = "would be " if report.is_dry_run else ""
    kept = show.lsns(report.first_lsn, report.last_lsn)
    if report.refusal is None:
        yield f"good: the log opens ({kept}); nothing was changed"
        return
    yield f"{would}kept: {kept}"
    for gap in report.lost:
        place = "" if gap.segment is None else f", segment {gap.segment}"
        at = "" if gap.offset is None else f" at byte {gap.offset}"
        yield f"lost: {lost_lsns(gap.first_lsn, gap.last_lsn)}{place}{at}: {gap.why}"
    for first_lsn, last_lsn in report.dropped:
        move = "`walogs salvage` prints them" if report.is_dry_run else "the files set aside hold them"
        yield f"{would}dropped: {show.lsns(first_lsn, last_lsn)}, intact, but beyond the damage; {move}"
    if not report.set_aside:
        yield f"{would}removed: only the durable mark (DURABLE); no segment changes"
    for name in report.set_aside:
        yield f"{would}set aside: {name}"


def lost_lsns(first_lsn: int, last_lsn: int | None) -> str:
    if last_lsn is None:
        return f"what followed entry {first_lsn - 1}, if anything did"
    return show.lsns(first_lsn, last_lsn)
