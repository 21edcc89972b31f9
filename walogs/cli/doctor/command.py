"""`walogs doctor`: check whether a log can keep its promises on the file system and the disk of a directory."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from walogs.assembly.choice import store_of
from walogs.assembly.config import config_error
from walogs.cli.absence import another_store, other_files
from walogs.cli.doctor.diagnosis import Finding, Grade, findings, status_grade
from walogs.cli.doctor.place import Place, observe_place
from walogs.cli.log_argument import LogArgument, NamedLog
from walogs.cli.next_moves import command_line
from walogs.cli.options import AsJson
from walogs.cli.output import print_text
from walogs.cli.status import DONE, FAILED, LOCKED, message_line, printable
from walogs.defaults.local_store import LocalStore
from walogs.errors import WalError

if TYPE_CHECKING:
    from collections.abc import Iterator

STATUSES: Final[dict[Grade, int]] = {"good": DONE, "note": DONE, "held": LOCKED, "bad": FAILED}


def doctor(log: LogArgument, /, *, as_json: AsJson = False) -> int:
    """Check the place of a log, or of one that you want to make: its file system, disk, lock, and the cost of a sync.

    The command takes no lock and reads no entry (`walogs verify` reads them). It writes one file of 1 MiB into the
    directory, or into the nearest existing directory above it, syncs the file for at most 2 seconds, and removes it.

    Exit status 0: nothing is bad. 1: something is bad, and its line says why and what to do. 3: nothing is bad, but
    another process has the log open.
    """
    place = observe_place_of(log)
    found = [*findings(place), *log_findings(log, place)]
    if as_json:
        told = {"path": place.path, "ok": status_grade(found) in ("good", "note"), "findings": facts_of(found)}
        print(json.dumps({**told, "place": place_facts(place)}, indent=2))
    else:
        width = max(len(finding.check) for finding in found)
        print_text(printable(f"{one.grade:<4}  {one.check:<{width}}  {one.message}") for one in found)
    return STATUSES[status_grade(found)]


def log_findings(log: NamedLog, place: Place) -> Iterator[Finding]:
    """Yield what is known of the log itself: that it was not checked, or why it can neither be read nor made here."""
    store = store_of(log.path, log.config.store)
    try:
        store.segments()
    except (WalError, OSError) as error:
        yield Finding("log", "bad", message_line(error))
        return
    others = other_files(store)
    if others:
        own = os.path.join(place.path, "log.wal")
        why = f"no log is here, and none can be made: the directory holds {others}, and a log needs one of its own"
        yield Finding("log", "bad", f"{why}. Name a new or empty directory, such as {own!r}. {another_store(log)}")
    elif holds_something(place.path):
        yield Finding("log", "note", f"not checked here: `{command_line(log, 'verify')}` checks its entries")


def holds_something(path: str) -> bool:
    """Return whether the directory holds anything but hidden files and lost+found. It may be a log."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return any(name != "lost+found" and not name.startswith(".") for name in os.listdir(path))
    return os.path.lexists(path)


def observe_place_of(log: NamedLog) -> Place:
    """Return the place of the log. Raises `ConfigError` if the log is in no directory, and `OSError`."""
    store = store_of(log.path, log.config.store)
    if isinstance(store, LocalStore):
        return observe_place(store.path, has_lock_file=True)
    if not os.path.isabs(store.name):
        why = f"the store of this log calls itself {store.name!r}, which is no path: there is no file system to check"
        raise config_error(f"{why}. `walogs conformance NAME` checks what a store promises")
    return observe_place(os.path.dirname(store.name), has_lock_file=False)


def facts_of(found: list[Finding]) -> list[dict[str, Any]]:
    return [finding._asdict() for finding in found]


def place_facts(place: Place) -> dict[str, Any]:
    """Return the facts about a place, with the median and the number of the sync times in place of each one."""
    facts = asdict(place)
    seconds = facts["probe"].pop("sync_seconds")
    facts["probe"] |= {"syncs": len(seconds), "sync_seconds": median(seconds) if seconds else None}
    return facts
