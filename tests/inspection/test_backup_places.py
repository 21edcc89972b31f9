"""`backup` touches only what it has made, also when two run at once, and it ends beside any number of checkpoints."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import walogs
from tests.cli.commands import everything_in
from walogs.defaults import local_store
from walogs.inspection import backup as backup_module
from walogs.inspection import partial as partial_module
from walogs.inspection.partial import MARK
from walogs.testing import MemoryCloud, MemoryImmutableStore


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with walogs.open(tmp_path / "log", max_segment_size=1200) as wal:
        for lsn in range(1, 41):
            wal.append(b"entry %d." % lsn * 4)
    return tmp_path / "log"


def is_whole(copy: Path, last_lsn: int = 40) -> None:
    assert walogs.verify(copy).ok
    with walogs.open(copy) as wal:
        assert wal.last_lsn == last_lsn
        assert list(wal) == [(lsn, b"entry %d." % lsn * 4) for lsn in range(wal.first_lsn, last_lsn + 1)]


def partials(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if MARK in path.name)


# What it does not own


@pytest.mark.guarantee("G1", "G17")
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_a_log_called_as_its_copy_and_partial_is_only_read(tmp_path: Path, log: Path, is_open: bool) -> None:
    source = log.rename(tmp_path / "copy.partial")
    if is_open:
        with walogs.open(source) as wal:
            walogs.backup(source, tmp_path / "copy")
            assert wal.append(b"entry 41." * 4) == 41
        is_whole(source, 41)
    else:
        before = everything_in(source)
        walogs.backup(source, tmp_path / "copy")
        assert everything_in(source) == before
    is_whole(tmp_path / "copy")


@pytest.mark.guarantee("G17")
def test_what_others_keep_beside_the_copy_stays(tmp_path: Path, log: Path) -> None:
    other = tmp_path / "weekly.partial"
    with walogs.open(other) as wal:
        wal.append(b"another log")
    photos = tmp_path / f"weekly{MARK}0123abcd"
    photos.mkdir()
    (photos / "1.jpg").write_bytes(b"a picture")
    before = everything_in(other), everything_in(photos)
    walogs.backup(log, tmp_path / "weekly")
    is_whole(tmp_path / "weekly")
    with pytest.raises(walogs.LogNotFound):
        walogs.backup(tmp_path / "typo", tmp_path / "daily")
    assert (everything_in(other), everything_in(photos)) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "weekly", other.name, photos.name]


@pytest.mark.guarantee("G1")
def test_of_two_backups_to_one_place_one_is_refused_and_what_is_there_is_whole(tmp_path: Path, log: Path) -> None:
    target = tmp_path / "copy"
    steps = len(calls_of(lambda told: walogs.backup(log, tmp_path / "counted", told)))
    for step in (0, steps // 2, steps - 1):
        count = iter(range(1000))

        def overlapped(done: int, total: int, step: int = step, count: Any = count) -> None:
            if next(count) == step:
                walogs.backup(log, target)

        with pytest.raises(FileExistsError, match=r"copy|there meanwhile") as refused:
            walogs.backup(log, target, overlapped)
        assert refused.value.filename == str(target)
        is_whole(target)
        assert partials(tmp_path) == []
        shutil.rmtree(target)


def calls_of(act: Callable[[Callable[[int, int], None]], object]) -> list[tuple[int, int]]:
    calls: list[tuple[int, int]] = []
    act(lambda done, total: calls.append((done, total)))
    return calls


def meanwhile(log: Path, target: Path, act: Callable[[Path], object]) -> None:
    """Make a backup, and call *act* once on its partial directory meanwhile."""
    done: list[Path] = []

    def progress(copied: int, total: int) -> None:
        if not done and copied > 600:
            done.extend(partials(target.parent))
            act(done[0])

    try:
        walogs.backup(log, target, progress)
    finally:
        assert len(done) == 1


@pytest.mark.guarantee("G17")
def test_a_partial_that_is_renamed_or_replaced_is_given_up(tmp_path: Path, log: Path) -> None:
    def replaced(partial: Path) -> None:
        partial.rename(tmp_path / "elsewhere")
        partial.mkdir()
        (partial / "wal-000001.log").write_bytes(b"somebody's")

    with pytest.raises(FileNotFoundError, match="removed or renamed"):
        meanwhile(log, tmp_path / "copy", replaced)
    (left,) = partials(tmp_path)
    assert [path.read_bytes() for path in left.iterdir()] == [b"somebody's"]
    assert not (tmp_path / "copy").exists()


def test_a_partial_that_is_removed_is_told_as_such(tmp_path: Path, log: Path) -> None:
    with pytest.raises(FileNotFoundError, match="removed or renamed"):
        meanwhile(log, tmp_path / "copy", shutil.rmtree)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]


@pytest.mark.parametrize("is_replaced", [False, True], ids=["renamed", "replaced"])
def test_a_copy_that_its_name_does_not_lead_to_is_no_success(tmp_path: Path, log: Path, is_replaced: bool) -> None:
    parent, elsewhere = tmp_path / "backups", tmp_path / "elsewhere"
    parent.mkdir()

    def renamed(_: Path) -> None:
        parent.rename(elsewhere)
        if is_replaced:
            (parent / "copy").mkdir(parents=True)

    with pytest.raises(OSError, match="does not lead to the copy") as raised:
        meanwhile(log, parent / "copy", renamed)
    assert raised.value.filename == str(parent / "copy")
    assert raised.value.__notes__ == [f"The copy is whole, in {elsewhere / 'copy'}. Move it to where it belongs."]
    is_whole(elsewhere / "copy")
    assert not parent.exists() or not any((parent / "copy").iterdir())


def test_a_parent_that_is_renamed_during_the_last_syncs_is_told_too(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "backups").mkdir()

    def renamed(path: str) -> None:
        (tmp_path / "backups").rename(tmp_path / "elsewhere")
        local_store.sync_ancestors(path)

    monkeypatch.setattr(partial_module, "sync_ancestors", renamed)
    with pytest.raises(OSError, match="does not lead to the copy"):
        walogs.backup(log, tmp_path / "backups" / "copy")
    is_whole(tmp_path / "elsewhere" / "copy")


@pytest.mark.guarantee("G17")
def test_a_file_that_somebody_put_into_the_partial_stays(tmp_path: Path, log: Path) -> None:
    def interfered(partial: Path) -> None:
        (partial / "notes.txt").write_text("mine")
        newest = max(partial.glob("wal-*.log"))
        newest.unlink()
        newest.write_text("mine as well")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        meanwhile(log, tmp_path / "copy", interfered)
    (left,) = partials(tmp_path)
    assert sorted(path.read_text() for path in left.iterdir()) == ["mine", "mine as well"]


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_comes_in_the_way_is_not_replaced(tmp_path: Path, log: Path, kind: str) -> None:
    target = tmp_path / "copy"

    def occupied(partial: Path) -> None:
        if kind == "file":
            target.write_text("mine")
        else:
            target.mkdir()
            (target / "mine").write_text("mine")

    with pytest.raises(FileExistsError, match="there meanwhile"):
        meanwhile(log, target, occupied)
    assert (target if kind == "file" else target / "mine").read_text() == "mine"
    assert partials(tmp_path) == []


@pytest.mark.guarantee("G17")
def test_what_a_killed_backup_leaves_says_what_it_is_and_stays(tmp_path: Path, log: Path) -> None:
    program = "import os, sys, walogs; walogs.backup(sys.argv[1], sys.argv[2], lambda done, total: os._exit(9))"
    command = [sys.executable, "-c", program, os.fspath(log), os.fspath(tmp_path / "copy")]
    assert subprocess.run(command, check=False, timeout=300).returncode == 9
    (left,) = partials(tmp_path)
    assert left.name.startswith("copy.partial-")
    assert not (tmp_path / "copy").exists()
    before = everything_in(left)
    walogs.backup(log, tmp_path / "copy")
    is_whole(tmp_path / "copy")
    assert everything_in(left) == before


def test_the_log_itself_is_no_place_for_a_copy(tmp_path: Path, log: Path) -> None:
    (tmp_path / "link").symlink_to(log)
    before = everything_in(log)
    for target in (log, tmp_path / "link", log / "copy", tmp_path / "link" / "deep" / "copy"):
        with pytest.raises(walogs.ConfigError, match=r"itself|inside"):
            walogs.backup(log, target)
    assert everything_in(log) == before


def test_a_link_to_an_empty_directory_is_that_directory(tmp_path: Path, log: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    walogs.backup(log, tmp_path / "link")
    is_whole(tmp_path / "disk")
    assert (tmp_path / "link").is_symlink()


# Durability of the names


@pytest.mark.guarantee("G1")
def test_every_directory_that_was_made_is_synced_and_its_name_too(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[object] = []
    genuine_sync, genuine_rename = local_store.sync_full, os.rename

    def sync(fd: int) -> None:
        events.append(os.fstat(fd).st_ino)
        genuine_sync(fd)

    def rename(*names: Any, **directories: Any) -> None:
        genuine_rename(*names, **directories)
        events.append("renamed")

    stores = ("defaults.local_store", "defaults.posix", "defaults.whole_files")
    for module in (*stores, "inspection.partial"):
        monkeypatch.setattr(f"walogs.{module}.sync_full", sync)
    monkeypatch.setattr(os, "rename", rename)
    copy = tmp_path / "new1" / "new2" / "new3" / "copy"
    walogs.backup(log, copy)
    at = events.index("renamed")
    assert {path.stat().st_ino for path in (copy, *copy.iterdir())} <= set(events[:at])
    made = [copy.parent, copy.parent.parent, copy.parent.parent.parent, tmp_path]
    assert {path.stat().st_ino for path in made} <= set(events[at:])


def test_directories_made_for_a_copy_that_fails_are_removed_and_no_others(tmp_path: Path, log: Path) -> None:
    (tmp_path / "there").mkdir()

    def fails(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for parents in (("new1", "new2"), ("there", "new")):
        with pytest.raises(KeyboardInterrupt):
            walogs.backup(log, tmp_path.joinpath(*parents, "copy"), fails)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_dir()) == ["log", "there"]


# Errors of the system


def failing(*given: object, **_: object) -> Any:
    """A system call that fails, with the name that it was given."""
    raise OSError(errno.EIO, os.strerror(errno.EIO), *(name for name in given[:1] if isinstance(name, str)))


def failing_to_make(name: str, flags: int, *more: Any, **options: Any) -> int:
    return failing(name) if flags & os.O_CREAT else genuine_open(name, flags, *more, **options)


genuine_open = os.open


@contextmanager
def files_limited(size: int) -> Iterator[None]:
    """No file of this process can become larger, as on a full disk."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)


