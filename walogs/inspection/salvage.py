"""`salvage`: every intact entry of a log, around whatever damage there is. Changes nothing, takes no lock."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from walogs.assembly import source_of
from walogs.config import overridden
from walogs.engine.beside import carried_base
from walogs.engine.reading import context_of
from walogs.engine.recovery import read_witness
from walogs.errors import Corrupt, Missing
from walogs.formats.segment_format import Kind, Malformed, SegmentHeader, Stop
from walogs.types import Entry, Gap

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Unpack

    from walogs.config import Overrides, WalConfig
    from walogs.engine.source import Source
    from walogs.formats.segment_format import FrameHeader
    from walogs.formats.witness import Witness

T = TypeVar("T")
SEARCH_BYTES: Final = 1 << 20
HEADER_BYTES_MAX: Final = 64
"""A frame header, and more."""


class Frame(NamedTuple):
    """An intact frame with entries."""

    header: FrameHeader
    buffer: bytes
    """The frame, from its header on."""


class Place(NamedTuple):
    """Where intact frames stop, and why."""

    segment: int | None
    offset: int | None
    why: str


def salvage(
    path: str | os.PathLike[str] | None = None, config: WalConfig | None = None, **overrides: Unpack[Overrides]
) -> Iterator[Entry | Gap]:
    """Every intact entry, in order, and each `Gap` between them; never a part of a batch.

    The log is not locked and not changed; of one that is being written, what is there now. Memory is bounded by one
    frame. Raises `Missing` (no log is there), `UnsupportedFormat`, `OSError`, and what the codec says of an entry that
    it cannot decode (for want of a key), unless that is `Corrupt`: such a commit is a `Gap`.
    """
    return salvaged(source_of(path, overridden(config, overrides)))


def salvaged(source: Source) -> Iterator[Entry | Gap]:
    for found in intact_commits(source, entries_of):
        if isinstance(found, Gap):
            yield found
        else:
            first_lsn, entries = found
            for lsn, data in enumerate(entries, first_lsn):
                yield Entry(lsn, data)


def intact_commits(
    source: Source, entries_in: Callable[[Source, SegmentHeader, Frame], Sequence[T]]
) -> Iterator[tuple[int, Sequence[T]] | Gap]:
    """(first LSN, what *entries_in* makes of its frame) of each commit, and the gaps between them."""
    numbers = tuple(source.store.segments())
    if not numbers:
        raise Missing(f"{source.store.name} holds no log: nothing was ever appended there. Is that the right place?")
    headers = headers_of(source, numbers)
    base_lsn = known_base(source, headers)
    expected = 0
    place = Place(None, None, "its segment is missing")
    for number in numbers:
        header = headers.get(number)
        if header is None:
            place = Place(number, 0, "its header is damaged, and nothing tells what it was")
            continue
        if expected and header.first_lsn > expected:
            yield Gap(expected, header.first_lsn - 1, *place)
            expected = header.first_lsn
        for found in frames_of(source, header):
            if isinstance(found, Place):
                place = found
                continue
            first_lsn = found.header.first_lsn
            if first_lsn < expected:  # another copy of what was found already
                continue
            if first_lsn > (expected or base_lsn):
                yield Gap(expected or base_lsn, first_lsn - 1, *place)
            try:
                entries = entries_in(source, header, found)
            except (Malformed, Corrupt) as error:  # Corrupt: by a codec that authenticates, or was given a bomb
                place = Place(number, found.header.offset, str(error))
                expected = first_lsn
                continue
            yield first_lsn, entries
            expected = first_lsn + len(entries)
            place = Place(None, None, "its segment is missing")
        if place.segment is None and (number + 1 in numbers or number == numbers[-1]):
            place = Place(number, None, "intact frames end before it")
    yield from missing_at_the_end(source, headers, numbers, expected or base_lsn, place)


def known_base(source: Source, headers: dict[int, SegmentHeader]) -> int:
    """The first LSN that can be read, as headers and the CHECKPOINTs of the newest segment say."""
    base_lsn = max((header.base_lsn for header in headers.values()), default=1)
    try:
        return max(base_lsn, carried_base(source, headers[max(headers)])) if headers else base_lsn
    except Corrupt:
        return base_lsn


def missing_at_the_end(
    source: Source, headers: dict[int, SegmentHeader], numbers: tuple[int, ...], expected: int, place: Place
) -> Iterator[Gap]:
    """What the witness saw, and what stands after the last intact frame."""
    witness = read_witness(source)
    is_ours = witness is not None and any(header.log_id == witness.log_id for header in headers.values())
    if witness is not None and is_ours and witness.last_lsn >= expected:
        yield Gap(expected, witness.last_lsn, *place)
    elif place.segment == numbers[-1] and place.offset is not None:
        yield Gap(expected, None, *place)


def headers_of(source: Source, numbers: tuple[int, ...]) -> dict[int, SegmentHeader]:
    """The headers of this log's segments. A damaged one is made again from what its neighbours say: its salt is in its
    successor's header, or in the witness."""
    headers = intact_headers(source, numbers)
    if headers:
        log_id = Counter(header.log_id for header in headers.values()).most_common(1)[0][0]  # a foreign one is one
        headers = {number: header for number, header in headers.items() if header.log_id == log_id}
    for number in reversed(numbers):
        if number not in headers:
            made = header_again(source, headers, number)
            if made is not None:
                headers[number] = made
    return dict(sorted(headers.items()))


