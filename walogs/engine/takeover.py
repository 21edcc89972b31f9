"""Take a log over: make what recovery found durable, repair the end, and let the log be written to.

`open_appendable` and `open_immutable` both do the same three steps, each with a value as its result:

1. `examine` (recovery.py) observes and judges, and changes nothing. Its result is a `RecoveredLog`, or None for no log.
2. The takeover makes all changes. Its result is a `Takeover`.
3. The caller builds a writer from the `Takeover`. A writer's constructor stores values and does nothing else.

If the log changes between the first step and the second, both are done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from walogs.engine.frame_reader import FrameReader
from walogs.engine.new_segments import (
    RESERVE,
    WINDOW_FIRST,
    SegmentHeaders,
    complete_no_space,
    create_with_window,
    put_segment,
    uuid_bytes,
)
from walogs.engine.recovery import examine
from walogs.engine.segments import ActiveSegment, completed_by_creation, completed_by_scan
from walogs.errors import NoSpace, SegmentNotFound, Unavailable
from walogs.formats import durable_mark as durable_mark_bytes
from walogs.protocols import segments_after

if TYPE_CHECKING:
    from walogs.engine.ending import Mode
    from walogs.engine.log_source import Environment, LogSource
    from walogs.engine.recovery import RecoveredLog, Verify
    from walogs.engine.segments import CompletedSegment
    from walogs.protocols import AppendableStore

RECOVERY_ATTEMPTS_MAX: Final = 8
"""Give up after the frames of a log have changed so many times between two reads: its device is failing."""
FENCE_ATTEMPTS_MAX: Final = 100
"""Give up after other writers have come between so many times."""

ActiveT_co = TypeVar("ActiveT_co", bound="ActiveSegment | None", covariant=True)


class SegmentLimits(NamedTuple):
    """How large segments become, in bytes."""

    rotate_at: int
    """A frame that would end after this offset goes into the next segment, unless it is a segment's first."""
    segment_bytes_max: int
    """No frame ends after this offset."""


class Takeover(NamedTuple, Generic[ActiveT_co]):
    """A log that may now be written to, and what was changed to get there."""

    recovered: RecoveredLog | None
    """The log as it was found; None if there was none and it was created."""
    headers: SegmentHeaders
    """Makes the headers of further segments."""
    next_lsn: int
    log_first_lsn: int
    completed: tuple[CompletedSegment, ...]
    """The segments that have a successor, ascending; in an immutable-segment store all of them."""
    active: ActiveT_co
    """The segment that appends go to; None in an immutable-segment store."""
    rewritten_bytes: int
    """Bytes of frames that were written again because no sync of them is known."""
    removed_segments: int
    """Segments that an interrupted checkpoint had left."""


class ChangedSinceExamined(Exception):
    """A frame that was intact when the log was examined is not intact, or not the same, when it is read again."""


def limit_segments(source: LogSource, store: AppendableStore, max_segment_size: int | None) -> SegmentLimits:
    """Return the limits that the configuration, the format and the store set together."""
    largest = min(source.format.traits.segment_bytes_max, store.capabilities.segment_bytes_max - RESERVE)
    return SegmentLimits(rotate_at=min(max_segment_size or largest, largest), segment_bytes_max=largest)


# Stores that append


def open_appendable(
    source: LogSource,
    store: AppendableStore,
    environment: Environment,
    limits: SegmentLimits,
    verify: Verify,
    mode: Mode,
) -> Takeover[ActiveSegment]:
    """Recover a log and take it over, or create it. The caller holds the log's lock.

    Raises what `examine` raises; then nothing was changed. Raises `OSError` if a change fails, or if the log's device
    does not return the same bytes twice.
    """
    for _ in range(RECOVERY_ATTEMPTS_MAX):
        recovered = examine(source, verify, mode)
        if recovered is None:
            return create_log(source, store, environment, limits)
        try:
            return take_over(source, store, environment, recovered)
        except ChangedSinceExamined:
            continue
    raise OSError(f"{source.store.name} does not read the same twice: its device is failing. Nothing was handed out.")


