"""Format 1, `native`. All numbers are little-endian. docs/format.md has the reason for each rule, and an example.

Segment header, 512 bytes
      0   8  magic 89 57 41 4C 4F 47 0D 0A         72   8  first LSN of the log
      8   2  format version, 1                     80   8  link: of the last frame with entries before this segment
     10   2  flags: bit 0 FENCE, bit 1 CHECKPOINT        88   8  created, Unix nanoseconds
     12   4  salt, not 0                           96   4  salt of the previous segment
     16  16  log id                               100  64  codec name: length u8, then UTF-8
     32  16  writer id                            164 216  codec parameters: length u16, then JSON
     48   8  segment number                       380  64  name of the writer: length u8, then UTF-8
     56   8  epoch                                444  64  the codec's check of bytes 0-443
     64   8  first LSN this segment will hold     508   4  CRC-32 of bytes 0-507

Frame: 48-byte header, body, zero padding to a multiple of 8
      0   2  magic D7 57                           24   8  link: of the last frame with entries before this one
      2   1  kind: 1 ENTRIES, 2 SEAL, 3 CHECKPOINT 32   4  entries in the body
      3   1  flags, 0                              36   4  offset of this frame in the segment
      4   4  body bytes (stored form and check)    40   4  synced: end offset known synced when it was written
      8   8  first LSN                             44   4  CRC-32 of bytes 0-43, from the segment's salt
     16   8  time of the commit, Unix nanoseconds

The link of a frame is the first 8 bytes of its check, with zeros after a shorter check. Before the first entry of a
log, the link is the first 8 bytes of the log id.
"""

from __future__ import annotations

from functools import cache
from struct import Struct, pack, unpack_from
from typing import TYPE_CHECKING, Final

from walogs.errors import UnsupportedFormat
from walogs.formats import native_checks, native_columns, native_runs, native_seal
from walogs.formats.crc32 import CRC_BYTES, crc32
from walogs.formats.native_checks import ENTRIES_TAG, INTACT, LINK_BYTES
from walogs.formats.native_columns import table_and_data
from walogs.formats.native_runs import FRAME_HEADER_BYTES
from walogs.formats.segment_format import (
    LARGEST,
    AnyBodies,
    CheckedRun,
    FormatFeatures,
    FrameBuffer,
    FrameHeader,
    Kind,
    Malformed,
    PackedEntries,
    Seal,
    SegmentHeader,
    StopReason,
)

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator

    from walogs.protocols import Codec
    from walogs.types import Commit

MAGIC: Final = b"\x89WALOG\r\n"
VERSION: Final = 1
FENCE: Final = 1
CHECKPOINT: Final = 2
HEADER_BYTES: Final = 512
HEADER: Final = Struct("<8sHHI16s16sQQQQ8sQI")
CODEC_NAME_AT: Final = 100
CODEC_NAME_MAX: Final = 63
CODEC_PARAMETERS_AT: Final = 164
CODEC_PARAMETERS_MAX: Final = 214
WRITER_NAME_AT: Final = 380
WRITER_NAME_MAX: Final = 63
PROOF_AT: Final = 444
CHECK_BYTES_MAX: Final = 64
"""A segment header has room for a check of this many bytes."""
HEADER_CRC_AT: Final = 508

FRAME_MAGIC: Final = b"\xd7\x57"
FRAME_TAG: Final = 0x57D7
FRAME: Final = Struct("<HBBIQQ8sIII")
ENTRIES_HEAD: Final = Struct("<IIQQ8sIII")
"""The fields of FRAME, with magic, kind and flags as one number."""
U32: Final = Struct("<I")
pack_u32: Final = U32.pack
LINK_FILL: Final = bytes(LINK_BYTES - U32.size)
"""What the link of a frame has after a CRC-32."""
PADDING: Final = tuple(bytes(n) for n in range(8))

SEAL_BODY: Final = Struct("<IIQQqq")
SEAL_TRAILER: Final = Struct("<I4s")
SEAL_MARK: Final = b"SEAL"

