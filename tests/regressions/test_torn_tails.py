"""An unfinished end is cut wherever it is torn. It stays cut, and is never taken for damage (G3, G5, G15)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.regressions.logs import (
    FIRST,
    MakeStore,
    contents,
    dropped_durable_mark,
    durable_mark_of,
    frame_bytes,
    killed_copy,
    look_twice,
    look_twice_at,
    overwrite,
    patch,
    power_cuts,
    process,
)
from walogs.engine import recovery
from walogs.engine import takeover as takeover_module
from walogs.engine.recovery import RecoveredLog
from walogs.engine.segment_scan import TailScan
from walogs.formats.native import NativeFormat
from walogs.testing import DURABLE_MARK, FAILED_SYNC, SECTOR, MemoryDisk, MemoryStore

KEPT = b"kept"
TORN_AT = 512 + frame_bytes(len(KEPT))
PAYLOADS = {
    "random": random.Random(1).randbytes(1300),
    "zeros": bytes(1300),
    "one bit a sector": (b"\1" + bytes(SECTOR - 1)) * 2 + b"\1" + bytes(275),
    "a counter a sector": b"".join(bytes([k]) + bytes(SECTOR - 1) for k in (1, 2, 3))[:1300],
}


def torn(commit: Sequence[bytes]) -> tuple[MemoryDisk, bytes]:
    """A log of one acknowledged entry, and the frame of the commit that came next, of which nothing was synced."""
    disk = MemoryDisk()
    with process(disk) as wal:
        wal.append(KEPT)
        before = disk.clone()
        wal.append_batch(list(commit))
    size = int.from_bytes(disk.cached(FIRST, TORN_AT + 4, TORN_AT + 8), "little")
    return before, disk.cached(FIRST, TORN_AT, TORN_AT + 48 + size)


def with_bytes(before: MemoryDisk, data: bytes, offset: int = TORN_AT) -> MemoryDisk:
    disk = before.clone()
    overwrite(disk, offset, data)
    return disk


def sector_subsets(frame: bytes) -> Iterator[bytes]:
    """What is left of the frame when any of its sectors reached the disk and the others did not, but not all."""
    edges = [0, *range(SECTOR - TORN_AT % SECTOR, len(frame), SECTOR), len(frame)]
    pieces = [frame[start:end] for start, end in pairwise(edges)]
    for kept in product((True, False), repeat=len(pieces)):
        left = b"".join(piece if is_kept else bytes(len(piece)) for piece, is_kept in zip(pieces, kept, strict=True))
        if left != frame:
            yield left


# etcd #5230 and #5250


def tear_at_every_byte() -> None:
    before, frame = torn([b"torn" * 20])
    for length in range(len(frame)):
        disk = with_bytes(before, frame[:length])
        assert look_twice(disk.clone(), [KEPT]) == [KEPT], f"torn after {length} bytes"
        with process(disk) as wal:
            left = len(frame[:length].rstrip(b"\0"))
            expected = walogs.TruncatedAt(1, TORN_AT, left) if left else walogs.Clean()
            assert wal.tail_state == expected, f"torn after {length} bytes: {wal.tail_state}"


@pytest.mark.guarantee("G5")
def test_a_frame_torn_at_any_byte_inside_its_window_is_cut() -> None:
    tear_at_every_byte()


def test_a_frame_believed_because_its_bytes_fit_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NativeFormat, "check_at", lambda *_: True)
    with pytest.raises(AssertionError, match="is none of"):
        tear_at_every_byte()


# etcd #6267, #6515 and #6271


class ZeroesWhatReadsOtherwise(MemoryStore):
    """Recovery writes zeros only where the cache shows something else."""

    def zero_from(self, number: int, offset: int) -> None:
        for start in range(offset, self.size(number), SECTOR):
            end = min(start + SECTOR, self.size(number))
            if any(self.read(number, start, end)):
                self.write(number, start, bytes(end - start))


class CutsNothing(MemoryStore):
    def zero_from(self, number: int, offset: int) -> None:
        pass


def erase_before_the_first_append(make: MakeStore) -> None:
    """Recovery's own sync fails first: the cache shows the zeros that it wrote, and the device may hold the old."""
    before, frame = torn([b"one" * 300, b"two" * 300])
    stale = bytes(48) + frame[48:]  # the frame's beginning was lost, the rest is there
    for seed in range(20):
        print(f"seed {seed}")
        disk = with_bytes(before, stale)
        disk.arm(1, FAILED_SYNC, rng=random.Random(seed))
        with pytest.raises(OSError), process(disk, make):
            pass
        disk.disarm()
        with process(disk, make) as wal:
            left = disk.durable(FIRST)
            assert left is not None
            assert not left[TORN_AT:].strip(b"\0"), f"seed {seed}: bytes after the end are on the device, unseen"
            assert contents(wal) == [KEPT]
        look_twice(disk, [KEPT], make=make)


