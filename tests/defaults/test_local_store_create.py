"""How a LocalStore makes segments and directories."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.defaults.local_stores import FIRST, HEADER, NO_SPACE, Call, Calls, content, descriptors
from walogs.defaults.local_store import LocalStore

# Creating


@pytest.mark.guarantee("G10")
def test_a_segment_is_whole_and_synced_before_it_has_its_name_and_its_name_before_create_returns(
    store: LocalStore, calls: Calls
) -> None:
    store.create(1, HEADER)
    assert calls.made == [
        Call("unlink", f"{FIRST}.tmp"),
        Call("open", f"{FIRST}.tmp"),
        Call("pwrite", f"{FIRST}.tmp"),
        Call("fsync", f"{FIRST}.tmp"),
        Call("rename", f"{FIRST}.tmp"),
        Call("fsync", "log"),
    ]
    assert content(store, FIRST) == HEADER


@pytest.mark.guarantee("G10")
def test_each_rotation_syncs_the_directory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with walogs.open(tmp_path / "log", max_segment_size=600) as wal:
        wal.append(b"x" * 50)
        calls = Calls(monkeypatch)
        for _ in range(5):
            wal.rotate()
            wal.append(b"x" * 50)
        assert calls.of("fsync").count("log") == 5
        assert len(calls.of("rename")) == 5


@pytest.mark.guarantee("G10")
@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EROFS, *NO_SPACE])
@pytest.mark.parametrize(
    ("name", "target", "is_there"),
    [
        ("open", f"{FIRST}.tmp", False),
        ("pwrite", f"{FIRST}.tmp", False),
        ("fsync", f"{FIRST}.tmp", False),
        ("rename", f"{FIRST}.tmp", False),
        ("fsync", "log", True),
    ],
)
def test_a_create_that_fails_at_any_call_leaves_it_whole_or_not_at_all(
    store: LocalStore, calls: Calls, name: str, target: str, is_there: bool, number: int
) -> None:
    before = descriptors(store.path)
    calls.fail(name, target, number)
    with pytest.raises(OSError) as failed:
        store.create(1, HEADER)
    assert failed.value.errno == number
    assert store.segments() == ([1] if is_there else [])
    assert descriptors(store.path) == before
    if is_there:
        assert content(store, FIRST) == HEADER
        assert not isinstance(failed.value, walogs.NoSpace)  # it is there: something has changed
        return
    calls.failing = lambda _: 0
    store.create(1, HEADER)
    assert content(store, FIRST) == HEADER
    assert f"{FIRST}.tmp" not in os.listdir(store.path)


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("number", NO_SPACE)
@pytest.mark.parametrize("name", ["open", "pwrite", "fsync", "rename"])
def test_a_create_without_space_changes_nothing_and_says_so(
    store: LocalStore, calls: Calls, name: str, number: int
) -> None:
    before = sorted(os.listdir(store.path))
    calls.fail(name, f"{FIRST}.tmp", number)
    with pytest.raises(walogs.NoSpace) as refused:
        store.create(1, HEADER)
    assert isinstance(refused.value, OSError)
    assert (refused.value.errno, refused.value.filename) == (number, os.path.join(store.path, f"{FIRST}.tmp"))
    assert sorted(os.listdir(store.path)) == before


def test_a_number_is_created_once(store: LocalStore) -> None:
    store.create(1, HEADER)
    before = os.stat(os.path.join(store.path, FIRST))
    with pytest.raises(walogs.plugins.SegmentExists):
        store.create(1, b"another")
    after = os.stat(os.path.join(store.path, FIRST))
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)
    assert content(store, FIRST) == HEADER


def test_a_dangling_symlink_is_a_segment_that_exists(store: LocalStore, tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", os.path.join(store.path, FIRST))
    with pytest.raises(walogs.plugins.SegmentExists):
        store.create(1, HEADER)
    assert not (tmp_path / "elsewhere").exists()


# Modes


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_only_the_owner_can_read_what_we_make(tmp_path: Path, set_umask: Callable[[int], object], umask: int) -> None:
    set_umask(umask)
    with walogs.open(tmp_path / "new" / "log", max_segment_size=600) as wal:
        for _ in range(3):
            wal.append(b"x" * 100)
        names = os.listdir(tmp_path / "new" / "log")
        assert {"LOCK", "DURABLE", FIRST, "wal-000002.log"} <= set(names)
        for name in names:
            assert stat.S_IMODE(os.stat(tmp_path / "new" / "log" / name).st_mode) == 0o600, name
    for directory in (tmp_path / "new", tmp_path / "new" / "log"):
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize("mode", [0o755, 0o750, 0o1777])
def test_the_mode_of_a_directory_that_was_there_is_left_alone(
    tmp_path: Path, set_umask: Callable[[int], object], mode: int
) -> None:
    set_umask(0)
    path = tmp_path / "log"
    path.mkdir()
    path.chmod(mode)
    with walogs.open(path) as wal:
        wal.append(b"x")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.guarantee("G17")
def test_missing_parents_are_made_and_each_is_synced_into_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    store = LocalStore(tmp_path / "a" / "b" / "log")
    store.acquire()
    store.close()
    steps: list[Call] = []
    for call in calls.made:
        if call.name == "fsync" or (call.name == "mkdir" and call not in steps):  # filelock makes one once more
            steps.append(call)
    assert steps[:7] == [
        Call("mkdir", "a"),
        Call("mkdir", "b"),
        Call("mkdir", "log"),
        Call("fsync", "log"),  # what is listed is durable by name, LOCK too
        Call("fsync", "b"),
        Call("fsync", "a"),
        Call("fsync", tmp_path.name),
    ]
    above = [path.name for path in tmp_path.parents]
    assert [call.target for call in steps[7:]] == above, (
        "and every name above: who made it may have died before syncing"
    )


@pytest.mark.guarantee("G1")
def test_a_directory_that_a_dead_open_made_is_synced_into_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "log").mkdir()
    calls = Calls(monkeypatch)
    store = LocalStore(tmp_path / "made" / "log")
    store.acquire()
    store.close()
    synced = [call.target for call in calls.made if call.name == "fsync"]
    assert synced[:3] == ["log", "made", tmp_path.name]


@pytest.mark.guarantee("G13")
def test_a_store_object_that_is_open_is_not_opened_again(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "log")
    with walogs.open(store=store) as wal:
        wal.append(b"one")
        with pytest.raises(walogs.Locked):
            walogs.open(store=store)
        with pytest.raises(walogs.Locked):
            walogs.open(tmp_path / "log")
        wal.append(b"two")
    with walogs.open(tmp_path / "log") as wal:
        assert list(wal) == [(1, b"one"), (2, b"two")]
