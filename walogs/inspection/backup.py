"""`backup`: a copy of a log that opens, made beside its writer. Every byte of it is checked on its way."""

from __future__ import annotations

import os
import shutil
import time
from bisect import bisect_right
from itertools import count, pairwise
from typing import TYPE_CHECKING, Final

from walogs.assembly import source_of
from walogs.config import config_error, overridden
from walogs.defaults.local_store import DIRECTORY_MODE, FILE_MODE, WITNESS, LocalStore, sync_full
from walogs.engine.beside import completed_extent, look_beside
from walogs.engine.reading import Extent
from walogs.engine.segments import read_seal
from walogs.engine.walk import CHUNK_BYTES, Seen, SeenRun, Walk
from walogs.errors import Corrupt, Missing
from walogs.formats import witness as witness_bytes
from walogs.formats.crc32 import crc32
from walogs.formats.segment_format import Kind
from walogs.protocols import is_appendable
from walogs.types import BackupReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typing_extensions import Unpack

    from walogs.config import Overrides, WalConfig
    from walogs.engine.beside import Bound
    from walogs.engine.source import Source

STARTS_MAX: Final = 5
"""A checkpoint that overtakes a backup has it start over, and so does damage, until it is there again; so often."""


def backup(
    src: str | os.PathLike[str] | None,
    dst: str | os.PathLike[str],
    progress: Callable[[int, int], object] | None = None,
    config: WalConfig | None = None,
    **overrides: Unpack[Overrides],
) -> BackupReport:
    """Copy what is durable in the log *src* to the new directory *dst*, which then opens as a log.

    Durable is what the witness or a later frame testifies to. Where the witness lags (a power cut has outrun it and the
    log was not opened since, or it could not be written) the last commit can be missing: `last_lsn` says so.

    Takes no lock and changes nothing in *src*, which may be written to meanwhile; in one pass, in memory bounded by one
    frame. It grows under the name `DST.partial` and is renamed when all of it is synced: what has the name *dst* is
    whole. *progress* is called with (bytes copied, bytes to copy); the second is an estimate until the last call.
    Raises `Corrupt` (a backup never copies damage), `FileExistsError`, `Missing` (no log is there), `OSError`: then
    there is no *dst*.
    """
    target = os.path.abspath(os.fspath(dst))
    source = source_of(src, overridden(config, overrides))
    if isinstance(source.store, LocalStore) and os.path.realpath(source.store.path) == os.path.realpath(target):
        raise config_error(f"dst={target!r}: the log itself")
    if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
        raise FileExistsError(17, "a backup is made in a directory that is new or empty", target)
    partial = f"{target}.partial"
    began = time.monotonic()
    copied = copied_whole(source, partial, progress)
    os.rename(partial, target)
    sync_directory(os.path.dirname(target))
    return BackupReport(*copied, duration_seconds=time.monotonic() - began)


def copied_whole(
    source: Source, partial: str, progress: Callable[[int, int], object] | None
) -> tuple[int, int, int, int]:
    """`copy`, again when a checkpoint has overtaken it; damage is what is there again and again. Leaves nothing behind
    when it raises."""
    for start in count(1):
        shutil.rmtree(partial, ignore_errors=True)
        os.makedirs(partial, DIRECTORY_MODE)
        try:
            return copy(source, partial, progress)
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if start == STARTS_MAX or not isinstance(error, (Missing, Corrupt)) or not source.store.segments():
                raise
    raise AssertionError


def copy(source: Source, directory: str, progress: Callable[[int, int], object] | None) -> tuple[int, int, int, int]:
    """(segments, bytes, first LSN, last LSN) of what was copied and synced."""
    bound = look_beside(source, "durable")
    extents = list(extents_of(source, bound))
    total, done, began = sum(extent.seal_end or extent.end for extent in extents), 0, 0
    for extent in extents:
        number, began = extent.header.number, done
        with open(os.path.join(directory, f"wal-{number:06d}.log"), "xb", opener=private) as file:
            for piece in newest_pieces(source, extent, bound) if extent is extents[-1] else pieces(source, extent):
                file.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(done, max(done, total))
            file.flush()
            sync_full(file.fileno())
        total -= (extent.seal_end or extent.end) - (done - began)  # what follows the frames where there is no SEAL
    if is_appendable(source.store) and source.format.traits.has_witness:
        write_witness(directory, bound, done - began)
    sync_directory(directory)
    return len(extents), done, bound.base_lsn, bound.last_lsn


