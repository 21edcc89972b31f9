"""`backup`: copy a log beside its writer, so that the copy opens. Every byte is checked while it is copied.

The newest segment is copied first, then the older ones, down to the log's first entry. A checkpoint removes the oldest
segment first, so the two meet in the middle. What a checkpoint has removed by then is below the log's new first LSN,
and the copy takes over that LSN. So one pass is enough, even beside a writer that checkpoints without pause.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.assembly.config import config_error, refuse_uncallable
from walogs.assembly.opening import source_of
from walogs.defaults.cursor_files import CURSORS, file_of
from walogs.defaults.local_store import DURABLE_MARK, LocalStore, segment_name
from walogs.engine.extent_finder import completed_extent
from walogs.engine.extent_reader import Extent
from walogs.engine.frame_reader import FrameReader
from walogs.engine.observation import damage_fingerprint, observe
from walogs.engine.recovery import header_in, intact_end, read_checked_chunks
from walogs.engine.segments import read_seal
from walogs.engine.whole_segments import read_ahead
from walogs.errors import Corrupt, SegmentNotFound, Unavailable
from walogs.formats import cursor as cursor_bytes
from walogs.formats import durable_mark as durable_mark_bytes
from walogs.foundation.local_paths import local_path
from walogs.handles.cursor import read_value
from walogs.inspection.partial import Partial, refuse_occupied
from walogs.protocols import authenticates, is_appendable, sizes_of
from walogs.protocols.cursor_store import CursorStore
from walogs.types import BackupReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import BufferedWriter

    from typing_extensions import Unpack

    from walogs.assembly.config import ReadingOverrides, WalConfig
    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import ReadableEnd
    from walogs.formats.cursor import CursorValue
    from walogs.formats.segment_format import SegmentHeader

STARTS_MAX: Final = 5
"""Give up after this many starts. A start fails if checkpoints remove all that it has copied, or if it meets damage
that an earlier start has not met."""


def backup(
    src: str | os.PathLike[str] | None,
    dst: str | os.PathLike[str],
    progress: Callable[[int, int], object] | None = None,
    *,
    config: WalConfig | None = None,
    **overrides: Unpack[ReadingOverrides],
) -> BackupReport:
    """Copy the durable entries of the log *src* into the directory *dst*, new or empty, which then opens as a log.

    Entries are durable if the durable mark or a later frame says so. The mark lags if a power cut came before it was
    written and the log was not opened since, or if it could not be written. Then the last commit can be missing from
    the copy: `last_lsn` of the report says where the copy ends. The cursors of the log are copied too. In the copy
    they can be behind, and never ahead of its entries.

    Takes no lock and changes nothing in *src*, which may be written to meanwhile. Reads *src* once, in memory bounded
    by one frame. Each call makes its copy beside *dst* under a name of its own, `DST.partial-XXXXXXXX`, and renames it
    when all of it is synced, so *dst* is always complete. Of two calls with one *dst*, one raises `FileExistsError`. A
    call that is killed leaves its partial directory behind, and no other call removes it.

    *progress* is called with (bytes copied, bytes to copy). The second number is an estimate until the last call.

    Raises `Corrupt` (a backup never copies damage), `ConfigError`, `FileExistsError`, `LogNotFound` (no log is
    there), `Unavailable` (checkpoints kept removing everything that was being copied) and `OSError`. After an error
    this call has made no *dst*, with one exception: if a directory above *dst* was renamed meanwhile, the `OSError`
    says where the copy is.
    """
    target = os.path.realpath(local_path(dst, "dst"))
    refuse_uncallable(progress)
    source = source_of(src, config, overrides, own=("src", "dst", "progress", "config"))
    refuse_inside(source, target, "dst")
    refuse_occupied(target)
    began = time.monotonic()
    bound = observe(source, "durable")  # raise before anything is made
    cursors = read_cursors(source, bound.newest.log_id)
    with Partial(target) as partial:
        copied, log_id = copy_log(source, partial, bound, progress)
        names = copy_cursors(partial, cursors, log_id, copied[3])
        partial.publish()
    return BackupReport(*copied, duration_seconds=time.monotonic() - began, cursors=names)


def refuse_inside(source: LogSource, target: str, name: str) -> None:
    """Raise `ConfigError` if *target*, the value of the parameter *name*, is the log itself or lies inside it."""
    if not isinstance(source.store, LocalStore):
        return
    log = os.path.realpath(source.store.path)
    if target == log:
        raise config_error(f"{name}={target!r}: the log itself")
    if os.path.commonpath((target, log)) == log:
        raise config_error(f"{name}={target!r}: inside the log {log!r}; a copy needs a directory of its own")


def copy_log(
    source: LogSource, partial: Partial, bound: ReadableEnd, progress: Callable[[int, int], object] | None
) -> tuple[tuple[int, int, int, int], bytes]:
    """Copy and sync the log. Return (segments, bytes, first LSN, last LSN) of the copy, and its log id."""
    doubt: object = None
    for _ in range(STARTS_MAX):
        copy = Copy(source, partial, bound, progress)
        try:
            copy.fill()
            return copy.finish(), bound.newest.log_id
        except Overtaken as overtaken:
            bound = overtaken.bound
        except Corrupt as damage:  # a writer at work can look like damage, but not twice in the same way
            if damage_fingerprint(damage) == doubt:
                raise
            doubt = damage_fingerprint(damage)
            bound = observe(source, "durable")
        finally:
            copy.close()
        copy.remove()
    why = f"checkpoints removed everything that was being copied, {STARTS_MAX} times"
    move = "There is no copy. While a backup runs, keep more segments: checkpoint less often, or at a lower LSN."
    raise Unavailable(f"{source.store.name}: {why}. {move}")


def read_cursors(source: LogSource, log_id: bytes) -> dict[str, CursorValue]:
    """Return what each cursor says, by its name. Raises `Corrupt`: a backup never copies damage."""
    store = source.store
    found = (
        {name: read_value(source, name, log_id) for name in store.cursors()} if isinstance(store, CursorStore) else {}
    )
    return {name: value for name, value in found.items() if value is not None}


def copy_cursors(partial: Partial, cursors: dict[str, CursorValue], log_id: bytes, last_lsn: int) -> tuple[str, ...]:
    """Write the cursors of the log with that log id into the copy, durably. Return their names.

    A cursor that is ahead of the copy is set back to its end, because the next entries of the copy are others. It is
    ahead if entries came after the end of the copy was found, if the log was cut, or if the copy lacks the last commit
    after a power cut.
    """
    of_this_log = {name: value for name, value in cursors.items() if value.log_id == log_id}
    if not of_this_log:
        return ()
    partial.make_directory(CURSORS)
    for name, value in of_this_log.items():
        with partial.create(f"{CURSORS}/{name}") as file:
            file.write(file_of(cursor_bytes.encode(log_id, min(value.lsn, last_lsn), value.time_ns)))
            partial.flush_and_sync(file)
    partial.sync_directory(CURSORS)
    return tuple(of_this_log)


class Overtaken(Exception):
    """Checkpoints have removed everything that was being copied, or another log has taken the place of this one."""

    def __init__(self, bound: ReadableEnd) -> None:
        super().__init__()
        self.bound = bound


class CopiedSegment(NamedTuple):
    """A segment of the copy."""

    name: str
    next_lsn: int
    """The first LSN after it; 0 if it is the newest."""
    size: int


class Copy:
    """One attempt to copy the newest segment up to a bound, and the segments before it."""

    def __init__(
        self, source: LogSource, partial: Partial, bound: ReadableEnd, progress: Callable[[int, int], object] | None
    ) -> None:
        self._source = read_ahead(source, bound.numbers[::-1])
        self._partial = partial
        self._bound = bound
        self._progress = progress
        self._first_lsn = bound.log_first_lsn
        self._copied: list[CopiedSegment] = []
        """From the newest down."""
        self._newest_file: BufferedWriter | None = None
        self._end = NewestEnd(offset=0, log_first_lsn=0, time_ns=0, link=bound.newest.previous_link)
        self._done = 0
        self._sizes = sizes_of(source.store, bound.numbers[:-1])
        """By number, in bytes. For a segment without a SEAL, the size is only an estimate."""
        self._total = bound.end + sum(self._sizes.values())

    def fill(self) -> None:
        """Copy down to the first entry that the log has by then. Raises `Overtaken`, `Corrupt`, `OSError`."""
        successor = self._bound.newest
        try:
            self._copy_newest()
            for number in reversed(self._bound.numbers[:-1]):
                if successor.first_lsn <= self._first_lsn:
                    break
                successor = self._copy_completed(number, successor)
        except SegmentNotFound:
            self._take_over_first_lsn(successor)

    def _copy_newest(self) -> None:
        newest = self._bound.newest
        extent = Extent(
            header=newest,
            last_lsn=self._bound.last_lsn,
            end=self._bound.end,
            seal_end=0,
            places=None,
            link=self._bound.link,
        )
        name = segment_name(newest.number)
        file = self._newest_file = self._partial.create(name)
        self._copied.append(CopiedSegment(name, 0, 0))
        self._end = self._write_newest(file, extent)
        self._first_lsn = max(self._first_lsn, self._end.log_first_lsn)  # a CHECKPOINT in it may be newer

    def _write_newest(self, file: BufferedWriter, extent: Extent) -> NewestEnd:
        """Write the frames up to the bound, unchanged. Raises `Corrupt`, `SegmentNotFound`."""
        header, form = extent.header, self._source.format
        log_first_lsn, time_ns = header.log_first_lsn, header.created_ns
        self._write(file, (header_bytes_of(self._source, header),))
        reader = FrameReader(self._source, header, form.traits.header_bytes, extent.end, header.first_lsn)
        for run in reader.runs():
            time_ns = run.intact.last_time_ns
            if run.checkpoint is not None:
                log_first_lsn = max(log_first_lsn, run.checkpoint.first_lsn)
            self._write(file, (run.frames(),))
        if reader.expected_lsn <= extent.last_lsn or reader.offset < extent.end:
            raise self._source.corrupt(reader.stop.value, header.number, reader.offset, reader.expected_lsn)
        link = reader.link or header.previous_link
        if extent.link is not None and not link.startswith(extent.link):  # until now only the durable mark said it
            why = f"entry {extent.last_lsn} is not the one that was known to be durable: it is of another history"
            raise self._source.corrupt(f"{why} of this log", header.number, reader.offset, reader.expected_lsn)
        return NewestEnd(offset=reader.offset, log_first_lsn=log_first_lsn, time_ns=time_ns, link=link)

    def _copy_completed(self, number: int, successor: SegmentHeader) -> SegmentHeader:
        """Copy that segment and return its header. After `Corrupt` or `SegmentNotFound` the copy holds none of it."""
        header = header_in(self._source, self._bound.numbers, number, self._first_lsn)
        extent = completed_extent(self._source, header, successor)
        name, before = segment_name(number), self._done
        with self._partial.create(name) as file:
            try:
                self._write(file, segment_chunks(self._source, extent))
            except BaseException:
                self._partial.remove(name)
                raise
            self._partial.flush_and_sync(file)
        size = self._done - before
        self._total += size - self._sizes.get(number, 0)
        self._copied.append(CopiedSegment(name, successor.first_lsn, size))
        return header

    def _write(self, file: BufferedWriter, written: Iterable[bytes | memoryview]) -> None:
        for piece in written:
            file.write(piece)
            self._done += len(piece)
            if self._progress is not None:
                self._progress(self._done, max(self._done, self._total))

    def _take_over_first_lsn(self, successor: SegmentHeader) -> None:
        """Take over the log's new first LSN, because the segment before *successor* is gone.

        Raises `Overtaken` if no checkpoint accounts for that.
        """
        bound, newest = observe(self._source, "durable"), self._bound.newest
        is_here = bound.newest.log_id == newest.log_id and self._end.offset == self._bound.end
        if not is_here or not successor.first_lsn <= bound.log_first_lsn <= newest.first_lsn:
            raise Overtaken(bound)
        self._first_lsn = max(self._first_lsn, bound.log_first_lsn)
        while 0 < self._copied[-1].next_lsn <= self._first_lsn:
            self._partial.remove(self._copied.pop().name)

    def finish(self) -> tuple[int, int, int, int]:
        """Sync the copy. Return (segments, bytes, first LSN, last LSN) of it.

        If nothing in the copy names its first LSN yet, a CHECKPOINT at the end of the newest segment does. The log's
        own CHECKPOINT may lie behind what is known to be synced.
        """
        bound, file = self._bound, self._newest_file
        assert file is not None
        if self._end.log_first_lsn < self._first_lsn:
            salt, (offset, _, time_ns, link) = bound.newest.salt, self._end
            form, codec = self._source.format, self._source.codec_of(bound.newest)
            frame = form.encode_checkpoint(salt, offset, bound.end, link, self._first_lsn, time_ns, codec)
            self._write(file, (frame,))
        self._partial.flush_and_sync(file)
        size = file.tell() + sum(copied.size for copied in self._copied)
        if is_appendable(self._source.store) and self._source.format.traits.has_durable_mark:
            self._write_durable_mark(file.tell())
        if self._progress is not None:
            self._progress(size, size)
        return len(self._copied), size, self._first_lsn, bound.last_lsn

    def _write_durable_mark(self, end: int) -> None:
        """Say that the copy is synced up to *end* of its newest segment. Then damage to its last bytes is found."""
        header = self._bound.newest
        with self._partial.create(DURABLE_MARK) as file:
            last_lsn, link = self._bound.last_lsn, self._end.link
            file.write(durable_mark_bytes.encode(header.log_id, header.number, end, last_lsn, header.salt, link))
            self._partial.flush_and_sync(file)

    def close(self) -> None:
        if self._newest_file is not None:
            self._newest_file.close()

    def remove(self) -> None:
        """Remove what this attempt has copied."""
        for copied in self._copied:
            self._partial.remove(copied.name)


class NewestEnd(NamedTuple):
    """Where the frames of the newest segment end in the copy, and what they say."""

    offset: int
    log_first_lsn: int
    """The largest first LSN of the log that it names."""
    time_ns: int
    """Unix time of its last frame, nanoseconds."""
    link: bytes
    """The link of its last frame with entries."""


def segment_chunks(source: LogSource, extent: Extent) -> Iterator[bytes | memoryview]:
    """Yield a completed segment: its header, its frames and its SEAL. The frames are checked in the buffer yielded."""
    header = extent.header
    yield header_bytes_of(source, header)
    if extent.seal_end and not authenticates(source.codec_of(header)):
        yield from chunks_by_seal(source, extent)
    else:
        yield from chunks_by_frame(source, extent)


def header_bytes_of(source: LogSource, header: SegmentHeader) -> bytes:
    """Return the header's bytes as they are stored. A codec without its key could not make their check again."""
    found = source.store.read(header.number, 0, source.format.traits.header_bytes)
    is_same = source.format.decode_header(found) == header
    if not is_same or not source.format.is_header_of(found, header, source.codec_of(header)):
        raise source.corrupt("its header is no longer what it was", header.number, 0)
    return found


