"""The shim answers as the real `os` does, and the local store runs on it unchanged, power cuts included."""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.shims.memory_os import ROOT, MemoryOS, run_as
from walogs.defaults.local_store import LocalStore
from walogs.errors import Locked, NoSpace, SegmentExists, SegmentNotFound
from walogs.testing import CHANGES, FAILED_SYNC, SHORT_WRITE, Fault, MemoryDisk, SimulatedCrash

SEGMENT = b"header".ljust(64 * 1024, b"\0")


class Lab:
    """One directory with a file in it, on the real system or on the modelled one."""

    def __init__(self, system: Any, root: str) -> None:
        self.os, self.root = system, root
        self.directory = system.open(root, os.O_RDONLY | os.O_DIRECTORY)
        fd = system.open("x", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self.directory)
        system.pwrite(fd, b"0123456789", 0)
        system.close(fd)

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"


@pytest.fixture(params=["real", "modelled"])
def lab(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Lab]:
    lab = Lab(os, str(tmp_path)) if request.param == "real" else Lab(MemoryOS(MemoryDisk()), ROOT)
    yield lab
    lab.os.close(lab.directory)


REFUSALS: list[tuple[str, Callable[[Lab], object], int]] = [
    ("open absent", lambda lab: lab.os.open(lab.path("y"), os.O_RDONLY), errno.ENOENT),
    ("open absent in directory", lambda lab: lab.os.open("y", os.O_RDWR, dir_fd=lab.directory), errno.ENOENT),
    ("open elsewhere", lambda lab: lab.os.open("/no/such/place", os.O_RDONLY), errno.ENOENT),
    ("create there", lambda lab: lab.os.open(lab.path("x"), os.O_RDWR | os.O_CREAT | os.O_EXCL), errno.EEXIST),
    ("write a directory", lambda lab: lab.os.open(lab.root, os.O_RDWR), errno.EISDIR),
    ("file as directory", lambda lab: lab.os.open(lab.path("x"), os.O_RDONLY | os.O_DIRECTORY), errno.ENOTDIR),
    ("list a file", lambda lab: lab.os.listdir(lab.path("x")), errno.ENOTDIR),
    ("list elsewhere", lambda lab: lab.os.listdir(lab.root + "/y"), errno.ENOENT),
    ("stat absent", lambda lab: lab.os.stat("y", dir_fd=lab.directory, follow_symlinks=False), errno.ENOENT),
    ("unlink absent", lambda lab: lab.os.unlink("y", dir_fd=lab.directory), errno.ENOENT),
    ("rename absent", lambda lab: lab.os.rename(lab.path("y"), lab.path("z")), errno.ENOENT),
    ("make what is there", lambda lab: lab.os.mkdir(lab.root, 0o700), errno.EEXIST),
    ("make twice", lambda lab: [lab.os.mkdir("d", 0o700, dir_fd=lab.directory) for _ in "12"], errno.EEXIST),
    ("make elsewhere", lambda lab: lab.os.mkdir(lab.path("y/d"), 0o700), errno.ENOENT),
    (
        "write what is only read",
        lambda lab: lab.os.pwrite(lab.os.open(lab.path("x"), os.O_RDONLY), b"x", 0),
        errno.EBADF,
    ),
    ("read a directory", lambda lab: lab.os.pread(lab.directory, 1, 0), errno.EISDIR),
    (
        "close twice",
        lambda lab: [lab.os.close(fd) for fd in [lab.os.open(lab.path("x"), os.O_RDONLY)] * 2],
        errno.EBADF,
    ),
]


