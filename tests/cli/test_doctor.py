"""`walogs doctor`: what it finds in real directories, and that it leaves them as they were."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.cli.commands import Told, Walogs, made
from tests.config.files import install, written
from walogs.cli.doctor import diagnosis, place
from walogs.defaults.mounts import file_system
from walogs.inspection import lock as lock_module
from walogs.inspection import mount as mount_module
from walogs.testing import MemoryDisk, MemoryStore

LINUX: Final = os.path.exists("/proc/locks") and os.path.isdir("/dev/shm")
needs_linux = pytest.mark.skipif(not LINUX, reason="/proc/locks and /dev/shm are Linux's")


@pytest.fixture(autouse=True)
def few_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "SYNCS_MAX", 3)


def grades(told: Told) -> dict[str, str]:
    return {finding["check"]: finding["grade"] for finding in told.json()["findings"]}


def message(told: Told, check: str) -> str:
    (found,) = (finding["message"] for finding in told.json()["findings"] if finding["check"] == check)
    assert isinstance(found, str)
    return found


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_log_is_left_as_it_was(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "log", b"one")
    before = contents(log)
    told = command("doctor", log, "--json")
    assert contents(log) == before
    assert told.json()["path"] == told.json()["place"]["directory"] == str(log)
    assert told.json()["place"]["probe"]["syncs"] == 3
    assert told.json()["place"]["probe"]["refusal"] is None
    assert grades(told)["writing"] == "good"
    assert len(command("doctor", log).out.splitlines()) == len(grades(told))


def test_a_log_that_is_not_there_yet_is_not_made(tmp_path: Path, command: Walogs) -> None:
    told = command("doctor", tmp_path / "logs" / "orders", "--json")
    assert told.json()["path"] == str(tmp_path / "logs" / "orders")
    assert told.json()["place"]["directory"] == str(tmp_path)
    assert "lock" not in grades(told)
    assert "log" not in grades(told)
    assert list(tmp_path.iterdir()) == []


@needs_linux
def test_the_holder_of_the_lock_is_named_and_not_disturbed(tmp_path: Path, command: Walogs) -> None:
    log = tmp_path / "log"
    with walogs.open(log) as wal:
        told = command("doctor", log, "--json")
        assert grades(told)["lock"] == "held"
        assert f"held by process {os.getpid()} (its last writer signed: {os.getpid()} " in message(told, "lock")
        assert told.json()["ok"] is False
        assert wal.append(b"one") == 1
    told = command("doctor", log, "--json")
    is_mount_known = told.json()["place"]["mount"] is not None  # in a chroot it may not be
    assert grades(told)["lock"] == ("good" if is_mount_known else "note")
    for entries in (2, 3):
        with walogs.open(log) as wal:
            assert wal.append(b"on") == entries


ORPHAN: Final = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(fd, fcntl.LOCK_EX)
child = os.fork()
if child:
    print(child, flush=True)
    os._exit(0)
os.closerange(0, 3)
time.sleep(100)
"""


@pytest.mark.parametrize(("name", "why"), [("wal-1.log", "is almost"), ("wal.log", "is a log of the Rust crate")])
def test_a_directory_in_which_no_log_opens_is_told_with_the_file(
    name: str, why: str, tmp_path: Path, command: Walogs
) -> None:
    log = made(tmp_path / "log", b"one")
    (log / name).write_bytes(b"no segment")
    told = command("doctor", log, "--json")
    assert (told.status, grades(told)["log"]) == (1, "bad")
    assert message(told, "log").startswith(f"{log / name} {why}")


def test_it_says_that_it_has_not_looked_at_the_log_itself(tmp_path: Path, command: Walogs) -> None:
    """A log that does not open may lie in a place that is good in everything."""
    log = made(tmp_path / "log", b"one")
    (log / "wal-000001.log").write_bytes(b"no segment")
    told = command("doctor", log)
    (line,) = (line for line in told.out.decode().splitlines() if line.split()[1] == "log")
    assert line.split(maxsplit=2)[2] == f"not checked here: `walogs verify {log}` checks its entries"
    assert told.out.count(b"walogs ") == 1
    assert command("verify", log).status != 0


