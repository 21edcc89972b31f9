"""pyarrow, Polars and DuckDB read a log as they read a table, and as often as they want."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import walogs
from tests.arrow.columns import append
from tests.kit.logs import LogOnDisk


@pytest.fixture
def wal(tmp_path: Path) -> Iterator[walogs.Wal]:
    with walogs.open(tmp_path / "log", sync="none") as wal:
        append(wal, [[b"%d" % k] for k in range(1, 101)] + [[b"%d" % k for k in range(101, 301)]])
        wal.rotate()
        append(wal, [[b"%d" % k for k in range(301, 401)]])
        yield wal


class Counted:
    """Counts how often its log is opened as a stream."""

    def __init__(self, columns: Any) -> None:
        self.columns = columns
        self.opened = 0

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        self.opened += 1
        return self.columns.__arrow_c_stream__(requested_schema)


def test_a_handle_is_a_table_for_each_of_them(wal: walogs.Wal, tmp_path: Path) -> None:
    with walogs.reader(tmp_path / "log", visibility="written") as reader:
        for log in (wal, reader, wal.to_arrow(), reader.to_arrow(1, 401)):
            assert pa.table(log).num_rows == 400
            frame = pl.DataFrame(log)
            assert frame.shape == (400, 3)
            assert frame["lsn"].to_list() == list(range(1, 401))
            assert frame["data"][399] == b"400"
            assert duckdb.sql("select count(*), min(lsn), max(lsn), min(data) from log").fetchall() == [
                (400, 1, 400, b"1")
            ]


def test_duckdb_opens_a_stream_several_times_for_a_query_and_misses_nothing(wal: walogs.Wal) -> None:
    log = Counted(wal.to_arrow())
    assert duckdb.sql("select count(*) from log").fetchall() == [(400,)]
    assert log.opened > 1, "if it opens it once, the page on analytics says too much"
    twice = "select count(*), sum(a.lsn) from log a join log b using (lsn)"
    assert duckdb.sql(twice).fetchall() == [(400, 400 * 401 // 2)]
    for _ in range(2):
        relation = duckdb.sql("select lsn from log where data = '77'::blob")
        assert relation.fetchall() == [(77,)]


def test_a_frame_of_polars_that_is_used_twice_reads_the_log_twice(wal: walogs.Wal) -> None:
    frame = wal.to_arrow().lazy_frame()
    for expected in (400, 401):
        assert frame.select(pl.len()).collect().item() == expected
        assert frame.join(frame, on="lsn").collect().height == expected
        wal.append(b"one more")


def test_the_scan_of_polars_itself_gives_rows_only_once(wal: walogs.Wal) -> None:
    """This is why there is `lazy_frame`. When it fails, Polars reads again: say so in docs/analytics.md."""
    frame = pl.scan_arrow_c_stream(wal)
    assert [frame.collect().height for _ in range(2)] == [400, 0]


def test_what_polars_asks_of_a_lazy_frame_is_done(wal: walogs.Wal) -> None:
    frame = wal.to_arrow().lazy_frame()
    assert frame.head(350).select("data").collect()["data"].to_list() == [b"%d" % k for k in range(1, 351)]
    assert frame.head(6).filter(pl.col("lsn") > 2).collect()["lsn"].to_list() == [3, 4, 5, 6]
    assert frame.filter(pl.col("lsn") > 397).head(2).select("data").collect()["data"].to_list() == [b"398", b"399"]
    assert frame.filter(pl.col("data") == b"12").select("lsn").collect(engine="streaming").item() == 12


def test_a_query_that_stops_early_lets_go_of_the_log(wal: walogs.Wal) -> None:
    assert len(duckdb.sql("select lsn from wal limit 3").fetchall()) == 3
    assert wal.to_arrow().lazy_frame().head(3).collect().height == 3
    wal.append(b"after")
    assert duckdb.sql("select max(lsn) from wal").fetchall() == [(401,)]


def test_an_error_comes_through_a_stream_as_text(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", sync="none") as wal:
        append(wal, [[bytes(1000) for _ in range(100)]] * 30)
        wal.rotate()
    log = LogOnDisk(tmp_path / "log")
    log.overwrite(1, log.frames(1)[20].offset + 3000, b"?")
    with walogs.reader(tmp_path / "log") as reader:
        for read in (
            lambda: pa.table(reader),
            lambda: pl.DataFrame(reader),
            lambda: duckdb.from_arrow(reader).aggregate("sum(octet_length(data))").fetchall(),
        ):
            with pytest.raises(Exception, match=r"wal-000001\.log .* is corrupt at byte \d+ \(entry 2001\)"):
                read()
        for raising in (reader.to_arrow().table, reader.to_arrow().lazy_frame().collect):
            with pytest.raises(walogs.Corrupt):
                raising()


def test_a_requested_schema_is_given(wal: walogs.Wal) -> None:
    asked = pa.schema([("lsn", pa.int64()), ("time", pa.timestamp("ns", "UTC")), ("data", pa.large_binary())])
    table = pa.RecordBatchReader.from_stream(wal, schema=asked).read_all()
    assert table.schema == asked
    assert table["data"][99].as_py() == b"100"
