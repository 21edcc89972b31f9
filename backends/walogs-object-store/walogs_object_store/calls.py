"""Send a request again after a failure, until the deadline is over or the store is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from obstore import exceptions as obstore_errors

from walogs.plugins import Attempts
from walogs_object_store.failures import TAKEN, final_error, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.plugins import Closings

T = TypeVar("T")

FIRST_PAUSE_SECONDS: Final = 0.05
PAUSE_SECONDS_MAX: Final = 2.0


class Calls:
    """The requests of one call of the store, or of one writer from `acquire` to `close`.

    When the store is closed, all of them end with `Closed`: no request is sent again, and none follows. A request that
    is under way ends with its answer, or by the time that one attempt may take.
    """

    def __init__(self, name: str, deadline: float, closings: Closings) -> None:
        """*deadline* is in seconds, for each request with all its attempts."""
        self._name = name
        self._deadline = deadline
        self._closings = closings
        self._closed_before = closings.count

    def ask(self, request: Callable[[], T], *, may_change: bool = False) -> T:
        """Return what *request* returns. Call it again after a failure of the server or the network.

        *may_change* says that an attempt without an answer may have changed something.

        Raises the errors of ABSENT and TAKEN as they are. Raises `PermissionError`, `FileNotFoundError` for a bucket
        that is not there, and `UnsafeStore` for what no later attempt changes. Raises `Unavailable` when the deadline
        is over, or if an earlier attempt may have changed something. Raises `Closed` when the store is closed.
        """
        attempts = Attempts(
            self._name,
            deadline=self._deadline,
            first_pause=FIRST_PAUSE_SECONDS,
            longest_pause=PAUSE_SECONDS_MAX,
            pause=self.pause,
            may_change=may_change,
        )
        self._closings.refuse_since(self._closed_before)
        while True:
            try:
                return request()
            except TAKEN:
                raise
            except (obstore_errors.BaseError, OSError) as error:
                final = final_error(self._name, error)
                if final is error:
                    raise
                attempts.raise_or_pause(error, shorten(error), final)

    def pause(self, seconds: float) -> None:
        """Wait for so many seconds. Raises `Closed` as soon as the store is closed."""
        self._closings.pause(seconds, self._closed_before)
