"""How a LocalStore grows, cuts, reads and writes segments."""

from __future__ import annotations

import array
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.defaults.local_stores import FIRST, HEADER, NO_SPACE, Call, Calls, content
from walogs.defaults import local_store
from walogs.defaults.local_store import LocalStore

# Growing, cutting, trimming


@pytest.mark.guarantee("G9")
def test_an_extension_is_zeros_synced_before_it_returns(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER)
    calls.made.clear()
    store.extend(1, 3 << 20)
    assert content(store, FIRST) == HEADER + bytes((3 << 20) - 512)
    assert calls.made[-1] == Call("fdatasync", FIRST)
    assert os.stat(os.path.join(store.path, FIRST)).st_blocks * 512 >= 3 << 20  # written, not a hole


def test_a_segment_never_shrinks_by_being_extended(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER)
    calls.made.clear()
    store.extend(1, 512)
    store.extend(1, 100)
    assert content(store, FIRST) == HEADER
    assert calls.made == []


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("number", NO_SPACE)
@pytest.mark.parametrize("room", [0, 1, 511, 4096, (1 << 20) - 1, (1 << 20) + 7])
def test_an_extension_without_space_leaves_the_size_as_it_was(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, room: int, number: int
) -> None:
    store.create(1, HEADER)
    left = room
    real = os.pwrite

    def short_then_refused(fd: int, data: bytes, offset: int) -> int:
        nonlocal left
        if not left:
            raise OSError(number, os.strerror(number))
        written = real(fd, memoryview(data)[:left], offset)
        left -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(local_store.os, "pwrite", short_then_refused)
        with pytest.raises(walogs.NoSpace) as refused:
            store.extend(1, 3 << 20)
    assert refused.value.errno == number
    assert store.size(1) == 512
    store.extend(1, 4096)
    assert content(store, FIRST) == HEADER + bytes(4096 - 512)


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("name", ["pwrite", "fdatasync"])
def test_an_extension_that_fails_otherwise_or_in_its_sync_is_not_taken_for_want_of_space(
    store: LocalStore, calls: Calls, name: str, number: int
) -> None:
    store.create(1, HEADER)
    calls.fail(name, FIRST, number)
    with pytest.raises(OSError) as failed:
        store.extend(1, 4096)
    assert isinstance(failed.value, walogs.NoSpace) == (name == "pwrite" and number == errno.ENOSPC)
    assert calls.of("fdatasync").count(FIRST) <= 1  # never tried again


