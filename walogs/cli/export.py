"""`walogs export DIR --parquet FILE`: write the entries of a log as columns, for a database or a data frame."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from cyclopts import Parameter

from walogs.assembly.opening import reader as open_reader
from walogs.cli import show
from walogs.cli.absence import existing
from walogs.cli.cat import first_since, unix_ns
from walogs.cli.entries import standard_output
from walogs.cli.lines import progress_bar
from walogs.cli.log_argument import LogArgument
from walogs.cli.numbers import FromOne
from walogs.cli.options import VISIBILITY_HELP, Visibility
from walogs.cli.status import DONE, USAGE, WrongUsage, complain
from walogs.cli.whole_file import refuse_existing, whole_file
from walogs.errors import SegmentNotFound
from walogs.foundation.pip_command import pip_install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyarrow import RecordBatch

    from walogs.arrow.files import FileKind
    from walogs.engine.log_source import LogSource
    from walogs.handles.reader import WalReader

STANDARD_OUTPUT: Final = "-"

Parquet: TypeAlias = Annotated[
    str | None, Parameter(allow_leading_hyphen=True, help="Parquet file to write; - for standard output.")
]
Arrow: TypeAlias = Annotated[
    str | None,
    Parameter(
        allow_leading_hyphen=True,
        help="Arrow file to write, which can be mapped into memory; - for a stream on standard output.",
    ),
]


def export(
    log: LogArgument,
    /,
    *,
    parquet: Parquet = None,
    arrow: Arrow = None,
    start: Annotated[FromOne | None, Parameter(help="First LSN to export; without it, the log's first.")] = None,
    stop: Annotated[FromOne | None, Parameter(help="LSN to stop before; without it, the end.")] = None,
    from_time: Annotated[
        datetime | None,
        Parameter(help="Export only what was committed then or later: 2026-01-31T12:00:00, in UTC unless told."),
    ] = None,
    visibility: Annotated[Visibility, Parameter(help=VISIBILITY_HELP)] = "written",
    overwrite: Annotated[bool, Parameter(negative="", show_default=False, help="Replace FILE if it is there.")] = False,
) -> int:
    """Write the entries as columns: lsn, time (of the commit, in UTC) and data. Name --parquet FILE or --arrow FILE.

    The command takes no lock and changes nothing in the log, which may be open in another process, and be written to.
    The file appears when it is complete and synced. If the log is damaged, no file appears, and the exit status is 4:
    `--stop` exports what is before the damage. This needs pyarrow, which the extra walogs[arrow] installs.
    """
    target, kind = chosen(parquet, arrow)
    try:
        from walogs.arrow.files import write_batches
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        complain(f"export needs pyarrow: {pip_install('walogs', 'arrow')}")
        return USAGE
    source, since_ns = existing(log), unix_ns(from_time)
    if target != STANDARD_OUTPUT:
        refuse_existing(Path(target), overwrite=overwrite)
    with open_reader(log.path, log.config, visibility=visibility) as reader, progress_bar("exporting") as progress:
        counted = Counted(source, reader, progress)
        first = first_since(reader, start, since_ns) if since_ns else start
        batches = counted.through(batches_since(reader, first, stop, since_ns), first, stop)
        if target == STANDARD_OUTPUT:
            with standard_output() as out:
                write_batches(batches, out, kind)
            return DONE
        with whole_file(Path(target), overwrite=overwrite) as out:
            write_batches(batches, out, kind)
    entries = show.count_words(counted.entries, "entry", "entries")
    print(f"exported {entries} to {target}, in {show.size_words(os.path.getsize(target))}")
    return DONE


def chosen(parquet: str | None, arrow: str | None) -> tuple[str, FileKind]:
    """Return the file to write and its kind. Raise `WrongUsage` unless one of the two is named."""
    if parquet is not None and arrow is None:
        return parquet, "parquet"
    if arrow is not None and parquet is None:
        return arrow, "arrow-stream" if arrow == STANDARD_OUTPUT else "arrow"
    raise WrongUsage("name what to write: --parquet FILE or --arrow FILE, and one of them only")


def batches_since(reader: WalReader, start: int | None, stop: int | None, since_ns: int) -> Iterator[RecordBatch]:
    """Yield the entries of [start, stop) that were committed at *since_ns* or later, in Unix nanoseconds."""
    from walogs.arrow.record_batches import committed_since

    for batch in reader.arrow_batches(start, stop):
        yield committed_since(batch, since_ns) if since_ns else batch


class Counted:
    """Counts the entries that pass, and moves the bar."""

    def __init__(self, source: LogSource, reader: WalReader, progress: Callable[[int, int], object] | None) -> None:
        self.entries = 0
        self._progress = progress
        if progress is not None:
            self._first_lsn, self._last_lsn, self._log_bytes = reader.first_lsn, reader.last_lsn, bytes_of(source)

    def through(self, batches: Iterator[RecordBatch], start: int | None, stop: int | None) -> Iterator[RecordBatch]:
        """Yield each of these record batches of [start, stop), and count it."""
        for batch in batches:
            yield batch
            self.entries += batch.num_rows
            if self._progress is not None and batch.num_rows:
                first = max(start or 1, self._first_lsn)
                last = min((stop or self._last_lsn + 1) - 1, self._last_lsn)
                done = batch["lsn"][-1].as_py() - first + 1
                total = self._log_bytes * (last - first + 1) // max(self._last_lsn - self._first_lsn + 1, 1)
                self._progress(total * done // max(last - first + 1, done), total)


def bytes_of(source: LogSource) -> int:
    """Return the bytes of all segments that are there."""
    total = 0
    for number in source.store.segments():
        with suppress(SegmentNotFound):  # a checkpoint has removed it
            total += source.store.size(number)
    return total
