"""`walogs export` writes the columns of a log into a file that is there whole, or not at all."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import walogs
from tests.arrow.columns import append, rows_expected, rows_of
from tests.cli.commands import Walogs, bytes_of, everything_in, on_a_terminal
from tests.kit.logs import LogOnDisk
from walogs.arrow import SCHEMA
from walogs.arrow.files import GROUP_BYTES, FileKind, write_batches
from walogs.cli import whole_file


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Walogs:
    return Walogs(capfdbinary)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with walogs.open(tmp_path / "log", sync="none") as wal:
        append(wal, [[b"%d" % k] for k in range(1, 101)] + [[b"", b"\xff" * 70_000, b"x"]])
        wal.rotate()
        append(wal, [[b"last"]])
    return tmp_path / "log"


def rows_in(path: Path) -> list[Any]:
    table = pa.ipc.open_file(path).read_all() if path.suffix == ".arrow" else pq.read_table(path)
    assert table.schema == SCHEMA
    return rows_of(table.to_batches())


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_file_holds_the_entries_and_the_log_stays_as_it_is(
    log: Path, tmp_path: Path, kind: str, command: Walogs
) -> None:
    target, before = tmp_path / f"out.{kind}", everything_in(log)
    told = command("export", log, f"--{kind}", target)
    assert (told.status, told.error) == (0, "")
    assert told.out.startswith(b"exported 104 entries to ")
    assert everything_in(log) == before
    with walogs.open(log) as wal:
        assert rows_in(target) == rows_expected(wal)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", target.name]
    read = pl.read_parquet if kind == "parquet" else pl.read_ipc
    assert read(target).height == 104
    if kind == "parquet":
        assert duckdb.sql(f"select max(lsn) from '{target}'").fetchall() == [(104,)]


def test_a_range_and_a_time_are_those_of_cat(log: Path, tmp_path: Path, command: Walogs) -> None:
    target = tmp_path / "out.parquet"
    assert command("export", log, "--parquet", target, "--start", "99", "--stop", "102").status == 0
    assert [lsn for lsn, _, _ in rows_in(target)] == [99, 100, 101]
    with walogs.open(log) as wal:
        wal.append(b"late")
        [*_, late] = wal.commits()
    since = f"{pl.Series([late.time_ns]).cast(pl.Datetime('ns'))[0].isoformat()}"
    assert command("export", log, "--parquet", target, "--overwrite", "--from-time", since).status == 0
    rows = rows_in(target)
    assert rows[-1][2] == b"late"
    assert all(time_ns >= late.time_ns // 1000 * 1000 for _, time_ns, _ in rows)
    assert command("export", log, "--parquet", target, "--overwrite", "--from-time", "2199-01-01").status == 0
    assert rows_in(target) == []


def test_standard_output_gets_a_stream(log: Path, command: Walogs) -> None:
    told = command.apart("export", log, "--arrow", "-", "--stop", "4")
    assert (told.status, told.error) == (0, "")
    assert pa.ipc.open_stream(told.out).read_all()["data"].to_pylist() == [b"1", b"2", b"3"]
    told = command.apart("export", log, "--parquet", "-")
    assert pq.read_table(pa.BufferReader(told.out)).num_rows == 104


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(
    log: Path, tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.parquet"
    target.write_bytes(b"mine")
    told = command("export", log, "--parquet", target)
    assert (told.status, target.read_bytes()) == (1, b"mine")
    assert "--overwrite" in told.line
    assert command("export", log, "--parquet", target, "--overwrite").status == 0
    assert len(rows_in(target)) == 104
    for can_link in (True, False):
        later = tmp_path / f"later-{can_link}.parquet"

        def link(source: Path, path: Path, can_link: bool = can_link, later: Path = later) -> None:
            later.write_bytes(b"another's")
            raise FileExistsError(17, "there") if can_link else PermissionError(1, "no links here")

        monkeypatch.setattr(whole_file.os, "link", link)
        told = command("export", log, "--parquet", later)
        assert (told.status, later.read_bytes()) == (1, b"another's")
        assert "--overwrite" in told.line
    assert not list(tmp_path.glob("*.partial-*"))


def test_without_links_the_file_is_renamed(
    log: Path, tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(whole_file.os, "link", link)
    assert command("export", log, "--parquet", tmp_path / "out.parquet").status == 0
    assert len(rows_in(tmp_path / "out.parquet")) == 104


def test_the_file_is_synced_before_it_has_its_name_and_its_directory_after(
    log: Path, tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    for name in ("sync_full", "give_name", "sync_directory"):
        original = getattr(whole_file, name)

        def noted(*args: Any, name: str = name, original: Any = original, **more: Any) -> Any:
            steps.append(name)
            return original(*args, **more)

        monkeypatch.setattr(whole_file, name, noted)
    assert command("export", log, "--parquet", tmp_path / "out.parquet").status == 0
    assert steps == ["sync_full", "give_name", "sync_directory"]


def test_of_a_damaged_log_there_is_no_file(log: Path, tmp_path: Path, command: Walogs) -> None:
    frame = LogOnDisk(log).frames(1)[50]
    LogOnDisk(log).overwrite(1, frame.offset + 48, b"??")
    before = bytes_of(log)
    told = command("export", log, "--parquet", tmp_path / "out.parquet")
    assert told.status == 4
    assert "entry 51" in told.error
    assert not list(tmp_path.glob("out*"))
    assert command("export", log, "--parquet", tmp_path / "out.parquet", "--stop", "51").status == 0
    assert [lsn for lsn, _, _ in rows_in(tmp_path / "out.parquet")] == list(range(1, 51))
    assert bytes_of(log) == before


@pytest.mark.parametrize("kind", ["parquet", "arrow-stream", "arrow"])
@pytest.mark.parametrize("error", [walogs.Corrupt("damaged"), KeyboardInterrupt()])
def test_what_ends_in_the_middle_is_no_whole_stream(log: Path, kind: FileKind, error: BaseException) -> None:
    """A program behind a pipe does not see the exit status of the export."""
    out = io.BytesIO()
    with walogs.open(log) as wal:
        batches = list(wal.arrow_batches())

    def ends_in_the_middle() -> Iterator[pa.RecordBatch]:
        yield from batches * (2 * GROUP_BYTES // sum(batch.nbytes for batch in batches))
        raise error

    with pytest.raises(type(error)):
        write_batches(ends_in_the_middle(), out, kind)
    gc.collect()
    assert len(out.getvalue()) > 100
    read = {
        "parquet": pq.read_table,
        "arrow": pa.ipc.open_file,
        "arrow-stream": lambda f: pa.ipc.open_stream(f).read_all(),
    }
    with pytest.raises(pa.ArrowInvalid):
        read[kind](io.BytesIO(out.getvalue()))


def test_wrong_usage_and_no_log(log: Path, tmp_path: Path, command: Walogs) -> None:
    assert command("export", log).status == 2
    assert command("export", log, "--arrow", tmp_path / "a", "--parquet", tmp_path / "b").status == 2
    told = command("export", tmp_path / "none", "--parquet", tmp_path / "b")
    assert told.status == 1
    assert "no log" in told.line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]


def test_without_pyarrow_it_says_what_to_install(log: Path, tmp_path: Path, command: Walogs) -> None:
    told = command.apart(
        "export", log, "--parquet", tmp_path / "a", before="import sys; sys.modules['pyarrow'] = None; "
    )
    assert told.status == 2
    assert told.line.startswith("walogs: export needs pyarrow: pip install ")
    assert told.line.rstrip("'").endswith("[arrow]")
    told = command.apart(before="import sys, walogs.cli.app; sys.exit('pyarrow' in sys.modules); ")
    assert told.status == 0, "other commands do not load it"


def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "big", sync="none") as wal:
        append(wal, [[bytes([k]) * (1 << 20)] for k in range(12)])
    assert "exporting" in on_a_terminal("export", tmp_path / "big", "--parquet", tmp_path / "out")


EXPORTED = """
import sys
from walogs.cli.app import run
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
small, large, kind = sys.argv[1:]
assert run(["export", small, f"--{kind}", small + ".out"]) == 0
before = peak()
assert run(["export", large, f"--{kind}", large + ".out"]) == 0
print(peak() - before, file=sys.stderr)
"""


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_log_of_384_mib_is_exported_in_less_than_a_third_of_that(tmp_path: Path, kind: str) -> None:
    for name, batches in (("small", 1), ("large", 384)):
        with walogs.open(tmp_path / name, sync="none", max_segment_size=64 << 20) as wal:
            for k in range(batches):
                wal.append_batch([bytes([k % 256]) * 8192] * 128)
    command = [sys.executable, "-c", EXPORTED, str(tmp_path / "small"), str(tmp_path / "large"), kind]
    ran = subprocess.run(command, check=True, capture_output=True, timeout=600)
    assert int(ran.stderr.split()[-1]) <= 128 << 10, "KiB"
