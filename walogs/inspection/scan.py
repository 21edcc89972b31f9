"""Find every intact frame of a segment, whatever bytes lie around it. One pass, in time linear in the bytes.

A frame header claims the bytes of its body. Only the codec's check over all these bytes tells whether the claim is
true. In bytes that no writer made, thousands of headers can each claim the rest of the segment, and these claims
overlap. So the scan limits how many bytes failed checks may cost:

- A claim that reaches beyond the segment is false. It costs nothing.
- A true claim is a frame. The scan continues after it, so intact frames cost each byte once.
- False claims are checked one after the other until they have cost FAILED_BYTES_FACTOR times the segment. Each is read
  twice, since a writer may be at work.
- From then on, a claim is checked only if no other frame header lies in the bytes that it claims. Such claims do not
  overlap, so they cost each byte once at most. The scan treats every other claim as damage without checking it.

So each byte is checked FAILED_BYTES_FACTOR + 3 times at most, on average. docs/decisions explains why no frame of an
honest writer is treated as damage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.engine.frame_reader import CHUNK_BYTES
from walogs.formats.segment_format import FrameHeader, Kind, StopReason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import SegmentHeader

FAILED_BYTES_FACTOR: Final = 4
CHANGES_MAX: Final = 100
"""Read again at most this many times because a writer has changed the bytes.

A writer does so once or twice. A device that never returns the same bytes must not keep a scan from ending.
"""
HEADER_BYTES_MAX: Final = 64
"""At least as many as a frame header has."""


class Piece(NamedTuple):
    """Bytes of a segment: either an intact frame, or damaged bytes up to the next frame header."""

    start: int
    end: int
    header: FrameHeader | None
    """The intact frame header that is there. Its body may be damaged."""
    frame: bytes | None
    """The bytes of the intact frame, beginning with its header; None: no intact frame is there."""
    why: str
    """Why no intact frame is there; empty if one is."""


class Frame(NamedTuple):
    """An intact frame with entries."""

    header: FrameHeader
    buffer: bytes
    """The bytes of the frame, beginning with its header."""


def pieces_of(source: LogSource, segment: SegmentHeader) -> Iterator[Piece]:
    """Yield the segment in pieces, from the end of its header to where only zeros are left.

    Raises `SegmentNotFound`, `OSError`.
    """
    yield from Scan(source, segment).pieces()


def frames_of(source: LogSource, segment: SegmentHeader) -> Iterator[Frame | Piece]:
    """Yield the intact frames with entries of a segment. Before those that follow damage, yield its first `Piece`.

    Yield also the `Piece` of a SEAL whose header is intact: it says which entry is the last of the segment.
    """
    damage_end = 0
    for piece in pieces_of(source, segment):
        if piece.header is not None and piece.header.kind == Kind.SEAL.value:
            yield piece
        elif piece.frame is None or piece.header is None:
            if piece.start != damage_end:
                yield piece
            damage_end = piece.end
        elif piece.header.kind == Kind.ENTRIES.value and piece.header.entries:
            yield Frame(piece.header, piece.frame)


class Scan:
    """One pass over one segment."""

    def __init__(self, source: LogSource, segment: SegmentHeader) -> None:
        self._source = source
        self._segment = segment
        self._size = source.store.size(segment.number)
        self._failed_bytes_left = FAILED_BYTES_FACTOR * self._size
        self._changes_left = CHANGES_MAX
        self._ahead = b""
        self._ahead_start = 0
        self._search = HeaderSearch(source, segment, self._size)

    def pieces(self) -> Iterator[Piece]:
        form, codec, size = self._source.format, self._source.codec_of(self._segment), self._size
        offset = form.traits.header_bytes
        while offset < size:
            seen = self._bytes(offset, offset + HEADER_BYTES_MAX)
            found = form.header_at(seen, 0, offset, self._segment.salt)
            why = found.value if isinstance(found, StopReason) else StopReason.SHORT.value
            header = None if isinstance(found, StopReason) else found
            if header is not None and self._is_worth_a_check(header):
                end = form.frame_end(header)
                seen = self._bytes(offset, end)
                if form.check_at(seen, 0, header, codec):
                    yield Piece(start=offset, end=min(end, size), header=header, frame=seen, why="")
                    offset = end
                    continue
                self._failed_bytes_left -= 2 * len(seen)  # `_has_changed` reads them once more
                why = StopReason.DAMAGED.value
            following = self._search.header_after(offset)
            if following == size and header is None and self._is_zero(offset):
                return
            if self._has_changed(offset, seen):
                continue
            yield Piece(start=offset, end=following, header=header, frame=None, why=why)
            offset = following

    def _has_changed(self, offset: int, seen: bytes) -> bool:
        """Return whether a writer has changed the bytes *seen* since they were read.

        It may have written a frame there, and the frame that follows, which was found.
        """
        if self._changes_left and self._source.store.read(self._segment.number, offset, offset + len(seen)) != seen:
            self._changes_left -= 1
            self._ahead = b""
            return True
        return False

    def _is_worth_a_check(self, header: FrameHeader) -> bool:
        """Return whether the body ends within the segment, and a check of it is within the limits.

        The padding after the body may be cut off.
        """
        end = self._source.format.frame_end(header)
        if end - (-header.body_bytes % self._source.format.traits.alignment) > self._size:
            return False
        return self._failed_bytes_left > 0 or self._search.header_after(header.offset) >= end

    def _bytes(self, start: int, end: int) -> bytes:
        """Return the bytes [start, end), or fewer at the end of the segment.

        Calls come in ascending order. A call reads a chunk ahead. More than half a chunk is read by itself, so no byte
        is read ahead more than twice.
        """
        end = min(end, self._size)
        at = start - self._ahead_start
        if end > self._ahead_start + len(self._ahead) or at < 0:
            if end - start > CHUNK_BYTES // 2:
                return self._source.store.read(self._segment.number, start, end)
            self._ahead = self._source.store.read(self._segment.number, start, min(self._size, start + CHUNK_BYTES))
            self._ahead_start, at = start, 0
        return self._ahead[at : at + end - start]

    def _is_zero(self, offset: int) -> bool:
        """Return whether only zeros follow *offset*."""
        while offset < self._size:
            end = min(self._size, offset + CHUNK_BYTES)
            if self._source.store.read(self._segment.number, offset, end).strip(b"\0"):
                return False
            offset = end
        return True


class HeaderSearch:
    """Finds frame headers. The caller asks in ascending order, so every byte is read and searched once."""

    def __init__(self, source: LogSource, segment: SegmentHeader, size: int) -> None:
        self._source = source
        self._segment = segment
        self._size = size
        self._found = -1
        """Offset of the header that was found last. No other header lies between the last *offset* and this one."""
        self._headers: Iterator[FrameHeader] = iter(())
        self._chunk_end = 0

    def header_after(self, offset: int) -> int:
        """Return the offset of the first frame header after *offset*; the size of the segment if there is none."""
        while self._found <= offset:
            header = next(self._headers, None)
            if header is not None:
                self._found = header.offset
            elif self._chunk_end >= self._size:
                self._found = self._size
            else:
                self._read(max(offset + self._source.format.traits.alignment, self._chunk_end - HEADER_BYTES_MAX))
        return self._found

    def _read(self, start: int) -> None:
        """Read and search the next chunk. Chunks overlap, since a header may lie across two of them."""
        end = min(self._size, start + CHUNK_BYTES)
        chunk = self._source.store.read(self._segment.number, start, end)
        self._headers = self._source.format.headers_in(chunk, 0, start, self._segment.salt)
        self._chunk_end = end if len(chunk) == end - start else self._size
