"""What the protocol says of a store whose segments are created whole, member by member."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import walogs
from tests.cli.commands import Walogs
from walogs_sqlite import SqliteOptions, SqliteStore, database, places


def test_it_is_a_store_that_only_fences_and_says_so() -> None:
    store = SqliteStore("nowhere.db")
    assert isinstance(store, walogs.plugins.SegmentStore)
    assert not isinstance(store, walogs.plugins.AppendableStore)
    assert store.capabilities == walogs.plugins.StoreCapabilities(
        appendable=False,
        torn_tail=False,
        exclusion="create_if_absent",
        numbers_reused=True,
        exists_means_durable=True,
        segment_bytes_max=store.capabilities.segment_bytes_max,
        persistence="disk",
        number_gaps=True,
    )
    assert os.path.isabs(store.name)
    assert not Path("nowhere.db").exists()


def test_rows_appear_are_read_in_pieces_and_go(store: SqliteStore) -> None:
    whole = bytes(range(256)) * 400
    for number, data in ((12, b"twelve"), (3, bytearray(whole)), (100, memoryview(b"")), (7, b"7")):
        store.create(number, data)
    assert list(store.segments()) == [3, 7, 12, 100]
    assert [store.size(number) for number in (3, 7, 12, 100)] == [len(whole), 1, 6, 0]
    assert store.read(3) == whole
    for start, end in ((0, 0), (0, 10), (4095, 4097), (99_000, None), (5, 10**9), (len(whole), None), (10**7, None)):
        assert store.read(3, start, end) == whole[start:end]
    assert store.read(3, 10, 5) == b""
    assert store.read(100) == b""
    store.remove([7, 8, 100])
    assert list(store.segments()) == [3, 12]
    store.remove([])
    for call in (store.size, store.read):
        for number in (7, 8):
            with pytest.raises(walogs.plugins.SegmentNotFound, match=f"segment {number} is not in"):
                call(number)
    store.create(7, b"again")
    assert store.read(7) == b"again"


def test_a_number_is_created_once_by_whoever_is_first(store: SqliteStore, path: Path) -> None:
    other = SqliteStore(path)
    other.acquire()
    store.create(1, b"mine")
    with pytest.raises(walogs.plugins.SegmentExists, match="segment 1 is in"):
        other.create(1, b"theirs")
    with pytest.raises(walogs.plugins.SegmentExists):
        store.create(1, b"mine")
    assert other.read(1) == b"mine"
    other.close()


def test_of_many_who_create_the_same_numbers_each_number_has_one(path: Path) -> None:
    stores = [SqliteStore(path) for _ in range(4)]
    won: list[tuple[int, int]] = []

    def race(who: int) -> None:
        stores[who].acquire()
        for number in range(1, 30):
            try:
                stores[who].create(number, b"%d" % who)
                won.append((number, who))
            except walogs.plugins.SegmentExists:
                pass

    threads = [threading.Thread(target=race, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in won) == list(range(1, 30))
    for number, who in won:
        assert stores[0].read(number) == b"%d" % who
    for store in stores:
        store.close()


def test_readers_are_not_in_the_writers_way_nor_it_in_theirs(store: SqliteStore) -> None:
    store.create(1, bytes(100_000))
    has_begun, is_over = threading.Barrier(4), threading.Event()
    seen: list[int] = []

    def look() -> None:
        has_begun.wait()
        while not is_over.is_set():
            numbers = list(store.segments())
            assert numbers == list(range(1, len(numbers) + 1))
            assert store.read(numbers[-1], 99_000) == bytes(1000)
            seen.append(numbers[-1])

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    has_begun.wait()
    for number in range(2, 40):
        store.create(number, bytes(100_000))
    is_over.set()
    for reader in readers:
        reader.join()
    assert len(seen) >= 3


def test_where_nothing_is_nothing_is_made_by_looking(path: Path) -> None:
    store = SqliteStore(path)
    assert list(store.segments()) == []
    with pytest.raises(walogs.plugins.SegmentNotFound):
        store.read(1)
    assert not path.exists()
    with pytest.raises(walogs.LogNotFound):
        walogs.reader(path, store="sqlite")
    assert list(path.parent.iterdir()) == []


def test_the_file_and_the_directories_made_are_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "it's 100% a log?#.db"
    with walogs.open(path, store="sqlite") as wal:
        wal.append(b"x")
        for made in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_limit_is_where_it_says(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with store._writing.lock:
        connection = store._writing.open_if_needed()
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
    store.create(1, bytes(100_000 - database.ROW_BYTES))
    with pytest.raises(walogs.NoSpace) as refused:
        store.create(2, bytes(100_001))
    assert refused.value.errno == errno.EFBIG
    assert list(store.segments()) == [1]
    store.create(2, b"small")
    usual = database.segment_bytes_max()
    assert usual > 1 << 20
    monkeypatch.setattr(database, "segment_bytes_max", lambda: 4096)
    with walogs.open(store=SqliteStore(f"{store.path}.small")) as wal:
        with pytest.raises(walogs.EntryTooLarge):
            wal.append(bytes(4000))
        assert wal.append(bytes(3000)) == 1


@pytest.mark.guarantee("G9")
def test_a_full_disk_loses_nothing_and_is_not_poison(path: Path) -> None:
    store = SqliteStore(path)
    with walogs.open(store=store) as wal:
        wal.append(b"kept")
        with store._writing.lock:
            connection = store._writing.open_if_needed()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(walogs.NoSpace) as refused:
            wal.append(bytes(100_000))
        assert refused.value.errno == errno.ENOSPC
        assert list(wal) == [(1, b"kept")]
        with store._writing.lock:
            connection = store._writing.open_if_needed()
            connection.execute("PRAGMA max_page_count = 1000000")
        assert wal.append(bytes(100_000)) == 2
    with walogs.open(path, store="sqlite") as wal:
        assert [lsn for lsn, _ in wal] == [1, 2]


def test_busy_for_too_long_is_unavailable_and_then_it_goes_on(store: SqliteStore, path: Path) -> None:
    hasty = SqliteStore(path, busy_seconds=0.05)
    hasty.acquire()
    with store._writing.lock:
        connection = store._writing.open_if_needed()
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(walogs.Unavailable, match="busy_seconds"):
            hasty.create(1, b"x")
        with pytest.raises(walogs.Unavailable):
            hasty.remove([1])
        assert list(hasty.segments()) == []
        connection.execute("ROLLBACK")
    hasty.create(1, b"x")
    hasty.remove([1])
    hasty.close()


HOLD_THE_CHECKPOINT_LOCK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as shm:
    fcntl.lockf(shm, fcntl.LOCK_EX, 1, 121)
    print("held", flush=True)
    sys.stdin.readline()
print("released", flush=True)
"""
"""Byte 121 of NAME-shm is SQLite's WAL_CKPT_LOCK: whoever copies the WAL into the database has it."""