def chunks_by_frame(source: LogSource, extent: Extent) -> Iterator[bytes | memoryview]:
    """Yield the frames up to the one that the next segment was made after, and the SEAL if it follows directly."""
    header = extent.header
    reader = FrameReader(source, header, source.format.traits.header_bytes, extent.end, header.first_lsn)
    for run in reader.runs():
        yield run.frames()
    if reader.expected_lsn <= extent.last_lsn:
        raise source.corrupt(reader.stop.value, header.number, reader.offset, reader.expected_lsn)
    if reader.link != extent.link:
        why = "its last frame is not the one its successor was made after"
        raise source.corrupt(why, header.number, reader.offset, reader.lsn_of_last_commit())
    if reader.offset == extent.end and extent.seal_end:
        yield source.store.read(header.number, extent.end, extent.seal_end)


def chunks_by_seal(source: LogSource, extent: Extent) -> Iterator[bytes | memoryview]:
    """Yield chunks of runs, each checked by its CRC in the SEAL, and then the SEAL.

    Damage after the segment's last entry is left out, and the SEAL with it. No entry is missing then.
    """
    header = extent.header
    seal = read_seal(source, header, extent.end, extent.seal_end)
    if seal is None:
        raise source.corrupt("its SEAL is no longer what it was", header.number, extent.end)
    for chunk, start, failed in read_checked_chunks(source, header, seal):
        for run in failed:
            end = intact_end(source, header, seal, run)
            is_last = run + 1 == len(seal.runs)
            if end < (seal.offset if is_last else seal.runs.offsets[run + 1]):
                yield memoryview(chunk)[: end - start]
                return
        yield chunk
    yield source.store.read(header.number, extent.end, extent.seal_end)
