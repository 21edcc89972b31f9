"""The cursors of the local store: which files there are, and which bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

import walogs
from tests.defaults.local_stores import Calls, descriptors
from walogs.defaults.local_store import LocalStore
from walogs.errors import Locked
from walogs.protocols.cursor_store import CursorLock, CursorStore

ONE, TWO, THREE = (bytes([number]) * 64 for number in (1, 2, 3))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    store = LocalStore(tmp_path / "log")
    store.acquire()
    store.create(1, b"h" * 512)
    store.close()
    return tmp_path / "log"


@pytest.fixture
def store(log: Path) -> LocalStore:
    """A store that is not acquired: a consumer's."""
    return LocalStore(log)


@pytest.fixture
def lock(store: LocalStore) -> Iterator[CursorLock]:
    lock = store.cursor_lock("mailer")
    lock.take()
    yield lock
    lock.release()


def test_it_keeps_cursors(store: LocalStore) -> None:
    assert isinstance(store, CursorStore)
    assert store.cursor_name("mailer") == "cursors/mailer"


def test_a_durable_value_is_in_a_file_of_its_own(store: LocalStore, lock: CursorLock, log: Path) -> None:
    store.write_cursor("mailer", ONE, durable=True)
    assert sorted(os.listdir(log / "cursors")) == ["mailer", "mailer.lock"]
    assert (log / "cursors/mailer").read_bytes() == ONE + bytes(1024 - 64)
    assert stat.S_IMODE((log / "cursors").stat().st_mode) == 0o700
    assert stat.S_IMODE((log / "cursors/mailer").stat().st_mode) == 0o600
    store.remove_cursor("mailer")
    assert os.listdir(log / "cursors") == ["mailer.lock"]


def test_a_value_that_need_not_be_durable_is_written_beside_the_durable_one(
    store: LocalStore, lock: CursorLock, log: Path
) -> None:
    file = log / "cursors/mailer"
    store.write_cursor("mailer", ONE, durable=True)
    before = file.stat().st_ino
    store.write_cursor("mailer", TWO, durable=False)
    second = TWO + crc32(TWO).to_bytes(4, "little")
    assert file.read_bytes() == (ONE.ljust(512, b"\0") + second).ljust(1024, b"\0")
    assert file.stat().st_ino == before
    assert (store.read_cursor("mailer"), store.read_cursor("mailer", durable=True)) == (TWO, ONE)
    store.write_cursor("mailer", THREE, durable=True)
    assert (store.read_cursor("mailer"), store.read_cursor("mailer", durable=True)) == (THREE, THREE)


def test_a_second_value_that_is_damaged_leaves_the_durable_one(store: LocalStore, lock: CursorLock, log: Path) -> None:
    file = log / "cursors/mailer"
    store.write_cursor("mailer", ONE, durable=True)
    store.write_cursor("mailer", TWO, durable=False)
    whole = file.read_bytes()
    for at in range(512, 580):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert store.read_cursor("mailer") == ONE


@pytest.mark.parametrize("size", [0, 1, 63, 64, 1023, 1025, 5000])
def test_a_file_of_another_size_is_returned_as_it_is(store: LocalStore, lock: CursorLock, log: Path, size: int) -> None:
    (log / "cursors/mailer").write_bytes(b"x" * size)
    found = store.read_cursor("mailer")
    assert found == b"x" * min(size, 1025)
    store.write_cursor("mailer", TWO, durable=False)  # replaces what is no cursor
    assert store.read_cursor("mailer") == TWO


