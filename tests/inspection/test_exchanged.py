"""Segment files that have each other's names are reported with the command that renames them, and never as lost."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Mapping
from itertools import permutations
from pathlib import Path

import pytest

import walogs
from tests.inspection import damaged_logs as logs
from tests.inspection.damaged_logs import PLACES, LocalPlace, Place, with_data_changed, with_header_damaged, without
from tests.kit.logs import Files, numbers_in, segment_name


@pytest.fixture(params=PLACES)
def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Files], Place]:
    count = iter(range(1000))
    return lambda files: PLACES[request.param](files, tmp_path / f"log-{next(count)}")


def renamed(files: Files, names: Mapping[int, int]) -> dict[str, bytes]:
    """Return the files with each of these segments under the name of another one."""
    others = without(files, *map(segment_name, names))
    return {**others, **{segment_name(new): files[segment_name(old)] for old, new in names.items()}}


def rings(count: int) -> list[dict[int, int]]:
    """Yield every way to exchange three of that many segments, or two pairs of them."""
    numbers = range(1, count + 1)
    return [
        {old: new for old, new in zip(numbers, order, strict=True) if old != new}
        for order in permutations(numbers)
        if 2 <= sum(old != new for old, new in zip(numbers, order, strict=True)) <= 4
    ]


def entries_in(found: list[walogs.Entry | walogs.Gap]) -> list[tuple[int, bytes]]:
    return [(item.lsn, item.data) for item in found if isinstance(item, walogs.Entry)]


def refusal_of(place: Place, keep: str = "before", *, dry_run: bool = False) -> walogs.Corrupt:
    state = place.state()
    with pytest.raises(walogs.Corrupt) as refused:
        place.repair(keep, dry_run=dry_run)
    assert place.state() == state
    return refused.value


@pytest.mark.guarantee("G6")
def test_exchanged_files_lose_nothing_and_are_told_as_exchanged(place_of: Callable[[Files], Place]) -> None:
    log = logs.plain()
    for names in rings(len(numbers_in(log.files))):
        place = place_of(renamed(log.files, names))
        found = place.salvage()
        assert entries_in(found) == log.entries, names
        assert len(found) == len(log.entries), names
        report = place.verify()
        assert [finding.is_damage for finding in report.findings] == [True], report
        told = report.findings[0].message
        for old, new in names.items():
            assert f"{segment_name(new)} is segment {old}" in told
        assert (report.entries, report.first_lsn, report.last_lsn) == (len(log.entries), 1, log.entries[-1][0])
        for keep in ("before", "after"):
            for dry_run in (True, False):
                assert told.partition(" Rename")[0] in str(refusal_of(place, keep, dry_run=dry_run))


@pytest.mark.guarantee("G6")
def test_the_commands_that_are_told_give_each_file_its_name_again(tmp_path: Path) -> None:
    log = logs.plain()
    count = len(numbers_in(log.files))
    shifted = {number: number + 1 for number in range(1, count + 1)}
    alone = {3: 9}
    for turn, names in enumerate((*random.Random(1).sample(rings(count), 12), shifted, alone)):
        place = LocalPlace(renamed(log.files, names), tmp_path / f"a log, {turn}")
        message = str(refusal_of(place))
        command = message.splitlines()[-1]
        subprocess.run(["/bin/sh", "-c", command], check=True, timeout=300)
        assert place.files() == dict(log.files), command
        with place.open() as wal:
            assert list(wal) == log.entries


@pytest.mark.guarantee("G6")
def test_whoever_opens_or_reads_is_told_the_commands(tmp_path: Path) -> None:
    log = logs.plain()
    count = len(numbers_in(log.files))
    for turn, names in enumerate(
        ({1: 2, 2: 1}, {count: 1, 1: count}, {number: number + 1 for number in range(1, count + 1)})
    ):
        for how, call in (
            ("open", lambda place: place.open()),
            ("read", lambda place: list(walogs.reader(place.log.path, visibility="written"))),
        ):
            place = LocalPlace(renamed(log.files, names), tmp_path / f"{how}-{turn}")
            with pytest.raises(walogs.Corrupt) as told:
                call(place)
            facts, move, command = str(told.value).splitlines()
            assert facts == f"{told.value.damage} Nothing was changed."
            assert move == "Next: give each segment file its name again, and check the log then:"
            subprocess.run(["/bin/sh", "-c", command], check=True, timeout=300)
            with place.open() as wal:
                assert list(wal) == log.entries


def test_damage_of_another_kind_is_told_as_before(place_of: Callable[[Files], Place]) -> None:
    log = logs.plain()
    for files in (
        with_header_damaged(log.files, 2),
        {**log.files, segment_name(3): log.files[segment_name(2)]},
    ):
        with pytest.raises(walogs.Corrupt) as told:
            place_of(files).open()
        assert "\nNext: restore the log from a backup" in str(told.value)
        assert "mv " not in str(told.value)


def test_nothing_is_overwritten_by_the_commands(tmp_path: Path) -> None:
    log = logs.plain()
    place = LocalPlace(renamed(log.files, {2: 3, 3: 2}), tmp_path / "log")
    command = str(refusal_of(place)).splitlines()[-1]
    assert command.count("mv -n ") == command.count("mv ") == 3


@pytest.mark.guarantee("G6")
def test_other_damage_among_exchanged_files_is_told_too(place_of: Callable[[Files], Place]) -> None:
    log = logs.plain()
    files = with_data_changed(log.files, b"entry 7, ")
    (bad,) = {lsn for lsn, _ in log.entries} - {lsn for lsn, _ in entries_in(place_of(files).salvage())}
    place = place_of(renamed(files, {1: 2, 2: 3, 3: 1}))
    assert entries_in(place.salvage()) == [entry for entry in log.entries if entry[0] != bad]
    first, second = place.verify().findings
    assert "have the names of others" in first.message
    assert second.lsn == bad


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("damaged", [2, 3])
def test_one_damaged_header_in_a_ring_is_named_by_what_is_left(
    place_of: Callable[[Files], Place], damaged: int
) -> None:
    log = logs.plain()
    place = place_of(renamed(with_header_damaged(log.files, damaged), {2: 3, 3: 4, 4: 2}))
    assert entries_in(place.salvage()) == log.entries
    for old, new in ((2, 3), (3, 4), (4, 2)):
        assert f"{segment_name(new)} is segment {old}" in str(refusal_of(place))


def test_a_copy_over_another_segment_is_no_exchange(place_of: Callable[[Files], Place]) -> None:
    """The segment that had this name is lost."""
    log = logs.plain()
    files = {**log.files, segment_name(3): log.files[segment_name(2)]}
    place = place_of(files)
    first, last = logs.lsns_of(log.files, 3)
    assert entries_in(place.salvage()) == [entry for entry in log.entries if not first <= entry[0] <= last]
    assert not any("names of others" in finding.message for finding in place.verify().findings)
    report = place.repair("before")
    assert (report.first_lsn, report.last_lsn) == (1, first - 1)


def test_a_segment_of_another_log_is_not_taken_for_an_exchanged_one(
    tmp_path: Path, place_of: Callable[[Files], Place]
) -> None:
    log = logs.plain()
    with walogs.open(tmp_path / "other") as wal:
        for _ in range(8):
            wal.append(b"another log")
            wal.rotate()
    files = {**log.files, segment_name(2): (tmp_path / "other" / segment_name(3)).read_bytes()}
    place = place_of(files)
    assert not any("names of others" in finding.message for finding in place.verify().findings)
