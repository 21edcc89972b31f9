"""Segments that have each other's names, as a restore script or a `mv` can leave them.

Every header says which segment it begins, so no entry is lost. This module reads the segments under the numbers in
their headers. `defaults/renaming.py` has the commands that give files their names again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, cast

from walogs.engine.whole_segments import read_ahead
from walogs.errors import SegmentNotFound, UnsupportedFormat
from walogs.formats.segment_format import Malformed
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import SegmentHeader
    from walogs.protocols import SegmentStore


class Exchange(NamedTuple):
    """Which files have the name of another segment."""

    numbers: Mapping[int, int]
    """From the number of each segment to the number in its file's name."""

    @property
    def moves(self) -> Iterator[tuple[int, int]]:
        """(number in the file's name, number of the segment) of each file with a wrong name."""
        return ((file, number) for number, file in self.numbers.items() if file != number)


def renumber_by_headers(source: LogSource) -> tuple[LogSource, Exchange | None]:
    """Return the same log, read under the numbers in its headers, and which files have wrong names (None: none)."""
    exchange = find_exchange(source)
    if exchange is None:
        return source, None
    store = cast("SegmentStore", ByHeaders(source.store, exchange.numbers))
    return source.with_store(store), exchange


def find_exchange(source: LogSource) -> Exchange | None:
    """Return which files have wrong names; None if none has.

    A file is a mere copy, and does not count, if its header names a segment whose own file has the right name.
    """
    numbers = tuple(source.store.segments())
    said = numbers_in_headers(source, numbers)
    right = {file for file, number in said.items() if file == number}
    claims = Counter(said.values())
    moved = {
        number: file for file, number in said.items() if file != number and number not in right and claims[number] == 1
    }
    if not moved:
        return None
    found = dict(moved)
    for file in set(numbers) - set(moved.values()):
        if file not in moved:
            found[file] = file
        elif file not in said:
            found[number_left_for(moved, file)] = file
    return Exchange(dict(sorted(found.items())))


def number_left_for(moved: Mapping[int, int], file: int) -> int:
    """Return the number left for a file whose header is damaged and whose name belongs to another segment."""
    while file in moved:
        file = moved[file]
    return file


def numbers_in_headers(source: LogSource, numbers: Sequence[int]) -> dict[int, int]:
    """Return, by the number in each file's name, the number in its header. Only for intact headers of this log."""
    source = read_ahead(source, numbers, source.format.traits.header_bytes)
    headers = {number: header for number in numbers if (header := read_header(source, number)) is not None}
    if not headers:
        return {}
    log_id = Counter(header.log_id for header in headers.values()).most_common(1)[0][0]
    return {file: header.number for file, header in headers.items() if header.log_id == log_id}


def read_header(source: LogSource, number: int) -> SegmentHeader | None:
    """Return the header in that file, of whatever segment it is. None if it is damaged, or if the file is gone."""
    try:
        return source.format.decode_header(source.store.read(number, 0, source.format.traits.header_bytes))
    except (Malformed, SegmentNotFound, UnsupportedFormat):
        return None


class ByHeaders:
    """A store for reading, in which every segment has the number that its header says."""

    def __init__(self, store: SegmentStore, numbers: Mapping[int, int]) -> None:
        self._store = store
        self._numbers = numbers
        self.name = store.name
        self.capabilities = store.capabilities

    def segment_name(self, number: int) -> str:
        return self._store.segment_name(self._numbers.get(number, number))

    def segments(self) -> list[int]:
        there = set(self._store.segments())
        return [number for number, file in self._numbers.items() if file in there]

    def size(self, number: int) -> int:
        return self._store.size(self._file(number))

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        return self._store.read(self._file(number), start, end)

    def read_durable_mark(self) -> bytes | None:
        return self._store.read_durable_mark() if is_appendable(self._store) else None

    def _file(self, number: int) -> int:
        if number not in self._numbers:
            raise SegmentNotFound(f"{self._store.segment_name(number)} is not there")
        return self._numbers[number]
