"""`walogs doctor`: whether file system, disk and lock of a directory are such that a log there keeps its promises."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from cyclopts import Parameter

from walogs.assembly import store_of
from walogs.cli import show
from walogs.cli.diagnosis import Grade, findings, status_grade
from walogs.cli.log_argument import LogArgument, NamedLog
from walogs.cli.place import Place, observed
from walogs.cli.status import DONE, FAILED, LOCKED, printable
from walogs.config import config_error
from walogs.defaults.local_store import LocalStore

if TYPE_CHECKING:
    from walogs.cli import show
from walogs.cli.diagnosis import Finding

AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")]

STATUSES: Final[dict[Grade, int]] = {"good": DONE, "note": DONE, "held": LOCKED, "bad": FAILED}


def doctor(log: LogArgument, /, *, as_json: AsJson = False) -> int:
    """Look at what a log stands on, or would: its file system, disk and lock, and what a sync costs there.

    Takes no lock, and reads no entry (`walogs verify` does). Writes one file of 1 MiB into the directory, or into the
    nearest above it that exists, syncs it for 2 seconds at most, and removes it. Exit status 0: nothing bad; 1:
    something is, and its line says why and what to do; 3: nothing is, but another process has the log open.
    """
    place = observed_of(log)
    found = list(findings(place))
    if as_json:
        told = {"path": place.path, "ok": status_grade(found) in ("good", "note"), "findings": facts_of(found)}
        print(json.dumps({**told, "place": place_facts(place)}, indent=2))
    else:
        width = max(len(finding.check) for finding in found)
        encoding = sys.stdout.encoding if sys.stdout is not None else None
        for finding in found:
            line = printable(f"{finding.grade:<4}  {finding.check:<{width}}  {finding.message}")
            print(show.encodable(line, encoding))
    return STATUSES[status_grade(found)]


def observed_of(log: NamedLog) -> Place:
    """Raises `ConfigError` for a log that is in no directory, `OSError`."""
    store = store_of(log.path, log.config.store)
    if isinstance(store, LocalStore):
        return observed(store.path, has_lock_file=True)
    if not os.path.isabs(store.name):
        durability = store.capabilities.durability
        why = f"{store.name} is no path: there is no file system to look at; it holds segments in {durability!r}"
        raise config_error(f"{why}. `walogs conformance NAME` tries what a store promises")
    return observed(os.path.dirname(store.name), has_lock_file=False)


def facts_of(found: list[Finding]) -> list[dict[str, Any]]:
    return [finding._asdict() for finding in found]


def place_facts(place: Place) -> dict[str, Any]:
    """The latencies as their median and number: what is told of each of hundreds helps nobody."""
    facts = asdict(place)
    seconds = facts["probe"].pop("sync_seconds")
    facts["probe"] |= {"syncs": len(seconds), "sync_seconds": median(seconds) if seconds else None}
    return facts
