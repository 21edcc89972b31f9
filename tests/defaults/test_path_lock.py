"""The lock on a file by its path: one holder, whom the next one is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import walogs
from walogs.plugins import CursorLock, PathLock


def test_it_has_one_holder_and_the_next_is_told_which(tmp_path: Path) -> None:
    path = tmp_path / "mailer.lock"
    first, second = PathLock(str(path), "the mailer is running"), PathLock(str(path), "the mailer is running")
    assert not path.exists(), "nothing is made before the lock is taken"
    first.take()
    with pytest.raises(walogs.Locked, match=f"the mailer is running by process {os.getpid()} on") as told:
        second.take()
    assert told.value.pid == os.getpid()
    second.release()
    with pytest.raises(walogs.Locked):
        second.take()
    first.release()
    first.release()
    second.take()
    second.release()
    assert path.exists(), "the file stays: otherwise two could lock two files of the same name"


def test_a_relative_path_is_that_of_the_directory_it_was_made_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lock: CursorLock = PathLock("mailer.lock", "the mailer is running")
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    lock.take()
    lock.release()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mailer.lock"]


def test_without_a_directory_it_says_which_one_is_missing(tmp_path: Path) -> None:
    lock = PathLock(str(tmp_path / "missing" / "mailer.lock"), "the mailer is running")
    with pytest.raises(FileNotFoundError) as told:
        lock.take()
    assert told.value.filename == str(tmp_path / "missing")
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    lock = PathLock(str(tmp_path / "mailer.lock"), "the mailer is running")
    lock.take()
    other = PathLock(str(tmp_path / "mailer.lock"), "the mailer is running")
    with pytest.raises(walogs.Locked):
        other.take()
    lock.release()
    assert os.listdir("/proc/self/fd") == before
