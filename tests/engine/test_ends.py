"""Numbers reach the limits of the format, and clocks are wrong. All that is written can be opened (G1, G16)."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import walogs
from walogs.assembly.opening import assemble
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.engine import new_segments
from walogs.engine.log_source import Environment
from walogs.formats.native import NativeFormat
from walogs.formats.segment_format import LARGEST, SegmentHeader
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

YEAR = 365 * 86_400 * 10**9
NOW = 1_700_000_000_000_000_000


def made(path: Path, **fields: Any) -> Path:
    """A log that consists of this header."""
    usual: dict[str, Any] = {
        "number": 1,
        "first_lsn": 1,
        "log_first_lsn": 1,
        "epoch": 1,
        "log_id": bytes(range(16)),
        "writer_id": bytes(16),
        "salt": 7,
        "previous_salt": 0,
        "previous_link": bytes(range(8)),
        "created_ns": 1,
        "codec_name": "crc32",
        "codec_parameters": b"{}",
    }
    header = SegmentHeader(**{**usual, **fields})
    path.mkdir()
    name = f"wal-{header.number:06d}.log"
    (path / name).write_bytes(NativeFormat().encode_header(header, Crc32Codec()) + bytes(8192))
    return path


def same_everywhere(path: Path, expected: list[tuple[int, bytes]]) -> None:
    with walogs.open(path) as wal:
        assert list(wal) == expected
    assert list(walogs.reader(path)) == expected
    assert walogs.verify(path).ok


@pytest.mark.guarantee("G1", "G16")
def test_no_lsn_is_acknowledged_that_no_open_accepts(tmp_path: Path) -> None:
    first = LARGEST - 3
    path = made(tmp_path / "log", first_lsn=first, log_first_lsn=first)
    with walogs.open(path) as wal:
        assert wal.append(b"1") == first
        with pytest.raises(walogs.WalError, match=r"2 LSNs are left, and 3 would be needed\. Nothing was written"):
            wal.append_batch([b"x"] * 3)
        assert wal.append(b"2") == first + 1
        assert wal.submit(b"3").result() == first + 2
        refused: list[Callable[[], object]] = [lambda: wal.append(b"x"), lambda: wal.submit(b"x").result()]
        for call in refused:
            with pytest.raises(walogs.WalError, match="0 LSNs are left, and 1 would be needed"):
                call()
        wal.rotate()
        with pytest.raises(walogs.WalError, match="0 LSNs are left, and 1 would be needed"):
            wal.append(b"x")
        assert wal.last_lsn == LARGEST - 1
    same_everywhere(path, [(first, b"1"), (first + 1, b"2"), (first + 2, b"3")])


@pytest.mark.guarantee("G1", "G16")
@pytest.mark.parametrize("field", ["number", "epoch"])
def test_no_segment_is_made_that_no_open_accepts(tmp_path: Path, field: str) -> None:
    path, expected = made(tmp_path / "log", **{field: LARGEST - 3}), []
    for lsn in range(1, 6):
        with walogs.open(path) as wal:
            try:
                expected.append((wal.append(b"%d" % lsn), b"%d" % lsn))
                wal.rotate()
            except walogs.WalError as error:
                assert "can have no segment after number" in str(error)  # noqa: PT017
    assert expected
    same_everywhere(path, expected)


@pytest.mark.guarantee("G1", "G16")
def test_a_store_that_fences_ends_before_its_numbers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, last = MemoryCloud(), 6
    monkeypatch.setattr(new_segments, "LARGEST", last)
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for lsn in range(1, last - 1):
            assert wal.append(b"%d" % lsn) == lsn
        with pytest.raises(walogs.WalError, match="Nothing was written"):
            wal.append(b"x")
        assert wal.last_lsn == last - 2
    assert max(MemoryImmutableStore(cloud).segments()) == last - 1


def ticking(*times: int) -> Environment:
    """A clock that tells these times, and then the last one for ever."""
    ticks: Iterator[int] = itertools.chain(times, itertools.repeat(times[-1]))
    return Environment(lambda: next(ticks), random.Random(1).randbytes, lambda _: None, spawn=lambda run: run())


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize("wrong_ns", [-YEAR, -1, 0, LARGEST - 1, LARGEST, LARGEST + 1, 1 << 64])
@pytest.mark.parametrize("is_immutable", [False, True])
def test_whatever_the_clock_says_can_be_read_back(wrong_ns: int, is_immutable: bool) -> None:
    cloud, disk = MemoryCloud(), MemoryDisk()

    def config() -> walogs.WalConfig:
        return walogs.WalConfig(
            store=MemoryImmutableStore(cloud) if is_immutable else MemoryStore(disk), max_segment_size=900
        )

    for times in ([NOW, NOW, wrong_ns, wrong_ns, NOW], [wrong_ns], [NOW]):
        with assemble(None, config(), ticking(*times)) as wal:
            for _ in range(5):
                wal.append(b"x" * 300)
            wal.checkpoint(0)
            assert all(0 <= commit.time_ns <= LARGEST for commit in wal.commits())
    with assemble(None, config(), ticking(NOW)) as wal:
        assert [lsn for lsn, _ in wal] == list(range(1, 16))


@pytest.mark.parametrize("is_immutable", [False, True])
def test_a_clock_that_was_wrong_once_does_not_hold_the_times_for_ever(
    caplog: pytest.LogCaptureFixture, is_immutable: bool
) -> None:
    store = MemoryImmutableStore(MemoryCloud()) if is_immutable else MemoryStore(MemoryDisk())
    ahead = NOW + 100 * YEAR
    times = (
        [NOW, NOW, ahead, NOW + 1, NOW + 2, NOW + 3] if not is_immutable else [NOW, ahead, NOW + 1, NOW + 2, NOW + 3]
    )
    with assemble(None, walogs.WalConfig(store=store, max_segment_size=1000), ticking(*times)) as wal:
        wal.append(b"before" if not is_immutable else b"ahead")
        for _ in range(6):
            wal.append(b"after" * 60)
        told = [commit.time_ns for commit in wal.commits()]
        assert told.count(ahead) == 1
        assert told[told.index(ahead) + 1 :] == sorted(told[told.index(ahead) + 1 :])
        assert told[-1] == NOW + 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "clock was set back" in caplog.text


def test_a_clock_that_is_set_back_by_an_hour_at_most_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    hour = new_segments.STEP_BACK_MAX_NS
    times = [NOW, NOW, NOW - hour, NOW - 1, NOW + 1]
    with assemble(None, walogs.WalConfig(store=MemoryStore(MemoryDisk())), ticking(*times)) as wal:
        for _ in range(4):
            wal.append(b"x")
        assert [commit.time_ns for commit in wal.commits()] == [NOW, NOW, NOW, NOW + 1]
    assert not caplog.records
