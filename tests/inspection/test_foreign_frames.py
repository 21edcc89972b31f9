"""A frame of a copy that went on by itself is no entry of the log, and everybody says so of the same entry."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.engine.test_links import CODECS, exchanged, two_copies
from tests.inspection.damaged_logs import LocalPlace, goes_on, kept_of
from tests.kit.logs import Files, segment_name


def foreign(tmp_path: Path, codec: Any, at: int, *, is_sealed: bool) -> Files:
    """Return a log of six entries. That at this position is of a copy."""
    ours, theirs = two_copies(tmp_path, 2, 4, 40, codec, is_sealed=is_sealed)
    exchanged(ours, theirs, at)
    return ours.files()


def lsns(gaps: Any) -> list[int]:
    return [lsn for gap in gaps for lsn in range(gap.first_lsn, (gap.last_lsn or gap.first_lsn) + 1)]


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(("at", "is_sealed"), [(2, False), (3, False), (4, False), (2, True), (4, True), (5, True)])
def test_what_is_lost_to_a_foreign_frame_is_never_kept(tmp_path: Path, name: str, at: int, *, is_sealed: bool) -> None:
    files = foreign(tmp_path, CODECS[name](), at, is_sealed=is_sealed)
    number = count()

    def place() -> LocalPlace:
        return LocalPlace(files, tmp_path / f"log {next(number)}", CODECS[name]())

    entries = [tuple(found) for found in place().salvage() if isinstance(found, walogs.Entry)]
    lost = lsns(place().verify().gaps)
    assert at + 1 in lost
    for keep in (None, *place().repair(None, dry_run=True).sides):
        repaired = place()
        foretold, report = repaired.repair(keep, dry_run=True), repaired.repair(keep)
        assert (report.first_lsn, report.last_lsn) == (foretold.first_lsn, foretold.last_lsn)
        assert lsns(report.lost) == lost
        assert not set(lost).intersection(range(report.first_lsn, report.last_lsn + 1)), f"{keep}: {report}"
        goes_on(repaired, kept_of(report, entries), f"{keep}")  # type: ignore[arg-type]


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(("at", "is_sealed"), [(2, False), (3, False), (4, False), (2, True), (4, True), (5, True)])
def test_everybody_names_the_first_entry_in_doubt(tmp_path: Path, name: str, at: int, *, is_sealed: bool) -> None:
    place = LocalPlace(foreign(tmp_path, CODECS[name](), at, is_sealed=is_sealed), tmp_path / "log", CODECS[name]())
    first = lsns(place.verify().gaps)[0]
    found = {finding.lsn for finding in place.verify().findings if finding.is_damage}
    assert min(lsn for lsn in found if lsn is not None) == first
    with pytest.raises(walogs.Corrupt) as refused:
        place.open()
    assert refused.value.lsn == first
    with (
        pytest.raises(walogs.Corrupt) as refused,
        walogs.reader(place.log.path, codec=CODECS[name](), visibility="written") as reader,
    ):
        list(reader)
    assert refused.value.lsn == first
    with pytest.raises(walogs.Corrupt) as refused:
        walogs.backup(place.log.path, tmp_path / "copy", codec=CODECS[name]())
    assert refused.value.lsn == first


@pytest.mark.guarantee("G6")
def test_what_a_segment_holds_beyond_its_successor_is_never_kept(tmp_path: Path) -> None:
    """Two entries of a copy follow the last one of the segment. The next segment holds the log's own."""
    ours, theirs = two_copies(tmp_path, 3, 2, 40, "crc32", is_sealed=False)
    common = ours.frames(1)[2].end
    ours.cut(1, common).forget_durable_mark()
    ours.append(b"four")
    ours.append(b"five").flip(2, ours.frames(2)[-1].offset + 50)
    kept = ours.segment(1).read_bytes()[:common] + theirs.segment(1).read_bytes()[common:]
    ours.segment(1).write_bytes(kept)
    place = LocalPlace(ours.files(), tmp_path / "log")
    entries = [tuple(found) for found in place.salvage() if isinstance(found, walogs.Entry)]
    assert entries[3] == (4, b"four")
    report = place.repair("before")
    assert (report.first_lsn, report.last_lsn) == (1, 4)
    goes_on(place, kept_of(report, entries), "before")  # type: ignore[arg-type]


def copies_that_went_on(tmp_path: Path, ours: tuple[int, ...], theirs: tuple[int, ...]) -> tuple[Path, Path]:
    """Return two copies of a log of four entries. Each has gone on with so many entries in each of its segments."""
    log, copy = tmp_path / "ours", tmp_path / "theirs"
    with walogs.open(log) as wal:
        wal.append_batch([b"common"] * 4)
    shutil.copytree(log, copy)
    for path, counts in ((log, ours), (copy, theirs)):
        with walogs.open(path) as wal:
            for number, entries in enumerate(counts):
                if number:
                    wal.rotate()
                for _ in range(entries):
                    wal.append(b"%s %d" % (path.name.encode(), wal.next_lsn))
    return log, copy


@pytest.mark.guarantee("G6", "G13")
def test_a_foreign_segment_that_begins_after_its_successor_hides_no_entry_of_it(tmp_path: Path) -> None:
    log, copy = copies_that_went_on(tmp_path, (2, 4, 2, 1), (9, 3, 2))
    shutil.copyfile(copy / segment_name(2), log / segment_name(2))  # it begins at 14, and the next one at 11
    found = list(walogs.salvage(log))
    assert [item.lsn for item in found if isinstance(item, walogs.Entry)] == [*range(1, 7), 11, 12, 13]
    assert [item[:2] for item in found if isinstance(item, walogs.Gap)] == [(7, 10)]
    assert lsns(walogs.verify(log).gaps) == [7, 8, 9, 10]
    report = walogs.repair(log, keep="after")
    assert (report.first_lsn, report.last_lsn, lsns(report.lost)) == (11, 13, [7, 8, 9, 10])
    with walogs.open(log) as wal:
        assert list(wal) == [(lsn, b"ours %d" % lsn) for lsn in (11, 12, 13)]


@pytest.mark.guarantee("G14")
def test_a_reader_never_goes_from_one_history_to_another(tmp_path: Path) -> None:
    """The second of two segments of a copy begins with the entry after the first one of the next segment of ours."""
    log, copy = copies_that_went_on(tmp_path, (2, 1, 4, 1), (4, 4, 1))
    for number in (1, 2):
        shutil.copyfile(copy / segment_name(number), log / segment_name(number))
    with pytest.raises(walogs.Corrupt):
        walogs.open(log)
    returned = list[bytes]()
    with walogs.reader(log) as reader, pytest.raises(walogs.Corrupt):
        returned.extend(data for _, data in reader)
    assert not [data for data in returned if data.startswith(b"ours")]
