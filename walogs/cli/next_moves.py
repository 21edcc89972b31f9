"""What to do about a damaged log: the block `Next:`, which a command prints once, after everything it has found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.defaults.renaming import rename_command
from walogs.engine.exchanged_names import find_exchange
from walogs.foundation.local_paths import address_in
from walogs.foundation.shell import command_of
from walogs.protocols import is_repairable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from walogs.cli.log_argument import NamedLog
    from walogs.engine.log_source import LogSource
    from walogs.protocols import SegmentStore


BESIDE_MAX: Final = 120
"""In the block, the explanation stands beside its command, unless the command is longer than this."""


class NextMove(NamedTuple):
    """One thing to do."""

    command: str
    """As it can be typed. Empty if the move is no command."""
    what: str
    """What the command does, as an imperative."""

    def __str__(self) -> str:
        return f"{self.command}: {self.what}" if self.command else self.what


def command_line(log: NamedLog, command: str, *options: str) -> str:
    """Return what to type for *command* on this log."""
    return command_of(("walogs", command, *log.words, *options))


def after_damage(log: NamedLog, source: LogSource, entries: int) -> tuple[NextMove, ...]:
    """Return the moves that work on a damaged log with that many intact *entries*. No move loses an entry."""
    exchange = find_exchange(source)
    if exchange is None:
        return tuple(moves_in_place(log, source.store, entries))
    read = NextMove(command_line(log, "salvage"), "print every intact entry, if you need them before that")
    what = "give each segment file its name again, which loses nothing"
    command = rename_command(source, exchange)
    return NextMove(command, f"{what}; then check the log"), read


def moves_in_place(log: NamedLog, store: SegmentStore, entries: int) -> Iterator[NextMove]:
    yield NextMove("", "restore the log from a backup, if there is one")
    yield NextMove(command_line(log, "salvage"), "print every intact entry, and say what is missing")
    if entries:
        into = command_line(log, "salvage", "--into", new_place(log))
        yield NextMove(into, "put the intact entries into a new log, and say which LSNs they get")
    if is_repairable(store):
        repair = command_line(log, "repair", "--dry-run")
        yield NextMove(repair, "show what a repair would keep, and change nothing")


def new_place(log: NamedLog) -> str:
    """Return the path of a directory that does not exist yet, for the intact entries: beside the log if it is local."""
    place = os.path.normpath(log.path) if log.path is not None else "log"
    if log.path is not None and address_in(log.path) is not None:
        place = os.path.basename(place)
    if os.path.basename(place) in ("", os.curdir, os.pardir):
        place = os.path.realpath(place)
    names = (f"{place}.salvaged{count}" for count in ("", *(f"-{number}" for number in range(2, 100))))
    free = next((name for name in names if not os.path.lexists(name)), f"{place}.salvaged")
    return free if not free.startswith("-") else os.path.join(os.curdir, free)


def block(moves: Sequence[NextMove]) -> Iterator[str]:
    """Yield the block `Next:` as plain lines; no line if there are no moves. A long command has a line of its own."""
    if moves:
        yield "Next:"
    width = max((len(move.command) for move in moves if len(move.command) <= BESIDE_MAX), default=0)
    for move in moves:
        if len(move.command) > BESIDE_MAX:
            yield f"  {move.command}"
            yield f"      {move.what}"
        else:
            yield f"  {move.command:<{width}}  {move.what}" if move.command else f"  {move.what}"
