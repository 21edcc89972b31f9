"""The writer of a store that cannot append: every commit creates the next segment, complete; creation also fences.

Rules, each broken once by somebody: open creates a FENCE above everything and lists again · one create in flight ·
"exists" may be our own put, or a conflict in disguise: read the number before concluding that we are fenced · FENCEs
stay where numbers can be created again · the base is durable before anything is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from walogs.engine.reading import Extent, context_of
from walogs.engine.recovery import Examined, Mode, Verify, examine, is_kept, is_kept_fence
from walogs.engine.segments import ActiveSegment, CompletedSegment, scanned, superseded
from walogs.engine.writer import NEXT_MOVE, WriterState, uuid_bytes
from walogs.errors import EntryTooLarge, Exists, Fenced, Missing, NoSpace, Unavailable
from walogs.formats.segment_format import FrameHeader, Kind, SegmentHeader

if TYPE_CHECKING:
    from walogs.engine.source import Environment, Source

RETRY_SECONDS: Final = (0.01, 0.04, 0.16, 0.64)
"""Waits between tries of the same bytes at the same number."""
SETTLED_MAX: Final = 100


class ChainWriter(WriterState):
    """Writes one log whose store fences by creation. Every method is called under the log's mutex."""

    def __init__(self, source: Source, environment: Environment, examined: Examined | None) -> None:
        scan = examined.newest if examined is not None else None
        log_id = scan.header.log_id if scan is not None else uuid_bytes(environment.entropy)
        epoch = scan.header.epoch + 1 if scan is not None else 1
        next_lsn = scan.last_lsn + 1 if scan is not None else 1
        super().__init__(source, environment, log_id, epoch, next_lsn, source.store.capabilities.segment_bytes_max)
        self._sleep = environment.sleep
        self.active: ActiveSegment | None = None
        """There is no segment that is still being written."""
        self.completed: list[CompletedSegment] = []
        self._below_base: tuple[int, ...] = ()
        self._leftover: tuple[int, ...] = ()
        self._last_check = 0
        self._last_commit_ns = 0
        if examined is not None and scan is not None:
            self.base_lsn = examined.base_lsn
            self.completed = [*examined.completed, scanned(scan)]
            self._below_base = examined.below_base
            self._last_check = scan.last_check
            self._last_commit_ns = max(scan.last_commit_ns or 0, scan.header.created_ns)

    # Opening

    def fence(self) -> bool:
        """Create the FENCE of this open. False: somebody else is above it, or at its number; examine again."""
        header = self._next_header(fence=True)
        if not self._put(header, self._source.format.encode_header(header)):
            return False
        if self._source.store.segments()[-1] != header.number:
            return False
        self._advance(header, 0, 0, self._source.format.traits.header_bytes)
        return True

    def finish_checkpoint(self) -> None:
        """Remove what an interrupted checkpoint left below the base (G11)."""
        self._leftover = tuple(number for number in self._below_base if not is_kept_fence(self._source, number))
        self._source.store.remove(self._leftover)
        self.removed_segments, self._leftover = len(self._leftover), ()

    def _next_header(self, *, fence: bool = False, base: bool = False) -> SegmentHeader:
        last = self.completed[-1].header if self.completed else None
        number = last.number + 1 if last is not None else 1
        return self._header(number, last, self._last_check, not_before=self._last_commit_ns, fence=fence, base=base)

    def _put(self, header: SegmentHeader, data: bytes) -> bool:
        """True: the segment is there, with these bytes. False: another writer's is. `Unavailable`: unknown."""
        store, wait, under_way = self._source.store, iter(RETRY_SECONDS), False
        while True:
            failure: Exception
            try:
                store.create(header.number, data)
                return True
            except NoSpace as error:
                if not under_way:
                    raise
                failure = error  # of this try; an earlier one may still arrive
            except Unavailable as error:
                failure, under_way = error, True
            except Exists as error:
                failure = error
                try:
                    mine = store.read(header.number, 0, len(data)) == data  # the salt in it is ours alone
                except (Missing, Unavailable):
                    pass  # "exists" that is not there, or not to be seen: the same bytes again
                else:
                    return mine
            seconds = next(wait, None)
            if seconds is None:
                raise Unavailable(
                    f"{store.name} did not say whether it has {store.segment_name(header.number)}: {failure}"
                )
            self._sleep(seconds)

    def _advance(self, header: SegmentHeader, entries: int, check: int, size: int) -> None:
        """The segment is there: only now does it count."""
        time_ns = header.created_ns if entries else None
        last_lsn = header.first_lsn + entries - 1
        self.completed.append(CompletedSegment(header, last_lsn, size, size, 0, None, time_ns, time_ns))
        self._last_check = check
        self._last_commit_ns = header.created_ns
        self.next_lsn = last_lsn + 1
        self.durable_lsn = last_lsn

    # Committing

    def append(self, entries: list[bytes]) -> int:
        """Commit these entries as the next segment; the LSN of the first. Raises `NoSpace` or `EntryTooLarge`
        (nothing was written, the handle is as usable as before), `Fenced`, `Poisoned` or `Indefinite`."""
        self.refuse_if_poisoned()
        form, codec, store = self._source.format, self._source.codec, self._source.store
        header, offset, first_lsn, count = self._next_header(), form.traits.header_bytes, self.next_lsn, len(entries)
        body = form.body(entries)
        planned = FrameHeader(Kind.ENTRIES.value, 0, 0, first_lsn, header.created_ns, count, offset, offset, 0)
        stored = body if codec.identity else codec.encode(body, context_of(self._source, header, planned))
        frame, check = form.encode_entries(
            header.salt, offset, offset, first_lsn, count, header.created_ns, stored, codec
        )
        data, largest = form.encode_header(header) + frame, store.capabilities.segment_bytes_max
        if len(data) > largest:
            message = f"{len(data)} bytes are more than a segment of {store.name} can hold ({largest})"
            raise EntryTooLarge(f"{message}. Nothing was written.", size=len(data), max=largest)
        self._create(header, data, "this append", first_lsn + count - 1)
        self._advance(header, count, check, len(data))
        self._in_flight = False
        return first_lsn

    def _create(self, header: SegmentHeader, data: bytes, what: str, last_lsn: int) -> None:
        """On return the segment is there, and `_in_flight` until the caller has advanced."""
        first_lsn = header.first_lsn if last_lsn >= header.first_lsn else None
        self._in_flight = True
        try:
            created = self._put(header, data)
        except NoSpace:
            self._in_flight = False
            raise
        except BaseException as error:
            self._poisoned(error, what, first_lsn, last_lsn if first_lsn is not None else None)
        if not created:
            self._fenced(header)

    def _fenced(self, header: SegmentHeader) -> NoReturn:
        name = self._source.store.segment_name(header.number)
        message = (
            f"another writer has opened {self._source.store.name}: {name} is its. Nothing was written. {NEXT_MOVE}."
        )
        self._poison = Fenced(message)
        raise self._poison

    def sync(self) -> None:
        """Every commit is durable as soon as it is made."""
        self.refuse_if_poisoned()

    def rotate(self) -> None:
        """Every commit is a segment of its own: the active one is always empty."""
        self.refuse_if_poisoned()

    # Checkpointing

    def checkpoint(self, lsn: int) -> int:
        """Remove the segments that hold nothing after *lsn*, never the newest; how many went (G11)."""
        self.refuse_if_poisoned()
        count = superseded(self.completed[:-1], lsn)
        removable = tuple(s.header.number for s in self.completed[:count] if not is_kept(self._source, s.header))
        if any(s.last_lsn >= s.header.first_lsn for s in self.completed[:count]):
            before, self.base_lsn = self.base_lsn, self.completed[count].header.first_lsn
            header = self._next_header(base=True)
            try:
                self._create(header, self._source.format.encode_header(header), "this checkpoint", 0)
            except BaseException:
                self.base_lsn = before
                raise
            self._advance(header, 0, 0, self._source.format.traits.header_bytes)
            self._in_flight = False
            self._leftover += removable
            self.completed = self.completed[count:]
        else:
            removable = ()
        if self._leftover:
            self._source.store.remove(self._leftover)
            self._leftover = ()
        return len(removable)

    def close(self) -> None:
        """Nothing is pending, ever."""

    def active_extent(self) -> Extent | None:
        return None


def open_chain(
    source: Source, environment: Environment, verify: Verify, mode: Mode
) -> tuple[ChainWriter, Examined | None]:
    """Examine, judge, fence. Again when a checkpoint removes what it reads, or another writer comes between: then only
    what is new is read, so a writer that never pauses is overtaken."""
    examined: Examined | None = None
    for _ in range(SETTLED_MAX):
        try:
            examined = examine(source, verify, mode, examined)
            writer = ChainWriter(source, environment, examined)
            if writer.fence():
                writer.finish_checkpoint()
                return writer, examined
        except Missing:
            continue
    raise Unavailable(f"{source.store.name} never settled: other writers keep opening it. Nothing was handed out.")


__all__ = ["ChainWriter", "open_chain"]
