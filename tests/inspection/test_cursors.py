"""What the commands for a whole log make of its cursors: backup, verify, info, repair and salvage."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Walogs
from walogs.formats import cursor as cursor_bytes
from walogs.inspection import backup as backups
from walogs.testing import MemoryDisk, MemoryStore

__all__ = ["command"]

DATA = [b"entry %d." % number * 8 for number in range(1, 31)]


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Walogs:
    return Walogs(capfdbinary)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "x.wal"
    with walogs.open(path, max_segment_size=1200) as wal:
        for data in DATA:
            wal.append(data)
        with wal.cursor("mailer") as mailer, wal.cursor("auditor") as auditor:
            mailer.commit(12, durable=False)
            auditor.commit(30)
    return path


def positions(log: Path) -> dict[str, int]:
    """The positions as consumers find them."""
    found = {}
    with walogs.reader(log) as reader:
        for name in sorted({path.name.removesuffix(".lock") for path in (log / "cursors").iterdir()}):
            with reader.cursor(name) as cursor:
                found[name] = cursor.position
                assert [lsn for lsn, _ in cursor] == list(range(cursor.position + 1, reader.last_lsn + 1))
    return found


def damage(log: Path, name: str) -> bytes:
    file = log / "cursors" / name
    whole = file.read_bytes()
    file.write_bytes(whole[:33] + bytes([whole[33] ^ 1]) + whole[34:512] + bytes(512))
    return whole


# Backup


@pytest.mark.guarantee("G21")
def test_a_backup_has_the_cursors(log: Path, tmp_path: Path) -> None:
    report = walogs.backup(log, tmp_path / "copy")
    assert report.cursors == ("auditor", "mailer")
    assert positions(tmp_path / "copy") == {"auditor": 30, "mailer": 12}
    assert not list((tmp_path / "copy").glob("*.tmp"))
    with walogs.open(tmp_path / "copy") as wal, wal.cursor("auditor") as auditor:
        wal.append(b"on its own")
        auditor.commit(31)
    assert positions(log)["auditor"] == 30


def test_a_backup_of_a_log_without_cursors_has_no_directory_for_them(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(b"one")
    assert walogs.backup(tmp_path / "log", tmp_path / "copy").cursors == ()
    assert not (tmp_path / "copy/cursors").exists()


@pytest.mark.guarantee("G21")
def test_a_cursor_is_never_ahead_of_the_copied_entries(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cursors that move while the copy is made."""
    observe, seen = backups.observe, []
    with walogs.open(log) as wal, wal.cursor("auditor") as auditor:

        def observed(*given: object) -> object:
            found = observe(*given)  # type: ignore[arg-type]
            seen.append(found)
            wal.append(b"meanwhile")
            auditor.commit(wal.last_lsn)
            return found

        monkeypatch.setattr(backups, "observe", observed)
        report = walogs.backup(log, tmp_path / "copy")
        assert len(seen) == 1
        assert report.last_lsn < wal.last_lsn
    assert positions(tmp_path / "copy")["auditor"] == report.last_lsn == 30


@pytest.mark.guarantee("G21")
def test_a_cursor_that_is_ahead_of_the_log_is_at_the_end_of_the_copy(tmp_path: Path, log: Path) -> None:
    """The copy goes on with entries that the consumer has not seen."""
    file = log / "cursors/auditor"
    value = cursor_bytes.decode(file.read_bytes()[:64])
    file.write_bytes(cursor_bytes.encode(value.log_id, 35, value.time_ns).ljust(1024, b"\0"))
    walogs.backup(log, tmp_path / "copy")
    assert positions(tmp_path / "copy") == {"auditor": 30, "mailer": 12}


def test_a_backup_from_another_store_has_the_cursors_too(tmp_path: Path) -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal, wal.cursor("mailer") as cursor:
        wal.append_batch(DATA)
        cursor.commit(7)
        assert walogs.backup(None, tmp_path / "copy", store=MemoryStore(disk)).cursors == ("mailer",)
    assert positions(tmp_path / "copy") == {"mailer": 7}


