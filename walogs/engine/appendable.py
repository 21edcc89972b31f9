"""The writer of a store whose segments grow: commit, rotation, checkpoint, and making durable what recovery found.

Commit, read downward: `append` -> [rotate when due] -> codec -> frame -> `store.write` -> `store.sync`, as the policy
decides -> witness -> LSN. Sync is `write`, then `sync`, never a write that syncs its own range only (RWF_DSYNC): that
leaves earlier unsynced pages dirty, 512 of them where it was measured, at the same cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from walogs.engine.reading import Extent, context_of
from walogs.engine.recovery import Examined, Mode, Verify, examine
from walogs.engine.segments import ActiveSegment, CompletedSegment, superseded
from walogs.engine.walk import Walk
from walogs.engine.writer import WriterState, refuse_more_than_promised, uuid_bytes
from walogs.errors import EntryTooLarge, NoSpace, Poisoned
from walogs.formats import witness as witness_bytes
from walogs.formats.segment_format import Draft, FrameHeader, Kind, RunIndex, Seal, SegmentHeader
from walogs.protocols import Pending, SyncBy

if TYPE_CHECKING:
    from typing import NoReturn

    from walogs.engine.source import Environment, Source
    from walogs.protocols import AppendableStore, Barrier, SyncPolicy

WINDOW_FIRST: Final = 64 * 1024
WINDOW_MAX: Final = 4 * 1024 * 1024
RESERVE: Final = 4096
"""Bytes of the window that entries leave for CHECKPOINTs, so that a full disk can still be checkpointed (G9)."""
JUDGED_ANEW_MAX: Final = 8


class AppendableWriter(WriterState):
    """Writes one log whose store appends. Every method is called under the log's mutex."""

    def __init__(
        self,
        source: Source,
        store: AppendableStore,
        policy: SyncPolicy,
        environment: Environment,
        max_segment_size: int | None,
        examined: Examined | None,
    ) -> None:
        header = examined.newest.header if examined is not None else None
        log_id = header.log_id if header is not None else uuid_bytes(environment.entropy)
        next_lsn = examined.newest.last_lsn + 1 if examined is not None else 1
        ceiling = min(source.format.traits.segment_bytes_max, store.capabilities.segment_bytes_max - RESERVE)
        limit = min(max_segment_size or ceiling, ceiling)
        super().__init__(source, environment, log_id, header.epoch + 1 if header is not None else 1, next_lsn, limit)
        self.shares_commits = policy.promise == "durable"
        self._store = store
        self._format = source.format
        self._codec = source.codec
        self._policy = policy
        self._check_bytes = source.codec.check_bytes
        self._ceiling = ceiling
        self._limit = limit
        self.completed: list[CompletedSegment] = []
        self._leftover: tuple[int, ...] = ()
        self._pending = NOTHING_PENDING
        self.active: ActiveSegment
        if examined is None:
            self._create(self._header(1, None, 0, not_before=0), None)
            self._write_witness(durable=True)
            self._store.remove(())
        else:
            self.completed, self.base_lsn = list(examined.completed), examined.base_lsn
            self._take_over(examined)

    # Opening

    def _take_over(self, examined: Examined) -> None:
        """Make durable what will be handed out (G4), cut the end that will not, finish an interrupted checkpoint."""
        scan, header = examined.newest, examined.newest.header
        self.active = active = ActiveSegment(
            header=header,
            end=scan.end,
            size=scan.size,
            synced=examined.synced,
            frames=scan.frames,
            entries=scan.entries,
            runs=scan.runs,
            first_commit_ns=scan.first_commit_ns,
            last_commit_ns=scan.last_commit_ns or header.created_ns,
            last_check=scan.last_check,
            window=WINDOW_FIRST,
            is_continuable=examined.is_clean_close and self._source.is_of_our_codec(header),
        )
        if not examined.is_clean_close:
            if examined.verdict == "prefix":
                self._store.drop_witness()
            self.rewritten_bytes = self._write_again(examined)
            if examined.rescued_base:
                self._rescue_base(active, examined.base_lsn)
            self._store.cut(header.number, active.end)
            self._store.sync(header.number, "full")
            active.synced = active.end
        if not self._write_witness(durable=True) and examined.claims_clean_close:
            self._store.drop_witness()  # a CLEAN that stayed behind would vouch for what is written from now on
        self._store.remove(examined.below_base)
        self.removed_segments = len(examined.below_base)

    def _write_again(self, examined: Examined) -> int:
        """Frames that no watermark vouches for, in place, each from the buffer it was checked in: after a failed sync
        the cache shows bytes that are not on the disk. In place is safe since every block was zero-filled and synced
        before (ext4, XFS, btrfs: measured; blocks that were not are the reason why this segment is not continued)."""
        scan, runs, written = examined.newest, examined.newest.runs, 0
        if examined.synced >= scan.end:
            return 0
        at = runs.run_at(examined.synced)
        walk = Walk(self._source, scan.header, runs.offsets[at], scan.end, runs.first_lsns[at])
        for seen in walk:
            if seen.end > examined.synced:
                frame = seen.frame()[: scan.size - seen.header.offset]
                self._store.write(scan.header.number, seen.header.offset, frame)
                written += len(frame)
        if walk.offset < scan.end:
            raise JudgeAnew
        return written

    def _rescue_base(self, active: ActiveSegment, base_lsn: int) -> None:
        """A CHECKPOINT after the cut carries the base: it stands again at the cut, durably, before the other is zeroed
        (with `prefix`, what is below the base may be gone). Room is there: it stood later."""
        frame = self._format.encode_checkpoint(
            active.header.salt, active.end, active.synced, base_lsn, active.last_commit_ns
        )
        self._store.write(active.header.number, active.end, frame)
        self._store.sync(active.header.number, "full")
        active.runs.add(frame, len(frame), active.end, self.next_lsn)
        active.end += len(frame)
        active.frames += 1

    # Committing

    def append(self, entries: list[bytes]) -> int:
        """Commit these entries in one frame; the LSN of the first. Raises `NoSpace` (nothing was written, the handle
        is as usable as before), `Poisoned` (nothing was written) or `Indefinite`."""
        if self._in_flight or self._poison is not None:
            self.refuse_if_poisoned()
        count, codec, form = len(entries), self._codec, self._format
        body = form.body(entries) if count > 1 and not codec.identity else entries[0]
        stored: bytes | Draft = form.draft(entries, self._check_bytes) if count > 1 and codec.identity else body
        stored_max = len(stored) if codec.identity else codec.encoded_bytes_max(len(body))
        needed = form.frame_bytes(stored_max, self._check_bytes)
        active = self.active
        if (
            not active.is_continuable
            or active.end + needed > self._limit
            or active.end + needed + RESERVE > active.size
        ):
            active = self._make_room(needed)
        offset, first_lsn = active.end, self.next_lsn
        time_ns = max(self._clock(), active.last_commit_ns)
        salt, number = active.header.salt, active.header.number
        if not codec.identity:
            planned = FrameHeader(Kind.ENTRIES.value, 0, 0, first_lsn, time_ns, count, offset, active.synced, 0)
            stored = codec.encode(body, context_of(self._source, active.header, planned))
            refuse_more_than_promised(codec, len(stored), stored_max)
        frame, check = form.encode_entries(salt, offset, active.synced, first_lsn, count, time_ns, stored, codec)
        end, last_lsn = offset + len(frame), first_lsn + count - 1
        pending = self._pending
        oldest_ns = pending.oldest_ns if pending.bytes else self._monotonic()
        pending = Pending(pending.entries + count, pending.bytes + len(frame), oldest_ns)
        self._in_flight = True
        try:
            self._store.write(number, offset, frame)
            decision = self._policy.decide(pending)
            is_synced = decision == "sync"
            if is_synced:
                self._store.sync(number, self._policy.barrier)
                self._store.write_witness(
                    witness_bytes.encode(self._log_id, number, end, last_lsn, salt), durable=False
                )
        except BaseException as error:
            self._poisoned(error, "this append", first_lsn, last_lsn)
        if is_synced:
            active.synced, self.durable_lsn, self._pending, self.sync_by_ns = end, last_lsn, NOTHING_PENDING, None
        else:
            self._pending = pending
            if isinstance(decision, SyncBy) and (self.sync_by_ns is None or decision.deadline_ns < self.sync_by_ns):
                self.sync_by_ns = decision.deadline_ns
        active.end = end
        active.frames += 1
        active.entries += count
        active.last_commit_ns = time_ns
        if active.first_commit_ns is None:
            active.first_commit_ns = time_ns
        active.last_check = check
        active.runs.add(frame, len(frame), offset, first_lsn)
        self.next_lsn = last_lsn + 1
        self._in_flight = False
        return first_lsn

    def _make_room(self, needed: int) -> ActiveSegment:
        """The active segment, with room for a frame of that size: rotated, taken up or grown as it must be."""
        active, largest = self.active, self._ceiling - self._format.traits.header_bytes
        if needed > largest:
            message = f"a frame of {needed} bytes is more than a segment of {self._store.name} can hold ({largest})"
            raise EntryTooLarge(f"{message}. Nothing was written.", size=needed, max=largest)
        if not active.is_continuable and not self._source.is_of_our_codec(active.header):
            self._rotate(active)  # its header names another codec, also where it is empty
            active = self.active
        elif active.frames and (not active.is_continuable or active.end + needed > self._limit):
            self.rotate()
            active = self.active
        elif not active.is_continuable:
            self._take_up(active)
        self._grow(active, active.end + needed + RESERVE)
        return active

    def _take_up(self, active: ActiveSegment) -> None:
        """Use a segment that holds no frame again: on fresh blocks, since a window whose sync once failed loses what
        is written into it (ext4: measured)."""
        try:
            self._store.trim(active.header.number, active.end)
            active.size = active.end
        except BaseException as error:
            self._poison = error
            raise
        self._grow(active, active.end + RESERVE)
        active.is_continuable = True

    def _grow(self, active: ActiveSegment, size: int) -> None:
        """Zero-filled, synced bytes up to *size* at least, by a whole window where there is room for one. A file that
        grows at each append would cost 1.36 to 1.47 times as much an append: measured in nine libraries."""
        if size <= active.size:
            return
        wished = max(size, min(active.end + active.window, self._limit + RESERVE))
        for target in (wished, size) if wished > size else (size,):
            try:
                self._in_flight = True
                self._store.extend(active.header.number, target)
            except NoSpace:
                self._in_flight = False
                if target == size:
                    raise
            except BaseException as error:
                self._nothing_written(error, "the segment grew")
            else:
                active.size = target
                active.window = min(active.window * 2, WINDOW_MAX)
                self._in_flight = False
                return

    def _nothing_written(self, error: BaseException, when: str) -> NoReturn:
        """Poisoned before the first byte of a frame: what was to be appended is not in the log."""
        self._poison = error
        self.sync_by_ns = None
        if not isinstance(error, Exception):
            raise error
        name = self._store.name
        message = f"{name} is poisoned by {error!r} while {when}: no entry of this call was written"
        raise Poisoned(f"{message}. Close this handle and open the log again.") from error

    def sync(self) -> None:
        """Make every entry written so far durable; `durable_lsn` is then the last."""
        self.refuse_if_poisoned()
        if self._pending.bytes:
            self._sync_pending(self._policy.barrier)

    def _sync_pending(self, barrier: Barrier) -> None:
        active = self.active
        self._in_flight = True
        try:
            self._store.sync(active.header.number, barrier)
        except BaseException as error:
            self._poisoned(error, "a sync", self.durable_lsn + 1, self.next_lsn - 1)
        self._all_durable(active)

    def _all_durable(self, active: ActiveSegment) -> None:
        active.synced = active.end
        self.durable_lsn = self.next_lsn - 1
        self._pending, self.sync_by_ns = NOTHING_PENDING, None
        self._write_witness(durable=False)
        self._in_flight = False

    def _write_witness(self, *, durable: bool, is_clean: bool = False) -> bool:
        header, size = self.active.header, self.active.size
        synced = min(self.active.synced, size)  # a segment cut short within its last padding ends before its last frame
        data = witness_bytes.encode(self._log_id, header.number, synced, self.durable_lsn, header.salt, is_clean)
        return self._store.write_witness(data, durable=durable)

    # Rotating

    def rotate(self) -> None:
        """Make the next segment the active one; nothing on one without frames. Raises `NoSpace`: nothing changed.

        Sync what is pending, create the successor, then SEAL the old segment and trim it (G10): a full disk that
        refuses the successor has changed nothing, and a SEAL testifies that a successor was there."""
        self.refuse_if_poisoned()
        if self.active.frames:
            self._rotate(self.active)

    def _rotate(self, old: ActiveSegment) -> None:
        if self._pending.bytes:
            self._sync_pending("full")
        number = old.header.number + 1
        self._create(self._header(number, old.header, old.last_check, not_before=old.last_commit_ns), old)
        self._write_witness(durable=True)
        self._seal(old)

    def _create(self, header: SegmentHeader, old: ActiveSegment | None) -> None:
        """The next segment, whole and durable, and only then active; *old* is completed by that."""
        encoded = self._format.encode_header(header)
        size = min(WINDOW_FIRST, max(self._limit, len(encoded)) + RESERVE)
        self._in_flight = True
        try:
            self._store.create(header.number, encoded + bytes(size - len(encoded)))
        except NoSpace:
            self._in_flight = False
            raise
        except BaseException as error:
            self._after_failed_create(header.number, error)
        successor = ActiveSegment(
            header=header,
            end=len(encoded),
            size=size,
            synced=len(encoded),
            frames=0,
            entries=0,
            runs=RunIndex(),
            first_commit_ns=None,
            last_commit_ns=header.created_ns,
            last_check=0,
            window=WINDOW_FIRST,
            is_continuable=True,
        )
        if old is not None:
            self.completed.append(completed(old, 0))
        self.active = successor
        self._in_flight = False

    def _after_failed_create(self, number: int, error: BaseException) -> NoReturn:
        """Not there: nothing happened, and the error is the system's own. There, or not to be told: poisoned (G7)."""
        try:
            is_there = number in self._store.segments()
        except Exception:
            is_there = True
        if is_there:
            self._nothing_written(error, f"{self._store.segment_name(number)} was created")
        self._in_flight = False
        raise error

    def _seal(self, old: ActiveSegment) -> None:
        """SEAL the segment just completed, if that can be. It is a cache, so no failure of it is one (G7)."""
        if not self._format.traits.has_seal:
            return
        number, first_ns = old.header.number, old.first_commit_ns if old.first_commit_ns is not None else 0
        last_lsn = old.header.first_lsn + old.entries - 1
        seal = Seal(old.end, 0, old.frames, old.entries, last_lsn, first_ns, old.last_commit_ns, old.runs)
        try:
            frame = self._format.encode_seal(old.header, old.synced, seal)
            seal_end = old.end + len(frame)
            if seal_end > old.size:
                self._store.extend(number, seal_end)
            self._store.write(number, old.end, frame)
            self._store.sync(number, "data")
            self._store.trim(number, seal_end)
        except Exception as error:
            warn("%s was not sealed: %r", self._store.segment_name(number), error)
        else:
            self.completed[-1] = completed(old, seal_end)

    # Checkpointing

    def checkpoint(self, lsn: int) -> int:
        """Remove the completed segments that hold nothing after *lsn*; how many went. The base is durable first (G11).

        A failed removal does not poison: it raises, and the next checkpoint or open finishes it."""
        self.refuse_if_poisoned()
        count = superseded(self.completed, lsn)
        if count:
            later = self.completed[count:]
            self._make_base_durable((later[0].header if later else self.active.header).first_lsn)
            count = superseded(self.completed, self.base_lsn - 1)  # making it durable may have rotated
            self._leftover += tuple(segment.header.number for segment in self.completed[:count])
            self.completed = self.completed[count:]
        if self._leftover:
            self._store.remove(self._leftover)
            self._leftover = ()
        return count

    def _make_base_durable(self, base_lsn: int) -> None:
        active = self.active
        if not active.is_continuable:
            if active.frames:
                before, self.base_lsn = self.base_lsn, base_lsn
                try:
                    self.rotate()  # the new header carries the base
                    return
                except NoSpace:  # then the reserve: recovery has zeroed it and synced it (G9)
                    self.base_lsn = before
                except BaseException as error:
                    self.base_lsn = before
                    if isinstance(error, Poisoned):  # the successor may be there, and its header carries the base
                        self._poisoned(error, "this checkpoint", None, None)
                    raise
            else:
                self._take_up(active)
        time_ns = max(self._clock(), active.last_commit_ns)
        frame = self._format.encode_checkpoint(active.header.salt, active.end, active.synced, base_lsn, time_ns)
        if active.end + len(frame) + RESERVE > active.size:
            try:
                self._grow(active, active.end + len(frame) + RESERVE)
            except NoSpace:
                if active.end + len(frame) > active.size:
                    raise
        self._in_flight = True
        try:
            self._store.write(active.header.number, active.end, frame)
            self._store.sync(active.header.number, "data")
        except BaseException as error:
            self._poisoned(error, "this checkpoint", None, None)
        active.runs.add(frame, len(frame), active.end, self.next_lsn)
        active.end += len(frame)
        active.frames += 1
        active.last_commit_ns = time_ns
        self.base_lsn = base_lsn
        self._all_durable(active)

    # Closing, and what can be read

    def close(self) -> None:
        """Sync what is pending, give the window back, and say in the witness that this is the end. A poisoned log
        writes, syncs and cuts nothing: the next open decides."""
        if self.is_poisoned:
            return
        if self._pending.bytes:
            self._sync_pending("full")
        active = self.active
        if not active.is_continuable:
            return
        kept = active.end + RESERVE
        try:
            if active.size > kept:
                self._store.trim(active.header.number, kept)
        except OSError as error:
            warn("%s keeps its window: %r", self._store.segment_name(active.header.number), error)
            return
        self._write_witness(durable=True, is_clean=True)

    def active_extent(self) -> Extent | None:
        """The part of the active segment that can be read now. Its index is copied: it grows while it is read.

        None: a rotation was interrupted after it had completed this segment, and before the next was active."""
        active = self.active
        if self.completed and self.completed[-1].header.number == active.header.number:
            return None
        runs = active.runs.copy() if len(active.runs) > 1 else None
        return Extent(active.header, self.next_lsn - 1, active.end, 0, runs)


