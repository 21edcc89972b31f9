"""Samples of a log that is in use: what `walogs top` shows, without any screen.

**The law of this file.** A sample costs what is new, and not what is there. It reads the frames that were written since
the sample before, once or twice; a fixed number of bytes at the end of the log; the list of segments; and the cursors.
Sizes and headers of completed segments are remembered. A sampler takes no lock and changes nothing.

**Rates.** Each sample adds a point: how many entries, commits and bytes there were until then. A rate is the difference
of two points, divided by the seconds between them. No rate spans a gap: after a pause, an error, a cut or a change of
the log, the points begin anew.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from walogs.defaults.local_store import LocalStore
from walogs.engine.extent_finder import ExtentFinder
from walogs.engine.extent_reader import Extent, ExtentReader
from walogs.engine.observation import TRANSIENT_ERRORS, look_with_retry, observe_once
from walogs.engine.whole_segments import read_ahead
from walogs.errors import Corrupt, LogNotFound, UnsupportedFormat, WalError
from walogs.formats.segment_format import Places
from walogs.foundation.foreign import error_text
from walogs.handles.cursor import read_value
from walogs.inspection.cursors import owner_of, shortcoming
from walogs.inspection.owner import Owner, find_owner, signed
from walogs.protocols import is_appendable, segments_after, sizes_of
from walogs.protocols.cursor_store import CursorStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import ReadableEnd
    from walogs.formats.segment_format import SegmentHeader

RATE_SECONDS: Final = 5.0
"""A rate is over so many seconds, or over fewer if the points began later."""
HISTORY_SECONDS: Final = 60.0
"""Points are kept for so long."""
SEGMENTS_SHOWN: Final = 10
"""A sample names this many of the newest segments."""
AGE_EVERY_SECONDS: Final = 10.0
"""The age of an entry from before the first sample is read from the log. It is read at most this often for a cursor
that moves."""


class Point(NamedTuple):
    """How far the log was at one moment."""

    at: float
    """Seconds of a clock that never goes back."""
    last_lsn: int
    commits: int
    """The commits since the points began."""
    bytes: int
    """The bytes of these commits, as they are stored."""
    first_commit_ns: int | None = None
    """When the first commit since the point before was made: Unix time in nanoseconds. None: there was none."""


class Rates(NamedTuple):
    """What was written in a second, as the mean of the last RATE_SECONDS."""

    entries: float
    commits: float
    bytes: float
    entries_per_commit: float | None
    """None: there was no commit."""


class SegmentSample(NamedTuple):
    """One of the newest segments."""

    name: str
    size: int
    """Bytes, with the room that is reserved for more."""
    created_ns: int
    """Unix time in nanoseconds."""


class CursorSample(NamedTuple):
    """One cursor. A fact is None or "" if it is not known."""

    name: str
    position: int | None
    lag_entries: int | None
    lag_seconds: float | None
    """How long ago the first entry after the position was committed. It may be too much by the time between two
    samples, or by AGE_EVERY_SECONDS if that entry is older than the first sample. It is 0 if there is no such entry."""
    is_locked: bool | None
    owner: str
    """The process id, the host and the time at which it took the cursor."""
    problem: str = ""
    """Why its consumer cannot continue."""


class Notice(NamedTuple):
    """Something that happened to the log while it was watched."""

    at_ns: int
    """When it was noticed: Unix time in nanoseconds."""
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look at the log has found. If there is a problem, the other facts are those of the last good look."""

    name: str
    taken_ns: int
    """Unix time in nanoseconds."""
    first_lsn: int | None = None
    last_lsn: int | None = None
    """first_lsn - 1 if the log holds no entry."""
    writer: Owner | None = None
    rates: Rates | None = None
    """None: there are no two samples to compare."""
    history: tuple[float, ...] = ()
    """Entries a second between each two samples of the last minute, the latest last."""
    segments: int = 0
    size: int = 0
    """Bytes of all segments."""
    newest: tuple[SegmentSample, ...] = ()
    """The newest segments, the newest first."""
    cursors: tuple[CursorSample, ...] | None = None
    """None: the store keeps no cursors, or they are not known."""
    problem: str = ""
    """Why the log cannot be read now. Empty: it can."""
    is_damaged: bool = False
    """Whether the problem is damage, or a format that this release does not read."""
    notice: Notice | None = None
    """The last thing that happened to the log."""

    @property
    def entries(self) -> int | None:
        """How many entries the log holds."""
        return None if self.first_lsn is None or self.last_lsn is None else self.last_lsn - self.first_lsn + 1

    def as_json(self) -> dict[str, Any]:
        """Return the facts, by the names that scripts use."""
        return {
            **asdict(self),
            "entries": self.entries,
            "writer": None if self.writer is None else self.writer.as_json(),
            "rates": None if self.rates is None else self.rates._asdict(),
            "newest": [segment._asdict() for segment in self.newest],
            "cursors": None if self.cursors is None else [cursor._asdict() for cursor in self.cursors],
            "notice": None if self.notice is None else self.notice._asdict(),
        }