@pytest.mark.guarantee("G3")
def test_what_follows_the_end_is_erased_before_the_first_append() -> None:
    erase_before_the_first_append(MemoryStore)


@pytest.mark.parametrize(
    "make", [ZeroesWhatReadsOtherwise, type("CutsNothing", (MemoryStore,), {"zero_from": lambda *_: None})]
)
def test_bytes_left_after_the_end_are_seen_when_planted(make: MakeStore) -> None:
    with pytest.raises(AssertionError, match="on the device, unseen"):
        erase_before_the_first_append(make)


# etcd #4903 and #4930


def append_where_the_file_ends(path: Path, to: Path) -> None:
    with walogs.open(path) as wal:
        wal.append_batch([b"one", b"two"])
        killed_copy(path, to)
    for left in (path, to):  # closed, and killed
        with walogs.open(left) as wal:
            end = wal.recovery_report.bytes
        with (left / FIRST).open("r+b") as file:
            file.truncate(end)
        look_twice_at(left, [b"one", b"two"])


@pytest.mark.guarantee("G1")
def test_a_segment_that_ends_where_its_file_ends_is_appended_to_and_not_overwritten(tmp_path: Path) -> None:
    append_where_the_file_ends(tmp_path / "closed", tmp_path / "killed")


def test_an_end_taken_for_the_beginning_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_over = takeover_module.take_over

    def begin_again(source: Any, store: Any, environment: Any, recovered: RecoveredLog) -> Any:
        takeover = take_over(source, store, environment, recovered)
        if recovered.newest.end == recovered.newest.size:
            takeover.active.end = 512
        return takeover

    monkeypatch.setattr(takeover_module, "take_over", begin_again)
    with pytest.raises((AssertionError, walogs.Corrupt)):
        append_where_the_file_ends(tmp_path / "closed", tmp_path / "killed")


# etcd #2736


def open_a_torn_log_again_and_again(make: MakeStore) -> None:
    before, frame = torn([b"torn" * 20])
    disk = with_bytes(before, frame[:60])
    with process(disk, make) as wal:
        assert wal.tail_state == walogs.TruncatedAt(1, TORN_AT, 60)
    first = (disk.cached_names(), disk.cached(FIRST))
    for _ in range(5):
        with process(disk, make) as wal:
            assert wal.tail_state == walogs.Clean(), "recovered, and torn again"
            assert contents(wal) == [KEPT]
        assert (disk.cached_names(), disk.cached(FIRST)) == first, "opening again changed something"
    look_twice(disk, [KEPT], make=make)


@pytest.mark.guarantee("G15")
def test_recovering_again_changes_nothing_and_leaves_no_files_behind() -> None:
    open_a_torn_log_again_and_again(MemoryStore)


def test_a_recovery_that_cuts_nothing_is_seen_when_planted() -> None:
    with pytest.raises(AssertionError, match="torn again"):
        open_a_torn_log_again_and_again(CutsNothing)


# Prometheus tsdb #451, cqlite #1390, seriousdb #258, LevelDB #1287, amelie #17


def append_after_a_torn_end() -> None:
    for commit in ([b"torn" * 20], [b"one" * 20, b"two", b"three" * 20]):
        before, frame = torn(commit)
        for length in range(1, len(frame), 3):
            look_twice(with_bytes(before, frame[:length]), [KEPT])


@pytest.mark.guarantee("G3", "G8")
def test_an_entry_appended_after_a_torn_end_is_there_at_the_second_reopening() -> None:
    append_after_a_torn_end()


def test_an_append_behind_torn_bytes_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    take_over = takeover_module.take_over

    def go_on_behind_them(source: Any, store: Any, environment: Any, recovered: RecoveredLog) -> Any:
        monkeypatch.setattr(store, "zero_from", lambda *_: None)
        takeover = take_over(source, store, environment, recovered)
        if recovered.bytes_end:
            takeover.active.end = (recovered.bytes_end + 7) & -8
            takeover.active.is_continuable = True
        return takeover

    monkeypatch.setattr(takeover_module, "take_over", go_on_behind_them)
    with pytest.raises((AssertionError, walogs.Corrupt)):
        append_after_a_torn_end()


# PostgreSQL ff9f111 and cfedb27: a standby that followed a torn record


