"""The seam between the engine, which knows no byte, and a format, which knows no store. `docs/segment-format.md`
says what each member answers, for `native` and for a format without headers, SEAL, CHECKPOINT and watermark."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from walogs.formats.crc32 import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from walogs.protocols import Codec

RUN_BYTES: Final = 64 * 1024
"""A run is whole frames, at least this many bytes of them; the last run of a segment may be shorter."""

LARGEST: Final = (1 << 63) - 1
"""No LSN, epoch or time (Unix nanoseconds: the year 2262) that a writer makes is larger."""


class Malformed(Exception):
    """Bytes whose checks hold but which no writer of this format makes. The engine adds where, and raises `Corrupt`."""


class Kind(Enum):
    """What a frame is for."""

    ENTRIES = 1
    SEAL = 2
    CHECKPOINT = 3


class Stop(Enum):
    """Why no intact frame could be read at an offset: an observation. What it means is for the verdict to say."""

    END = "the bytes end there"
    NOT_A_FRAME = "no frame header is there"
    SHORT = "its frame goes on after the bytes end"
    DAMAGED = "the frame's check does not match its bytes"
    SEAL = "the segment is sealed there"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a format can say. The engine asks these, never the format's name."""

    name: str
    header_bytes: int
    """0: segments have no header; number and first LSN then come from the name and the first frame."""
    alignment: int
    """Frames begin at multiples of this."""
    has_watermark: bool
    """Frames testify how far their segment had been synced when they were written."""
    has_seal: bool
    has_base: bool
    """Headers and CHECKPOINTs carry the base. False: segments are removed ascending, one durable removal at a time."""
    has_witness: bool
    relies_on_windows: bool
    """Recovery may write in place, since every byte of a segment was zero-filled and synced before it was used."""
    has_batches: bool
    """A frame can hold many entries."""
    has_codec: bool
    body_bytes_max: int
    segment_bytes_max: int
    """No frame of entries ends after this."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says of itself and of the history before it."""

    number: int
    first_lsn: int
    base_lsn: int
    epoch: int
    log_id: bytes
    writer_id: bytes
    salt: int
    previous_salt: int
    """Salt of the segment before it; 0: none."""
    previous_check: int
    """Header CRC of the last frame with entries in the segment before it; 0: none."""
    created_ns: int
    codec_name: str
    codec_parameters: bytes
    is_fence: bool = False
    """It opened a store that fences by creation; it holds no frame."""
    is_base: bool = False
    """It is a checkpoint in such a store; it holds no frame."""


class FrameHeader(NamedTuple):
    """A frame header whose CRC, salt and offset hold; nothing is said of its body."""

    kind: int
    flags: int
    body_bytes: int
    """The stored body and its check."""
    first_lsn: int
    time_ns: int
    entries: int
    """How many its body holds; 0 in a SEAL and a CHECKPOINT."""
    offset: int
    synced: int
    crc: int


class Draft:
    """A frame that lacks only its header and check; its length is its body's.

    Data is copied once: a second copy of a large batch has malloc give memory back and fetch it again each time."""

    __slots__ = ("_body_bytes", "frame")

    def __init__(self, frame: bytearray, body_bytes: int) -> None:
        self.frame = frame
        self._body_bytes = body_bytes

    def __len__(self) -> int:
        return self._body_bytes


class Intact(NamedTuple):
    """Frames with entries, end to end, whose every check holds."""

    end: int
    """Index in the buffer after the last one's padding."""
    frames: int
    entries: int
    synced: int
    """The highest that one of them names."""
    crc: int
    """Header CRC of the last one."""
    first_time_ns: int
    last_time_ns: int


class RunIndex:
    """Where the runs of a segment begin, their first LSNs and their CRCs: what a SEAL carries, built while writing."""

    __slots__ = ("_open_bytes", "crcs", "first_lsns", "offsets")

    def __init__(self) -> None:
        self.offsets = array("I")
        self.first_lsns = array("Q")
        self.crcs = array("I")
        self._open_bytes = RUN_BYTES

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def room(self) -> int:
        """With this many bytes of frames, or with the frame that passes it, the run is complete."""
        return RUN_BYTES - self._open_bytes if self._open_bytes < RUN_BYTES else RUN_BYTES

    def add(self, frame: Buffer, frame_bytes: int, offset: int, first_lsn: int) -> None:
        """The next whole frame, padding included; or several, of which only the last may pass `room`."""
        if self._open_bytes >= RUN_BYTES:
            self.offsets.append(offset)
            self.first_lsns.append(first_lsn)
            self.crcs.append(crc32(frame, 0))
            self._open_bytes = frame_bytes
        else:
            self.crcs[-1] = crc32(frame, self.crcs[-1])
            self._open_bytes += frame_bytes

    def append(self, offset: int, first_lsn: int, crc: int) -> None:
        """A complete run, as a SEAL tells it."""
        self.offsets.append(offset)
        self.first_lsns.append(first_lsn)
        self.crcs.append(crc)

    def run_with(self, lsn: int) -> int:
        """Position of the run that holds this LSN (it is not below the first run's)."""
        return max(bisect_right(self.first_lsns, lsn) - 1, 0)

    def run_at(self, offset: int) -> int:
        """Position of the run that holds this offset."""
        return max(bisect_right(self.offsets, offset) - 1, 0)

    def copy(self) -> RunIndex:
        twin = RunIndex()
        twin.offsets, twin.first_lsns, twin.crcs = self.offsets[:], self.first_lsns[:], self.crcs[:]
        twin._open_bytes = self._open_bytes
        return twin


