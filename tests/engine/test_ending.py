"""An open, verify, both kinds of reader and a backup give the same verdict on the end of a log (G6, G14)."""

from __future__ import annotations

import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.crash.small_logs import LOGS, SmallLog, disk_with
from tests.kit.logs import CHECKPOINT, DURABLE_MARK, SEAL, SECTOR, Frame, frames_of, segment_name, with_byte, zeroed
from tests.system.children import seed_of
from walogs.engine.observation import LOOKS_TO_SEARCH
from walogs.testing import MemoryStore

FRAME: Final = 64
"""Bytes of one entry of 12 bytes: a frame begins on every sector."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a log of 100 acknowledged entries, as a killed writer leaves them; `early`: an older durable
    mark."""
    path = tmp_path_factory.mktemp("whole") / "log"
    with walogs.open(path) as wal:
        for lsn in range(1, 101):
            wal.append(b"%012d" % lsn)
            if lsn == 5:
                early = (path / DURABLE_MARK).read_bytes()
        files = {file.name: file.read_bytes() for file in path.iterdir() if file.name != "LOCK"}
    return {**files, "early": early}


def put(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def ways_in(path: Path) -> dict[str, Callable[[], object]]:
    return {
        "a reader of what is durable": lambda: list(walogs.reader(path)),
        "a reader of what is written": lambda: list(walogs.reader(path, visibility="written")),
        "its commits": lambda: list(walogs.reader(path).commits()),
        "a reader that follows": lambda: list(walogs.reader(path).follow(timeout=0)),
        "a backup": lambda: walogs.backup(path, path.with_name("copy")),
        "open": lambda: walogs.open(path).close(),
    }


def refused_alike(path: Path) -> tuple[int | None, int | None, int | None]:
    """Every way in refuses it, at the same place, and so does verify."""
    places = {}
    for what, way_in in ways_in(path).items():
        with pytest.raises(walogs.Corrupt) as told:
            pytest.fail(f"{what} says nothing: {way_in()}")
        places[what] = told.value.segment, told.value.offset, told.value.lsn
    found = walogs.verify(path)
    assert not found.ok
    places["verify"] = found.findings[0].segment, found.findings[0].offset, found.findings[0].lsn
    assert len(set(places.values())) == 1, places
    return places["open"]


@pytest.mark.guarantee("G6", "G14")
@pytest.mark.parametrize("at", [512, 1024, 4096])
@pytest.mark.parametrize("durable_mark", ["lags", "gone"])
def test_a_sector_of_zeros_is_seen_by_whoever_reads(
    tmp_path: Path, whole: dict[str, bytes], durable_mark: str, at: int
) -> None:
    """What follows it testifies that it was synced: the search for that goes to the end of the segment."""
    name = segment_name(1)
    files = {name: zeroed(whole[name], at, at + SECTOR)}
    if durable_mark == "lags":
        files[DURABLE_MARK] = whole["early"]
    first_lost = (at - 512) // FRAME + 1
    assert refused_alike(put(tmp_path / "log", files)) == (1, at, first_lost)


@pytest.mark.guarantee("G6", "G14")
@pytest.mark.parametrize("seal", ["intact", "damaged"])
def test_the_newest_segment_and_the_durable_mark_gone_are_missed_by_whoever_reads(tmp_path: Path, seal: str) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append(b"one")
        wal.rotate()
        wal.append(b"two")
    (path / DURABLE_MARK).unlink()
    (path / segment_name(2)).unlink()
    first = path / segment_name(1)
    sealed = frames_of(first.read_bytes())[-1]
    assert sealed.kind == SEAL
    if seal == "damaged":
        first.write_bytes(with_byte(first.read_bytes(), sealed.offset + 53, 1))
    assert refused_alike(path) == (1, sealed.offset, 2)


def checkpointed_twice(path: Path, rotations: int, after: int) -> list[Frame]:
    """A log of an entry in each segment, with two CHECKPOINTs in its newest and *after* entries behind them; those
    CHECKPOINTs."""
    with walogs.open(path) as wal:
        for lsn in range(1, 4):
            wal.append(b"%d" % lsn)
            if lsn <= rotations:
                wal.rotate()
        wal.checkpoint(1)
        wal.checkpoint(2 if after or rotations < 3 else 3)
        for _ in range(after):
            wal.append(b"more")
        files = {file.name: file.read_bytes() for file in path.iterdir() if file.name != "LOCK"}
    for name, content in files.items():  # as a killed writer leaves them
        (path / name).write_bytes(content)
    newest = files[max(name for name in files if name != DURABLE_MARK)]
    return [frame for frame in frames_of(newest) if frame.kind == CHECKPOINT]


CHECKPOINTED: Final = {
    "after the last entry": (2, 0),
    "and nothing else": (3, 0),
    "before entries": (3, 2),
}


@pytest.mark.guarantee("G6", "G14")
@pytest.mark.parametrize("damage", ["flipped", "zeroed"])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("where", CHECKPOINTED)
def test_a_damaged_checkpoint_before_what_the_durable_mark_names_is_seen_by_whoever_reads(
    tmp_path: Path, where: str, which: int, damage: str
) -> None:
    """A look begins where the durable mark says. A reading of everything goes from the first entry to that place."""
    path, (rotations, after) = tmp_path / "log", CHECKPOINTED[where]
    frame = checkpointed_twice(path, rotations, after)[which]
    file = path / segment_name(rotations + 1)
    content = file.read_bytes()
    damaged = (
        with_byte(content, frame.offset + 42, 1) if damage == "flipped" else zeroed(content, frame.offset, frame.end)
    )
    file.write_bytes(damaged)
    assert refused_alike(path) == (rotations + 1, frame.offset, 4)


@pytest.mark.guarantee("G14")
def test_a_reader_that_stays_searches_again_after_so_many_looks(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """It does not read the whole segment at each look, and damage that comes under it is found all the same."""
    name, cut = segment_name(1), 512 + 50 * FRAME
    path = put(tmp_path / "log", {name: zeroed(whole[name], cut, len(whole[name]))})
    reader = walogs.reader(path, visibility="written")
    assert reader.last_lsn == 50
    (path / name).write_bytes(zeroed(whole[name], cut, cut + SECTOR))  # no durable mark says that more was synced
    with pytest.raises(walogs.Corrupt) as told:
        assert [reader.last_lsn for _ in range(LOOKS_TO_SEARCH + 1)] == []
    assert (told.value.offset, told.value.lsn) == (cut, 51)


# What an error advises


def damaged_once(log: SmallLog, rng: random.Random) -> dict[str, bytes]:
    """One or two faults of any kind, anywhere."""
    files = dict(log.files)
    if rng.random() < 0.5:
        del files[DURABLE_MARK]
    for _ in range(rng.choice((1, 1, 2))):
        segments = [name for name in files if name != DURABLE_MARK]
        if not segments:
            break
        name = rng.choice(segments)
        content = files[name]
        if rng.random() < 0.15:
            del files[name]
            continue
        at = rng.randrange(min(len(content), len(content.rstrip(b"\0")) + 8) or 1)
        kind = rng.choice(("flip", "sector", "cut"))
        if kind == "flip" and content:
            files[name] = with_byte(content, at, 1 << rng.randrange(8))
        elif kind == "sector":
            files[name] = zeroed(content, at // SECTOR * SECTOR, at // SECTOR * SECTOR + SECTOR)
        else:
            files[name] = content[:at]
    return files


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("name", sorted(LOGS))
def test_an_error_offers_prefix_where_that_opens_the_log_and_nowhere_else(name: str) -> None:
    log, seed = LOGS[name](), seed_of(f"advice, {name}")
    rng, offered, withheld = random.Random(seed), 0, 0
    for count in range(60):
        files = damaged_once(log, rng)
        said = refusal(files)
        if said is None:
            continue
        is_offered = 'recovery="prefix"' in said
        does_open = refusal(files, recovery="prefix") is None
        assert is_offered == does_open, f"{name}, seed {seed}, number {count}: {said}"
        offered, withheld = offered + is_offered, withheld + (not is_offered)
    print(f"{name}: offered {offered} times, withheld {withheld} times")


def refusal(files: dict[str, bytes], **config: str) -> str | None:
    try:
        walogs.open(store=MemoryStore(disk_with(files)), **config).close()  # type: ignore[arg-type]
    except (walogs.Corrupt, walogs.UnsupportedFormat) as error:
        return str(error)
    return None


@pytest.mark.guarantee("G6")
def test_prefix_is_not_offered_where_the_damage_took_the_first_lsn_with_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append(b"one")
        wal.rotate()
        wal.append(b"two")
        wal.checkpoint(1)
        wal.append(b"three")
    file = path / segment_name(2)
    (checkpoint,) = (frame for frame in frames_of(file.read_bytes()) if frame.kind == 3)
    file.write_bytes(with_byte(file.read_bytes(), checkpoint.offset + 42, 1))
    for config in ({}, {"recovery": "prefix"}):
        with pytest.raises(walogs.Corrupt) as told:
            walogs.open(path, **config)  # type: ignore[arg-type]
        assert "recovery=" not in str(told.value)
    report = walogs.repair(path)
    assert (report.first_lsn, report.last_lsn) == (2, 3)


@pytest.mark.guarantee("G14")
def test_a_durable_mark_of_before_a_segment_was_used_again_hides_no_entry(tmp_path: Path) -> None:
    """No frame begins where it says: what is there is read from the beginning of the segment."""
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append(b"cut")
        early = (path / DURABLE_MARK).read_bytes()
    name = path / segment_name(1)
    name.write_bytes(zeroed(name.read_bytes(), 512, len(name.read_bytes())))
    (path / DURABLE_MARK).unlink()
    with walogs.open(path) as wal:
        for lsn in range(1, 5):
            wal.append(b"longer than what was cut, %d" % lsn)
        entries = list(wal)
        said = (
            early[:48] + (path / DURABLE_MARK).read_bytes()[48:52] + early[52:60]
        )  # as if the salt had stayed the same
        (path / DURABLE_MARK).write_bytes(said + zlib.crc32(said).to_bytes(4, "little"))
        stale = {file.name: file.read_bytes() for file in path.iterdir() if file.name != "LOCK"}
    copy = put(tmp_path / "copy", stale)
    reader = walogs.reader(copy, visibility="written")
    for _ in range(3):
        assert list(reader) == entries


@pytest.mark.guarantee("G6", "G14")
@pytest.mark.parametrize("entries", [1, 2])
def test_a_mark_of_another_last_entry_of_the_same_size_is_believed_by_nobody(tmp_path: Path, entries: int) -> None:
    """A look begins where the durable mark says, and believes its link until the frames are read."""
    log, copy = tmp_path / "log", tmp_path / "other"
    with walogs.open(log) as wal:
        wal.append(b"1")
    shutil.copytree(log, copy)
    there = []
    for path, data in ((log, b"of the log."), (copy, b"of the copy")):
        with walogs.open(path) as wal:
            end = wal.append_batch([data] * entries)[-1]
            there.append({file.name: file.read_bytes() for file in path.iterdir() if file.name != "LOCK"})
    path = put(tmp_path / "killed", {**there[0], DURABLE_MARK: there[1][DURABLE_MARK]})
    offset = frames_of(there[0][segment_name(1)])[-1].end
    assert refused_alike(path) == (1, offset, end + 1)
