"""`salvage_into` puts the intact entries into a new log, byte for byte, and reports their LSNs there."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.cli.commands import everything_in
from tests.inspection import damaged_logs as logs
from tests.inspection.damaged_logs import CODECS, LocalPlace, with_data_changed, with_header_damaged, without
from tests.kit.logs import segment_name
from walogs.inspection.partial import MARK


def old_to_new(report: walogs.types.SalvageReport) -> dict[int, int]:
    return {lsn: lsn - first + new for first, last, new in report.stretches for lsn in range(first, last + 1)}


@pytest.mark.guarantee("G6", "G12")
@pytest.mark.parametrize("codec", CODECS)
def test_every_intact_entry_is_in_the_new_log_where_the_report_says(tmp_path: Path, codec: str) -> None:
    log = logs.plain(CODECS[codec]())
    entries = dict(log.entries)
    damages = {
        "nothing": log.files,
        "header": with_header_damaged(log.files, 2),
        "gone": without(log.files, segment_name(3)),
    }
    if codec == "crc32":  # what is compressed is not found by its data
        one = with_data_changed(log.files, b"entry 7, ")
        two = with_data_changed(one, b"entry 22, ")
        damages |= {"one": one, "two": two, "first": with_data_changed(log.files, b"entry 1, ")}
    for what, files in damages.items():
        place = LocalPlace(files, tmp_path / what, CODECS[codec]())
        before = everything_in(place.log.path)
        report = walogs.salvage_into(place.log.path, tmp_path / f"{what}-new", codec=CODECS[codec]())
        made = walogs.verify(tmp_path / f"{what}-new", codec=CODECS[codec]())
        assert made.findings == (), what
        assert (made.segments, made.entries) == (1, report.entries)
        assert everything_in(place.log.path) == before
        found = place.salvage()
        assert list(report.gaps) == [item for item in found if isinstance(item, walogs.Gap)]
        moved = old_to_new(report)
        intact = [item.lsn for item in found if isinstance(item, walogs.Entry)]
        assert sorted(moved) == intact
        assert report.entries == len(intact)
        with walogs.open(tmp_path / f"{what}-new", codec=CODECS[codec]()) as wal:
            assert (wal.first_lsn, wal.last_lsn) == (report.first_lsn, report.last_lsn)
            assert dict(wal) == {new: entries[old] for old, new in moved.items()}
            assert wal.first_lsn == intact[0]
            assert wal.append(b"goes on") == report.last_lsn + 1
        assert walogs.verify(tmp_path / f"{what}-new", codec=CODECS[codec]()).ok
        if what in ("nothing", "header"):
            assert all(old == new for old, new in moved.items()), "without a gap every entry keeps its LSN"


def test_a_batch_stays_one_commit(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append_batch([b"1", b"2", b"3"])
        wal.append(b"4")
    walogs.salvage_into(tmp_path / "log", tmp_path / "new")
    with walogs.open(tmp_path / "new") as wal:
        assert [(commit.first_lsn, commit.last_lsn) for commit in wal.commits()] == [(1, 3), (4, 4)]


def test_a_log_that_was_checkpointed_goes_on_with_its_lsns(tmp_path: Path) -> None:
    log = logs.checkpointed()
    place = LocalPlace(log.files, tmp_path / "log")
    report = walogs.salvage_into(place.log.path, tmp_path / "new")
    assert all(old == new for old, new in old_to_new(report).items())
    with walogs.open(tmp_path / "new") as wal:
        assert [entry for entry in wal if entry[0] >= log.entries[0][0]] == log.entries


@pytest.mark.guarantee("G17")
def test_where_it_cannot_be_made_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = LocalPlace(logs.plain().files, tmp_path / "log")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for into, error in (
        (tmp_path / "full", FileExistsError),
        (tmp_path / "log", walogs.ConfigError),
        (tmp_path / "log" / "in", walogs.ConfigError),
    ):
        with pytest.raises(error):
            walogs.salvage_into(place.log.path, into)
    with pytest.raises(walogs.LogNotFound):
        walogs.salvage_into(tmp_path / "typo", tmp_path / "new")
    nothing = LocalPlace(with_data_changed({**logs.plain().files}, b"entry 1, "), tmp_path / "nothing")
    for file in nothing.log.path.glob("wal-*.log"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(walogs.Corrupt, match="no entry in it is intact"):
        walogs.salvage_into(nothing.log.path, tmp_path / "new")

    def fails(self: Any, entries: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(walogs.Wal, "append_batch", fails)
    with pytest.raises(KeyboardInterrupt):
        walogs.salvage_into(place.log.path, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "log", "nothing"]
    assert not [path for path in tmp_path.rglob("*") if MARK in path.name]


@pytest.mark.guarantee("G17")
def test_a_file_of_somebody_else_in_the_partial_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = LocalPlace(logs.plain().files, tmp_path / "log")

    def interfered(self: Any, entries: Any) -> Any:
        (partial,) = (path for path in tmp_path.iterdir() if MARK in path.name)
        (partial / "notes.txt").write_text("mine")
        raise KeyboardInterrupt

    monkeypatch.setattr(walogs.Wal, "append_batch", interfered)
    with pytest.raises(KeyboardInterrupt):
        walogs.salvage_into(place.log.path, tmp_path / "new")
    (left,) = (path for path in tmp_path.iterdir() if MARK in path.name)
    assert [path.name for path in left.iterdir()] == ["notes.txt"]


@pytest.mark.guarantee("G6")
def test_many_damaged_places(tmp_path: Path) -> None:
    rng = random.Random(4)
    with walogs.open(tmp_path / "log", max_segment_size=3000) as wal:
        written = {wal.append(data): data for data in (rng.randbytes(rng.randrange(200)) for _ in range(120))}
    for file in tmp_path.glob("log/wal-*.log"):
        content = bytearray(file.read_bytes())
        for _ in range(4):
            content[rng.randrange(len(content))] ^= 1
        file.write_bytes(content)
    report = walogs.salvage_into(tmp_path / "log", tmp_path / "new")
    moved = old_to_new(report)
    assert 60 < len(moved) < 120
    with walogs.open(tmp_path / "new") as wal:
        assert dict(wal) == {new: written[old] for old, new in moved.items()}


@pytest.mark.guarantee("G17")
def test_a_new_log_inside_the_damaged_one_is_refused_by_the_name_of_its_parameter(tmp_path: Path) -> None:
    place = LocalPlace(logs.plain().files, tmp_path / "log")
    for into, why in ((tmp_path / "log", "the log itself"), (tmp_path / "log" / "new", "inside the log")):
        with pytest.raises(walogs.ConfigError, match=f"^into='{into}': {why}"):
            walogs.salvage_into(place.log.path, into)
