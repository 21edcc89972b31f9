"""Write record batches into a Parquet or an Arrow file, in bounded memory."""

from __future__ import annotations

from contextlib import suppress
from io import RawIOBase
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from walogs.arrow.record_batches import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from typing_extensions import Buffer

FileKind: TypeAlias = Literal["parquet", "arrow", "arrow-stream"]
"""An Arrow file can be mapped into memory and read in any order; an Arrow stream can be read while it is written."""
GROUP_BYTES: Final = 16 << 20
"""The size of a row group of Parquet, and of a record batch of Arrow. It can be more by one frame."""


HALF_A_MESSAGE: Final = b"\xff" * 4
"""Every message of an Arrow stream begins so. No reader takes a stream that ends with it for a whole one."""


class Sink(RawIOBase):
    """Where a writer of pyarrow writes to. After `cut`, it takes nothing more.

    A writer of pyarrow completes its file when it is dropped, too, after an error as after success.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out: BinaryIO | None = out

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        return self._out.write(data) if self._out is not None else memoryview(data).nbytes

    def flush(self) -> None:
        if self._out is not None:
            self._out.flush()

    def cut(self) -> None:
        self._out = None


def write_batches(batches: Iterable[pa.RecordBatch], out: BinaryIO, kind: FileKind) -> None:
    """Write these record batches of a log to *out*. One group of them is in memory at a time.

    If this raises, no reader takes what was written for a whole file or stream.
    """
    sink = Sink(out)
    try:
        writer = writer_of(sink, kind)
        for group in groups(batches):
            writer.write_table(group)
        writer.close()
    except BaseException:
        sink.cut()
        if kind == "arrow-stream":
            with suppress(OSError):  # nobody reads it any more
                out.write(HALF_A_MESSAGE)
        raise
    sink.cut()


def writer_of(out: RawIOBase, kind: FileKind) -> Any:
    if kind == "arrow":
        return pa.ipc.new_file(out, SCHEMA)
    if kind == "arrow-stream":
        return pa.ipc.new_stream(out, SCHEMA)
    ascending = {"lsn": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED"}
    return ParquetWriter(out, SCHEMA, compression="zstd", use_dictionary=False, column_encoding=ascending)


def groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield these record batches as tables of GROUP_BYTES each, which have one chunk."""
    held: list[pa.RecordBatch] = []
    held_bytes = 0
    for batch in batches:
        held.append(batch)
        held_bytes += batch.nbytes
        if held_bytes >= GROUP_BYTES:
            yield together(held)
            held, held_bytes = [], 0
    if held:
        yield together(held)


def together(batches: list[pa.RecordBatch]) -> pa.Table:
    """Return these record batches as a table with one chunk. Each chunk would take space of its own in the file."""
    table = pa.Table.from_batches(batches, SCHEMA)
    return table.combine_chunks() if len(batches) > 1 else table
