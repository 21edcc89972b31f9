"""Tasks append and read columns too, on each event loop."""

from __future__ import annotations

from pathlib import Path

import anyio
import polars as pl
import pyarrow as pa
import pytest

import walogs
import walogs.aio
from tests.aio.backends import on_each_backend, run_on
from tests.arrow.columns import rows_expected, rows_of


@on_each_backend
def test_what_a_task_appends_and_reads_as_columns(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal:
            assert await wal.append_arrow(pa.array([b"1", b""])) == range(1, 3)
            assert await wal.append_arrow(pl.Series(["3"])) == range(3, 4)
            assert await wal.append_arrow(pa.array([], pa.binary())) == range(4, 4)
            assert wal.durable_lsn == 3
            for refused in (pa.array([b"a", None]), pa.array([1])):
                with pytest.raises((TypeError, ValueError)):
                    await wal.append_arrow(refused)
            assert rows_of([batch async for batch in wal.arrow_batches(2)]) == rows_expected(wal.sync_handle, 2)
            columns = await wal.to_arrow(2)
            assert (await anyio.to_thread.run_sync(columns.table)).num_rows == 2
            async with walogs.aio.reader(tmp_path / "log") as reader:
                found = rows_of([batch async for batch in reader.arrow_batches()])
                assert found == rows_expected(wal.sync_handle)
                read = await reader.to_arrow(3)
                assert (await anyio.to_thread.run_sync(read.table))["data"].to_pylist() == [b"3"]
                with pytest.raises(IndexError):
                    reader.arrow_batches(0)
        with pytest.raises(walogs.Closed):
            await wal.append_arrow(pa.array([b"late", b"later"]))

    run_on(backend, main)
    with walogs.open(tmp_path / "log", verify="full") as again:
        assert [data for _, data in again] == [b"1", b"", b"3"]


@on_each_backend
def test_arrays_and_entries_of_many_tasks_share_commits(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        lsns: list[int] = []

        async def append(wal: walogs.aio.AsyncWal, number: int) -> None:
            lsns.append(await wal.append(b"%d" % number))
            lsns.extend(await wal.append_arrow(pa.array([b"a%d" % number, b"b%d" % number])))

        async with walogs.aio.open(tmp_path / "log") as wal:
            async with anyio.create_task_group() as group:
                for number in range(30):
                    group.start_soon(append, wal, number)
            assert sorted(lsns) == list(range(1, 91))
            entries = dict([entry async for entry in wal])
            for lsn, data in entries.items():
                if data.startswith(b"a"):
                    assert entries[lsn + 1] == b"b" + data[1:]

    run_on(backend, main)