def intact_headers(source: Source, numbers: Sequence[int]) -> dict[int, SegmentHeader]:
    """By number. Raises `Missing`, `UnsupportedFormat`."""
    found = ((number, header_if_intact(source, number)) for number in numbers)
    return {number: header for number, header in found if header is not None}


def header_if_intact(source: Source, number: int) -> SegmentHeader | None:
    """The header of that segment; None: it is damaged. Raises `Missing`, `UnsupportedFormat`."""
    try:
        return source.header(number)
    except Corrupt:
        return None


def header_again(source: Source, headers: dict[int, SegmentHeader], number: int) -> SegmentHeader | None:
    """What is known of a segment whose header is damaged; None: not even its salt."""
    successor, witness = headers.get(number + 1), read_witness(source)
    neighbour = successor if successor is not None else headers.get(number - 1)
    if neighbour is None:
        return header_by_witness(source, witness, number) if not headers else None
    if successor is not None:
        salt = successor.previous_salt
    elif witness is not None and witness.segment == number and witness.log_id == neighbour.log_id:
        salt = witness.salt
    else:
        return None
    made = replace(neighbour, number=number, salt=salt, first_lsn=1, is_fence=False, is_base=False)
    first = first_frame(source, made)
    if first is None:  # it may be of another codec than its neighbour: of the one that was asked for
        made = replace(made, codec_name=source.codec.name, codec_parameters=source.codec_parameters)
        first = first_frame(source, made)
    return replace(made, first_lsn=first.header.first_lsn) if first is not None else None


def first_frame(source: Source, segment: SegmentHeader) -> Frame | None:
    return next((found for found in frames_of(source, segment) if isinstance(found, Frame)), None)


def header_by_witness(source: Source, witness: Witness | None, number: int) -> SegmentHeader | None:
    """Of a log none of whose headers is intact, the newest: its codec is the one that was asked for."""
    if witness is None or witness.segment != number:
        return None
    made = SegmentHeader(
        number=number,
        first_lsn=1,
        base_lsn=1,
        epoch=1,
        log_id=witness.log_id,
        writer_id=bytes(16),
        salt=witness.salt,
        previous_salt=0,
        previous_check=0,
        created_ns=0,
        codec_name=source.codec.name,
        codec_parameters=source.codec_parameters,
    )
    first = first_frame(source, made)
    if first is None:
        return None
    first_lsn = 1 if number == 1 else first.header.first_lsn  # below it all was checkpointed, as far as is known
    return replace(made, first_lsn=first_lsn, base_lsn=first_lsn)


def frames_of(source: Source, segment: SegmentHeader) -> Iterator[Frame | Place]:
    """The intact frames with entries of one segment, and each place where they stop before others follow."""
    form, codec, store = source.format, source.codec_of(segment), source.store
    number, size = segment.number, store.size(segment.number)
    offset = form.traits.header_bytes
    while offset < size:
        head = store.read(number, offset, min(size, offset + HEADER_BYTES_MAX))
        header = form.header_at(head, 0, offset, segment.salt)
        why = ""
        if isinstance(header, Stop):
            if not head.strip(b"\0") and rest_is_zero(source, number, offset, size):
                return
            why = header.value
        else:
            end = form.frame_end(header)
            buffer = store.read(number, offset, min(size, end))
            if form.check_at(buffer, 0, header, codec):
                if header.kind == Kind.ENTRIES.value and header.entries:
                    yield Frame(header, buffer)
                offset = end
                continue
            why = Stop.DAMAGED.value
        yield Place(number, offset, why)
        offset = next_header(source, segment, offset + form.traits.alignment, size)


def next_header(source: Source, segment: SegmentHeader, offset: int, size: int) -> int:
    """Where the next frame header is, whatever became of its body; *size*: nowhere."""
    while offset < size:
        chunk = source.store.read(segment.number, offset, min(size, offset + SEARCH_BYTES))
        for header in source.format.headers_in(chunk, 0, offset, segment.salt):
            return header.offset
        if len(chunk) <= HEADER_BYTES_MAX:
            break
        offset += len(chunk) - HEADER_BYTES_MAX  # one may lie across two chunks
    return size


def rest_is_zero(source: Source, number: int, offset: int, size: int) -> bool:
    while offset < size:
        if source.store.read(number, offset, min(size, offset + SEARCH_BYTES)).strip(b"\0"):
            return False
        offset += SEARCH_BYTES
    return True


def entries_counted(source: Source, segment: SegmentHeader, frame: Frame) -> Sequence[object]:
    """As many as there are, without asking the codec: whoever checks a log need not be able to read it."""
    if source.codec_of(segment).identity:
        return entries_of(source, segment, frame)
    return range(frame.header.entries)


def entries_of(source: Source, segment: SegmentHeader, frame: Frame) -> list[bytes]:
    """Raises `Malformed`, and what the codec raises."""
    form, codec, header = source.format, source.codec_of(segment), frame.header
    stored = form.stored(frame.buffer, 0, header, codec.check_bytes)
    if codec.identity:
        return form.split(bytes(stored), header.entries)
    return form.split(codec.decode(stored, context_of(source, segment, header)), header.entries)
