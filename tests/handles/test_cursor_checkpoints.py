"""`checkpoint()` without an LSN gives up what every cursor has passed, and nothing that one may want again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import walogs
from tests.handles.cursors import DATA, SEGMENT, log, lsns
from tests.kit.logs import with_byte
from walogs.formats import cursor as cursor_bytes
from walogs.testing import MemoryDisk, MemoryStore

__all__ = ["log"]


@pytest.mark.guarantee("G11", "G21")
def test_a_checkpoint_without_an_lsn_gives_up_what_every_cursor_has_passed(log: Path) -> None:
    with walogs.open(log, max_segment_size=SEGMENT) as wal:
        with wal.cursor("mailer") as mailer, wal.cursor("auditor") as auditor:
            mailer.commit(17)
            assert (wal.checkpoint(), wal.first_lsn) == (0, 1)
            auditor.commit(9)
            assert wal.checkpoint() > 0
            first_lsn = wal.first_lsn
            assert 1 < first_lsn <= 10
            assert (wal.checkpoint(), wal.first_lsn) == (0, first_lsn)
            assert lsns(auditor)[0] == 10
        assert wal.checkpoint() == 0, "also when nobody has them open"
        wal._source.store.cursor_lock("auditor").take()  # type: ignore[attr-defined]
        wal._source.store.remove_cursor("auditor")  # type: ignore[attr-defined]
        assert wal.checkpoint() > 0
        assert 10 < wal.first_lsn <= 18


def test_a_checkpoint_of_no_cursor_is_refused(log: Path) -> None:
    with walogs.open(log) as wal:
        with pytest.raises(ValueError, match=r"there is no cursor, .* Nothing was removed. Pass the last LSN"):
            wal.checkpoint()
        assert wal.first_lsn == 1


@pytest.mark.guarantee("G21")
def test_a_checkpoint_is_refused_if_a_cursor_is_damaged_or_ahead(log: Path, tmp_path: Path) -> None:
    with walogs.open(log, max_segment_size=SEGMENT) as wal:
        for name in ("mailer", "auditor"):
            with wal.cursor(name) as cursor:
                cursor.commit(18)
        file = log / "cursors/auditor"
        whole = file.read_bytes()
        file.write_bytes(with_byte(whole, 20, 1))
        with pytest.raises(walogs.Corrupt, match="cursors/auditor"):
            wal.checkpoint()
        ahead = cursor_bytes.encode(cursor_bytes.decode(whole[:64]).log_id, 21, 0)
        file.write_bytes(ahead + whole[64:])
        with pytest.raises(walogs.LogRewound, match=r"cursor 'auditor' .* is at entry 21, and the log ends at 20"):
            wal.checkpoint()
        assert wal.first_lsn == 1
        file.write_bytes(whole)
        assert wal.checkpoint() > 0


@pytest.mark.guarantee("G21")
def test_a_checkpoint_keeps_what_a_power_cut_can_make_necessary_again() -> None:
    """A position that is not durable may be set back, and the consumer then wants the entries again."""
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk), max_segment_size=SEGMENT) as wal, wal.cursor("mailer") as cursor:
        for data in DATA:
            wal.append(data)
        cursor.commit(5)
        cursor.commit(18, durable=False)
        wal.checkpoint()
        twin = disk.clone()
        twin.power_cut(random.Random(3), 0.0)
        with walogs.open(store=MemoryStore(twin)) as after, after.cursor("mailer") as again:
            assert lsns(again) == list(range(again.position + 1, 21))


@pytest.mark.guarantee("G21")
def test_a_cursor_that_moves_while_a_checkpoint_reads_it_is_not_beyond_the_log(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with walogs.open(log, max_segment_size=SEGMENT) as wal, wal.cursor("mailer") as cursor:
        read = wal._source.store.read_cursor  # type: ignore[attr-defined]

        def moved_and_read(name: str, **options: bool) -> bytes | None:
            cursor.commit(wal.append(b"meanwhile"))
            data: bytes | None = read(name, **options)
            return data

        monkeypatch.setattr(wal._source.store, "read_cursor", moved_and_read)
        assert wal.checkpoint() > 0
        monkeypatch.undo()


@pytest.mark.guarantee("G11", "G21")
def test_a_cursor_that_a_checkpoint_has_not_seen_skips_nothing_silently(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made when the checkpoint has read the positions, and before it removes a segment."""
    with walogs.open(log, max_segment_size=SEGMENT) as wal, walogs.reader(log) as reader:
        with wal.cursor("mailer") as cursor:
            cursor.commit(15)
        made: list[walogs.Cursor] = []
        read = wal._source.store.read_cursor  # type: ignore[attr-defined]

        def read_and_made(name: str, **options: bool) -> bytes | None:
            data: bytes | None = read(name, **options)
            made.append(reader.cursor("new"))
            return data

        monkeypatch.setattr(wal._source.store, "read_cursor", read_and_made)
        assert wal.checkpoint() > 0
        monkeypatch.undo()
        (new,) = made
        assert new.position == 0
        with pytest.raises(walogs.Checkpointed, match=r"cursor 'new' of .* is at entry 0"):
            new.iter()
        assert (wal.checkpoint(), wal.first_lsn > 1) == (0, True)
        new.commit(wal.first_lsn - 1)
        assert lsns(new) == list(range(wal.first_lsn, 21))


def test_a_local_checkpoint_goes_by_the_durable_position(log: Path) -> None:
    with walogs.open(log, max_segment_size=SEGMENT) as wal, wal.cursor("mailer") as cursor:
        cursor.commit(18, durable=False)
        assert (wal.checkpoint(), wal.first_lsn) == (0, 1)
        cursor.commit(18)
        assert wal.checkpoint() > 0
