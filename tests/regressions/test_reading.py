"""Reads are short or fail, bytes are damaged, many readers read. All entries returned are right (G1, G6)."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.regressions.logs import (
    FIRST,
    MakeStore,
    contents,
    failures,
    files,
    frame_bytes,
    look_twice,
    look_twice_at,
    process,
    segment_files,
    segment_names,
)
from walogs.defaults.local_store import LocalStore
from walogs.engine import extent_reader
from walogs.engine.appendable import AppendableWriter
from walogs.engine.extent_reader import Extent, ExtentReader, IntactFrames
from walogs.engine.snapshot import Snapshot
from walogs.testing import Fault, MemoryDisk, MemoryStore

ENTRIES = [b"entry %02d " % k * (1 + 7 * k) for k in range(20)]
FAILED_READ = Fault(errno.EIO, only={"read"})


def write_entries(wal: walogs.Wal) -> None:
    for entry in ENTRIES[:12]:
        wal.append(entry)
    wal.append_batch(ENTRIES[12:])


# LevelDB #1285


def read_short(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other read of the system's comes back half done."""
    with walogs.open(path, max_segment_size=3000) as wal:
        write_entries(wal)
    before, pread, calls = segment_files(path), os.pread, 0

    def short(fd: int, size: int, offset: int) -> bytes:
        nonlocal calls
        calls += 1
        return pread(fd, size // 2 if calls % 2 and size > 64 else size, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", short)
        for verify in ("full", "last"):
            with walogs.open(path, max_segment_size=3000, verify=verify) as wal:
                assert wal.tail_state == walogs.Clean(), "a short read was taken for the end"
                assert contents(wal) == ENTRIES
                assert [wal.read(lsn) for lsn in range(1, 21)] == ENTRIES
    assert calls > 20
    assert {name: data for name, (data, _) in segment_files(path).items()} == {
        name: data for name, (data, _) in before.items()
    }
    look_twice_at(path, ENTRIES)


@pytest.mark.guarantee("G1", "G6")
def test_a_short_read_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_short(tmp_path, monkeypatch)


def test_a_short_read_taken_for_the_end_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalStore, "_read_on", lambda self, fd, data, start, wanted: data)
    with pytest.raises((AssertionError, walogs.Corrupt)):
        read_short(tmp_path, monkeypatch)


@pytest.mark.guarantee("G6")
def test_fewer_bytes_than_the_file_has_are_an_error_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with walogs.open(tmp_path) as wal:
        write_entries(wal)
    before, pread = segment_files(tmp_path), os.pread
    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, max(0, 900 - at)), at))
        with pytest.raises(OSError, match="fewer bytes than the file has"):
            walogs.open(tmp_path).close()
    assert segment_files(tmp_path) == before
    look_twice_at(tmp_path, ENTRIES)


class Impatient(MemoryStore):
    """Nobody has to read so often."""

    reads = 0

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        self.reads += 1
        assert self.reads < 500, "the same bytes are asked for again and again"
        return super().read(number, start, end)


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize("is_active", [False, True])
@pytest.mark.parametrize("left", [0, 30, 100, 530])
def test_a_segment_cut_short_under_an_open_handle_is_corrupt(is_active: bool, left: int) -> None:
    """*left* bytes of the third frame are still there."""
    disk = MemoryDisk()
    with process(disk, Impatient, max_segment_size=None) as wal:
        for _ in range(5):
            wal.append(b"x" * 500)
        if not is_active:
            wal.rotate()
        thief = disk.process()
        thief.open(FIRST).truncate(512 + 2 * frame_bytes(500) + left)
        entries = iter(wal)
        with pytest.raises(walogs.Corrupt):
            list(entries)


# RocksDB #6288 and #6963