@pytest.mark.parametrize("names", [["readme.txt"], ["a.txt", "b.txt", "c.txt", "d.txt"], [".git", "src"]], ids=",".join)
def test_a_directory_of_other_files_is_no_place_for_a_log(names: list[str], tmp_path: Path, command: Walogs) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in names:
        (theirs / name).write_bytes(b"theirs")
    before = contents(theirs)
    told = command("doctor", theirs, "--json")
    assert (told.status, told.json()["ok"], grades(told)["log"]) == (1, False, "bad")
    shown = [name for name in names if not name.startswith(".")]
    assert message(told, "log").startswith("no log is here, and none can be made: the directory holds")
    assert all(name in message(told, "log") for name in shown[:3])
    assert contents(theirs) == before
    with pytest.raises(walogs.ConfigError, match="and no log"):
        walogs.open(theirs)
    (own,) = re.findall("as '(.*)'", message(told, "log"))
    assert "log" not in grades(command("doctor", own, "--json"))
    walogs.open(own).close()  # what it advises


@pytest.mark.parametrize("name", [".gitkeep", "lost+found"])
def test_a_directory_that_is_as_good_as_empty_has_no_log_to_verify(name: str, tmp_path: Path, command: Walogs) -> None:
    (tmp_path / "empty" / name).mkdir(parents=True)
    told = command("doctor", tmp_path / "empty", "--json")
    assert "log" not in grades(told)
    walogs.open(tmp_path / "empty").close()


@needs_linux
def test_a_lock_that_a_child_of_its_writer_has_inherited_is_found(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "log", b"one")
    ran = subprocess.run(
        [sys.executable, "-c", ORPHAN, str(log / "LOCK")], capture_output=True, check=True, timeout=300
    )
    child = int(ran.stdout)
    try:
        told = command("doctor", log, "--json")
        assert told.status == 1
        assert grades(told)["lock"] == "bad", "in a container it is found, too, though the kernel names no holder"
        assert f"process {child} has it open" in message(told, "lock")
        with pytest.raises(walogs.Locked):
            walogs.open(log)
    finally:
        os.kill(child, 9)


def test_what_lies_in_the_place_of_the_lock_is_not_waited_for(tmp_path: Path, command: Walogs) -> None:
    (tmp_path / "log").mkdir()
    os.mkfifo(tmp_path / "log" / "LOCK")
    assert "lock" not in grades(command("doctor", tmp_path / "log", "--json"))


@needs_linux
def test_what_an_interrupted_backup_left_is_told_with_the_way_to_remove_it(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "log", b"one")
    for name in ("copy.partial-0123abcd", "another.partial-0123abcd"):
        (tmp_path / name).mkdir()
    for target in (tmp_path / "copy", log):
        told = command("doctor", target, "--json").json()
        found = [finding for finding in told["findings"] if finding["check"] == "partial copies"]
        if target == log:
            assert not found
            continue
        assert [finding["grade"] for finding in found] == ["note"]
        assert found[0]["message"].startswith(f"{tmp_path / 'copy.partial-0123abcd'}: the beginning of a copy")
        assert "rm -r" in found[0]["message"]


def test_memory_is_no_disk(command: Walogs) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        told = command("doctor", f"{directory}/log", "--json")
        assert told.status == 1
        assert grades(told)["file system"] == "bad"
        assert list(Path(directory).iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), OSError(errno.ENOSPC, "No space left")])
