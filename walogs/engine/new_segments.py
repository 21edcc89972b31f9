"""Make new segments: their headers, the times in them, and how they come to be in the store.

Two parts of the engine make segments: the takeover (the first segment of a log, or a FENCE), and the writers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from walogs.engine.segments import ActiveSegment
from walogs.errors import NoSpace, SegmentExists, SegmentNotFound, Unavailable, WalError
from walogs.formats.segment_format import LARGEST, RunIndex, SegmentHeader
from walogs.foundation.foreign import error_text
from walogs.foundation.lazy import log_warning

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.engine.log_source import Environment, LogSource
    from walogs.protocols import AppendableStore, SegmentStore

WINDOW_FIRST: Final = 64 * 1024
"""Bytes of a new segment, with the zeros after its header."""
RESERVE: Final = 4096
"""Bytes of the window that entries leave free for CHECKPOINT frames, so that a full disk can be checkpointed (G9)."""
STEP_BACK_MAX_NS: Final = 3600 * 10**9
"""If a clock goes back by more than this, its earlier time was wrong, and the new time is used."""
RETRY_SECONDS: Final = (0.01, 0.04, 0.16, 0.64)
"""The waits between attempts to create the same immutable segment."""
STORE_RETRIED_SECONDS: Final = 5.0
"""If all attempts together took longer, the store is not asked once more: it tries again itself, until its deadline."""


class CommitClock:
    """Gives each commit a time that does not precede the time of the commit before it."""

    def __init__(self, log: str, environment: Environment) -> None:
        self._log = log
        self._environment = environment
        self._has_warned = False

    def time_after(self, before_ns: int) -> int:
        """Return the time now, or *before_ns* if the clock is a little behind that; Unix time in nanoseconds."""
        return self.correct(before_ns, self._environment.clock())

    def correct(self, before_ns: int, now_ns: int) -> int:
        """Return the time of a commit that follows one at *before_ns*, when the clock says *now_ns*.

        A clock that goes back by at most an hour repeats the earlier time until it has caught up. If it goes back by
        more, the earlier time was wrong: the new time is used, and a warning is logged once.
        """
        now_ns = min(max(now_ns, 0), LARGEST)
        if before_ns - STEP_BACK_MAX_NS <= now_ns <= before_ns:
            return before_ns
        if now_ns < before_ns and not self._has_warned:
            self._has_warned = True
            seconds = (before_ns - now_ns) // 10**9
            message = "%s: the clock was set back by %d seconds, and the times of commits with it"
            warn(self._environment.spawn, message, self._log, seconds)
        return now_ns


class SegmentHeaders:
    """Makes the headers of the segments that one writer creates."""

    def __init__(self, source: LogSource, environment: Environment, *, log_id: bytes, epoch: int) -> None:
        self._source = source
        self._entropy = environment.entropy
        self._writer_id = uuid_bytes(environment.entropy)
        self._writer_name = environment.writer_name()
        self._epoch = epoch
        self.log_id = log_id
        self.clock = CommitClock(source.store.name, environment)

    def make(
        self,
        number: int,
        previous: SegmentHeader | None,
        *,
        link: bytes,
        first_lsn: int,
        log_first_lsn: int,
        not_before_ns: int,
        is_fence: bool = False,
        is_checkpoint: bool = False,
    ) -> SegmentHeader:
        """Return the header of the segment that follows *previous* (None: it is the log's first).

        *link* is the link of the last frame before it. Its time does not precede *not_before_ns*. Raises `WalError` if
        the log has no further number or epoch.
        """
        if not (number < LARGEST and self._epoch < LARGEST):
            last = f"number {number - 1} in epoch {self._epoch}"
            raise WalError(f"{self._source.store.name} can have no segment after {last}. Nothing was written.")
        return SegmentHeader(
            number=number,
            first_lsn=first_lsn,
            log_first_lsn=log_first_lsn,
            epoch=self._epoch,
            log_id=self.log_id,
            writer_id=self._writer_id,
            salt=salt(self._entropy),
            previous_salt=previous.salt if previous is not None else 0,
            previous_link=link,
            created_ns=self.clock.time_after(not_before_ns),
            codec_name=self._source.codec.name,
            codec_parameters=self._source.codec_parameters,
            is_fence=is_fence,
            is_checkpoint=is_checkpoint,
            writer_name=self._writer_name,
        )


def create_with_window(store: AppendableStore, header: SegmentHeader, encoded: bytes, limit: int) -> ActiveSegment:
    """Create a segment durably, with its window, and return it as the segment to write to.

    *encoded* is the header in bytes. *limit* is the size in bytes at which segments are rotated. On a full disk the
    window is only the reserve. Raises `NoSpace` if there is no space for that either, and what `store.create` raises.
    """
    size = min(WINDOW_FIRST, max(limit, len(encoded)) + RESERVE)
    try:
        store.create(header.number, encoded + bytes(size - len(encoded)))
    except NoSpace:
        size = len(encoded) + RESERVE
        store.create(header.number, encoded + bytes(RESERVE))
    return ActiveSegment(
        header=header,
        end=len(encoded),
        size=size,
        synced=len(encoded),
        frames=0,
        entries=0,
        runs=RunIndex(),
        first_commit_ns=None,
        last_commit_ns=header.created_ns,
        link=header.previous_link,
        window=WINDOW_FIRST,
        is_continuable=True,
    )


def put_segment(store: SegmentStore, sleep: Callable[[float], None], number: int, data: bytes) -> bool:
    """Create an immutable segment. Return whether it is there with these bytes; False means that another writer's is.

    "Exists" can be the answer to an earlier attempt of this call, whose own answer was lost. The segment is therefore
    read back before it is taken for another writer's: the salt in its header tells whose it is. Raises `NoSpace` or
    `PermissionError` if nothing was written, and `Unavailable` if it remains unknown whether the segment is there.
    """
    wait, may_be_there, began = iter(RETRY_SECONDS), False, time.monotonic()
    while True:
        failure: Exception
        try:
            store.create(number, data)
            return True
        except (NoSpace, PermissionError) as error:
            if not may_be_there:
                raise
            failure = error  # this attempt wrote nothing; an earlier one may have, or may still arrive
        except Unavailable as error:
            failure, may_be_there = error, True
        except SegmentExists as error:
            failure, may_be_there = error, True
            try:
                return store.read(number, 0, len(data)) == data
            except SegmentNotFound:
                pass  # the store says that it exists, and does not show it: try to create it again
            except (NoSpace, PermissionError, Unavailable) as unread:
                failure = unread
        seconds = next(wait, None)
        has_retried = isinstance(failure, Unavailable) and time.monotonic() - began > STORE_RETRIED_SECONDS
        if seconds is None or has_retried:
            name, why = store.segment_name(number), error_text(failure)
            if isinstance(failure, SegmentExists):
                why += ". It does not give that segment. If it was removed, its number cannot be used again"
            raise Unavailable(f"{store.name} did not say whether it has {name}: {why}")
        sleep(seconds)


def complete_no_space(error: NoSpace, store: SegmentStore, number: int) -> None:
    """Add to a bare `NoSpace` of a store which segment was refused, and what to do next."""
    if error.filename is None:
        error.filename = f"{store.segment_name(number)} in {store.name}"
    if not getattr(error, "__notes__", ()):
        error.add_note("Nothing was changed in the log: free some space, and the same call works.")


def warn(spawn: Callable[[Callable[[], None]], object], message: str, *args: object) -> None:
    """Log a warning on a thread of its own.

    A logging handler may append to this log, or wait for a thread that waits for this log. It must not run while the
    calling thread holds the log's mutex.
    """

    def log() -> None:
        log_warning(message, *args)

    try:
        spawn(log)
    except (MemoryError, RuntimeError):  # no thread can be started
        log()


def uuid_bytes(entropy: Callable[[int], bytes]) -> bytes:
    """Return a random UUID (version 4, RFC 9562)."""
    raw = bytearray(entropy(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def salt(entropy: Callable[[int], bytes]) -> int:
    """Return a random 32-bit number that is not 0."""
    while True:
        value = int.from_bytes(entropy(4), "little")
        if value:
            return value
