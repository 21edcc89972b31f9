"""Format 1, `native`. Little-endian throughout; docs/format.md has each rule's reason and a worked example.

Segment header, 512 bytes
      0   8  magic 89 57 41 4C 4F 47 0D 0A         64   8  first LSN this segment will hold
      8   2  format version, 1                     72   8  base LSN
     10   2  flags: bit 0 FENCE, bit 1 BASE        80   4  salt of the previous segment
     12   4  salt, not 0                           84   4  header CRC of its last frame with entries
     16  16  log id                                88   8  created, Unix nanoseconds
     32  16  writer id                             96  64  codec name: length u8, then UTF-8
     48   8  segment number                       160 348  codec parameters: length u16, then JSON
     56   8  epoch                                508   4  CRC-32 of bytes 0-507

Frame: 40-byte header, body, zero padding to a multiple of 8
      0   2  magic D7 57                           16   8  time of the commit, Unix nanoseconds
      2   1  kind: 1 ENTRIES, 2 SEAL, 3 CHECKPOINT 24   4  entries in the body
      3   1  flags, 0                              28   4  offset of this frame in the segment
      4   4  body bytes (stored form and check)    32   4  synced: end offset known synced when it was written
      8   8  first LSN                             36   4  CRC-32 of bytes 0-35, from the segment's salt
"""

from __future__ import annotations

import sys
from array import array
from itertools import accumulate, pairwise
from operator import le
from struct import Struct, pack, unpack_from
from typing import TYPE_CHECKING, Final

