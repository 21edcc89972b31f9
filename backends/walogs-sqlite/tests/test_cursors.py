"""Cursors in an SQLite file: the table, its damage, what older files have, and what walogs' own verbs make of them."""

from __future__ import annotations

import gc
import os
import sqlite3
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Walogs
from tests.system.children import forked
from walogs.testing import StoreContract
from walogs_sqlite import SqliteStore, cursors, database

ENTRIES = 20
VALUE = bytes(range(64))


@pytest.fixture
def log(path: Path) -> Path:
    """A closed log of twenty entries. No cursor was made yet."""
    with walogs.open(path, store="sqlite") as wal:
        for number in range(1, ENTRIES + 1):
            wal.append(b"entry %d" % number)
    return path


def execute(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def tables(path: Path) -> set[object]:
    return {name for (name,) in execute(path, "SELECT name FROM sqlite_master")}


def committed(path: Path, **positions: int) -> None:
    for name, lsn in positions.items():
        with walogs.reader(path, store="sqlite") as reader, reader.cursor(name) as cursor:
            cursor.commit(lsn)
        del reader, cursor
    gc.collect()  # closes the connections, and so moves the WAL into the file


@pytest.mark.guarantee("G21")
def test_a_consumer_continues_after_what_it_has_committed(log: Path) -> None:
    with walogs.open(log, store="sqlite") as wal, wal.cursor("mailer") as cursor:
        assert cursor.position == 0
        for lsn, _ in cursor.iter(8):
            cursor.commit(lsn, durable=lsn % 2 == 0)
    with walogs.reader(log, store="sqlite") as reader, reader.cursor("mailer") as cursor:
        assert cursor.position == 7
        assert [lsn for lsn, _ in cursor] == list(range(8, 21))
        cursor.commit(20)
    with walogs.open(log, store="sqlite") as wal, wal.cursor("mailer") as cursor:
        assert wal.append(b"next") == 21
        assert list(cursor) == [(21, b"next")]


@pytest.mark.guarantee("G21")
def test_a_checkpoint_removes_only_what_every_cursor_has_passed_durably(log: Path) -> None:
    with walogs.open(log, store="sqlite") as wal, wal.cursor("mailer") as mailer, wal.cursor("auditor") as auditor:
        mailer.commit(15)
        auditor.commit(9)
        auditor.commit(18, durable=False)
        wal.checkpoint()
        assert wal.first_lsn == 10
        assert [lsn for lsn, _ in mailer] == list(range(16, 21))


@pytest.mark.guarantee("G21")
def test_what_is_read_as_durable_is_what_was_synced(log: Path) -> None:
    store = SqliteStore(log)
    store.write_cursor("mailer", VALUE, durable=False)
    assert store.read_cursor("mailer", durable=True) == VALUE, "the first value is durable"
    later = VALUE[::-1]
    store.write_cursor("mailer", later, durable=False)
    assert (store.read_cursor("mailer"), store.read_cursor("mailer", durable=True)) == (later, VALUE)
    store.write_cursor("mailer", later, durable=True)
    assert store.read_cursor("mailer", durable=True) == later
    store.close()


def test_a_value_that_is_not_durable_can_be_the_first_again_after_a_removal(log: Path) -> None:
    store = SqliteStore(log)
    store.write_cursor("mailer", VALUE, durable=True)
    store.remove_cursor("mailer")
    assert store.read_cursor("mailer") is None
    store.write_cursor("mailer", VALUE, durable=False)
    assert store.read_cursor("mailer", durable=True) == VALUE
    store.close()


# Files of an earlier release, and of none


def test_a_file_without_the_table_is_read_and_gets_it_with_the_first_cursor(log: Path) -> None:
    assert tables(log) == {"segment"}
    with walogs.reader(log, store="sqlite") as reader:
        assert reader.last_lsn == ENTRIES
    store = SqliteStore(log)
    assert (store.cursors(), store.read_cursor("mailer"), store.read_cursor("mailer", durable=True)) == ([], None, None)
    store.remove_cursor("mailer")
    store.close()
    with walogs.open(log, store="sqlite") as wal, pytest.raises(ValueError, match="there is no cursor"):
        wal.checkpoint()
    assert tables(log) == {"segment"}, "to look has made the table"
    committed(log, mailer=3)
    assert tables(log) == {"segment", "cursors"}


def test_the_version_stays_that_which_earlier_releases_open(log: Path) -> None:
    before = execute(log, database.WHOSE)
    committed(log, mailer=3)
    ((application, version, _, table),) = execute(log, database.WHOSE)
    assert [(application, version, 1, table)] == before


def test_two_who_make_the_table_at_once_both_have_their_cursor(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = SqliteStore(log), SqliteStore(log)
    look, looks = cursors.is_table, list[bool]()

    def looked(connection: sqlite3.Connection, path: str) -> bool:
        looks.append(look(connection, path))
        if len(looks) == 1:
            second.write_cursor("auditor", VALUE, durable=True)
        return looks[-1] if len(looks) > 1 else False

    monkeypatch.setattr(cursors, "is_table", looked)
    first.write_cursor("mailer", VALUE, durable=True)
    assert first.cursors() == ["auditor", "mailer"]
    first.close()
    second.close()


def test_where_there_is_no_log_there_is_no_cursor_and_none_is_made(path: Path) -> None:
    for make in (lambda: None, path.touch):
        make()
        before = list(path.parent.iterdir())
        store = SqliteStore(path)
        assert store.cursors() == []
        with pytest.raises(walogs.plugins.SegmentNotFound, match=r"can have no cursor\. Nothing was changed"):
            store.write_cursor("mailer", VALUE, durable=True)
        store.close()
        assert list(path.parent.iterdir()) == before
        assert not path.exists() or path.stat().st_size == 0


def test_a_later_releases_tables_are_refused(log: Path) -> None:
    execute(log, "PRAGMA user_version = 2")
    store = SqliteStore(log)
    for call in (store.cursors, lambda: store.write_cursor("mailer", VALUE, durable=True)):
        with pytest.raises(walogs.UnsupportedFormat, match="version 2"):
            call()
    store.close()
    assert tables(log) == {"segment"}


# Damage


@pytest.mark.guarantee("G6", "G21")
@pytest.mark.parametrize(
    "damage", [b"", bytes(64), VALUE, "text of a value", 7], ids=["empty", "zeros", "other bytes", "text", "number"]
)
def test_a_damaged_value_is_told_and_is_no_position(log: Path, damage: object) -> None:
    committed(log, mailer=5, auditor=6)
    execute(log, "UPDATE cursors SET value = ?, durable = ? WHERE name = 'mailer'", damage, damage)
    with walogs.open(log, store="sqlite") as wal:
        for call in (lambda: wal.cursor("mailer"), wal.checkpoint):
            with pytest.raises(walogs.Corrupt, match=r"row 'mailer' of the table cursors in .*is damaged"):
                call()
        with wal.cursor("auditor") as cursor:
            assert cursor.position == 6
    report = walogs.verify(log, store="sqlite")
    assert report.ok
    assert ["row 'mailer'" in finding.message for finding in report.findings] == [True]
    with pytest.raises(walogs.Corrupt, match="row 'mailer'"):
        walogs.backup(log, log.parent / "copy", store="sqlite")


@pytest.mark.guarantee("G21")
def test_any_flipped_bit_of_a_value_is_told(log: Path) -> None:
    committed(log, mailer=5)
    whole = log.read_bytes()
    start = whole.rindex(b"WALCUR\r\n", 0, whole.rindex(b"WALCUR\r\n"))
    for at in range(start, start + 128):
        log.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        store = SqliteStore(log)
        values = (store.read_cursor("mailer"), store.read_cursor("mailer", durable=True))
        store.close()
        assert len(set(values)) == 2, at
        is_first = values[0] != whole[start : start + 64]
        if is_first:
            with walogs.open(log, store="sqlite") as wal, pytest.raises(walogs.Corrupt, match="'mailer'"):
                wal.cursor("mailer")
        else:
            with walogs.open(log, store="sqlite") as wal, pytest.raises(walogs.Corrupt, match="'mailer'"):
                wal.checkpoint()


@pytest.mark.guarantee("G21")
def test_a_row_whose_value_was_lost_is_not_taken_for_a_new_cursor(log: Path) -> None:
    committed(log, mailer=5)
    execute(log, "DROP TABLE cursors")
    execute(log, cursors.TABLE.replace(" NOT NULL", ""))
    execute(log, "INSERT INTO cursors VALUES ('mailer', NULL, NULL)")
    put_description_back(log)
    store = SqliteStore(log)
    assert (store.read_cursor("mailer"), store.read_cursor("mailer", durable=True)) == (b"", b"")
    store.close()
    with walogs.open(log, store="sqlite") as wal, pytest.raises(walogs.Corrupt, match="it has 0 bytes"):
        wal.cursor("mailer")


def put_description_back(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'cursors'", (cursors.TABLE,))
    connection.close()


@pytest.mark.guarantee("G6")
def test_any_changed_byte_in_the_description_of_the_table_is_refused(log: Path) -> None:
    """SQLite ignores the case of letters, so this changes the bit that is the case, too."""
    committed(log, mailer=5)
    whole = log.read_bytes()
    start = whole.index(cursors.TABLE.encode())
    for at in range(start, start + len(cursors.TABLE)):
        for bit in (0, 5):
            log.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            store = SqliteStore(log)
            for call in (
                store.cursors,
                lambda: store.read_cursor("mailer"),  # noqa: B023  # it is called at once
                lambda: store.write_cursor("mailer", VALUE, durable=True),  # noqa: B023
                lambda: store.remove_cursor("mailer"),  # noqa: B023
            ):
                with pytest.raises(walogs.Corrupt):
                    call()
            store.close()


def test_a_name_that_is_not_text_is_told(log: Path) -> None:
    committed(log, mailer=5)
    execute(log, "UPDATE cursors SET name = CAST(x'ff6d' AS TEXT)")
    with walogs.open(log, store="sqlite") as wal, pytest.raises(walogs.Corrupt, match="the name of a cursor"):
        wal.checkpoint()


def test_a_table_of_statistics_does_no_harm(log: Path) -> None:
    committed(log, mailer=5)
    execute(log, "ANALYZE")
    committed(log, mailer=6)
    with walogs.open(log, store="sqlite") as wal, wal.cursor("mailer") as cursor:
        assert cursor.position == 6


# Where it may not write


def test_in_a_read_only_directory_it_says_so_and_changes_nothing(path: Path, shared_path: Path) -> None:
    log = shared_path / "log.db"
    with walogs.open(log, store="sqlite") as wal:
        wal.append(b"x")
    committed(log, mailer=1)
    (shared_path / "log.db.cursor-mailer.lock").unlink()
    before = log.read_bytes()
    log.chmod(0o444)
    shared_path.chmod(0o555)

    def in_child() -> None:
        with walogs.open(path, store="sqlite") as wal, wal.cursor("mailer"):
            pass  # all is imported that somebody else may not be able to read
        if os.getuid() == 0:
            os.setuid(65534)
        store = SqliteStore(log)
        for call in (
            store.cursor_lock("mailer").take,
            lambda: store.write_cursor("mailer", VALUE, durable=True),
            lambda: store.write_cursor("mailer", VALUE, durable=False),
        ):
            with pytest.raises(PermissionError):
                call()
        store.close()

    assert forked(in_child) == 0
    shared_path.chmod(0o755)
    assert [file.name for file in shared_path.iterdir()] == ["log.db"]
    assert log.read_bytes() == before


@pytest.mark.guarantee("G9")
def test_without_space_a_commit_changes_nothing_and_works_later(log: Path) -> None:
    store = SqliteStore(log)
    for number in range(50):
        store.write_cursor(f"{number:063}", VALUE, durable=False)
    with store._committing.lock:
        connection = store._committing.open_if_needed()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    names = list(store.cursors())

    def fill() -> None:
        for number in range(50, 1000):
            store.write_cursor(f"{number:063}", VALUE, durable=True)
            names.append(f"{number:063}")

    with pytest.raises(walogs.NoSpace):
        fill()
    assert list(store.cursors()) == names
    with store._committing.lock:
        store._committing.open_if_needed().execute("PRAGMA max_page_count = 1000000")
    store.write_cursor("mailer", VALUE, durable=True)
    assert store.read_cursor("mailer") == VALUE
    store.close()


def test_a_busy_file_is_unavailable_and_then_it_goes_on(log: Path) -> None:
    store, hasty = SqliteStore(log), SqliteStore(log, busy_seconds=0)
    store.acquire()
    hasty.write_cursor("mailer", VALUE, durable=True)
    with store._writing.lock:
        connection = store._writing.open_if_needed()
        connection.execute("BEGIN IMMEDIATE")
        for is_durable in (True, False):
            with pytest.raises(walogs.Unavailable, match="busy_seconds"):
                hasty.write_cursor("mailer", VALUE[::-1], durable=is_durable)
        assert hasty.read_cursor("mailer") == VALUE
        connection.execute("ROLLBACK")
    hasty.write_cursor("mailer", VALUE[::-1], durable=False)
    assert store.read_cursor("mailer") == VALUE[::-1]
    hasty.close()
    store.close()


# What walogs makes of them


def test_the_command_shows_sets_and_drops_them(log: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    committed(log, mailer=5, auditor=20)
    command = Walogs(capsysbinary)
    told = command("cursors", log, "--store", "sqlite")
    assert (told.status, told.error) == (0, "")
    auditor, mailer = told.out.decode().splitlines()
    assert auditor.startswith("auditor        at 20, nothing is left")
    assert mailer.startswith("mailer         at 5, 15 entries behind")
    told = command("cursors", log, "--store", "sqlite", "--set", "mailer", "2", "--json")
    assert [(facts["name"], facts["position"]) for facts in told.json()] == [("auditor", 20), ("mailer", 2)]
    told = command("cursors", log, "--store", "sqlite", "--drop", "auditor", "--json")
    assert [facts["name"] for facts in told.json()] == ["mailer"]


def test_what_a_refusal_tells_to_do_names_the_store(log: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with walogs.open(log, store="sqlite") as wal, wal.cursor("mailer") as cursor:
        cursor.commit(5)
        with pytest.raises(ValueError, match="To set it back, close it and use") as refused:
            cursor.commit(4)
    (told,) = [part for part in str(refused.value).split("`") if part.startswith("walogs ")]
    words = [{"LSN": "4", "NAME": "sqlite"}.get(word, word) for word in told.split()[1:]]
    assert Walogs(capsysbinary)(*words).status == 0
    with walogs.open(log, store="sqlite") as wal, wal.cursor("mailer") as cursor:
        assert cursor.position == 4


def test_a_backup_and_sqlites_own_copy_take_them(log: Path) -> None:
    committed(log, mailer=5, auditor=20)
    report = walogs.backup(log, log.parent / "copy", store="sqlite")
    assert sorted(report.cursors) == ["auditor", "mailer"]
    with walogs.open(log.parent / "copy") as wal, wal.cursor("mailer") as cursor:
        assert [lsn for lsn, _ in cursor] == list(range(6, 21))
    source, copy = sqlite3.connect(log), sqlite3.connect(log.parent / "copy.db")
    source.backup(copy)
    source.close()
    copy.close()
    with walogs.open(log.parent / "copy.db", store="sqlite") as wal, wal.cursor("mailer") as cursor:
        assert cursor.position == 5


def test_the_kit_checks_its_cursors() -> None:
    from walogs.plugins import CursorStore

    assert isinstance(SqliteStore("nowhere.db"), CursorStore)
    assert any("cursor" in name for name in dir(StoreContract))
