"""Check consecutive frames with entries, format 1.

There is one plain way, which asks the codec about each frame. Beside it stands a fast way for single entries whose
check is a CRC-32, which is the default. It leaves every other frame to the plain way. So both together find what the
plain way alone finds. A still faster way checks single entries of one length, all together. It is taken only if
nothing is wrong with any of them, and makes every comparison that the others make.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from itertools import repeat
from operator import countOf, le
from struct import Struct
from typing import TYPE_CHECKING, Final

from walogs.formats.crc32 import CRC_BYTES, crc32, is_checked_by_crc
from walogs.formats.native_runs import ALIKE_MAX, FRAME_HEADER_BYTES
from walogs.formats.segment_format import LARGEST, CheckedRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.protocols import Codec

ENTRIES_TAG: Final = 0x57D7 | 1 << 16
"""Magic, kind and flags of a frame with entries, as one number."""
BODY_BYTES: Final = Struct("<4xI")
TAGGED: Final = Struct("<IIQq8sIII")
"""The fields of a frame header. Magic, kind and flags are one number, and a time that is too large is negative."""
TAGGED_WITH_CRC: Final = Struct("<IIQqQIIII")
"""The same with the CRC of the header. The link is a number."""
CHECK_AND_NEXT: Final = tuple(Struct(f"<I{padding}xIIQqQIIII").unpack_from for padding in range(8))
"""By the length of the padding between them: the check of a frame, and the fields of the header after it."""
WORDS: Final = FRAME_HEADER_BYTES // 4
QUADS: Final = FRAME_HEADER_BYTES // 8
"""A frame header is so many numbers of 4 bytes, or of 8."""
TIME_SIGN_AT: Final = 23
"""The highest byte of the time is there."""
ALIKE_MIN: Final = 4
"""Fewer frames are looked at one by one."""
INTACT: Final = 0x2144DF1C
"""The CRC-32 of any bytes with their own CRC after them. It is the same for every seed."""
LINK_BYTES: Final = 8
LINK_AT: Final = 24
NEAR_THE_END: Final = LARGEST - (1 << 33)
"""Frames with LSNs above this are checked one by one. So no run that is checked at once can pass the largest LSN."""


def intact(
    buffer: bytes, index: int, offset: int, salt: int, first_lsn: int, link: bytes | None, room: int, codec: Codec
) -> CheckedRun:
    """Return what `SegmentFormat.intact` does."""
    if link is None:
        link = buffer[index + LINK_AT : index + LINK_AT + LINK_BYTES]
    full = index + room if first_lsn <= NEAR_THE_END else index
    base = offset - index
    singles = None
    if index < full and index + FRAME_HEADER_BYTES <= len(buffer) and is_checked_by_crc(codec):
        singles = singles_alike(buffer, index, base, salt, first_lsn, link, full)
        if singles is None:
            singles = singles_by_crc32(buffer, index, base, salt, first_lsn, link, full)
    if singles is None or not singles.frames:
        return frames_by_codec(buffer, index, base, salt, first_lsn, link, full, codec, is_begun=False)
    next_lsn = first_lsn + singles.entries
    rest = frames_by_codec(buffer, singles.end, base, salt, next_lsn, singles.link, full, codec, is_begun=True)
    return joined(singles, rest) if rest.frames else singles


def joined(first: CheckedRun, second: CheckedRun) -> CheckedRun:
    """Return two runs, neither of them empty, as one."""
    return CheckedRun(
        end=second.end,
        frames=first.frames + second.frames,
        entries=first.entries + second.entries,
        synced=max(first.synced, second.synced),
        link=second.link,
        first_time_ns=first.first_time_ns,
        last_time_ns=second.last_time_ns,
        lengths=(*first.lengths, *second.lengths),
    )


def frames_by_codec(
    buffer: bytes,
    at: int,
    base: int,
    salt: int,
    first_lsn: int,
    link: bytes,
    full: int,
    codec: Codec,
    *,
    is_begun: bool,
) -> CheckedRun:
    """Check frames from index *at* on, up to the one that reaches *full*. *base* is the offset of index 0.

    If *is_begun* is true, a batch is left for the next call.
    """
    unpack, check, check_bytes = TAGGED.unpack_from, codec.check, codec.check_bytes
    own: Callable[[bytes, bytes, bytes], bool] | None = getattr(codec, "is_check", None)
    fill, limit = bytes(LINK_BYTES - check_bytes) if check_bytes < LINK_BYTES else b"", len(buffer)
    frames = highest = first_ns = last_ns = 0
    lsn, last_link, lengths = first_lsn, link, list[int]()
    while at < full and at + 48 <= limit:
        tag, size, first, time_ns, before, count, where, synced = unpack(buffer, at)
        start, after = at + 48, at + ((size + 55) & -8)
        middle = start + size - check_bytes
        if (
            tag != ENTRIES_TAG
            or first != lsn
            or before != last_link
            or (count != 1 and (frames or is_begun or not count))
            or where != at + base
            or synced > where
            or time_ns < 0
            or after > limit
            or middle < start
        ):
            break
        header, proof = buffer[at:start], buffer[middle : start + size]
        if crc32(header, salt) != INTACT:
            break
        if own is None:
            if check(header, buffer[start:middle]) != proof:
                break
        elif not own(header, buffer[start:middle], proof):
            break
        if not frames:
            first_ns = time_ns
        highest = max(highest, synced)
        last_link = proof + fill if fill else proof[:LINK_BYTES]
        frames, lsn, last_ns, at = frames + 1, lsn + count, time_ns, after
        if count == 1:
            lengths.append(middle - start)
        else:  # a batch is read alone: if its table is bad, the entries before it are returned all the same
            break
    return CheckedRun(
        end=at,
        frames=frames,
        entries=lsn - first_lsn,
        synced=highest,
        link=last_link,
        first_time_ns=first_ns,
        last_time_ns=last_ns,
        lengths=lengths,
    )


def singles_by_crc32(
    buffer: bytes, at: int, base: int, salt: int, first_lsn: int, link: bytes, full: int
) -> CheckedRun:
    """Return what `frames_by_codec` does for frames with one entry and a CRC-32, as long as a whole header follows.

    The buffer has the header at index *at*. One call unpacks the check of a frame and the header after it. A check is a
    number here, and so is the link.
    """
    highest = last_ns = taken_ns = 0
    sizes: list[int] = []
    lsn, last, limit = first_lsn, int.from_bytes(link, "little"), len(buffer) - FRAME_HEADER_BYTES
    tag, size, first, time_ns, before, count, where, synced, crc = TAGGED_WITH_CRC.unpack_from(buffer, at)
    first_ns = time_ns
    while at < full:
        middle, after = at + 44 + size, at + ((size + 55) & -8)
        if (
            first != lsn
            or before != last
            or where != at + base
            or tag != ENTRIES_TAG
            or count != 1
            or synced > where
            or time_ns < 0
            or after > limit
            or size < 4
            or crc32(buffer[at : at + 44], salt) != crc
        ):
            break
        own, taken, taken_ns, read = crc32(buffer[at + 48 : middle], crc), synced, time_ns, size
        check, tag, size, first, time_ns, before, count, where, synced, crc = CHECK_AND_NEXT[-size & 7](buffer, middle)
        if own != check:
            break
        if taken > highest:  # noqa: PLR1730  # a call of max() would take a tenth of the loop's time
            highest = taken
        sizes.append(read)
        lsn, last, at = lsn + 1, own, after
        last_ns = taken_ns
    frames = lsn - first_lsn
    return CheckedRun(
        end=at,
        frames=frames,
        entries=frames,
        synced=highest,
        link=last.to_bytes(LINK_BYTES, "little"),
        first_time_ns=first_ns if frames else 0,
        last_time_ns=last_ns,
        lengths=[size - 4 for size in sizes],
    )


def singles_alike(
    buffer: bytes, at: int, base: int, salt: int, first_lsn: int, link: bytes, full: int
) -> CheckedRun | None:
    """Return what `singles_by_crc32` does, or None if not all of these frames are intact and of one length.

    The same field of all headers is compared at once.
    """
    (size,) = BODY_BYTES.unpack_from(buffer, at)
    frame_bytes = (size + 55) & -8
    count = min(-((at - full) // frame_bytes), (len(buffer) - FRAME_HEADER_BYTES - at) // frame_bytes)
    end = at + count * frame_bytes
    is_alike = size >= CRC_BYTES and ALIKE_MIN <= count <= ALIKE_MAX and base + end < 1 << 32
    if not is_alike or buffer[at + 4 : end : frame_bytes] != buffer[at + 4 : at + 5] * count:
        return None
    pieces = frames_alike(count, size).unpack_from(buffer, at)
    headers, checks = pieces[0::3], pieces[2::3]
    joined = b"".join(headers)
    words, quads = array("I", joined), array("Q", joined)
    if sys.byteorder == "big":
        words.byteswap()
        quads.byteswap()
    sizes, counts, places, synced, crcs = (words[field::WORDS] for field in (1, 8, 9, 10, 11))
    highest = places[-1] if synced == places else max(synced)
    lsns, times_ns, links = quads[1::QUADS], quads[2::QUADS], quads[3::QUADS]
    if (
        words[0::WORDS] != array("I", (ENTRIES_TAG,)) * count
        or sizes != array("I", (size,)) * count
        or counts != array("I", (1,)) * count
        or lsns != array("Q", range(first_lsn, first_lsn + count))
        or links != array("Q", (int.from_bytes(link, "little"), *checks[:-1]))
        or places != array("I", range(at + base, end + base, frame_bytes))
        or (highest > places[0] and synced != places and not all(map(le, synced, places)))
        or max(joined[TIME_SIGN_AT::FRAME_HEADER_BYTES]) > LARGEST >> 56
        or countOf(map(crc32, headers, repeat(salt)), INTACT) != count
        or tuple(map(crc32, pieces[1::3], crcs)) != checks
    ):
        return None
    return CheckedRun(
        end=end,
        frames=count,
        entries=count,
        synced=highest,
        link=checks[-1].to_bytes(LINK_BYTES, "little"),
        first_time_ns=times_ns[0],
        last_time_ns=times_ns[-1],
        lengths=[size - CRC_BYTES] * count,
    )


@lru_cache(16)
def frames_alike(count: int, size: int) -> Struct:
    """Return what cuts *count* frames with a body of *size* bytes into header, entry and check, one after another."""
    return Struct("<" + f"{FRAME_HEADER_BYTES}s{size - CRC_BYTES}sI{-size & 7}x" * count)
