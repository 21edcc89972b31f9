"""`walogs checkpoint DIR`: remove entries that are not needed any more, to free space on the disk."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, TypeAlias

from cyclopts import Parameter

from walogs.assembly.opening import open as open_log
from walogs.assembly.opening import reader as open_reader
from walogs.cli import show
from walogs.cli.absence import existing
from walogs.cli.cursors import needed_by_no_cursor, passed_by_all
from walogs.cli.log_argument import LogArgument, NamedLog
from walogs.cli.next_moves import command_line
from walogs.cli.numbers import FromOne, read_as
from walogs.cli.options import AsJson, Wait, in_utc, waiting
from walogs.cli.status import DONE, WrongUsage
from walogs.engine.retention import lsn_beyond
from walogs.errors import Corrupt
from walogs.foundation.quantities import DURATION, SIZE
from walogs.inspection.facts import observe_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from walogs.engine.retention import SizedSegment
    from walogs.handles.reader import WalReader
    from walogs.handles.wal import Wal
    from walogs.inspection.facts import LogFacts

BOUNDS: Final = "--lsn N, --cursors, --before TIME, --keep-size SIZE or --keep-time DURATION"

Lsn: TypeAlias = Annotated[
    FromOne | None, Parameter(name=["--lsn", "--upto"], help="The last entry that is not needed any more.")
]
Before: TypeAlias = Annotated[
    datetime | None,
    Parameter(help="What was committed before then is not needed: 2026-01-31T12:00:00, in UTC unless told."),
]
KeepSize: TypeAlias = Annotated[
    int | None,
    read_as(SIZE, lambda size: size >= 1, "1 byte or more"),
    Parameter(help="Keep the newest segments, as many as fit into this: 10GiB."),
]
KeepTime: TypeAlias = Annotated[
    float | None,
    read_as(DURATION, lambda seconds: seconds > 0, "more than 0 seconds", needs_unit=True),
    Parameter(help="Keep the segments whose last entry is not older than this: 7d."),
]


@dataclass(frozen=True, slots=True)
class FreedSpace:
    """What a checkpoint would remove, or has removed."""

    segments: int
    bytes: int
    first_lsn: int
    """Where the log then begins. It is last_lsn + 1 if the log holds no entry."""
    last_lsn: int
    is_dry_run: bool
    is_held_by_cursors: bool = False
    """Whether a cursor still needs entries that are beyond the bound, so that they stay."""


class Bound(NamedTuple):
    """Up to where the entries of a log are given up. One field says so, and the others are None."""

    lsn: int | None
    before: datetime | None
    keep_size: int | None
    """Bytes."""
    keep_time: float | None
    """Seconds."""
    cursors: Literal[True] | None
    """What all cursors have passed."""

    def lsn_of(self, log: Wal | WalReader, segments: Sequence[SizedSegment]) -> int:
        """Return the LSN of the last entry that is given up, or 0. *segments* are those of the log, oldest first."""
        if self.lsn is not None:
            return self.lsn
        if self.before is not None:
            return log.lsn_at(in_utc(self.before)) - 1
        *completed, newest = segments
        age_ns = None if self.keep_time is None else round(self.keep_time * 1e9)
        return lsn_beyond(completed, newest.size, time.time_ns(), size=self.keep_size, age_ns=age_ns)


class Sized(NamedTuple):
    """A segment, as `lsn_beyond` asks for it."""

    last_lsn: int
    size: int
    last_commit_ns: int | None


def checkpoint(
    log: LogArgument,
    /,
    *,
    lsn: Lsn = None,
    before: Before = None,
    keep_size: KeepSize = None,
    keep_time: KeepTime = None,
    cursors: Annotated[
        bool, Parameter(negative="", show_default=False, help="What all cursors have passed is not needed.")
    ] = False,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Remove nothing; say what would be removed.")
    ] = False,
    wait: Wait = None,
    as_json: AsJson = False,
) -> int:
    """Give up old entries: remove the segments that hold no later entry. One option says which entries are old.

    A segment is removed whole or not at all, so some of these entries may stay. The newest segment always stays.
    What a cursor still needs stays, unless --lsn names it. `walogs info` shows what a checkpoint would free. If --lsn
    is beyond the last entry, or if the log is damaged, nothing is removed. The log must not be open elsewhere;
    --dry-run takes no lock.
    """
    bound = Bound(lsn=lsn, before=before, keep_size=keep_size, keep_time=keep_time, cursors=cursors or None)
    refuse_other_than_one(bound)
    if cursors:  # the writer asks again: meanwhile a consumer can go on
        passed = passed_by_all(log)
        bound = bound if not dry_run else bound._replace(lsn=passed, cursors=None)
    facts = sound_facts(log, bound)
    freed = foresee(log, bound, facts) if dry_run else carry_out(log, bound, wait)
    if as_json:
        print(json.dumps(asdict(freed), indent=2))
    else:
        print(line_of(freed))
    return DONE


def refuse_other_than_one(bound: Bound) -> None:
    """Raise `WrongUsage` unless the command line has exactly one of the options that say what is given up."""
    given = [f"--{key.replace('_', '-')}" for key, value in bound._asdict().items() if value is not None]
    if not given:
        raise WrongUsage(f"which entries are not needed any more? Say one of {BOUNDS}; --help tells more")
    if len(given) > 1:
        raise WrongUsage(f"{' and '.join(given)} are given together: say one of {BOUNDS}. Nothing was removed")


def sound_facts(log: NamedLog, bound: Bound) -> LogFacts:
    """Return the facts of the log. Raises `Corrupt`, and `WrongUsage` if the LSN of the bound is beyond the end."""
    facts = observe_facts(log.name, existing(log), "last")
    if not facts.ok:
        damage = facts.damage[0]
        message = f"{log.name} is damaged: {damage.message}"
        places: dict[str, Any] = {"segment": damage.segment, "offset": damage.offset, "lsn": damage.lsn}
        raise Corrupt(f"{message} Nothing was changed.", **places, damage=message)
    if bound.lsn is not None and bound.lsn > facts.last_lsn:
        lsn = bound.lsn
        move = f"`{command_line(log, 'checkpoint', '--lsn', str(facts.last_lsn))}` gives up all of them"
        raise WrongUsage(f"--lsn {lsn}: the entries of {log.name} end at {facts.last_lsn}. Nothing was removed; {move}")
    return facts


def foresee(log: NamedLog, bound: Bound, facts: LogFacts) -> FreedSpace:
    """Return what a checkpoint there would remove."""
    first_lsn = facts.first_lsn
    present = [segment for segment in facts.segments if segment.state != "leftover"]
    sized = [Sized(segment.last_lsn or 0, segment.size, segment.last_commit_ns) for segment in present]
    with open_reader(log.path, log.config, visibility="written") as reader:
        lsn, is_held = hold_for_cursors(log, bound, bound.lsn_of(reader, sized))
    gone = [segment for segment in present if segment.frees is not None and (segment.last_lsn or 0) <= lsn]
    return FreedSpace(
        segments=len(gone),
        bytes=sum(segment.size for segment in gone),
        first_lsn=max([first_lsn, *((segment.last_lsn or 0) + 1 for segment in gone)]),
        last_lsn=facts.last_lsn,
        is_dry_run=True,
        is_held_by_cursors=is_held,
    )


def hold_for_cursors(log: NamedLog, bound: Bound, lsn: int) -> tuple[int, bool]:
    """Return up to which LSN entries are given up, and whether a cursor keeps others that are beyond the bound.

    A bound of size or time names no entry, so it keeps what a cursor needs, as a retention does.
    """
    if bound.lsn is not None or bound.cursors:
        return lsn, False
    at_most = needed_by_no_cursor(log)
    return (lsn, False) if at_most is None or lsn <= at_most else (at_most, True)


def carry_out(log: NamedLog, bound: Bound, wait: float | None) -> FreedSpace:
    """Make the checkpoint, and return what it has removed. Raises what `walogs.open` raises."""
    with open_log(log.path, waiting(log.config, wait)) as wal:
        segments = wal.segments()
        lsn, is_held = (None, False)
        if not bound.cursors:
            lsn, is_held = hold_for_cursors(log, bound, bound.lsn_of(wal, segments))
        wal.checkpoint(lsn)
        left = {segment.number for segment in wal.segments()}
        gone = [segment.size for segment in segments if segment.number not in left]
        return FreedSpace(
            segments=len(gone),
            bytes=sum(gone),
            first_lsn=wal.first_lsn,
            last_lsn=wal.last_lsn,
            is_dry_run=False,
            is_held_by_cursors=is_held,
        )


def line_of(freed: FreedSpace) -> str:
    would = "would remove" if freed.is_dry_run else "removed"
    begins = f"begins at entry {freed.first_lsn}" if freed.first_lsn <= freed.last_lsn else "holds no entry"
    segments = show.count_words(freed.segments, "segment", "segments")
    held = "; a cursor needs what follows (`walogs cursors`)" if freed.is_held_by_cursors else ""
    return f"{would} {segments}, {show.size_words(freed.bytes)}; the log then {begins}{held}"
