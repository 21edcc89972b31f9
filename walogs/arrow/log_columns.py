"""`LogColumns`: the entries of a log as columns, which can be read again and again."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from walogs.arrow.record_batches import SCHEMA, ColumnBuilder
from walogs.foundation.lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polars import LazyFrame

    from walogs.engine.extent_reader import BuildColumns
    from walogs.formats.segment_format import SegmentFormat

    ReadColumns = Callable[[BuildColumns[list[pa.RecordBatch]]], Iterator[list[pa.RecordBatch]]]


class LogColumns:
    """The entries of a log in the columns `lsn`, `time` and `data` (`SCHEMA`). `to_arrow` of a handle returns it.

    It holds no entry. Each reading of it begins with a new snapshot of the log, and holds a chunk of it at a time. So
    it can be read as often as a query wants: DuckDB opens a stream several times for one query, and Polars once for
    each time that it is used.

    `__arrow_c_stream__` makes it a table for pyarrow, Polars, DuckDB and whatever else knows Arrow's PyCapsules. Errors
    of a reading come through such a stream as a text, in an error of its reader.
    """

    def __init__(self, name: str, form: SegmentFormat, read: ReadColumns) -> None:
        """*name* is that of the log. *read* takes a snapshot, and then iterates over what its argument makes of each
        run."""
        self._name = name
        self._form = form
        self._read = read

    @property
    def schema(self) -> pa.Schema:
        """The names and types of the columns."""
        return SCHEMA

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Take a snapshot, and iterate over its record batches. Raise what `iter` of the handle raises."""
        return chain.from_iterable(self._read(ColumnBuilder(self._form).build))

    def reader(self) -> pa.RecordBatchReader:
        """Take a snapshot, and return a reader of it. It can be read once. Raise what `iter` of the handle raises."""
        return pa.RecordBatchReader.from_batches(SCHEMA, iter(self))

    def table(self) -> pa.Table:
        """Take a snapshot, and read all of it into memory. Raise what `iter` of the handle raises."""
        return pa.Table.from_batches(list(self), SCHEMA)

    def lazy_frame(self) -> LazyFrame:
        """Return a lazy frame of Polars. Each use of it takes a new snapshot.

        Use it rather than `polars.scan_arrow_c_stream`, whose frame can be read once: it has no rows the next time.
        """
        with lazy_import:
            from walogs.arrow.polars_frame import lazy_frame

        return lazy_frame(self)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Take a snapshot, and return a stream of it as a PyCapsule (Arrow's C stream interface)."""
        return self.reader().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Return the schema as a PyCapsule (Arrow's C data interface)."""
        return SCHEMA.__arrow_c_schema__()

    def __repr__(self) -> str:
        return f"<walogs.arrow.LogColumns of {self._name!r}>"
