"""Turns: one thread at a time uses the writer of a log.

The rules are numbered in `walogs/engine/commit.py`.

Only this file takes the mutex (rule 1). `_holder` names the thread that uses the writer, from the first statement under
the mutex to the last. A signal handler or a destructor in between is refused, so it never waits for its own thread.

A thread commits its own entries here, without the queue, if callers do not use the queue at present and none of the
thread's appends are in it (rule 4).
"""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from walogs.engine.shared_commits import closed_error
from walogs.errors import Reentered
from walogs.foundation.turns import TurnLock
from walogs.foundation.wakeups import release_all

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import NoReturn

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.commit_queue import CommitQueue
    from walogs.engine.immutable_segments import ImmutableSegmentWriter
    from walogs.engine.shared_commits import SharedCommits
    from walogs.foundation.wakeups import Wakeable

P = ParamSpec("P")
T = TypeVar("T")


class WriterTurns:
    """Give each use of one log's writer its turn. Nothing uses the writer except through this object."""

    def __init__(
        self,
        *,
        name: str,
        writer: AppendableWriter | ImmutableSegmentWriter,
        queue: CommitQueue,
        shared: SharedCommits,
        followers: deque[Wakeable],
    ) -> None:
        self._name = name
        self._writer = writer
        self._queue = queue
        self._shared = shared
        self._followers = followers
        self._mutex = TurnLock()
        self._holder = 0
        """The identifier of the thread that uses the writer, or 0."""
        self._has_next = False
        """A caller waits for the mutex, to commit directly. An interrupt may leave this set; the next direct commit
        clears it."""
        self.is_closed = False
        """Whether verbs are refused. The writer may still be in use."""

    def run_if_open(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *verb* while no other thread uses the writer.

        Raise `Closed`, or `Reentered` within this thread's own call.
        """

        def when_open() -> T:
            if self.is_closed:
                self._raise_refusal()
            return verb(*args, **kwargs)

        if self.is_closed:  # then there is nothing to wait for
            self._raise_refusal()
        return self.run(when_open)

    def run(self, verb: Callable[[], T]) -> T:
        """Run *verb* under the mutex, as the thread that uses the writer. Do so even if the log is closed.

        Between setting `_holder` and its `try` there is no call. An interrupt that arrives at a call there would leave
        `_holder` set for ever. `commit_directly` has these lines once more, because calling *verb* would cost each
        append time. A test holds the two together.
        """
        me = get_ident()
        with self._mutex:
            if self._holder:
                self._raise_refusal()
            self._holder = me
            try:
                return verb()
            finally:
                try:
                    if self._followers and self._writer.is_poisoned:
                        release_all(self._followers)
                finally:
                    self._holder = 0

    def commit_directly(self, entries: list[bytes]) -> int:
        """Commit these entries in one frame, and return the LSN of the first one.

        Return 0 if the caller has to use the queue: because other callers use it, because the queue has appends of
        this thread, or because another caller already waits for the writer.
        """
        me = get_ident()
        queue = self._queue
        appends = queue.appends
        if queue.is_contended or (appends and queue.has_appends_of(me)) or (self._holder and not self._try_next(me)):
            return 0
        with self._mutex:
            if self._holder or self.is_closed:
                self._raise_refusal()
            self._holder = me
            try:
                self._has_next = False
                if appends and queue.has_appends_of(me):
                    return 0
                if queue.committing is not None:
                    self._shared.settle(None)
                return self._writer.write_commit(entries)
            finally:
                try:
                    if self._followers:
                        release_all(self._followers)
                finally:
                    self._holder = 0

    def _try_next(self, me: int) -> bool:
        """Register this thread as the next one that uses the writer. Return False if it shall use the queue instead.

        It waits for the writer if no other caller does. With two callers, handing over to the commit thread gains
        nothing and costs two context switches for each append.
        """
        if self._writer.shares_commits:
            if self._has_next or self._holder == me:
                return False
            self._has_next = True
        return True

    # Refusals

    def is_poisoned(self) -> bool:
        """Return whether the log is poisoned, as far as that is known without waiting for the writer."""
        return self._writer.is_poisoned and not self._holder

    def refuse_if_closed(self) -> None:
        """Raise `Closed` if the log is closed."""
        if self.is_closed:
            self._raise_refusal()

    def refuse_within_turn(self) -> None:
        """Raise an error if this thread is in the middle of a turn: it would wait for itself."""
        if self._holder == get_ident():
            self._raise_refusal()

    def _raise_refusal(self) -> NoReturn:
        if self.is_closed:
            raise closed_error(self._name)
        raise Reentered(f"{self._name} was called in the middle of this thread's own call to it: nothing was done")
