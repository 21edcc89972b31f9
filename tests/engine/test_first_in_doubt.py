"""An error about a header names the first entry in doubt, whoever raises it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.inspection.damaged_logs import LocalPlace, lsns_of, plain, with_header_damaged
from tests.kit.logs import numbers_in, with_byte
from walogs.testing import MemoryCloud, MemoryImmutableStore


def named_by(look: Callable[[], object]) -> int | None:
    with pytest.raises(walogs.Corrupt) as refused:
        look()
    return refused.value.lsn


@pytest.mark.guarantee("G6", "G11")
def test_no_entry_below_the_first_one_is_named(tmp_path: Path) -> None:
    """A FENCE that a checkpoint has kept is below all entries that are left."""
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for count in range(1, 9):
            wal.append(b"entry %d" % count)
        wal.checkpoint(5)
        first_lsn = wal.first_lsn
    number = sorted(cloud.objects)[1]
    cloud.objects[number] = with_byte(cloud.objects[number], 100, 1)

    def store() -> MemoryImmutableStore:
        return MemoryImmutableStore(cloud)

    assert named_by(lambda: walogs.open(store=store())) == first_lsn == 6
    assert named_by(lambda: list(walogs.reader(store=store()))) == first_lsn
    assert named_by(lambda: walogs.backup(None, tmp_path / "copy", store=store())) == first_lsn
    assert walogs.verify(store=store()).findings[0].lsn == first_lsn


@pytest.mark.guarantee("G6")
def test_each_damaged_header_is_told_with_an_entry(tmp_path: Path) -> None:
    """Of adjacent ones, nothing but the segment before them tells which entry is in doubt."""
    log = plain()
    firsts = {number: lsns_of(log.files, number)[0] for number in numbers_in(log.files)}
    assert max(firsts) == 5
    files = with_header_damaged(with_header_damaged(log.files, 5), 3)
    found = LocalPlace(files, tmp_path / "apart").verify().findings
    assert [(finding.segment, finding.lsn) for finding in found] == [(5, firsts[5]), (3, firsts[3])]
    found = LocalPlace(with_header_damaged(files, 4), tmp_path / "adjacent").verify().findings
    assert [(finding.segment, finding.lsn) for finding in found] == [(5, firsts[3]), (4, firsts[3]), (3, firsts[3])]
    for number in (1, 2, 3, 4, 5):
        place = LocalPlace(with_header_damaged(log.files, number), tmp_path / f"segment {number}")
        copy = tmp_path / f"copy {number}"
        assert named_by(place.open) == named_by(lambda: walogs.backup(place.log.path, copy)), number  # noqa: B023