FAILING = {
    "open": lambda: patch.object(os, "open", failing_to_make),
    "mkdir": lambda: patch.object(os, "mkdir", failing),
    "rename": lambda: patch.object(os, "rename", failing),
    "fsync": lambda: patch.object(os, "fsync", failing),
    "write": lambda: files_limited(600),
}


@pytest.mark.parametrize("call", FAILING)
def test_an_error_of_the_system_names_the_target_and_leaves_nothing(call: str, tmp_path: Path, log: Path) -> None:
    target = tmp_path / "copies" / "copy"
    target.parent.mkdir()
    before = everything_in(log)
    with pytest.raises(OSError) as told, FAILING[call]():
        walogs.backup(log, target)
    assert (told.value.errno, told.value.filename) == (errno.EFBIG if call == "write" else errno.EIO, str(target))
    assert list(target.parent.iterdir()) == []
    assert everything_in(log) == before


# Beside checkpoints


def made_segments(wal: walogs.Wal, count: int) -> None:
    for _ in range(count):
        wal.append(b"entry %d." % wal.next_lsn * 4)
        wal.rotate()


def checkpointing(wal: walogs.Wal, removed: int) -> Callable[[int, int], None]:
    """A writer that, for each piece that is copied, appends, and removes that many of the oldest segments."""

    def progress(done: int, total: int) -> None:
        made_segments(wal, removed)
        wal.checkpoint(wal.segments()[removed].first_lsn - 1)

    return progress


