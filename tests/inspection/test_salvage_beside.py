"""`salvage` beside a writer: what a checkpoint removes meanwhile is no gap, and no call says that there is no log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from walogs.defaults.local_store import LocalStore
from walogs.inspection import gaps
from walogs.testing import MemoryCloud, MemoryImmutableStore

SEGMENTS = 12


def filled(wal: walogs.Wal) -> None:
    for lsn in range(1, 3 * SEGMENTS + 1):
        wal.append(b"entry %d" % lsn)
        if lsn % 3 == 0:
            wal.rotate()


class Interrupted(LocalStore):
    """A store before one of whose calls something is done to the log."""

    def __init__(self, path: Path, at: int, act: Callable[[], object]) -> None:
        super().__init__(path)
        self.left, self.act = at, act

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()

    def segments(self) -> list[int]:
        self._step()
        return list(super().segments())

    def size(self, number: int) -> int:
        self._step()
        return super().size(number)

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        self._step()
        return super().read(number, start, end)

    def read_durable_mark(self) -> bytes | None:
        self._step()
        return super().read_durable_mark()


def steps_of_a_salvage(path: Path) -> int:
    store = Interrupted(path, 0, lambda: None)
    list(walogs.salvage(store=store))
    return -store.left


def is_dense(found: list[walogs.Entry | walogs.Gap], log_first_lsn: int, last_lsn: int, what: str) -> None:
    """Check that there is no gap. Only entries below the log's first LSN may be missing."""
    assert not [item for item in found if isinstance(item, walogs.Gap)], f"{what}: {found}"
    lsns = [item.lsn for item in found if isinstance(item, walogs.Entry)]
    assert lsns == sorted(set(lsns)), what
    assert set(lsns) >= set(range(log_first_lsn, last_lsn + 1)), f"{what}: {lsns}, from {log_first_lsn}"


@pytest.mark.guarantee("G11", "G14")
@pytest.mark.parametrize("visibility", [4, 17, 3 * SEGMENTS, 3 * SEGMENTS + 1])
def test_a_checkpoint_at_any_step_of_a_salvage_makes_no_gap(tmp_path: Path, visibility: int) -> None:
    with walogs.open(tmp_path / "counted", sync="none") as wal:
        filled(wal)
        steps = steps_of_a_salvage(tmp_path / "counted")
    moved = 0
    for step in range(1, steps + 1):
        path = tmp_path / f"{step}"
        with walogs.open(path, sync="none") as wal:
            filled(wal)
            last_lsn = wal.last_lsn

            def act(wal: walogs.Wal = wal) -> None:
                wal.append(b"one more")
                wal.rotate()
                wal.append(b"and one")
                wal.checkpoint(visibility)

            found = list(walogs.salvage(store=Interrupted(path, step, act)))
            is_dense(found, wal.first_lsn, last_lsn, f"step {step}")
            moved += found[:1] != [walogs.Entry(1, b"entry 1")]
    assert moved > 2, "the checkpoint was in the way"


@pytest.mark.guarantee("G14")
def test_a_consumer_that_pauses_is_overtaken_without_a_gap(tmp_path: Path) -> None:
    with walogs.open(tmp_path, sync="none") as wal:
        filled(wal)
        found = walogs.salvage(tmp_path)
        items = [next(found)]
        wal.checkpoint(20)
        items += found
    lsns = [item.lsn for item in items if isinstance(item, walogs.Entry)]
    assert len(lsns) == len(items)
    assert lsns[0] == 1
    assert lsns[-1] == 3 * SEGMENTS
    assert set(range(wal.first_lsn, 3 * SEGMENTS + 1)) <= set(lsns)


@pytest.mark.guarantee("G14")
def test_a_checkpoint_beside_a_salvage_of_immutable_segments_makes_no_gap() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for lsn in range(1, 31):
            wal.append(b"entry %d" % lsn)
        found = walogs.salvage(store=MemoryImmutableStore(cloud))
        items = [next(found)]
        wal.checkpoint(20)
        items += found
        is_dense(items, wal.first_lsn, 30, "immutable segments")


@pytest.mark.guarantee("G6")
def test_a_segment_that_somebody_removed_beside_a_checkpoint_is_a_gap(tmp_path: Path) -> None:
    with walogs.open(tmp_path, sync="none") as wal:
        filled(wal)
        lost = wal.segments()[8]
        found = walogs.salvage(tmp_path)
        items = [next(found)]
        wal.checkpoint(10)
        (tmp_path / lost.name).unlink()
        items += found
    gaps = [item[:2] for item in items if isinstance(item, walogs.Gap)]
    assert gaps == [(lost.first_lsn, lost.last_lsn)]


def test_a_log_that_is_removed_meanwhile_is_told_as_such(tmp_path: Path) -> None:
    with walogs.open(tmp_path, sync="none") as wal:
        filled(wal)
    found = walogs.salvage(tmp_path)
    next(found)
    for file in tmp_path.glob("wal-*.log"):
        file.unlink()
    with pytest.raises(walogs.LogNotFound, match="holds no log"):
        list(found)


def test_what_no_sync_vouches_for_is_no_gap_at_the_end(tmp_path: Path) -> None:
    """A bit is flipped in the reserve after the last frame, where no entry has been."""
    with walogs.open(tmp_path) as wal:
        for n in range(10):
            wal.append(b"entry %d" % n)
    segment = tmp_path / "wal-000001.log"
    segment.write_bytes(segment.read_bytes()[:-8] + b"\1" + bytes(7))
    found = list(walogs.salvage(tmp_path))
    assert [item.lsn for item in found if isinstance(item, walogs.Entry)] == list(range(1, 11))
    assert len(found) == 10


def test_an_empty_file_after_a_clean_close_is_no_gap(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        for n in range(10):
            wal.append(b"entry %d" % n)
    (tmp_path / "wal-000002.log").write_bytes(b"")
    assert len(list(walogs.salvage(tmp_path))) == 10
    report = walogs.repair(tmp_path, dry_run=True)
    assert (report.first_lsn, report.last_lsn, report.lost) == (1, 10, ())


# Bugs, planted


def test_a_first_lsn_that_is_not_looked_at_again_is_seen_when_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "current_first_lsn", lambda source: 1)
    with pytest.raises(AssertionError):
        test_a_checkpoint_at_any_step_of_a_salvage_makes_no_gap(tmp_path, 17)
