"""The seam between the engine and a format. The engine knows no bytes, and the format knows no store.

`docs/segment-format.md` says what each member answers.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from enum import Enum
from struct import unpack_from
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, overload

from walogs.formats.crc32 import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from walogs.protocols import Codec
    from walogs.types import Commit

RUN_BYTES: Final = 64 * 1024
"""A run holds whole frames, and at least this many bytes. The last run of a segment may be shorter."""

LENGTHS_MAX: Final = 1_500_000
"""The most lengths that a segment has. A segment of 64 MiB has fewer entries, even if all of them are empty."""

NO_LENGTH: Final = -1
"""Stands for the length of an entry in a frame that does not hold one entry."""

LARGEST: Final = (1 << 63) - 1
"""The largest LSN, epoch and time that a writer makes. As a time, in Unix nanoseconds, it lies in the year 2262."""


class Malformed(Exception):
    """The checks of these bytes hold, but no writer of this format makes them. The engine adds the place, and raises
    `Corrupt`."""


class Kind(Enum):
    """What a frame is for."""

    ENTRIES = 1
    SEAL = 2
    CHECKPOINT = 3


class StopReason(Enum):
    """Why no intact frame could be read at an offset. The verdict decides what that means."""

    END = "the bytes end there"
    NOT_A_FRAME = "no frame header is there"
    SHORT = "its frame goes on after the bytes end"
    DAMAGED = "the frame's check does not match its bytes"
    SEAL = "the segment is sealed there"


class FormatFeatures(NamedTuple):
    """What a format can say. The engine asks for these, and never for the name of the format."""

    header_bytes: int
    """Length of a segment's header. 0 means that number and first LSN come from the name and the first frame."""
    alignment: int
    """Frames begin at multiples of this many bytes."""
    has_seal: bool
    has_durable_mark: bool
    body_bytes_max: int
    """Largest length of a body, in bytes."""
    segment_bytes_max: int
    """No frame with entries ends after this offset."""


class SegmentHeader(NamedTuple):
    """What the header of a segment says about the segment and the history before it."""

    number: int
    first_lsn: int
    log_first_lsn: int
    epoch: int
    log_id: bytes
    writer_id: bytes
    salt: int
    previous_salt: int
    """Salt of the segment before it. 0 means that there is none."""
    previous_link: bytes
    """Link of the last frame with entries before this segment. In the first segment of a log it is `first_link`."""
    created_ns: int
    codec_name: str
    codec_parameters: bytes
    is_fence: bool = False
    """The segment was created to fence an older writer. It holds no frame."""
    is_checkpoint: bool = False
    """The segment is a checkpoint in an immutable-segment store. It holds no frame."""
    writer_name: str = ""
    """Which process made it: its id and its host, as `4242@app-1`. At most 63 bytes of UTF-8, for people only."""


class FrameHeader(NamedTuple):
    """A frame header with a valid CRC, salt and offset. Its body was not looked at."""

    kind: int
    flags: int
    body_bytes: int
    """Length of the stored body and its check, in bytes."""
    first_lsn: int
    time_ns: int
    entries: int
    """How many entries the body holds. It is 0 in a SEAL and in a CHECKPOINT."""
    offset: int
    synced: int
    link: bytes
    """Link of the last frame with entries before it."""


class FrameBuffer:
    """A frame without its header and check. `len()` is the length of its body, in bytes.

    The data of a batch is copied only once. With a second copy of a large batch, malloc would return the memory to the
    system and ask for it again each time.
    """

    __slots__ = ("_body_at", "_body_bytes", "_frame")

    def __init__(self, frame: bytearray, body_at: int, body_bytes: int) -> None:
        self._frame = frame
        self._body_at = body_at
        self._body_bytes = body_bytes

    def __len__(self) -> int:
        return self._body_bytes

    @property
    def body(self) -> memoryview:
        return memoryview(self._frame)[self._body_at : self._body_at + self._body_bytes]

    def completed(self, header: bytes, check: bytes) -> bytearray:
        """Return the frame with its header and check in place."""
        frame, end = self._frame, self._body_at + self._body_bytes
        frame[: self._body_at] = header
        frame[end : end + len(check)] = check
        return frame