assert HEADER.size == CODEC_NAME_AT  # The structs fit the tables above, and existing logs.
assert CODEC_PARAMETERS_AT + 2 + CODEC_PARAMETERS_MAX == WRITER_NAME_AT
assert WRITER_NAME_AT + 1 + WRITER_NAME_MAX == PROOF_AT == HEADER_CRC_AT - CHECK_BYTES_MAX
assert FRAME.size + U32.size == FRAME_HEADER_BYTES

KEPT_BYTES: Final = 1 << 20
"""A block of this size is mapped and freed once. For larger batches malloc does so by itself."""

BODY_BYTES_MAX: Final = 1 << 30
"""The largest body before the codec, in bytes. A codec can make it larger, up to the 2^31 - 1 that a frame can say."""
SEAL_BYTES_MAX: Final = 1 << 22
SEGMENT_BYTES_MAX: Final = (1 << 32) - 2 * SEAL_BYTES_MAX
"""The largest segment, in bytes. Offsets of 4 bytes allow 4 GiB.

The difference is room for CHECKPOINTs, and for the SEAL of a full segment."""


def short_text(data: bytes, at: int, bytes_max: int) -> str:
    """Return the text at *at*: its length in one byte, and then UTF-8. Raise `Malformed`."""
    size = data[at]
    if size > bytes_max:
        raise Malformed("its header holds values that no writer makes")
    try:
        return data[at + 1 : at + 1 + size].decode()
    except UnicodeDecodeError as error:
        raise Malformed("a name in its header is not UTF-8") from error


@cache
def keep_freed_memory() -> None:
    """Have malloc keep the memory of a batch for the next one.

    Its frame, and what `join` needs to make it, are freed after each batch. The malloc of glibc would return them to
    the system, and get them back page by page: a third of the cost of a batch of 128 KiB. It keeps up to twice as much
    as the largest block that it has mapped and freed.
    """
    bytearray(KEPT_BYTES)


def link_of(check: bytes) -> bytes:
    """Return the link of the frame with this check."""
    return check[:LINK_BYTES] if len(check) >= LINK_BYTES else check.ljust(LINK_BYTES, b"\0")


def is_check(codec: Codec, header: bytes, stored: bytes, check: bytes) -> bool:
    """Return whether *check* proves that *stored* was written with *header*, as far as the codec can tell."""
    own: Callable[[bytes, bytes, bytes], bool] | None = getattr(codec, "is_check", None)
    return codec.check(header, stored) == check if own is None else own(header, stored, check)


