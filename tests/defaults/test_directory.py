"""The directory that a writer holds: read where it is, noticed when it is lost, and listed only where it must be."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from walogs.defaults import local_store
from walogs.defaults.directory import LOCK, Directory
from walogs.defaults.local_store import LocalStore
from walogs.defaults.lock_file import LockFile

SMALL = 4096
ENTRY = b"x" * 100


def filled(path: Path, entries: int = 100) -> walogs.Wal:
    wal = walogs.open(path, max_segment_size=SMALL)
    for _ in range(entries):
        wal.append(ENTRY)
    return wal


# Reading through the directory that is written in


def rename(path: Path) -> Path:
    return path.rename(path.with_name("moved.wal"))


def rename_and_put_another_there(path: Path) -> Path:
    moved = rename(path)
    filled(path, 7).close()
    return moved


def retarget_the_link(path: Path) -> Path:
    target = path.resolve()
    path.unlink()
    filled(path.with_name("another.wal"), 7).close()
    path.symlink_to(path.with_name("another.wal"))
    return target


@pytest.mark.parametrize("happen", [rename, rename_and_put_another_there, retarget_the_link])
def test_an_open_writer_reads_and_writes_where_its_directory_is_now(
    tmp_path: Path, happen: Callable[[Path], Path]
) -> None:
    path = tmp_path / "log.wal"
    if happen is retarget_the_link:
        (tmp_path / "real.wal").mkdir()
        path.symlink_to(tmp_path / "real.wal")
    wal = filled(path)
    now = happen(path)
    assert [lsn for lsn, _ in wal] == list(range(1, 101))
    assert wal.read(1) == ENTRY
    wal.rotate()
    assert wal.append(b"after") == 101
    assert [lsn for lsn, _ in wal.follow(100, timeout=0)] == [100, 101]
    assert len(list(wal.commits())) == 101
    assert wal.checkpoint(50) > 0
    first_lsn = wal.first_lsn
    wal.close()
    with walogs.open(now) as reopened:
        assert (reopened.first_lsn, reopened.last_lsn) == (first_lsn, 101)
        assert len(list(reopened)) == 102 - first_lsn


def test_a_descriptor_that_is_in_use_is_closed_by_its_last_user(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path), os.open(tmp_path, os.O_RDONLY))
    with directory as outer, directory as inner:
        assert outer == inner == directory.fd
        directory.close()
        assert outer is not None
        os.fstat(outer)  # still ours: no other file can have got this number
        with directory as late:
            assert late is None
        os.fstat(outer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(outer)
    directory.close()
    assert directory.fd == -1


def test_two_threads_that_list_do_not_share_a_place_in_the_directory(tmp_path: Path) -> None:
    """A descriptor has one place in its directory: whoever lists by one that another lists by misses names."""
    with filled(tmp_path / "log.wal") as wal:
        store = wal._source.store
        assert isinstance(store, LocalStore)
        expected = store.segments()
        with os.scandir(store._directory.fd) as half_listed:
            next(half_listed)
            assert store.segments() == expected
            next(half_listed)


# A directory or LOCK that is gone, or another one


def remove_the_lock(path: Path) -> None:
    (path / LOCK).unlink()


def replace_the_lock(path: Path) -> None:
    (path / "other").touch()  # made before the old one goes: it has another inode for certain
    (path / "other").replace(path / LOCK)


def remove_the_directory(path: Path) -> None:
    shutil.rmtree(path)


def remove_it_and_open_again(path: Path) -> None:
    shutil.rmtree(path)
    walogs.open(path).close()


LOSSES = [remove_the_lock, replace_the_lock, remove_the_directory, remove_it_and_open_again]


def rotate(wal: walogs.Wal) -> object:
    return wal.rotate()


def append_until_it_rotates(wal: walogs.Wal) -> object:
    return [wal.append(ENTRY) for _ in range(SMALL // len(ENTRY))]


def append_more_than_the_window_holds(wal: walogs.Wal) -> object:
    return wal.append(bytes(100_000))


def submit_until_it_rotates(wal: walogs.Wal) -> object:
    return [wal.submit(ENTRY).result() for _ in range(SMALL // len(ENTRY))]


def checkpoint(wal: walogs.Wal) -> object:
    return wal.checkpoint(50)


@pytest.mark.guarantee("G13")
@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize(
    "verb", [rotate, append_until_it_rotates, append_more_than_the_window_holds, submit_until_it_rotates, checkpoint]
)
def test_a_writer_that_has_lost_its_lock_or_directory_is_poisoned_by_its_next_file(
    tmp_path: Path, lose: Callable[[Path], None], verb: Callable[[walogs.Wal], object]
) -> None:
    wal = filled(tmp_path / "log.wal")
    lose(tmp_path / "log.wal")
    with pytest.raises(walogs.Poisoned, match="another writer may have the log") as caught:
        verb(wal)
    assert isinstance(caught.value.__cause__, walogs.UnsafeStore)
    with pytest.raises(walogs.Poisoned):
        wal.append(b"never")
    wal.close()  # it was told


@pytest.mark.guarantee("G13")
@pytest.mark.parametrize("lose", LOSSES)
def test_a_writer_that_has_lost_its_lock_or_directory_says_so_when_it_is_closed(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    path = tmp_path / "log.wal"
    wal = filled(path)
    lose(path)
    durable_mark = (path / "DURABLE").read_bytes() if path.exists() else b""
    with pytest.raises(walogs.UnsafeStore, match="another writer may have the log"):
        wal.close()
    assert wal.closed
    assert (
        (path / "DURABLE").read_bytes() == durable_mark if durable_mark else True
    )  # no CLEAN was written under another writer
    wal.close()
    with walogs.open(path):
        pass


def test_a_lock_that_is_another_file_too_is_locked_and_not_written(tmp_path: Path) -> None:
    path, other = tmp_path / "log.wal", tmp_path / "notes"
    other.write_bytes(b"somebody's notes")
    filled(path).close()
    (path / LOCK).unlink()
    (path / LOCK).hardlink_to(other)
    with walogs.open(path) as wal:
        assert wal.append(b"1") == 101
        with pytest.raises(walogs.Locked):
            walogs.open(path)
    assert other.read_bytes() == b"somebody's notes"


def test_a_directory_that_is_replaced_while_it_is_being_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.wal"
    filled(path).close()
    take = LockFile.take

    def replaced_meanwhile(self: LockFile, directory: Directory) -> None:
        rename(path)
        path.mkdir()
        take(self, directory)

    monkeypatch.setattr(LockFile, "take", replaced_meanwhile)
    with pytest.raises(walogs.UnsafeStore, match="while it was being opened"):
        walogs.open(path)
    monkeypatch.undo()
    with walogs.open(tmp_path / "moved.wal") as wal:
        assert wal.last_lsn == 100


# What a checkpoint costs


def names_listed_by_checkpoints(path: Path, others: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many names the store was given while three checkpoints removed a segment each."""
    listdir, given = os.listdir, [0]

    def listed(where: int) -> list[str]:
        names = [*listdir(where), *(f"other-{k}" for k in range(others))]
        given[0] += len(names)
        return names

    with filled(path) as wal, monkeypatch.context() as patched:
        patched.setattr(local_store.os, "listdir", listed)
        assert [wal.checkpoint(segment.last_lsn) for segment in wal.segments()[:3]] == [1, 1, 1]
    return given[0]


