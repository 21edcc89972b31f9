"""A log has at most one live writer among all handles, threads and processes. A dead writer holds no lock."""

from __future__ import annotations

import errno
import gc
import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.system.children import Child, program, run, said
from tests.system.ledger import Ledger
from walogs.defaults.crc32_codec import Crc32Codec

SINCE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def refused(path: Path) -> walogs.Locked:
    """Return the error that a second writer gets."""
    with pytest.raises(walogs.Locked) as error:
        walogs.open(path)
    return error.value


@pytest.mark.guarantee("G13")
def test_a_second_handle_of_the_same_process_is_refused_and_told_who_holds_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append(b"first")
        error = refused(path)
        assert error.pid == os.getpid()
        assert error.host == socket.gethostname().replace(" ", "_")
        assert error.since is not None
        assert SINCE.fullmatch(error.since)
        for fact in (str(path), str(error.pid), error.host, error.since):
            assert fact in str(error)
        assert wal.append(b"second") == 2  # the refused one has broken nothing
        refused(path)
    with walogs.open(path) as wal:
        assert [data for _, data in wal] == [b"first", b"second"]


@pytest.mark.guarantee("G13")
def test_a_second_handle_of_another_thread_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    seen: list[object] = []
    with walogs.open(path) as wal:
        thread = threading.Thread(target=lambda: seen.append(refused(path)))
        thread.start()
        thread.join()
        assert wal.append(b"x") == 1
    assert len(seen) == 1

    def opening() -> None:
        with walogs.open(path) as other:
            seen.append(other.append(b"y"))

    thread = threading.Thread(target=opening)  # and once it is free, whichever thread freed it
    thread.start()
    thread.join()
    assert seen[1] == 2


@pytest.mark.guarantee("G13")
def test_the_name_by_which_a_log_is_opened_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    (tmp_path / "alias").symlink_to(path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    with walogs.open(path):
        for alias in (Path("log"), tmp_path / "alias", tmp_path / "log" / ".." / "log", Path("./log/")):
            refused(alias)


@pytest.mark.guarantee("G13")
def test_another_process_is_refused_and_told_who_holds_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        ran = run(program("holder", path))
        pid, host, since = ran.stdout.split()[1:]
        assert ran.stdout.startswith("locked"), said(ran)
        assert int(pid) == os.getpid()
        assert host == socket.gethostname().replace(" ", "_")
        assert SINCE.fullmatch(since)
        assert wal.append(b"x") == 1
    with Child(program("holder", path)) as child:
        child.wait_for("open")
        error = refused(path)
        assert error.pid == child.process.pid
        child.tell("")
        assert child.wait() == 0
    with walogs.open(path) as wal:
        assert wal.append(b"y") == 2


@pytest.mark.guarantee("G13")
def test_a_writer_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    path, ledger = tmp_path / "log", Ledger()
    with Child(program("holder", path)) as child:
        child.wait_for("open")
        child.tell("1")
        child.wait_for("ack")
        assert refused(path).pid == child.process.pid
        child.kill()
        ledger.read(child.lines())
    assert len(ledger.acknowledged) == 1
    ledger.check_log(path)


@pytest.mark.guarantee("G13")
def test_of_many_that_open_at_once_one_writes(tmp_path: Path) -> None:
    path, count = tmp_path / "log", 4
    children = [Child(program("holder", path, "--go")) for _ in range(count)]
    try:
        for child in children:
            child.wait_for("ready")
        for child in children:
            child.tell("go")
        first = [child for child in children if not child.wait_for(("open", "locked")).startswith("locked")]
        assert len(first) == 1, [child.lines() for child in children]
        assert refused(path).pid == first[0].process.pid
        first[0].tell("1")
        assert first[0].wait_for("ack") == "ack 1 1 0"
        first[0].tell("")
        assert first[0].wait() == 0
    finally:
        for child in children:
            child.__exit__(None, None, None)
    with walogs.open(path) as wal:
        assert wal.append(b"next") == 2


@pytest.mark.guarantee("G13")
@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\n\n\n",
        b"nonsense",
        b"12 host",
        b"12 host since more",
        b"-3 host since",
        b"1.5 host since",
        b"\xc2\xb2 host since",
        b"\xff\xfe\x00\x01" * 100,
        b"9" * 600,
        b"9" * 500 + b" h s",
        b"x" * (1 << 20),
        bytes(4096),
        "٣ host since".encode(),
    ],
)
def test_what_the_lock_file_says_is_for_people_only(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append(b"x")
        (path / "LOCK").write_bytes(garbage)
        error = refused(path)
        assert str(path) in str(error)
        assert len(str(error)) < 2000
    with walogs.open(path) as wal:
        assert wal.append(b"y") == 2
        assert refused(path).pid == os.getpid()


@pytest.mark.guarantee("G13")
def test_a_lock_file_that_names_a_live_process_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.mkdir()
    (path / "LOCK").write_text(f"{os.getppid()} {socket.gethostname()} 2026-01-01T00:00:00Z\n")
    with walogs.open(path) as wal:
        assert wal.append(b"x") == 1


@pytest.mark.guarantee("G13")
def test_the_lock_file_is_never_removed_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with walogs.open(path, max_segment_size=600) as wal:
        made = os.stat(path / "LOCK").st_ino
        for _ in range(3):
            wal.append(b"x" * 100)
        wal.checkpoint(2)
    for _ in range(3):
        with walogs.open(path):
            refused(path)
        assert os.stat(path / "LOCK").st_ino == made
    with Child(program("holder", path)) as child:
        child.wait_for("open")
        child.kill()
    assert os.stat(path / "LOCK").st_ino == made
    with walogs.open(path):
        assert os.stat(path / "LOCK").st_ino == made


@pytest.mark.guarantee("G13")
def test_opening_and_closing_the_lock_file_elsewhere_does_not_free_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        for mode in ("rb", "r+b"):
            with open(path / "LOCK", mode):
                pass  # a POSIX record lock would be gone now
        ran = run(program("holder", path))
        assert ran.stdout.startswith("locked"), said(ran)
        refused(path)
        assert wal.append(b"x") == 1


@pytest.mark.guarantee("G13")
def test_a_directory_where_the_lock_should_be_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log"
    (path / "LOCK").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        walogs.open(path)
    assert os.listdir(path) == ["LOCK"]


def interrupted_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("walogs.assembly.opening.open_appendable", interrupt)
        with pytest.raises(KeyboardInterrupt):
            walogs.open(path)


def unreadable_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("walogs.defaults.local_store.os.pread", failing)
        with pytest.raises(OSError):
            walogs.open(path)


def refused_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(walogs.UnsupportedFormat):
        walogs.open(path, codec=Renamed())


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt


def failing(*args: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


class Renamed(Crc32Codec):
    """A codec other than the one that this log was written with."""

    name = "renamed"


@pytest.mark.guarantee("G13")
@pytest.mark.parametrize("attempt", [interrupted_open, unreadable_open, refused_open])
def test_an_open_that_fails_frees_the_lock_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append(b"x")
    gc.disable()
    try:
        attempt(path, monkeypatch)
        with walogs.open(path) as wal:
            assert wal.append(b"y") == 2
    finally:
        gc.enable()


@pytest.mark.guarantee("G13")
def test_a_handle_that_was_only_dropped_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "log"
    handles = [walogs.open(path)]
    handles[0].append(b"x")

    def drop() -> None:
        handles.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match="not closed"):
        drop()
    with walogs.open(path) as wal:
        assert list(wal) == [(1, b"x")]
        assert wal.append(b"y") == 2
