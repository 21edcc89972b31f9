"""How long the commits of an immutable-segment store wait for more entries, if the sync policy says so.

Each commit of such a store is a request to a server, and requests cost money. A policy that delays the syncs of a local
log, such as `interval`, delays the commits here. An append still waits for its commit. So when it returns, its entry is
durable (G1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
        entries = sum(len(pending.entries) for pending in appends)
        size = sum(pending.size for pending in appends)
        if size >= self._body_bytes_max:
            return 0
        try:
            decision = self._decide(Unsynced(entries, size, appends[0].queued_ns))
        except Exception:  # a policy is foreign code, and the callers wait
            return 0
        return max(decision.deadline_ns - self.monotonic(), 0) if isinstance(decision, SyncDeadline) else 0