def create_log(
    source: LogSource, store: AppendableStore, environment: Environment, limits: SegmentLimits
) -> Takeover[ActiveSegment]:
    """Create the first segment of a new log, durably."""
    headers = SegmentHeaders(source, environment, log_id=uuid_bytes(environment.entropy), epoch=1)
    link = source.format.first_link(headers.log_id)
    header = headers.make(1, None, link=link, first_lsn=1, log_first_lsn=1, not_before_ns=0)
    try:
        active = create_with_window(store, header, source.format.encode_header(header, source.codec), limits.rotate_at)
    except NoSpace as error:
        complete_no_space(error, store, header.number)
        raise
    write_durable_mark(store, active, last_lsn=0, durable=True)
    store.remove(())
    return Takeover(
        recovered=None,
        headers=headers,
        next_lsn=1,
        log_first_lsn=1,
        completed=(),
        active=active,
        rewritten_bytes=0,
        removed_segments=0,
    )


def take_over(
    source: LogSource, store: AppendableStore, environment: Environment, recovered: RecoveredLog
) -> Takeover[ActiveSegment]:
    """Make durable what will be handed out (G4), cut what will not, and finish an interrupted checkpoint.

    Raises `ChangedSinceExamined` if a frame is not what it was when the log was examined.
    """
    scan, header = recovered.newest, recovered.newest.header
    headers = SegmentHeaders(source, environment, log_id=header.log_id, epoch=header.epoch + 1)
    active = ActiveSegment(
        header=header,
        end=scan.end,
        size=scan.size,
        synced=recovered.synced,
        frames=scan.frames,
        entries=scan.entries,
        runs=scan.runs,
        first_commit_ns=scan.first_commit_ns,
        last_commit_ns=scan.last_commit_ns or header.created_ns,
        link=scan.link,
        window=WINDOW_FIRST,
        is_continuable=recovered.is_clean_close and source.is_of_our_codec(header),
    )
    rewritten_bytes = 0
    if not recovered.is_clean_close:
        # A codec without its key raises here, before anything is changed.
        checkpoint = encode_rescued_checkpoint(source, recovered) if recovered.is_first_lsn_rescued else None
        if recovered.verdict == "prefix":
            store.drop_durable_mark()
        rewritten_bytes = rewrite_unsynced_frames(source, store, recovered)
        if checkpoint is not None:
            write_rescued_checkpoint(store, active, checkpoint, scan.last_lsn + 1)
        store.zero_from(header.number, active.end)
        store.sync(header.number, "full")
        active.synced = active.end
    is_written = write_durable_mark(store, active, scan.last_lsn, durable=True)
    if not is_written and recovered.claims_clean_close:
        store.drop_durable_mark()  # a "closed" that stays behind would vouch for everything written from now on
    store.remove(recovered.leftovers)
    return Takeover(
        recovered=recovered,
        headers=headers,
        next_lsn=scan.last_lsn + 1,
        log_first_lsn=recovered.log_first_lsn,
        completed=recovered.completed,
        active=active,
        rewritten_bytes=rewritten_bytes,
        removed_segments=len(recovered.leftovers),
    )


def rewrite_unsynced_frames(source: LogSource, store: AppendableStore, recovered: RecoveredLog) -> int:
    """Write all frames again that are not known to be synced. Return how many bytes were written.

    After a failed sync, the page cache shows bytes that are not on the disk. Each frame is therefore written from the
    buffer in which it was checked. It is written in place, which is safe because all blocks were filled with zeros and
    synced before (measured on ext4, XFS and btrfs). Blocks for which that is not known are left alone: no entry is
    appended to this segment. Raises `ChangedSinceExamined`.
    """
    scan, runs, written = recovered.newest, recovered.newest.runs, 0
    if recovered.synced >= scan.end:
        return 0
    at = runs.position_at(recovered.synced)
    walk = FrameReader(source, scan.header, runs.offsets[at], scan.end, runs.first_lsns[at])
    for seen in walk:
        if seen.end > recovered.synced:
            frame = seen.frame()[: scan.size - seen.header.offset]
            store.write(scan.header.number, seen.header.offset, frame)
            written += len(frame)
    if walk.offset < scan.end or walk.link != scan.link:
        raise ChangedSinceExamined
    return written


def encode_rescued_checkpoint(source: LogSource, recovered: RecoveredLog) -> bytes:
    """Return a CHECKPOINT frame for the cut, in place of the one behind the cut that carries the log's first LSN.

    Raises what a codec without its key raises.
    """
    scan = recovered.newest
    return source.format.encode_checkpoint(
        scan.header.salt,
        scan.end,
        recovered.synced,
        scan.link,
        recovered.log_first_lsn,
        scan.last_commit_ns or scan.header.created_ns,
        source.codec_of(scan.header),
    )