def completed(old: ActiveSegment, seal_end: int) -> CompletedSegment:
    """What was the active segment, now that it has a successor."""
    return CompletedSegment(
        header=old.header,
        last_lsn=old.header.first_lsn + old.entries - 1,
        end=old.end,
        size=seal_end or old.size,
        seal_end=seal_end,
        runs=None if seal_end else old.runs,
        first_commit_ns=old.first_commit_ns,
        last_commit_ns=old.last_commit_ns if old.entries else None,
    )


NOTHING_PENDING: Final = Pending(0, 0, 0)


def warn(message: str, segment: str, error: Exception) -> None:
    """Something failed that costs nobody anything but speed. (`logging` is a quarter of what importing would cost.)"""
    import logging

    logging.getLogger("walogs").warning(message, segment, error)


class JudgeAnew(Exception):
    """A frame that was intact no longer is: what was read before is not what is there now."""


def open_appendable(
    source: Source,
    store: AppendableStore,
    policy: SyncPolicy,
    environment: Environment,
    max_segment_size: int | None,
    verify: Verify,
    mode: Mode,
) -> tuple[AppendableWriter, Examined | None]:
    """Under the lock: examine, judge, make durable. Raises what `examine` raises, with nothing changed."""
    for _ in range(JUDGED_ANEW_MAX):
        examined = examine(source, verify, mode)
        try:
            return AppendableWriter(source, store, policy, environment, max_segment_size, examined), examined
        except JudgeAnew:
            continue
        except Poisoned as error:  # there is no handle that could be: what the system said is what there is to say
            raise error.__cause__ or error from None
    raise OSError(f"{source.store.name} does not read the same twice: its device is failing. Nothing was handed out.")
