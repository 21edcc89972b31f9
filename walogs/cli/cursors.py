"""`walogs cursors DIR`: where the consumers of a log are. It also sets and removes a cursor."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from walogs.cli.absence import existing
from walogs.cli.log_argument import LogArgument, NamedLog
from walogs.cli.next_moves import command_line
from walogs.cli.numbers import DIGITS
from walogs.cli.options import AsJson
from walogs.cli.output import print_text
from walogs.cli.show import age_words, at_utc, count_words, size_words
from walogs.cli.status import CORRUPT, DONE, WrongUsage, printable
from walogs.engine.observation import observe
from walogs.errors import ConfigError
from walogs.handles.cursor import check_name, cursor_store, needed_by_cursors, smallest_position
from walogs.inspection.cursors import drop_cursor, find_cursors, look, set_cursor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.log_source import LogSource
    from walogs.inspection.cursors import CursorFacts


def cursors(
    log: LogArgument,
    /,
    *,
    position: Annotated[
        tuple[str, str] | None,
        Parameter(
            name="--set", negative="", show_default=False, help="NAME LSN: put this cursor at LSN; 0 is the beginning."
        ),
    ] = None,
    drop: Annotated[str | None, Parameter(show_default=False, help="NAME: remove this cursor.")] = None,
    as_json: AsJson = False,
) -> int:
    """Show the cursors of a log: the position of each consumer, how far it is behind, and who has it.

    To look takes no lock and changes nothing: the log and the cursors may be open in other processes. --set and --drop
    change one cursor, which must not be open elsewhere. --set makes a cursor that is not there. Exit status 0: every
    consumer can continue. 4: one cannot, and its line says why.
    """
    source = existing(log)
    if position is not None and drop is not None:
        raise WrongUsage("--set and --drop are two changes: make one after the other. Nothing was changed")
    if position is not None:
        put(source, *position)
    if drop is not None:
        remove(log, source, drop)
    found = find_cursors(source)
    if as_json:
        print(json.dumps([facts.as_json() for facts in found], indent=2))
    else:
        print_text(lines_of(log, found, time.time_ns()))
    return CORRUPT if any(facts.problem for facts in found) else DONE


def put(source: LogSource, name: str, text: str) -> None:
    """Set the cursor. Raises `WrongUsage` for a wrong name or LSN, and `Locked`."""
    refuse_wrong_name(name)
    readable = observe(source, "durable")
    first, last = readable.log_first_lsn - 1, readable.last_lsn
    if not DIGITS.fullmatch(text) or not first <= int(text) <= last:
        may = f"it may be at {first}" if first == last else f"it may be at {first} to {last}"
        raise WrongUsage(
            f"--set {name} {text}: a cursor is at the LSN of an entry, and here {may}. Nothing was changed"
        )
    set_cursor(source, name, int(text), readable.newest.log_id)


def remove(log: NamedLog, source: LogSource, name: str) -> None:
    """Remove the cursor. Raises `WrongUsage` if there is none, and `Locked`."""
    refuse_wrong_name(name)
    if name not in cursor_store(source).cursors():
        move = f"`{command_line(log, 'cursors')}` lists those that are there"
        raise WrongUsage(f"--drop {name}: {log.name} has no such cursor. Nothing was changed; {move}")
    drop_cursor(source, name)


def refuse_wrong_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise WrongUsage(f"{error}. Nothing was changed") from None


def lines_of(log: NamedLog, found: list[CursorFacts], now_ns: int) -> Iterator[str]:
    """Yield a line for each cursor, with its name first."""
    if not found:
        yield f"{printable(log.name)} has no cursors"
    width = max((len(facts.name) for facts in found), default=0)
    for facts in found:
        yield f"{facts.name:<{max(width, 13)}}  {printable(', '.join(parts_of(facts, now_ns)))}"


def parts_of(facts: CursorFacts, now_ns: int) -> Iterator[str]:
    """Yield what a line says of one cursor."""
    if facts.position is not None:
        yield f"at {facts.position}"
    if facts.lag_entries:
        age = age_words(now_ns - int((facts.lag_seconds or 0.0) * 1e9), now_ns)
        entries = count_words(facts.lag_entries, "entry", "entries")
        yield f"{entries} behind ({size_words(facts.lag_bytes or 0)}, {age})"
    elif facts.lag_entries == 0:
        yield "nothing is left"
    if facts.committed_ns is not None:
        yield f"committed {at_utc(facts.committed_ns)} ({age_words(facts.committed_ns, now_ns)})"
    if facts.is_locked is not None:
        yield f"open in process {' '.join(facts.owner.split()[:2])}" if facts.is_locked else "free"
    if facts.problem:
        yield f"CANNOT CONTINUE: {facts.problem}"


def needed_by_no_cursor(log: NamedLog) -> int | None:
    """Return the LSN up to which no cursor needs the entries, or None if the log has no cursor. Raises `Corrupt`."""
    source = existing(log)
    log_id = look(source).newest.log_id
    return needed_by_cursors(source, log_id, lambda: look(source).last_lsn)


def passed_by_all(log: NamedLog) -> int:
    """Return the smallest position of all cursors of the log. Raises `WrongUsage` if there is none, `Corrupt` and
    `LogRewound`."""
    source = existing(log)
    log_id = look(source).newest.log_id
    try:
        return smallest_position(source, log_id, lambda: look(source).last_lsn, durable=False)
    except ConfigError:
        raise
    except ValueError:
        raise WrongUsage(f"--cursors: {log.name} has no cursors. Nothing was removed; say --lsn N") from None
