"""Wait for the lock of a log that another writer has open."""

from __future__ import annotations

from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Final

from walogs.errors import Locked

if TYPE_CHECKING:
    from walogs.engine.log_source import Environment
    from walogs.protocols import SegmentStore

PAUSE_FIRST_SECONDS: Final = 0.001
PAUSE_MAX_SECONDS: Final = 0.05
"""Pauses grow up to this. A try costs a few system calls, and a log that became free is noticed this late at most."""


def acquire_within(store: SegmentStore, seconds: float, environment: Environment) -> None:
    """Take the log of *store*, and try again while another writer has it, for at most so many *seconds*.

    Nothing is held between two tries, so an interrupt leaves nothing locked. Raises `Locked` when the time is over, and
    whatever else `store.acquire` raises at once.
    """
    end_ns = environment.monotonic() + round(min(seconds, TIMEOUT_MAX) * 1e9)
    pause = PAUSE_FIRST_SECONDS
    while True:
        try:
            store.acquire()
            return
        except Locked as error:
            left_ns = end_ns - environment.monotonic()
            if left_ns <= 0:
                if seconds:
                    error.add_note(f"The open waited {seconds:g} second{'' if seconds == 1 else 's'} for it (wait).")
                raise
        environment.sleep(min(pause, left_ns / 1e9))
        pause = min(pause * 2, PAUSE_MAX_SECONDS)
