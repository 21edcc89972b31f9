"""A walk that takes many frames at a time sees what one that takes each by itself sees."""

from __future__ import annotations

import random

import pytest

import walogs
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import source_of
from walogs.engine.frame_reader import CHUNK_BYTES, FrameReader, ReadFrame
from walogs.engine.log_source import LogSource
from walogs.engine.segment_scan import SegmentScan
from walogs.formats.native import NativeFormat
from walogs.formats.segment_format import FrameHeader
from walogs.testing import MemoryDisk, MemoryStore


def made(rng: random.Random) -> MemoryDisk:
    """A log of one unsealed segment: single entries, batches and, some, a CHECKPOINT."""
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk), max_segment_size=None) as wal:
        wal.append(b"below")
        wal.rotate()
        for k in range(rng.randrange(1, 120)):
            if rng.random() < 0.2:
                wal.append_batch([rng.randbytes(rng.randrange(40)) for _ in range(rng.randrange(2, 9))])
            else:
                wal.append(rng.randbytes(rng.choice((0, 1, 100, 3000, 70_000 if k % 40 == 0 else 5))))
            if k == 30:
                wal.checkpoint(1)
    return disk


def source_on(store: MemoryStore) -> LogSource:
    return source_of(None, WalConfig(store=store))


def one_by_one(source: LogSource, number: int) -> tuple[list[FrameHeader], object, int, int, bytes | None]:
    header = source.header(number)
    walk = FrameReader(source, header, 512, source.store.size(number), header.first_lsn)
    seen = [frame.header for frame in walk]
    return seen, walk.stop, walk.offset, walk.expected_lsn, walk.link


@pytest.mark.parametrize("seed", range(60))
def test_many_frames_at_a_time_are_the_frames_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    disk = made(rng)
    store = MemoryStore(disk)
    store.acquire()
    source = source_on(store)
    end = SegmentScan(source, source.header(2), store.size(2)).end
    for _ in range(8):
        if rng.random() < 0.9:  # damage anywhere: most of it in what is checked, some in padding
            offset = rng.randrange(512, end)
            byte = store.read(2, offset, offset + 1)[0] ^ 1 << rng.randrange(8)
            store.write(2, offset, bytes([byte]))
        headers, stop, offset, expected, link = one_by_one(source, 2)
        scan = SegmentScan(source, source.header(2), store.size(2))
        with_entries = [header for header in headers if header.entries]
        assert (scan.stop, scan.end, scan.last_lsn) == (stop, offset, expected - 1)
        assert (scan.frames, scan.entries) == (len(headers), sum(header.entries for header in headers))
        assert scan.link == link
        assert scan.synced == max([512, *(header.synced for header in headers)])
        assert scan.first_commit_ns == (with_entries[0].time_ns if with_entries else None)
        assert scan.last_commit_ns == (headers[-1].time_ns if headers else None)
        assert scan.runs.copy().offsets == runs_of(source, headers)


def runs_of(source: LogSource, headers: list[FrameHeader]) -> object:
    """Where runs begin, counted anew: whole frames, at least 64 KiB of them."""
    from array import array

    starts, room = array("I"), 0
    for header in headers:
        if room <= 0:
            starts.append(header.offset)
            room = 64 * 1024
        room -= source.format.frame_end(header) - header.offset
    return starts


def test_a_tight_loop_that_forgot_the_watermark_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = NativeFormat.intact

    def forgetful(self: NativeFormat, *args: object) -> object:
        return honest(self, *args)._replace(synced=0)  # type: ignore[arg-type]

    monkeypatch.setattr(NativeFormat, "intact", forgetful)
    failures = 0
    for seed in range(10):
        try:
            test_many_frames_at_a_time_are_the_frames_one_by_one(seed)
        except AssertionError:
            failures += 1
    assert failures


def test_what_a_walk_hands_out_one_by_one_is_what_was_checked() -> None:
    store = MemoryStore(made(random.Random(1)))
    source = source_on(store)
    for seen in FrameReader(source, source.header(2), 512, store.size(2), source.header(2).first_lsn):
        assert isinstance(seen, ReadFrame)
        assert seen.frame() == store.read(2, seen.header.offset, seen.end)


def test_the_lengths_of_single_entries_are_known_where_one_chunk_ends_in_the_middle_of_a_frame() -> None:
    disk = MemoryDisk()
    lengths = [900 + k % 7 for k in range(3 * CHUNK_BYTES // 1000)]
    with walogs.open(store=MemoryStore(disk), max_segment_size=None, sync="none") as wal:
        for length in lengths:
            wal.append(bytes(length))
    store = MemoryStore(disk)
    source = source_on(store)
    known = SegmentScan(source, source.header(1), store.size(1)).runs.lengths
    assert [length for run in known for length in run or ()] == lengths
