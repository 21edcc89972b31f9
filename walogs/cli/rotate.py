"""`walogs rotate DIR`: begin the next segment of a log."""

from __future__ import annotations

import json

from walogs.assembly.opening import open as open_log
from walogs.cli.absence import existing
from walogs.cli.log_argument import LogArgument
from walogs.cli.options import AsJson, Wait, waiting
from walogs.cli.status import DONE
from walogs.protocols import is_appendable


def rotate(log: LogArgument, /, *, wait: Wait = None, as_json: AsJson = False) -> int:
    """Begin the next segment now, so that a checkpoint can remove everything before it.

    If the active segment holds no entry, it stays active. In a store of immutable segments this does nothing, because
    each commit is a segment of its own. The log must not be open elsewhere.
    """
    is_rotatable = is_appendable(existing(log).store)
    with open_log(log.path, waiting(log.config, wait)) as wal:
        before = wal.segments()[-1].number
        wal.rotate()
        newest = wal.segments()[-1]
    is_rotated = newest.number != before
    if as_json:
        facts = {"is_rotated": is_rotated, "number": newest.number, "segment": newest.name}
        print(json.dumps({**facts, "first_lsn": newest.first_lsn}, indent=2))
    elif is_rotated:
        print(f"{newest.name} is the active segment now; it begins at entry {newest.first_lsn}")
    elif not is_rotatable:
        print("in this store each commit is a segment of its own, so there is nothing to rotate")
    else:
        print(f"{newest.name} holds no entry yet, and stays the active segment")
    return DONE
