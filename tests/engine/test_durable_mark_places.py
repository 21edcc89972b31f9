"""A durable mark that names another place than the log has: `open`, readers and `backup` say the same of it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.logs import DURABLE_MARK, frames_of
from walogs.formats import durable_mark
from walogs.formats.durable_mark import DurableMark

ENTRIES: Final = {lsn: b"entry %d" % lsn for lsn in range(1, 5)}
STEP: Final = 8


def read_durable(log: Path) -> list[int]:
    with walogs.reader(log) as reader:
        return [lsn for lsn, _ in reader]


def read_written(log: Path) -> list[int]:
    with walogs.reader(log, visibility="written") as reader:
        return [lsn for lsn, _ in reader]


def backed_up(log: Path) -> list[int]:
    copy = log.parent / "copy"
    walogs.backup(log, copy)
    with walogs.open(copy) as wal:
        return list(dict(wal))


def closed_log(tmp_path: Path) -> tuple[Path, DurableMark]:
    """Make a log of `ENTRIES`, close it, and return its path and its durable mark."""
    log = tmp_path / "log"
    with walogs.open(log) as wal:
        for data in ENTRIES.values():
            wal.append(data)
    mark = durable_mark.decode((log / DURABLE_MARK).read_bytes())
    assert mark is not None
    return log, mark


def written_with_mark(log: Path, synced: int, last_lsn: int, link: bytes, mark: DurableMark) -> None:
    data = durable_mark.encode(mark.log_id, mark.segment, synced, last_lsn, mark.salt, link)
    (log / DURABLE_MARK).write_bytes(data)


@pytest.mark.guarantee("G6", "G14")
@pytest.mark.parametrize("link", [b"", b"else"], ids=["link of its own", "link of another history"])
def test_a_mark_below_the_end_says_only_how_far_bytes_were_synced(link: bytes, tmp_path: Path) -> None:
    log, mark = closed_log(tmp_path)
    frames = frames_of((log / "wal-000001.log").read_bytes())
    testified = max(frame.synced for frame in frames)
    places = range(frames[0].offset, mark.synced + 1, STEP)
    for number, (synced, last_lsn) in enumerate(product(places, range(len(ENTRIES)))):
        written_with_mark(log, synced, last_lsn, link or mark.link, mark)
        synced_to = max(synced, testified)
        durable = [frame.first_lsn for frame in frames if frame.end <= synced_to]
        assert read_written(log) == list(ENTRIES), (synced, last_lsn)
        assert read_durable(log) == durable, (synced, last_lsn)
        (tmp_path / str(number)).mkdir()
        report = walogs.backup(log, tmp_path / str(number) / "copy")
        assert report.last_lsn == durable[-1], (synced, last_lsn)
        assert walogs.verify(log).ok, (synced, last_lsn)
    with walogs.open(log) as wal:
        assert dict(wal) == ENTRIES


@pytest.mark.guarantee("G6", "G14")
@pytest.mark.parametrize("link", [b"", b"else"], ids=["an entry too many", "link of another history"])
def test_a_mark_that_misses_an_entry_is_damage_to_all(link: bytes, tmp_path: Path) -> None:
    log, mark = closed_log(tmp_path)
    last_lsn = len(ENTRIES) if link else len(ENTRIES) + 1
    for synced in range(512, mark.synced + 1, STEP):
        written_with_mark(log, synced, last_lsn, link or mark.link, mark)
        for way_in in (read_written, read_durable, backed_up, walogs.open):
            with pytest.raises(walogs.Corrupt):
                way_in(log)
