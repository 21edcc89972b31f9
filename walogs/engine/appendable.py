"""The writer of a log whose store appends: commit, rotation and checkpoint.

The steps of a commit are: encode the body, make room (rotate or grow the segment), apply the codec, make the frame,
`store.write`, `store.sync` if the policy decides so, durable mark, and only then advance the state.

A commit is synced by `write` and then `sync`, and never by a write that syncs its own range only (RWF_DSYNC). Such a
write leaves earlier pages dirty (512 of them when it was measured), and costs the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from walogs.engine.encoding import encode_body, store_body
from walogs.engine.extent_reader import Extent
from walogs.engine.new_segments import RESERVE, complete_no_space, create_with_window
from walogs.engine.segments import completed_by_rotation, count_superseded
from walogs.engine.takeover import write_durable_mark
from walogs.engine.writer import WriterState, refuse_more_than_promised
from walogs.errors import EntryTooLarge, NoSpace, OutcomeUnknown, Poisoned, SegmentNotFound, UnsafeStore
from walogs.formats.durable_mark import encode as encode_mark
from walogs.formats.segment_format import LARGEST, NO_LENGTH, Seal
from walogs.foundation.foreign import describe
from walogs.protocols import SyncDeadline, Unsynced, always_sync
from walogs.types import WalStats

if TYPE_CHECKING:
    from typing import NoReturn

    from walogs.engine.encoding import EncodedBody
    from walogs.engine.log_source import Environment, LogSource
    from walogs.engine.segments import ActiveSegment
    from walogs.engine.takeover import SegmentLimits, Takeover
    from walogs.protocols import AppendableStore, Decision, SyncKind, SyncPolicy

WINDOW_MAX: Final = 4 * 1024 * 1024
"""The window grows by at most this many bytes at a time."""
NOTHING_PENDING: Final = Unsynced(0, 0, 0)


class AppendableWriter(WriterState):
    """Writes one log whose store appends. The caller of each method holds the log's mutex."""

    def __init__(
        self,
        source: LogSource,
        store: AppendableStore,
        policy: SyncPolicy,
        environment: Environment,
        limits: SegmentLimits,
        takeover: Takeover[ActiveSegment],
    ) -> None:
        super().__init__(source, environment, takeover, limits.rotate_at)
        self.shares_commits = policy.durability == "durable"
        self.active = takeover.active
        self._store = store
        self._format = source.format
        self._codec = source.codec
        self._stores_bodies = source.codec.identity
        """Whether the codec stores a body as it is."""
        self._asked_codec = source.asked_codec
        self._policy = policy
        self._always_syncs = getattr(policy.decide, "__func__", None) is always_sync
        self._limits = limits
        self._leftover: tuple[int, ...] = ()
        self._pending = NOTHING_PENDING
        self._frames_before = -self.active.frames
        """The frames of this writer in segments that are complete, without its CHECKPOINTs."""
        self._bytes_before = -self.active.end
        """The bytes of those frames."""

    # Committing

    def write_commit(self, entries: list[bytes]) -> int:
        """Commit these entries in one frame, and return the LSN of the first.

        Raises `NoSpace` (nothing was written, and the handle stays usable), `Poisoned` (nothing was written) or
        `OutcomeUnknown`.
        """
        if self._in_flight or self._poison is not None:
            self.refuse_if_poisoned()
        active, count = self.active, len(entries)
        body = entries[0] if count == 1 else encode_body(self._format, self._codec, entries)
        stored_max = len(body) if self._stores_bodies else self._codec.encoded_bytes_max(len(body))
        if active.end + stored_max > active.ready_end:
            active = self._make_room(stored_max, count)
        number, salt, offset, first_lsn, now_ns = active.number, active.salt, active.end, self.next_lsn, self._now_ns
        if not active.last_commit_ns <= (time_ns := now_ns()) <= LARGEST:
            time_ns = self._headers.clock.correct(active.last_commit_ns, time_ns)
        stored = body if self._stores_bodies else self._store_body(active, body, stored_max, count, time_ns)
        frame, link = self._format.encode_entries(
            salt, offset, active.synced, active.link, first_lsn, count, time_ns, stored, self._asked_codec
        )
        frame_bytes, next_lsn = len(frame), first_lsn + count
        end, last_lsn = offset + frame_bytes, next_lsn - 1
        pending = None if self._always_syncs else self._pending_with(count, frame_bytes)
        self._in_flight = True
        try:
            self._store.write(number, offset, frame)
            decision = "sync" if pending is None else self._policy.decide(pending)
            if decision == "sync":
                self._store.sync(number, self._policy.sync_kind)
                mark = encode_mark(active.log_id, number, end, last_lsn, salt, link)
                self._store.write_durable_mark(mark, durable=False)
            active.runs.add_frame(frame, frame_bytes, offset, first_lsn, len(stored) if count == 1 else NO_LENGTH)
            if pending is not None:
                self._keep_pending(pending, decision)
        except BaseException as error:
            self._raise_outcome_unknown(error, "this append", first_lsn, last_lsn)
        # No function is called from here on, so no interrupt can fall between: the end, its link and the LSNs agree.
        if decision == "sync":
            active.synced, self.durable_lsn = end, last_lsn
        active.end, active.link, self.next_lsn = end, link, next_lsn
        active.frames += 1
        active.entries += count
        if active.first_commit_ns is None:
            active.first_commit_ns = time_ns
        active.last_commit_ns = time_ns
        self._in_flight = False
        return first_lsn

    def _store_body(
        self, active: ActiveSegment, body: EncodedBody, stored_max: int, count: int, time_ns: int
    ) -> EncodedBody:
        """Return what the codec makes of a body. Raises an error if that is more than the *stored_max* it promised."""
        stored = store_body(
            self._source,
            active.header,
            body,
            offset=active.end,
            synced=active.synced,
            link=active.link,
            first_lsn=self.next_lsn,
            count=count,
            time_ns=time_ns,
        )
        refuse_more_than_promised(self._codec, len(stored), stored_max)
        return stored

    def _pending_with(self, count: int, frame_bytes: int) -> Unsynced:
        """Return what will be written and not synced, once a frame with so many entries is written."""
        pending = self._pending
        oldest_ns = pending.oldest_ns if pending.bytes else self._monotonic()
        return Unsynced(pending.entries + count, pending.bytes + frame_bytes, oldest_ns)

    def _keep_pending(self, pending: Unsynced, decision: Decision) -> None:
        """Note what is written and not synced, and by when the policy wants a sync."""
        if decision == "sync":
            self._pending, self.sync_by_ns = NOTHING_PENDING, None
            return
        self._pending = pending
        if isinstance(decision, SyncDeadline):
            by_ns = self.sync_by_ns
            self.sync_by_ns = decision.deadline_ns if by_ns is None else min(by_ns, decision.deadline_ns)

    def _make_room(self, stored_max: int, count: int) -> ActiveSegment:
        """Rotate or grow the active segment until a frame with a stored body of so many bytes fits. Return the active
        segment.

        A segment that recovery has cut is never written into again, even if it holds no frame any more. Its blocks may
        lose what is written to them (measured on ext4), and a reader could take its old frames, which have the same
        salt, for new ones.
        """
        self._refuse_beyond_lsns(self.next_lsn, count)
        form, active, limits = self._format, self.active, self._limits
        needed = form.frame_bytes(stored_max, self._codec.check_bytes)
        largest = limits.segment_bytes_max - form.traits.header_bytes
        if needed > largest:
            message = f"a frame of {needed} bytes is more than a segment of {self._store.name} can hold ({largest})"
            raise EntryTooLarge(f"{message}. Nothing was written.", size=needed, max=largest)
        if not active.is_continuable or (active.frames and active.end + needed > limits.rotate_at):
            try:
                self._rotate(active)
            except OutcomeUnknown:  # it concerns earlier entries; nothing of these was written
                self.refuse_if_poisoned()
            active = self.active
        self._grow(active, active.end + needed + RESERVE)
        if self.next_lsn + limits.segment_bytes_max <= LARGEST:  # no segment holds more entries than bytes
            active.ready_end = min(limits.rotate_at, active.size - RESERVE) - limits.frame_overhead_max
        return active

    def _grow(self, active: ActiveSegment, size: int) -> None:
        """Extend the segment to at least *size* bytes with zeros that are synced, by a whole window if there is space.

        A file that grows with each append makes an append cost 1.36 to 1.47 times as much (measured in nine libraries).
        """
        if size <= active.size:
            return
        wished = max(size, min(active.end + active.window, self._limits.rotate_at + RESERVE))
        for target in (wished, size) if wished > size else (size,):
            try:
                self._in_flight = True
                self._store.extend(active.header.number, target)
            except NoSpace as error:
                self._in_flight = False
                if target == size:
                    complete_no_space(error, self._store, active.header.number)
                    raise
            except BaseException as error:
                self._raise_poisoned(error, "the segment grew")
            else:
                active.size = target
                active.window = min(active.window * 2, WINDOW_MAX)
                self._in_flight = False
                return

    def _raise_poisoned(self, error: BaseException, when: str) -> NoReturn:
        """Poison the log before the first byte of a frame: the entries of this call are not in the log.

        Raises `Poisoned` from an `Exception`. An interrupt is raised again as it is.
        """
        self._poison = error
        self.sync_by_ns = None
        if not isinstance(error, Exception):
            raise error
        name, doubt = self._store.name, self._in_doubt()
        message = f"{name} is poisoned by {describe(error)} while {when}: no entry of this call was written"
        raise Poisoned(f"{message}. {doubt}Close this handle and open the log again.") from error

    def sync(self) -> None:
        """Make all written entries durable. `durable_lsn` is then the last LSN."""
        self._report_failed_sync()
        self.refuse_if_poisoned()
        if self._pending.bytes:
            self._sync_pending(self._policy.sync_kind)

    def _sync_pending(self, kind: SyncKind) -> None:
        """Sync the active segment, which makes all entries durable. Raises `OutcomeUnknown` if that fails."""
        active = self.active
        self._in_flight = True
        try:
            self._store.sync(active.header.number, kind)
        except BaseException as error:
            first_lsn, last_lsn = self.durable_lsn + 1, self.next_lsn - 1
            self._raise_outcome_unknown(error, f"the sync of entries {first_lsn} to {last_lsn}", first_lsn, last_lsn)
        self._all_durable(active)

    def _all_durable(self, active: ActiveSegment) -> None:
        """Advance the state after a sync: everything that was written is durable."""
        active.synced = active.end
        self.durable_lsn = self.next_lsn - 1
        self._pending, self.sync_by_ns = NOTHING_PENDING, None
        self._write_durable_mark(durable=False)
        self._in_flight = False

    def _write_durable_mark(self, *, durable: bool, is_clean: bool = False) -> bool:
        return write_durable_mark(self._store, self.active, self.durable_lsn, durable=durable, is_clean=is_clean)

    # Rotating

    def rotate(self) -> None:
        """Seal the active segment and begin the next one. A segment without frames stays active.

        The order is: sync what is pending, create the successor, then SEAL the old segment and trim it (G10). If a full
        disk refuses the successor, nothing has changed (`NoSpace`). A SEAL proves that a successor was there.
        """
        self._report_failed_sync()
        self.refuse_if_poisoned()
        if self.active.frames:
            self._rotate(self.active)

    def _rotate(self, old: ActiveSegment) -> None:
        """Rotate, although the segment may hold no frame."""
        if self._pending.bytes:
            self._sync_pending("full")
        self._create_successor(old)
        self._write_durable_mark(durable=True)
        self._seal(old)

    def _create_successor(self, old: ActiveSegment) -> None:
        """Create the next segment, durably, and only then make it the active one. *old* is completed by that."""
        header = self._headers.make(
            old.header.number + 1,
            old.header,
            link=old.link,
            first_lsn=self.next_lsn,
            log_first_lsn=self.log_first_lsn,
            not_before_ns=old.last_commit_ns,
        )
        encoded = self._format.encode_header(header, self._codec)
        self._in_flight = True
        try:
            successor = create_with_window(self._store, header, encoded, self._limits.rotate_at)
        except NoSpace as error:
            self._in_flight = False
            complete_no_space(error, self._store, header.number)
            raise
        except BaseException as error:
            self._raise_create_failed(header.number, error)
        self.completed.append(completed_by_rotation(old, 0))
        self._frames_before += old.frames
        self._bytes_before += old.end - successor.end
        self.active = successor
        self._in_flight = False

    def _raise_create_failed(self, number: int, error: BaseException) -> NoReturn:
        """Raise *error* again if the segment is not there: then nothing happened. Otherwise poison the log (G7).

        The store is asked for the size of this segment, and not for the list of all. It can answer that without a file
        descriptor, when none is left.
        """
        try:
            self._store.size(number)
        except SegmentNotFound:
            if not isinstance(error, UnsafeStore):
                self._in_flight = False
                raise error from None
        except Exception:  # it remains unknown whether the segment is there
            pass
        self._raise_poisoned(error, f"{self._store.segment_name(number)} was created")

    def _seal(self, old: ActiveSegment) -> None:
        """SEAL the segment that was completed. A SEAL is a cache, so a failure is only a warning (G7)."""
        if not self._format.traits.has_seal:
            return
        number = old.header.number
        seal = Seal(
            offset=old.end,
            end=0,
            frames=old.frames,
            entries=old.entries,
            last_lsn=old.header.first_lsn + old.entries - 1,
            first_commit_ns=old.first_commit_ns if old.first_commit_ns is not None else 0,
            last_commit_ns=old.last_commit_ns,
            link=old.link,
            runs=old.runs.updated(),
        )
        try:
            frame = self._format.encode_seal(old.header, old.synced, seal, self._source.codec_of(old.header))
            seal_end = old.end + len(frame)
            if seal_end > old.size:
                self._store.extend(number, seal_end)
            self._store.write(number, old.end, frame)
            self._store.sync(number, "data")
            self._store.trim(number, seal_end)
        except Exception as error:
            self._warn("%s in %s was not sealed: %r", self._store.segment_name(number), self._store.name, error)
        else:
            self.completed[-1] = completed_by_rotation(old, seal_end)

    # Checkpointing

    def checkpoint(self, lsn: int) -> int:
        """Remove the completed segments that hold nothing after *lsn*, and return how many (G11).

        The new first LSN is durable before a segment is removed. A failed removal raises and does not poison: the next
        checkpoint or open finishes it.
        """
        self._report_failed_sync()
        self.refuse_if_poisoned()
        count = count_superseded(self.completed, lsn)
        if count:
            later = self.completed[count:]
            self._make_first_lsn_durable((later[0].header if later else self.active.header).first_lsn)
            count = count_superseded(self.completed, self.log_first_lsn - 1)  # the step before may have rotated
            self._leftover += tuple(segment.header.number for segment in self.completed[:count])
            self.completed = self.completed[count:]
        if self._leftover:
            try:
                self._store.remove(self._leftover)
            except UnsafeStore as error:
                self._raise_poisoned(error, "segments were removed")
            self._leftover = ()
        return count

    def _make_first_lsn_durable(self, log_first_lsn: int) -> None:
        """Write the new first LSN durably: as a CHECKPOINT frame, or in the header of the next segment."""
        active = self.active
        if not active.is_continuable:
            before, self.log_first_lsn = self.log_first_lsn, log_first_lsn
            try:
                self._rotate(active)  # the new header carries the first LSN
                return
            except NoSpace:  # a CHECKPOINT frame fits into the reserve, which recovery has zeroed and synced (G9)
                self.log_first_lsn = before
            except BaseException as error:
                self.log_first_lsn = before
                if isinstance(error, Poisoned):  # the successor may be there, with the new first LSN
                    self._raise_outcome_unknown(error, "this checkpoint", None, None)
                raise
        time_ns = self._headers.clock.time_after(active.last_commit_ns)
        codec = self._source.codec_of(active.header)
        frame = self._format.encode_checkpoint(
            active.header.salt, active.end, active.synced, active.link, log_first_lsn, time_ns, codec
        )
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
            active.runs.add_frame(frame, len(frame), active.end, self.next_lsn)
        except BaseException as error:
            self._raise_outcome_unknown(error, "this checkpoint", None, None)
        active.end += len(frame)
        active.frames += 1
        self._frames_before -= 1
        self._bytes_before -= len(frame)
        active.last_commit_ns = time_ns
        self.log_first_lsn = log_first_lsn
        self._all_durable(active)

    # Closing, and what can be read

    def stats(self) -> WalStats:
        """Return what this writer has committed since it was made. Each commit costs nothing more for it."""
        return WalStats(
            commits=self._frames_before + self.active.frames,
            entries=self.next_lsn - self._first_own_lsn,
            bytes=self._bytes_before + self.active.end,
            seconds=None,
            slowest_seconds=None,
        )

    def close(self) -> None:
        """Sync what is pending, give the window back, and note in the durable mark that the log ends here.

        A poisoned log writes, syncs and cuts nothing: the next open decides about its end.
        """
        if self.is_poisoned:
            self._report_failed_sync()
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
            name = self._store.segment_name(active.header.number)
            self._warn("%s in %s keeps its window: %r", name, self._store.name, error)
            return
        self._write_durable_mark(durable=True, is_clean=True)

    def active_extent(self, stop: int | None = None) -> Extent | None:
        """Return the part of the active segment that can be read now, with a copy of its index, which goes on growing.

        Return None if it holds no entry before *stop*, or if an interrupted rotation has completed this segment, and
        the next one is not active yet.
        """
        active, completed = self.active, self.completed
        is_after = stop is not None and stop <= active.header.first_lsn
        if is_after or (completed and completed[-1].header.number == active.number):
            return None
        return Extent(
            header=active.header,
            last_lsn=self.next_lsn - 1,
            end=active.end,
            seal_end=0,
            places=active.runs.copy(),
            link=active.link,
        )
