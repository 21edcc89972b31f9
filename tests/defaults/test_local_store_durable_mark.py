"""How a LocalStore keeps the durable mark."""

from __future__ import annotations

import errno

import pytest

from tests.defaults.local_stores import DURABLE_MARK_BYTES, Call, Calls, content, descriptors
from walogs.defaults import durable_mark_file
from walogs.defaults.local_store import LocalStore


@pytest.mark.parametrize("kind", ["ext4", "ext3", "ext2", "tmpfs"])
def test_the_durable_mark_is_mapped_where_that_cannot_fault(
    store: LocalStore, calls: Calls, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(durable_mark_file, "file_system", lambda device: kind)
    store.write_durable_mark(bytes(64), durable=False)
    calls.made.clear()
    store.write_durable_mark(DURABLE_MARK_BYTES, durable=False)
    assert calls.made == []
    assert content(store, "DURABLE") == store.read_durable_mark() == DURABLE_MARK_BYTES


@pytest.mark.parametrize("kind", ["btrfs", "xfs", "overlay", "zfs", "9p", "fuse.sshfs", None])
def test_the_durable_mark_is_written_where_a_mapping_could_fault(
    store: LocalStore, calls: Calls, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    monkeypatch.setattr(durable_mark_file, "file_system", lambda device: kind)
    monkeypatch.setattr(durable_mark_file.mmap, "mmap", None)
    store.write_durable_mark(bytes(64), durable=False)
    calls.made.clear()
    store.write_durable_mark(DURABLE_MARK_BYTES, durable=False)
    assert calls.made == [Call("pwrite", "DURABLE")]
    assert content(store, "DURABLE") == store.read_durable_mark() == DURABLE_MARK_BYTES


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_a_durable_durable_mark_is_synced_with_its_name(
    store: LocalStore, calls: Calls, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(durable_mark_file, "file_system", lambda device: kind)
    store.write_durable_mark(bytes(64), durable=False)
    assert calls.of("fsync") == ["DURABLE", "log"]  # once, for its block and its name
    calls.made.clear()
    store.write_durable_mark(DURABLE_MARK_BYTES, durable=True)
    assert calls.made[-1] == Call("fsync", "DURABLE")


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("name", ["open", "pwrite", "fsync"])
@pytest.mark.parametrize("is_durable", [False, True])
def test_a_durable_mark_that_cannot_be_written_fails_nothing_and_recovers(
    store: LocalStore,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    name: str,
    number: int,
    is_durable: bool,
) -> None:
    monkeypatch.setattr(durable_mark_file, "file_system", lambda device: kind)
    before = descriptors(store.path)
    calls.fail(name, "DURABLE", number)
    store.write_durable_mark(DURABLE_MARK_BYTES, durable=is_durable)
    assert len(descriptors(store.path)) <= len(before) + 1
    calls.failing = lambda _: 0
    store.write_durable_mark(DURABLE_MARK_BYTES, durable=True)
    assert store.read_durable_mark() == DURABLE_MARK_BYTES
    later = DURABLE_MARK_BYTES[::-1]
    store.write_durable_mark(later, durable=False)
    assert store.read_durable_mark() == later


@pytest.mark.guarantee("G18")
def test_an_interrupt_while_the_durable_mark_is_written_is_not_swallowed(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_mark_file, "file_system", lambda device: "btrfs")
    store.write_durable_mark(bytes(64), durable=False)

    def interrupted(*args: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(durable_mark_file.os, "pwrite", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.write_durable_mark(DURABLE_MARK_BYTES, durable=False)


def test_a_dropped_durable_mark_is_gone_durably_and_can_be_written_again(store: LocalStore, calls: Calls) -> None:
    store.write_durable_mark(DURABLE_MARK_BYTES, durable=True)
    calls.made.clear()
    store.drop_durable_mark()
    assert calls.made == [Call("unlink", "DURABLE"), Call("fsync", "log")]
    assert store.read_durable_mark() is None
    store.drop_durable_mark()
    store.write_durable_mark(DURABLE_MARK_BYTES, durable=False)
    assert store.read_durable_mark() == DURABLE_MARK_BYTES


def test_a_durable_mark_that_cannot_be_dropped_says_so(store: LocalStore, calls: Calls) -> None:
    store.write_durable_mark(DURABLE_MARK_BYTES, durable=True)
    calls.fail("fsync", "log", errno.EIO)
    with pytest.raises(OSError):
        store.drop_durable_mark()
