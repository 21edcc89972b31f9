"""The entries and commits of an intact run of frames, format 1.

A run is whole frames, end to end, whose checks hold. Each function has one plain way, which walks over the frames by
their headers. Beside it stands a fast way for what logs hold most: frames or entries that are all of one length, and
batches. It is taken only if the bytes themselves show that it fits, and it returns what the plain way returns.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from io import BytesIO
from itertools import accumulate
from operator import countOf, sub
from struct import Struct, unpack_from
from struct import error as StructError  # noqa: N812
from typing import TYPE_CHECKING, Final

from walogs.formats.segment_format import Malformed
from walogs.types import Commit

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAME_HEADER_BYTES: Final = 48
BODY_AND_COUNT: Final = Struct("<4xI24xI")
"""The length of the body, and the number of entries."""
COMMIT: Final = Struct("<4xIQQ8xI")
"""The length of the body, the first LSN, the time, and the number of entries."""
U32: Final = Struct("<I")
NO_OFFSET: Final = bytes(4)
BYTES_OF_BODY_AND_COUNT: Final = (*range(4, 8), *range(32, 36))
"""Where the bytes of BODY_AND_COUNT lie in a frame."""
LENGTH_MAX: Final = (1 << 16) - 1
"""The largest length that a `RunIndex` has of an entry."""
ALIKE_MAX: Final = 4096
"""More pieces of one length are taken the plain way. This bounds what is remembered of their layout, to about 2 MB."""

CUT_OFF: Final = "its last frame ends in the middle of another"


# Frames


def payloads(run: bytes, check_bytes: int, lengths: array[int] | None = None) -> list[bytes]:
    """Return the entries of a run. Raises `Malformed` if a batch has an invalid table, or a frame ends elsewhere than
    the next begins.

    *lengths* are those that a `RunIndex` has of this run: each frame holds one entry, of this stored length.
    """
    alike = frames_alike(run, check_bytes)
    if alike is not None:
        count, length, after = alike
        return list(pieces_alike(count, length, FRAME_HEADER_BYTES, after).unpack(run))
    found = payloads_by_lengths(run, check_bytes, lengths) if lengths else None
    return found if found is not None else payloads_by_headers(run, check_bytes)


def payloads_by_headers(run: bytes, check_bytes: int) -> list[bytes]:
    """Return what `payloads` does, frame by frame."""
    found: list[bytes] = []
    add = found.append
    unpack = BODY_AND_COUNT.unpack_from
    at, end, less = 0, len(run), FRAME_HEADER_BYTES - check_bytes
    try:
        while at < end:
            size, count = unpack(run, at)
            if count == 1:
                add(run[at + 48 : at + less + size])
            elif count:
                found += entries_between(run, at + 48, at + less + size, count)
            at += (size + 55) & -8
    except StructError:
        raise Malformed(CUT_OFF) from None
    if at != end:
        raise Malformed(CUT_OFF)
    return found


def payloads_by_lengths(run: bytes, check_bytes: int, lengths: array[int]) -> list[bytes] | None:
    """Return what `payloads` does if each frame holds one entry of this length, or None if the run is not as long."""
    after = bytes_after_each(lengths, check_bytes)
    whole = BytesIO(run)  # this is no copy, and reading goes on where it ended
    read = whole.read
    before = bytes((FRAME_HEADER_BYTES,)) + after
    found = [read(length) for gap, length in zip(before, lengths, strict=False) if read(gap)]
    return found if whole.tell() + after[-1] - FRAME_HEADER_BYTES == len(run) else None


def has_lengths(run: bytes, check_bytes: int, lengths: array[int]) -> bool:
    """Return whether each frame of an intact run holds one entry, and these are their stored lengths."""
    alike = frames_alike(run, check_bytes)
    if alike is not None:
        count, length, _ = alike
        return length <= LENGTH_MAX and lengths == array("H", (length,)) * count
    return has_lengths_by_headers(run, check_bytes, lengths)


def has_lengths_by_headers(run: bytes, check_bytes: int, lengths: array[int]) -> bool:
    """Return what `has_lengths` does, frame by frame."""
    at, unpack = 0, BODY_AND_COUNT.unpack_from
    for length in lengths:
        if at + FRAME_HEADER_BYTES > len(run) or unpack(run, at) != (length + check_bytes, 1):
            return False
        at += (FRAME_HEADER_BYTES + length + check_bytes + 7) & -8
    return at == len(run)


def bytes_after_each(lengths: array[int], check_bytes: int) -> bytes:
    """Return how many bytes are between each entry and the next: check, padding and header."""
    low_bytes = lengths.tobytes()[sys.byteorder == "big" :: 2]
    return low_bytes.translate(bytes_after(check_bytes))


@lru_cache(8)
def bytes_after(check_bytes: int) -> bytes:
    """Return the number of bytes after an entry, by the lowest byte of its length."""
    return bytes(check_bytes + (-(length + check_bytes) & 7) + FRAME_HEADER_BYTES for length in range(256))


def frames_alike(run: bytes, check_bytes: int) -> tuple[int, int, int] | None:
    """Return (frames, the length of each entry, the bytes after it), if all frames hold one entry of one length.

    Each byte of the two fields is compared in all frames at once. The first frame says where the others must begin.
    """
    if len(run) < FRAME_HEADER_BYTES:
        return None
    size, count = BODY_AND_COUNT.unpack_from(run)
    frame_bytes, length = (size + 55) & -8, size - check_bytes
    frames, rest = divmod(len(run), frame_bytes)
    if count != 1 or rest or length < 0 or frames > ALIKE_MAX:
        return None
    for at in BYTES_OF_BODY_AND_COUNT:
        if run[at::frame_bytes] != run[at : at + 1] * frames:
            return None
    return frames, length, frame_bytes - FRAME_HEADER_BYTES - length


def entry(run: bytes, check_bytes: int, position: int, lengths: array[int] | None = None) -> bytes | None:
    """Return the entry at *position* of a run, or None if it has fewer. Raises what `payloads` raises for its batch."""
    if lengths is not None and 0 <= position < len(lengths):
        before, length = lengths[:position], lengths[position]
        start = sum(before) + sum(bytes_after_each(before, check_bytes)) + FRAME_HEADER_BYTES
        is_there = start + length + check_bytes <= len(run)
        if is_there and BODY_AND_COUNT.unpack_from(run, start - FRAME_HEADER_BYTES) == (length + check_bytes, 1):
            return run[start : start + length]
    alike = frames_alike(run, check_bytes)
    if alike is not None:
        count, length, after = alike
        start = FRAME_HEADER_BYTES + position * (FRAME_HEADER_BYTES + length + after)
        return run[start : start + length] if position < count else None
    at, less, unpack = 0, FRAME_HEADER_BYTES - check_bytes, BODY_AND_COUNT.unpack_from
    while at < len(run):
        if at + FRAME_HEADER_BYTES > len(run):
            raise Malformed(CUT_OFF)
        size, count = unpack(run, at)
        if position < count:
            start, end = at + FRAME_HEADER_BYTES, at + less + size
            if end > len(run):
                raise Malformed(CUT_OFF)
            return run[start:end] if count == 1 else entry_between(run, start, end, count, position)
        position -= count
        at += (size + 55) & -8
    return None


def commits(run: bytes) -> list[Commit]:
    """Return the commit of each frame with entries. Raises `Malformed` if they do not end where the run ends."""
    found: list[Commit] = []
    add, make, unpack, at, end = found.append, Commit._make, COMMIT.unpack_from, 0, len(run)
    try:
        while at < end:
            size, first_lsn, time_ns, count = unpack(run, at)
            if count:
                add(make((first_lsn, first_lsn + count - 1, time_ns)))
            at += (size + 55) & -8
    except StructError:
        raise Malformed(CUT_OFF) from None
    if at != end:
        raise Malformed(CUT_OFF)
    return found


# Bodies


def entries_between(buffer: bytes, start: int, end: int, count: int) -> list[bytes]:
    """Return the entries of the body in buffer[start:end]. Raises `Malformed` if its table is invalid."""
    if count == 1:
        return [buffer[start:end]]
    data = start + 4 * (count + 1)
    length = length_of_all(buffer, start, end, count)
    if length is not None:
        return list(pieces_alike(count, length).unpack_from(buffer, data))
    rest = BytesIO(buffer)  # this is no copy, and its reads take two thirds of the time of as many slices
    rest.seek(data)
    return list(map(rest.read, lengths_between(buffer, start, end, count)))


def entry_between(buffer: bytes, start: int, end: int, count: int, position: int) -> bytes:
    """Return one entry of the batch in buffer[start:end]. Raises `Malformed` if its table is invalid."""
    data = start + 4 * (count + 1)
    length = length_of_all(buffer, start, end, count)
    if length is not None:
        return buffer[data + position * length : data + (position + 1) * length]
    if steps_between(buffer, start, end, count) is None:
        lengths_by_offsets(buffer, start, end, count)  # raises if the table is invalid
    first, after = unpack_from("<2I", buffer, start + 4 * position)
    return buffer[data + first : data + after]


def length_of_all(buffer: bytes, start: int, end: int, count: int) -> int | None:
    """Return the length of the entries if all have the same one, by the table of the batch in buffer[start:end]."""
    length, rest = divmod(end - start - 4 * (count + 1), count)
    can_be = not rest and length >= 0 and count <= ALIKE_MAX
    return length if can_be and buffer.startswith(even_table(count, length), start) else None


def lengths_between(buffer: bytes, start: int, end: int, count: int) -> Iterable[int]:
    """Return the length of each entry of the batch in buffer[start:end]. Raise `Malformed` if its table is invalid."""
    steps = steps_between(buffer, start, end, count)
    if steps is None:
        return lengths_by_offsets(buffer, start, end, count)
    lengths = array("I", steps.to_bytes(4 * count, "little"))
    if sys.byteorder == "big":
        lengths.byteswap()
    return lengths


def lengths_by_offsets(buffer: bytes, start: int, end: int, count: int) -> Iterable[int]:
    """Return what `lengths_between` does, offset by offset."""
    data_bytes = end - start - 4 * (count + 1)
    if data_bytes < 0 or end > len(buffer):
        raise Malformed(f"a body of {end - start} bytes cannot hold {count} entries")
    offsets = unpack_from(f"<{count + 1}I", buffer, start)
    # Sorting what is in order takes half the time of comparing each offset with the next.
    if offsets[0] != 0 or offsets[-1] != data_bytes or sorted(offsets) != list(offsets):
        raise Malformed("its table of entry offsets does not ascend from 0 to the end of the body")
    return map(sub, offsets[1:], offsets)


def steps_between(buffer: bytes, start: int, end: int, count: int) -> int | None:
    """Return the lengths of the entries of a batch as one number, 32 bits for each.

    Return None if the table is invalid, has an offset of 2 GiB or more, or has more than ALIKE_MAX entries. Each offset
    is subtracted from the one after it, all at once. The highest bit of each is free. It is set before, so that none
    borrows from the next one. It is still set afterwards if the offset after is not smaller.
    """
    last, bits = start + 4 * count, 32 * count
    is_short = last + 4 > end or end > len(buffer) or count > ALIKE_MAX
    if is_short or buffer[start : start + 4] != NO_OFFSET or U32.unpack_from(buffer, last)[0] != end - last - 4:
        return None
    tops, after = top_bits(count), int.from_bytes(buffer[start + 4 : last + 4], "little")
    if after & tops:
        return None
    steps = (after | tops) - ((after << 32) ^ ((end - last - 4) << bits))  # without the last one, all move up by one
    return steps ^ tops if steps & tops == tops else None


@lru_cache(16)
def top_bits(count: int) -> int:
    """Return a number of *count* times 32 bits, of which the highest are set."""
    return int.from_bytes(b"\0\0\0\x80" * count, "little")


def offset_table(entries: list[bytes]) -> bytes:
    """Return the offset table of a batch: where each entry begins after the table, and where the last one ends."""
    count, length = len(entries), len(entries[0])
    if count <= ALIKE_MAX and len(entries[-1]) == length and countOf(map(len, entries), length) == count:
        return even_table(count, length)
    return table_of(accumulate(map(len, entries), initial=0))


def table_of(offsets: Iterable[int]) -> bytes:
    table = array("I", offsets)
    if sys.byteorder == "big":
        table.byteswap()
    return table.tobytes()


@lru_cache(16)
def even_table(count: int, length: int) -> bytes:
    """Return the offset table of *count* entries that all have this length."""
    return table_of(range(0, length * count + 1, length) if length else (0,) * (count + 1))


@lru_cache(16)
def pieces_alike(count: int, length: int, before: int = 0, after: int = 0) -> Struct:
    """Return what unpacks *count* pieces of this length, each with so many other bytes before and after it."""
    return Struct(f"{before}x{length}s{after}x" * count)