@pytest.mark.parametrize(("call", "number"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
def test_it_refuses_as_the_real_one_does(lab: Lab, call: Callable[[Lab], object], number: int) -> None:
    with pytest.raises(OSError) as refused:
        call(lab)
    assert refused.value.errno == number


def test_it_answers_as_the_real_one_does(lab: Lab) -> None:
    system = lab.os
    fd = system.open(lab.path("x"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    assert (system.pread(fd, 4, 8), system.pread(fd, 4, 100)) == (b"89", b"")
    assert system.pwrite(fd, memoryview(b"AB"), 11) == 2
    system.fdatasync(fd)
    assert system.pread(fd, 100, 8) == b"89\0AB"
    system.ftruncate(fd, 3)
    system.fsync(fd)
    assert (system.fstat(fd).st_size, stat.S_ISREG(system.fstat(fd).st_mode)) == (3, True)
    system.rename("x", "y", src_dir_fd=lab.directory, dst_dir_fd=lab.directory)
    system.fsync(lab.directory)
    assert (system.listdir(lab.root), system.listdir(lab.directory)) == (["y"], ["y"])
    assert system.stat(lab.path("y"), follow_symlinks=False).st_size == 3
    assert stat.S_ISDIR(system.stat(lab.root).st_mode)
    system.close(system.open(lab.path("y"), os.O_WRONLY | os.O_TRUNC))
    assert system.fstat(fd).st_size == 0
    system.unlink(lab.path("y"))
    assert system.listdir(lab.root) == []
    assert system.pread(fd, 1, 0) == b""
    system.close(fd)
    assert [system.path.exists(path) for path in (lab.root, "/", lab.path("y"))] == [True, True, False]


def test_it_has_directories_as_the_real_one_has(lab: Lab) -> None:
    system = lab.os
    system.mkdir("d", 0o700, dir_fd=lab.directory)
    directory = system.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=lab.directory)
    fd = system.open("z.tmp", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
    system.pwrite(fd, b"in it", 0)
    system.rename("z.tmp", "z", src_dir_fd=directory, dst_dir_fd=directory)
    system.fsync(directory)
    assert (sorted(system.listdir(lab.root)), system.listdir(directory)) == (["d", "x"], ["z"])
    assert system.listdir(lab.path("d")) == ["z"]
    assert system.pread(system.open(lab.path("d/z"), os.O_RDONLY), 9, 0) == b"in it"
    assert stat.S_ISDIR(system.stat("d", dir_fd=lab.directory, follow_symlinks=False).st_mode)
    assert system.path.exists(lab.path("d"))
    system.unlink("z", dir_fd=directory)
    assert system.listdir(directory) == []
    for opened in (fd, directory):
        system.close(opened)


def test_what_is_not_modelled_is_an_error_and_never_reaches_the_machine() -> None:
    with pytest.raises(AttributeError, match="not modelled"):
        MemoryOS(MemoryDisk()).system("true")


def test_descriptors_of_a_dead_process_are_dead() -> None:
    disk = MemoryDisk()
    before = MemoryOS(disk)
    fd = before.open(ROOT, os.O_RDONLY | os.O_DIRECTORY)
    disk.kill()
    for system in (before, MemoryOS(disk)):
        with pytest.raises(SimulatedCrash):
            system.listdir(fd)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[MemoryDisk], LocalStore]:
    """A local store in a new process on the disk."""

    def started(disk: MemoryDisk) -> LocalStore:
        run_as(MemoryOS(disk), monkeypatch.setattr)
        return LocalStore(ROOT)

    return started


Start = Callable[[MemoryDisk], LocalStore]


def acquired(start: Start, disk: MemoryDisk) -> LocalStore:
    store = start(disk)
    store.acquire()
    return store


def test_the_local_store_runs_on_it(start: Start) -> None:
    disk = MemoryDisk()
    store = acquired(start, disk)
    store.create(1, SEGMENT)
    store.extend(1, 128 * 1024)
    store.write(1, 512, b"frame")
    store.sync(1, "data")
    store.write_durable_mark(b"w" * 64, durable=True)
    store.write_durable_mark(b"v" * 64, durable=False)
    assert (store.read(1, 512, 517), store.size(1), store.read_durable_mark()) == (b"frame", 128 * 1024, b"v" * 64)
    with pytest.raises(SegmentExists):
        store.create(1, b"")
    with pytest.raises(SegmentNotFound):
        store.read(2)
    durable_markes = set()
    for seed in range(50):
        twin = disk.clone()
        twin.power_cut(random.Random(seed))
        store = start(twin)
        assert store.read(1) == SEGMENT[:512] + b"frame".ljust(128 * 1024 - 512, b"\0")
        durable_markes.add(store.read_durable_mark())
    assert durable_markes == {b"w" * 64, b"v" * 64}


def test_its_lock_is_freed_by_death_alone(start: Start) -> None:
    disk = MemoryDisk()
    acquired(start, disk)
    with pytest.raises(Locked):
        start(disk).acquire()
    disk.kill()
    acquired(start, disk)


def test_a_crash_at_any_step_of_create_leaves_it_absent_or_whole(start: Start) -> None:
    disk = MemoryDisk()
    store = acquired(start, disk)
    before = disk.schedule.count(CHANGES)
    store.create(1, SEGMENT)
    steps = disk.schedule.count(CHANGES) - before
    left = set()
    for step in range(1, steps + 1):
        for seed in range(50):
            disk = MemoryDisk()
            store = acquired(start, disk)
            disk.arm(step, Fault("crash", only=CHANGES), rng=random.Random(seed))
            with pytest.raises(SimulatedCrash):
                store.create(1, SEGMENT)
            disk.power_cut(random.Random(seed))
            store = start(disk)
            left.add(store.read(1) if store.segments() else None)
    assert left == {None, SEGMENT}


def test_its_short_writes_failed_syncs_and_full_disks_are_modelled(start: Start) -> None:
    disk = MemoryDisk()
    store = acquired(start, disk)
    disk.arm(1, Fault("short", only=SHORT_WRITE.only, times=3), rng=random.Random(0))
    store.create(1, SEGMENT)
    assert store.read(1) == SEGMENT
    disk.room = disk.used
    with pytest.raises(NoSpace):
        store.extend(1, 128 * 1024)
    assert store.read(1) == SEGMENT
    store.write(1, 512, b"A" * 600)
    disk.arm(1, FAILED_SYNC, rng=random.Random(1))
    with pytest.raises(OSError):
        store.sync(1, "data")
    store.sync(1, "data")
    assert disk.durable_prefix("wal-000001.log") < 512 + 600
