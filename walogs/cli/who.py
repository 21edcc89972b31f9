"""`walogs who DIR`: show which process writes a log."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from walogs.cli.absence import existing
from walogs.cli.log_argument import LogArgument
from walogs.cli.options import AsJson
from walogs.cli.output import print_text
from walogs.cli.show import age_words, at_utc
from walogs.cli.status import DONE, printable
from walogs.inspection.owner import find_owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.inspection.owner import Owner


def who(log: LogArgument, /, *, as_json: AsJson = False) -> int:
    """Show which process opened a log for writing last, on which host, and since when.

    Takes no lock and changes nothing: the log may be open in another process, and be written to.
    """
    owner = find_owner(existing(log))
    if as_json:
        print(json.dumps(owner.as_json(), indent=2))
    else:
        print_text(lines_of(owner, time.time_ns()))
    return DONE


def lines_of(owner: Owner, now_ns: int) -> Iterator[str]:
    """Yield what `who` prints for people."""
    since = "" if owner.since_ns is None else f", since {at_utc(owner.since_ns)} ({age_words(owner.since_ns, now_ns)})"
    yield f"{'writer':<15}{printable(owner.name) if owner.name else 'unknown'}{since}"
    if owner.is_open is not None:
        yield f"{'open':<15}{'yes' if owner.is_open else 'no'}"
    yield f"{'epoch':<15}{owner.epoch}"
    made = f"{at_utc(owner.segment_ns)} ({age_words(owner.segment_ns, now_ns)})"
    yield f"{'newest segment':<15}{owner.segment}, made {made}"
