"""Some bytes look like the log's own and are not: lengths, stale frames, frames inside entries (G3, G5, G16)."""

from __future__ import annotations

import random
import shutil
import tracemalloc
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

import walogs
from tests.regressions.logs import (
    FIRST,
    SMALL,
    contents,
    dropped_durable_mark,
    flip,
    frame_bytes,
    killed_copy,
    look_twice,
    look_twice_at,
    overwrite,
    power_cuts,
    process,
    without_links,
)
from walogs.defaults.local_store import DURABLE_MARK
from walogs.engine import new_segments, recovery
from walogs.engine.segment_scan import TailScan
from walogs.formats.native import FRAME, FRAME_HEADER_BYTES, NativeFormat
from walogs.formats.segment_format import FrameHeader, StopReason
from walogs.testing import MemoryDisk, MemoryStore

KEPT = b"kept"
TORN_AT = 512 + frame_bytes(len(KEPT))
LENGTHS = (0, 3, 4, 4097, 1 << 24, (1 << 31) - 1, (1 << 32) - 1)


class CountsReads(MemoryStore):
    """How much recovery reads, and at most at once."""

    largest = total = 0

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        data = super().read(number, start, end)
        CountsReads.largest = max(CountsReads.largest, (self.size(number) if end is None else end) - start)
        CountsReads.total += len(data)
        return data


def headers_without_crc(
    self: NativeFormat, buffer: bytes, index: int, offset: int, salt: int
) -> FrameHeader | StopReason:
    """A frame header believed for its magic."""
    if len(buffer) - index < FRAME_HEADER_BYTES:
        return StopReason.END
    tag, kind, flags, size, first_lsn, time_ns, link, count, _, synced = FRAME.unpack_from(buffer, index)
    if tag != 0x57D7:
        return StopReason.NOT_A_FRAME
    return FrameHeader(
        kind=kind,
        flags=flags,
        body_bytes=size,
        first_lsn=first_lsn,
        time_ns=time_ns,
        entries=count,
        offset=offset,
        synced=synced,
        link=link,
    )


# etcd #14098


def torn_headers_full_of_garbage() -> None:
    disk = MemoryDisk()
    with process(disk) as wal:
        wal.append(KEPT)
        before = disk.clone()
        wal.append(b"torn" * 30)
    frame = disk.cached(FIRST, TORN_AT, TORN_AT + 60)
    lengths = [frame[:4] + length.to_bytes(4, "little") + frame[8:] for length in LENGTHS]
    rest = [frame[:4] + random.Random(seed).randbytes(44) for seed in range(30)]
    for header in (*lengths, *rest):
        left = before.clone()
        overwrite(left, TORN_AT, header)
        CountsReads.largest = CountsReads.total = 0
        look_twice(left, [KEPT], make=CountsReads)
        assert CountsReads.largest <= 1 << 20, "a length was believed before it was checked"


@pytest.mark.guarantee("G5", "G16")
def test_a_torn_length_is_neither_fatal_nor_believed() -> None:
    torn_headers_full_of_garbage()


def test_a_length_believed_before_its_crc_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NativeFormat, "header_at", headers_without_crc)
    with pytest.raises(walogs.WalError):
        torn_headers_full_of_garbage()


@pytest.mark.guarantee("G16")
def test_no_length_on_the_disk_makes_recovery_allocate(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(KEPT)
        wal.append(b"torn" * 30)
        left = killed_copy(tmp_path, tmp_path / "left")
    (left / DURABLE_MARK).unlink()
    segment = bytearray((left / FIRST).read_bytes())
    for length in LENGTHS:
        segment[TORN_AT + 4 : TORN_AT + 8] = length.to_bytes(4, "little")
        (left / FIRST).write_bytes(segment)
        tracemalloc.start()
        with walogs.open(left) as wal:
            assert contents(wal) == [KEPT]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 << 20, f"a length of {length} took {peak} bytes"


# Pebble #567 and #580, RocksDB #12918, #12403 and #12639: files that are used again


def two_histories(path: Path) -> tuple[Path, Path]:
    """Two copies of one log that both went on: same numbers, same LSNs, same offsets, other entries."""
    with walogs.open(path) as wal:
        wal.append(KEPT)
    other = shutil.copytree(path, path.with_name("other"))
    for each, letter in ((path, b"a"), (other, b"b")):
        with walogs.open(each) as wal:
            wal.rotate()
            for _ in range(2 if each is path else 4):
                wal.append(letter * 100)
            killed_copy(each, each.with_name(f"{each.name} killed"))
    return path.with_name(f"{path.name} killed"), path.with_name("other killed")


def stale_frames_where_the_next_belong(path: Path) -> None:
    log, other = two_histories(path)
    name = "wal-000002.log"
    at = 512 + 2 * frame_bytes(100)
    segment, stale = (log / name).read_bytes(), (other / name).read_bytes()
    assert len(segment) == len(stale)
    (log / name).write_bytes(segment[:at] + stale[at:])
    with walogs.open(log) as wal:
        assert contents(wal) == [KEPT, b"a" * 100, b"a" * 100], "a stale frame was taken for an entry"
        assert isinstance(wal.tail_state, walogs.TruncatedAt)
    look_twice_at(log, [KEPT, b"a" * 100, b"a" * 100])


@pytest.mark.guarantee("G3")
def test_stale_frames_at_the_very_offsets_of_the_next_are_rejected(tmp_path: Path) -> None:
    stale_frames_where_the_next_belong(tmp_path / "log")


def test_segments_with_one_salt_are_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_segments, "salt", lambda entropy: 7)
    without_links(monkeypatch)
    with pytest.raises(AssertionError, match="stale frame"):
        stale_frames_where_the_next_belong(tmp_path / "log")


