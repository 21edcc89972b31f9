"""What one reader knows of a log: how far it can be read, and the highest entry that the reader has returned.

A view notices when returned entries are cut off, and it holds the rule for reading beside a writer: an error counts
only if it comes twice (`read_with_retry`).
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from walogs.engine.extent_finder import ExtentFinder, newest_extent
from walogs.engine.extent_reader import ExtentReader
from walogs.engine.observation import (
    OBSERVATIONS_MAX,
    TRANSIENT_ERRORS,
    beginning_of,
    damage_fingerprint,
    look_with_retry,
    never_settled,
    observe,
    observe_next,
    observe_once,
)
from walogs.engine.returned_entries import LastReturned, find_last_kept, move_back, with_returned
from walogs.engine.time_search import first_commit_since
from walogs.errors import Checkpointed, Closed, LogRewound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from walogs.engine.extent_reader import Extent
    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import ReadableEnd, Visibility
    from walogs.formats.segment_format import SegmentHeader
    from walogs.types import Commit

T = TypeVar("T")


class LogView:
    """One reader's view of a log. Only one thread at a time may use it, but any thread may close it."""

    def __init__(self, source: LogSource, visibility: Visibility) -> None:
        """Observe the log. Raises what `observe` raises."""
        self._source = source
        self._visibility: Visibility = visibility
        self.closed = False
        self.cuts = 0
        """How often this view has found that entries it had returned before were cut."""
        self._last_cut = "", 0
        self._returned: tuple[LastReturned, ...] = ()
        """The highest entries that were returned, one for each of the last segments, in order."""
        self._forget()
        self.readable = observe(source, visibility)

    def refuse_closed(self) -> None:
        if self.closed:
            raise Closed(f"this reader of {self._source.store.name} was closed: make another")

    def refuse_cut_since(self, cuts: int) -> None:
        """Raise `LogRewound` if a cut was found since `cuts` had this value."""
        if self.cuts != cuts:
            raise LogRewound(self._last_cut[0], end_lsn=self._last_cut[1])

    def refuse_checkpointed(self, lsn: int) -> None:
        log_first_lsn = self.readable.log_first_lsn
        if lsn < log_first_lsn:
            message = f"entry {lsn} was checkpointed: {self._source.store.name} begins at {log_first_lsn}"
            raise Checkpointed(message, lsn=lsn, first_lsn=log_first_lsn)

    def range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        """Return [start, stop) as far as it could be read when the log was last observed. None means an end of the log.

        Raise `Checkpointed` if *start* is below the first LSN.
        """
        first = self.readable.log_first_lsn if start is None else start
        self.refuse_checkpointed(first)
        next_lsn = self.readable.last_lsn + 1
        return first, next_lsn if stop is None else min(stop, next_lsn)

    # Reading

    def read_with_retry(
        self,
        read: Callable[[ExtentReader, Extent, int, int], Iterator[tuple[int, int, T]]],
        lsn: int,
        end: int,
        *,
        cuts: int,
        to_end: bool,
    ) -> Iterator[T]:
        """Yield what *read* finds in each extent of [lsn, end).

        *read* is a method of `ExtentReader`, and yields (first LSN, LSN after the last, item). If reading fails, the
        log is observed again, and the reading goes on from the same LSN. The error is raised only if the same error
        comes again; then it is damage, and not a writer at work. *cuts* is what `cuts` was when the iteration began.
        With *to_end*, the caller wants everything that can be read, so the bytes after the last entry must be intact.
        """
        doubt: object = None
        failures, is_done, last = 0, lsn > end or (lsn == end and not to_end), max(lsn, end - 1)
        while not is_done:
            try:
                for source, extent in self._finder.extents(self.readable, min(lsn, last), end, to_end=to_end):
                    beginning = self._beginning(source, extent.header)
                    for first_lsn, next_lsn, item in read(self._reader.over(source), extent, lsn, end):
                        self.refuse_closed()
                        self.refuse_cut_since(cuts)
                        self._refuse_gap(extent, lsn, first_lsn)
                        lsn, doubt, failures = next_lsn, None, 0
                        self._remember(LastReturned(min(next_lsn, end) - 1, extent.header, beginning))
                        yield item
                    if self._beginning(source, extent.header) != beginning:
                        raise self._source.corrupt("it begins with another frame now", extent.header.number)
                if lsn < end:
                    raise self._source.corrupt("there were more entries when this iteration began", None, None, lsn)
                is_done = True
            except TRANSIENT_ERRORS as suspicion:
                failures += 1
                if damage_fingerprint(suspicion) == doubt:
                    raise
                if failures > OBSERVATIONS_MAX:
                    raise never_settled(self._source) from suspicion
                doubt = damage_fingerprint(suspicion)
                self.look(is_doubted=True)
                self.refuse_cut_since(cuts)
                if lsn < end:
                    self.refuse_checkpointed(lsn)
                    if self.readable.last_lsn < lsn:
                        raise self._record_cut(self.readable.last_lsn, end - 1) from None

    def read_next(self, source: LogSource, number: int, lsn: int) -> list[bytes] | None:
        """Return the entries from *lsn* on of an immutable segment, the one after the newest, and observe it as the
        newest one now.

        The segment is read through *source*, and nothing else is. It was made after the last frame that was observed,
        so that frame, and all that this view has returned, is still there or checkpointed. Return None, with nothing
        changed, if the segment cannot be read now, if it was made after another frame, or if an entry below it was
        asked for: only an observation of the log can tell more then.
        """
        self.refuse_closed()
        if lsn <= self.readable.last_lsn:
            return None
        try:
            readable = observe_next(source, self.readable, number)
            if readable is None:
                return None
            extent = newest_extent(readable, None, is_walked_out=True)
            runs = self._reader.over(source).entries(extent, lsn, readable.last_lsn + 1)
            entries = [*chain.from_iterable(found for _, _, found in runs)]
        except TRANSIENT_ERRORS:
            return None
        self.readable = readable
        if entries:
            self._remember(LastReturned(readable.last_lsn, readable.newest, readable.beginning))
        return entries

    def entries(self, lsn: int, end: int, *, cuts: int, to_end: bool) -> Iterator[tuple[int, bytes]]:
        """Return an iterator over (LSN, data) of [lsn, end). The other arguments are those of `read_with_retry`."""
        return chain.from_iterable(self._numbered_entries(lsn, end, cuts=cuts, to_end=to_end))

    def _numbered_entries(self, lsn: int, end: int, *, cuts: int, to_end: bool) -> Iterator[enumerate[bytes]]:
        for entries in self.read_with_retry(ExtentReader.entries, lsn, end, cuts=cuts, to_end=to_end):
            yield enumerate(entries, lsn)
            lsn += len(entries)

    def commits(self, lsn: int, end: int, *, cuts: int, to_end: bool) -> Iterator[Commit]:
        """Return an iterator over the commits with an entry of [lsn, end). The other arguments are as for `entries`."""
        return chain.from_iterable(self.read_with_retry(ExtentReader.commits, lsn, end, cuts=cuts, to_end=to_end))

    def lsn_at(self, time_ns: int) -> int:
        """Return the LSN of the first entry that can be read and was committed at *time_ns* or later.

        Return the LSN after the last entry if there is none. *time_ns* is Unix time in nanoseconds. The log must have
        been observed just before. If a checkpoint removes what is being searched, what is left is searched again.
        """
        cuts = self.cuts
        for _ in range(OBSERVATIONS_MAX):
            first_lsn = self.readable.log_first_lsn
            try:
                start, after = self._lsns_at(time_ns)
                return first_commit_since(
                    lambda lsn, end: self.commits(lsn, end, cuts=cuts, to_end=False),
                    time_ns,
                    start,
                    after,
                    self.readable.last_lsn + 1,
                    is_indexed=after <= self.readable.newest.first_lsn,
                )
            except Checkpointed:
                self.look()
                if self.readable.log_first_lsn == first_lsn:
                    raise
        raise never_settled(self._source)

    def _lsns_at(self, time_ns: int) -> tuple[int, int]:
        """Return what `ExtentFinder.lsns_at` returns. If a header cannot be read, the log is observed again."""

        def search(is_doubted: bool) -> tuple[int, int]:
            if is_doubted:
                self.look(is_doubted=True)
            return self._finder.lsns_at(self.readable, time_ns)

        return look_with_retry(self._source, search)

    def _refuse_gap(self, extent: Extent, lsn: int, first_lsn: int) -> None:
        """Raise `Corrupt` unless the entries from *lsn* on in this extent follow those that were returned before."""
        number, begins = extent.header.number, extent.header.first_lsn
        if first_lsn > lsn:
            why = f"entry {first_lsn} comes where {lsn} belongs"
            raise self._source.corrupt(why, number, None, lsn)
        last = self._returned[-1] if self._returned else None
        if last is not None and last.lsn == lsn - 1 and last.segment.number < number and begins < lsn:
            why = f"it begins at entry {begins}, and segment {last.segment.number} holds entry {last.lsn}"
            raise self._source.corrupt(why, number, 0, begins)

    def _beginning(self, source: LogSource, segment: SegmentHeader) -> bytes:
        """Return `beginning_of` this segment. Raise `Corrupt` if it was another when an entry of it was returned."""
        found = beginning_of(source, segment)
        if self._returned and self._returned[-1].segment == segment and self._returned[-1].beginning != found:
            raise self._source.corrupt("it begins with another frame now", segment.number)
        return found

    def _remember(self, returned: LastReturned) -> None:
        self._returned = with_returned(self._returned, returned)

    # Observing

    def look(self, *, is_doubted: bool = False) -> None:
        """Observe how far the log can be read. Raise `LogRewound` if entries are gone that were returned before.

        With *is_doubted*, rely on nothing that an earlier observation found.
        """
        self.refuse_closed()
        if is_doubted:
            self._forget()
        last_lsn = self._returned[-1].lsn if self._returned else 0
        readable, kept, kept_lsn = look_with_retry(
            self._source, lambda doubted: self._look_once(from_start=doubted or is_doubted)
        )
        if kept_lsn < last_lsn:
            readable, kept, kept_lsn = self._look_until_certain(last_lsn, kept_lsn)
        # A cut is recorded before what was returned is forgotten: an interrupt in between does not hide it.
        cut = self._record_cut(kept_lsn, last_lsn) if kept_lsn < last_lsn else None
        self.readable, self._returned = readable, kept
        if cut is not None:
            raise cut
        self._finder.add_place(readable)

    def _look_until_certain(self, last_lsn: int, kept_lsn: int) -> tuple[ReadableEnd, tuple[LastReturned, ...], int]:
        """Return what `_look_once` returns, when two observations find a cut after the same entry, or one finds no cut.

        Entries up to *last_lsn* were returned before. Damage that comes in the middle of an observation looks like a
        cut. Later observations raise `Corrupt` for it, until somebody has cut it off.
        """
        for _ in range(OBSERVATIONS_MAX):
            before = kept_lsn
            found = look_with_retry(self._source, lambda _: self._look_once(from_start=True))
            kept_lsn = found[2]
            if kept_lsn in (before, last_lsn):
                return found
        raise never_settled(self._source)

    def _look_once(self, *, from_start: bool) -> tuple[ReadableEnd, tuple[LastReturned, ...], int]:
        """Observe once. Return (how far the log can be read, what was returned and is still there, the last LSN of
        that)."""
        readable = observe_once(self._source, self._visibility, self.readable, from_start=from_start)
        returned = self._returned
        if not returned:
            return readable, (), 0
        kept_lsn = find_last_kept(self._source, readable, returned)
        if kept_lsn < returned[-1].lsn:
            returned = move_back(self._source, readable, kept_lsn, returned)
        return readable, returned, kept_lsn

    def _record_cut(self, end_lsn: int, last_lsn: int) -> LogRewound:
        """Return the error for a cut of entries up to *last_lsn*. Every iteration that began earlier ends with it."""
        self.cuts += 1
        self._forget()
        message = f"{self._source.store.name} was cut after entry {end_lsn}; this reader had seen entry {last_lsn}"
        self._last_cut = f"{message}. Undo what later entries caused, and read on from {end_lsn + 1}.", end_lsn
        return LogRewound(self._last_cut[0], end_lsn=end_lsn)

    def _forget(self) -> None:
        """Forget what is known of segments. It is remembered only to save time."""
        self._finder = ExtentFinder(self._source)
        self._reader = ExtentReader(self._source, lambda: self.readable.log_first_lsn)
