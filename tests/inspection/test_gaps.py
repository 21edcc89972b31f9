"""What damage has taken is told as a gap, and the gap names the place of the damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.crash.small_logs import written
from tests.inspection.damaged_logs import Place, goes_on, kept_of, lsns_of, plain, without
from tests.kit.logs import CHECKPOINT, DURABLE_MARK, HEADER, segment_name, with_byte, zeroed
from walogs.testing import MemoryCloud, MemoryImmutableStore


def gaps_of(place: Place) -> list[walogs.Gap]:
    return [found for found in place.salvage() if isinstance(found, walogs.Gap)]


@pytest.mark.guarantee("G6")
def test_the_first_entries_of_the_only_segment_are_missed_with_its_header(place_of: Callable[..., Place]) -> None:
    """Only the header says that the log begins with them. A CHECKPOINT says that none is missing before them."""

    def write(wal: walogs.Wal) -> None:
        wal.append_batch([b"gone", b"with", b"a checkpoint"])
        wal.rotate()
        wal.append_batch([b"four", b"five"])
        wal.append(b"six")
        wal.checkpoint(3)
        for count in range(7, 12):
            wal.append(b"entry %d" % count)

    log = written("left", write)
    name = segment_name(log.newest)
    frames = log.frames(log.newest)
    checkpoint = next(frame.offset for frame in frames if frame.kind == CHECKPOINT)
    for frame in (frame for frame in frames if frame.entries):
        place = place_of({**log.files, name: zeroed(log.files[name], 0, frame.offset)})
        what = f"everything before byte {frame.offset}"
        first_lsn = 4 if HEADER < frame.offset <= checkpoint else 1
        expected = [(first_lsn, frame.first_lsn - 1, log.newest, HEADER)] if frame.offset > HEADER else []
        assert [gap[:4] for gap in gaps_of(place)] == expected, what
        told = [finding.lsn for finding in place.verify().findings if finding.offset != 0]
        assert told == [gap[0] for gap in expected], what
        report = place.repair(None)
        assert [gap[:4] for gap in report.lost] == expected, what
        assert (report.first_lsn, report.last_lsn) == (frame.first_lsn, 11), what
        goes_on(place, kept_of(report, log.entries), what)


@pytest.mark.guarantee("G6")
def test_a_damaged_commit_at_the_end_of_a_store_without_torn_writes_is_a_gap(tmp_path: Path) -> None:
    """Nothing says that it was synced. It was acknowledged all the same: a segment there is never half written."""
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for data in (b"one", b"two", b"three"):
            wal.append(data)
    newest, good = max(cloud.objects), dict(cloud.objects)
    whole = good[newest]
    places = (*range(0, HEADER, 32), *range(HEADER, len(whole)))
    changes = {f"bit 3 of byte {at}": with_byte(whole, at, 8) for at in places}
    changes |= {f"cut at byte {size}": whole[:size] for size in places}
    refused = 0
    for what, content in changes.items():
        cloud.objects.update({**good, newest: content})
        report = walogs.verify(store=MemoryImmutableStore(cloud))
        if report.ok:  # a zero of the padding is not looked at
            continue
        gaps = [found for found in walogs.salvage(store=MemoryImmutableStore(cloud)) if isinstance(found, walogs.Gap)]
        assert [(gap.first_lsn, gap.last_lsn, gap.segment) for gap in gaps] == [(3, None, newest)], what
        assert report.gaps == tuple(gaps), what
        refused += 1
    assert refused > len(places)
    into = walogs.salvage_into(None, tmp_path / "new", walogs.WalConfig(store=MemoryImmutableStore(cloud)))
    assert into.gaps == report.gaps


@pytest.mark.guarantee("G6")
def test_a_damaged_seal_still_says_that_a_segment_followed(place_of: Callable[..., Place]) -> None:
    log = plain()
    first, _ = lsns_of(log.files, log.newest)
    before = segment_name(log.newest - 1)
    seal = log.frames(log.newest - 1)[-1]
    damaged = {before: with_byte(log.files[before], seal.body_end - 20, 1)}
    place = place_of(without({**log.files, **damaged}, segment_name(log.newest), DURABLE_MARK))
    (gap,) = gaps_of(place)
    assert gap[:4] == (first, None, None, None)
    assert place.verify().gaps == place.repair("before", dry_run=True).lost == (gap,)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("is_gone", [False, True], ids=["unreadable", "gone"])
def test_a_gap_is_not_put_where_a_damaged_seal_has_taken_nothing(
    place_of: Callable[..., Place], *, is_gone: bool
) -> None:
    log = plain()
    for number in (2, 3):
        name, lost = segment_name(number - 1), segment_name(number)
        seal = log.frames(number - 1)[-1]
        files = {**log.files, name: with_byte(log.files[name], seal.body_end - 20, 1)}
        assert place_of(files).verify().ok
        place = place_of(without(files, lost) if is_gone else {**files, lost: b""})
        where = (None, None) if is_gone else (number, 0)
        assert [gap[:4] for gap in gaps_of(place)] == [(*lsns_of(log.files, number), *where)]
        (finding,) = (found for found in place.verify().findings if found.is_damage)
        assert (finding.segment, finding.lsn) == (number, lsns_of(log.files, number)[0])


@pytest.mark.guarantee("G6")
def test_a_gap_that_begins_with_a_missing_segment_is_not_put_into_a_later_one(place_of: Callable[..., Place]) -> None:
    log = plain()
    before = log.newest - 1
    files = without({**log.files, segment_name(log.newest): b""}, segment_name(before))
    place = place_of(files)
    (gap,) = gaps_of(place)
    assert gap[:4] == (lsns_of(log.files, before)[0], log.entries[-1][0], None, None)
    found = [finding for finding in place.verify().findings if finding.is_damage]
    assert [(finding.segment, finding.lsn) for finding in found] == [(log.newest, gap.first_lsn), (None, gap.first_lsn)]
