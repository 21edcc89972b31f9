"""Damage to acknowledged entries is refused anywhere. An index is only a cache, so damage to it is not (G6)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.regressions.logs import (
    FIRST,
    contents,
    frame_bytes,
    killed_copy,
    look_twice,
    look_twice_at,
    process,
    segment_files,
    without_links,
)
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.engine import verdict
from walogs.engine.segments import accepted_seal
from walogs.formats.crc32 import crc32
from walogs.formats.native import NativeFormat
from walogs.testing import SECTOR, MemoryDisk

ENTRIES = [random.Random(k).randbytes(300) for k in range(20)]
FRAME = frame_bytes(300)


def killed_log(path: Path) -> Path:
    """Twenty synced entries; the writer was killed, so the durable mark names the last."""
    with walogs.open(path) as wal:
        for entry in ENTRIES:
            wal.append(entry)
        return killed_copy(path, path.with_name("killed"))


def flip_in(segment: bytearray, offset: int) -> None:
    segment[offset] ^= 0x04


def zero(segment: bytearray, start: int, length: int) -> None:
    segment[start : start + length] = bytes(length)


DAMAGE: dict[str, tuple[Callable[[bytearray], None], int]] = {  # and the first entry in doubt
    "a bit at 40 %": (lambda segment: flip_in(segment, 512 + 8 * FRAME + 100), 9),
    "a bit of the last entry": (lambda segment: flip_in(segment, 512 + 19 * FRAME + 100), 20),
    "a bit of a header": (lambda segment: flip_in(segment, 512 + 8 * FRAME + 12), 9),
    "a bit of the last header": (lambda segment: flip_in(segment, 512 + 19 * FRAME + 33), 20),
    "a sector in the middle": (lambda segment: zero(segment, 7 * SECTOR, SECTOR), 9),
    "a length in the middle": (lambda segment: zero(segment, 512 + 8 * FRAME + 4, 4), 9),
    "the first eight bytes of a frame": (lambda segment: zero(segment, 512 + 8 * FRAME, 8), 9),
    "the last 50 bytes": (lambda segment: zero(segment, 512 + 20 * FRAME - 50, 50), 20),
    "everything from the middle on": (lambda segment: zero(segment, 512 + 8 * FRAME, 100_000), 9),
    "a frame, and the next one instead": (
        lambda segment: segment.__setitem__(
            slice(512 + 8 * FRAME, 512 + 9 * FRAME), segment[512 + 9 * FRAME : 512 + 10 * FRAME]
        ),
        9,
    ),
}


# doltlite #1341 and #1573, TDengine #35138, NATS 2.12.1


def damage_and_open(path: Path, what: str) -> None:
    left = killed_log(path)
    damage, lsn = DAMAGE[what]
    segment = bytearray((left / FIRST).read_bytes())
    size = len(segment)
    damage(segment)
    (left / FIRST).write_bytes(segment[:size])
    before = segment_files(left)
    for verify in ("full", "last"):
        with pytest.raises(walogs.Corrupt) as refused, walogs.open(left, verify=verify) as wal:
            raise AssertionError(f"silent: {len(contents(wal))} of 20 acknowledged entries, {wal.tail_state}")
        assert (refused.value.segment, refused.value.lsn) == (1, lsn)
        assert segment_files(left) == before, "refused, and changed"


@pytest.mark.guarantee("G1", "G6")
@pytest.mark.parametrize("what", DAMAGE)
def test_no_damage_to_acknowledged_bytes_is_silent(what: str, tmp_path: Path) -> None:
    damage_and_open(tmp_path / "log", what)


@pytest.mark.parametrize("what", ["a bit at 40 %", "a sector in the middle", "a length in the middle"])
def test_a_prefix_served_as_the_whole_is_seen_when_planted(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced_beyond = (verdict.CrashShape.MAY_TEAR, verdict.TailContent.BYTES, verdict.DurabilityEvidence.SYNCED_BEYOND)
    monkeypatch.setitem(verdict.VERDICTS, synced_beyond, verdict.Verdict.TORN)
    monkeypatch.setattr("walogs.engine.recovery.durable_mark_problem", lambda *_: None)
    with pytest.raises(AssertionError, match="silent: 8 of 20"):
        damage_and_open(tmp_path / "log", what)


# A check over the data alone


def swap_two_bodies(path: Path) -> None:
    """Misdirected writes: two entries of one length, each intact, each in the other's place."""
    left = killed_log(path)
    segment = bytearray((left / FIRST).read_bytes())
    bodies = [slice(512 + k * FRAME + 48, 512 + (k + 1) * FRAME) for k in (4, 11)]
    segment[bodies[0]], segment[bodies[1]] = segment[bodies[1]], segment[bodies[0]]
    (left / FIRST).write_bytes(segment)
    with pytest.raises(walogs.Corrupt) as refused, walogs.open(left) as wal:
        raise AssertionError(f"entries changed places: {contents(wal) != ENTRIES}")
    assert refused.value.lsn == 5


