"""What a reader reads, and what it says where there is no log."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import walogs
from tests.handles.readers import entry, reader_of, reader_of_new
from tests.kit import stores
from tests.kit.codecs import DeflateCodec
from tests.kit.stores import LogFactory

log_factory, appending_factory = stores.log_factory, stores.appending_factory


# What it reads


@pytest.mark.guarantee("G14")
def test_a_reader_reads_what_the_writer_reads(log_factory: LogFactory) -> None:
    with log_factory.open(max_segment_size=1500) as wal:
        for lsn in range(1, 60):
            wal.append(entry(lsn))
        wal.append_batch([entry(lsn) for lsn in range(60, 90)])
        with reader_of(log_factory) as reader:
            assert list(reader) == list(wal)
            assert list(reader.commits()) == list(wal.commits())
            assert (reader.first_lsn, reader.last_lsn) == (1, 89)
            for start, stop in [(1, 5), (40, 70), (61, 62), (89, 200), (90, None), (10, 10), (None, 3)]:
                assert list(reader.iter(start, stop)) == list(wal.iter(start, stop))
                assert list(reader.commits(start, stop)) == list(wal.commits(start, stop))
            for lsn in (1, 17, 59, 60, 75, 89):
                assert reader.read(lsn) == entry(lsn)
            for lsn in (0, -1, 90):
                with pytest.raises(IndexError):
                    reader.read(lsn)
            for lsn in range(90, 95):
                wal.append(entry(lsn))
                assert reader.last_lsn == lsn
                assert reader.read(lsn) == entry(lsn)


@pytest.mark.guarantee("G14")
def test_below_the_first_lsn_a_reader_says_so(log_factory: LogFactory) -> None:
    with log_factory.open(max_segment_size=600) as wal, reader_of_new(log_factory, wal) as reader:
        for lsn in range(2, 60):
            wal.append(entry(lsn))
        walking = reader.iter()
        assert next(walking) == (1, entry(1))
        wal.checkpoint(50)
        assert reader.first_lsn == wal.first_lsn > 1
        assert list(reader) == list(wal)
        for verb in (reader.read, reader.iter, reader.commits, lambda lsn: next(reader.follow(lsn))):
            with pytest.raises(walogs.Checkpointed) as refused:
                verb(wal.first_lsn - 1)
            assert refused.value.first_lsn == wal.first_lsn
        with pytest.raises(walogs.Checkpointed):
            list(walking)


@pytest.mark.guarantee("G1", "G14")
def test_a_reader_sees_what_is_durable_and_only_when_asked_what_is_written(appending_factory: LogFactory) -> None:
    with appending_factory.open(sync="none", max_segment_size=2000) as wal:
        durable, written = reader_of(appending_factory), reader_of(appending_factory, "written")
        for lsn in range(1, 80):
            wal.append(entry(lsn))
            assert durable.last_lsn == wal.durable_lsn
            assert written.last_lsn == wal.last_lsn == lsn
            if lsn % 25 == 0:
                wal.sync()
                assert durable.last_lsn == lsn
        assert list(durable) == list(wal.iter(stop=wal.durable_lsn + 1))
        assert list(written) == list(wal)


@pytest.mark.guarantee("G14")
def test_without_a_durable_mark_the_frames_tell_how_far_they_are_durable(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        for lsn in range(1, 30):
            wal.append(entry(lsn))
        (tmp_path / "DURABLE").unlink()
        with walogs.reader(tmp_path) as reader:
            assert reader.last_lsn == 28  # nothing testifies that the last one was synced
            assert list(reader) == list(wal.iter(stop=29))
            wal.append(entry(30))
            assert reader.last_lsn == 29


@pytest.mark.guarantee("G14")
def test_a_reader_knows_another_codec(tmp_path: Path) -> None:
    with walogs.open(tmp_path, codec=DeflateCodec()) as wal:
        wal.append(b"squeezed" * 100)
        with pytest.raises(walogs.UnsupportedFormat, match="deflate"):
            walogs.reader(tmp_path)
        assert walogs.reader(tmp_path, codec=DeflateCodec()).read(1) == b"squeezed" * 100


# What is no log


def test_where_there_is_no_log_a_reader_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(walogs.LogNotFound, match="holds no log"):
        walogs.reader(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
    with pytest.raises(walogs.LogNotFound, match="holds no log") as told:
        walogs.reader(tmp_path)
    assert isinstance(told.value, LookupError)
    assert not isinstance(told.value, walogs.StoreError)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError):
        walogs.reader(tmp_path / "file")
    (tmp_path / "crate").mkdir()
    (tmp_path / "crate" / "wal-000001.log").write_bytes(b"")
    with pytest.raises(walogs.UnsupportedFormat, match="Rust crate"):
        walogs.reader(tmp_path / "crate")
    with pytest.raises(walogs.ConfigError, match="visibility"):
        walogs.reader(tmp_path, visibility="everything")  # type: ignore[arg-type]


@pytest.mark.guarantee("G14")
def test_where_a_log_was_moved_away_nobody_says_that_there_never_was_one(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append_batch([b"one", b"two"])
    moved = [False]

    def progress(done: int, total: int) -> None:
        if not moved[0] and done < total:
            moved[0] = True
            (tmp_path / "log").rename(tmp_path / "moved")

    with walogs.reader(tmp_path / "log") as reader:
        with pytest.raises(walogs.LogNotFound, match="holds no log now"):
            walogs.backup(tmp_path / "log", tmp_path / "copy", progress)
        for look in (lambda: reader.last_lsn, lambda: list(reader), lambda: next(reader.follow(3, timeout=0))):
            with pytest.raises(walogs.LogNotFound, match="was the log moved or removed") as told:
                look()
            assert "never" not in str(told.value)
            assert "ever appended" not in str(told.value)


def test_a_closed_reader_says_so(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append_batch([b"one", b"two"])
        reader = walogs.reader(tmp_path)
        walking = reader.iter()
        reader.close()
        reader.close()
        assert reader.closed
        assert "closed" in repr(reader)
        for verb in (lambda: reader.read(1), lambda: next(walking), lambda: reader.last_lsn, lambda: list(reader)):
            with pytest.raises(walogs.Closed):
                verb()
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(reader)