# rostam GHSA-m63m-rp87-w4rf and #155, doltlite #1903


def logs_inside_the_log() -> Iterator[tuple[MemoryDisk, list[bytes], bytes]]:
    """(a log as a power cut left it, what was acknowledged, what was in flight): entries that are segments of it."""
    disk = MemoryDisk()
    with process(disk, max_segment_size=4 * SMALL) as first:
        for k in range(40):
            first.append(b"inner %02d " % k * 10)
        acknowledged = contents(first)
        inner = disk.cached(FIRST, 0, 5000)
        first.rotate()
        second = disk.clone()
    for zeros, shift in product((0, 8, 700), (0, 8, 24)):  # not shifted: every inner frame at its own offset
        copy = bytes(zeros) + inner[560 + zeros - shift :]
        twin = second.clone()
        with process(twin, sync="none", max_segment_size=4 * SMALL) as wal:
            wal.append(copy)
            for _, left in power_cuts(twin, 8):
                yield left, acknowledged, copy


def open_logs_inside_logs() -> None:
    for left, acknowledged, in_flight in logs_inside_the_log():
        try:
            look_twice(left, acknowledged, [[in_flight]], max_segment_size=4 * SMALL)
        except walogs.Corrupt as error:
            raise AssertionError("a frame inside an entry steered recovery") from error


@pytest.mark.guarantee("G3", "G5")
def test_frames_inside_an_entry_are_bytes_of_that_entry() -> None:
    open_logs_inside_logs()


def test_frames_without_salt_and_offset_are_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    header_at = NativeFormat.header_at

    def anywhere(self: NativeFormat, buffer: bytes, index: int, offset: int, salt: int) -> FrameHeader | StopReason:
        if len(buffer) - index >= FRAME_HEADER_BYTES:
            offset = int.from_bytes(buffer[index + 36 : index + 40], "little")
        return header_at(self, buffer, index, offset, salt)

    monkeypatch.setattr(new_segments, "salt", lambda entropy: 7)
    monkeypatch.setattr(NativeFormat, "header_at", anywhere)
    with pytest.raises(AssertionError, match="steered recovery"):
        open_logs_inside_logs()


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("unit", [b"\xd7\x57", b"\xd7\x57" + bytes(6), b"\xd7\x57\x01\x00\xff\xff\xff\x7f"])
def test_a_hostile_entry_is_searched_in_linear_time(unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read, and how many headers are looked at, after a frame that is torn."""
    header_at, looked = NativeFormat.header_at, 0

    def counted(self: NativeFormat, buffer: bytes, index: int, offset: int, salt: int) -> FrameHeader | StopReason:
        nonlocal looked
        looked += 1
        return header_at(self, buffer, index, offset, salt)

    monkeypatch.setattr(NativeFormat, "header_at", counted)
    for size in (50_000, 400_000):
        disk = MemoryDisk()
        with process(disk, sync="none", max_segment_size=None) as wal:
            wal.append(KEPT)
            wal.append(unit * (size // len(unit)))
            segment_bytes = wal.segments()[0].size
        overwrite(dropped_durable_mark(disk), 512, b"\0\0")
        CountsReads.total = looked = 0
        with process(disk, CountsReads, max_segment_size=None) as wal:
            assert contents(wal) == []
        assert CountsReads.total < 5 * segment_bytes
        assert size // 8 - 10 < looked < segment_bytes // 8


# doltlite #1890


def durable_mark_far_away(path: Path) -> None:
    """The only frame that testifies lies 9 MiB after the damage."""
    with walogs.open(path, max_segment_size=None) as wal:
        wal.append(KEPT)
        wal.append(bytes(9 << 20))
        wal.append(b"its header says that all before it was synced")
        left = killed_copy(path, path.with_name("left"))
    (left / DURABLE_MARK).unlink()
    flip(left, TORN_AT + 40)
    with pytest.raises(walogs.Corrupt) as refused:
        walogs.open(left, max_segment_size=None).close()
    assert (refused.value.segment, refused.value.offset, refused.value.lsn) == (1, TORN_AT, 2)


@pytest.mark.guarantee("G6")
def test_damage_is_seen_however_far_away_its_durable_mark_is(tmp_path: Path) -> None:
    durable_mark_far_away(tmp_path / "log")


def test_a_search_that_gives_up_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Capped(TailScan):
        def __init__(self, source: object, segment: object, end: int, size: int) -> None:
            super().__init__(source, segment, end, min(size, end + (4 << 20)))  # type: ignore[arg-type]

    monkeypatch.setattr(recovery, "TailScan", Capped)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        durable_mark_far_away(tmp_path / "log")
