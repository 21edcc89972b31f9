"""The columns of a log that a handle has open. This is imported when they are asked for, because it loads pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from walogs.arrow import LogColumns
from walogs.engine.log_view import LogView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from walogs.engine.extent_reader import BuildColumns, Extent, ExtentReader
    from walogs.engine.log_source import LogSource
    from walogs.engine.observation import Visibility
    from walogs.engine.snapshot import Snapshot

T = TypeVar("T")


def columns_of_writer(source: LogSource, snapshot: Callable[[], tuple[Snapshot, int, int]]) -> LogColumns:
    """Return the columns of what *snapshot* returns: a snapshot, and the LSNs in it that are wanted."""

    def read(build: BuildColumns[T]) -> Iterator[T]:
        found, first, end = snapshot()
        return found.columns(first, end, build)

    return LogColumns(source.store.name, source.format, read)


def columns_of_reader(
    source: LogSource, view: LogView, visibility: Visibility, start: int | None, stop: int | None
) -> LogColumns:
    """Return the columns of [start, stop). They can be read until *view* is closed.

    Each reading has a view of its own, because it may go on in any thread, and several at a time.
    """

    def read(build: BuildColumns[T]) -> Iterator[T]:
        view.refuse_closed()
        own = LogView(source, visibility)
        first, end = own.range(start, stop)
        return columns(own, first, end, build, to_end=stop is None or end < stop)

    def columns(own: LogView, first: int, end: int, build: BuildColumns[T], *, to_end: bool) -> Iterator[T]:
        def read_extent(reader: ExtentReader, extent: Extent, lsn: int, after: int) -> Iterator[tuple[int, int, T]]:
            return reader.columns(extent, lsn, after, build)

        for found in own.read_with_retry(read_extent, first, end, cuts=own.cuts, to_end=to_end):
            view.refuse_closed()
            yield found

    return LogColumns(source.store.name, source.format, read)