@pytest.mark.guarantee("G1", "G11", "G14")
@pytest.mark.parametrize("removed", [1, 2, 5])
def test_a_backup_ends_however_many_segments_are_removed_meanwhile(tmp_path: Path, removed: int) -> None:
    with walogs.open(tmp_path / "log", sync="none") as wal:
        made_segments(wal, 60)
        said: list[tuple[int, int]] = []
        writer = checkpointing(wal, removed)

        def progress(done: int, total: int) -> None:
            said.append((done, total))
            if done < total:
                writer(done, total)

        report = walogs.backup(tmp_path / "log", tmp_path / "copy", progress)
    assert report.first_lsn > 1
    assert report.last_lsn == 60, "it goes on from what it has copied, and never begins anew"
    is_whole(tmp_path / "copy", report.last_lsn)
    assert said[-1] == (report.bytes, report.bytes)
    assert report.bytes == sum(file.stat().st_size for file in (tmp_path / "copy").glob("wal-*"))
    with walogs.open(tmp_path / "copy") as copy:
        assert (copy.first_lsn, copy.last_lsn) == (report.first_lsn, report.last_lsn)
        assert copy.append(b"goes on") == report.last_lsn + 1


@pytest.mark.guarantee("G14")
def test_a_backup_that_loses_everything_each_time_says_so(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        made_segments(wal, 3)

        def everything(done: int, total: int) -> None:
            made_segments(wal, 3)
            wal.checkpoint(wal.last_lsn)

        with pytest.raises(walogs.Unavailable, match=r"5 times. There is no copy. While a backup runs, keep more"):
            walogs.backup(tmp_path / "log", tmp_path / "copy", everything)
        assert [path.name for path in tmp_path.iterdir()] == ["log"]
        assert wal.append(b"goes on")
    walogs.backup(tmp_path / "log", tmp_path / "copy")


@pytest.mark.guarantee("G14")
def test_a_backup_of_immutable_segments_ends_however_many_are_removed_meanwhile(tmp_path: Path) -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for lsn in range(1, 61):
            wal.append(b"entry %d." % lsn * 4)

        def progress(done: int, total: int) -> None:
            wal.append(b"entry %d." % wal.next_lsn * 4)
            wal.checkpoint(wal.first_lsn + 1)

        report = walogs.backup(None, tmp_path / "copy", progress, store=MemoryImmutableStore(cloud))
    assert 1 < report.first_lsn < report.last_lsn
    is_whole(tmp_path / "copy", report.last_lsn)


# Bugs, planted


def test_a_copy_that_keeps_an_old_first_lsn_is_seen_when_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keeps(self: Any, successor: Any) -> None:
        del self, successor

    monkeypatch.setattr(backup_module.Copy, "_take_over_first_lsn", keeps)
    with pytest.raises((AssertionError, walogs.WalError)):
        test_a_backup_ends_however_many_segments_are_removed_meanwhile(tmp_path, 5)
