"""Each frame names the frame before it. An intact frame that names another one is of another history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.kit.codecs import DeflateCodec, MacCodec
from tests.kit.forger import time_for
from tests.kit.logs import CHECKPOINT, ENTRIES, Frame, LogOnDisk, frames_of, link_after, numbered, salt_of

CODECS: Final[dict[str, Callable[[], Any]]] = {
    "crc32": lambda: "crc32",
    "deflate": DeflateCodec,
    "mac": MacCodec,
}


def two_copies(tmp_path: Path, common: int, own: int, size: int, codec: Any, *, is_sealed: bool) -> list[LogOnDisk]:
    """Copies of one closed log that both went on: in one segment, with one salt, at the same places."""
    ours = LogOnDisk(tmp_path / "ours", codec=codec, max_segment_size=None)
    ours.append(*(b"common %d " % count * (size // 9) for count in range(common)))
    theirs = ours.copy(tmp_path / "theirs")
    for log, who in ((ours, b"ours"), (theirs, b"them")):
        with log.open() as wal:
            for count in range(own):
                wal.append(b"%b %4d " % (who, count) * (size // 10))
            if is_sealed:
                wal.rotate()
                wal.append(b"in the next segment")
    return [ours, theirs]


def exchanged(ours: LogOnDisk, theirs: LogOnDisk, at: int) -> Frame:
    """The frame of *theirs* in *ours*; the one that was there."""
    was = [frame for frame in ours.frames(1) if frame.kind == ENTRIES][at]
    theirs_there = [frame for frame in theirs.frames(1) if frame.kind == ENTRIES][at]
    assert (was.offset, was.end) == (theirs_there.offset, theirs_there.end)
    ours.overwrite(1, was.offset, theirs.segment(1).read_bytes()[was.offset : was.end])
    return was


def refused_by_all(log: LogOnDisk, tmp_path: Path, lsn: int) -> None:
    """By open, verify, reader and backup; salvage tells the entry that does not belong there."""
    log.refuses(walogs.Corrupt, "history")
    assert not walogs.verify(log.path, codec=log.options["codec"]).ok
    with (
        pytest.raises(walogs.Corrupt),
        walogs.reader(log.path, codec=log.options["codec"], visibility="written") as reader,
    ):
        list(reader)
    with pytest.raises(walogs.Corrupt):
        walogs.backup(log.path, tmp_path / f"copy {lsn}", codec=log.options["codec"])
    gaps = [each for each in walogs.salvage(log.path, codec=log.options["codec"]) if isinstance(each, walogs.Gap)]
    assert any(gap.first_lsn <= lsn <= (gap.last_lsn or gap.first_lsn) for gap in gaps)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("is_sealed", [False, True])
def test_no_frame_of_a_copy_that_went_on_by_itself_is_taken(tmp_path: Path, name: str, is_sealed: bool) -> None:
    """The first follows on from what both have in common: the one after it tells. The others tell by themselves."""
    ours, theirs = two_copies(tmp_path, 1, 4, 40, CODECS[name](), is_sealed=is_sealed)
    files = ours.files()
    for at in range(1, 5):
        exchanged(ours.put(files), theirs, at)
        refused_by_all(ours, tmp_path, at + 1)
    ours.put(files)
    assert walogs.verify(ours.path, codec=CODECS[name]()).ok


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("is_sealed", [False, True])
def test_the_last_frame_is_told_by_what_saw_it(tmp_path: Path, name: str, is_sealed: bool) -> None:
    """By the next segment, and where there is none, by the durable mark."""
    ours, theirs = two_copies(tmp_path, 1, 1, 40, CODECS[name](), is_sealed=is_sealed)
    exchanged(ours, theirs, 1)
    phrase = "of another history" if is_sealed else "entry 2 is not the one that the durable mark saw"
    ours.refuses(walogs.Corrupt, phrase)
    assert not walogs.verify(ours.path, codec=CODECS[name]()).ok
    with pytest.raises(walogs.Corrupt), walogs.reader(ours.path, codec=CODECS[name]()) as reader:
        list(reader)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("name", CODECS)
def test_the_last_frame_of_a_run_is_told_by_the_next_run(tmp_path: Path, name: str) -> None:
    """A run of a SEAL is read by itself."""
    codec = CODECS[name]()
    ours, theirs = two_copies(tmp_path, 7, 9, 9000, codec, is_sealed=True)
    exchanged(ours, theirs, 7)  # at the end of a run, where bodies are not compressed
    refused_by_all(ours, tmp_path, 8)
    with ours.open(verify="last") as wal, pytest.raises(walogs.Corrupt):
        list(wal.iter(8, 9))
    with walogs.reader(ours.path, codec=codec) as reader, pytest.raises(walogs.Corrupt):
        reader.read(8)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("at", [10, 16, 17, 20])
def test_an_entry_is_not_read_without_what_follows_it(tmp_path: Path, at: int) -> None:
    """The SEAL says where each entry is. Its frame alone would be intact."""
    ours, theirs = two_copies(tmp_path, 1, 24, 9000, "crc32", is_sealed=True)
    exchanged(ours, theirs, at)
    with ours.open(verify="last") as wal, pytest.raises(walogs.Corrupt):
        wal.read(at + 1)


@pytest.mark.guarantee("G2", "G11")
def test_links_go_over_checkpoints_and_over_segments_without_entries(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log")
    with log.open() as wal:
        wal.append(b"one")
        wal.rotate()
        wal.append(b"two")
        wal.rotate()
        wal.checkpoint(1)  # segment 3 holds this alone
        wal.rotate()
        wal.append(b"three")
        wal.checkpoint(1)
        wal.append(b"four")
    second, third, fourth = (log.segment(number).read_bytes() for number in (2, 3, 4))
    link = link_after(second)
    [checkpoint, _] = frames_of(third)
    assert checkpoint.kind == CHECKPOINT
    assert third[80:88] == checkpoint.link == fourth[80:88] == log.frames(4)[0].link == link
    one, *others = log.frames(4)
    assert {frame.link for frame in others} == {fourth[one.body_end - 4 : one.body_end].ljust(8, b"\0")}
    assert second[80:88] != second[16:24]
    log.goes_on(numbered(2, b"two", b"three", b"four"))


def test_a_log_begins_with_its_own_id(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log").append(b"one")
    segment = log.segment(1).read_bytes()
    assert log.frames(1)[0].link == segment[80:88] == segment[16:24]


@pytest.mark.guarantee("G6")
def test_a_segment_that_was_made_after_another_frame_is_refused(tmp_path: Path) -> None:
    """Both copies rotated after the same entry; their next segments have links of their own."""
    ours, theirs = two_copies(tmp_path, 1, 3, 40, "crc32", is_sealed=True)
    for number in (1, 2):
        mixed = ours.copy(tmp_path / f"mixed {number}")
        mixed.segment(number).write_bytes(theirs.segment(number).read_bytes())
        mixed.refuses(walogs.Corrupt, "history" if number == 2 else "made after")


# A check that needs a key, over bodies in the clear


@pytest.mark.guarantee("G6")
def test_a_proof_of_one_entry_is_none_of_another(tmp_path: Path) -> None:
    """The CRC of a header can be made any other; a check over the header's bytes cannot."""
    log = LogOnDisk(tmp_path / "log", codec=MacCodec()).append(b"pay alice   10", b"pay mallory 99", b"pay bob     10")
    first, _, third = log.frames(1)
    segment = log.segment(1).read_bytes()
    body, crc = segment[first.offset + 48 : first.body_end], segment[first.offset + 44 : first.offset + 48]
    head = segment[third.offset : third.offset + 44]
    time_ns = time_for(head, salt_of(segment), int.from_bytes(crc, "little"))
    forged = head[:16] + time_ns.to_bytes(8, "little") + head[24:] + crc + body
    log.overwrite(1, third.offset, forged)
    assert [frame.first_lsn for frame in log.frames(1)] == [1, 2, 3]  # the CRC of the header is right
    log.refuses(walogs.Corrupt, "check does not match")
    with log.forget_durable_mark().open() as wal:
        assert list(wal) == numbered(1, b"pay alice   10", b"pay mallory 99")


