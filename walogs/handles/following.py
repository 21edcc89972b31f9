"""Follow a log beside its writer: observe it, return what is new, and look cheaply whether there may be more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from walogs.engine.extent_reader import ExtentReader
from walogs.errors import SegmentNotFound
from walogs.protocols import WaitingStore, is_appendable, segments_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.log_source import LogSource
    from walogs.engine.log_view import LogView
    from walogs.engine.observation import Visibility

PULSE_BYTES: Final = 64
"""A look reads at most this many bytes after the end, to see whether something was appended."""


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
        self.lsn = lsn
        """The LSN of the next entry."""
        self.newest = 0
        """The number of the newest segment that was observed."""

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
        view.look()
        end = view.readable.last_lsn + 1
        self.newest = view.readable.newest.number  # what is read below may observe the log once more
        view.refuse_cut_since(cuts)
        if self.lsn < end or not self._is_begun:
            view.refuse_checkpointed(self.lsn)
            for entries in view.read_with_retry(ExtentReader.entries, self.lsn, end, cuts=cuts, to_end=True):
                first_lsn, self.lsn = self.lsn, self.lsn + len(entries)
                yield from enumerate(entries, first_lsn)
            self._is_begun = True

    def may_have_more(self) -> bool:
        """Return whether something has changed since the last observation. This is cheaper than an observation."""
        return self._take_pulse() != self._pulse

    def _take_pulse(self) -> object:
        """Return something that changes when there is more to read."""
        store, readable = self._source.store, self._view.readable
        try:
            if not is_appendable(store):
                return segments_after(store, readable.newest.number)
            durable_mark = store.read_durable_mark() if self._visibility == "durable" else None
            return durable_mark or store.read(readable.newest.number, readable.end, readable.end + PULSE_BYTES)
        except (SegmentNotFound, OSError):
            return object()  # differs from every pulse, so that the log is observed