class Sampler:
    """Takes samples of one log. Only one thread at a time may use it."""

    def __init__(
        self,
        name: str,
        source: LogSource,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """*monotonic* returns seconds, and never goes back. *clock* returns Unix time in nanoseconds."""
        self._source = source
        self._monotonic, self._clock = monotonic, clock
        self._watch: Watch | None = None
        self._log_id: bytes | None = None
        """The log that was there at the last good look."""
        self._last = Sample(name=name, taken_ns=clock())

    def take(self) -> Sample:
        """Look at the log, and return what is found. An error of the log or of the system is the sample's problem."""
        now_ns = self._clock()
        try:
            sample = self._take(now_ns)
        except (WalError, OSError) as error:
            self._watch = None
            sample = replace(
                self._last,
                taken_ns=now_ns,
                rates=None,
                history=(),
                problem=problem_of(error),
                is_damaged=isinstance(error, (Corrupt, UnsupportedFormat)),
            )
        self._last = sample
        return sample

    def begin_anew(self) -> None:
        """Count from the next sample on. The caller has not looked for a while."""
        self._watch = None

    def _take(self, now_ns: int) -> Sample:
        before = self._last
        if self._watch is None:
            self._watch = Watch(self._source, self._monotonic())
        else:
            self._watch.look(self._monotonic())
        watch = self._watch
        happened = watch.pop_news(before)
        log_id = watch.readable.newest.log_id
        if self._log_id not in (None, log_id):
            happened = "another log is in its place now"
        self._log_id = log_id
        newest, sizes = watch.newest_segments(), watch.sizes()
        return Sample(
            name=before.name,
            taken_ns=now_ns,
            first_lsn=watch.readable.log_first_lsn,
            last_lsn=watch.last_lsn,
            writer=watch.writer(),
            rates=rates_of(watch.points),
            history=tuple(history_of(watch.points)),
            segments=len(sizes),
            size=sum(sizes.values()),
            newest=tuple(
                SegmentSample(self._source.store.segment_name(one.number), sizes.get(one.number, 0), one.created_ns)
                for one in newest
            ),
            cursors=watch.cursors(now_ns),
            notice=Notice(now_ns, happened) if happened else before.notice,
        )


def problem_of(error: WalError | OSError) -> str:
    """Return in one line why the log cannot be read."""
    if isinstance(error, LogNotFound):
        return "no log is there now"
    if isinstance(error, Corrupt):
        return f"damaged: {getattr(error, 'damage', None) or error_text(error)}".partition("\n")[0].rstrip(".")
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return error_text(error).partition("\n")[0].rstrip(".")


def rates_of(points: Sequence[Point]) -> Rates | None:
    """Return the rates of the last RATE_SECONDS. None if no two points are at different times."""
    if len(points) < 2:
        return None
    last = points[-1]
    first = next(point for point in points if point.at >= last.at - RATE_SECONDS)
    if first is last:
        first = points[-2]
    seconds = last.at - first.at
    if seconds <= 0:
        return None
    entries, commits = last.last_lsn - first.last_lsn, last.commits - first.commits
    return Rates(
        entries=entries / seconds,
        commits=commits / seconds,
        bytes=(last.bytes - first.bytes) / seconds,
        entries_per_commit=entries / commits if commits else None,
    )


def history_of(points: Iterable[Point]) -> Iterator[float]:
    """Yield the entries a second between each point and the next."""
    for before, after in pairwise(points):
        if after.at > before.at:
            yield (after.last_lsn - before.last_lsn) / (after.at - before.at)


class Growth(NamedTuple):
    """What was appended between two observations."""

    commits: int
    bytes: int
    first_commit_ns: int | None
    cut_lsn: int | None = None
    """The last entry that is left of those that were known, if some of them were cut."""
    is_whole: bool = True
    """Whether everything that was appended was still there to be counted."""


NOTHING_NEW: Final = Growth(commits=0, bytes=0, first_commit_ns=None)


class Watch:
    """What is known of a log that could be read at each look so far."""

    def __init__(self, source: LogSource, at: float) -> None:
        """Observe the log at the moment *at*. Raises what `observe_once` raises, if it raises it twice."""
        self._source = source
        self.readable: ReadableEnd = look_with_retry(
            source, lambda is_doubted: observe_once(source, "written", None, from_start=is_doubted)
        )
        self.points: deque[Point] = deque()
        self._finder = ExtentFinder(source)
        self._reader = ExtentReader(source, lambda: self.readable.log_first_lsn)
        self._sizes: dict[int, int] = {}
        self._headers: dict[int, SegmentHeader] = {}
        self._ages: dict[str, Age] = {}
        self._writer: tuple[object, Owner] | None = None
        self._cut_lsn: int | None = None
        self._begin(at)

    @property
    def last_lsn(self) -> int:
        return max(self.readable.last_lsn, self.readable.log_first_lsn - 1)

    def look(self, at: float) -> None:
        """Observe the log again at the moment *at*, and count what is new. Raises what `observe_once` raises."""
        known = self.readable
        if not self._may_have_changed():
            self._add(self.points[-1]._replace(at=at, last_lsn=self.last_lsn, first_commit_ns=None))
            return
        self.readable, grown = look_with_retry(self._source, lambda is_doubted: self._observe(known, is_doubted))
        self._finder.add_place(self.readable)
        is_other = self.readable.newest.log_id != known.newest.log_id
        if is_other or grown.cut_lsn is not None:
            self._finder = ExtentFinder(self._source)
            self._sizes.clear()
            self._headers.clear()
            self._ages.clear()
            self._cut_lsn = grown.cut_lsn
        if is_other or grown.cut_lsn is not None or not grown.is_whole:
            self._begin(at)
            return
        before = self.points[-1]
        self._add(
            Point(
                at=at,
                last_lsn=self.last_lsn,
                commits=before.commits + grown.commits,
                bytes=before.bytes + grown.bytes,
                first_commit_ns=grown.first_commit_ns,
            )
        )

    def pop_news(self, before: Sample) -> str:
        """Return what happened to the log since the sample *before*, or "". A cut is returned only once."""
        cut_lsn, self._cut_lsn = self._cut_lsn, None
        first_lsn = self.readable.log_first_lsn
        if cut_lsn is not None:
            return f"rewound: the entries after {cut_lsn} were cut"
        if before.last_lsn is not None and self.last_lsn < before.last_lsn:
            return f"rewound: the entries after {self.last_lsn} were cut"
        if before.problem:
            return "the log can be read again"
        if before.first_lsn is not None and first_lsn > before.first_lsn:
            return f"checkpointed: the log begins at entry {first_lsn} now"
        return ""

    def _begin(self, at: float) -> None:
        self.points.clear()
        self.points.append(Point(at=at, last_lsn=self.last_lsn, commits=0, bytes=0))

    def _add(self, point: Point) -> None:
        self.points.append(point)
        while self.points[0].at < point.at - HISTORY_SECONDS:
            self.points.popleft()

    # Observing

    def _may_have_changed(self) -> bool:
        """Return False if the newest segment is the same, and of a kind that never changes."""
        store, newest = self._source.store, self.readable.newest.number
        return is_appendable(store) or tuple(segments_after(store, newest - 1)) != (newest,)

    def _observe(self, known: ReadableEnd, is_doubted: bool) -> tuple[ReadableEnd, Growth]:
        readable = observe_once(self._source, "written", known, from_start=is_doubted)
        return readable, self._count(known, readable)

    def _count(self, known: ReadableEnd, readable: ReadableEnd) -> Growth:
        """Return what was appended between two observations. Raises TRANSIENT_ERRORS."""
        if readable.newest.log_id != known.newest.log_id:
            return NOTHING_NEW
        if readable.newest.number < known.newest.number or readable.last_lsn < known.last_lsn:
            return NOTHING_NEW._replace(cut_lsn=readable.last_lsn)
        start, stop = known.last_lsn + 1, readable.last_lsn + 1
        if start < readable.log_first_lsn or known.newest.number < readable.numbers.start:
            return NOTHING_NEW._replace(is_whole=False)
        source = read_ahead(self._source, range(known.newest.number, readable.newest.number + 1))
        headers = [known.newest, *map(source.header, range(known.newest.number + 1, readable.newest.number + 1))]
        if len(headers) > 1 and headers[1].first_lsn < start:
            return NOTHING_NEW._replace(cut_lsn=headers[1].first_lsn - 1)
        commits, size, first_ns = 0, 0, None
        reader = self._reader.over(source)
        for extent in self._new_extents(source, known, readable, headers):
            for commit, frame_bytes in reader.commit_sizes(extent, start, stop):
                commits, size = commits + 1, size + frame_bytes
                first_ns = commit.time_ns if first_ns is None else first_ns
        self._headers.update((header.number, header) for header in headers)
        return Growth(commits=commits, bytes=size, first_commit_ns=first_ns)

    def _new_extents(
        self, source: LogSource, known: ReadableEnd, readable: ReadableEnd, headers: Sequence[SegmentHeader]
    ) -> Iterator[Extent]:
        """Yield the segments with new entries. The first of them is read from where it was known to end."""
        for at, header in enumerate(headers):
            places = None
            if header.number == known.newest.number:
                places = Places()
                places.add_place(known.end, known.last_lsn + 1)
            if header.number == readable.newest.number:
                last_lsn, end, link = readable.last_lsn, readable.end, readable.link
            else:
                last_lsn, link = headers[at + 1].first_lsn - 1, headers[at + 1].previous_link
                end = source.store.size(header.number)
            if last_lsn >= max(header.first_lsn, known.last_lsn + 1):
                yield Extent(header=header, last_lsn=last_lsn, end=end, seal_end=0, places=places, link=link)

    # Segments and the writer

    def sizes(self) -> dict[int, int]:
        """Return the bytes of each segment that can be read, by its number. Those of completed ones are remembered.

        A writer still changes the newest segment, and the one before it until that is sealed.
        """
        numbers = self.readable.numbers
        new = [number for number in numbers if number not in self._sizes]
        found = sizes_of(self._source.store, new) if new else {}
        settled = numbers if not is_appendable(self._source.store) else numbers[:-2]
        sizes = {number: self._sizes[number] for number in numbers if number in self._sizes} | found
        self._sizes = {number: sizes[number] for number in settled if number in sizes}
        return dict(sorted(sizes.items()))

    def newest_segments(self) -> list[SegmentHeader]:
        """Return the headers of the newest segments, the newest first. A header is read once."""
        newest = self.readable.newest
        shown = self.readable.numbers[-SEGMENTS_SHOWN:]
        kept = {number: header for number, header in self._headers.items() if number in shown} | {newest.number: newest}
        for number in shown:
            if number not in kept:
                with suppress(*TRANSIENT_ERRORS):  # it was removed, or is damaged; reading it will tell
                    kept[number] = self._source.header(number)
        self._headers = kept
        return [kept[number] for number in sorted(kept, reverse=True)]

    def writer(self) -> Owner:
        """Return who opened the log last. In a store without a lock, this reads only if the epoch is another."""
        newest, store = self.readable.newest, self._source.store
        if isinstance(store, LocalStore):
            name, since_ns, is_open = signed(store)
            return Owner(
                name=name,
                since_ns=since_ns,
                epoch=newest.epoch,
                segment=store.segment_name(newest.number),
                segment_ns=newest.created_ns,
                is_open=is_open,
            )
        key = newest.log_id, newest.epoch, newest.writer_id
        if self._writer is None or self._writer[0] != key:
            self._writer = key, find_owner(self._source)
        return replace(self._writer[1], segment=store.segment_name(newest.number), segment_ns=newest.created_ns)

    # Cursors

    def cursors(self, now_ns: int) -> tuple[CursorSample, ...] | None:
        """Return each cursor, by name, or None if the store keeps none. Raises `OSError`."""
        store = self._source.store
        if not isinstance(store, CursorStore):
            return None
        names = store.cursors()
        self._ages = {name: age for name, age in self._ages.items() if name in names}
        found = (self._cursor(name, now_ns) for name in names)
        return tuple(cursor for cursor in found if cursor is not None)

    def _cursor(self, name: str, now_ns: int) -> CursorSample | None:
        """Return one cursor, or None if it was removed meanwhile."""
        is_locked, owner = owner_of(self._source, name)
        unknown = CursorSample(
            name=name, position=None, lag_entries=None, lag_seconds=None, is_locked=is_locked, owner=owner
        )
        try:
            value = read_value(self._source, name, self.readable.newest.log_id)
        except (Corrupt, UnsupportedFormat) as error:
            why = getattr(error, "damage", None) or error_text(error)
            return unknown._replace(problem=why.partition("\n")[0])
        if value is None:
            return None
        position = value.lsn
        problem = ""
        if position > self.last_lsn:  # its consumer may have read on since the log was observed
            problem = shortcoming(self._now(), position)
        elif position + 1 < self.readable.log_first_lsn:
            problem = shortcoming(self.readable, position)
        if problem:
            return unknown._replace(position=position, problem=problem)
        lag = max(self.last_lsn - position, 0)
        since_ns = self._since(name, position) if lag else None
        seconds = max(now_ns - since_ns, 0) / 1e9 if since_ns is not None else None if lag else 0.0
        return unknown._replace(position=position, lag_entries=lag, lag_seconds=seconds)

    def _now(self) -> ReadableEnd:
        """Return how far the log can be read now. The samples do not go on from there."""
        known = self.readable
        return look_with_retry(
            self._source, lambda is_doubted: observe_once(self._source, "written", known, from_start=is_doubted)
        )

    def _since(self, name: str, position: int) -> int | None:
        """Return when the entry after *position* was committed: Unix time in nanoseconds. None if it is not known."""
        if position >= self.points[0].last_lsn:
            point = next(point for point in self.points if point.last_lsn > position)
            if point.first_commit_ns is not None:
                return point.first_commit_ns
        known, at = self._ages.get(name), self.points[-1].at
        if known is not None and (known.position == position or at - known.at < AGE_EVERY_SECONDS):
            return known.since_ns
        since_ns = None
        with suppress(WalError, OSError):  # a checkpoint has removed it; the next sample says so
            for source, extent in self._finder.extents(self.readable, position + 1, position + 2, to_end=False):
                since_ns = self._reader.over(source).place_of(extent, position + 1)[1]
        self._ages[name] = Age(position, since_ns, at)
        return since_ns


class Age(NamedTuple):
    """When the entry after a cursor's position was committed, as it was read from the log at one moment."""

    position: int
    since_ns: int | None
    at: float