@dataclass(frozen=True, slots=True)
class Seal:
    """What a SEAL says of the segment that it completes."""

    offset: int
    """Where the SEAL begins: the end of the frames before it."""
    end: int
    frames: int
    entries: int
    last_lsn: int
    first_commit_ns: int
    last_commit_ns: int
    runs: RunIndex


class SegmentFormat(Protocol):
    """Members raise `Malformed` for impossible values and `UnsupportedFormat` for later versions; none does I/O."""

    traits: Traits

    def begins(self, head: bytes) -> bool:
        """Whether a segment with these first 8 bytes is of this format, whatever became of the rest."""
        ...

    def encode_header(self, header: SegmentHeader) -> bytes:
        """`traits.header_bytes` bytes."""
        ...

    def decode_header(self, data: bytes) -> SegmentHeader:
        """From the first bytes of a segment. Raises `Malformed` (not a header of this format, or damaged)."""
        ...

    def frame_bytes(self, stored_bytes: int, check_bytes: int) -> int:
        """A whole frame's length, padding included."""
        ...

    def body(self, entries: list[bytes]) -> bytes:
        """One body for these entries (one or more): what the codec is given."""
        ...

    def body_bytes(self, count: int, entries_bytes: int) -> int:
        """Length of the body for *count* entries of *entries_bytes* in all."""
        ...

    def draft(self, entries: list[bytes], check_bytes: int) -> Draft:
        """A batch's body, in place; for codecs that store a body as it is."""
        ...

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
        """A whole frame with entries, and its header's CRC."""
        ...

    def encode_checkpoint(self, salt: int, offset: int, synced: int, base_lsn: int, time_ns: int) -> bytes:
        """A whole CHECKPOINT frame (`has_base` only)."""
        ...

    def encode_seal(self, header: SegmentHeader, synced: int, seal: Seal) -> bytes:
        """A whole SEAL frame for `seal.offset` (`has_seal` only)."""
        ...

    def header_at(self, buffer: bytes, index: int, offset: int, salt: int) -> FrameHeader | Stop:
        """The frame header at *index* of the buffer, which is *offset* of the segment."""
        ...

    def check_at(self, buffer: bytes, index: int, header: FrameHeader, codec: Codec) -> bool:
        """Whether the body, all of it in the buffer, is what was written with this header."""
        ...

    def intact(
        self, buffer: bytes, index: int, offset: int, salt: int, first_lsn: int, room: int, codec: Codec
    ) -> Intact:
        """Frames with entries from *index* of the buffer (*offset* of the segment) on, whole with their padding, as
        long as all that `header_at`, `check_at` and the verdict ask of one holds and LSNs follow on from *first_lsn*;
        ends with the frame that fills *room*, and a batch stands alone. What it stops at is not judged here."""
        ...

    def headers_in(self, buffer: bytes, start: int, offset: int, salt: int) -> Iterator[FrameHeader]:
        """Every frame header in the buffer from *start* on (*offset* is where the buffer begins), in linear time."""
        ...

    def payloads(self, run: bytes, check_bytes: int) -> list[bytes]:
        """The entries of a run already found intact, stored as they are (identity codecs)."""
        ...

    def entry(self, run: bytes, check_bytes: int, position: int) -> bytes | None:
        """One entry of a run already found intact, by its position among them (identity codecs); None: it has fewer."""
        ...

    def headers(self, run: bytes) -> Iterator[tuple[FrameHeader, int]]:
        """The headers of a run already found intact, and where in the run each begins."""
        ...

    def stored(self, buffer: bytes, index: int, header: FrameHeader, check_bytes: int) -> memoryview:
        """What the codec stored for that frame, without the check."""
        ...

    def split(self, body: bytes, count: int) -> list[bytes]:
        """The entries of a body. Raises `Malformed`."""
        ...

    def frame_end(self, header: FrameHeader) -> int:
        """Offset after the frame and its padding."""
        ...

    def decode_seal(self, buffer: bytes, index: int, header: FrameHeader, first_lsn: int) -> Seal | None:
        """The SEAL with that header, all of it in the buffer; None: damaged."""
        ...

    def seal_offset(self, tail: bytes) -> int | None:
        """Where the SEAL begins, from the segment's bytes up to the last that is not zero; None: no SEAL ends there."""
        ...