class PackedEntries(Sequence[bytes]):
    """The entries of a batch that lie one after another in a buffer. Only iterating over them makes `bytes` of each.

    They are committed as a list of `bytes` is, and their body is made with one copy of the data.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, offsets: bytes, data: Buffer) -> None:
        """*offsets* are little-endian numbers of 4 bytes, which ascend from 0 to the length of *data*: where each entry
        begins, and where the last one ends. Raise `ValueError` if the last of them is another number."""
        self.offsets = offsets
        self.data = memoryview(data)
        if int.from_bytes(offsets[-4:], "little") != self.data.nbytes:
            raise ValueError(f"the last offset of a batch is not the {self.data.nbytes} bytes of its data")

    def __len__(self) -> int:
        return len(self.offsets) // 4 - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        start, end = unpack_from("<2I", self.offsets, 4 * range(len(self))[index])
        return bytes(self.data[start:end])


class Bodies(NamedTuple):
    """Where the bodies of consecutive frames with entries lie in a buffer, and the times of their commits.

    A body with more than one entry begins with its offset table: little-endian numbers of 4 bytes, one more than the
    entries. They say where each entry begins after the table, and where the last one ends. The codec's check proves
    that a body is as it was written, and nobody has looked into it yet. The lists have one item for each frame.
    """

    buffer: Buffer
    counts: Sequence[int]
    """How many entries each body has, at least 1."""
    starts: Sequence[int]
    ends: Sequence[int]
    times_ns: Sequence[int]

    @property
    def entries(self) -> int:
        """How many entries all bodies have together."""
        return sum(self.counts)


class Singles(NamedTuple):
    """Where the entries of consecutive frames with one entry each lie in a buffer, and the times of their commits."""

    buffer: Buffer
    entries: int
    steps: Buffer
    """Little-endian numbers of 4 bytes: where the time of the first commit lies, and then, for each entry, its length
    and the bytes after it up to the next one. No entry reaches beyond the buffer.

    A time is a little-endian number of 8 bytes, at a multiple of 8."""
    entry_after: int
    """Each entry begins this many bytes after where the time of its commit does."""


class SinglesAlike(NamedTuple):
    """What `Singles` says, of entries that are all of one length. The frames fill the buffer."""

    buffer: Buffer
    entries: int
    frame_bytes: int
    """Length of each frame with its padding: a multiple of 8."""
    entry_at: int
    """Where the entry begins in its frame."""
    length: int
    """Length of each entry, at least 1."""
    time_at: int
    """Where the time of the commit lies in its frame: a little-endian number of 8 bytes, at a multiple of 8."""


AnyBodies = Bodies | Singles | SinglesAlike
"""Where entries lie, as a format tells it for columns."""


class CheckedRun(NamedTuple):
    """What consecutive frames with entries say. All of their checks hold."""

    end: int
    """Index in the buffer after the padding of the last frame."""
    frames: int
    entries: int
    synced: int
    """The highest offset that one of the frames names as synced."""
    link: bytes
    """Link of the last frame."""
    first_time_ns: int
    last_time_ns: int
    lengths: Sequence[int] = ()
    """The stored length of each entry, in bytes, if each frame holds one entry. Otherwise empty."""


class Places:
    """Offsets in a segment at which a frame begins, and the LSN that comes next there."""

    __slots__ = ("first_lsns", "offsets")

    def __init__(self) -> None:
        self.offsets = array("I")
        self.first_lsns = array("Q")

    def __len__(self) -> int:
        return len(self.offsets)

    def add_place(self, offset: int, first_lsn: int) -> None:
        self.offsets.append(offset)
        self.first_lsns.append(first_lsn)

    def position_with(self, lsn: int) -> int:
        """Return the position of the last place up to this LSN. The LSN is not below that of the first place."""
        return max(bisect_right(self.first_lsns, lsn) - 1, 0)

    def position_at(self, offset: int) -> int:
        """Return the position of the last place up to this offset."""
        return max(bisect_right(self.offsets, offset) - 1, 0)


def lengths_in_two_bytes(lengths: Sequence[int]) -> array[int] | None:
    """Return these lengths as a `RunIndex` has them. Return None if one does not fit into two bytes, or there is none.

    NO_LENGTH does not fit.
    """
    try:
        return array("H", lengths) if lengths else None
    except OverflowError:
        return None


class RunIndex(Places):
    """Where each run of a segment begins, its CRC, and perhaps the lengths of its entries. A writer builds it while it
    writes, and a SEAL holds it.

    The lengths of a run say where its entries are, so that a reader need not look at each frame header. They are there
    if each frame of the run holds one entry of less than 64 KiB. A segment has at most LENGTHS_MAX of them.

    A writer adds each frame by `add_frame`, which only keeps it. `updated` computes what `crcs` and `lengths` say of
    the frames that were kept. A run that an interrupt has left without some of its frames has a CRC that does not
    match, so it is read frame by frame.
    """

    __slots__ = ("_kept_frames", "_kept_lengths", "_lengths_left", "_open_bytes", "crcs", "lengths")

    def __init__(self) -> None:
        super().__init__()
        self.crcs = array("I")
        self.lengths: list[array[int] | None] = []
        self._lengths_left = LENGTHS_MAX
        self._open_bytes = RUN_BYTES
        self._kept_frames: list[Buffer] = []
        """The frames of the open run that its CRC does not cover yet. They have about RUN_BYTES at most."""
        self._kept_lengths: list[int] = []

    @classmethod
    def of(
        cls,
        offsets: Iterable[int],
        first_lsns: Iterable[int],
        crcs: array[int],
        lengths: list[array[int] | None],
    ) -> RunIndex:
        """Return an index of complete runs, as a SEAL describes them."""
        index = cls()
        index.offsets, index.first_lsns = array("I", offsets), array("Q", first_lsns)
        index.crcs, index.lengths = crcs, lengths
        return index

    @property
    def room(self) -> int:
        """Bytes that the open run still takes. It is complete with the frame that reaches or passes them."""
        return RUN_BYTES - self._open_bytes if self._open_bytes < RUN_BYTES else RUN_BYTES

    def add_frame(self, frame: Buffer, frame_bytes: int, offset: int, first_lsn: int, length: int = NO_LENGTH) -> None:
        """Add the next whole frame with its padding. Nobody changes it afterwards.

        *length* is the stored length of its entry, if it holds one.
        """
        open_bytes = self._open_bytes
        if open_bytes >= RUN_BYTES:
            self._begin_run(offset, first_lsn)
            open_bytes = 0
        self._kept_frames.append(frame)
        self._kept_lengths.append(length)
        self._open_bytes = open_bytes = open_bytes + frame_bytes
        if open_bytes >= RUN_BYTES:
            self.updated()

    def add(self, frames: Buffer, frames_bytes: int, offset: int, first_lsn: int, lengths: Sequence[int] = ()) -> None:
        """Add the next whole frames with their padding, and keep none of them. Only the last of them may pass `room`.

        *lengths* are the stored lengths of their entries, if each of them holds one entry.
        """
        if self._open_bytes >= RUN_BYTES:
            self._begin_run(offset, first_lsn)
            self._open_bytes = 0
        self._open_bytes += frames_bytes
        self._kept_frames.append(frames)
        self._kept_lengths += lengths or (NO_LENGTH,)
        self.updated()

    def _begin_run(self, offset: int, first_lsn: int) -> None:
        self.crcs.append(0)
        self.lengths.append(array("H"))
        self.first_lsns.append(first_lsn)
        self.offsets.append(offset)  # at last, because it counts the runs

    def updated(self) -> RunIndex:
        """Compute what the index says of the frames that were kept, and return the index.

        Between the first and the last of the new values no function is called, so no interrupt can fall between.
        """
        frames, known, left = self._kept_frames, self.lengths[-1] if self.lengths else None, self._lengths_left
        if not frames:
            return self
        if known is not None:
            left -= len(self._kept_lengths)
            kept = lengths_in_two_bytes(self._kept_lengths)
            known = known + kept if kept is not None and left >= 0 else None
        before = crc32(b"".join(frames[:-1]), self.crcs[-1])
        crc = crc32(frames[-1], before)  # where it lies, because it can be large
        self.crcs[-1], self.lengths[-1], self._lengths_left = crc, known, left
        self._kept_frames, self._kept_lengths = [], []
        return self

    def copy(self) -> RunIndex:
        """Return an index that grows by itself. Of this one it has what was added so far."""
        copied, known = RunIndex(), self.updated()
        copied.offsets, copied.first_lsns, copied.crcs = known.offsets[:], known.first_lsns[:], known.crcs[:]
        copied.lengths = known.lengths[:]
        copied._lengths_left = known._lengths_left
        copied._open_bytes = known._open_bytes
        return copied


class Seal(NamedTuple):
    """What a SEAL says about the segment that it completes."""

    offset: int
    """Where the SEAL begins, and the frames before it end."""
    end: int
    frames: int
    entries: int
    last_lsn: int
    first_commit_ns: int
    last_commit_ns: int
    link: bytes
    """Link of the last frame with entries before it."""
    runs: RunIndex


class SegmentFormat(Protocol):
    """How segments and frames are encoded and decoded. No member reads or writes a store.

    Members raise `Malformed` for values that no writer makes, and `UnsupportedFormat` for later versions.
    """

    traits: FormatFeatures

    def begins(self, head: bytes) -> bool:
        """Return whether a segment with these first 8 bytes is of this format. The rest may be damaged."""
        ...

    def first_link(self, log_id: bytes) -> bytes:
        """Return the link that the first frame of a log holds."""
        ...

    def encode_header(self, header: SegmentHeader, codec: Codec) -> bytes:
        """Return the header, of `traits.header_bytes` bytes, with the codec's check in it."""
        ...

    def decode_header(self, data: bytes) -> SegmentHeader:
        """Decode the first bytes of a segment. Raises `Malformed` if they are damaged or of another format.

        The codec's check is not looked at, because only the decoded header names the codec.
        """
        ...

    def is_header_of(self, data: bytes, header: SegmentHeader, codec: Codec) -> bool:
        """Return whether the codec's check in *data* holds. *header* was decoded from *data*."""
        ...

    def frame_bytes(self, stored_bytes: int, check_bytes: int) -> int:
        """Return the length of a whole frame with its padding."""
        ...

    def body(self, entries: list[bytes]) -> bytes:
        """Return the body for one or more entries, as the codec takes it."""
        ...

    def body_bytes(self, count: int, entries_bytes: int) -> int:
        """Return the length of a body with *count* entries, which have *entries_bytes* bytes in all."""
        ...

    def draft(self, entries: list[bytes], check_bytes: int) -> FrameBuffer:
        """Return a frame with the body of a batch in place. It is for codecs that store a body as it is."""
        ...

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
        """Return a whole frame with entries, and its link.

        *codec* is None for one whose check is `check_by_crc`. The frame is the same, and costs less.
        """
        ...

    def encode_checkpoint(
        self, salt: int, offset: int, synced: int, link: bytes, log_first_lsn: int, time_ns: int, codec: Codec
    ) -> bytes:
        """Return a whole CHECKPOINT frame."""
        ...

    def encode_seal(self, header: SegmentHeader, synced: int, seal: Seal, codec: Codec) -> bytes:
        """Return a whole SEAL frame for `seal.offset`. It is only called for a format with `has_seal`."""
        ...

    def header_at(self, buffer: bytes, index: int, offset: int, salt: int) -> FrameHeader | StopReason:
        """Return the frame header at *index* of the buffer, or why none is there. *offset* is its place in the
        segment."""
        ...

    def check_at(self, buffer: bytes, index: int, header: FrameHeader, codec: Codec) -> bool:
        """Return whether the codec's check of a frame holds. The buffer has all of its body."""
        ...

    def link_at(self, buffer: bytes, index: int, header: FrameHeader, check_bytes: int) -> bytes:
        """Return the link of a frame with entries, as the frames after it hold it. The buffer has all of the frame."""
        ...

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
        """Check consecutive frames with entries, from *index* of the buffer on, which is *offset* of the segment.

        Each frame is whole with its padding, and passes what `header_at`, `check_at` and the verdict ask for. The LSNs
        continue from *first_lsn*, and the links from *link*. If *link* is None, the link in the first frame is taken as
        it is. The check ends with the frame that fills *room* bytes, and a batch is returned alone. The method does
        not judge the frame at which it stops.
        """
        ...

    def headers_in(self, buffer: bytes, start: int, offset: int, salt: int) -> Iterator[FrameHeader]:
        """Yield every frame header in the buffer from *start* on, in linear time. The buffer begins at *offset*."""
        ...

    def payloads(self, run: bytes, check_bytes: int, lengths: array[int] | None = None) -> list[bytes]:
        """Return the entries of an intact run. The codec stores them as they are.

        *lengths* are those that a `RunIndex` has of this run.
        """
        ...

    def bodies(self, run: bytes | memoryview, check_bytes: int, lengths: array[int] | None = None) -> AnyBodies:
        """Return where the bodies of an intact run lie in it. The codec stores them as they are.

        *lengths* are those that a `RunIndex` has of this run.
        """
        ...

    def entry(self, run: bytes, check_bytes: int, position: int, lengths: array[int] | None = None) -> bytes | None:
        """Return the entry at *position* of an intact run, or None if it has fewer. The codec stores it as it is."""
        ...

    def has_lengths(self, run: bytes, check_bytes: int, lengths: array[int]) -> bool:
        """Return whether each frame of an intact run holds one entry, and these are their stored lengths."""
        ...

    def commits(self, run: bytes) -> list[Commit]:
        """Return the commit of each frame with entries in an intact run."""
        ...

    def headers(self, run: bytes | memoryview) -> Iterator[tuple[FrameHeader, int]]:
        """Yield the frame headers of an intact run, each with its index in the run."""
        ...

    def stored(self, buffer: bytes, index: int, header: FrameHeader, check_bytes: int) -> memoryview:
        """Return what the codec stored for that frame, without the check."""
        ...

    def split(self, body: bytes, count: int) -> list[bytes]:
        """Return the entries of a body. Raises `Malformed`."""
        ...

    def frame_end(self, header: FrameHeader) -> int:
        """Return the offset after the frame and its padding."""
        ...

    def decode_seal(self, buffer: bytes, index: int, header: FrameHeader, first_lsn: int, codec: Codec) -> Seal | None:
        """Return the SEAL with that header, or None if it is damaged. The buffer has all of it."""
        ...

    def seal_offset(self, tail: bytes) -> int | None:
        """Return where the SEAL begins, or None if no SEAL ends there. *tail* ends with the last byte other than
        zero."""
        ...