def test_a_checkpoint_costs_by_what_it_removes_and_not_by_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert names_listed_by_checkpoints(tmp_path / "few", 1_000, monkeypatch) == 0
    assert names_listed_by_checkpoints(tmp_path / "many", 100_000, monkeypatch) == 0


def test_what_a_failed_create_left_is_looked_for_by_the_next_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(tmp_path / "log.wal") as wal:
        with monkeypatch.context() as patched:
            patched.setattr(local_store.os, "rename", refusing(errno.EIO))
            with pytest.raises(OSError, match="Input/output error"):
                wal.rotate()
        left = [name for name in os.listdir(tmp_path / "log.wal") if name.endswith(".tmp")]
        assert len(left) == 1
        wal.checkpoint(50)
        assert not [name for name in os.listdir(tmp_path / "log.wal") if name.endswith(".tmp")]


def refusing(number: int) -> Callable[..., object]:
    def refuse(*_: object, **__: object) -> object:
        raise OSError(number, os.strerror(number))

    return refuse


# No descriptor left


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("verb", [rotate, append_until_it_rotates, submit_until_it_rotates])
def test_a_rotation_without_a_descriptor_has_created_nothing_and_poisons_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: Callable[[walogs.Wal], object], number: int
) -> None:
    with filled(tmp_path / "log.wal") as wal:
        with monkeypatch.context() as patched:
            patched.setattr(local_store.os, "open", refusing(number))
            with pytest.raises(OSError) as refused:
                verb(wal)
            assert refused.value.errno == number
        last_lsn = wal.last_lsn
        verb(wal)
        assert wal.append(b"descriptors are back") > last_lsn
        entries = list(wal)
    with walogs.open(tmp_path / "log.wal") as wal:
        assert list(wal) == entries


# No room for a new log


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("name", ["wal-000001.log.tmp", "LOCK", "log.wal", "parent"])
def test_a_new_log_without_room_for_a_directory_or_a_file_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    made = {"open": os.open, "mkdir": os.mkdir}

    def without_room(call: str) -> Callable[..., object]:
        def refused(path: str, *args: object, **kwargs: object) -> object:
            is_making = call == "mkdir" or int(str(args[0])) & os.O_CREAT
            if is_making and os.path.basename(path) == name:
                raise OSError(number, os.strerror(number), path)
            return made[call](path, *args, **kwargs)  # type: ignore[operator]

        return refused

    with monkeypatch.context() as patched:
        for call in made:
            patched.setattr(local_store.os, call, without_room(call))
        with pytest.raises(walogs.NoSpace) as refused:
            walogs.open(tmp_path / "parent" / "log.wal")
    assert refused.value.errno == number
    assert "inodes" in "".join(refused.value.__notes__)
    with walogs.open(tmp_path / "parent" / "log.wal") as wal:
        assert wal.append(b"there is room now") == 1
