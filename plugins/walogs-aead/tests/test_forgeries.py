"""Whoever can write in the directory, and has no key, makes nothing that is believed. What is left is shown too."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import pytest

import walogs
from tests.kit.forger import bodies, forge, frames, link_of, reheader, reseal, seal_body, time_for
from tests.kit.logs import CHECKPOINT, DURABLE_MARK, FRAME_HEADER, LogOnDisk, frame_bytes, numbered, salt_of, zeroed
from walogs_aead import AeadCodec, WrongKey

KEY: Final = bytes(range(32))
OTHER: Final = bytes(range(1, 33))


def codec(key_id: str = "1", **options: Any) -> AeadCodec:
    return AeadCodec({"1": KEY, "2": OTHER}, key_id, **options)


@pytest.fixture
def log(tmp_path: Path) -> LogOnDisk:
    return LogOnDisk(tmp_path / "log", codec=codec())


def refused(log: LogOnDisk, phrase: str = "", *, but: dict[int, bytes] | None = None) -> None:
    """Nobody opens it, no reader gets what was forged, and salvage reads around it: only *but* is there."""
    log.refuses(walogs.Corrupt, phrase)
    assert not walogs.verify(log.path, codec=codec()).ok
    with pytest.raises(walogs.Corrupt), walogs.reader(log.path, visibility="written", codec=codec()) as reader:
        list(reader)
    if but is not None:
        found = list(walogs.salvage(log.path, codec=codec()))
        assert {entry.lsn: entry.data for entry in found if isinstance(entry, walogs.Entry)} == but
        assert any(isinstance(each, walogs.Gap) for each in found)


# Entries


def test_a_proof_of_one_entry_is_none_of_another(log: LogOnDisk) -> None:
    """All that a check was once made from: the CRC of a header, which four bytes of its time can make any other."""
    log.append(b"pay alice   10", b"pay mallory 99", b"pay bob     10").forget_durable_mark()
    first, _, third = frames(log)
    salt, (one, _, _) = salt_of(log.segment(1).read_bytes()), bodies(log)
    segment = log.segment(1).read_bytes()
    crc = struct.unpack_from("<I", segment, first.offset + FRAME_HEADER - 4)[0]
    time_ns = time_for(segment[third.offset : third.offset + FRAME_HEADER - 4], salt, crc)
    forge(log, third, one, time_ns=time_ns)
    forged = log.segment(1).read_bytes()
    assert forged[third.offset + 44 : third.offset + 48] == segment[first.offset + 44 : first.offset + 48]
    with log.open() as wal:
        assert list(wal) == numbered(1, b"pay alice   10", b"pay mallory 99")
        assert isinstance(wal.tail_state, walogs.TruncatedAt)  # nothing testifies any more that it was whole


def test_frames_that_change_places_are_refused(log: LogOnDisk) -> None:
    log.append(b"pay 100", b"pay 900", b"pay 500")
    first, second, _ = frames(log)
    one, two, _ = bodies(log)
    forge(log, first, two)
    forge(log, second, one)
    refused(log, but={3: b"pay 500"})


def test_a_frame_that_is_replayed_is_refused(log: LogOnDisk) -> None:
    log.append(b"pay 100", b"pay 900", b"pay 500")
    forge(log, frames(log)[2], bodies(log)[0])
    refused(log, but={1: b"pay 100", 2: b"pay 900"})


def test_a_frame_of_another_log_with_the_same_key_is_refused(log: LogOnDisk, tmp_path: Path) -> None:
    log.append(b"pay 100", b"pay 900")
    other = LogOnDisk(tmp_path / "other", codec=codec()).append(b"pay 100", b"pay 777")
    forge(log, frames(log)[1], bodies(other)[1])
    refused(log, but={1: b"pay 100"})


def test_a_frame_of_an_older_segment_is_refused_at_the_same_offset(log: LogOnDisk) -> None:
    with log.open() as wal:
        wal.append(b"pay 100")
        wal.rotate()
        wal.append(b"pay 900")
    forge(log, frames(log, 2)[0], bodies(log, 1)[0], 2)
    refused(log, but={1: b"pay 100"})


def test_a_batch_that_is_said_to_be_one_entry_is_refused(log: LogOnDisk) -> None:
    log.append(b"pay 100", b"pay 900", batch=True).append(b"pay 500")
    forge(log, frames(log)[0], bodies(log)[0], entries=1)
    refused(log, but={3: b"pay 500"})


@pytest.mark.parametrize("said", [{"time_ns": 1}, {"synced": 512}, {"link": bytes(8)}, {"kind": CHECKPOINT}], ids=str)
def test_whatever_else_a_frame_says_is_refused_when_it_was_changed(log: LogOnDisk, said: dict[str, Any]) -> None:
    log.append(b"pay 100", b"pay 900", b"pay 500")
    changed = frames(log)[1]
    at = {"time_ns": changed.time_ns + 1, "synced": changed.synced - 8}
    forge(log, changed, bodies(log)[1], **{name: at.get(name, value) for name, value in said.items()})
    refused(log, but={1: b"pay 100", 3: b"pay 500"})


def test_every_altered_byte_is_refused_though_its_crc_is_right(log: LogOnDisk) -> None:
    log.append(b"pay 100", b"pay 200")
    files, frame, [body, _] = log.files(), frames(log)[0], bodies(log)
    mark = range(len(body) - 8, len(body))
    for at in range(len(body)):
        altered = bytearray(body)
        altered[at] ^= 1
        forge(log.put(files), frame, bytes(altered))
        with pytest.raises(WrongKey if at in mark else walogs.Corrupt):
            log.open()
    assert log.put(files).entries() == numbered(1, b"pay 100", b"pay 200")


def test_what_lies_beside_a_forged_frame_is_read_by_a_handle_that_was_open(log: LogOnDisk) -> None:
    with log.open() as wal:
        for entry in (b"pay 100", b"pay 900", b"pay 500"):
            wal.append(entry)
        forge(log, frames(log)[1], bodies(log)[2])
        assert wal.read(1) == b"pay 100"
        with pytest.raises(walogs.Corrupt):
            wal.read(2)
        with pytest.raises(walogs.Corrupt):
            list(wal)
    assert [each.lsn for each in walogs.salvage(log.path, codec=codec()) if isinstance(each, walogs.Entry)] == [
        1,
        3,
    ]


# CHECKPOINTs and SEALs


def three_segments(log: LogOnDisk) -> None:
    with log.open() as wal:
        for entry in (b"pay 100", b"pay 200", b"pay 300"):
            wal.append(entry)
            wal.rotate()
        wal.checkpoint(1)
        wal.append(b"pay 400")


def test_a_checkpoint_that_was_raised_is_refused(log: LogOnDisk) -> None:
    three_segments(log)
    [checkpoint] = [frame for frame in log.frames(4) if frame.kind == CHECKPOINT]
    proven = log.segment(4).read_bytes()[checkpoint.offset + 48 : checkpoint.body_end - 4]
    forge(log, checkpoint, proven, 4, first_lsn=4)
    refused(log, but={2: b"pay 200", 3: b"pay 300", 4: b"pay 400"})


def test_a_checkpoint_that_was_added_moves_no_first_lsn(log: LogOnDisk) -> None:
    """It is bytes at the end of which nothing testifies: cut, as any unfinished write is."""
    three_segments(log)
    segment, [entry] = log.segment(4).read_bytes(), frames(log, 4)
    [checkpoint] = [frame for frame in log.frames(4) if frame.kind == CHECKPOINT]
    proven = segment[checkpoint.offset + 48 : checkpoint.body_end - 4]
    said = {"kind": CHECKPOINT, "first_lsn": 4, "entries": 0, "synced": entry.end, "time_ns": entry.time_ns}
    added = frame_bytes(salt_of(segment), entry.end, proven, **said, link=link_of(log, entry, 4))
    log.overwrite(4, entry.end, added)
    assert walogs.verify(log.path, codec=codec()).first_lsn == 2
    with log.open() as wal:
        assert list(wal) == numbered(2, b"pay 200", b"pay 300", b"pay 400")
    with walogs.reader(log.path, codec=codec()) as reader:
        assert reader.first_lsn == 2


def test_a_seal_that_was_forged_is_not_believed(log: LogOnDisk) -> None:
    """It is a cache: the segment is read without it."""
    three_segments(log)
    body = seal_body(log, 2)
    for at in range(len(body)):
        forged = bytearray(body)
        forged[at] ^= 1
        reseal(log, 2, bytes(forged))
        with log.open(verify="last") as wal:
            assert wal.recovery_report.unsealed_segments == (2,)
            assert list(wal) == numbered(2, b"pay 200", b"pay 300", b"pay 400")
    reseal(log, 2, body)
    with log.open() as wal:
        assert wal.recovery_report.unsealed_segments == ()


def test_an_entry_under_the_crc_of_its_run_is_refused(log: LogOnDisk) -> None:
    """A run's CRC is in the SEAL, which is proven; but bytes of padding are free, and reach every CRC."""
    with log.open() as wal:
        for entry in (b"pay ann 100", b"pay bob 200", b"pay cat 300"):
            wal.append(entry)
        wal.rotate()
    _, second, _ = frames(log)
    segment, [one, _, _] = log.segment(1).read_bytes(), bodies(log)
    end = log.frames(1)[-1].offset
    forge(log, second, one)
    changed = bytearray(log.segment(1).read_bytes())
    last = frames(log)[2]
    assert last.end - last.body_end >= 4
    changed[last.body_end : last.body_end + 4] = bytes(4)
    wanted, free = crc32(segment[512:end]), slice(last.body_end, last.body_end + 4)
    changed[free] = four_bytes_for(bytes(changed[512:end]), last.body_end - 512, wanted)
    assert crc32(changed[512:end]) == wanted
    log.segment(1).write_bytes(changed)
    refused(log, but={1: b"pay ann 100", 3: b"pay cat 300"})
    with log.open(verify="last") as wal, pytest.raises(walogs.Corrupt):
        wal.read(2)


