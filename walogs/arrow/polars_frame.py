"""A log as a lazy frame of Polars, which reads the log anew each time it is used.

`polars.scan_arrow_c_stream` opens one stream, and every use of its frame goes on where the last one has stopped: a
second `collect` returns no rows, and a frame that is joined with itself loses some. It raises no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.arrow.log_columns import LogColumns


def lazy_frame(columns: LogColumns) -> pl.LazyFrame:
    """Return a frame whose every use is a new reading of these columns."""

    def read(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for batch in columns:
            if left == 0:
                return
            frame = pl.DataFrame(batch)
            frame = frame.head(left) if left is not None else frame
            left = left - frame.height if left is not None else None
            frame = frame.filter(predicate) if predicate is not None else frame
            yield frame.select(with_columns) if with_columns is not None else frame

    return register_io_source(read, schema=pl.DataFrame(columns.schema.empty_table()).schema)
