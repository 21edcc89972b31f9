"""Every store that can be repaired keeps the contracts of `set_aside` and `replace`."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from walogs.defaults import whole_files
from walogs.defaults.local_store import LocalStore
from walogs.protocols import RepairableStore
from walogs.testing import CHANGES, Fault, LawBroken, MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore
from walogs.testing import SimulatedCrash as Crash

OLD: Final = b"h" * 512 + b"old" * 100
NEW: Final = (b"H" * 512, b"", memoryview(b"new" * 40), bytearray(b"!"))
WHOLE: Final = b"".join(bytes(piece) for piece in NEW)
ASIDE: Final = "damaged-000001-20260131T120000Z"


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made: Any = LocalStore(tmp_path) if request.param == "local" else MemoryStore(MemoryDisk())
    made.acquire()
    made.create(1, OLD)
    yield made
    made.close()


def aside(store: Any) -> bytes:
    return Path(store.path, ASIDE).read_bytes() if isinstance(store, LocalStore) else store.disk.cached(ASIDE)


def test_who_can_be_repaired(store: Any) -> None:
    assert isinstance(store, RepairableStore)
    assert isinstance(store, walogs.plugins.RepairableStore)
    assert not isinstance(MemoryImmutableStore(MemoryCloud()), RepairableStore)


def test_what_is_set_aside_stays_whatever_becomes_of_the_segment(store: Any) -> None:
    store.set_aside(1, ASIDE)
    assert aside(store) == OLD
    store.replace(1, NEW)
    assert (aside(store), store.read(1), store.segments()) == (OLD, WHOLE, [1])
    store.remove([1])
    assert (aside(store), store.segments()) == (OLD, [])


def test_a_replaced_segment_can_be_written_to(store: Any) -> None:
    store.write(1, 512, b"before it")
    store.replace(1, NEW)
    store.extend(1, 4096)
    store.write(1, 1000, b"after it")
    store.sync(1, "full")
    assert store.read(1) == (WHOLE.ljust(1000, b"\0") + b"after it").ljust(4096, b"\0")


def test_pieces_may_be_read_from_the_segment_itself(store: Any) -> None:
    store.replace(1, (store.read(1, at, at + 7) for at in range(0, len(OLD), 7)))
    assert store.read(1) == OLD


def test_what_is_refused_changes_nothing(store: Any) -> None:
    store.set_aside(1, ASIDE)
    with pytest.raises(walogs.plugins.SegmentExists):
        store.set_aside(1, ASIDE)
    with pytest.raises(walogs.plugins.SegmentNotFound):
        store.set_aside(2, "damaged-000002-x")
    with pytest.raises(walogs.plugins.SegmentNotFound):
        store.replace(2, NEW)

    def failing() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.EIO, "cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        store.replace(1, failing())
    assert (store.read(1), aside(store), store.segments()) == (OLD, OLD, [1])
    store.replace(1, NEW)  # and what was left behind is in nobody's way
    store.remove([])
    assert store.read(1) == WHOLE


@pytest.mark.parametrize("number", sorted(whole_files.NO_LINKS))
def test_where_there_are_no_links_a_copy_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    store = LocalStore(tmp_path)
    store.acquire()
    store.create(1, OLD)
    monkeypatch.setattr(whole_files.os, "link", refused)
    monkeypatch.setattr(whole_files, "COPY_BYTES", 100)
    store.set_aside(1, ASIDE)
    store.write(1, 0, b"other bytes")
    assert aside(store) == OLD
    assert sorted(os.listdir(tmp_path)) == ["LOCK", ASIDE, "wal-000001.log"]
    assert (tmp_path / ASIDE).stat().st_mode & 0o777 == 0o600
    store.close()


def test_another_refusal_to_link_is_no_reason_to_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store = LocalStore(tmp_path)
    store.acquire()
    store.create(1, OLD)
    monkeypatch.setattr(whole_files.os, "link", refused)
    with pytest.raises(OSError, match="Input/output"):
        store.set_aside(1, ASIDE)
    assert sorted(os.listdir(tmp_path)) == ["LOCK", "wal-000001.log"]
    store.close()


def steps(act: Callable[[MemoryStore], object]) -> int:
    store = on(MemoryDisk())
    before = store.disk.schedule.count(CHANGES)
    act(store)
    return store.disk.schedule.count(CHANGES) - before


def on(disk: MemoryDisk) -> MemoryStore:
    store = MemoryStore(disk)
    store.acquire()
    store.create(1, OLD)
    return store


@pytest.mark.parametrize("seed", range(5))
def test_a_crash_leaves_all_the_old_bytes_or_all_the_new_ones(seed: int) -> None:
    for step in range(1, steps(lambda store: store.replace(1, NEW)) + 2):
        store = on(MemoryDisk())
        store.disk.arm(step, Fault("crash", only=CHANGES), rng=random.Random(seed))
        try:
            store.replace(1, NEW)
            possible = [WHOLE]
        except Crash:
            possible = [OLD, WHOLE]
        store.disk.disarm()
        store.disk.power_cut(random.Random(seed))
        assert MemoryStore(store.disk).read(1) in possible, step


@pytest.mark.parametrize("seed", range(5))
def test_what_was_set_aside_is_durable_also_where_the_segment_was_not(seed: int) -> None:
    store = on(MemoryDisk())
    store.write(1, 512, b"never synced")
    expected = store.read(1)
    store.set_aside(1, ASIDE)
    store.disk.power_cut(random.Random(seed), 0.0)
    assert store.disk.cached(ASIDE) == expected


def test_the_model_refuses_a_copy_under_a_name_of_its_own() -> None:
    for name in ("wal-000009.log", "wal-9.log", "wal-000009.log.tmp", "DURABLE"):
        with pytest.raises(LawBroken):
            on(MemoryDisk()).set_aside(1, name)


def test_without_the_lock_nothing_is_set_aside_or_replaced() -> None:
    disk = on(MemoryDisk()).disk
    for act in (lambda store: store.set_aside(1, ASIDE), lambda store: store.replace(1, NEW)):
        with pytest.raises(LawBroken):
            act(MemoryStore(disk))


def test_a_link_is_a_name_of_the_same_file_durable_with_the_directory() -> None:
    disk = MemoryDisk()
    process = disk.process()
    handle = process.create_exclusive("old")
    handle.write(0, b"x" * 5000)
    handle.sync()
    process.sync_directory()
    used = disk.used
    process.link("old", "new")
    with pytest.raises(FileExistsError):
        process.link("old", "new")
    with pytest.raises(FileNotFoundError):
        process.link("typo", "other")
    assert disk.used == used
    handle.write(0, b"y")
    assert disk.cached("new", 0, 2) == b"yx"
    lost, kept = disk.clone(), disk.clone()
    lost.power_cut(random.Random(1), 0.0)
    assert lost.cached_names() == ["old"]
    kept.process().sync_directory()
    kept.power_cut(random.Random(1), 0.0)
    assert kept.cached_names() == ["new", "old"]
    process.unlink("old")
    assert disk.used == used
    process.unlink("new")
    assert disk.used == 0


# Hard links, and somebody who writes in place


def linked(log: Path, copy: Path) -> dict[str, bytes]:
    """Copy the log as `cp -al` does. Return what the copy holds."""
    copy.mkdir()
    for file in log.iterdir():
        if file.name != "LOCK":
            os.link(file, copy / file.name)
    return held_in(copy)


def held_in(copy: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in copy.iterdir() if file.name != "LOCK"}


@pytest.mark.guarantee("G6", "G17")
@pytest.mark.parametrize("recovery", ["acked", "prefix"])
@pytest.mark.parametrize("damage", ["none", "torn", "corrupt"])
def test_a_copy_by_hard_links_stays_as_it_was(tmp_path: Path, damage: str, recovery: Any) -> None:
    log = tmp_path / "log"
    with walogs.open(log, max_segment_size=2000) as wal:
        for lsn in range(1, 31):
            wal.append(b"entry %d." % lsn * 4)
    newest = max(log.glob("wal-*.log"))
    content = newest.read_bytes()
    if damage == "torn":
        newest.write_bytes(content.rstrip(b"\0").ljust(len(content.rstrip(b"\0")) + 16, b"\0") + b"unfinished")
    elif damage == "corrupt":
        newest.write_bytes(content.replace(b"entry 30.entry", b"entry 30,entry"))
    before = linked(log, tmp_path / "copy")
    try:
        with walogs.open(log, recovery=recovery, max_segment_size=2000) as wal:
            for _ in range(30):
                wal.append(b"after the copy was made")
            wal.checkpoint(10)
        assert damage != "corrupt" or recovery == "prefix"
    except walogs.Corrupt:
        assert (damage, recovery) == ("corrupt", "acked")
    assert held_in(tmp_path / "copy") == before
    assert all(file.stat().st_nlink == 1 for file in (newest, log / "DURABLE") if file.exists() and damage != "corrupt")


@pytest.mark.guarantee("G6")
def test_what_a_killed_repair_has_set_aside_survives_a_cut(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        for lsn in range(1, 21):
            wal.append(b"order %d " % lsn * 10)
    segment = tmp_path / "wal-000001.log"
    damaged = segment.read_bytes().replace(b"order 10 order", b"order 10 Order", 1)
    segment.write_bytes(damaged)

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStore, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            walogs.repair(tmp_path)
    (copy,) = tmp_path.glob("damaged-*")
    with walogs.open(tmp_path, recovery="prefix") as wal:
        assert wal.last_lsn == 9
        wal.append(b"new")
    assert copy.read_bytes() == damaged


@pytest.mark.guarantee("G9")
def test_where_there_is_no_room_for_a_copy_nothing_is_written_in_place() -> None:
    store = on(MemoryDisk())
    store.set_aside(1, ASIDE)
    store.disk.room = store.disk.used
    for act in (lambda: store.write(1, 0, b"other"), lambda: store.zero_from(1, 512), lambda: store.extend(1, 4096)):
        with pytest.raises(walogs.NoSpace):
            act()
    assert (store.read(1), aside(store)) == (OLD, OLD)
    store.disk.room = None
    store.zero_from(1, 512)
    assert aside(store) == OLD
    assert store.read(1) != OLD