def four_bytes_for(data: bytes, at: int, crc: int) -> bytes:
    """What has to stand there for *data* to have that CRC."""
    with_four = lambda number: crc32(data[:at] + struct.pack("<I", number) + data[at + 4 :])  # noqa: E731
    basis, wanted, chosen = dict[int, tuple[int, int]](), with_four(0) ^ crc, 0
    for bit in range(32):
        column, mask = with_four(1 << bit) ^ with_four(0), 1 << bit
        while column and (kept := basis.get(column.bit_length())):
            column, mask = column ^ kept[0], mask ^ kept[1]
        basis[column.bit_length()] = column, mask
    while wanted:
        column, mask = basis[wanted.bit_length()]
        wanted, chosen = wanted ^ column, chosen ^ mask
    return struct.pack("<I", chosen)


# Segment headers


def test_a_segment_in_clear_is_read_by_nobody_who_asks_for_this_codec(log: LogOnDisk) -> None:
    """Whoever can write can stamp a segment anew, and needs no key for one that is not encrypted."""
    plain = LogOnDisk(log.path).append(b"pay 100")
    assert walogs.verify(log.path).ok
    log.refuses(walogs.UnsupportedFormat, "wal-000001.log", "codec 'crc32'", "could have put it there")
    for look in (lambda: list(walogs.reader(log.path, codec=codec())), lambda: walogs.verify(log.path, codec=codec())):
        with pytest.raises(walogs.UnsupportedFormat, match="could have put it there"):
            look()
    plain.goes_on(numbered(1, b"pay 100"))