@pytest.mark.guarantee("G3")
def test_a_cut_writes_zeros_to_the_very_end_and_keeps_the_size(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(1, HEADER + b"x" * 1000 + bytes(9000))
    written = bytearray(10_512)
    real = os.pwrite

    def noting(fd: int, data: bytes, offset: int) -> int:
        count = real(fd, data, offset)
        assert not any(bytes(data[:count]))
        written[offset : offset + count] = b"\1" * count
        return count

    with monkeypatch.context() as patch:
        patch.setattr(local_store.os, "pwrite", noting)
        store.zero_from(1, 700)
    assert bytes(written) == bytes(700) + b"\1" * (10_512 - 700)  # also where it read as zero: the cache may lie
    assert content(store, FIRST) == HEADER + b"x" * 188 + bytes(10_512 - 700)


def test_a_cut_at_the_end_changes_nothing(store: LocalStore) -> None:
    store.create(1, HEADER)
    store.zero_from(1, 512)
    store.zero_from(1, 600)
    assert content(store, FIRST) == HEADER


def test_a_trim_is_durable_with_its_size(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER + bytes(4096))
    calls.made.clear()
    store.trim(1, 600)
    assert store.size(1) == 600
    assert calls.made == [Call("ftruncate", FIRST), Call("fsync", FIRST)]  # fdatasync need not write a smaller size


@pytest.mark.parametrize(("kind", "name"), [("data", "fdatasync"), ("full", "fsync")])
def test_a_sync_is_the_one_asked_for(store: LocalStore, calls: Calls, kind: str, name: str) -> None:
    store.create(1, HEADER)
    calls.made.clear()
    store.sync(1, kind)  # type: ignore[arg-type]
    assert calls.made == [Call(name, FIRST)]


@pytest.mark.guarantee("G7")
def test_a_failed_sync_is_not_tried_again(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER + bytes(512))
    store.write(1, 512, b"x")
    calls.made.clear()
    calls.fail("fdatasync", FIRST, errno.EIO)
    with pytest.raises(OSError):
        store.sync(1, "data")
    assert calls.made == [Call("fdatasync", FIRST)]


# Short writes, short reads


def one_byte(count: int) -> int:
    return 1


def half(count: int) -> int:
    return max(1, count // 2)


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize("share", [one_byte, half])
def test_a_short_write_is_gone_on_with_wherever_it_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: Callable[[int], int]
) -> None:
    real, count = os.pwrite, 0

    def short(fd: int, data: bytes, offset: int) -> int:
        nonlocal count
        count += 1
        return real(fd, memoryview(data).cast("B")[: share(memoryview(data).nbytes)], offset)

    monkeypatch.setattr(local_store.os, "pwrite", short)
    entries = [b"first", b"", b"x" * 300, b"y" * 3000, bytes(100)]
    path = tmp_path / "log"
    with walogs.open(path, max_segment_size=700) as wal:
        for entry in entries:
            wal.append(entry)
        wal.append_batch([b"a", b"b" * 50, b""])
        wal.checkpoint(1)
    with walogs.open(path) as wal:
        assert [data for _, data in wal][-7:] == [*entries[1:], b"a", b"b" * 50, b""]
        assert wal.append(b"next") == 9
    with walogs.open(path) as wal:
        assert wal.read(9) == b"next"
        assert wal.tail_state == walogs.Clean()
    assert count > 100


@pytest.mark.parametrize("share", [one_byte, half])
def test_a_short_write_of_wide_items_goes_on_at_the_right_byte(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, share: Callable[[int], int]
) -> None:
    store.create(1, bytes(4096))
    real = os.pwrite
    monkeypatch.setattr(
        local_store.os,
        "pwrite",
        lambda fd, data, offset: real(fd, memoryview(data).cast("B")[: share(memoryview(data).nbytes)], offset),
    )
    data = array.array("Q", range(1, 65))
    store.write(1, 100, data)
    assert content(store, FIRST) == bytes(100) + data.tobytes() + bytes(4096 - 100 - 512)


@pytest.mark.parametrize("share", [one_byte, half])
def test_a_short_read_is_gone_on_with(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, share: Callable[[int], int]
) -> None:
    data = os.urandom(777)
    store.create(1, data)
    real = os.pread
    monkeypatch.setattr(local_store.os, "pread", lambda fd, count, offset: real(fd, share(count), offset))
    assert store.read(1) == data
    assert store.read(1, 10, 700) == data[10:700]
    assert store.read(1, 700, 10_000) == data[700:]
    assert store.read(1, 777) == b""
    assert store.read(1, 5000, 6000) == b""


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("there", [0, 1, 600])
def test_a_file_that_ends_before_its_size_is_an_error_and_never_the_end_of_the_log(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    store.create(1, os.urandom(777))
    real = os.pread
    monkeypatch.setattr(
        local_store.os, "pread", lambda fd, count, offset: real(fd, max(0, min(count, there - offset)), offset)
    )
    with pytest.raises(OSError) as failed:
        store.read(1)
    assert failed.value.errno == errno.EIO


def test_a_read_returns_exactly_the_bytes_asked_for(store: LocalStore) -> None:
    data = os.urandom(600)
    store.create(1, data)
    for start in (0, 1, 511, 599, 600, 601):
        for end in (None, 0, 1, 512, 600, 601):
            assert store.read(1, start, end) == data[start:end]
