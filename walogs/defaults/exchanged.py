"""Segment files that have each other's names, as a restore script or a `mv` can leave them.

Every header says which segment its file is, so no entry is lost. This module reads the files under the numbers in their
headers, and makes the commands that give the files their names again.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from walogs.defaults.local_store import LocalStore
from walogs.engine.whole_segments import read_ahead
from walogs.errors import Corrupt, SegmentNotFound, UnsupportedFormat, WalError
from walogs.formats.segment_format import Malformed
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import SegmentHeader
    from walogs.protocols import SegmentStore

SPARE_NAME: Final = "exchanged-{:06d}"
"""A file has this name while another file still has its own. No store reads a file of such a name."""


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


def tell_names(source: LogSource, error: Corrupt) -> None:
    """Add to *error* the commands that give files their names again, if files have wrong names."""
    with suppress(WalError, OSError):
        exchange = find_exchange(source)
        if exchange is not None:
            error.args = (f"{error.damage} Nothing was changed.\n{next_moves_text(source, exchange)}",)


def exchange_error(source: LogSource, exchange: Exchange) -> Corrupt:
    """Return the error that names the files with wrong names, and the commands that rename them."""
    damage = describe_exchange(source, exchange)
    return Corrupt(f"{damage} Nothing was changed.\n{next_moves_text(source, exchange)}", damage=damage)


def next_moves_text(source: LogSource, exchange: Exchange) -> str:
    """Return what to do. The command has a line of its own, so that it can be copied."""
    command = rename_command(source, exchange)
    if not command:
        listed = ", ".join(f"{source.store.segment_name(file)} is segment {number}" for file, number in exchange.moves)
        return f"Next: give each segment the name that it should have: {listed}."
    return f"Next: give each segment file its name again, and check the log then:\n  {command}"


def describe_exchange(source: LogSource, exchange: Exchange) -> str:
    """Return a sentence that says which files have wrong names."""
    name, wrong = source.store.segment_name, dict(sorted(exchange.moves))
    listed = ", ".join(f"{name(file)} is segment {number}" for file, number in wrong.items())
    return f"{source.store.name}: segment files have the names of others ({listed}). No entry is lost by it."


def rename_command(source: LogSource, exchange: Exchange) -> str:
    """Return one line for a shell that renames every file. Empty if the segments are no local files.

    The command overwrites no file, and does not change the shell's working directory.
    """
    store, wrong = source.store, dict(sorted(exchange.moves))
    if not isinstance(store, LocalStore):
        return ""
    steps = [f"cd {shlex.quote(os.fspath(store.path))}"]
    steps += [f"mv -n {old} {new}" for old, new in ordered_moves(store, wrong)]
    return f"({' && '.join(steps)})"


def ordered_moves(store: LocalStore, wrong: dict[int, int]) -> Iterator[tuple[str, str]]:
    """Yield the renames, each when its target is free. In a ring of names, one file first gets a spare name."""
    names = {file: store.segment_name(file) for file in wrong}
    left = dict(wrong)
    while left:
        free = next((file for file, number in left.items() if number not in left), None)
        if free is not None:
            yield names[free], store.segment_name(left.pop(free))
            continue
        file = min(left)
        spare = SPARE_NAME.format(file)
        yield names[file], spare
        number = left.pop(file)
        left[-file], names[-file] = number, spare