@pytest.mark.parametrize(
    ("at", "data"),
    [(16, bytes(16)), (48, b"\1"), (56, b"\7"), (72, b"\2"), (80, bytes(8)), (88, None), (96, None)],
    ids=["log", "number", "epoch", "first LSN", "link", "created", "previous salt"],
)
def test_whatever_a_segment_header_says_is_refused_when_it_was_changed(
    log: LogOnDisk, at: int, data: bytes | None
) -> None:
    """None: a bit is flipped, because any value could be the one that is there."""
    three_segments(log)
    log.forget_durable_mark()
    files = log.files()
    for number in (3, 4):
        there = files[f"wal-00000{number}.log"][at]
        reheader(log.put(files), number, at, bytes([there ^ 1]) if data is None else data)
        log.refuses(walogs.Corrupt, f"wal-00000{number}.log")
        assert not walogs.verify(log.path, codec=codec()).ok
    assert log.put(files).entries() == numbered(2, b"pay 200", b"pay 300", b"pay 400")


def test_a_header_that_names_another_key_is_refused(log: LogOnDisk) -> None:
    log.append(b"pay 100").forget_durable_mark()
    stamp = b'{"cipher":"%s","key_id":"2"}' % codec().cipher.encode()
    reheader(log, 1, 164, struct.pack("<H", len(stamp)) + stamp)
    log.refuses(walogs.Corrupt, "its header's check", codec=AeadCodec({"1": KEY, "2": KEY}, "2"))
    log.refuses(WrongKey, "has as '2'", codec=codec("2"))


