"""What a repair refuses to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

import walogs
from tests.cli.commands import everything_in
from tests.crash.small_logs import written
from tests.inspection import damaged_logs as logs
from tests.inspection.damaged_logs import LocalPlace, Place, with_data_changed, with_header_damaged, without
from tests.kit.logs import DURABLE_MARK, segment_name, with_byte
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

# Refused


def refused(place: Place, error: type[Exception], *phrases: str) -> None:
    """It is refused whatever the options are, and nothing changes."""
    state = place.state()
    for keep in ("before", "after"):
        for dry_run in (True, False):
            with pytest.raises(error) as told:
                place.repair(keep, dry_run=dry_run)
            assert place.state() == state
            print(told.value)
            assert [phrase for phrase in phrases if phrase not in str(told.value)] == []


@pytest.mark.guarantee("G6")
def test_where_nothing_is_intact_nothing_is_changed(place_of: Callable[..., Place]) -> None:
    log = written("one", lambda wal: wal.append(b"the only entry"))
    refused(place_of(with_data_changed(log.files, b"the only")), walogs.Corrupt, "no entry in it is intact", "move")
    without_durable_mark = without(with_header_damaged(log.files, 1), DURABLE_MARK)
    refused(place_of(without_durable_mark), walogs.Corrupt, "no entry in it is intact")
    refused(place_of({DURABLE_MARK: log.files[DURABLE_MARK]}), walogs.Corrupt, "segments are gone")


@pytest.mark.guarantee("G6")
def test_segments_of_two_logs_are_not_chosen_from(place_of: Callable[..., Place]) -> None:
    log, other = logs.plain(), logs.plain(seed=99)
    assert log.files[segment_name(2)][16:32] != other.files[segment_name(2)][16:32]
    foreign = {**log.files, segment_name(2): other.files[segment_name(2)]}
    refused(place_of(foreign), walogs.Corrupt, "of another log than", "move away")
    beyond = {**log.files, segment_name(9): with_byte(other.files[segment_name(2)], 48, 2 ^ 9)}
    assert not place_of(beyond).verify().ok


@pytest.mark.guarantee("G6")
def test_what_another_release_wrote_is_left_alone(place_of: Callable[..., Place]) -> None:
    log = logs.plain()
    header = bytearray(log.files[segment_name(2)])
    header[8] = 2
    header[508:512] = crc32(header[:508]).to_bytes(4, "little")
    refused(place_of({**log.files, segment_name(2): bytes(header)}), walogs.UnsupportedFormat, "format version 2")


def test_where_there_is_no_log_nothing_is_made(tmp_path: Path) -> None:
    for path in (tmp_path / "typo", tmp_path):
        for dry_run in (True, False):
            with pytest.raises(walogs.LogNotFound, match="holds no log"):
                walogs.repair(path, dry_run=dry_run)
    with pytest.raises(walogs.LogNotFound):
        walogs.repair(store=MemoryStore(MemoryDisk()))
    (tmp_path / "garbled").mkdir()
    (tmp_path / "garbled" / DURABLE_MARK).write_bytes(b"garbled")
    with pytest.raises(walogs.LogNotFound):
        walogs.repair(tmp_path / "garbled")
    (tmp_path / "garbled" / DURABLE_MARK).unlink()
    (tmp_path / "garbled" / "LOCK").unlink()
    (tmp_path / "garbled").rmdir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.guarantee("G13")
def test_a_log_that_is_open_is_not_repaired(tmp_path: Path) -> None:
    place = LocalPlace(logs.plain().files, tmp_path / "log")
    with place.open() as wal:
        wal.append(b"another")
        place.log.put(with_data_changed(place.files(), b"entry 7, "))
        state = place.state()
        for keep in ("before", "after"):
            with pytest.raises(walogs.Locked, match="open for writing"):
                place.repair(keep)
            assert place.repair(keep, dry_run=True).is_dry_run
        assert place.state() == state


@pytest.mark.guarantee("G13")
def test_a_log_that_opens_needs_no_lock(tmp_path: Path) -> None:
    store = MemoryStore(MemoryDisk())
    with walogs.open(store=store) as wal, walogs.open(tmp_path) as local:
        for one in (wal, local):
            one.append(b"one")
        before = everything_in(tmp_path)
        for keep in (None, "before", "after"):
            for dry_run in (True, False):
                for report in (
                    walogs.repair(store=MemoryStore(store.disk), keep=keep, dry_run=dry_run),
                    walogs.repair(tmp_path, keep=keep, dry_run=dry_run),
                ):
                    assert (report.refusal, report.last_lsn, report.sides) == (None, 1, ())
                    assert report.is_dry_run == dry_run
        assert everything_in(tmp_path) == before
        for one in (wal, local):
            assert one.append(b"two") == 2


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_store_whose_segments_cannot_be_replaced_is_told_so_if_the_log_is_damaged(*, dry_run: bool) -> None:
    cloud = MemoryCloud()
    with pytest.raises(walogs.LogNotFound):
        walogs.repair(store=MemoryImmutableStore(cloud), dry_run=dry_run)
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        wal.append(b"one")
        number = wal.append(b"two")
    report = walogs.repair(store=MemoryImmutableStore(cloud), dry_run=dry_run)
    assert (report.refusal, report.last_lsn, report.is_dry_run) == (None, number, dry_run)
    for segment, data in cloud.objects.items():
        cloud.objects[segment] = data.replace(b"one", b"ONE")
    before = dict(cloud.objects)
    with pytest.raises(walogs.Corrupt, match="walogs salvage") as refused_by_open:
        walogs.open(store=MemoryImmutableStore(cloud))
    assert "repair" not in str(refused_by_open.value)
    with pytest.raises(walogs.ConfigError, match=r"does not open.*RepairableStore.*salvage"):
        walogs.repair(store=MemoryImmutableStore(cloud), dry_run=dry_run)
    assert cloud.objects == before


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ({"keep": "both"}, "'before' or 'after'"),
        ({"keep": ""}, "'before' or 'after', or None"),
        ({"dry_run": "no"}, "True or False"),
        ({"recover": "x"}, "recover: no such key (there are: store, codec, path, config, keep, dry_run)"),
        ({"codec": "nonesuch"}, "nonesuch"),
        ({"config": {}}, "a WalConfig"),
    ],
)
def test_bad_arguments_are_told_and_change_nothing(tmp_path: Path, arguments: dict[str, object], phrase: str) -> None:
    place = LocalPlace(with_data_changed(logs.plain().files, b"entry 7, "), tmp_path / "log")
    state = place.state()
    with pytest.raises(walogs.ConfigError) as told:
        walogs.repair(place.log.path, **arguments)  # type: ignore[arg-type]
    assert phrase in str(told.value)
    assert place.state() == state
    for path in (None, "", 7, b"log"):
        with pytest.raises((walogs.ConfigError, TypeError)):
            walogs.repair(path)  # type: ignore[arg-type]


def test_what_is_set_aside_is_ignored_by_everything(tmp_path: Path) -> None:
    place = LocalPlace(with_data_changed(logs.plain().files, b"entry 7, "), tmp_path / "log")
    report = walogs.repair(place.log.path)
    assert report.set_aside
    for name in report.set_aside:
        (place.log.path / name).write_bytes(b"anything at all")
    with walogs.open(place.log.path) as wal:
        entries = list(wal)
        wal.append(b"next")
        wal.rotate()
        wal.checkpoint(wal.last_lsn)
    assert walogs.verify(place.log.path).ok
    with walogs.reader(place.log.path) as reader:
        assert reader.last_lsn == entries[-1][0] + 1
    walogs.backup(place.log.path, tmp_path / "copy")
    assert not [path for path in (tmp_path / "copy").iterdir() if path.name.startswith("damaged-")]
    assert {path.name for path in place.log.path.iterdir()} >= set(report.set_aside)


def test_the_files_set_aside_and_the_untouched_ones_are_the_log_as_it_was(place_of: Callable[..., Place]) -> None:
    log = logs.plain()
    files = with_data_changed(log.files, b"entry 11, ")
    for keep in ("before", "after"):
        place = place_of(files)
        found = place.salvage()
        report = place.repair(keep)
        after = place.files()
        back = {f"wal-{name.split('-')[1]}.log": after[name] for name in report.set_aside}
        assert place_of(without({**after, **back}, *report.set_aside)).salvage() == found


# Everything at once


def test_a_wrong_option_is_shown_as_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(walogs.ConfigError, match=r"^keep='before': "):
        walogs.repair(tmp_path, keep=Path("before"))  # type: ignore[arg-type]
    with pytest.raises(walogs.ConfigError, match=r"^dry_run='log': "):
        walogs.repair(tmp_path, dry_run=Path("log"))  # type: ignore[arg-type]
