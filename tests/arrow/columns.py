"""Logs to read as columns, and what their columns should hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa

import walogs
from walogs.testing import MemoryDisk, MemoryStore

Row = tuple[int, int, bytes]
"""LSN, time in Unix nanoseconds, and data of an entry."""
Commits = list[list[bytes]]
SMALL: Final = 64 << 10


def rows_of(batches: Iterable[Any]) -> list[Row]:
    """Return the rows of these record batches. Each batch is checked by Arrow."""
    rows: list[Row] = []
    for batch in batches:
        batch.validate(full=True)
        assert batch.num_rows
        lsns, times, data = (batch[name] for name in ("lsn", "time", "data"))
        rows += zip(lsns.to_pylist(), times.cast(pa.int64()).to_pylist(), data.to_pylist(), strict=True)
    return rows


def rows_expected(log: walogs.Wal | walogs.WalReader, start: int | None = None, stop: int | None = None) -> list[Row]:
    """Return the same rows as `iter` and `commits` tell them."""
    times = {
        lsn: commit.time_ns
        for commit in log.commits(start, stop)
        for lsn in range(commit.first_lsn, commit.last_lsn + 1)
    }
    return [(lsn, times[lsn], data) for lsn, data in log.iter(start, stop)]


def memory_log(**overrides: Any) -> tuple[walogs.Wal, MemoryDisk]:
    disk = MemoryDisk()
    return walogs.open(store=MemoryStore(disk), sync="none", **overrides), disk


def append(wal: walogs.Wal, commits: Commits) -> None:
    for commit in commits:
        wal.append_batch(commit)
