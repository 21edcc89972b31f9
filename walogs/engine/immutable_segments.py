"""The writer of an immutable-segment store: each commit creates the next segment, complete.

Rules. Each has been broken by a log that lost entries:

1. An open creates a FENCE above all segments and lists the segments again (takeover.py). An earlier writer then finds
   its next number taken.
2. One create is in flight at a time.
3. "Exists" may be the answer to this writer's own put. The segment is read before the writer concludes that it is
   fenced.
4. FENCEs are kept if the store can create a removed number again.
5. The new first LSN is durable before a segment is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from walogs.engine.encoding import encode_body, store_body
from walogs.engine.new_segments import complete_no_space, put_segment
from walogs.engine.recovery import is_kept
from walogs.engine.segments import completed_by_creation, count_superseded
from walogs.engine.writer import NEXT_MOVE, WriterState
from walogs.errors import EntryTooLarge, Fenced, NoSpace, UnsafeStore
from walogs.types import WalStats

if TYPE_CHECKING:
    from typing import NoReturn

    from walogs.engine.extent_reader import Extent
    from walogs.engine.log_source import Environment, LogSource
    from walogs.engine.segments import ActiveSegment
    from walogs.engine.takeover import Takeover
    from walogs.formats.segment_format import SegmentHeader

REMOVED_AT_ONCE: Final = 100
"""A checkpoint asks a store to remove at most so many segments in one call. Stores delete in requests of up to 1,000
keys, and an append may wait for one such call."""


class ImmutableSegmentWriter(WriterState):
    """Writes one log of immutable segments. The caller of each method holds the log's mutex."""

    def __init__(self, source: LogSource, environment: Environment, takeover: Takeover[None]) -> None:
        super().__init__(source, environment, takeover, source.store.capabilities.segment_bytes_max)
        self._sleep = environment.sleep
        self.active: ActiveSegment | None = None
        """Always None: no segment is still being written."""
        self._leftover: tuple[int, ...] = ()
        self._commits = self._commit_bytes = self._commit_ns = self._slowest_ns = 0

    def _next_header(self, *, is_checkpoint: bool = False) -> SegmentHeader:
        """Return the header of the next segment."""
        newest = self.completed[-1]
        return self._headers.make(
            newest.header.number + 1,
            newest.header,
            link=newest.link,
            first_lsn=self.next_lsn,
            log_first_lsn=self.log_first_lsn,
            not_before_ns=newest.header.created_ns,
            is_checkpoint=is_checkpoint,
        )

    def _advance(self, header: SegmentHeader, *, entries: int, link: bytes, size: int) -> None:
        """Advance the state by a segment that has just been created."""
        created = completed_by_creation(header, entries=entries, size=size, link=link)
        self.completed.append(created)
        self.next_lsn = created.last_lsn + 1
        self.durable_lsn = created.last_lsn

    # Committing

    def write_commit(self, entries: list[bytes]) -> int:
        """Commit these entries as the next segment, and return the LSN of the first.

        Raises `NoSpace` or `EntryTooLarge` (nothing was written, and the handle stays usable), `Fenced`, `Poisoned` or
        `OutcomeUnknown`.
        """
        self.refuse_if_poisoned()
        self._refuse_beyond_lsns(self.next_lsn, len(entries))
        form, codec, store = self._source.format, self._source.codec, self._source.store
        header, offset, first_lsn, count = self._next_header(), form.traits.header_bytes, self.next_lsn, len(entries)
        previous_link = header.previous_link
        stored = store_body(
            self._source,
            header,
            encode_body(form, codec, entries),
            offset=offset,
            synced=offset,
            link=previous_link,
            first_lsn=first_lsn,
            count=count,
            time_ns=header.created_ns,
        )
        frame, link = form.encode_entries(
            header.salt, offset, offset, previous_link, first_lsn, count, header.created_ns, stored, codec
        )
        data, largest = form.encode_header(header, codec) + frame, store.capabilities.segment_bytes_max
        if len(data) > largest:
            message = f"{len(data)} bytes are more than a segment of {store.name} can hold ({largest})"
            raise EntryTooLarge(f"{message}. Nothing was written.", size=len(data), max=largest)
        began_ns = self._monotonic()
        self._create(header, data, "this append", first_lsn + count - 1)
        self._advance(header, entries=count, link=link, size=len(data))
        self._in_flight = False
        self._count_commit(len(data), self._monotonic() - began_ns)
        return first_lsn

    def _count_commit(self, size: int, duration_ns: int) -> None:
        self._commits += 1
        self._commit_bytes += size
        self._commit_ns += duration_ns
        self._slowest_ns = max(self._slowest_ns, duration_ns)

    def stats(self) -> WalStats:
        """Return what this writer has committed since it was made."""
        return WalStats(
            commits=self._commits,
            entries=self.next_lsn - self._first_own_lsn,
            bytes=self._commit_bytes,
            seconds=self._commit_ns / 1e9,
            slowest_seconds=self._slowest_ns / 1e9,
        )

    def _create(self, header: SegmentHeader, data: bytes, what: str, last_lsn: int) -> None:
        """Create the segment. `_in_flight` stays set, and the caller clears it after it has advanced the state."""
        first_lsn = header.first_lsn if last_lsn >= header.first_lsn else None
        self._in_flight = True
        try:
            created = put_segment(self._source.store, self._sleep, header.number, data)
        except (NoSpace, PermissionError) as error:
            self._in_flight = False
            if isinstance(error, NoSpace):
                complete_no_space(error, self._source.store, header.number)
            raise
        except BaseException as error:
            self._raise_outcome_unknown(error, what, first_lsn, last_lsn if first_lsn is not None else None)
        if not created:
            self._raise_fenced(header)

    def _raise_fenced(self, header: SegmentHeader) -> NoReturn:
        """Poison the log and raise `Fenced`: the segment that this writer wanted to create is another writer's."""
        name = self._source.store.segment_name(header.number)
        what = f"another writer has opened {self._source.store.name} and has created {name}"
        message = f"{what}. Nothing was written. {NEXT_MOVE}."
        self._poison = Fenced(message)
        raise self._poison

    def sync(self) -> None:
        """Do nothing more: each commit is durable as soon as it is made."""
        self.refuse_if_poisoned()

    def rotate(self) -> None:
        """Do nothing more: each commit is a segment of its own."""
        self.refuse_if_poisoned()

    # Checkpointing

    def checkpoint(self, lsn: int) -> int:
        """Give up the segments that hold nothing after *lsn*, and return how many (G11). The newest is never removed.

        The new first LSN is durable on return. If `has_leftovers` is then true, not all of them are removed yet.
        """
        self.refuse_if_poisoned()
        count = count_superseded(self.completed[:-1], lsn)
        removable = tuple(s.header.number for s in self.completed[:count] if not is_kept(self._source, s.header))
        if any(s.last_lsn >= s.header.first_lsn for s in self.completed[:count]):
            before, self.log_first_lsn = self.log_first_lsn, self.completed[count].header.first_lsn
            header = self._next_header(is_checkpoint=True)
            try:
                self._create(
                    header, self._source.format.encode_header(header, self._source.codec), "this checkpoint", 0
                )
            except BaseException:
                self.log_first_lsn = before
                raise
            self._advance(header, entries=0, link=header.previous_link, size=self._source.format.traits.header_bytes)
            self._in_flight = False
            self._leftover += removable
            self.completed = self.completed[count:]
        else:
            removable = ()
        self.remove_leftovers()
        return len(removable)

    @property
    def has_leftovers(self) -> bool:
        """Whether segments below the first LSN still have to be removed."""
        return bool(self._leftover)

    def remove_leftovers(self) -> None:
        """Remove at most REMOVED_AT_ONCE of the segments that a checkpoint has given up.

        There can be many, and appends wait during this call. So the caller lets go of the mutex between two calls.
        """
        self.refuse_if_poisoned()
        if self._leftover:
            try:
                self._source.store.remove(self._leftover[:REMOVED_AT_ONCE])
            except UnsafeStore as error:
                self._poison = error
                raise self.refusal() from error
            self._leftover = self._leftover[REMOVED_AT_ONCE:]

    def close(self) -> None:
        """Do nothing: no entry is ever pending."""

    def active_extent(self, _: int | None = None) -> Extent | None:
        """Return None: no segment is still being written."""
        return None
