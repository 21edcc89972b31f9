"""Follow a log beside its writer: observe it, return what is new, and look cheaply whether there may be more.

Some stores tell a follower that a segment has changed. An entry is then written, but perhaps not durable yet: the sync
and the durable mark come after that, and nobody tells of them. So the follower looks again soon while bytes follow the
end up to which it can read. When there are none, it waits for the next change.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from walogs.engine.extent_reader import ExtentReader
from walogs.engine.observation import TRANSIENT_ERRORS
from walogs.engine.readable_segments import is_there
from walogs.engine.whole_segments import read_ahead
from walogs.errors import SegmentNotFound
from walogs.formats.segment_format import StopReason
from walogs.protocols import WaitingStore, is_appendable, segments_after

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from walogs.engine.log_source import LogSource
    from walogs.engine.log_view import LogView
    from walogs.engine.observation import ReadableEnd, Visibility
    from walogs.protocols import AppendableStore

PULSE_BYTES: Final = 64
"""A look reads at most this many bytes after the end, to see whether something was appended."""
SOON_SECONDS: Final = 0.0002
"""How soon a follower looks for the first time whether a commit is durable."""
SHARE: Final = 8
"""Then it waits for the time since the commit was first seen, divided by this, and looks again."""
WATCHED_SECONDS: Final = 1.0
"""How often a follower that is told of changes looks without having been told of one."""
MISSED_MAX: Final = 3
"""After this many changes in a row that the store did not tell of, a follower no longer relies on it. The log may be on
a network file system."""


class ChangeWatch(Protocol):
    """What `WatchedStore.watch` returns. A watch that has become garbage has ended."""

    is_live: bool
    """False: no change is told any more."""

    def end(self) -> None:
        """Tell of no further change. A second call does nothing."""
        ...


@runtime_checkable
class WatchedStore(Protocol):
    """An appendable store that tells when a segment may have changed. The local store does."""

    def watch(self, changed: Callable[[], object]) -> ChangeWatch | None:
        """Have *changed* called after each change from now on, by any thread. Return None if the store cannot.

        Nothing is told of the durable mark. A change that is not told is found later.
        """
        ...


class ReaderFollowing:
    """What one `follow` of a reader has returned, and whether there may be more.

    Call `new_entries` and iterate to its end. Then wait until `may_have_more`, or until the store says that it has a
    segment after `newest`, and call `new_entries` again.
    """

    def __init__(self, source: LogSource, view: LogView, visibility: Visibility, lsn: int) -> None:
        self._source = source
        self._view = view
        self._visibility: Visibility = visibility
        self._cuts = view.cuts
        self._is_begun = False
        self._pulse: object = None
        self._observed = view.readable
        """The end up to which entries were returned. The view's own end is beyond it if reading them needed another
        observation."""
        self.lsn = lsn
        """The LSN of the next entry."""

    @property
    def newest(self) -> int:
        """The number of the newest segment up to which entries were returned."""
        return self._observed.newest.number

    @property
    def waiting_store(self) -> WaitingStore | None:
        """The store, if it can wait for its next segment itself."""
        store = self._source.store
        return store if isinstance(store, WaitingStore) else None

    def new_entries(self) -> Iterator[tuple[int, bytes]]:
        """Observe the log, and iterate over the entries that have come since the last observation. Raise what
        `WalReader.iter` and its iterator raise."""
        view, cuts = self._view, self._cuts
        # Taken first, so that whatever comes after the observation changes it.
        self._pulse = None if self.waiting_store is not None else self._take_pulse()
        if self._is_begun and (yield from self._next_segments()):
            return
        view.look()
        self._observed = view.readable
        end = self._observed.last_lsn + 1
        view.refuse_cut_since(cuts)
        if self.lsn < end or not self._is_begun:
            view.refuse_checkpointed(self.lsn)
            for entries in view.read_with_retry(ExtentReader.entries, self.lsn, end, cuts=cuts, to_end=True):
                yield from self._numbered(entries)
            self._is_begun = True

    def _next_segments(self) -> Generator[tuple[int, bytes], None, bool]:
        """Yield the entries of immutable segments that have come after the newest one, each fetched once.

        Return whether this was all that is new. Otherwise, only an observation can tell how the log goes on.
        """
        store, view = self._source.store, self._view
        if is_appendable(store):
            return False
        try:
            numbers = segments_after(store, self.newest)
        except TRANSIENT_ERRORS:
            return False
        source = read_ahead(self._source, numbers)
        for number in numbers:
            view.refuse_cut_since(self._cuts)
            entries = view.read_next(source, number, self.lsn)
            if entries is None:
                return False
            self._observed = view.readable
            yield from self._numbered(entries)
        return len(numbers) > 0

    def _numbered(self, entries: list[bytes]) -> Iterator[tuple[int, bytes]]:
        """Return (LSN, entry) of the next entries, and count them as returned."""
        first_lsn, self.lsn = self.lsn, self.lsn + len(entries)
        return enumerate(entries, first_lsn)

    def may_have_more(self) -> bool:
        """Return whether something has changed since the last observation. This is cheaper than an observation."""
        return self._take_pulse() != self._pulse

    def watch(self, changed: Callable[[], object]) -> ChangeWatch | None:
        """Have *changed* called when there may be more. Return None if the store does not tell."""
        store = self._source.store
        return store.watch(changed) if isinstance(store, WatchedStore) else None

    def is_under_way(self) -> bool:
        """Return whether something was written after the end up to which the log was read."""
        store, readable = self._source.store, self._observed
        try:
            return any(store.read(readable.newest.number, readable.end, readable.end + PULSE_BYTES))
        except (SegmentNotFound, OSError):
            return True

    def _take_pulse(self) -> object:
        """Return something that changes when there is more to read."""
        store, readable = self._source.store, self._observed
        try:
            if not is_appendable(store):
                return segments_after(store, readable.newest.number)
            durable_mark = store.read_durable_mark() if self._visibility == "durable" else None
            return durable_mark or self._next_frame(store, readable)
        except (SegmentNotFound, OSError):
            return object()  # differs from every pulse, so that the log is observed

    def _next_frame(self, store: AppendableStore, readable: ReadableEnd) -> object:
        """Return the first and the last bytes of the frame after the end, and whether a newer segment is there.

        A large frame can be half written: then its last bytes still change. And a writer that was killed, or whose disk
        is full, leaves a segment without a SEAL, so that only its successor tells that it was completed.
        """
        number, start = readable.newest.number, readable.end
        head = store.read(number, start, start + PULSE_BYTES)
        header = self._source.format.header_at(head, 0, start, readable.newest.salt)
        if isinstance(header, StopReason):
            tail = b""
        else:
            end = self._source.format.frame_end(header)
            tail = store.read(number, max(end - PULSE_BYTES, start), end)
        return head, tail, is_there(store, number + 1)


class Looks:
    """When one `follow` looks whether there may be more."""

    def __init__(self, following: ReaderFollowing, poll: float, changed: Callable[[], object]) -> None:
        self._following = following
        self._poll = poll
        self._changed = changed
        self._watch: ChangeWatch | None = None
        self._has_begun = False
        self._has_ended = False
        self._missed = 0
        self._since: float | None = None
        """When it was first seen that a commit is under way, on the monotonic clock. None: none is."""
        self.seconds = poll
        """How long to wait for a change before the next look."""
        self.polls = 0.0
        """For how many times *poll* the follower has waited since the last observation."""

    def begin(self) -> bool:
        """Begin to wait, after an observation that has found nothing new. Return whether there may be more already."""
        if not self._has_begun:
            self._has_begun = True
            self._watch = self._following.watch(self._changed)
            if self._has_ended:
                self.end()
        self.seconds = self._poll
        # What has come since the observation may have been told already.
        is_more = self._watch is not None and self.may_have_more(is_told=True)
        self.polls = 0.0
        return is_more

    def may_have_more(self, *, is_told: bool) -> bool:
        """Look once, when `seconds` are over or a change was told. Return whether there may be more."""
        watch, is_expected = self._watch, is_told or self._since is not None
        self.polls += 1.0 if is_told else max(self.seconds / self._poll, 1.0)
        may_have_more = self._following.may_have_more()
        if watch is None or not watch.is_live:
            self.seconds = self._poll
        elif may_have_more:
            self._missed = 0 if is_expected else self._missed + 1
            self._since = None
            if self._missed == MISSED_MAX:
                self.end()
        elif is_expected and self._following.is_under_way():
            now = monotonic()
            self._since = now if self._since is None else self._since
            self.seconds = min(max((now - self._since) / SHARE, SOON_SECONDS), self._poll)
        else:
            self._since = None
            self.seconds = max(self._poll, WATCHED_SECONDS)
        return may_have_more

    def stop(self) -> None:
        """Wake the follower, because the reader was closed. Any thread may call this."""
        self.end()
        self._changed()

    def end(self) -> None:
        """End the watch. Any thread may call this, also in the middle of `begin`."""
        self._has_begun = self._has_ended = True
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.end()
