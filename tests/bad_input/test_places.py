"""Things that stand where the log's directory or files should be."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.bad_input.contents import DATA
from tests.kit.logs import LogOnDisk, numbered

# The place


@pytest.mark.guarantee("G17")
def test_missing_parents_are_made_and_nobody_else_can_look_in(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log = LogOnDisk(tmp_path / "a" / "b" / "log").append(b"one")
    finally:
        os.umask(before)
    for directory in (log.path, log.path.parent, log.path.parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {path.name for path in log.path.iterdir()} == {"wal-000001.log", "LOCK", "DURABLE"}
    for path in log.path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    log.goes_on(numbered(1, b"one"))


@pytest.mark.guarantee("G17")
def test_the_mode_of_a_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir(mode=0o755)
    (tmp_path / "log").chmod(0o755)
    LogOnDisk(tmp_path / "log").append(b"one").goes_on(numbered(1, b"one"))
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o755


@pytest.mark.parametrize("content", [b"", b"not a directory"], ids=["empty", "with content"])
def test_a_file_where_the_directory_should_be(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    before = path.stat().st_mtime_ns
    with pytest.raises(NotADirectoryError) as refused:
        walogs.open(path)
    assert str(path) in str(refused.value)
    assert "directory" in "".join(refused.value.__notes__)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, before)


def test_a_file_where_a_parent_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a file")
    with pytest.raises(NotADirectoryError) as refused:
        walogs.open(tmp_path / "file" / "log")
    assert str(tmp_path / "file") in str(refused.value)
    assert (tmp_path / "file").read_bytes() == b"a file"


def test_a_link_to_nowhere_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError) as refused:
        walogs.open(tmp_path / "log")
    assert str(tmp_path / "log") in str(refused.value)
    assert not (tmp_path / "nowhere").exists()


def test_a_log_is_opened_through_a_link_to_its_directory(log: LogOnDisk, tmp_path: Path) -> None:
    """The caller may choose a link to the directory. Links inside it are refused."""
    (tmp_path / "link").symlink_to(log.path)
    LogOnDisk(tmp_path / "link").goes_on(numbered(1, *DATA))


@pytest.mark.guarantee("G17")
def test_files_with_other_names_are_ignored_and_kept(log: LogOnDisk) -> None:
    names = [
        "README",
        "wal-000001.log.bak",
        "wal-000001.log~",
        "wal",
        ".wal-000001.log.swp",
        "wal-7.log.tmp",
        "DURABLE.old",
    ]
    names += ["000001.log", "wal-000001", "lock", "wal-000001.log.tmp.gz"]
    for name in names:
        (log.path / name).write_bytes(b"not ours")
    (log.path / "directory").mkdir()
    (log.path / "pipe").symlink_to("nowhere")
    log.goes_on(numbered(1, *DATA))
    assert [(log.path / name).read_bytes() for name in names] == [b"not ours"] * len(names)
    assert (log.path / "directory").is_dir()


@pytest.mark.guarantee("G17")
def test_what_an_interrupted_creation_left_is_removed_at_open(log: LogOnDisk) -> None:
    for name in ("wal-000002.log.tmp", "wal-000001.log.tmp", "wal-1234567.log.tmp"):
        (log.path / name).write_bytes(b"half a segment")
    log.goes_on(numbered(1, *DATA))
    assert list(log.path.glob("*.tmp")) == []


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize(
    "name",
    [
        "wal-7.log", "wal-0000001.log", "wal-00001.log", "wal-000000.log", "WAL-000001.LOG", "wal-000001.LOG",
        "Wal-000002.log", "wal-00000a.log", "wal--00001.log", "wal-000001 .log", "wal-٠٠٠٠٠١.log", "wal-.log",
    ],
)  # fmt: skip
def test_a_name_that_is_almost_a_segment_is_refused(log: LogOnDisk, name: str) -> None:
    (log.path / name).write_bytes(log.segment(1).read_bytes())
    log.refuses(walogs.UnsafeStore, str(log.path / name), "wal-000001.log", "Rename it", "nothing was changed")
    (log.path / name).unlink()
    log.goes_on(numbered(1, *DATA))


# Links, and things that are no files


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize("name", ["wal-000001.log", "wal-000002.log", "DURABLE"])
def test_a_link_in_the_place_of_a_file_is_not_followed(log: LogOnDisk, tmp_path: Path, name: str) -> None:
    target = tmp_path / "elsewhere"
    path = log.path / name
    if path.exists():
        path.rename(target)
    else:
        shutil.copy(log.segment(1), target)
    path.symlink_to(target)
    content, mtime = target.read_bytes(), target.stat().st_mtime_ns
    for _ in range(2):
        with pytest.raises(OSError) as refused:
            log.open()
        assert name in str(refused.value)
    assert path.is_symlink()
    assert (target.read_bytes(), target.stat().st_mtime_ns) == (content, mtime)


@pytest.mark.guarantee("G17")
def test_a_link_in_the_place_of_the_lock_is_not_followed(log: LogOnDisk, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"precious")
    (log.path / "LOCK").unlink()
    (log.path / "LOCK").symlink_to(target)
    before = log.looks()
    with pytest.raises((OSError, walogs.WalError)) as refused:
        log.open()
    assert "LOCK" in str(refused.value)
    assert target.read_bytes() == b"precious"
    assert log.looks() == before


@pytest.mark.guarantee("G17")
def test_a_link_in_the_place_of_a_left_over_file_is_removed_and_not_followed(log: LogOnDisk, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"precious")
    (log.path / "wal-000002.log.tmp").symlink_to(target)
    with log.open() as wal:
        (log.path / "wal-000002.log.tmp").symlink_to(target)  # again, while the log is open
        wal.rotate()
        wal.append(b"next")
    assert target.read_bytes() == b"precious"
    assert not (log.path / "wal-000002.log.tmp").exists()
    assert log.entries() == numbered(1, *DATA, b"next")


def within(seconds: int, act: Callable[[], Any]) -> Any:
    """Make a call, and fail if it does not return within so many seconds."""

    def alarm(*_: object) -> None:
        raise TimeoutError("it never came back")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(seconds)
    try:
        return act()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.guarantee("G16", "G17")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("wal-000001.log", "directory"), ("wal-000002.log", "directory"), ("DURABLE", "directory"),
        ("LOCK", "directory"), ("wal-000001.log", "pipe"), ("wal-000002.log", "pipe"), ("DURABLE", "pipe"),
    ],
)  # fmt: skip
def test_a_directory_or_a_pipe_in_the_place_of_a_file_is_an_error_that_names_it(
    log: LogOnDisk, name: str, kind: str
) -> None:
    path = log.path / name
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path, 0o600)
    before = log.looks()
    with pytest.raises((OSError, walogs.WalError)) as refused:
        within(2, lambda: log.open().close())
    assert not isinstance(refused.value, TimeoutError), f"waited for a {kind}"
    text = "\n".join([str(refused.value), *getattr(refused.value, "__notes__", [])])
    assert name in text, text
    assert log.looks() == before
