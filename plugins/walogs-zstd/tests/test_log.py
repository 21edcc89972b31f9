"""Whole logs with `codec="zstd"`: by name, everywhere, through kills and damage, and read by who names no codec."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import walogs
from tests.kit import stores
from tests.kit.lives import live
from tests.kit.logs import LogOnDisk, frame_bytes, numbered, salt_of
from tests.kit.stores import LogFactory
from walogs.assembly import registry
from walogs_zstd import ZstdCodec, ZstdOptions

TEXT = b"one tea, two milks; " * 20


@pytest.fixture(params=stores.SHAPES)
def factory(request: pytest.FixtureRequest, tmp_path: Path) -> LogFactory:
    return LogFactory(request.param, "crc32", tmp_path)


def test_the_name_is_found_through_its_entry_point() -> None:
    spec = registry.spec("codec", "zstd")
    assert (spec.name, spec.options, spec.api) == ("zstd", "walogs_zstd.options:ZstdOptions", 1)
    assert registry.options("codec", "zstd") is ZstdOptions
    assert registry.make("codec", "zstd").level == 3
    assert registry.make("codec", "zstd", options=ZstdOptions(level=9)).level == 9
    mine = [plugin for plugin in registry.all_plugins() if plugin.declared.distribution == "walogs-zstd"]
    assert [plugin.problems for plugin in mine] == [()]


@pytest.mark.guarantee("G1", "G2", "G16")
def test_a_log_lives(factory: LogFactory) -> None:
    live(factory, lambda: "zstd")
    factory.close()


def test_levels_take_turns_in_one_segment(factory: LogFactory) -> None:
    """Decoding needs none of them, so that no open is refused and no segment is begun for it."""
    expected = []
    for level in (3, 19, 1, -7, 3):
        wal = factory.open(codec=ZstdCodec(level))
        expected.append(b"level %d " % level * 50)
        wal.append(expected[-1])
        wal.close()
    wal = factory.open(codec="zstd")
    assert [data for _, data in wal] == expected
    if factory.appends:
        assert wal.segment_count == 1
    factory.close()


def test_it_takes_less_room(tmp_path: Path) -> None:
    logs = [LogOnDisk(tmp_path / codec, codec=codec).append(*[TEXT] * 100) for codec in ("crc32", "zstd")]
    plain, compressed = (log.frames(1)[-1].end for log in logs)
    assert compressed * 3 < plain


def test_whoever_only_looks_names_no_codec(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", codec="zstd") as wal:
        for n in range(9):
            wal.append(b"%d " % n + TEXT)
            if n == 4:
                wal.rotate()
        expected = list(wal)
        with walogs.reader(tmp_path / "log") as reader:
            assert list(reader) == expected
    assert walogs.verify(tmp_path / "log").ok
    assert [tuple(found) for found in walogs.salvage(tmp_path / "log") if isinstance(found, walogs.Entry)] == expected
    walogs.backup(tmp_path / "log", tmp_path / "copy")
    for path in ("log", "copy"):
        with walogs.open(tmp_path / path, codec="zstd") as wal:
            assert list(wal) == expected


def test_another_codec_is_refused_and_changed_to_when_asked(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log").append(b"plain")
    log.refuses(walogs.UnsupportedFormat, "codec 'crc32'", "opened with 'zstd'", "change_codec=True", codec="zstd")
    with log.open(codec="zstd", change_codec=True) as wal:
        wal.append(TEXT)
    log.refuses(walogs.UnsupportedFormat, "codec 'zstd'", "opened with 'crc32'")
    LogOnDisk(tmp_path / "log", codec="zstd").goes_on(numbered(1, b"plain", TEXT))


@pytest.mark.guarantee("G6")
def test_every_damaged_byte_of_acknowledged_frames_is_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = LogOnDisk(tmp_path / "log", codec="zstd").append(TEXT, b"short").append(TEXT, b"x" * 90, batch=True)
    entries, files = log.entries(), log.files()
    caplog.set_level(logging.CRITICAL)
    places = [offset for frame in log.frames(1) for offset in range(frame.offset, frame.body_end)]
    for offset in places:
        log.put(files).flip(1, offset, 1 << offset % 8)
        with pytest.raises(walogs.Corrupt):
            walogs.open(log.path, codec="zstd").close()
        assert not walogs.verify(log.path).ok
    log.put(files).goes_on(entries)


@pytest.mark.guarantee("G5")
def test_a_torn_end_is_cut_and_stays_cut(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log", codec="zstd").append(TEXT)
    log.append_and_die(TEXT + b"torn")
    torn = log.frames(1)[-1]
    log.forget_durable_mark().flip(1, torn.body_end - 6)
    log.goes_on(numbered(1, TEXT))


def test_a_bomb_under_a_right_check_is_refused_where_it_is_read(tmp_path: Path) -> None:
    """Whoever can write the log can compute a CRC: the log is intact, and opens."""
    log = LogOnDisk(tmp_path / "log", codec="zstd").append(b"a" * 600, b"b" * 600, b"c" * 600)
    target = log.forget_durable_mark().frames(1)[2]  # of any other the frame after it would tell
    size = target.body_bytes - 4
    bomb = (b"\1" + b"\x28\xb5\x2f\xfd\xa0\xff\xff\xff\xff" + bytes(size))[:size]
    salt = salt_of(log.segment(1).read_bytes())
    forged = frame_bytes(
        salt, target.offset, bomb, first_lsn=3, synced=target.synced, time_ns=target.time_ns, link=target.link
    )
    log.overwrite(1, target.offset, forged)
    assert walogs.verify(log.path).ok
    with log.open() as wal:
        with pytest.raises(walogs.Corrupt, match="no body is over 1073741824") as refused:
            wal.read(3)
        assert (refused.value.segment, refused.value.offset, refused.value.lsn) == (1, target.offset, 3)
        assert wal.append(b"d") == 4
        wal.rotate()
        assert wal.append(b"e") == 5
    with log.open() as wal:
        assert wal.read(5) == b"e"