def extents_of(source: Source, bound: Bound) -> Iterator[Extent]:
    """The segments that hold what is at or above the base, as far as each is durable."""
    headers = [source.header(number) for number in bound.numbers[:-1]] + [bound.newest]
    for header, successor in pairwise(headers):
        if successor.first_lsn > bound.base_lsn:
            yield completed_extent(source, header, successor)
    yield Extent(bound.newest, bound.last_lsn, bound.end, 0, None)


def pieces(source: Source, extent: Extent) -> Iterator[bytes | memoryview]:
    """The bytes of a completed segment: header, frames, each checked in the buffer that is written, SEAL."""
    header = extent.header
    yield source.format.encode_header(header)
    if extent.seal_end:
        yield from sealed_pieces(source, extent)
        yield source.store.read(header.number, extent.end, extent.seal_end)
        return
    walk = Walk(source, header, source.format.traits.header_bytes, extent.end, header.first_lsn)
    for seen in walk.runs():
        yield bytes_of(seen)
    if walk.expected_lsn <= extent.last_lsn:
        raise source.corrupt(walk.stop.value, header.number, walk.offset, walk.expected_lsn)


def newest_pieces(source: Source, extent: Extent, bound: Bound) -> Iterator[bytes | memoryview]:
    """The bytes of the newest segment up to the bound; then the base, where a CHECKPOINT after that carries it. Nothing
    may testify yet that it was synced, but what is below the base is gone, and not in the copy."""
    header, form = extent.header, source.format
    base_lsn, time_ns = header.base_lsn, header.created_ns
    yield form.encode_header(header)
    walk = Walk(source, header, form.traits.header_bytes, extent.end, header.first_lsn)
    for seen in walk.runs():
        if isinstance(seen, SeenRun):
            time_ns = seen.intact.last_time_ns
        else:
            time_ns = seen.header.time_ns
            if seen.header.kind == Kind.CHECKPOINT.value:
                base_lsn = max(base_lsn, seen.header.first_lsn)
        yield bytes_of(seen)
    if walk.expected_lsn <= extent.last_lsn or walk.offset < extent.end:
        raise source.corrupt(walk.stop.value, header.number, walk.offset, walk.expected_lsn)
    if base_lsn < bound.base_lsn:
        yield form.encode_checkpoint(header.salt, walk.offset, extent.end, bound.base_lsn, time_ns)


def bytes_of(seen: Seen | SeenRun) -> bytes | memoryview:
    return seen.frames() if isinstance(seen, SeenRun) else seen.frame()


def sealed_pieces(source: Source, extent: Extent) -> Iterator[bytes]:
    """Whole runs, as many as a chunk holds, each under its CRC in the SEAL."""
    header = extent.header
    seal = read_seal(source, header, extent.end, extent.seal_end)
    if seal is None:
        raise source.corrupt("its SEAL is no longer what it was", header.number, extent.end)
    offsets, ends = seal.runs.offsets, [*seal.runs.offsets[1:], seal.offset]
    lsns = [*seal.runs.first_lsns[1:], seal.last_lsn + 1]
    at = 0
    while at < len(offsets):
        last = bisect_right(ends, offsets[at] + CHUNK_BYTES, lo=at + 1)
        chunk = source.store.read(header.number, offsets[at], ends[last - 1])
        view = memoryview(chunk)
        for k in range(at, last):
            if crc32(view[offsets[k] - offsets[at] : ends[k] - offsets[at]], 0) != seal.runs.crcs[k]:
                refuse_damaged_run(source, extent, (offsets[k], ends[k]), seal.runs.first_lsns[k], lsns[k])
        yield chunk
        at = last


def refuse_damaged_run(source: Source, extent: Extent, run: tuple[int, int], first_lsn: int, next_lsn: int) -> None:
    """Nothing but padding may differ in a run whose CRC does not match."""
    walk = Walk(source, extent.header, run[0], run[1], first_lsn)
    for _ in walk:
        pass
    if walk.expected_lsn != next_lsn or walk.offset < run[1]:
        raise source.corrupt(walk.stop.value, extent.header.number, walk.offset, walk.expected_lsn)


def write_witness(directory: str, bound: Bound, end: int) -> None:
    """What the copy holds is synced, up to *end* of its newest segment: damage to its very end will be seen too."""
    header = bound.newest
    data = witness_bytes.encode(header.log_id, header.number, end, bound.last_lsn, header.salt)
    with open(os.path.join(directory, WITNESS), "xb", opener=private) as file:
        file.write(data)
        file.flush()
        sync_full(file.fileno())


def private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, FILE_MODE)


def sync_directory(path: str | Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_full(fd)
    finally:
        os.close(fd)
