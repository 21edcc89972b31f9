"""A backup is a log that opens."""

from __future__ import annotations

import random
import shutil
import threading
from pathlib import Path

import pytest

import walogs
from tests.inspection.random_damage import small_log
from tests.kit.stores import CODECS


@pytest.mark.guarantee("G1", "G14")
@pytest.mark.parametrize("codec", CODECS)
def test_a_backup_opens_and_goes_on(tmp_path: Path, codec: str) -> None:
    for seed in range(25):
        source, copy = tmp_path / f"{seed}", tmp_path / f"{seed}-copy"
        small_log(source, random.Random(seed), CODECS[codec]())
        with walogs.open(source, codec=CODECS[codec]()) as wal:
            wal.append(b"in flight")
            said: list[tuple[int, int]] = []
            report = walogs.backup(source, copy, lambda *done, said=said: said.append(done), codec=CODECS[codec]())
            expected = list(wal)
        assert (report.first_lsn, report.last_lsn) == (wal.first_lsn, wal.last_lsn)
        assert said[-1][0] == said[-1][1] == report.bytes
        assert sorted(said) == said
        assert walogs.verify(copy, codec=CODECS[codec]()).ok
        for n in range(2):
            with walogs.open(copy, codec=CODECS[codec]()) as again:
                assert list(again)[: len(expected)] == expected
                assert again.last_lsn == len(expected) + wal.first_lsn - 1 + n
                again.append(b"on its own")


@pytest.mark.guarantee("G14")
def test_a_backup_of_a_log_that_is_being_written_and_checkpointed(tmp_path: Path) -> None:
    """During one backup the writer appends at most 400 entries. A checkpoint keeps 200, so a backup that begins anew
    whenever everything it had copied is gone begins at most three times, however fast the writer is."""
    stop, allowed = threading.Event(), threading.Semaphore(0)

    def writing() -> None:
        while allowed.acquire() and not stop.is_set():
            wal.append(b"%d" % wal.next_lsn * 20)
            if wal.last_lsn % 40 == 0:
                wal.checkpoint(wal.last_lsn - 200)

    with walogs.open(tmp_path / "log", max_segment_size=3000) as wal:
        for _ in range(300):
            wal.append(b"%d" % wal.next_lsn * 20)
        thread = threading.Thread(target=writing)
        thread.start()
        try:
            for n in range(8):
                acknowledged = wal.durable_lsn
                while allowed.acquire(blocking=False):  # what the writer has not used is not added to the next 400
                    pass
                allowed.release(400)
                report = walogs.backup(tmp_path / "log", tmp_path / f"copy-{n}")
                assert report.last_lsn >= acknowledged
                with walogs.open(tmp_path / f"copy-{n}") as copy:
                    assert (copy.first_lsn, copy.last_lsn) == (report.first_lsn, report.last_lsn)
                    assert all(data == b"%d" % lsn * 20 for lsn, data in copy)
        finally:
            stop.set()
            allowed.release()
            thread.join()


@pytest.mark.guarantee("G1", "G11")
def test_a_backup_carries_the_first_lsn_of_a_checkpoint_that_the_durable_mark_has_not_seen(tmp_path: Path) -> None:
    """The durable mark lags after a power cut, or if it could not be written."""
    with walogs.open(tmp_path / "log", max_segment_size=1000) as wal:
        for n in range(40):
            wal.append(b"entry %d." % (n + 1) * 4)
        wal.checkpoint(20)
        first_lsn, last_lsn = wal.first_lsn, wal.last_lsn
        assert first_lsn > 1
        shutil.copytree(tmp_path / "log", tmp_path / "unopened")
    (tmp_path / "unopened" / "DURABLE").unlink()
    report = walogs.backup(tmp_path / "unopened", tmp_path / "copy")
    assert (report.first_lsn, report.last_lsn) == (first_lsn, last_lsn)
    assert walogs.verify(tmp_path / "copy").ok
    for n in range(2):
        with walogs.open(tmp_path / "copy") as copy:
            assert (copy.first_lsn, copy.last_lsn) == (first_lsn, last_lsn + n)
            assert all(data == b"entry %d." % lsn * 4 for lsn, data in copy.iter(stop=last_lsn + 1))
            copy.append(b"on its own")


def test_the_progress_of_a_backup_ends_at_all_of_it_also_where_a_seal_is_missing(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", max_segment_size=1000) as wal:
        for n in range(40):
            wal.append(b"entry %d." % n * 4)
        completed = tmp_path / "log" / wal.segments()[0].name
    completed.write_bytes(completed.read_bytes()[:-8] + bytes(3000))
    assert "unsealed" in {finding.kind for finding in walogs.verify(tmp_path / "log").findings}
    said: list[tuple[int, int]] = []
    report = walogs.backup(tmp_path / "log", tmp_path / "copy", lambda *done: said.append(done))
    assert said[-1] == (report.bytes, report.bytes)
    assert report.bytes == sum(file.stat().st_size for file in (tmp_path / "copy").glob("wal-*"))


def test_the_progress_of_a_check_grows_to_all_that_is_completed(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", max_segment_size=1000) as wal:
        for n in range(40):
            wal.append(b"entry %d." % n * 4)
    said: list[tuple[int, int]] = []
    assert walogs.verify(tmp_path / "log", progress=lambda *done: said.append(done)).ok
    done = [checked for checked, _ in said]
    assert done == sorted(set(done))
    assert len(done) == len(list((tmp_path / "log").glob("wal-*"))) - 1
    assert {total for _, total in said} == {done[-1]}


def test_a_backup_never_copies_damage_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", max_segment_size=1000) as wal:
        for n in range(40):
            wal.append(b"entry %d." % n * 4)
        files = [tmp_path / "log" / segment.name for segment in wal.segments()]
    for file in files:
        whole = file.read_bytes()
        data = bytearray(whole)
        data[600] ^= 1
        file.write_bytes(data)
        with pytest.raises(walogs.Corrupt):
            walogs.backup(tmp_path / "log", tmp_path / "copy")
        file.write_bytes(whole)
        assert [path.name for path in tmp_path.iterdir()] == ["log"]

    def stopped(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walogs.backup(tmp_path / "log", tmp_path / "copy", stopped)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(FileExistsError):
        walogs.backup(tmp_path / "log", tmp_path / "full")
    with pytest.raises(walogs.ConfigError, match="itself"):
        walogs.backup(tmp_path / "log", tmp_path / "log")


def test_damage_to_the_last_entry_of_a_backup_is_seen(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(b"first")
        wal.append(b"the last one")
        walogs.backup(tmp_path / "log", tmp_path / "copy")
    file = tmp_path / "copy" / "wal-000001.log"
    file.write_bytes(file.read_bytes().replace(b"the last one", b"the lost one"))
    with pytest.raises(walogs.Corrupt):
        walogs.open(tmp_path / "copy")
