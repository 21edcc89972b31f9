"""Logs of other programs and other versions."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.bad_input.contents import DATA
from tests.kit.codecs import DeflateCodec
from tests.kit.logs import (
    HEADER,
    LogOnDisk,
    crate_frame,
    frame_bytes,
    numbered,
    salt_of,
    segment_name,
)
from walogs.testing import MemoryCloud, MemoryImmutableStore

CRATE_LOGS: Final = {
    "new, empty": {"wal-000001.log": b""},
    "one entry": {"wal-000001.log": crate_frame(1, b"hello")},
    "an empty entry": {"wal-000001.log": crate_frame(1, b"")},
    "many entries": {"wal-000001.log": b"".join(crate_frame(lsn, b"x" * lsn) for lsn in range(1, 200))},
    "large entry": {"wal-000001.log": crate_frame(1, bytes(300_000)) + crate_frame(2, b"")},
    "several segments": {
        "wal-000001.log": crate_frame(1, b"a") + crate_frame(2, b"b"),
        "wal-000002.log": crate_frame(3, b"c"),
        "wal-000003.log": crate_frame(4, b"d") + crate_frame(5, b""),
    },
    "the newest is empty": {"wal-000001.log": crate_frame(1, b"a"), "wal-000002.log": b""},
    "checkpointed": {"wal-000007.log": crate_frame(91, b"a"), "wal-000008.log": crate_frame(92, b"b")},
    "torn after an entry": {"wal-000001.log": crate_frame(1, b"whole") + crate_frame(2, b"torn")[:-1]},
    "its first version": {"wal.log": crate_frame(1, b"hello")},
    "its first version, empty": {"wal.log": b""},
    "both versions": {"wal.log": crate_frame(1, b"a"), "wal-000001.log": crate_frame(1, b"a")},
}


def test_the_crate_s_frames_are_what_the_crate_writes() -> None:
    assert crate_frame(1, b"hello").hex() == "050000002f95e510010000000000000068656c6c6f"
    assert crate_frame(1, b"").hex() == "00000000f1c67fb70100000000000000"


@pytest.mark.parametrize("recovery", ["acked", "prefix"])
@pytest.mark.parametrize("files", CRATE_LOGS.values(), ids=CRATE_LOGS.keys())
def test_a_log_of_the_rust_crate_is_recognised_and_left_alone(
    tmp_path: Path, files: dict[str, bytes], recovery: str
) -> None:
    log = LogOnDisk(tmp_path / "log").put(files)
    refused = log.refuses(
        walogs.UnsupportedFormat, "Rust crate", "a directory of its own", str(log.path), recovery=recovery
    )
    assert refused.value.found == "walogs-rs"
    assert {path.name for path in log.path.iterdir()} == set(files), "not even a LOCK is left"


def test_a_log_of_the_crate_beside_ours_is_refused(log: LogOnDisk) -> None:
    (log.path / "wal.log").write_bytes(crate_frame(1, b"hello"))
    log.refuses(walogs.UnsupportedFormat, "wal.log", "Rust crate")


@pytest.mark.guarantee("G6")
def test_an_emptied_segment_of_ours_is_no_log_of_the_crate(log: LogOnDisk) -> None:
    """The durable mark shows that the log is ours."""
    log.cut(1, 0)
    log.refuses(walogs.Corrupt, "wal-000001.log", "Nothing was changed")


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("number", [1, 3, 6])
def test_an_emptied_segment_among_ours_is_no_log_of_the_crate(long_log: LogOnDisk, number: int) -> None:
    long_log.cut(number, 0).forget_durable_mark()
    long_log.refuses(walogs.Corrupt, segment_name(number), "Nothing was changed")


@pytest.mark.guarantee("G20")
@pytest.mark.parametrize("version", [0, 2, 3, 65_535])
@pytest.mark.parametrize("number", [1, 6])
def test_another_version_of_the_format_is_no_damage(long_log: LogOnDisk, number: int, version: int) -> None:
    long_log.reheader(number, 8, struct.pack("<H", version))
    refused = long_log.refuses(
        walogs.UnsupportedFormat, segment_name(number), f"format version {version}", "release", "Nothing was changed"
    )
    assert (refused.value.segment, refused.value.found) == (number, str(version))


@pytest.mark.guarantee("G20")
def test_a_newer_version_is_recognised_whatever_else_its_header_says(log: LogOnDisk) -> None:
    log.reheader(1, 8, struct.pack("<HHI", 2, 0xFFFF, 0) + b"\xff" * 400)
    log.refuses(walogs.UnsupportedFormat, "format version 2")


@pytest.mark.guarantee("G20")
@pytest.mark.parametrize("flags", [4, 0x8000, 0xFFFF, 5])
def test_an_unknown_header_flag_is_no_damage(log: LogOnDisk, flags: int) -> None:
    log.reheader(1, 10, struct.pack("<H", flags))
    log.refuses(walogs.UnsupportedFormat, "wal-000001.log", "flags", f"{flags:#06x}", "release")


@pytest.mark.guarantee("G20")
@pytest.mark.parametrize(("kind", "flags"), [(0, 0), (4, 0), (255, 0), (1, 1), (1, 128), (3, 2), (200, 255)])
@pytest.mark.parametrize("recovery", ["acked", "prefix"])
def test_an_unknown_kind_of_frame_is_neither_torn_nor_corrupt(
    log: LogOnDisk, kind: int, flags: int, recovery: str
) -> None:
    log.forget_durable_mark().add_frame(1, b"", kind=kind, flags=flags, entries=0)
    end = log.frames(1)[-1].offset
    log.refuses(walogs.UnsupportedFormat, "wal-000001.log", f"byte {end}", f"kind {kind}", "release", recovery=recovery)


@pytest.mark.guarantee("G20")
def test_an_unknown_kind_of_frame_that_the_file_cuts_short_is_not_torn(log: LogOnDisk) -> None:
    """The header is intact, so a later release wrote the frame. This one does not know what it would discard."""
    log.forget_durable_mark().add_frame(1, b"", kind=9, entries=0, body_bytes=1 << 20)
    log.refuses(walogs.UnsupportedFormat, "wal-000001.log", "kind 9", "release")


@pytest.mark.guarantee("G20")
def test_an_unknown_kind_of_frame_in_an_older_segment_is_no_damage(long_log: LogOnDisk) -> None:
    segment = long_log.segment(3).read_bytes()
    frame = frame_bytes(salt_of(segment), HEADER, b"y" * 50, kind=7, first_lsn=3)
    long_log.overwrite(3, 0, segment[:HEADER] + frame + bytes(len(segment) - HEADER - len(frame)))
    long_log.refuses(walogs.UnsupportedFormat, "wal-000003.log", "kind 7")


def test_an_unknown_codec_is_named(log: LogOnDisk) -> None:
    log.reheader(1, 100, b"\x04lzma".ljust(64, b"\0"))
    refused = log.refuses(walogs.UnsupportedFormat, "wal-000001.log", "codec 'lzma'", "codec='lzma'", "install")
    assert refused.value.found == "lzma"


def test_a_log_opened_with_another_codec_is_refused(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log", codec=DeflateCodec()).append(*DATA)
    log.refuses(walogs.UnsupportedFormat, "codec 'deflate'", "opened with 'crc32'", codec="crc32")
    log.goes_on(numbered(1, *DATA))


def test_a_log_opened_with_other_parameters_of_its_codec_is_refused(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log", codec=DeflateCodec(level=9)).append(*DATA)
    log.refuses(
        walogs.UnsupportedFormat, '"level":9', '"level":1', "größer", "parameters it was written", codec=DeflateCodec(1)
    )
    log.goes_on(numbered(1, *DATA))


class Talkative(DeflateCodec):
    """A codec with a name and parameters of a chosen length."""

    def __init__(self, name: str, parameter_bytes: int) -> None:
        super().__init__()
        self.name = name
        self.text = "p" * (parameter_bytes - len('{"p":""}'))

    def parameters(self) -> dict[str, object]:
        return {"p": self.text}


def test_parameters_that_fill_a_header_are_kept_and_longer_ones_are_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    LogOnDisk(tmp_path / "log", codec=Talkative("n" * 63, 214)).append(*DATA).goes_on(numbered(1, *DATA))
    for codec, phrase in (
        (Talkative("fine", 215), "215 bytes; 214 fit"),
        (Talkative("n" * 64, 20), "1 to 63 bytes"),
        (Talkative("ü" * 32, 20), "1 to 63 bytes"),
        (Talkative("", 20), "1 to 63 bytes"),
    ):
        with pytest.raises(walogs.ConfigError, match=phrase):
            walogs.open(tmp_path / "other", codec=codec)
        assert not (tmp_path / "other").exists()


@pytest.mark.guarantee("G6")
def test_empty_segments_in_a_store_that_cannot_append_are_damage_and_not_the_crate_s() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        wal.append(b"one")
    for number in cloud.objects:
        cloud.objects[number] = b""
    with pytest.raises(walogs.Corrupt):
        walogs.open(store=MemoryImmutableStore(cloud))
    assert not walogs.verify(store=MemoryImmutableStore(cloud)).ok