class ErrorsAreZeros(MemoryStore):
    """What cannot be read is taken for damage."""

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        try:
            return super().read(number, start, end)
        except OSError:
            size = min(self.size(number), self.size(number) if end is None else end) - start
            return self.peek(number, start, start + size)[: size // 2].ljust(size, b"\0")


def fail_each_read(make: MakeStore) -> None:
    disk = MemoryDisk()
    with process(disk, make, sync="none", max_segment_size=3000) as wal:
        write_entries(wal)
    before = {name: disk.cached(name) for name in segment_names(disk)}

    def reopen(disk: MemoryDisk) -> None:
        with process(disk, make, max_segment_size=3000):
            pass

    for step, left, raised in failures(disk, reopen, FAILED_READ):
        assert isinstance(raised, OSError), f"read {step} failed, and open said {raised!r}"
        after = {name: left.cached(name) for name in segment_names(left)}
        assert after == before, f"read {step} failed, and bytes were changed"
        look_twice(left, ENTRIES, make=make)


@pytest.mark.guarantee("G6")
def test_a_read_that_fails_is_never_taken_for_damage() -> None:
    fail_each_read(MemoryStore)


def test_a_failed_read_taken_for_damage_is_seen_when_planted() -> None:
    with pytest.raises(AssertionError, match="failed, and"):
        fail_each_read(ErrorsAreZeros)


@pytest.mark.guarantee("G6")
def test_a_read_that_fails_while_iterating_is_the_systems_error() -> None:
    disk = MemoryDisk()
    with process(disk, max_segment_size=3000) as wal:
        write_entries(wal)
        assert contents(wal) == ENTRIES
        reads = disk.schedule.counts["read"]
        assert contents(wal) == ENTRIES
        for step in range(1, disk.schedule.counts["read"] - reads + 1):
            disk.arm(step, FAILED_READ, rng=random.Random(0))
            with pytest.raises(OSError, match="Input/output"):
                list(wal)
            assert contents(wal) == ENTRIES


# RocksDB #14709, Pebble #3865


@pytest.mark.guarantee("G6")
def test_a_reading_that_was_given_up_leaves_nothing_behind() -> None:
    """Damage in a sealed segment: what is before it, and in other segments, is read right, in any order."""
    disk = MemoryDisk()
    with process(disk, max_segment_size=None) as wal:
        for _ in range(2):
            for entry in ENTRIES:
                wal.append(entry)
            wal.rotate()
        disk.damage(FIRST, 512 + sum(frame_bytes(len(entry)) for entry in ENTRIES[:7]) + 45, b"\xff")
        given_up = wal.iter()
        next(given_up)
        rng = random.Random(7)
        for _ in range(200):
            lsn = rng.randrange(1, 41)
            if 8 <= lsn <= 20:
                with pytest.raises(walogs.Corrupt) as refused:
                    wal.read(lsn)
                assert refused.value.lsn == 8
            else:
                assert wal.read(lsn) == ENTRIES[(lsn - 1) % 20]
        assert [data for _, data in wal.iter(21)] == ENTRIES
        with pytest.raises(walogs.Corrupt):
            list(given_up)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("is_sealed", [False, True])
def test_an_iteration_that_stops_before_the_damage_does_not_meet_it(is_sealed: bool) -> None:
    disk = MemoryDisk()
    with process(disk, max_segment_size=None) as wal:
        for entry in ENTRIES:
            wal.append(entry)
        if is_sealed:
            wal.rotate()
        disk.damage(FIRST, 512 + sum(frame_bytes(len(entry)) for entry in ENTRIES[:7]) + 45, b"\xff")
        assert [wal.read(lsn) for lsn in range(1, 8)] == ENTRIES[:7]
        assert [data for _, data in wal.iter(1, 8)] == ENTRIES[:7]


# raft-wal #17, tidwall #34


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize("kept", [1, 16])
def test_many_readers_and_room_for_one_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(extent_reader, "SEAL_KEPT", kept)
    wrong: list[str] = []
    with walogs.open(tmp_path, max_segment_size=4000) as wal:
        for k in range(120):
            wal.append(b"%d " % k * 50)

        def read_some(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(120):
                lsn = rng.randrange(1, 121)
                if wal.read(lsn) != b"%d " % (lsn - 1) * 50:
                    wrong.append(f"seed {seed}: entry {lsn}")
            for lsn, data in wal.iter(rng.randrange(1, 100)):
                if data != b"%d " % (lsn - 1) * 50:
                    wrong.append(f"seed {seed}: entry {lsn}, iterating")

        threads = [threading.Thread(target=read_some, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wal.segment_count > 5
    assert wrong == []


@pytest.mark.guarantee("G11")
def test_a_segment_removed_while_it_is_read_is_checkpointed_and_never_wrong(tmp_path: Path) -> None:
    with walogs.open(tmp_path, max_segment_size=4000) as wal:
        for k in range(120):
            wal.append(b"%d " % k * 50)
        running = [wal.iter() for _ in range(3)]
        for entries in running:
            assert next(entries) == (1, b"0 " * 50)
        wal.checkpoint(100)
        for entries in running:
            seen = [1]
            with pytest.raises(walogs.Checkpointed) as overtaken:
                check_each(entries, seen)
            assert overtaken.value.first_lsn == wal.first_lsn
            assert len(seen) < 100
        assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, 121))


def check_each(entries: Iterator[tuple[int, bytes]], seen: list[int]) -> None:
    for lsn, data in entries:
        assert (lsn, data) == (seen[-1] + 1, b"%d " % (lsn - 1) * 50)
        seen.append(lsn)


# BookKeeper #2908


def ask_for_what_is_damaged(path: Path) -> None:
    with walogs.open(path, max_segment_size=3000) as wal:
        write_entries(wal)
        middle = next(s for s in wal.segments() if s.first_lsn <= 10 <= s.last_lsn)
        name, first = middle.name, middle.first_lsn
        at = 512 + sum(frame_bytes(len(entry)) for entry in ENTRIES[first - 1 : 9]) + 44
        file = path / name
        content = bytearray(file.read_bytes())
        content[at] ^= 0x10
        file.write_bytes(content)
        with pytest.raises(walogs.WalError) as answered:
            wal.read(10)
        assert isinstance(answered.value, walogs.Corrupt)
        assert not isinstance(answered.value, LookupError), "peers believe that it never was there"
        assert (answered.value.segment, answered.value.lsn) == (middle.number, 10)
        for start in (1, 10):
            with pytest.raises(walogs.Corrupt):
                list(wal.iter(start))
        with pytest.raises(IndexError):
            wal.read(21)
        assert wal.read(9) == ENTRIES[8]
        assert wal.read(20) == ENTRIES[19]
    before = files(path)
    with pytest.raises(walogs.Corrupt):
        walogs.open(path).close()
    assert segment_files(path) == {name: file for name, file in before.items() if name.startswith("wal-")}


@pytest.mark.guarantee("G6")
def test_damage_is_never_answered_by_no_such_entry_nor_by_the_end(tmp_path: Path) -> None:
    ask_for_what_is_damaged(tmp_path)


def test_an_iteration_that_ends_at_damage_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = ExtentReader._frames

    def silently(self: ExtentReader, extent: Extent, *args: Any) -> Iterator[IntactFrames]:
        try:
            yield from frames(self, extent, *args)
        except walogs.Corrupt:
            return

    monkeypatch.setattr(ExtentReader, "_frames", silently)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):  # the iteration just ends
        ask_for_what_is_damaged(tmp_path)


# BookKeeper #1737


def keep_what_was_handed_out() -> None:
    disk = MemoryDisk()
    with process(disk, max_segment_size=3000) as wal:
        data = bytearray(b"the caller's own buffer")
        wal.append(data)
        wal.append_batch([data, memoryview(data)[4:]])
        data[:] = b"changed when append had returned"[: len(data)]
        write_entries(wal)
        kept = []
        for lsn, entry in wal:
            kept.append(entry)
            wal.append(b"one more") if lsn < 5 else None
        wal.rotate()
        wal.checkpoint(15)
        wal.append(b"x" * 2000)
    expected = [b"the caller's own buffer"] * 2 + [b"caller's own buffer", *ENTRIES]
    assert kept == expected, "what was handed out, or taken, changed afterwards"
    assert {type(entry) for entry in kept} == {bytes}


@pytest.mark.guarantee("G1")
def test_entries_stay_what_they_were_when_handed_out() -> None:
    keep_what_was_handed_out()


def test_one_buffer_for_all_entries_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = Snapshot.entries

    def into_one_buffer(self: Snapshot, start: int, stop: int) -> Iterator[tuple[int, Any]]:
        buffer = bytearray()
        for lsn, data in entries(self, start, stop):
            buffer[:] = data
            yield lsn, buffer

    monkeypatch.setattr(Snapshot, "entries", into_one_buffer)
    with pytest.raises(AssertionError, match="changed afterwards"):
        keep_what_was_handed_out()


# LMDB ITS#7635 and #7969


class Watching(MemoryStore):
    """What the log says of itself while a commit is on its way."""

    wal: walogs.Wal | None = None
    said: list[tuple[int, int]]

    def write(self, number: int, offset: int, data: Any) -> None:
        self.look()
        super().write(number, offset, data)
        self.look()

    def sync(self, number: int, kind: Any) -> None:
        self.look()
        super().sync(number, kind)
        self.look()

    def look(self) -> None:
        if self.wal is not None:
            self.said.append((self.wal.last_lsn, self.wal.durable_lsn))


def look_while_it_is_written() -> None:
    store = Watching(MemoryDisk())
    wal = walogs.open(store=store)
    store.wal = wal
    with wal:
        for k in range(5):
            store.said = []
            wal.append(b"x")
            assert set(store.said) == {(k, k)}, "published before it was durable"
            assert (wal.last_lsn, wal.durable_lsn) == (k + 1, k + 1)
            assert wal.read(k + 1) == b"x"


@pytest.mark.guarantee("G1")
def test_an_lsn_is_published_after_its_entry_is_durable() -> None:
    look_while_it_is_written()


def test_an_lsn_published_too_early_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    append = AppendableWriter.write_commit

    def published_first(self: AppendableWriter, entries: list[bytes]) -> int:
        self.durable_lsn = self.next_lsn + len(entries) - 1
        return append(self, entries)

    monkeypatch.setattr(AppendableWriter, "write_commit", published_first)
    with pytest.raises(AssertionError, match="published before"):
        look_while_it_is_written()


@pytest.mark.guarantee("G1", "G2", "G12")
def test_readers_beside_a_writer_see_whole_commits_and_nothing_torn(tmp_path: Path) -> None:
    wrong: list[str] = []
    done = threading.Event()
    with walogs.open(tmp_path, max_segment_size=8000) as wal:

        def read_on() -> None:
            while not done.is_set():
                visibility = wal.last_lsn
                found = list(wal)
                if len(found) < visibility or len(found) % 3:
                    wrong.append(f"{len(found)} entries, after {visibility} were there")
                if any(data != b"%d " % lsn * 30 for lsn, data in found):
                    wrong.append("an entry that is not what was appended")

        threads = [threading.Thread(target=read_on) for _ in range(2)]
        for thread in threads:
            thread.start()
        for k in range(1, 180, 3):
            wal.append_batch([b"%d " % lsn * 30 for lsn in range(k, k + 3)])
        done.set()
        for thread in threads:
            thread.join()
    assert wrong == []