@pytest.mark.guarantee("G6")
def test_runs_are_not_believed_for_their_crc_where_a_key_proves_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogOnDisk(tmp_path / "log", codec=MacCodec())
    with log.open() as wal:
        for count in range(5):
            wal.append(b"entry %d" % count)
        wal.rotate()
    entry = log.frames(1)[2]
    log.overwrite(1, entry.offset + 48, b"forged!")
    for module in ("walogs.engine.recovery", "walogs.engine.extent_reader"):
        monkeypatch.setattr(f"{module}.crc32", lambda *_: pytest.fail("a CRC was asked"))
    log.refuses(walogs.Corrupt, "entry 3")
    with log.open(verify="last") as wal:
        assert list(wal.iter(1, 3)) == numbered(1, b"entry 0", b"entry 1")
        with pytest.raises(walogs.Corrupt):
            wal.read(3)
    with pytest.raises(walogs.Corrupt):
        walogs.backup(log.path, tmp_path / "copy", codec=MacCodec())


def test_the_codec_s_check_stands_at_the_end_of_every_kind_of_frame(tmp_path: Path) -> None:
    log = LogOnDisk(tmp_path / "log", codec=MacCodec())
    with log.open() as wal:
        for entry in (b"one", b"two"):
            wal.append(entry)
            wal.rotate()
        wal.checkpoint(1)
        wal.append(b"three")
        wal.rotate()
    mac = MacCodec()
    for number in log.numbers():
        segment = log.segment(number).read_bytes()
        for frame in log.frames(number):
            end = frame.body_end - (8 if frame.kind == 2 else 0)
            start = frame.offset + 48
            check = segment[end - mac.check_bytes : end]
            assert check == mac.check(segment[frame.offset : start], segment[start : end - mac.check_bytes])
        assert segment[444 + mac.check_bytes : 508] == bytes(64 - mac.check_bytes)
