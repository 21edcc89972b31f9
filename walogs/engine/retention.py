"""Retention: give up the oldest segments of a log when it becomes larger, or they become older, than its owner wants.

`lsn_beyond` decides. It is also what `walogs checkpoint --keep-size` and `--keep-time` ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from walogs.engine.new_segments import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from walogs.engine.appendable import AppendableWriter
    from walogs.engine.immutable_segments import ImmutableSegmentWriter
    from walogs.engine.log_source import Environment

    Writer: TypeAlias = AppendableWriter | ImmutableSegmentWriter

COMMITS_BETWEEN: Final = 100
"""A writer of immutable segments looks at the bounds after so many commits. A checkpoint removes as many at once."""


class SizedSegment(Protocol):
    """What is asked of a completed segment. `CompletedSegment` and `SegmentSummary` have it."""

    @property
    def last_lsn(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def last_commit_ns(self) -> int | None: ...


def lsn_beyond(
    completed: Iterable[SizedSegment],
    active_bytes: int,
    now_ns: int,
    *,
    size: int | None,
    age_ns: int | None,
    at_most: int | None = None,
) -> int:
    """Return the LSN up to which a log is beyond its bounds. 0: it is within them.

    *completed* are the completed segments, oldest first; the segment after them has *active_bytes*, and always stays. A
    segment is beyond the bounds if it and all that follows have more than *size* bytes, or if its last commit is more
    than *age_ns* nanoseconds before *now_ns*. Whether a segment without entries is, the next one decides. The first
    segment that is within the bounds keeps all after it. *at_most* is the highest LSN that may be given up; None: any.
    """
    segments = list(completed)
    left = sum(segment.size for segment in segments) + active_bytes
    lsn = 0
    for segment in segments:
        is_old = age_ns is not None and (segment.last_commit_ns is None or segment.last_commit_ns < now_ns - age_ns)
        if not is_old and (size is None or left <= size):
            break
        left -= segment.size
        lsn = segment.last_lsn
    return lsn if at_most is None else min(lsn, at_most)


class RetainingWriter:
    """A writer that gives up what is beyond the bounds, after it has begun a segment. It is called as any writer is.

    It does so when the commit is made, so that nothing that fails here fails an append. What it could not remove is
    left to the next time. A checkpoint of the writer gives the entries up, so all that holds of checkpoints holds here
    (G11).
    """

    def __init__(
        self,
        writer: Writer,
        log: str,
        environment: Environment,
        *,
        size: int | None,
        age_ns: int | None,
        at_most: Callable[[], int | None],
    ) -> None:
        """*size* is in bytes, *age_ns* in nanoseconds; None sets no bound. *log* names the log in warnings. *at_most*
        returns the highest LSN that may be given up now, or None if every one may."""
        self._writer = writer
        self._log = log
        self._now_ns = environment.clock
        self._spawn = environment.spawn
        self._size = size
        self._age_ns = age_ns
        self._at_most = at_most
        self._newest = writer.active.header.number if writer.active is not None else 0
        self._commits_left = 1
        """How many commits a writer of immutable segments still makes before the bounds are looked at."""
        self._has_failed = False
        """Whether the last checkpoint has raised. The next one is made even if nothing more is beyond the bounds."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def write_commit(self, entries: list[bytes]) -> int:
        """Commit these entries, and return the LSN of the first. Raises what any writer raises."""
        first_lsn = self._writer.write_commit(entries)
        self._commits_left -= 1
        if self._has_new_segments():
            self._give_up()
        elif self._writer.has_leftovers and not self._has_failed:
            self._attempt(self._writer.remove_leftovers)
        return first_lsn

    def rotate(self) -> None:
        """Begin the next segment. In a store of immutable segments, only look at the bounds."""
        self._writer.rotate()
        self._commits_left = 0
        if self._has_new_segments():
            self._give_up()

    def _has_new_segments(self) -> bool:
        """Return whether to look at the bounds: after each rotation, or after many immutable segments.

        A checkpoint of immutable segments costs two requests, and looking at n segments takes n steps. So both happen
        once in COMMITS_BETWEEN commits, or in a sixteenth of the segments if that is more.
        """
        active = self._writer.active
        if active is not None:
            is_new, self._newest = active.header.number != self._newest, active.header.number
            return is_new
        if self._commits_left > 0:
            return False
        self._commits_left = max(COMMITS_BETWEEN, len(self._writer.completed) // 16)
        return True

    def _give_up(self) -> None:
        """Make a checkpoint of what is beyond the bounds. A failure is logged, and never raised."""
        writer = self._writer
        completed, active = writer.completed, writer.active
        if active is None:
            completed, active_bytes = completed[:-1], completed[-1].size
        else:
            active_bytes = active.size
        lsn = lsn_beyond(completed, active_bytes, self._now_ns(), size=self._size, age_ns=self._age_ns)
        if lsn >= writer.log_first_lsn or self._has_failed:
            has_failed = self._has_failed
            self._attempt(lambda: self._checkpoint(lsn, has_failed=has_failed))

    def _checkpoint(self, lsn: int, *, has_failed: bool) -> None:
        """Make a checkpoint up to this LSN, as far as nobody still needs the entries. Raise what `at_most` raises.

        If the last one has failed, this one also removes what that one has left.
        """
        at_most = self._at_most()
        lsn = lsn if at_most is None else min(lsn, at_most)
        if lsn >= self._writer.log_first_lsn or has_failed:
            self._writer.checkpoint(lsn)

    def _attempt(self, remove: Callable[[], object]) -> None:
        """Call *remove*. Log a warning if it raises, unless it raised the last time too."""
        had_failed, self._has_failed = self._has_failed, True  # an interrupt counts as a failure too
        try:
            remove()
        except Exception as error:
            if self._writer.is_poisoned:
                self._writer.note_unreported_failure()
            if not had_failed:
                what = "%s: what is beyond its retention was not removed; this is tried again later: %r"
                warn(self._spawn, what, self._log, error)
        else:
            self._has_failed = False
