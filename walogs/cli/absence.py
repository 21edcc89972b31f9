"""Messages for a command that finds no log: how to make one, and which other store may hold it."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from walogs.assembly import registry
from walogs.assembly.choice import store_of
from walogs.assembly.opening import source_of
from walogs.defaults.directory import LOCK
from walogs.defaults.local_store import LocalStore
from walogs.errors import LogNotFound
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.cli.log_argument import NamedLog
    from walogs.engine.log_source import LogSource
    from walogs.protocols import SegmentStore

NAMES_MAX: Final = 3
"""Name at most this many of the files that are there instead."""


def existing(log: NamedLog) -> LogSource:
    """Return the components of the log. Raise `FileNotFoundError` if there is no log; nothing is made."""
    source = source_of(log.path, log.config)
    if not holds_a_log(source):
        raise no_log(log)
    return source


def holds_a_log(source: LogSource) -> bool:
    """Return whether segments are there, or a durable mark, which says that there were some."""
    store = source.store
    return bool(store.segments()) or (is_appendable(store) and store.read_durable_mark() is not None)


@contextmanager
def explain_absence(log: NamedLog) -> Iterator[None]:
    """If the log is missing, add to the error what is there instead, and which other stores may have written it."""
    try:
        yield
    except LogNotFound as error:
        refuse_among_others(log, error)
        raise
    except NotADirectoryError as error:
        if getattr(error, "__notes__", ()):  # its store has said what it needs
            error.add_note(another_store(log))
        raise


def refuse_among_others(log: NamedLog, cause: Exception | None = None) -> None:
    """Raise `FileNotFoundError` if the directory holds other files.

    They may be the log of another store, which a new log would hide.
    """
    if other_files(store_of(log.path, log.config.store)):
        raise no_log(log) from cause


@contextmanager
def what_is_left_told(path: str | None) -> Iterator[None]:
    """If a log could not be made, add to the error what is left of the attempt.

    Nothing is removed again, since another process may hold the new lock by now.
    """
    is_new = path is not None and not os.path.lexists(path)
    try:
        yield
    except OSError as error:
        if is_new and path is not None and os.path.isdir(path) and os.listdir(path) == [LOCK]:
            error.add_note(f"There is no log yet; the directory {path} was made, and holds {LOCK} alone.")
        raise


def no_log(log: NamedLog) -> FileNotFoundError:
    """Return the error for a log that is not there. It offers to make one only if nothing is there."""
    there = other_files(store_of(log.path, log.config.store))
    why = "there is no log; `walogs append` makes one"
    if there:
        why = f"there is no log of store {log.config.store!r} among its files ({there}). {another_store(log)}"
    return FileNotFoundError(errno.ENOENT, why, log.name)


def other_files(store: SegmentStore) -> str:
    """Return, in words, some files in the directory of a local log that are not its own; empty if there are none."""
    names = store.files_of_others() if isinstance(store, LocalStore) and os.path.isdir(store.path) else []
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


def another_store(log: NamedLog) -> str:
    """Return a hint at how to name another store, which may hold the log."""
    if not isinstance(log.config.store, str) or "--log" in log.words:
        return "Does its configuration name the store that wrote it?"
    addressed = registry.stores_of_addresses()  # such a store has no log at a path
    others = [name for name in registry.names("store") if name != log.config.store and name not in addressed]
    if not others:
        return "Is it another directory? A log of another store needs that store's package, and --store NAME"
    return f"If another store wrote it, name that one: --store {' or --store '.join(others)}"