@pytest.mark.guarantee("G6")
def test_bodies_that_changed_places_are_corrupt(tmp_path: Path) -> None:
    swap_two_bodies(tmp_path / "log")


def test_a_check_over_the_data_alone_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Crc32Codec, "check", lambda self, header, stored: crc32(stored, 0).to_bytes(4, "little"))
    without_links(monkeypatch)
    with pytest.raises(AssertionError, match="changed places: True"):
        swap_two_bodies(tmp_path / "log")


# KAFKA-10207, -13603 and -19200: the index is a cache


def sealed_log() -> tuple[MemoryDisk, int]:
    """One sealed segment of three runs and an active one; where the SEAL begins."""
    disk = MemoryDisk()
    with process(disk, max_segment_size=None) as wal:
        for k in range(30):
            wal.append(bytes([k]) * 5000)
        end = wal.recovery_report.bytes + 30 * frame_bytes(5000)
        wal.rotate()
        wal.append(b"active")
    return disk, end


def damage_the_index() -> None:
    """Each byte changed, zeroed from there on, or another segment's: rebuilt, reported, and every entry found."""
    disk, at = sealed_log()
    whole = disk.cached(FIRST)
    expected = [bytes([k]) * 5000 for k in range(30)] + [b"active"]
    other, _ = sealed_log()
    damaged = [whole[:k] + bytes([whole[k] ^ 0x40]) + whole[k + 1 :] for k in range(at, len(whole), 3)]
    damaged += [whole[:k].ljust(len(whole), b"\0") for k in range(at, len(whole), 9)]
    damaged.append(whole[:at] + other.cached(FIRST, at))
    for content in damaged:
        left = disk.clone()
        left.damage(FIRST, at, content[at:])
        for verify in ("full", "last"):
            with process(left.clone(), max_segment_size=None, verify=verify) as wal:
                if content != whole:
                    assert wal.recovery_report.unsealed_segments == (1,), "a damaged index was trusted"
                assert [wal.read(lsn) for lsn in (1, 14, 15, 29, 30, 31)] == [
                    expected[lsn - 1] for lsn in (1, 14, 15, 29, 30, 31)
                ]
                assert contents(wal) == expected
    look_twice(left, expected, max_segment_size=None)


@pytest.mark.guarantee("G6", "G15")
def test_a_missing_or_damaged_index_is_rebuilt_and_never_fatal() -> None:
    damage_the_index()


def test_an_index_trusted_without_its_check_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    decode_seal = NativeFormat.decode_seal

    def with_any_check(self: NativeFormat, buffer: bytes, index: int, header: Any, first_lsn: int, codec: Any) -> Any:
        start, end = index + 48, index + 48 + header.body_bytes - 12
        mended = buffer[:end] + codec.check(buffer[index:start], buffer[start:end]) + buffer[end + 4 :]
        return decode_seal(self, mended, index, header, first_lsn, codec)

    monkeypatch.setattr(NativeFormat, "decode_seal", with_any_check)
    with pytest.raises((AssertionError, walogs.Corrupt)):
        damage_the_index()


def test_an_index_that_must_be_there_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def must_be_there(source: Any, header: Any, successor: Any, size: int) -> Any:
        seal = accepted_seal(source, header, successor, size)
        if seal is None:
            raise source.corrupt("its index is damaged", header.number)
        return seal

    monkeypatch.setattr("walogs.engine.recovery.accepted_seal", must_be_there)
    with pytest.raises(walogs.Corrupt, match="its index is damaged"):
        damage_the_index()


@pytest.mark.guarantee("G6")
def test_an_index_padded_with_zeros_is_found_behind_them(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        for entry in ENTRIES:
            wal.append(entry)
        wal.rotate()
    with (tmp_path / FIRST).open("ab") as file:
        file.write(bytes(200_000))
    with walogs.open(tmp_path) as wal:
        assert wal.recovery_report.unsealed_segments == ()
        assert contents(wal) == ENTRIES
    look_twice_at(tmp_path, ENTRIES)