def test_a_sync_that_fails_is_told(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def fails(fd: int) -> None:
        raise error

    monkeypatch.setattr(place, "sync_data", fails)
    told = command("doctor", tmp_path, "--json")
    assert told.status == 1
    assert str(error.strerror) in message(told, "writing")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_told(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**where: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    told = command("doctor", tmp_path, "--json")
    assert (told.status, grades(told)["writing"]) == (1, "bad")
    assert "Permission denied" in message(told, "writing")
    assert "fdatasync" not in grades(told)


def test_without_locks_or_links_it_says_so(tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "link", unsupported)
    assert grades(command("doctor", tmp_path, "--json"))["writing"] == "note"
    monkeypatch.setattr(fcntl, "flock", unsupported)
    told = command("doctor", tmp_path, "--json")
    assert (told.status, grades(told)["writing"]) == (1, "bad")


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, "sync_data", interrupt)
    told = command("doctor", tmp_path)
    assert (told.status, told.out) == (130, b"")
    assert list(tmp_path.iterdir()) == []


def test_where_the_system_shows_nothing_it_says_that(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = made(tmp_path / "log", b"one")
    nowhere = tmp_path / "nowhere"
    for module in (place, lock_module, mount_module):
        monkeypatch.setattr(module, "Path", lambda *parts: nowhere.joinpath(*(str(part).lstrip("/") for part in parts)))
    monkeypatch.setattr(mount_module, "mounts", lambda: iter(()))
    monkeypatch.setattr(diagnosis, "QUICKEST_SECONDS", 0.0)  # the tests' directory may be in memory
    told = command("doctor", log, "--json")
    assert told.status == 0
    notes = {check for check, grade in grades(told).items() if grade == "note"}
    assert notes == {"file system", "disk cache", "lock", "log"}
    assert f"its last writer signed: {os.getpid()} " in message(told, "lock")


def test_a_file_is_no_directory(tmp_path: Path, command: Walogs) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "file", tmp_path / "file" / "log"):
        told = command("doctor", path)
        assert (told.status, told.out) == (1, b"")
        assert told.line.startswith(f"walogs: {tmp_path}/file: Not a directory. A log is a directory: name one")


def test_a_configured_log_is_looked_at_where_its_store_is(
    tmp_path: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, '[log.a]\npath = "deep/log"\n[log.b]\npath = "deep/b.db"\nstore = "kept"\n')

    def kept(path: str) -> MemoryStore:
        return MemoryStore(MemoryDisk(), name=path)

    install(monkeypatch, "store", "kept", kept)
    told = command("doctor", "--config", file, "--log", "a", "--json")
    assert told.json()["path"] == str(tmp_path / "deep" / "log")
    told = command("doctor", "--config", file, "--log", "b", "--json")
    assert told.json()["path"] == str(tmp_path / "deep")
    install(monkeypatch, "store", "kept", lambda path: MemoryStore(MemoryDisk()))
    told = command("doctor", "--config", file, "--log", "b")
    assert told.status == 1
    assert "is no path: there is no file system to check" in told.line


def test_the_kernels_own_words_are_understood() -> None:
    tmpfs = mount_module.Mount(point="/", kind="tmpfs", source="tmpfs", options=(), device="0:0")
    assert mount_module.unescape(r"/mnt/with\040blank\011and\134slash") == "/mnt/with blank\tand\\slash"
    assert place.write_cache(tmpfs) is None
    assert lock_module.holders_on("254:0", 0) == (() if LINUX else None)


@needs_linux
def test_where_the_mount_is_not_known_a_holder_is_found_all_the_same(tmp_path: Path) -> None:
    """As in a chroot, whose root is no mount of its own."""
    with walogs.open(tmp_path / "log"):
        lock = lock_module.lock_of(str(tmp_path / "log"), None)
        assert lock is not None
        if file_system(tmp_path.stat().st_dev) is not None:  # btrfs: a subvolume's files have a device of their own
            assert lock.holders == (os.getpid(),)
        assert lock.openers == (() if lock.holders else (os.getpid(),))
    lock = lock_module.lock_of(str(tmp_path / "log"), None)
    assert lock is not None
    assert lock.holders is None, "that nobody holds it cannot be said"


@needs_linux
def test_a_lock_whose_holder_the_kernel_does_not_name_is_found_by_who_has_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Walogs
) -> None:
    """As in a container, for a lock that was taken by a process which has ended."""
    log = made(tmp_path / "log", b"one")
    monkeypatch.setattr(lock_module, "holders_on", lambda device, inode: ())
    with walogs.open(log):
        told = command("doctor", log, "--json")
    assert grades(told)["lock"] == "bad"
    assert f"process {os.getpid()} has it open" in message(told, "lock")
