"""The columns of a log hold what `iter` and `commits` return, whatever the frames look like."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import walogs
from tests.arrow.columns import SMALL, append, memory_log, rows_expected, rows_of
from tests.kit.codecs import DeflateCodec, MacCodec, ReversingCodec
from tests.kit.logs import LogOnDisk, batch_body
from walogs.arrow import SCHEMA
from walogs.testing import MemoryCloud, MemoryImmutableStore, MemoryStore
from walogs_zstd import ZstdCodec

CODECS: Final[dict[str, Any]] = {
    "crc32": lambda: "crc32",
    "zstd": ZstdCodec,
    "deflate": DeflateCodec,
    "reversing": ReversingCodec,
    "mac": MacCodec,
}
SIZES: Final = st.sampled_from([0, 1, 8, 12, 13, 100, 128, 1000, 5000, 70_000])
COMMITS: Final = st.one_of(
    st.lists(SIZES, min_size=1, max_size=1),
    st.lists(SIZES, min_size=2, max_size=6),
    st.builds(lambda size, count: [size] * count, SIZES, st.integers(2, 50)),
)
LIVES: Final = st.lists(
    st.one_of(
        COMMITS,
        st.builds(lambda size, count: [("single", size)] * count, st.sampled_from([0, 5, 128]), st.integers(7, 40)),
        st.sampled_from(["rotate", "checkpoint"]),
    ),
    max_size=12,
)


def live(wal: walogs.Wal, life: list[Any]) -> None:
    rng = random.Random(len(life))
    for step in life:
        if step == "rotate":
            wal.rotate()
        elif step == "checkpoint":
            wal.checkpoint(wal.next_lsn // 2)
        elif isinstance(step[0], tuple):
            append(wal, [[rng.randbytes(size)] for _, size in step])
        else:
            append(wal, [[rng.randbytes(size) for size in step]])


@settings(max_examples=60, deadline=None)
@given(LIVES, st.sampled_from([*CODECS]), st.data())
def test_columns_are_what_iter_and_commits_return(life: list[Any], codec: str, data: st.DataObject) -> None:
    wal, disk = memory_log(codec=CODECS[codec](), max_segment_size=256 << 10)
    with wal, walogs.reader(store=MemoryStore(disk), codec=CODECS[codec](), visibility="written") as reader:
        live(wal, life)
        lsns = st.one_of(st.none(), st.integers(wal.first_lsn, wal.next_lsn + 1))
        for start, stop in ((None, None), (data.draw(lsns), data.draw(lsns))):
            assert rows_of(wal.arrow_batches(start, stop)) == rows_expected(wal, start, stop)
            assert rows_of(reader.arrow_batches(start, stop)) == rows_expected(reader, start, stop)
            assert rows_of(wal.to_arrow(start, stop).table().to_batches()) == rows_expected(wal, start, stop)


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize("sizes", [[128], [64, 65, 191]])
def test_single_entries_that_were_read_together_are_one_record_batch(
    tmp_path: Path, is_sealed: bool, sizes: list[int]
) -> None:
    with walogs.open(tmp_path / "log", sync="none") as wal:
        append(wal, [[bytes([k % 256]) * sizes[k % len(sizes)]] for k in range(2000)])
        if is_sealed:
            wal.rotate()
        with walogs.reader(tmp_path / "log", visibility="written") as reader:
            for log in (wal, reader):
                assert sum(1 for _ in log.arrow_batches()) == 1
                assert rows_of(log.arrow_batches()) == rows_expected(log)


@settings(max_examples=15, deadline=None)
@given(LIVES)
def test_columns_of_immutable_segments(life: list[Any]) -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        live(wal, life)
        assert rows_of(wal.arrow_batches()) == rows_expected(wal)
        with walogs.reader(store=MemoryImmutableStore(cloud)) as reader:
            assert rows_of(reader.arrow_batches()) == rows_expected(reader)


@pytest.mark.parametrize("is_sealed", [True, False])
def test_the_data_of_a_large_frame_is_not_copied(is_sealed: bool) -> None:
    wal, _ = memory_log()
    with wal:
        batch = [bytes([k % 256]) * 200 for k in range(1000)]
        append(wal, [batch, [b"x" * 100_000], [b"small"], [b"also", b"small"]])
        if is_sealed:
            wal.rotate()
        seen: list[int] = []
        pa.py_buffer, wrapped = (lambda data: seen.append(len(data)) or wrapped(data)), pa.py_buffer
        try:
            batches = list(wal.arrow_batches())
        finally:
            pa.py_buffer = wrapped
        assert [batch.num_rows for batch in batches][:2] == [1000, 1]
        for at, size in ((0, 200_000), (1, 100_000)):
            offsets, data = batches[at]["data"].buffers()[1:]
            assert data.size == size
            assert offsets.size == 4 * (batches[at].num_rows + 1)
            assert data.parent is not None, "it is a part of what was read"


def test_small_frames_of_one_run_are_one_record_batch() -> None:
    wal, _ = memory_log()
    with wal:
        append(wal, [[b"%d" % k] for k in range(500)] + [[b"a", b"b"]] * 100)
        wal.rotate()
        [batch] = wal.arrow_batches()
        assert batch.num_rows == 700
        assert batch.schema == SCHEMA


def test_an_empty_log_and_an_empty_range_have_the_columns_too() -> None:
    wal, _ = memory_log()
    with wal:
        assert wal.to_arrow().table().schema == SCHEMA
        wal.append(b"one")
        assert wal.to_arrow(2).table().num_rows == wal.to_arrow(1, 1).table().num_rows == 0


# Damage


@pytest.mark.parametrize("is_sealed", [True, False])
def test_before_a_flipped_bit_all_frames_are_returned_and_it_raises_what_iter_raises(
    tmp_path: Path, is_sealed: bool
) -> None:
    with walogs.open(tmp_path / "log", sync="none") as wal:
        append(wal, [[b"%d" % k] for k in range(3000)])
        if is_sealed:
            wal.rotate()
    log = LogOnDisk(tmp_path / "log")
    damaged = log.frames(1)[2000]
    log.overwrite(1, damaged.offset + 48, b"?")
    with walogs.reader(tmp_path / "log") as reader:
        rows: list[Any] = []
        with pytest.raises(walogs.Corrupt) as by_columns:
            rows.extend(row for batch in reader.arrow_batches() for row in rows_of([batch]))
        found: list[Any] = []
        with pytest.raises(walogs.Corrupt) as by_iter:
            found.extend(reader)
    assert [(lsn, data) for lsn, _, data in rows] == found
    assert len(found) == 2000
    assert str(by_columns.value) == str(by_iter.value)


def test_damage_in_padding_alone_changes_nothing(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", sync="none") as wal:
        append(wal, [[b"%d" % k] for k in range(3000)])
        wal.rotate()
    log = LogOnDisk(tmp_path / "log")
    frame = log.frames(1)[500]
    assert frame.body_end < frame.end
    log.overwrite(1, frame.body_end, b"?")
    with walogs.reader(tmp_path / "log") as reader:
        assert rows_of(reader.arrow_batches()) == rows_expected(reader)
        assert reader.last_lsn == 3000


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"xxx",
        batch_body(b"a", b"b")[:8],
        batch_body(b"abc", b"def", offsets=[0, 9, 6]),
        batch_body(b"abc", b"def", offsets=[1, 3, 6]),
        batch_body(b"abc", b"def", offsets=[0, 3, 7]),
        batch_body(b"abc", b"def", offsets=[0, 3, 5]),
        batch_body(b"abc", b"def", offsets=[0, 2**32 - 1, 6]),
    ],
)
def test_a_bad_table_under_a_valid_check_is_corrupt_as_it_is_for_iter(tmp_path: Path, body: bytes) -> None:
    log = LogOnDisk(tmp_path / "log").append_and_die(b"one", b"two")
    log.forget_durable_mark().add_frame(1, body, entries=2)
    with walogs.open(tmp_path / "log") as wal:
        with pytest.raises(walogs.Corrupt) as by_iter:
            list(wal)
        rows: list[Any] = []
        with pytest.raises(walogs.Corrupt) as by_columns:
            rows.extend(row for batch in wal.arrow_batches() for row in rows_of([batch]))
        assert [data for _, _, data in rows] == [b"one", b"two"]
        assert str(by_columns.value) == str(by_iter.value)


# Snapshots


def test_the_end_is_fixed_when_a_reading_begins_and_each_reading_begins_anew() -> None:
    wal, disk = memory_log()
    with wal, walogs.reader(store=MemoryStore(disk), visibility="written") as reader:
        wal.append(b"one")
        for log in (wal, reader):
            columns, last_lsn = log.to_arrow(), wal.last_lsn
            batches, arrow_reader = iter(columns), columns.reader()
            wal.append(b"later")
            assert sum(batch.num_rows for batch in batches) == last_lsn
            assert arrow_reader.read_all().num_rows == last_lsn
            assert columns.table().num_rows == last_lsn + 1


def test_what_was_checkpointed_raises_as_iter_does() -> None:
    wal, disk = memory_log()
    with wal, walogs.reader(store=MemoryStore(disk), visibility="written") as reader:
        append(wal, [[b"x"]] * 5)
        before, begun = wal.to_arrow(2), wal.arrow_batches(2)
        wal.rotate()
        wal.checkpoint(5)
        append(wal, [[b"y"]])
        for log in (wal, reader):
            with pytest.raises(walogs.Checkpointed, match="entry 2 was checkpointed"):
                log.arrow_batches(2)
            with pytest.raises(IndexError):
                log.to_arrow(0)
            with pytest.raises(TypeError):
                log.arrow_batches("x")
        with pytest.raises(walogs.Checkpointed):
            before.__arrow_c_stream__()
        with pytest.raises(walogs.Checkpointed):
            list(begun)


def test_what_was_closed_is_not_read_any_more() -> None:
    wal, disk = memory_log(max_segment_size=4 * SMALL)
    append(wal, [[bytes(SMALL)]] * 20)
    reader = walogs.reader(store=MemoryStore(disk), visibility="written")
    for log in (wal, reader):
        columns, batches, begun = log.to_arrow(), log.arrow_batches(), log.arrow_batches()
        next(begun)
        log.close()
        for reading in (lambda c=columns: list(c), lambda b=batches: list(b), lambda b=begun: list(b)):
            with pytest.raises(walogs.Closed):
                reading()
        with pytest.raises(walogs.Closed):
            columns.__arrow_c_stream__()


def test_several_threads_read_one_reader_at_a_time() -> None:
    wal, disk = memory_log(max_segment_size=4 * SMALL)
    with wal, walogs.reader(store=MemoryStore(disk), visibility="written") as reader:
        append(wal, [[b"%d" % k, bytes(1000)] for k in range(2000)])
        columns, expected = reader.to_arrow(), rows_expected(wal)
        found: list[bool] = []
        threads = [
            threading.Thread(target=lambda: found.append(rows_of(columns) == expected), daemon=True) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        assert found == [True] * 4