def write_rescued_checkpoint(store: AppendableStore, active: ActiveSegment, frame: bytes, next_lsn: int) -> None:
    """Write the CHECKPOINT frame at the cut, durably, before the one behind the cut is zeroed.

    Under `recovery="prefix"` the segments below the first LSN may be gone, so it must never be lost. The frame fits,
    because the one behind the cut begins later.
    """
    store.write(active.header.number, active.end, frame)
    store.sync(active.header.number, "full")
    active.runs.add(frame, len(frame), active.end, next_lsn)
    active.end += len(frame)
    active.frames += 1


def write_durable_mark(
    store: AppendableStore, active: ActiveSegment, last_lsn: int, *, durable: bool, is_clean: bool = False
) -> bool:
    """Note in the durable mark how far the active segment is synced. Return what `store.write_durable_mark` returns.

    *durable*: the note itself is synced. *is_clean*: the log is being closed, and ends there.
    """
    header = active.header
    synced = min(active.synced, active.size)  # a segment cut short within its last padding ends before its last frame
    data = durable_mark_bytes.encode(header.log_id, header.number, synced, last_lsn, header.salt, active.link, is_clean)
    return store.write_durable_mark(data, durable=durable)


# Immutable-segment stores


def open_immutable(
    source: LogSource, environment: Environment, verify: Verify, mode: Mode, *, change_codec: bool
) -> Takeover[None]:
    """Recover a log and take it over, or create it, by creating a FENCE above all segments.

    If a checkpoint removes what is being read, or another writer comes between, this begins again. It then reads only
    what is new, so that it overtakes a writer that never pauses. Raises what `examine` raises; `UnsupportedFormat` if
    the log has another codec and *change_codec* is false; `Unavailable` if other writers keep coming between.
    """
    recovered: RecoveredLog | None = None
    for _ in range(FENCE_ATTEMPTS_MAX):
        try:
            recovered = examine(source, verify, mode, recovered)
            if recovered is not None and not change_codec:
                source.refuse_other_codec(recovered.newest.header)
            takeover = take_over_by_fence(source, environment, recovered)
        except SegmentNotFound:
            continue
        if takeover is not None:
            return takeover
    raise Unavailable(f"{source.store.name} never settled: other writers keep opening it. Nothing was handed out.")


def take_over_by_fence(
    source: LogSource, environment: Environment, recovered: RecoveredLog | None
) -> Takeover[None] | None:
    """Create the FENCE of this open, and finish an interrupted checkpoint (G11).

    Returns None if another writer has a segment at the same number or above it: then the log must be examined again.
    """
    store, form = source.store, source.format
    if recovered is None:
        older: tuple[CompletedSegment, ...] = ()
        headers = SegmentHeaders(source, environment, log_id=uuid_bytes(environment.entropy), epoch=1)
        link = form.first_link(headers.log_id)
        number, previous, not_before_ns, next_lsn, log_first_lsn = 1, None, 0, 1, 1
    else:
        scan, previous = recovered.newest, recovered.newest.header
        older = (*recovered.completed, completed_by_scan(scan))
        headers = SegmentHeaders(source, environment, log_id=previous.log_id, epoch=previous.epoch + 1)
        link, number, next_lsn = scan.link, previous.number + 1, scan.last_lsn + 1
        not_before_ns = max(scan.last_commit_ns or 0, previous.created_ns)
        log_first_lsn = recovered.log_first_lsn
    header = headers.make(
        number,
        previous,
        link=link,
        first_lsn=next_lsn,
        log_first_lsn=log_first_lsn,
        not_before_ns=not_before_ns,
        is_fence=True,
    )
    if not put_segment(store, environment.sleep, number, form.encode_header(header, source.codec)):
        return None
    if segments_after(store, number):
        return None
    leftovers = recovered.leftovers if recovered is not None else ()
    store.remove(leftovers)
    fence = completed_by_creation(header, entries=0, size=form.traits.header_bytes, link=link)
    return Takeover(
        recovered=recovered,
        headers=headers,
        next_lsn=next_lsn,
        log_first_lsn=log_first_lsn,
        completed=(*older, fence),
        active=None,
        rewritten_bytes=0,
        removed_segments=len(leftovers),
    )
