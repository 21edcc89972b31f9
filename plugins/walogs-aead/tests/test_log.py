"""Whole logs with `codec="aead"`, and what can be done with them without the key."""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from typing import Any, Final, get_args

import pytest

import walogs
from tests.kit import stores
from tests.kit.forger import reheader
from tests.kit.lives import live
from tests.kit.logs import LogOnDisk, numbered
from tests.kit.stores import LogFactory
from walogs.assembly import registry
from walogs_aead import AeadCodec, AeadOptions, MissingKey, WrongKey
from walogs_aead.options import Cipher

KEY: Final = bytes(range(32))
OTHER: Final = bytes(range(1, 33))
TEXT: Final = b"one tea, two milks; " * 20


def codec(key_id: str = "1", **options: Any) -> AeadCodec:
    return AeadCodec({"1": KEY, "2": OTHER}, key_id, **options)


@pytest.fixture(params=stores.SHAPES)
def factory(request: pytest.FixtureRequest, tmp_path: Path) -> LogFactory:
    return LogFactory(request.param, "crc32", tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> LogOnDisk:
    return LogOnDisk(tmp_path / "log", codec=codec())


def test_the_name_is_found_through_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = registry.spec("codec", "aead")
    assert (spec.name, spec.options, spec.api) == ("aead", "walogs_aead.options:AeadOptions", 1)
    assert registry.options("codec", "aead") is AeadOptions
    monkeypatch.setenv("ORDERS_KEY", KEY.hex())
    assert registry.make("codec", "aead", options=AeadOptions("2026", "ORDERS_KEY")).key_id == "2026"
    mine = [plugin for plugin in registry.all_plugins() if plugin.declared.distribution == "walogs-aead"]
    assert [plugin.problems for plugin in mine] == [()]


@pytest.mark.guarantee("G1", "G2", "G16")
@pytest.mark.parametrize("cipher", get_args(Cipher))
def test_a_log_lives(factory: LogFactory, cipher: Cipher) -> None:
    live(factory, lambda: codec(cipher=cipher), turns=40)
    factory.close()


def test_a_log_lives_compressed(factory: LogFactory) -> None:
    live(factory, lambda: codec(compression="zstd"), turns=40)
    factory.close()


def test_by_name_the_key_is_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALOGS_AEAD_KEY", KEY.hex())
    with walogs.open(tmp_path, codec="aead") as wal:
        wal.append(TEXT)
    with walogs.open(tmp_path, codec="aead") as wal:
        assert wal.read(1) == TEXT
    with walogs.reader(tmp_path) as reader:
        assert list(reader) == [(1, TEXT)]


# Without the key


def test_a_log_is_opened_verified_and_backed_up_without_its_key(log: LogOnDisk, tmp_path: Path) -> None:
    log.append(TEXT, b"short").append(b"a", b"b", batch=True)
    assert walogs.verify(log.path).ok
    assert walogs.verify(log.path).entries == 4
    walogs.backup(log.path, tmp_path / "copy")
    for path in (log.path, tmp_path / "copy"):
        with walogs.open(path, codec=AeadCodec()) as wal:
            assert (wal.last_lsn, [commit.last_lsn for commit in wal.commits()]) == (4, [1, 2, 4])
            for look in (lambda wal=wal: wal.read(1), lambda wal=wal: list(wal)):
                with pytest.raises(MissingKey, match="WALOGS_AEAD_KEY") as refused:
                    look()
                assert refused.value.key_id == "1"
        with walogs.reader(path) as reader, pytest.raises(MissingKey):
            list(reader)
        with pytest.raises(MissingKey):
            list(walogs.salvage(path))
    assert [entry.data for entry in walogs.salvage(log.path, codec=codec()) if isinstance(entry, walogs.Entry)] == [
        TEXT,
        b"short",
        b"a",
        b"b",
    ]
    log.goes_on(numbered(1, TEXT, b"short", b"a", b"b"))


def test_a_wrong_key_is_refused_before_anything_is_changed(log: LogOnDisk, tmp_path: Path) -> None:
    """It is not taken for damage: what is damaged at the end is cut."""
    log.append(TEXT, b"short").forget_durable_mark()
    wrong = AeadCodec({"1": OTHER})
    log.refuses(WrongKey, "has as '1'", codec=wrong)
    log.refuses(WrongKey, "has as '1'", codec=wrong, recovery="prefix")
    for look in (
        lambda: walogs.verify(log.path, codec=wrong),
        lambda: walogs.reader(log.path, codec=wrong),
        lambda: list(walogs.salvage(log.path, codec=wrong)),
        lambda: walogs.backup(log.path, tmp_path / "copy", codec=wrong),
        lambda: walogs.repair(log.path, codec=wrong),
    ):
        with pytest.raises(WrongKey):
            look()
    log.goes_on(numbered(1, TEXT, b"short"))


def test_a_new_log_needs_its_key(tmp_path: Path) -> None:
    with pytest.raises(MissingKey):
        walogs.open(tmp_path / "new", codec=AeadCodec())
    assert not list((tmp_path / "new").glob("wal-*"))


def test_a_checkpoint_and_a_rotation_without_a_key_change_nothing(log: LogOnDisk) -> None:
    with log.open() as wal:
        wal.append(TEXT)
        wal.rotate()
        wal.append(b"short")
    files = log.files()
    with log.open(codec=AeadCodec()) as wal:
        for verb in (lambda: wal.checkpoint(1), wal.rotate):
            with pytest.raises(MissingKey):
                verb()
    assert log.files() == files
    log.goes_on(numbered(1, TEXT, b"short"))


def test_an_append_without_a_key_writes_nothing_and_the_handle_goes_on(log: LogOnDisk) -> None:
    log.append(TEXT)
    keys: dict[str, bytes] = {}
    with log.open(codec=AeadCodec(lambda key_id: keys[key_id])) as wal:
        for append in (lambda: wal.append(b"lost"), lambda: wal.append_batch([b"lost", b"too"])):
            with pytest.raises(MissingKey):
                append()
        with pytest.raises(MissingKey):
            wal.submit(b"lost").result()
        assert wal.last_lsn == 1
        keys["1"] = KEY
        assert wal.append(b"kept") == 2
    log.goes_on(numbered(1, TEXT, b"kept"))


@pytest.mark.guarantee("G5")
def test_a_torn_end_is_cut_without_a_key(log: LogOnDisk) -> None:
    log.append(TEXT)
    log.append_and_die(TEXT + b"torn")
    log.forget_durable_mark().flip(1, log.frames(1)[-1].body_end - 6)
    with log.open(codec=AeadCodec()) as wal:
        assert isinstance(wal.tail_state, walogs.TruncatedAt)
        assert wal.last_lsn == 1
    log.goes_on(numbered(1, TEXT))


@pytest.mark.guarantee("G6")
def test_every_damaged_byte_of_acknowledged_frames_is_seen_without_a_key(
    log: LogOnDisk, caplog: pytest.LogCaptureFixture
) -> None:
    log.append(b"short", b"x" * 60).append(b"a", b"batch", batch=True)
    entries, files = log.entries(), log.files()
    caplog.set_level(logging.CRITICAL)
    for offset in [offset for frame in log.frames(1) for offset in range(frame.offset, frame.body_end)]:
        log.put(files).flip(1, offset, 1 << offset % 8)
        with pytest.raises(walogs.Corrupt):
            walogs.open(log.path, codec=AeadCodec()).close()
        assert not walogs.verify(log.path).ok
    log.put(files).goes_on(entries)


# Rotating keys


def test_a_key_is_rotated_with_the_segment(factory: LogFactory) -> None:
    expected = []
    for turn, key_id in enumerate(("1", "2", "2", "1", "2")):
        wal = factory.open(codec=codec(key_id), change_codec=True)
        assert [data for _, data in wal] == expected
        expected += [b"with key %s, turn %d" % (key_id.encode(), turn), b"and again"]
        wal.append_batch(expected[-2:])
        wal.close()
    for _ in range(2):
        wal = factory.open(codec=codec("2"))
        assert [data for _, data in wal] == expected
        assert [wal.read(lsn) for lsn in range(1, len(expected) + 1)] == expected
        expected.append(b"again")
        wal.append(b"again")
        wal.close()
    wal = factory.open(codec=AeadCodec({"2": OTHER}, "2"))
    with pytest.raises(MissingKey, match="'1'"):
        wal.read(1)
    assert wal.read(len(expected)) == b"again"
    wal.close()
    factory.close()


def test_another_key_id_is_refused_unless_it_is_asked_for(log: LogOnDisk) -> None:
    log.append(TEXT)
    log.refuses(walogs.UnsupportedFormat, '"key_id":"1"', '"key_id":"2"', "change_codec=True", codec=codec("2"))
    log.refuses(walogs.UnsupportedFormat, "ChaCha20", codec=codec(cipher="ChaCha20-Poly1305"))
    with log.open(codec=codec("2"), change_codec=True) as wal:
        wal.append(b"with the new key")
        assert wal.segment_count == 2
    LogOnDisk(log.path, codec=codec("2")).goes_on(numbered(1, TEXT, b"with the new key"))


def test_a_key_file_is_relative_to_the_file_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "service"
    where.mkdir()
    (where / "keys").write_text("11" * 32)
    (where / "walogs.toml").write_text('[log.a]\npath = "a"\ncodec = { use = "aead", key_file = "keys" }\n')
    monkeypatch.chdir(tmp_path)
    with walogs.open_config(where / "walogs.toml", log="a") as wal:
        wal.append(b"under the key beside the file")
        assert wal.read(1) == b"under the key beside the file"
    (where / "walogs.toml").write_text('[log.a]\npath = "a"\ncodec = { use = "aead", key_file = "~/keys" }\n')
    with pytest.raises(walogs.ConfigError, match="~ stands for no directory"):
        walogs.load_config(where / "walogs.toml", log="a")


def test_a_plain_log_goes_on_encrypted_where_the_codec_may_read_it(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log").append(b"plain")
    log.refuses(walogs.UnsupportedFormat, "codec 'crc32'", "reads=('crc32',)", codec=codec(), change_codec=True)
    with log.open(codec=codec(reads=["crc32"]), change_codec=True) as wal:
        wal.append(b"secret")
    assert b"secret" not in b"".join(log.files().values())
    LogOnDisk(log.path, codec=codec(reads=["crc32"])).goes_on(numbered(1, b"plain", b"secret"))
    (tmp_path / "walogs.toml").write_text(
        '[log.a]\npath = "log"\ncodec = { use = "aead", key_env = "KEYS", reads = ["crc32"] }\n'
    )
    assert walogs.load_config(tmp_path / "walogs.toml", log="a").config.codec.reads == ["crc32"]  # type: ignore[union-attr]


def test_a_stamp_cannot_name_a_file_of_keys(log: LogOnDisk, tmp_path: Path) -> None:
    log.append(TEXT)
    stamp = b'{"cipher":"%s","key_file":"/dev/zero","key_id":"1"}' % codec().cipher.encode()
    reheader(log, 1, 164, struct.pack("<H", len(stamp)) + stamp)
    log.refuses(walogs.UnsupportedFormat, "key_file")
    with pytest.raises(walogs.UnsupportedFormat, match="key_file"):
        walogs.reader(log.path).close()


def test_a_repair_needs_the_key_where_it_moves_frames_and_changes_nothing_without(log: LogOnDisk) -> None:
    log.append(TEXT, b"pay 100", b"pay 900").flip(1, 600)
    before = log.files()
    with pytest.raises(MissingKey):
        walogs.repair(log.path, codec=AeadCodec())
    assert {name: log.files()[name] for name in before} == before
    assert walogs.repair(log.path, codec=codec()).last_lsn == 3
    assert log.entries() == numbered(2, b"pay 100", b"pay 900")
    with log.open() as wal:
        wal.append(b"next")
    assert log.entries() == numbered(2, b"pay 100", b"pay 900", b"next")