# Copies of one log that both went on


def two_copies(tmp_path: Path) -> tuple[LogOnDisk, LogOnDisk]:
    """They continue one segment, with the same salt, at the same places, with the same LSNs."""
    ours = LogOnDisk(tmp_path / "ours", codec=codec()).append(b"common")
    shutil.copytree(ours.path, tmp_path / "theirs")
    theirs = LogOnDisk(tmp_path / "theirs", codec=codec())
    for log, who in ((ours, b"ours"), (theirs, b"them")):
        log.append(who + b": pay 100", who + b": pay 200", who + b": pay 300")
    assert [frame.offset for frame in frames(ours)] == [frame.offset for frame in frames(theirs)]
    return ours, theirs


def exchange(ours: LogOnDisk, theirs: LogOnDisk, at: int) -> None:
    """That frame of *theirs*, as it is, in *ours*."""
    frame = frames(theirs)[at]
    ours.overwrite(1, frame.offset, theirs.segment(1).read_bytes()[frame.offset : frame.end])


@pytest.mark.parametrize("with_durable_mark", [True, False])
@pytest.mark.parametrize(("at", "lost"), [(1, {2}), (2, {2, 3, 4})])
def test_frames_of_two_copies_cannot_be_exchanged(
    tmp_path: Path, at: int, lost: set[int], with_durable_mark: bool
) -> None:
    ours, theirs = two_copies(tmp_path)
    exchange(ours, theirs, at)
    if not with_durable_mark:
        ours.forget_durable_mark()
    entries = dict(numbered(1, b"common", b"ours: pay 100", b"ours: pay 200", b"ours: pay 300"))
    refused(ours, "another history", but={lsn: data for lsn, data in entries.items() if lsn not in lost})


def test_the_last_frames_of_two_copies_are_told_by_the_durable_mark(tmp_path: Path) -> None:
    """One that follows on: from the second on, all of the other copy's."""
    ours, theirs = two_copies(tmp_path)
    for at in (1, 2, 3):
        exchange(ours, theirs, at)
    refused(ours, "is not the one that the durable mark saw")


def test_a_frame_that_was_cut_once_cannot_be_put_back(log: LogOnDisk) -> None:
    with log.open() as wal:
        wal.append(b"zero")
        wal.rotate()
        wal.append(b"OLD, cut off")
        wal.append(b"OLD too")
    old = log.segment(2).read_bytes()
    first = frames(log, 2)[0]
    log.flip(2, first.offset + 50)
    with log.open(recovery="prefix") as wal:
        assert wal.recovery_report.verdict == "prefix"
        wal.append(b"NEW, instead")
        wal.append(b"NEW too")
    number = log.numbers()[-1]
    log.overwrite(number, first.offset, old[first.offset : first.end])
    refused(log)


# What is left


def test_what_is_left_the_end_can_be_cut_together_with_the_durable_mark(log: LogOnDisk) -> None:
    log.append(b"pay 100", b"pay 200")
    last = frames(log)[1]
    log.segment(1).write_bytes(zeroed(log.segment(1).read_bytes(), last.offset, last.end))
    log.refuses(walogs.Corrupt, "it was synced up to")
    log.forget_durable_mark().goes_on(numbered(1, b"pay 100"))


def test_what_is_left_an_older_copy_or_the_end_of_another_is_a_good_log(tmp_path: Path) -> None:
    ours, theirs = two_copies(tmp_path)
    older = ours.files()
    ours.append(b"ours: pay 400")
    ours.put(older).goes_on(numbered(1, b"common", b"ours: pay 100", b"ours: pay 200", b"ours: pay 300"))
    for at in (1, 2, 3):
        exchange(ours.put(older), theirs, at)
    ours.put({**theirs.files(), DURABLE_MARK: theirs.files()[DURABLE_MARK]})
    ours.goes_on(numbered(1, b"common", b"them: pay 100", b"them: pay 200", b"them: pay 300"))


def test_what_is_left_without_the_key_a_forgery_is_believed_until_it_is_read(log: LogOnDisk) -> None:
    log.append(b"pay 100", b"pay 900").forget_durable_mark()
    forge(log, frames(log)[1], bodies(log)[0])
    assert walogs.verify(log.path).ok
    assert walogs.verify(log.path, codec=codec()).entries == 1
