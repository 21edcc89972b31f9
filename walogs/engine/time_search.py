"""Find the entry at which a time begins.

A segment's header has the time of its creation. Times of commits and of creations do not fall, unless a clock was set
back by more than an hour. So a binary search over headers finds the newest segment that was created before a time.
Everything before that segment is older, and everything after it is not. A binary search over the LSNs of that segment
then leaves few commits, which are looked at one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from walogs.types import Commit


def created_before(segments: Sequence[int], created_ns: Callable[[int], int], time_ns: int) -> int:
    """Return the position of the newest of *segments* that was created before *time_ns*, or -1 if none was.

    *created_ns* returns when a segment was created. It is called for about log2 of the segments.
    """
    return bisect_left(segments, time_ns, key=created_ns) - 1


ONE_BY_ONE: Final = 256
"""So few entries are looked at one by one. Fewer bytes than a run cannot be read, so halving them gains nothing."""


def first_commit_since(
    commits: Callable[[int, int], Iterator[Commit]],
    time_ns: int,
    first_lsn: int,
    after: int,
    next_lsn: int,
    *,
    is_indexed: bool = True,
) -> int:
    """Return the first LSN of the first commit in [first_lsn, next_lsn) that was made at *time_ns* or later.

    Return *next_lsn* if there is none. *commits* returns the commits with an entry of [start, stop). Those before
    *after* are in one segment and are searched first, by halves if the segment *is_indexed*, so that reading one commit
    of it reads one run. Then only the next commit is looked at, because it is late enough unless a clock was set back.
    The three parts keep a store from reading or fetching ahead what is not needed.
    """
    if is_indexed:
        first_lsn, after = halve(commits, time_ns, first_lsn, after)
    for start, stop in ((first_lsn, after), (after, min(after + 1, next_lsn)), (after + 1, next_lsn)):
        if start < stop:
            for commit in commits(start, stop):
                if commit.time_ns >= time_ns:
                    return commit.first_lsn
    return next_lsn


def halve(commits: Callable[[int, int], Iterator[Commit]], time_ns: int, first_lsn: int, after: int) -> tuple[int, int]:
    """Return the part of [first_lsn, after) that a binary search leaves, with at most ONE_BY_ONE entries.

    The commit before this part is older than *time_ns*, and the one after it is not, as far as they are in the range.
    """
    while after - first_lsn > ONE_BY_ONE:
        middle = (first_lsn + after) // 2
        (commit,) = commits(middle, middle + 1)
        if commit.time_ns < time_ns:
            first_lsn = commit.last_lsn + 1
        else:
            after = max(commit.first_lsn, first_lsn)
    return first_lsn, after
