"""A reader of the format that knows docs/format.md and the verdict in docs/guarantees.md, and not a line of walogs.

Slow and plain on purpose: what it makes of a directory is held against what walogs makes of it. A SEAL is a cache, so
this reader never looks into one; the place of every field stands in one table below.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple
from zlib import crc32

# The bytes

SEGMENT_MAGIC: Final = b"\x89WALOG\r\n"
SEGMENT_HEADER: Final = 512
SEGMENT_FIELDS: Final = {
    "version": ("<H", 8),
    "flags": ("<H", 10),
    "salt": ("<I", 12),
    "log_id": ("<16s", 16),
    "number": ("<Q", 48),
    "epoch": ("<Q", 56),
    "first_lsn": ("<Q", 64),
    "log_first_lsn": ("<Q", 72),
    "link": ("<8s", 80),
    "previous_salt": ("<I", 96),
    "codec_bytes": ("<B", 100),
}
CODEC_AT: Final = 101
PROOF_AT: Final = 444
SEGMENT_CRC: Final = 508
FRAME_MAGIC: Final = b"\xd7\x57"
FRAME_HEADER: Final = 48
FRAME_FIELDS: Final = {
    "kind": ("<B", 2),
    "flags": ("<B", 3),
    "body_bytes": ("<I", 4),
    "first_lsn": ("<Q", 8),
    "time_ns": ("<Q", 16),
    "link": ("<8s", 24),
    "entries": ("<I", 32),
    "offset": ("<I", 36),
    "synced": ("<I", 40),
}
FRAME_CRC: Final = 44
DURABLE_MARK_MAGIC: Final = b"WALDUR\r\n"
ENTRIES, SEAL, CHECKPOINT = 1, 2, 3
CHECK: Final = 4
NAME: Final = re.compile(r"wal-(\d{6}|[1-9]\d{6,})\.log")


def fields(table: Mapping[str, tuple[str, int]], data: bytes, at: int) -> dict[str, int | bytes]:
    return {name: struct.unpack_from(form, data, at + offset)[0] for name, (form, offset) in table.items()}


class Segment(NamedTuple):
    """What a segment header says."""

    number: int
    salt: int
    log_id: bytes
    epoch: int
    first_lsn: int
    log_first_lsn: int
    previous_salt: int
    link: bytes


class Frame(NamedTuple):
    """What a frame header says whose CRC, salt and offset hold."""

    kind: int
    offset: int
    end: int
    """After the padding."""
    check_end: int
    """Before the padding: what is synced up to here is durable as a whole."""
    body: bytes
    """Without its check; as much of it as is there."""
    is_intact: bool
    first_lsn: int
    entries: int
    synced: int
    link: bytes
    """Of the frame with entries before it."""
    own_link: bytes
    """What later headers say of it."""


class DurableMark(NamedTuple):
    log_id: bytes
    segment: int
    synced: int
    last_lsn: int
    salt: int
    link: bytes


def durable_mark_in(data: bytes | None) -> DurableMark | None:
    if data is None or len(data) != 64 or data[:8] != DURABLE_MARK_MAGIC:
        return None
    if crc32(data[:60]) != int.from_bytes(data[60:], "little"):
        return None
    return DurableMark(*struct.unpack_from("<16sQQQI4x4s", data, 8))


def frame_at(data: bytes, offset: int, salt: int) -> Frame | None:
    """The frame whose header stands there; None: none does."""
    header = data[offset : offset + FRAME_HEADER]
    if len(header) < FRAME_HEADER or header[:2] != FRAME_MAGIC:
        return None
    crc = int.from_bytes(header[FRAME_CRC:], "little")
    said = fields(FRAME_FIELDS, header, 0)
    if crc != crc32(header[:FRAME_CRC], salt) or said["offset"] != offset:
        return None
    kind, body_bytes, entries = int(said["kind"]), int(said["body_bytes"]), int(said["entries"])
    start, end = offset + FRAME_HEADER, offset + FRAME_HEADER + body_bytes
    body, check = data[start : end - CHECK], data[end - CHECK : end]
    is_intact = body_bytes >= CHECK and end <= len(data) and check == crc32(body, crc).to_bytes(4, "little")
    if kind == SEAL or (kind == CHECKPOINT and body):
        is_intact = False  # nobody needs a SEAL's, and a CHECKPOINT has no body
    return Frame(
        kind=kind,
        offset=offset,
        end=end + -end % 8,
        check_end=end,
        body=body,
        is_intact=is_intact,
        first_lsn=int(said["first_lsn"]),
        entries=entries,
        synced=int(said["synced"]),
        link=bytes(said["link"]),  # type: ignore[call-overload]
        own_link=check.ljust(8, b"\0"),
    )


def split(frame: Frame) -> list[bytes]:
    if frame.entries == 1:
        return [frame.body]
    table = struct.unpack_from(f"<{frame.entries + 1}I", frame.body)
    data = frame.body[4 * len(table) :]
    assert table[0] == 0, frame
    assert table[-1] == len(data), frame
    assert sorted(table) == list(table), frame
    return [data[a:b] for a, b in pairwise(table)]


# What it makes of them


class Damaged(Exception):
    """It does not open: why, the segment, and the first entry that is in doubt (None: nobody knows)."""

    def __init__(self, why: str, segment: int | None = None, lsn: int | None = None) -> None:
        super().__init__(why)
        self.segment = segment
        self.lsn = lsn


@dataclass
class Walked:
    """The intact frames of a segment from its beginning."""

    segment: Segment
    frames: list[Frame] = field(default_factory=list)
    end: int = SEGMENT_HEADER

    @property
    def last_lsn(self) -> int:
        return self.segment.first_lsn - 1 + sum(frame.entries for frame in self.frames)

    @property
    def link(self) -> bytes:
        """Of the last frame with entries, in whatever segment."""
        return next((frame.own_link for frame in reversed(self.frames) if frame.entries), self.segment.link)

    @property
    def in_doubt(self) -> int:
        """The first entry of the last frame with entries; where there is none, the one that comes next."""
        return next((frame.first_lsn for frame in reversed(self.frames) if frame.entries), self.last_lsn + 1)

    def entries(self) -> Iterator[tuple[int, bytes, int]]:
        """(LSN, data, offset after its check)."""
        for frame in self.frames:
            if frame.kind == ENTRIES:
                for lsn, data in enumerate(split(frame), frame.first_lsn):
                    yield lsn, data, frame.check_end


@dataclass(frozen=True)
class Opened:
    """It opens."""

    log_first_lsn: int
    entries: dict[int, bytes]
    durable_lsn: int
    """The last entry that something testifies to have been synced."""

    @property
    def last_lsn(self) -> int:
        return max(self.entries, default=self.log_first_lsn - 1)


class Page:
    """A directory, read as docs/format.md says."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.segments = {int(found[1]): files[name] for name in files if (found := NAME.fullmatch(name))}
        self.durable_mark = durable_mark_in(files.get("DURABLE"))

    def opened(self) -> Opened | None:
        """What an open gives; None: there is no log. Raises `Damaged`."""
        if not self.segments:
            if self.durable_mark is not None:
                raise Damaged("its segments are gone")
            return None
        newest = self.walked(max(self.segments))
        segment, data = newest.segment, self.segments[newest.segment.number]
        synced, log_first_lsn, is_sealed = self.testimony(newest, data)
        if is_sealed or synced > newest.end:
            raise Damaged("it was synced beyond its intact frames", segment.number, newest.last_lsn + 1)
        self.ask_the_durable_mark(newest)
        parts = [*self.older(segment, log_first_lsn), newest]
        entries = {lsn: data for part in parts for lsn, data, _ in part.entries() if lsn >= log_first_lsn}
        durable = [lsn for lsn, _, end in newest.entries() if end <= synced]
        durable_lsn = max([segment.first_lsn - 1, *durable])
        return Opened(log_first_lsn, entries, durable_lsn)

    def header(self, number: int, log_first_lsn: int = 1) -> Segment:
        data = self.segments[number]
        if data[:8] != SEGMENT_MAGIC or len(data) < SEGMENT_HEADER:
            raise Damaged("no header", number, self.first_in_doubt(number, log_first_lsn))
        if crc32(data[:SEGMENT_CRC]) != int.from_bytes(data[SEGMENT_CRC:SEGMENT_HEADER], "little"):
            raise Damaged("a damaged header", number, self.first_in_doubt(number, log_first_lsn))
        said = fields(SEGMENT_FIELDS, data, 0)
        codec_bytes = int(said["codec_bytes"])
        assert (said["version"], said["flags"], data[CODEC_AT : CODEC_AT + codec_bytes]) == (1, 0, b"crc32")
        proof = crc32(data[:PROOF_AT], crc32(FRAME_MAGIC + bytes(42), int(said["salt"])))
        assert data[PROOF_AT:SEGMENT_CRC] == proof.to_bytes(4, "little") + bytes(60)
        if said["number"] != number:
            raise Damaged("another segment's", number, self.first_in_doubt(number, log_first_lsn))
        return Segment(**{name: said[name] for name in Segment._fields})  # type: ignore[arg-type]

    def first_in_doubt(self, number: int, log_first_lsn: int = 1) -> int | None:
        """After the last entry of the nearest older segment that can say what it holds, and not below the first LSN."""
        for older in sorted((there for there in self.segments if there < number), reverse=True):
            try:
                return max(log_first_lsn, self.walked(older).last_lsn + 1)
            except Damaged:
                continue
        return None

    def walked(self, number: int) -> Walked:
        walked, data = Walked(self.header(number)), self.segments[number]
        while True:
            frame = frame_at(data, walked.end, walked.segment.salt)
            if frame is None or frame.kind == SEAL or not frame.is_intact:
                return walked
            lsn = walked.last_lsn + 1
            if frame.synced > frame.offset or (frame.kind == ENTRIES and (not frame.entries or frame.first_lsn != lsn)):
                raise Damaged("what no writer makes", number, lsn)
            if frame.link != walked.link:
                raise Damaged("it was written after another frame", number, walked.in_doubt if frame.entries else lsn)
            if frame.kind == CHECKPOINT and frame.first_lsn > walked.segment.first_lsn:
                raise Damaged("a first LSN beyond its segment", number)
            walked.frames.append(frame)
            walked.end = frame.end

    def testimony(self, newest: Walked, data: bytes) -> tuple[int, int, bool]:
        """Return (the highest offset that was synced, the first LSN of the log, whether it is sealed).

        All headers in the segment say it, and the durable mark.
        """
        segment, durable_mark = newest.segment, self.durable_mark
        synced = max([SEGMENT_HEADER, *(frame.synced for frame in newest.frames)])
        first_lsns = [frame.first_lsn for frame in newest.frames if frame.kind == CHECKPOINT]
        is_sealed = False
        for offset in range(newest.end, len(data), 8):
            frame = frame_at(data, offset, segment.salt)
            if frame is not None:
                synced, is_sealed = max(synced, frame.synced), is_sealed or frame.kind == SEAL
                if frame.kind == CHECKPOINT and frame.is_intact:
                    first_lsns.append(frame.first_lsn)
        if durable_mark is not None and (durable_mark.log_id, durable_mark.segment, durable_mark.salt) == (
            segment.log_id,
            segment.number,
            segment.salt,
        ):
            synced = max(synced, durable_mark.synced)
        return synced, max([segment.log_first_lsn, *first_lsns]), is_sealed

    def ask_the_durable_mark(self, newest: Walked) -> None:
        durable_mark, segment = self.durable_mark, newest.segment
        if durable_mark is None or durable_mark.log_id != segment.log_id or durable_mark.segment < segment.number:
            return
        is_other = durable_mark.last_lsn == newest.last_lsn and durable_mark.link != newest.link[:4]
        is_missed = durable_mark.segment > segment.number or durable_mark.last_lsn > newest.last_lsn
        if is_missed or durable_mark.salt != segment.salt or is_other:
            raise Damaged("the durable mark misses something", segment.number, newest.last_lsn + 1)

    def older(self, newest: Segment, log_first_lsn: int) -> list[Walked]:
        """The segments before the newest, down to the first LSN, ascending."""
        found: list[Walked] = []
        successor = newest
        while successor.first_lsn > log_first_lsn:
            number = successor.number - 1
            if number not in self.segments:
                lsn = self.first_in_doubt(successor.number)
                raise Damaged("a segment is gone", number, max(log_first_lsn, lsn or log_first_lsn))
            older = self.header(number, log_first_lsn)
            if (older.log_id, older.salt) != (successor.log_id, successor.previous_salt):
                raise Damaged("not what its successor was made after", number)
            if older.epoch > successor.epoch or older.first_lsn > successor.first_lsn:
                raise Damaged("not before its successor", number)
            walked = self.walked(number)
            if walked.last_lsn == successor.first_lsn - 1 and walked.link != successor.link:
                raise Damaged("its successor was made after another frame", number, walked.in_doubt)
            if walked.last_lsn != successor.first_lsn - 1:
                raise Damaged("it does not end as its successor says", number, walked.last_lsn + 1)
            found.append(walked)
            successor = older
        return found[::-1]
