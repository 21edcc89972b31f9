"""An entry that is not there any more: checkpointed when it is below the first LSN, and otherwise lost (G6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.logs import segment_name
from tests.kit.stores import LogFactory, log_factory
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import source_of
from walogs.engine.extent_reader import ExtentReader
from walogs.engine.snapshot import Snapshot
from walogs.testing import MemoryDisk, MemoryStore

__all__ = ["log_factory"]

ENTRIES: Final = [b"entry %d, " % lsn * 9 for lsn in range(1, 41)]
LOST: Final = 3
"""The segment that goes."""


# Following


@pytest.mark.guarantee("G11")
def test_a_follower_is_told_of_what_a_checkpoint_removed_under_it(log_factory: LogFactory) -> None:
    """It looks anew whenever it has handed out what there was: each look can find another first_lsn."""
    with log_factory.open() as wal:
        wal.append(b"1")
        following = wal.follow(1, timeout=0)
        assert next(following) == (1, b"1")
        for lsn in range(2, 10):
            wal.append(b"%d" % lsn)
        wal.rotate()
        wal.checkpoint(9)
        wal.append(b"10")
        with pytest.raises(walogs.Checkpointed) as told:
            next(following)
        assert 2 == told.value.lsn < told.value.first_lsn == wal.first_lsn
        assert list(wal.follow(told.value.first_lsn, timeout=0)) == list(wal)


@pytest.mark.guarantee("G11")
def test_a_follower_is_told_wherever_the_checkpoint_comes(log_factory: LogFactory) -> None:
    """After every number of entries: what it was handed out, and what it was told, are all that there was."""
    with log_factory.open(max_segment_size=700) as wal:
        for lsn in range(1, 7):
            wal.append(ENTRIES[lsn - 1])
        for taken in range(1, 6):
            following = wal.follow(wal.first_lsn, timeout=0)
            begun_at = wal.first_lsn
            for lsn in range(begun_at, begun_at + taken):
                assert next(following)[0] == lsn
            for _ in range(12):
                wal.append(b"more " * 40)
            wal.checkpoint(wal.last_lsn - 7)
            handed_out: list[int] = []
            with pytest.raises(walogs.Checkpointed) as told:
                handed_out += (lsn for lsn, _ in following)
            next_lsn = begun_at + taken + len(handed_out)
            assert handed_out == list(range(begun_at + taken, next_lsn)), "entries were skipped in silence"
            assert next_lsn == told.value.lsn < told.value.first_lsn == wal.first_lsn


def test_a_snapshot_never_begins_above_what_was_asked_for() -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk), max_segment_size=700) as wal:
        for entry in ENTRIES[:20]:
            wal.append(entry)
        wal.checkpoint(12)
        snapshot, first_lsn, end = wal._readable()
        assert first_lsn > 1
        assert [lsn for lsn, _ in snapshot.entries(first_lsn, end)] == list(range(first_lsn, end))
        for verb in (snapshot.entries, snapshot.commits):
            with pytest.raises(walogs.Checkpointed) as told:
                next(iter(verb(1, end)))
            assert (told.value.lsn, told.value.first_lsn) == (1, first_lsn)
        with pytest.raises(walogs.Checkpointed):
            snapshot.entry(first_lsn - 1)


@pytest.mark.guarantee("G6")
def test_a_gap_that_no_checkpoint_accounts_for_is_no_checkpoint() -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk), max_segment_size=700) as wal:
        for entry in ENTRIES[:20]:
            wal.append(entry)
        reading = ExtentReader(source_of(None, WalConfig(store=MemoryStore(disk))), lambda: 1)
        completed = wal._writer.completed
        holed = Snapshot(reading, [*completed[:1], *completed[2:]], None)
        got: list[int] = []
        with pytest.raises(walogs.Corrupt) as told:
            got += (lsn for lsn, _ in holed.entries(1, 12))
        assert told.value.lsn == completed[1].header.first_lsn


# A segment that is gone


@pytest.fixture
def log(tmp_path: Path) -> Iterator[walogs.Wal]:
    """An open log of several segments."""
    with walogs.open(tmp_path / "log.wal", max_segment_size=1024) as wal:
        for entry in ENTRIES:
            wal.append(entry)
        assert wal.segment_count > LOST + 2
        yield wal


def lsns_in(wal: walogs.Wal, number: int) -> range:
    (found,) = (segment for segment in wal.segments() if segment.number == number)
    return range(found.first_lsn, found.last_lsn + 1)


def documented_loop(handle: walogs.Wal | walogs.WalReader, rounds: int = 100) -> list[int]:
    """What docs/reading.md says to do: go on from where the error says. It ends."""
    held: list[int] = []
    next_lsn = 1
    for _ in range(rounds):
        try:
            for lsn, _ in handle.follow(next_lsn, timeout=0):
                held.append(lsn)
                next_lsn = lsn + 1
            return held
        except walogs.Checkpointed as error:
            next_lsn = error.first_lsn
    raise AssertionError("the documented loop does not end")


@pytest.mark.guarantee("G6")
def test_a_segment_that_was_removed_by_hand_is_corrupt_and_not_checkpointed(log: walogs.Wal) -> None:
    gone = lsns_in(log, LOST)
    Path(str(log.path), segment_name(LOST)).unlink()
    got: list[int] = []
    for handed_out in (log.iter, lambda: log.follow(timeout=0)):
        got.clear()
        with pytest.raises(walogs.Corrupt) as told:
            got.extend(lsn for lsn, _ in handed_out())
        assert got == list(range(1, gone.start))
        assert (told.value.segment, told.value.lsn) == (LOST, gone.start)
        assert f"entries {gone.start} to {gone.stop - 1}" in str(told.value)
        assert str(told.value).count(segment_name(LOST)) == 1
    for lsn in gone:
        with pytest.raises(walogs.Corrupt) as told:
            log.read(lsn)
        assert told.value.lsn == lsn
        with pytest.raises(walogs.Corrupt):
            list(log.commits(lsn))
    with pytest.raises(walogs.Corrupt):
        documented_loop(log)
    assert [lsn for lsn, _ in log.iter(gone.stop)] == list(range(gone.stop, len(ENTRIES) + 1))


@pytest.mark.guarantee("G6")
def test_every_way_in_names_the_same_entries_of_a_segment_that_is_gone(log: walogs.Wal, tmp_path: Path) -> None:
    gone = lsns_in(log, LOST)
    path = Path(str(log.path))
    reader = walogs.reader(path)
    assert len(list(reader)) == len(ENTRIES)
    (path / segment_name(LOST)).unlink()
    log.close()

    def first_finding() -> walogs.Corrupt:
        finding = walogs.verify(path).findings[0]
        return walogs.Corrupt(finding.message, segment=finding.segment, offset=finding.offset, lsn=finding.lsn)

    said: list[walogs.Corrupt] = [first_finding()]
    for way_in in (
        lambda: walogs.open(path),
        lambda: walogs.reader(path),
        lambda: list(reader.iter(gone.start)),
        lambda: walogs.backup(path, tmp_path / "copy"),
    ):
        with pytest.raises(walogs.Corrupt) as told:
            way_in()
        said.append(told.value)
    for error in said:
        assert (error.segment, error.lsn) == (LOST, gone.start)
        assert f"entries {gone.start} to {gone.stop - 1}" in str(error)
        assert str(error).count(segment_name(LOST)) == 1


@pytest.mark.guarantee("G6")
def test_of_a_damaged_header_its_neighbours_say_which_entry_is_in_doubt(log: walogs.Wal) -> None:
    path, ranges = Path(str(log.path)), {number: lsns_in(log, number) for number in (1, LOST, log.segment_count)}
    log.close()
    for number, lsns in ranges.items():
        file = path / segment_name(number)
        whole = file.read_bytes()
        file.write_bytes(whole[:70] + bytes([whole[70] ^ 1]) + whole[71:])
        for way_in in (walogs.open, walogs.reader):
            with pytest.raises(walogs.Corrupt) as told:
                list(way_in(path))
            assert (told.value.segment, told.value.lsn) == (number, lsns.start)
        file.write_bytes(whole)
    with walogs.open(path) as opened:
        assert len(list(opened)) == len(ENTRIES)