def record_where_it_was_cut(make: MakeStore) -> None:
    """Whoever follows the log is told of its end by what a power cut cannot take back."""
    before, frame = torn([b"torn" * 20])
    disk = with_bytes(before, frame[:60])
    with process(disk, make) as wal:
        assert contents(wal) == [KEPT]
        disk.power_cut(random.Random(0), 0.0)
        seen = durable_mark_of(disk)
        assert seen is not None
        assert (seen.segment, seen.synced, seen.last_lsn) == (1, TORN_AT, 1), "the recovered end is not durable"
    left = disk.durable(FIRST)
    assert left is not None
    assert not left[TORN_AT:].strip(b"\0")


@pytest.mark.guarantee("G4", "G15")
def test_the_recovered_end_is_durable_before_open_returns() -> None:
    record_where_it_was_cut(MemoryStore)


def test_an_end_that_is_only_remembered_is_seen_when_planted() -> None:
    class Remembers(MemoryStore):
        def write_durable_mark(self, data: bytes, *, durable: bool) -> None:
            if self._durable_mark is not None or DURABLE_MARK not in self.disk.cached_names():
                super().write_durable_mark(data, durable=durable)

    with pytest.raises(AssertionError, match="is not durable"):
        record_where_it_was_cut(Remembers)


# LevelDB #251


def garbage_after_the_end() -> None:
    before, _ = torn([b"torn"])
    for seed in range(60):
        print(f"seed {seed}")
        rng = random.Random(seed)
        data = rng.randbytes(rng.choice((1, 8, 39, 40, 64, 512, 1500)))
        look_twice(with_bytes(before, data, TORN_AT + rng.choice((0, 0, 8, 100))), [KEPT])


@pytest.mark.guarantee("G5")
def test_garbage_after_the_end_is_never_an_entry() -> None:
    garbage_after_the_end()


@pytest.mark.guarantee("G5")
def test_garbage_that_made_the_file_longer_is_never_an_entry(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(KEPT)
        for seed in range(5):
            left = killed_copy(tmp_path / "log", tmp_path / str(seed))
            patch(left, (left / FIRST).stat().st_size, random.Random(seed).randbytes(1 + 700 * seed))
            look_twice_at(left, [KEPT])


# Aeron #1812, RocksDB's kAbsoluteConsistency, etcd's sub-sector zeros


def open_everything_torn(payload: bytes) -> None:
    before, frame = torn([payload])
    for durable_mark in (before, dropped_durable_mark(before.clone())):
        for left in sector_subsets(frame):
            look_twice(with_bytes(durable_mark, left), [KEPT])
        for zeroed in (50, 1, 600):
            look_twice(with_bytes(durable_mark, frame[:-zeroed] + bytes(zeroed)), [KEPT], [[payload]])


def open_unsynced_frames(seeds: int) -> None:
    """Several frames, none synced: those after a torn one may be whole."""
    disk = MemoryDisk()
    entries = [bytes([65 + k]) * (100 + 150 * k) for k in range(5)]
    with process(disk, sync="none") as wal:
        wal.append(KEPT)
        wal.sync()
        for entry in entries:
            wal.append(entry)
        for seed, left in power_cuts(disk, seeds):
            try:
                look_twice(left, [KEPT], [[entry] for entry in entries])
            except walogs.Corrupt as error:
                raise AssertionError(f"seed {seed}: an honest torn end was refused") from error


@pytest.mark.guarantee("G5")
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_honest_torn_write_is_refused(payload: str) -> None:
    open_everything_torn(PAYLOADS[payload])


@pytest.mark.guarantee("G2", "G5")
def test_whole_frames_after_a_torn_one_do_not_make_it_corrupt() -> None:
    open_unsynced_frames(60)


class AnyFrameTestifies(TailScan):
    """ "A valid frame follows, so it must be corrupt"."""

    def _search(self, source: object, segment: object, chunk: bytes, offset: int) -> None:
        super()._search(source, segment, chunk, offset)  # type: ignore[arg-type]
        if self.synced:
            self.synced = offset + len(chunk)


def test_a_valid_frame_taken_for_proof_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "TailScan", AnyFrameTestifies)
    with pytest.raises(AssertionError, match="honest torn end was refused"):
        open_unsynced_frames(60)


def test_zeros_taken_for_what_tore_it_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """etcd's rule: an end is torn only where a whole sector is zero; anything else is a mismatch."""
    judged = recovery.judge

    def judged_by_zeros(source: Any, ending: Any, *args: Any) -> object:
        rest = source.store.read(1, ending.end).rstrip(b"\0")
        if rest and bytes(SECTOR) not in rest:
            ending = ending._replace(synced=ending.end + 1)
        return judged(source, ending, *args)

    monkeypatch.setattr(recovery, "judge", judged_by_zeros)
    with pytest.raises(walogs.Corrupt):
        open_everything_torn(PAYLOADS["random"])
