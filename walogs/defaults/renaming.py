"""What to do about segment files that have each other's names: the commands that rename them, in errors and reports."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from walogs.defaults.local_store import LocalStore
from walogs.engine.exchanged_names import Exchange, find_exchange
from walogs.errors import Corrupt, WalError
from walogs.foundation.shell import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.log_source import LogSource

SPARE_NAME: Final = "exchanged-{:06d}"
"""A file has this name while another file still has its own. No store reads a file of such a name."""


def tell_names(source: LogSource, error: Corrupt) -> None:
    """Add to *error* the commands that give files their names again, if files have wrong names."""
    with suppress(WalError, OSError):
        exchange = find_exchange(source)
        if exchange is not None:
            error.args = (f"{error.damage} Nothing was changed.\n{next_moves_text(source, exchange)}",)


def exchange_error(source: LogSource, exchange: Exchange) -> Corrupt:
    """Return the error that names the files with wrong names, and the commands that rename them."""
    damage = describe_exchange(source, exchange)
    return Corrupt(f"{damage} Nothing was changed.\n{next_moves_text(source, exchange)}", damage=damage)


def next_moves_text(source: LogSource, exchange: Exchange) -> str:
    """Return what to do. The command has a line of its own, so that it can be copied."""
    command = rename_command(source, exchange)
    if not command:
        listed = ", ".join(f"{source.store.segment_name(file)} is segment {number}" for file, number in exchange.moves)
        return f"Next: give each segment the name that it should have: {listed}."
    return f"Next: give each segment file its name again, and check the log then:\n  {command}"


def describe_exchange(source: LogSource, exchange: Exchange) -> str:
    """Return a sentence that says which files have wrong names."""
    name, wrong = source.store.segment_name, dict(sorted(exchange.moves))
    listed = ", ".join(f"{name(file)} is segment {number}" for file, number in wrong.items())
    return f"{source.store.name}: segment files have the names of others ({listed}). No entry is lost by it."


def rename_command(source: LogSource, exchange: Exchange) -> str:
    """Return one line for a shell that renames every file. Empty if the segments are no local files.

    The command overwrites no file, and does not change the shell's working directory.
    """
    store, wrong = source.store, dict(sorted(exchange.moves))
    if not isinstance(store, LocalStore):
        return ""
    steps = [f"cd {quote(os.fspath(store.path))}"]
    steps += [f"mv -n {old} {new}" for old, new in ordered_moves(store, wrong)]
    return f"({' && '.join(steps)})"


def ordered_moves(store: LocalStore, wrong: dict[int, int]) -> Iterator[tuple[str, str]]:
    """Yield the renames, each when its target is free. In a ring of names, one file first gets a spare name."""
    names = {file: store.segment_name(file) for file in wrong}
    left = dict(wrong)
    while left:
        free = next((file for file, number in left.items() if number not in left), None)
        if free is not None:
            yield names[free], store.segment_name(left.pop(free))
            continue
        file = min(left)
        spare = SPARE_NAME.format(file)
        yield names[file], spare
        number = left.pop(file)
        left[-file], names[-file] = number, spare
