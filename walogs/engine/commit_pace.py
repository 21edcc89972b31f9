"""How long the commits of an immutable-segment store wait for more entries, if the sync policy says so.

Each commit of such a store is a request to a server, and requests cost money. A policy that delays the syncs of a local
log, such as `interval`, delays the commits here. An append still waits for its commit. So when it returns, its entry is
durable (G1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from walogs.engine.pending_append import PENDING_APPEND_BYTES
from walogs.protocols import SyncDeadline, Unsynced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from walogs.engine.pending_append import PendingAppend
    from walogs.protocols import SyncPolicy


class CommitPace:
    """Ask the policy when queued appends are to be committed."""

    def __init__(self, policy: SyncPolicy, body_bytes_max: int, monotonic: Callable[[], int]) -> None:
        self._decide = policy.decide
        self._body_bytes_max = body_bytes_max
        self.monotonic = monotonic

    def wait_ns(self, appends: Sequence[PendingAppend]) -> int:
        """Return how long the commit of these queued appends waits from now on, in nanoseconds. 0 means that it is due.

        It is due if the appends fill a frame, or if the policy says `sync` or `leave`, or raises an exception: there is
        no other moment at which the callers would be answered.
        """
        first, last = appends[0], appends[-1]
        entries = last.entry_position - first.entry_position + len(first.entries)
        size = last.position - first.position + first.queued_bytes - len(appends) * PENDING_APPEND_BYTES
        if size >= self._body_bytes_max:
            return 0
        try:
            decision = self._decide(Unsynced(entries, size, first.queued_ns))
        except Exception:  # a policy is foreign code, and the callers wait
            return 0
        return max(decision.deadline_ns - self.monotonic(), 0) if isinstance(decision, SyncDeadline) else 0
