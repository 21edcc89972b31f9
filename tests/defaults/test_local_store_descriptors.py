"""What a LocalStore opens, it closes."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from pathlib import Path

import pytest

import walogs
from tests.defaults.local_stores import FIRST, HEADER, Calls, descriptors
from walogs.defaults.local_store import LocalStore

# Descriptors


@pytest.mark.guarantee("G17")
def test_no_descriptor_leaks_over_rotations_checkpoints_and_readings(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    before = len(os.listdir("/proc/self/fd"))
    with walogs.open(path, max_segment_size=600) as wal:
        counts = set()
        for n in range(100):
            wal.append(b"x" * 100)
            wal.rotate()
            wal.checkpoint(n)
            assert wal.read(n + 1) == b"x" * 100
            counts.add(len(os.listdir("/proc/self/fd")) - before)
        assert max(counts) - min(counts) <= 1, counts
        assert max(counts) <= 6, "directory, lock, durable mark, and at most two segments"
    assert len(os.listdir("/proc/self/fd")) == before
    assert descriptors(path) == []


def test_no_descriptor_leaks_where_no_segment_can_be_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(self: LocalStore, number: int, size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(LocalStore, "trim", refusing)
    path = str(tmp_path / "log")
    with walogs.open(path, max_segment_size=600) as wal:
        for _ in range(20):
            wal.append(b"x" * 100)
            wal.rotate()
        assert len(descriptors(path)) <= 6
    assert descriptors(path) == []


def test_every_descriptor_closes_on_exec_and_none_appends(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with walogs.open(path, max_segment_size=600) as wal:
        for _ in range(3):
            wal.append(b"x" * 100)
        held = descriptors(path)
        assert len(held) >= 4
        for fd in held:
            name = os.readlink(f"/proc/self/fd/{fd}")
            assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC, name
            assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND, name  # pwrite would ignore its offset


@pytest.mark.guarantee("G7")
def test_the_descriptor_a_segment_is_made_with_is_the_one_written_and_synced(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER)  # another descriptor would be told of a write-back error that happened before it was opened
    store.extend(1, 8192)
    store.write(1, 512, b"x" * 100)
    store.sync(1, "data")
    store.create(2, HEADER)
    store.write(1, 612, b"seal")
    store.sync(1, "data")
    store.trim(1, 700)
    store.write(2, 0, b"y")
    store.sync(2, "full")
    assert calls.of("open") == [f"{FIRST}.tmp", "wal-000002.log.tmp"]


def test_an_open_that_is_refused_leaves_no_descriptor(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with walogs.open(path) as wal:
        wal.append(b"x")
        before = descriptors(path)
        for _ in range(5):
            with pytest.raises(walogs.Locked):
                walogs.open(path)
        assert descriptors(path) == before
    data = bytearray((tmp_path / "log" / FIRST).read_bytes())
    data[530] ^= 1
    (tmp_path / "log" / FIRST).write_bytes(data)
    for _ in range(5):
        with pytest.raises(walogs.Corrupt):
            walogs.open(path)
    assert descriptors(path) == []


def test_the_store_closes_twice_and_unacquired_without_complaint(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "log")
    store.close()
    store.acquire()
    store.close()
    store.close()
    assert descriptors(store.path) == []


# Making certain of the log as a whole


@pytest.mark.guarantee("G13")
def test_a_log_whose_cut_end_cannot_be_reported_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append(b"kept")
    with open(path / FIRST, "r+b") as file:
        file.seek(600)
        file.write(b"torn")

    def complaining(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the log handler is broken")

    with monkeypatch.context() as patch:
        patch.setattr(logging.getLogger("walogs"), "warning", complaining)
        with pytest.raises(RuntimeError):  # held by `raises`, as a debugger or an except clause would hold it
            walogs.open(path)
        assert descriptors(str(path)) == []
        with walogs.open(path) as wal:
            assert list(wal) == [(1, b"kept")]


@pytest.mark.guarantee("G14")
def test_a_segment_that_its_writer_trims_under_a_read_is_as_short_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    (tmp_path / FIRST).write_bytes(bytes(5000))
    honest = os.fstat

    def then_trimmed(fd: int) -> os.stat_result:
        status = honest(fd)
        os.truncate(tmp_path / FIRST, 700)
        return status

    monkeypatch.setattr(os, "fstat", then_trimmed)
    assert store.read(1, 512, 5000) == bytes(188)
    assert store.read(1, 700, 5000) == b""