class NativeFormat:
    """The format of every log that walogs makes. It has no state."""

    traits: FormatFeatures = FormatFeatures(
        header_bytes=HEADER_BYTES,
        alignment=8,
        has_seal=True,
        has_durable_mark=True,
        body_bytes_max=BODY_BYTES_MAX,
        segment_bytes_max=SEGMENT_BYTES_MAX,
    )

    # Segment headers

    def begins(self, head: bytes) -> bool:
        return head[: len(MAGIC)] == MAGIC

    def first_link(self, log_id: bytes) -> bytes:
        return log_id[:LINK_BYTES]

    def encode_header(self, header: SegmentHeader, codec: Codec) -> bytes:
        name, parameters, writer = header.codec_name.encode(), header.codec_parameters, header.writer_name.encode()
        if not 0 < len(name) <= CODEC_NAME_MAX or len(parameters) > CODEC_PARAMETERS_MAX:
            raise Malformed("the codec's name or parameters do not fit into a segment header")
        if len(writer) > WRITER_NAME_MAX:
            raise Malformed("the name of the writer does not fit into a segment header")
        fixed = HEADER.pack(
            MAGIC,
            VERSION,
            (FENCE if header.is_fence else 0) | (CHECKPOINT if header.is_checkpoint else 0),
            header.salt,
            header.log_id,
            header.writer_id,
            header.number,
            header.epoch,
            header.first_lsn,
            header.log_first_lsn,
            header.previous_link,
            header.created_ns,
            header.previous_salt,
        )
        named = fixed + bytes((len(name),)) + name.ljust(CODEC_NAME_MAX, b"\0")
        told = named + pack("<H", len(parameters)) + parameters.ljust(CODEC_PARAMETERS_MAX, b"\0")
        told += bytes((len(writer),)) + writer.ljust(WRITER_NAME_MAX, b"\0")
        whole = told + codec.check(heading(header.salt), told).ljust(CHECK_BYTES_MAX, b"\0")
        return whole + U32.pack(crc32(whole, 0))

    def is_header_of(self, data: bytes, header: SegmentHeader, codec: Codec) -> bool:
        check, rest = data[PROOF_AT : PROOF_AT + codec.check_bytes], data[PROOF_AT + codec.check_bytes : HEADER_CRC_AT]
        return not rest.strip(b"\0") and is_check(codec, heading(header.salt), data[:PROOF_AT], check)

    def decode_header(self, data: bytes) -> SegmentHeader:
        if not self.begins(data):
            raise Malformed("it does not begin as a walogs segment does")
        if len(data) < HEADER_BYTES:
            raise Malformed(f"its header is cut short ({len(data)} of {HEADER_BYTES} bytes)")
        if U32.unpack_from(data, HEADER_CRC_AT)[0] != crc32(data[:HEADER_CRC_AT], 0):
            raise Malformed("its header's CRC does not match")
        fields = HEADER.unpack_from(data)
        _, version, flags, salt, log_id, writer_id, number, epoch, first_lsn, log_first_lsn, link, created, previous = (
            fields
        )
        if version != VERSION:  # This is no damage: every version has its magic, version and CRC here.
            raise UnsupportedFormat(f"format version {version}; this release reads {VERSION}", found=str(version))
        if flags & ~(FENCE | CHECKPOINT):
            raise UnsupportedFormat(f"header flags {flags:#06x}; this release knows 0x0003", found=f"{flags:#06x}")
        (parameter_bytes,) = unpack_from("<H", data, CODEC_PARAMETERS_AT)
        in_order = (
            1 <= log_first_lsn <= first_lsn <= LARGEST and 0 < number < LARGEST and 0 < epoch < LARGEST >= created
        )
        if not salt or not in_order or parameter_bytes > CODEC_PARAMETERS_MAX:
            raise Malformed("its header holds values that no writer makes")
        parameters = data[CODEC_PARAMETERS_AT + 2 : CODEC_PARAMETERS_AT + 2 + parameter_bytes]
        return SegmentHeader(
            number=number,
            first_lsn=first_lsn,
            log_first_lsn=log_first_lsn,
            epoch=epoch,
            log_id=log_id,
            writer_id=writer_id,
            salt=salt,
            previous_salt=previous,
            previous_link=link,
            created_ns=created,
            codec_name=short_text(data, CODEC_NAME_AT, CODEC_NAME_MAX),
            codec_parameters=parameters,
            is_fence=bool(flags & FENCE),
            is_checkpoint=bool(flags & CHECKPOINT),
            writer_name=short_text(data, WRITER_NAME_AT, WRITER_NAME_MAX),
        )

    # Writing frames

    def frame_bytes(self, stored_bytes: int, check_bytes: int) -> int:
        return (FRAME_HEADER_BYTES + stored_bytes + check_bytes + 7) & -8

    def body_bytes(self, count: int, entries_bytes: int) -> int:
        return entries_bytes if count == 1 else 4 * (count + 1) + entries_bytes

    def body(self, entries: list[bytes] | PackedEntries) -> bytes:
        return entries[0] if len(entries) == 1 else b"".join(table_and_data(entries))

    def draft(self, entries: list[bytes] | PackedEntries, check_bytes: int) -> FrameBuffer:
        pieces = table_and_data(entries)
        table = pieces[0]
        body_bytes = len(table) + U32.unpack_from(table, len(table) - U32.size)[0]
        after = bytes(check_bytes + (-(body_bytes + check_bytes) & 7))
        keep_freed_memory()
        frame = bytearray().join((bytes(FRAME_HEADER_BYTES), *pieces, after))
        return FrameBuffer(frame, FRAME_HEADER_BYTES, body_bytes)

    def encode_entries(
        self,
        salt: int,
        offset: int,
        synced: int,
        link: bytes,
        first_lsn: int,
        count: int,
        time_ns: int,
        stored: bytes | FrameBuffer,
        codec: Codec | None,
    ) -> tuple[bytes | bytearray, bytes]:
        size = len(stored) + (CRC_BYTES if codec is None else codec.check_bytes)
        head = ENTRIES_HEAD.pack(ENTRIES_TAG, size, first_lsn, time_ns, link, count, offset, synced)
        header_crc = crc32(head, salt)
        body = stored.body if isinstance(stored, FrameBuffer) else stored
        if codec is None:  # what the codec does, without a call of it
            check = pack_u32(crc32(body, header_crc))
            own_link = check + LINK_FILL
        else:
            check = codec.check(head + pack_u32(header_crc), body)
            own_link = link_of(check)
        if isinstance(stored, FrameBuffer):
            return stored.completed(head + pack_u32(header_crc), check), own_link
        return b"".join((head, pack_u32(header_crc), stored, check, PADDING[-size & 7])), own_link

    def encode_checkpoint(
        self, salt: int, offset: int, synced: int, link: bytes, log_first_lsn: int, time_ns: int, codec: Codec
    ) -> bytes:
        head = FRAME.pack(FRAME_TAG, 3, 0, codec.check_bytes, log_first_lsn, time_ns, link, 0, offset, synced)
        header = head + U32.pack(crc32(head, salt))
        return b"".join((header, codec.check(header, b""), PADDING[-codec.check_bytes & 7]))

    def encode_seal(self, header: SegmentHeader, synced: int, seal: Seal, codec: Codec) -> bytes:
        runs, last_ns = seal.runs, seal.last_commit_ns
        body = SEAL_BODY.pack(
            seal.frames, len(runs), seal.entries, seal.last_lsn, seal.first_commit_ns, last_ns
        ) + native_seal.encode_runs(runs, header.first_lsn)
        size = len(body) + codec.check_bytes + SEAL_TRAILER.size
        head = FRAME.pack(FRAME_TAG, 2, 0, size, seal.last_lsn + 1, last_ns, seal.link, 0, seal.offset, synced)
        frame_header = head + U32.pack(crc32(head, header.salt))
        check, trailer = codec.check(frame_header, body), SEAL_TRAILER.pack(seal.offset, SEAL_MARK)
        return b"".join((frame_header, body, check, trailer, PADDING[-size & 7]))

    # Reading frames

    def header_at(self, buffer: bytes, index: int, offset: int, salt: int) -> FrameHeader | StopReason:
        if len(buffer) - index < FRAME_HEADER_BYTES:
            return StopReason.END
        tag, kind, flags, size, first_lsn, time_ns, link, count, at, synced = FRAME.unpack_from(buffer, index)
        is_header = tag == FRAME_TAG and at == offset
        if not is_header or crc32(buffer[index : index + FRAME_HEADER_BYTES], salt) != INTACT:
            return StopReason.NOT_A_FRAME
        return FrameHeader(
            kind=kind,
            flags=flags,
            body_bytes=size,
            first_lsn=first_lsn,
            time_ns=time_ns,
            entries=count,
            offset=offset,
            synced=synced,
            link=link,
        )

    def frame_end(self, header: FrameHeader) -> int:
        return (header.offset + FRAME_HEADER_BYTES + header.body_bytes + 7) & -8

    def check_at(self, buffer: bytes, index: int, header: FrameHeader, codec: Codec) -> bool:
        start = index + FRAME_HEADER_BYTES
        end = start + header.body_bytes - (SEAL_TRAILER.size if header.kind == 2 else 0)
        middle = end - codec.check_bytes
        if middle < start or header.kind not in (1, 2, 3) or (header.kind == 3 and middle > start):
            return False
        return is_check(codec, buffer[index:start], buffer[start:middle], buffer[middle:end])

    def link_at(self, buffer: bytes, index: int, header: FrameHeader, check_bytes: int) -> bytes:
        end = index + FRAME_HEADER_BYTES + header.body_bytes
        return link_of(buffer[end - check_bytes : end])

    def intact(
        self,
        buffer: bytes,
        index: int,
        offset: int,
        salt: int,
        first_lsn: int,
        link: bytes | None,
        room: int,
        codec: Codec,
    ) -> CheckedRun:
        return native_checks.intact(buffer, index, offset, salt, first_lsn, link, room, codec)

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

    def headers(self, run: bytes | memoryview) -> Iterator[tuple[FrameHeader, int]]:
        at = 0
        while at < len(run):
            if at + FRAME_HEADER_BYTES > len(run):
                raise Malformed(native_runs.CUT_OFF)
            _, kind, flags, size, first_lsn, time_ns, link, count, offset, synced = FRAME.unpack_from(run, at)
            yield FrameHeader(kind, flags, size, first_lsn, time_ns, count, offset, synced, link), at
            at += (size + 55) & -8

    def entry(self, run: bytes, check_bytes: int, position: int, lengths: array[int] | None = None) -> bytes | None:
        return native_runs.entry(run, check_bytes, position, lengths)

    def has_lengths(self, run: bytes, check_bytes: int, lengths: array[int]) -> bool:
        return native_runs.has_lengths(run, check_bytes, lengths)

    def payloads(self, run: bytes, check_bytes: int, lengths: array[int] | None = None) -> list[bytes]:
        return native_runs.payloads(run, check_bytes, lengths)

    def commits(self, run: bytes) -> list[Commit]:
        return native_runs.commits(run)

    def bodies(self, run: bytes | memoryview, check_bytes: int, lengths: array[int] | None = None) -> AnyBodies:
        return native_columns.bodies(run, check_bytes, lengths)

    def split(self, body: bytes, count: int) -> list[bytes]:
        return native_runs.entries_between(body, 0, len(body), count)

    # SEALs

    def decode_seal(self, buffer: bytes, index: int, header: FrameHeader, first_lsn: int, codec: Codec) -> Seal | None:
        start, size = index + FRAME_HEADER_BYTES, header.body_bytes
        end = start + size - codec.check_bytes - SEAL_TRAILER.size
        if header.kind != Kind.SEAL.value or end < start + SEAL_BODY.size or len(buffer) < start + size:
            return None
        frames, count, entries, last_lsn, first_ns, last_ns = SEAL_BODY.unpack_from(buffer, start)
        if not self.check_at(buffer, index, header, codec):
            return None
        if SEAL_TRAILER.unpack_from(buffer, end + codec.check_bytes) != (header.offset, SEAL_MARK):
            return None
        if not first_lsn - 1 <= last_lsn <= LARGEST:
            return None
        runs = native_seal.decode_runs(
            memoryview(buffer)[start + SEAL_BODY.size : end],
            count=count,
            first_lsn=first_lsn,
            next_lsn=last_lsn + 1,
            start=HEADER_BYTES,
            end=header.offset,
        )
        if runs is None:
            return None
        return Seal(
            offset=header.offset,
            end=self.frame_end(header),
            frames=frames,
            entries=entries,
            last_lsn=last_lsn,
            first_commit_ns=first_ns,
            last_commit_ns=last_ns,
            link=header.link,
            runs=runs,
        )

    def seal_offset(self, tail: bytes) -> int | None:
        if len(tail) < SEAL_TRAILER.size:
            return None
        offset, mark = SEAL_TRAILER.unpack_from(tail, len(tail) - SEAL_TRAILER.size)
        return offset if mark == SEAL_MARK else None


def heading(salt: int) -> bytes:
    """Return the frame header with which a codec checks a segment header. Its kind is 0, and so is its offset."""
    head = FRAME.pack(FRAME_TAG, 0, 0, 0, 0, 0, bytes(LINK_BYTES), 0, 0, 0)
    return head + U32.pack(crc32(head, salt))