from walogs.errors import UnsupportedFormat
from walogs.formats.crc32 import crc32
from walogs.formats.segment_format import (
    LARGEST,
    Draft,
    FrameHeader,
    Intact,
    Kind,
    Malformed,
    RunIndex,
    Seal,
    SegmentHeader,
    Stop,
    Traits,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.protocols import Codec

MAGIC: Final = b"\x89WALOG\r\n"
VERSION: Final = 1
FENCE: Final = 1
BASE: Final = 2
HEADER_BYTES: Final = 512
HEADER: Final = Struct("<8sHHI16s16sQQQQIIQ")
CODEC_NAME_AT: Final = 96
CODEC_NAME_MAX: Final = 63
CODEC_PARAMETERS_AT: Final = 160
CODEC_PARAMETERS_MAX: Final = 346
HEADER_CRC_AT: Final = 508

FRAME_MAGIC: Final = b"\xd7\x57"
FRAME_TAG: Final = 0x57D7
FRAME: Final = Struct("<HBBIQQIII")
FRAME_AND_CRC: Final = Struct("<HBBIQQIIII")
FRAME_HEADER_BYTES: Final = 40
BODY_AND_COUNT: Final = Struct("<4xI16xI")
U32: Final = Struct("<I")
CHECK_BYTES: Final = 4
PADDING: Final = tuple(bytes(n) for n in range(8))

SEAL_BODY: Final = Struct("<IIQQqq")
SEAL_RUN: Final = Struct("<III")
SEAL_TRAILER: Final = Struct("<I4s")
SEAL_MARK: Final = b"SEAL"

assert HEADER.size == CODEC_NAME_AT  # The tables above, and the bytes already on people's disks.
assert CODEC_PARAMETERS_AT + 2 + CODEC_PARAMETERS_MAX == HEADER_CRC_AT
assert FRAME.size + U32.size == FRAME_AND_CRC.size == FRAME_HEADER_BYTES

BODY_BYTES_MAX: Final = 1 << 30
"""No body before the codec is larger; leaves a codec room to grow it below the 2^31 - 1 that a frame can say."""
SEAL_BYTES_MAX: Final = 1 << 20
SEGMENT_BYTES_MAX: Final = (1 << 32) - 2 * SEAL_BYTES_MAX
"""u32 offsets bound a segment to 4 GiB; this leaves room for the SEAL of one that is full, and for CHECKPOINTs."""


def offset_table(entries: list[bytes]) -> bytes:
    """Where each of a batch's entries begins after the table, and where the last one ends."""
    offsets = array("I", accumulate(map(len, entries), initial=0))
    if sys.byteorder == "big":
        offsets.byteswap()
    return offsets.tobytes()


class NativeFormat:
    """The format of every log that walogs makes. Stateless."""

    traits: Traits = Traits(
        name="native",
        header_bytes=HEADER_BYTES,
        alignment=8,
        has_watermark=True,
        has_seal=True,
        has_base=True,
        has_witness=True,
        relies_on_windows=True,
        has_batches=True,
        has_codec=True,
        body_bytes_max=BODY_BYTES_MAX,
        segment_bytes_max=SEGMENT_BYTES_MAX,
    )

    # Segment headers

    def begins(self, head: bytes) -> bool:
        return head[: len(MAGIC)] == MAGIC

    def encode_header(self, header: SegmentHeader) -> bytes:
        name, parameters = header.codec_name.encode(), header.codec_parameters
        if not 0 < len(name) <= CODEC_NAME_MAX or len(parameters) > CODEC_PARAMETERS_MAX:
            raise Malformed("codec name or parameters do not fit a segment header")
        fixed = HEADER.pack(
            MAGIC,
            VERSION,
            (FENCE if header.is_fence else 0) | (BASE if header.is_base else 0),
            header.salt,
            header.log_id,
            header.writer_id,
            header.number,
            header.epoch,
            header.first_lsn,
            header.base_lsn,
            header.previous_salt,
            header.previous_check,
            header.created_ns,
        )
        named = fixed + bytes((len(name),)) + name.ljust(CODEC_NAME_MAX, b"\0")
        whole = named + pack("<H", len(parameters)) + parameters.ljust(CODEC_PARAMETERS_MAX, b"\0")
        return whole + U32.pack(crc32(whole, 0))

    def decode_header(self, data: bytes) -> SegmentHeader:
        if not self.begins(data):
            raise Malformed("it does not begin as a walogs segment does")
        if len(data) < HEADER_BYTES:
            raise Malformed(f"its header is cut short ({len(data)} of {HEADER_BYTES} bytes)")
        if U32.unpack_from(data, HEADER_CRC_AT)[0] != crc32(data[:HEADER_CRC_AT], 0):
            raise Malformed("its header's CRC does not match")
        fields = HEADER.unpack_from(data)
        _, version, flags, salt, log_id, writer_id, number, epoch, first_lsn, base_lsn, previous, check, created = (
            fields
        )
        if version != VERSION:  # Every version keeps magic, version and this CRC where they are: newer is not damaged.
            raise UnsupportedFormat(f"format version {version}; this release reads {VERSION}", found=str(version))
        if flags & ~(FENCE | BASE):
            raise UnsupportedFormat(f"header flags {flags:#06x}; this release knows 0x0003", found=f"{flags:#06x}")
        name_bytes = data[CODEC_NAME_AT]
        (parameter_bytes,) = unpack_from("<H", data, CODEC_PARAMETERS_AT)
        in_order = 1 <= base_lsn <= first_lsn <= LARGEST and 0 < number < LARGEST and 0 < epoch < LARGEST >= created
        if not salt or not in_order or name_bytes > CODEC_NAME_MAX or parameter_bytes > CODEC_PARAMETERS_MAX:
            raise Malformed("its header holds values that no writer makes")
        try:
            name = data[CODEC_NAME_AT + 1 : CODEC_NAME_AT + 1 + name_bytes].decode()
        except UnicodeDecodeError as error:
            raise Malformed("its codec's name is not UTF-8") from error
        parameters = data[CODEC_PARAMETERS_AT + 2 : CODEC_PARAMETERS_AT + 2 + parameter_bytes]
        return SegmentHeader(
            number=number,
            first_lsn=first_lsn,
            base_lsn=base_lsn,
            epoch=epoch,
            log_id=log_id,
            writer_id=writer_id,
            salt=salt,
            previous_salt=previous,
            previous_check=check,
            created_ns=created,
            codec_name=name,
            codec_parameters=parameters,
            is_fence=bool(flags & FENCE),
            is_base=bool(flags & BASE),
        )

    # Writing frames

    def frame_bytes(self, stored_bytes: int, check_bytes: int) -> int:
        return (FRAME_HEADER_BYTES + stored_bytes + check_bytes + 7) & -8

    def body_bytes(self, count: int, entries_bytes: int) -> int:
        return entries_bytes if count == 1 else 4 * (count + 1) + entries_bytes

    def body(self, entries: list[bytes]) -> bytes:
        return entries[0] if len(entries) == 1 else b"".join((offset_table(entries), *entries))

    def draft(self, entries: list[bytes], check_bytes: int) -> Draft:
        table = offset_table(entries)
        body_bytes = len(table) + U32.unpack_from(table, len(table) - U32.size)[0]
        after = bytes(check_bytes + (-(body_bytes + check_bytes) & 7))
        return Draft(bytearray().join((bytes(FRAME_HEADER_BYTES), table, *entries, after)), body_bytes)

    def encode_entries(
        self,
        salt: int,
        offset: int,
        synced: int,
        first_lsn: int,
        count: int,
        time_ns: int,
        stored: bytes | Draft,
        codec: Codec,
    ) -> tuple[bytes | bytearray, int]:
        size = len(stored) + codec.check_bytes
        head = FRAME.pack(FRAME_TAG, 1, 0, size, first_lsn, time_ns, count, offset, synced)
        seed = crc32(head, salt)
        if isinstance(stored, Draft):
            frame, end = stored.frame, FRAME_HEADER_BYTES + len(stored)
            frame[:FRAME_HEADER_BYTES] = head + U32.pack(seed)
            frame[end : end + codec.check_bytes] = codec.check(seed, memoryview(frame)[FRAME_HEADER_BYTES:end])
            return frame, seed
        return b"".join((head, U32.pack(seed), stored, codec.check(seed, stored), PADDING[-size & 7])), seed

    def encode_checkpoint(self, salt: int, offset: int, synced: int, base_lsn: int, time_ns: int) -> bytes:
        head = FRAME.pack(FRAME_TAG, 3, 0, CHECK_BYTES, base_lsn, time_ns, 0, offset, synced)
        seed = crc32(head, salt)
        return head + U32.pack(seed) + U32.pack(crc32(b"", seed)) + PADDING[4]

    def encode_seal(self, header: SegmentHeader, synced: int, seal: Seal) -> bytes:
        runs = seal.runs
        body = SEAL_BODY.pack(
            seal.frames, len(runs), seal.entries, seal.last_lsn, seal.first_commit_ns, seal.last_commit_ns
        ) + b"".join(
            SEAL_RUN.pack(offset, first_lsn - header.first_lsn, crc)
            for offset, first_lsn, crc in zip(runs.offsets, runs.first_lsns, runs.crcs, strict=True)
        )
        size = len(body) + CHECK_BYTES + SEAL_TRAILER.size
        head = FRAME.pack(FRAME_TAG, 2, 0, size, seal.last_lsn + 1, seal.last_commit_ns, 0, seal.offset, synced)
        seed = crc32(head, header.salt)
        check, trailer = U32.pack(crc32(body, seed)), SEAL_TRAILER.pack(seal.offset, SEAL_MARK)
        return b"".join((head, U32.pack(seed), body, check, trailer, PADDING[-size & 7]))

    # Reading frames

    def header_at(self, buffer: bytes, index: int, offset: int, salt: int) -> FrameHeader | Stop:
        if len(buffer) - index < FRAME_HEADER_BYTES:
            return Stop.END
        tag, kind, flags, size, first_lsn, time_ns, count, at, synced, crc = FRAME_AND_CRC.unpack_from(buffer, index)
        if tag != FRAME_TAG or at != offset or crc32(buffer[index : index + 36], salt) != crc:
            return Stop.NOT_A_FRAME
        return FrameHeader(kind, flags, size, first_lsn, time_ns, count, offset, synced, crc)

    def frame_end(self, header: FrameHeader) -> int:
        return (header.offset + FRAME_HEADER_BYTES + header.body_bytes + 7) & -8

    def check_at(self, buffer: bytes, index: int, header: FrameHeader, codec: Codec) -> bool:
        start, end = index + FRAME_HEADER_BYTES, index + FRAME_HEADER_BYTES + header.body_bytes
        if header.kind == 1:
            middle = end - codec.check_bytes
            return middle >= start and codec.check(header.crc, buffer[start:middle]) == buffer[middle:end]
        if header.kind == 3:
            return buffer[start:end] == U32.pack(crc32(b"", header.crc))
        if header.kind == 2:
            middle = end - CHECK_BYTES - SEAL_TRAILER.size
            check = buffer[middle : middle + CHECK_BYTES]
            return middle >= start and U32.pack(crc32(buffer[start:middle], header.crc)) == check
        return False

    def intact(
        self, buffer: bytes, index: int, offset: int, salt: int, first_lsn: int, room: int, codec: Codec
    ) -> Intact:
        unpack, check, check_bytes = FRAME_AND_CRC.unpack_from, codec.check, codec.check_bytes
        at, full, limit, base = index, index + room, len(buffer), offset - index
        frames = highest = last_crc = first_ns = last_ns = 0
        lsn = first_lsn
        while at < full and at + FRAME_HEADER_BYTES <= limit:
            tag, kind, flags, size, first, time_ns, count, where, synced, crc = unpack(buffer, at)
            end, start = at + ((size + 47) & -8), at + FRAME_HEADER_BYTES
            middle = start + size - check_bytes
            if (
                tag != FRAME_TAG
                or kind != 1
                or flags
                or first != lsn
                or not count
                or where != at + base
                or synced > where
                or time_ns > LARGEST
                or lsn + count > LARGEST
                or (frames and count > 1)
                or end > limit
                or middle < start
                or crc32(buffer[at : at + 36], salt) != crc
                or check(crc, buffer[start:middle]) != buffer[middle : start + size]
            ):
                break
            if not frames:
                first_ns = time_ns
            if synced > highest:  # noqa: PLR1730  # a call would cost a sixth of the whole loop
                highest = synced
            frames, lsn, last_crc, last_ns, at = frames + 1, lsn + count, crc, time_ns, end
            if count > 1:  # stays alone: if its table turns out to be bad, what is before it was handed out
                break
        return Intact(at, frames, lsn - first_lsn, highest, last_crc, first_ns, last_ns)

    def headers_in(self, buffer: bytes, start: int, offset: int, salt: int) -> Iterator[FrameHeader]:
        at = buffer.find(FRAME_MAGIC, start)
        while at >= 0:
            if (at + offset) & 7 == 0:
                header = self.header_at(buffer, at, at + offset, salt)
                if isinstance(header, FrameHeader):
                    yield header
            at = buffer.find(FRAME_MAGIC, at + 1)

    def stored(self, buffer: bytes, index: int, header: FrameHeader, check_bytes: int) -> memoryview:
        start = index + FRAME_HEADER_BYTES
        return memoryview(buffer)[start : start + header.body_bytes - check_bytes]

    def headers(self, run: bytes) -> Iterator[tuple[FrameHeader, int]]:
        at = 0
        while at < len(run):
            _, kind, flags, size, first_lsn, time_ns, count, offset, synced, crc = FRAME_AND_CRC.unpack_from(run, at)
            yield FrameHeader(kind, flags, size, first_lsn, time_ns, count, offset, synced, crc), at
            at += (size + 47) & -8

    def entry(self, run: bytes, check_bytes: int, position: int) -> bytes | None:
        at, less, unpack = 0, FRAME_HEADER_BYTES - check_bytes, BODY_AND_COUNT.unpack_from
        while at < len(run):
            size, count = unpack(run, at)
            if position < count:
                body = run[at + FRAME_HEADER_BYTES : at + less + size]
                if count == 1:
                    return body
                start, offsets = 4 * (count + 1), self.offsets(body, count)
                return body[start + offsets[position] : start + offsets[position + 1]]
            position -= count
            at += (size + 47) & -8
        return None

    def payloads(self, run: bytes, check_bytes: int) -> list[bytes]:
        found: list[bytes] = []
        add = found.append
        unpack = BODY_AND_COUNT.unpack_from
        at, end, less = 0, len(run), FRAME_HEADER_BYTES - check_bytes
        while at < end:
            size, count = unpack(run, at)
            if count == 1:
                add(run[at + 40 : at + less + size])
            elif count:
                found += self.split(run[at + 40 : at + less + size], count)
            at += (size + 47) & -8
        return found

    def split(self, body: bytes, count: int) -> list[bytes]:
        if count == 1:
            return [body]
        offsets = self.offsets(body, count)
        data = body[4 * (count + 1) :]
        return [data[a:b] for a, b in pairwise(offsets)]

    def offsets(self, body: bytes, count: int) -> tuple[int, ...]:
        """The table before a batch's entries, and that it can be one."""
        start = 4 * (count + 1)
        if len(body) < start:
            raise Malformed(f"a body of {len(body)} bytes cannot hold {count} entries")
        offsets = unpack_from(f"<{count + 1}I", body)
        if offsets[0] != 0 or offsets[-1] != len(body) - start or not all(map(le, offsets, offsets[1:])):
            raise Malformed("its table of entry offsets is not ascending from 0 to the body's end")
        return offsets

    # SEALs

    def decode_seal(self, buffer: bytes, index: int, header: FrameHeader, first_lsn: int) -> Seal | None:
        start, size = index + FRAME_HEADER_BYTES, header.body_bytes
        fixed = SEAL_BODY.size + CHECK_BYTES + SEAL_TRAILER.size
        if header.kind != Kind.SEAL.value or size < fixed or len(buffer) < start + size:
            return None
        frames, count, entries, last_lsn, first_ns, last_ns = SEAL_BODY.unpack_from(buffer, start)
        middle = start + SEAL_BODY.size + count * SEAL_RUN.size
        if size != fixed + count * SEAL_RUN.size:
            return None
        if U32.unpack_from(buffer, middle)[0] != crc32(buffer[start:middle], header.crc):
            return None
        if SEAL_TRAILER.unpack_from(buffer, middle + CHECK_BYTES) != (header.offset, SEAL_MARK):
            return None
        if not first_lsn - 1 <= last_lsn <= LARGEST:
            return None
        runs = RunIndex()
        for offset, delta, crc in SEAL_RUN.iter_unpack(buffer[start + SEAL_BODY.size : middle]):
            runs.append(offset, first_lsn + delta, crc)
        ascending = all(a < b for a, b in pairwise((*runs.offsets, header.offset)))
        if not ascending or (runs.offsets and runs.offsets[0] != HEADER_BYTES):
            return None
        return Seal(header.offset, self.frame_end(header), frames, entries, last_lsn, first_ns, last_ns, runs)

    def seal_offset(self, tail: bytes) -> int | None:
        if len(tail) < SEAL_TRAILER.size:
            return None
        offset, mark = SEAL_TRAILER.unpack_from(tail, len(tail) - SEAL_TRAILER.size)
        return offset if mark == SEAL_MARK else None
