"""The threads that walogs has started in this process, and the wait for their end.

A thread that outlives its test can log a warning while another test reads the log messages, and that test then fails.
`threading.enumerate()` does not know these threads, because walogs starts them without `threading`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from walogs.engine import log_source

SECONDS: Final = 120
"""A thread that has not ended after this long waits for something that does not come."""

_start_new_thread = log_source.start_new_thread
_at_work: Final[dict[object, str]] = {}


def count_them() -> None:
    """Count the threads that walogs starts from now on."""
    log_source.start_new_thread = _start_counted  # type: ignore[assignment]


def left_after_waiting() -> list[str]:
    """Wait until all have ended, and return what those do that have not ended after `SECONDS`."""
    until = time.monotonic() + SECONDS
    while _at_work and time.monotonic() < until:
        time.sleep(0.001)
    left = list(_at_work.values())
    _at_work.clear()  # the next test is not blamed for them
    return left


def _start_counted(run: Callable[[], None], args: tuple[()]) -> int:
    thread = object()

    def work() -> None:
        try:
            run(*args)
        finally:
            _at_work.pop(thread, None)

    _at_work[thread] = repr(run)
    try:
        return _start_new_thread(work, ())
    except BaseException:
        _at_work.pop(thread, None)
        raise