def test_a_backup_never_copies_a_damaged_cursor_and_leaves_nothing_behind(log: Path, tmp_path: Path) -> None:
    whole = damage(log, "mailer")
    with pytest.raises(walogs.Corrupt, match="cursors/mailer"):
        walogs.backup(log, tmp_path / "copy")
    (log / "cursors/mailer").write_bytes(whole)

    def stopped(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walogs.backup(log, tmp_path / "copy", stopped)
    assert [path.name for path in tmp_path.iterdir()] == ["x.wal"]


def test_a_backup_that_fails_at_its_cursors_removes_them(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(5, "it fails")

    monkeypatch.setattr("walogs.inspection.partial.Partial.sync_directory", fails)
    with pytest.raises(OSError, match="it fails"):
        walogs.backup(log, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["x.wal"]


# Verify, info, doctor


@pytest.mark.guarantee("G21")
def test_verify_tells_of_a_damaged_cursor_and_the_log_opens(log: Path, command: Walogs) -> None:
    assert walogs.verify(log).findings == ()
    damage(log, "mailer")
    report = walogs.verify(log)
    (finding,) = report.findings
    assert (report.ok, finding.kind, finding.is_damage) == (True, "cursor", False)
    assert finding.message == (
        f"cursors/mailer in {log} is damaged: its CRC does not match its bytes. Its consumer cannot continue. No entry"
        " is lost."
    )
    told = command("verify", log)
    assert told.status == 0
    assert f"note: {finding.message}" in told.out.decode()
    with walogs.open(log) as wal:
        assert len(list(wal)) == 30


def test_verify_tells_of_a_damaged_cursor_beside_other_damage(log: Path) -> None:
    damage(log, "mailer")
    file = log / "wal-000002.log"
    content = bytearray(file.read_bytes())
    content[600] ^= 1
    file.write_bytes(content)
    kinds = [finding.kind for finding in walogs.verify(log).findings]
    assert sorted(kinds) == ["corrupt", "cursor"]


def test_info_names_the_cursors(log: Path, command: Walogs) -> None:
    assert command("info", log, "--json").json()["cursors"] == {"auditor": 30, "mailer": 12}
    assert f"{'cursors':<15}auditor at 30, mailer at 12\n" in command("info", log).out.decode()
    damage(log, "mailer")
    told = command("info", log)
    assert told.status == 0
    assert f"{'cursors':<15}auditor at 30, mailer at ?\n" in told.out.decode()
    assert "\nnote           cursors/mailer in" in told.out.decode()
    shutil.rmtree(log / "cursors")
    assert command("info", log, "--json").json()["cursors"] == {}
    assert "\ncursors" not in command("info", log).out.decode()


def test_doctor_does_not_mind_them(log: Path, command: Walogs) -> None:
    findings = {found["check"]: found["grade"] for found in command("doctor", log, "--json").json()["findings"]}
    assert findings["log"] == "note", "as beside every log: verify checks its entries"


def test_the_directory_of_cursors_alone_is_no_log_and_none_is_made_beside_it(tmp_path: Path) -> None:
    (tmp_path / "some/cursors").mkdir(parents=True)
    with pytest.raises(walogs.ConfigError, match="this directory holds 'cursors', and no log"):
        walogs.open(tmp_path / "some")


# Repair, salvage


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize("keep", ["before", "after"])
def test_a_repair_leaves_the_cursors_and_each_says_whether_it_can_continue(log: Path, keep: str) -> None:
    cursors = {path.name: path.read_bytes() for path in (log / "cursors").iterdir()}
    file = log / "wal-000004.log"
    content = bytearray(file.read_bytes())
    content[600] ^= 1
    file.write_bytes(content)
    report = walogs.repair(log, keep=keep)  # type: ignore[arg-type]
    assert report.refusal is not None
    assert {path.name: path.read_bytes() for path in (log / "cursors").iterdir()} == cursors
    with walogs.open(log) as wal, wal.cursor("mailer") as mailer, wal.cursor("auditor") as auditor:
        if keep == "before":
            assert mailer.position <= wal.last_lsn < auditor.position
            assert [lsn for lsn, _ in mailer] == list(range(13, wal.last_lsn + 1))
            with pytest.raises(walogs.LogRewound):
                auditor.iter()
        else:
            assert mailer.position + 1 < wal.first_lsn
            assert list(auditor) == []
            with pytest.raises(walogs.Checkpointed):
                mailer.iter()


def test_a_repair_leaves_a_damaged_cursor_alone(log: Path) -> None:
    damage(log, "mailer")
    damaged = (log / "cursors/mailer").read_bytes()
    assert walogs.repair(log).refusal is None
    assert (log / "cursors/mailer").read_bytes() == damaged


def test_a_salvaged_log_has_no_cursors(log: Path, tmp_path: Path) -> None:
    """Its entries can have other LSNs."""
    walogs.salvage_into(log, tmp_path / "new")
    assert "cursors" not in os.listdir(tmp_path / "new")
