"""Send a request to a server again after a failure, until its deadline is over."""

from __future__ import annotations

import random
import time
from _thread import start_new_thread
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from walogs.errors import Unavailable
from walogs.foundation.lazy import log_warning

if TYPE_CHECKING:
    from collections.abc import Callable

WARN_SECONDS: Final = 5.0
"""A request that has failed for so long is told in a warning, because a caller may wait for it much longer."""


class Attempts:
    """The attempts of one request. Call `raise_or_pause` after each that failed, and then send the request again.

    An attempt without an answer may have arrived. So once a request that changes something has failed, no later
    answer shows that nothing was changed. `raise_or_pause` then raises `Unavailable` instead of that answer.
    """

    def __init__(
        self,
        name: str,
        *,
        deadline: float,
        first_pause: float,
        longest_pause: float,
        pause: Callable[[float], None],
        may_change: bool = False,
    ) -> None:
        """*name* is that of the store, for messages. The times are in seconds, and *deadline* begins now.

        *pause* waits for so many seconds between two attempts, and raises `Closed` if the store is closed. It gets
        *first_pause* at first, later more and more up to *longest_pause*, each less a random part.

        *may_change* says that an attempt without an answer may have changed something.
        """
        self._name = name
        self._deadline = deadline
        self._pause = pause
        self._next_pause = first_pause
        self._longest_pause = longest_pause
        self._may_change = may_change
        self._may_have_changed = False
        self._began = time.monotonic()
        self._is_told = False

    def seconds_left(self) -> float:
        """Return how many seconds are left until the deadline. Below 0 if it is over."""
        return self._began + self._deadline - time.monotonic()

    def raise_or_pause(self, error: BaseException, why: str, final: BaseException | None) -> None:
        """Return after a pause if the request can be sent again.

        *error* is what the attempt raised, and *why* says so in one line. *final* is what to raise because no later
        attempt would end differently, None if one may. Raises *final*, or `Unavailable` when the deadline is over, or
        when an earlier attempt may have changed something. Raises what *pause* raises.
        """
        if final is not None and not self._may_have_changed:
            raise final from error
        if final is not None:
            raise Unavailable(f"{self._name}: an earlier attempt had no answer, and now: {why}") from error
        if self._next_pause > self.seconds_left():
            raise Unavailable(f"{self._name} did not answer within {self._deadline:g} seconds: {why}") from error
        self._may_have_changed = self._may_change
        self._warn_once(why)
        self._pause(self._next_pause * random.uniform(0.5, 1.0))
        self._next_pause = min(2 * self._next_pause, self._longest_pause)

    def _warn_once(self, why: str) -> None:
        """Log a warning if the request has failed for a while.

        It is logged on a thread of its own: a logging handler may use the log that waits for this request.
        """
        seconds = self._deadline - self.seconds_left()
        if seconds < WARN_SECONDS or self._is_told:
            return
        self._is_told = True
        message = "%s has not answered for %.0f seconds, and is asked again until %g seconds are over: %s"
        with suppress(RuntimeError):  # no thread can be started
            start_new_thread(log_warning, (message, self._name, seconds, self._deadline, why))
