"""`walogs checkpoint DIR --lsn N`: remove entries that are not needed any more, to free space on the disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from walogs.assembly.opening import open as open_log
from walogs.cli import show
from walogs.cli.absence import existing
from walogs.cli.cursors import passed_by_all
from walogs.cli.log_argument import LogArgument, NamedLog
from walogs.cli.next_moves import command_line
from walogs.cli.numbers import FromOne
from walogs.cli.options import AsJson
from walogs.cli.status import DONE, WrongUsage
from walogs.errors import Corrupt
from walogs.inspection.facts import observe_facts


@dataclass(frozen=True, slots=True)
class FreedSpace:
    """What a checkpoint would remove, or has removed."""

    segments: int
    bytes: int
    first_lsn: int
    """Where the log then begins. It is last_lsn + 1 if the log holds no entry."""
    last_lsn: int
    is_dry_run: bool


def checkpoint(
    log: LogArgument,
    /,
    *,
    lsn: Annotated[FromOne | None, Parameter(show_default=False, help="The last entry that is not needed.")] = None,
    cursors: Annotated[
        bool, Parameter(negative="", show_default=False, help="In place of --lsn: what all cursors have passed.")
    ] = False,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Remove nothing; say what would be removed.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Give up the entries up to --lsn, or up to the smallest position of all cursors: remove the segments that hold no
    later entry.

    A segment is removed whole or not at all, so some of these entries may stay. The newest segment always stays.
    `walogs info` shows what a checkpoint would free. If --lsn is beyond the last entry, or if the log is damaged,
    nothing is removed. The log must not be open elsewhere; --dry-run takes no lock.
    """
    if (lsn is None) is not cursors:
        raise WrongUsage("say which entries are not needed any more: --lsn N or --cursors; --help tells more")
    freed = foresee(log, passed_by_all(log) if lsn is None else lsn)
    if not dry_run:
        freed = carry_out(log, lsn)
    if as_json:
        print(json.dumps(asdict(freed), indent=2))
    else:
        print(line_of(freed))
    return DONE


def foresee(log: NamedLog, lsn: int) -> FreedSpace:
    """Return what a checkpoint there would remove. Raises `Corrupt`, and `WrongUsage` if there is no such entry."""
    facts = observe_facts(log.name, existing(log), "last")
    if not facts.ok:
        damage = facts.damage[0]
        message = f"{log.name} is damaged: {damage.message}"
        places: dict[str, Any] = {"segment": damage.segment, "offset": damage.offset, "lsn": damage.lsn}
        raise Corrupt(f"{message} Nothing was changed.", **places, damage=message)
    if lsn > facts.last_lsn:
        move = f"`{command_line(log, 'checkpoint', '--lsn', str(facts.last_lsn))}` gives up all of them"
        raise WrongUsage(f"--lsn {lsn}: the entries of {log.name} end at {facts.last_lsn}. Nothing was removed; {move}")
    present = [segment for segment in facts.segments if segment.state != "leftover"]
    count = sum(segment.frees is not None and (segment.last_lsn or 0) <= lsn for segment in present)
    size = sum(segment.size for segment in present[:count])
    first_lsn = present[count].first_lsn or facts.first_lsn if count else facts.first_lsn
    return FreedSpace(segments=count, bytes=size, first_lsn=first_lsn, last_lsn=facts.last_lsn, is_dry_run=True)


def carry_out(log: NamedLog, lsn: int | None) -> FreedSpace:
    """Make the checkpoint, and return what it has removed. None as *lsn* means what all cursors have passed.

    Raises what `walogs.open` raises.
    """
    with open_log(log.path, log.config) as wal:
        before = {segment.number: segment.size for segment in wal.segments()}
        wal.checkpoint(lsn)
        left = {segment.number for segment in wal.segments()}
        gone = [size for number, size in before.items() if number not in left]
        return FreedSpace(
            segments=len(gone), bytes=sum(gone), first_lsn=wal.first_lsn, last_lsn=wal.last_lsn, is_dry_run=False
        )


def line_of(freed: FreedSpace) -> str:
    would = "would remove" if freed.is_dry_run else "removed"
    begins = f"begins at entry {freed.first_lsn}" if freed.first_lsn <= freed.last_lsn else "holds no entry"
    segments = show.count_words(freed.segments, "segment", "segments")
    return f"{would} {segments}, {show.size_words(freed.bytes)}; the log then {begins}"