def test_what_is_synced(store: LocalStore, lock: CursorLock, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    store.write_cursor("mailer", ONE, durable=True)
    assert calls.of("fsync") == ["mailer.tmp", "cursors", "log"], "the file before its name, and then the directories"
    calls.made.clear()
    store.write_cursor("mailer", TWO, durable=True)
    assert calls.of("fsync") == ["mailer.tmp", "cursors"]
    calls.made.clear()
    store.write_cursor("mailer", THREE, durable=False)
    assert (calls.of("fsync"), calls.of("fdatasync"), calls.of("rename")) == ([], [], [])
    assert calls.of("pwrite") == ["mailer"]


def test_a_copy_by_hard_links_keeps_its_cursor(store: LocalStore, lock: CursorLock, log: Path, tmp_path: Path) -> None:
    store.write_cursor("mailer", ONE, durable=True)
    os.link(log / "cursors/mailer", tmp_path / "copy")
    before = (tmp_path / "copy").read_bytes()
    store.write_cursor("mailer", TWO, durable=False)
    assert (store.read_cursor("mailer"), (tmp_path / "copy").read_bytes()) == (TWO, before)


def test_what_an_interrupted_write_left_is_no_cursor(store: LocalStore, lock: CursorLock, log: Path) -> None:
    (log / "cursors/mailer.tmp").write_bytes(b"half")
    (log / "cursors/.hidden").touch()
    assert list(store.cursors()) == []
    store.write_cursor("mailer", ONE, durable=True)
    assert list(store.cursors()) == ["mailer"]


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize(
    "name", ["mailer~", ".mailer.swp", "#mailer#", "bad name", "-x", "ü", "a" * 64, os.fsdecode(b"\xff")], ids=repr
)
def test_a_file_that_is_no_cursor_holds_no_checkpoint_back(tmp_path: Path, name: str) -> None:
    log = tmp_path / "with entries"
    with walogs.open(log, max_segment_size=1) as wal, wal.cursor("mailer") as cursor:
        wal.append_batch([b"one", b"two"])
        (log / "cursors" / name).write_bytes((log / "cursors" / "mailer").read_bytes())
        wal.append(b"three")
        cursor.commit(3)
        assert LocalStore(log).cursors() == ["mailer"]
        wal.checkpoint()
        assert wal.first_lsn == 3
    assert (log / "cursors" / name).exists()


def test_the_owner_is_named(store: LocalStore, lock: CursorLock, log: Path) -> None:
    with pytest.raises(Locked, match=rf"^cursor 'mailer' of .*/log is open by process {os.getpid()} on ") as refused:
        LocalStore(log).cursor_lock("mailer").take()
    assert refused.value.pid == os.getpid()
    assert refused.value.host
    assert refused.value.since
    assert (log / "cursors/mailer.lock").read_text().startswith(f"{os.getpid()} ")


def test_a_link_in_the_place_of_the_directory_or_a_file_is_not_followed(log: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (log / "cursors").symlink_to(elsewhere)
    store = LocalStore(log)
    with pytest.raises(OSError):
        store.cursors()
    with pytest.raises(OSError):
        store.cursor_lock("mailer").take()
    (log / "cursors").unlink()
    lock = store.cursor_lock("mailer")
    lock.take()
    (log / "cursors/mailer").symlink_to(elsewhere / "mailer")
    with pytest.raises(OSError):
        store.read_cursor("mailer")
    lock.release()
    assert list(elsewhere.iterdir()) == []


def test_the_directory_of_the_cursors_is_no_file_of_others(log: Path) -> None:
    store = LocalStore(log)
    lock = store.cursor_lock("mailer")
    lock.take()
    store.write_cursor("mailer", ONE, durable=True)
    assert store.files_of_others() == []
    assert list(store.segments()) == [1]
    store.acquire()
    assert store.read_cursor("mailer") == ONE
    store.close()
    lock.release()


def test_no_descriptor_stays_open(store: LocalStore, log: Path) -> None:
    lock = store.cursor_lock("mailer")
    lock.take()
    for is_durable in (True, False):
        store.write_cursor("mailer", ONE, durable=is_durable)
        store.read_cursor("mailer", durable=is_durable)
    store.cursors()
    assert len(descriptors(str(log))) == 1, "that of the lock"
    lock.release()
    store.remove_cursor("mailer")
    assert descriptors(str(log)) == []
