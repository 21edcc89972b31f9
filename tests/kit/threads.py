"""The threads that walogs has started in this process, and the wait for their end.

A thread that outlives its test can log a warning while another test reads the log messages, and that test then fails.
`threading.enumerate()` does not know these threads, because walogs starts them without `threading`.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from walogs.defaults import directory_watch
from walogs.engine import log_source
from walogs.foundation import attempts

SECONDS: Final = 120
"""A thread that has not ended after this long waits for something that does not come."""
BIRTH_SECONDS: Final = 2
"""A thread that does not run after this long has died before its first statement, as an exception from outside can make
it. Nothing reports that."""

_start_new_thread = log_source.start_new_thread


@dataclass
class Started:
    """A thread that was started."""

    run: str
    ident: int = 0


_at_work: Final[dict[int, Started]] = {}
"""The threads that have not ended, by the number of their start."""
_numbers: Final = itertools.count()


def count_them() -> None:
    """Count the threads that walogs starts from now on, and let the one of inotify end soon when it is idle: each test
    waits for that."""
    directory_watch.IDLE_MILLISECONDS = 20  # type: ignore[misc]
    log_source.start_new_thread = _start_counted  # type: ignore[assignment]
    attempts.start_new_thread = _start_counted  # type: ignore[assignment]


def left_after_waiting() -> list[str]:
    """Wait until all have ended, and return what those run that have not ended after `SECONDS`."""
    began = time.monotonic()
    while _at_work and time.monotonic() < began + SECONDS:
        time.sleep(0.001)
        if time.monotonic() > began + BIRTH_SECONDS:
            running = sys._current_frames()
            for number, started in list(_at_work.items()):
                if started.ident not in running:
                    _at_work.pop(number, None)
    left = [started.run for started in _at_work.values()]
    _at_work.clear()  # the next test is not blamed for them
    return left


def _start_counted(run: Callable[..., object], args: tuple[object, ...]) -> int:
    number, started = next(_numbers), Started(repr(run))

    def work() -> None:
        try:
            run(*args)
        finally:
            _at_work.pop(number, None)

    _at_work[number] = started
    try:
        started.ident = _start_new_thread(work, ())
    except BaseException:
        _at_work.pop(number, None)
        raise
    return started.ident