def test_an_open_waits_for_others_who_copy_the_wal(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(1, b"x")
    command = [sys.executable, "-c", HOLD_THE_CHECKPOINT_LOCK, f"{path}-shm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        hasty, patient = SqliteStore(path, busy_seconds=0), SqliteStore(path, busy_seconds=300)
        with pytest.raises(walogs.Unavailable, match=r"kept busy by others.*raise busy_seconds"):
            hasty.acquire()
        pauses = []

        def let_it_end(seconds: float) -> None:
            pauses.append(seconds)
            if other.poll() is None:
                other.communicate("\n")

        monkeypatch.setattr(database, "time", SimpleNamespace(monotonic=time.monotonic, sleep=let_it_end))
        patient.acquire()
    assert pauses
    hasty.acquire()
    assert hasty.read(1) == patient.read(1) == b"x"
    hasty.close()
    patient.close()


def test_one_object_is_acquired_once_and_closed_for_good(store: SqliteStore) -> None:
    store.create(1, b"x")
    with pytest.raises(walogs.Locked, match="this very store object"):
        store.acquire()
    assert store.read(1) == b"x"
    store.close()
    store.close()
    for call in (store.segments, lambda: store.read(1), lambda: store.create(2, b"y"), lambda: store.remove([1])):
        with pytest.raises(walogs.Closed, match="was closed"):
            call()


def test_what_a_removal_frees_is_used_again_and_given_back(store: SqliteStore, path: Path) -> None:
    for number in range(1, 201):
        store.create(number, bytes(20_000))
    with store._writing.lock:
        connection = store._writing.open_if_needed()
        connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
    full = path.stat().st_size
    store.remove(range(1, 51))
    assert path.stat().st_size == full  # a quarter is free: kept, for what comes
    for number in range(201, 241):
        store.create(number, bytes(20_000))
    with store._writing.lock:
        connection = store._writing.open_if_needed()
        connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
    assert path.stat().st_size == full
    store.remove(range(51, 231))
    assert path.stat().st_size < full / 5
    assert list(store.segments()) == list(range(231, 241))
    assert all(store.read(number) == bytes(20_000) for number in range(231, 241))


def files_beside(path: Path) -> dict[str, bytes]:
    """But for those that SQLite makes beside a database that it reads."""
    files = [file for file in path.parent.iterdir() if file.is_file() and not file.name.endswith(("-wal", "-shm"))]
    return {file.name: file.read_bytes() for file in files}


class TestRefusals:
    """What is not ours is said to be so, and is as it was."""

    def refused(self, path: Path, error: type[BaseException], match: str) -> None:
        before = files_beside(path)
        for verb in (walogs.open, walogs.reader):
            with pytest.raises(error, match=match):
                verb(path, store="sqlite")  # type: ignore[operator]
        store = SqliteStore(path)
        with pytest.raises(error, match=match):
            store.acquire()
        assert not store._writing.is_open
        assert files_beside(path) == before

    def test_a_file_that_is_no_database(self, path: Path) -> None:
        path.write_bytes(b"Dear diary, " * 1000)
        self.refused(path, walogs.UnsafeStore, "is no SQLite database")

    def test_doctor_tells_a_file_that_is_no_database(
        self, path: Path, capsysbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        path.write_bytes(b"Dear diary")
        told = Walogs(capsysbinary)("doctor", path, "--store", "sqlite")
        assert told.status == 1
        assert f"{path} is no SQLite database" in told.out.decode()

    def test_somebody_elses_database(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE segment (number INTEGER PRIMARY KEY, data BLOB)")
        connection.close()
        self.refused(path, walogs.UnsafeStore, "and not a log of walogs")

    def test_an_empty_database_with_somebody_elses_number(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA application_id = 7")
        connection.close()
        self.refused(path, walogs.UnsafeStore, "and not a log of walogs")

    def test_a_later_releases_tables(self, path: Path) -> None:
        with walogs.open(path, store="sqlite") as wal:
            wal.append(b"x")
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 2")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        with pytest.raises(walogs.UnsupportedFormat) as told:
            walogs.open(path, store="sqlite")
        assert told.value.found == "sqlite 2"
        self.refused(path, walogs.UnsupportedFormat, "version 2")

    def test_a_directory(self, path: Path) -> None:
        path.mkdir()
        self.refused(path, IsADirectoryError, "one file")

    def test_a_link_and_a_pipe(self, path: Path) -> None:
        real = path.with_name("real.db")
        with walogs.open(real, store="sqlite"):
            pass
        path.symlink_to(real)
        self.refused(path, walogs.UnsafeStore, "symbolic link")
        path.unlink()
        os.mkfifo(path)
        self.refused(path, OSError, "not a file")

    @pytest.mark.parametrize("kind", ["nfs4", "lustre", "fuse.rclone"])
    def test_a_network_file_system(self, kind: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(places, "file_system", lambda device: kind)
        with pytest.raises(walogs.UnsafeStore, match=f"is on {kind}"):
            walogs.open(path, store="sqlite")
        assert not path.exists()
        path.touch()
        self.refused(path, walogs.UnsafeStore, f"is on {kind}")

    @pytest.mark.parametrize(
        "path", ["sqlite:///orders.db", "file:/tmp/orders.db", "~/orders.db", "$HOME/orders.db", ":memory:"]
    )
    def test_an_address_or_a_home(self, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(walogs.ConfigError, match="path=") as refused:
            walogs.open(path, store="sqlite")
        assert path in str(refused.value)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("value", [-1, 3601, float("nan"), "5", None, True])
    def test_options_that_make_no_sense(self, value: object) -> None:
        with pytest.raises(ValueError, match=r"busy_seconds=.* 0 to 3600"):
            SqliteOptions(busy_seconds=value)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="busy_seconds="):
            SqliteStore("x.db", busy_seconds=value)  # type: ignore[arg-type]


def test_where_a_file_system_is_can_be_told(tmp_path: Path) -> None:
    if Path("/proc/self/mountinfo").exists():
        assert places.file_system(os.stat("/proc").st_dev) == "proc"
    assert places.file_system(0xFFFFFF) is None


@pytest.mark.parametrize("left", ["no bytes", "no table"])
def test_a_set_up_that_was_killed_is_no_log_yet_and_is_finished(path: Path, left: str) -> None:
    path.touch()
    if left == "no table":
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
        assert path.stat().st_size
    assert list(SqliteStore(path).segments()) == []
    with walogs.open(path, store="sqlite") as wal:
        assert wal.append(b"x") == 1
    with walogs.open(path, store="sqlite") as wal:
        assert list(wal) == [(1, b"x")]


def test_the_name_comes_from_the_entry_point_with_its_options() -> None:
    from walogs.assembly import registry

    spec = registry.spec("store", "sqlite")
    assert isinstance(spec, walogs.plugins.StoreSpec)
    assert registry.options("store", "sqlite") is SqliteOptions
    (plugin,) = [plugin for plugin in registry.all_plugins() if plugin.declared.distribution == "walogs-sqlite"]
    assert (plugin.problems, list(registry.unimportable(plugin))) == ((), [])
    made = registry.make("store", "sqlite", "x.db", options=SqliteOptions(busy_seconds=1))
    assert isinstance(made, SqliteStore)
