"""`verify` agrees with `open`, and `salvage` finds every intact entry."""

from __future__ import annotations

import os
import random
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import Buffer

import walogs
from tests.inspection.random_damage import damaged, opens, small_log, state
from tests.inspection.test_backup import test_a_backup_never_copies_damage_and_leaves_nothing_behind
from tests.kit import stores
from tests.kit.codecs import DeflateCodec
from tests.kit.laboratory import amount
from tests.kit.logs import with_byte
from tests.kit.stores import CODECS, LogFactory
from tests.system.children import seed_of
from walogs.assembly import opening
from walogs.engine import recovery
from walogs.formats import native_seal
from walogs.formats.segment_format import RunIndex
from walogs.inspection import backup as backup_module
from walogs.inspection import scan as scan_module
from walogs.inspection import verify as verify_module
from walogs.testing import MemoryCloud, MemoryImmutableStore

log_factory = stores.log_factory


def agree(path: Path, seed: int, codec: Any) -> bool:
    """Damage the log once. Check that `verify` agrees with `open`, and that `salvage` returns each entry or a gap.

    Return whether the fault was damage.
    """
    rng = random.Random(seed)
    entries = small_log(path, rng, codec)
    what = f"seed {seed}: {damaged(path, rng)}"
    if not any(path.glob("wal-*.log")):
        return False
    before = state(path)
    try:
        report = walogs.verify(path, codec=codec)
        found = list(walogs.salvage(path, codec=codec))
    except (walogs.UnsupportedFormat, walogs.LogNotFound):  # a first segment cut to nothing looks like the crate's
        with pytest.raises((walogs.UnsupportedFormat, walogs.Corrupt)):
            walogs.open(path, codec=codec)
        return False
    assert state(path) == before, what
    assert report.ok == opens(path, codec), f"{what}: {report}"
    next_lsn = 0
    for item in found:
        first = item.lsn if isinstance(item, walogs.Entry) else item.first_lsn
        assert not next_lsn or first == next_lsn, f"{what}: {found}"
        if isinstance(item, walogs.Entry):
            assert item.data == entries[item.lsn - 1], what
            next_lsn = item.lsn + 1
        else:
            next_lsn = (item.last_lsn if item.last_lsn is not None else item.first_lsn) + 1
    if report.ok:
        with walogs.open(path, codec=codec) as wal:
            have = [item for item in found if isinstance(item, walogs.Entry)]
            assert [tuple(item) for item in have if item.lsn >= wal.first_lsn] == list(wal), what
            assert report.entries >= len(list(wal)), what
            assert report.last_lsn == wal.last_lsn, what
    return not report.ok


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("codec", CODECS)
def test_verify_says_what_open_says_and_salvage_has_the_rest(tmp_path: Path, codec: str) -> None:
    damage = sum(agree(tmp_path / f"{seed}" / "log", seed, CODECS[codec]()) for seed in range(150))
    print(f"{damage} of 150 faults were damage")
    assert damage > 60


@pytest.mark.laboratory
@pytest.mark.guarantee("G6")
def test_verify_says_what_open_says_for_thousands_of_faults(tmp_path: Path) -> None:
    first_seed = random.SystemRandom().randrange(1 << 32)
    print(f"seeds from {first_seed}")
    damage = 0
    count = amount(500, 4000)
    for seed in range(first_seed, first_seed + count):
        damage += agree(tmp_path / "log", seed, "crc32")
        shutil.rmtree(tmp_path / "log")
    print(f"{damage} of {count} faults were damage")


@pytest.mark.guarantee("G12")
def test_salvage_finds_each_gap_and_no_part_of_a_batch(tmp_path: Path) -> None:
    with walogs.open(tmp_path, max_segment_size=3000) as wal:
        for k in range(20):
            wal.append_batch([b"batch %d, entry %d" % (k, n) * 3 for n in range(5)])
        numbers = [segment.number for segment in wal.segments()]
    assert len(numbers) == 3
    for at in (3, 7):  # the second entry of these batches
        for file in tmp_path.glob("wal-*.log"):
            data = file.read_bytes()
            if b"batch %d, entry 1" % at in data:
                file.write_bytes(data.replace(b"batch %d, entry 1b" % at, b"batch %d, ENTRY 1b" % at))
    found = list(walogs.salvage(tmp_path))
    gaps = [item for item in found if isinstance(item, walogs.Gap)]
    assert [(gap.first_lsn, gap.last_lsn) for gap in gaps] == [(16, 20), (36, 40)]
    assert all(gap.segment is not None and gap.offset is not None for gap in gaps)
    lsns = [item.lsn for item in found if isinstance(item, walogs.Entry)]
    assert lsns == [n for n in range(1, 101) if not 16 <= n <= 20 and not 36 <= n <= 40]
    report = walogs.verify(tmp_path)
    assert not report.ok
    assert [finding.lsn for finding in report.findings] == [16, 36]
    assert report.entries == 90


def test_a_damaged_header_does_not_lose_its_segment(tmp_path: Path) -> None:
    with walogs.open(tmp_path, max_segment_size=1000) as wal:
        entries = [b"entry %d." % n * 4 for n in range(60)]
        for entry in entries:
            wal.append(entry)
        numbers = [segment.number for segment in wal.segments()]
    for number in numbers:
        file = tmp_path / f"wal-{number:06d}.log"
        whole = file.read_bytes()
        file.write_bytes(bytes(512) + whole[512:])
        assert [item.data for item in walogs.salvage(tmp_path) if isinstance(item, walogs.Entry)] == entries, number
        assert not walogs.verify(tmp_path).ok
        file.write_bytes(whole)
    assert walogs.verify(tmp_path).ok


def test_where_no_header_is_intact_the_durable_mark_tells_of_the_newest_segment(tmp_path: Path) -> None:
    with walogs.open(tmp_path, max_segment_size=1000) as wal:
        for n in range(60):
            wal.append(b"entry %d." % n * 4)
        newest = wal.segments()[-1]
    for file in tmp_path.glob("wal-*.log"):
        file.write_bytes(bytes(100) + file.read_bytes()[100:])
    lsns = [item.lsn for item in walogs.salvage(tmp_path) if isinstance(item, walogs.Entry)]
    assert lsns == list(range(newest.first_lsn, newest.last_lsn + 1))


def test_a_foreign_segment_at_the_end_does_not_hide_the_log(tmp_path: Path) -> None:
    for name in ("log", "other"):
        with walogs.open(tmp_path / name, max_segment_size=600) as wal:
            for n in range(30):
                wal.append(f"{name} {n}.".encode() * 6)
            names = [segment.name for segment in wal.segments()]
    (tmp_path / "other" / names[-1]).rename(tmp_path / "log" / names[-1])
    found = [item.data for item in walogs.salvage(tmp_path / "log") if isinstance(item, walogs.Entry)]
    assert len(found) > 20
    assert all(data.startswith(b"log ") for data in found)


def test_a_segment_that_is_gone_is_a_gap(tmp_path: Path) -> None:
    with walogs.open(tmp_path, max_segment_size=600) as wal:
        for n in range(30):
            wal.append(b"entry %d." % n * 4)
        segments = wal.segments()
    (tmp_path / segments[1].name).unlink()
    gaps = [item for item in walogs.salvage(tmp_path) if isinstance(item, walogs.Gap)]
    assert [(gap.first_lsn, gap.last_lsn) for gap in gaps] == [(segments[1].first_lsn, segments[1].last_lsn)]
    (tmp_path / segments[-1].name).unlink()
    gaps = [item for item in walogs.salvage(tmp_path) if isinstance(item, walogs.Gap)]
    assert gaps[-1][:2] == (segments[-1].first_lsn, 30)  # the durable mark saw them


def test_what_a_segment_holds_beyond_its_successor_is_no_entry_of_the_log(tmp_path: Path) -> None:
    """A copy was written to, and its first segment came back below the first entry of the log. The log opens."""
    log, copy = tmp_path / "log", tmp_path / "copy"
    with walogs.open(log) as wal:
        wal.append_batch([b"1", b"2", b"3"])
    shutil.copytree(log, copy)
    with walogs.open(copy) as wal:
        wal.append(b"4 of the copy")
    with walogs.open(log) as wal:
        wal.rotate()
        wal.append(b"4")
        wal.append(b"5")
        wal.checkpoint(3)
    shutil.copy(copy / "wal-000001.log", log)
    found = [item for item in walogs.salvage(log) if isinstance(item, walogs.Entry) and item.lsn > 3]
    with walogs.open(log) as wal:
        assert found == [(4, b"4"), (5, b"5")] == list(wal)


def test_the_only_commit_of_a_segment_is_believed_by_the_header_before_it(tmp_path: Path) -> None:
    """A copy was written to, and its first segment came back below the first entry of the log. The log opens.

    The segment's header and its first frame say after which commit they were made. No later frame does.
    """
    log, copy = tmp_path / "log", tmp_path / "copy"
    with walogs.open(log) as wal:
        wal.append(b"1")
    shutil.copytree(log, copy)
    with walogs.open(copy) as wal:
        wal.append(b"2 of the copy")
    with walogs.open(log) as wal:
        wal.append(b"2")
        wal.rotate()
        wal.append(b"3")
        wal.checkpoint(2)
    shutil.copy(copy / "wal-000001.log", log)
    found = [item for item in walogs.salvage(log) if isinstance(item, walogs.Entry) and item.lsn > 2]
    with walogs.open(log) as wal:
        assert found == [(3, b"3")] == list(wal)


def test_a_packed_file_beside_a_missing_segment_is_hinted_at(tmp_path: Path) -> None:
    with walogs.open(tmp_path, max_segment_size=600) as wal:
        for n in range(30):
            wal.append(b"entry %d." % n * 4)
    segment = tmp_path / "wal-000001.log"
    segment.rename(tmp_path / "wal-000001.log.gz")
    (tmp_path / "wal-000001.log.tmp").touch()
    report = walogs.verify(tmp_path)
    assert not report.ok
    assert [finding.message.count("wal-000001.log.gz is there: unpack it") for finding in report.findings] == [1]
    (tmp_path / "wal-000001.log.gz").unlink()
    assert "unpack" not in str(walogs.verify(tmp_path))


def test_verify_tells_what_is_no_damage(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"first")
        wal.rotate()
        wal.append(b"second")
    newest, older = tmp_path / "wal-000002.log", tmp_path / "wal-000001.log"
    newest.write_bytes(newest.read_bytes().rstrip(b"\0") + bytes(16) + b"torn")
    data = bytearray(older.read_bytes())
    data[-20] ^= 1  # in its SEAL
    older.write_bytes(data)
    report = walogs.verify(tmp_path)
    assert report.ok
    assert sorted(finding.kind for finding in report.findings) == ["torn", "unsealed"]
    with walogs.open(tmp_path) as wal:
        assert wal.last_lsn == 2


@pytest.mark.guarantee("G14")
def test_a_log_that_is_being_written_verifies_without_a_false_finding(log_factory: LogFactory) -> None:
    stop = threading.Event()

    def writing() -> None:
        while not stop.is_set():
            wal.append(os.urandom(40))
            if wal.last_lsn % 50 == 0:
                wal.checkpoint(wal.last_lsn - 100)

    codec = CODECS[log_factory.codec]
    with log_factory.open(max_segment_size=2000) as wal:
        wal.append(b"first")
        thread = threading.Thread(target=writing)
        thread.start()
        try:
            for _ in range(
                15 if log_factory.shape == "local" else 5
            ):  # an immutable store has a segment for each commit
                if log_factory.shape == "local":
                    report = walogs.verify(log_factory.path, codec=codec())
                else:
                    report = walogs.verify(store=log_factory.store(), codec=codec())
                assert report.ok, report
        finally:
            stop.set()
            thread.join()


class Overtaken(MemoryImmutableStore):
    """A store before one of whose reads a checkpoint is made."""

    def __init__(self, cloud: MemoryCloud, writer: walogs.Wal, at: int) -> None:
        super().__init__(cloud)
        self.writer = writer
        self.left = at

    def _reads(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.writer.checkpoint(self.writer.last_lsn - 3)

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        self._reads()
        return super().read(number, start, end)

    def size(self, number: int) -> int:
        self._reads()
        return super().size(number)


@pytest.mark.guarantee("G14")
def test_a_checkpoint_that_overtakes_the_verifying_reader_is_no_finding() -> None:
    overtaken = set()
    for at in range(1, 120):
        cloud = MemoryCloud()
        with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
            for n in range(12):
                wal.append(b"%d" % n)
            store = Overtaken(cloud, wal, at)
            report = verify_module.verify_beside_writer(
                opening.source_of(None, walogs.WalConfig(store=store)), None, 0.0
            )
            assert report.ok, report
            assert report.last_lsn == 12
            assert report.entries == 12 - report.first_lsn + 1
            overtaken.add(report.first_lsn)
    assert overtaken == {1, 10}


def test_where_there_is_no_log_nothing_is_made(tmp_path: Path) -> None:
    for look in (
        walogs.verify,
        lambda path: list(walogs.salvage(path)),
        lambda path: walogs.backup(path, tmp_path / "b"),
    ):
        with pytest.raises(walogs.LogNotFound):
            look(tmp_path / "typo")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.guarantee("G6")
def test_damage_right_before_a_segment_that_cannot_be_read_is_listed_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with walogs.open(log) as wal:
        for data in (b"one", b"two", b"the last of its segment"):
            wal.append(data)
        wal.rotate()
        wal.append(b"four")
    first, second = sorted(log.glob("wal-*.log"))
    content = first.read_bytes()
    first.write_bytes(with_byte(content, content.index(b"the last of"), 1))
    second.write_bytes(second.read_bytes()[:100])
    (gap,) = (found for found in walogs.salvage(log) if isinstance(found, walogs.Gap))
    assert (gap.first_lsn, gap.last_lsn, gap.segment) == (3, 4, 1)
    assert [(found.segment, found.lsn) for found in walogs.verify(log).findings if found.is_damage] == [(2, 4), (1, 3)]


@pytest.mark.guarantee("G6")
def test_the_advice_to_cut_is_given_where_cutting_helps_and_nowhere_else(tmp_path: Path) -> None:
    advised = 0
    for seed in range(200):
        rng, log = random.Random(seed), tmp_path / f"{seed}"
        small_log(log, rng)
        what = f"seed {seed}: {damaged(log, rng)}"
        try:
            walogs.open(log).close()
        except walogs.Corrupt as error:
            is_advised = 'recovery="prefix"' in str(error)
        except walogs.UnsupportedFormat:
            continue
        else:
            continue
        advised += is_advised
        try:
            walogs.open(log, recovery="prefix").close()
            helps = True
        except walogs.Corrupt:
            helps = False
        assert is_advised == helps, what
    print(f"advised {advised} times")
    assert advised > 10


def test_a_seal_with_lengths_that_its_entries_do_not_have_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its CRC is right, because the writer has a bug. By these lengths, entries would be cut wrongly."""
    encode_runs, entries = native_seal.encode_runs, [b"one", b"the second", b"a third one"]

    def turned_round(runs: RunIndex, first_lsn: int) -> bytes:
        lengths = [found if found is None else found[::-1] for found in runs.lengths]
        return encode_runs(RunIndex.of(runs.offsets, runs.first_lsns, runs.crcs, lengths), first_lsn)

    with walogs.open(tmp_path / "log") as wal:
        for entry in entries:
            wal.append(entry)
        wal.rotate()
        assert walogs.verify(tmp_path / "log").ok
        for entry in entries:
            wal.append(entry)
        with monkeypatch.context() as planted:
            planted.setattr(native_seal, "encode_runs", turned_round)
            wal.rotate()
    report = walogs.verify(tmp_path / "log")
    assert [(finding.segment, finding.offset, finding.lsn) for finding in report.findings] == [(2, 512, 4)]
    assert not report.ok
    assert "its SEAL says other places, LSNs or lengths than its entries have" in report.findings[0].message
    found = list(walogs.salvage(tmp_path / "log"))
    assert [item.data for item in found if isinstance(item, walogs.Entry)] == entries * 2


def test_a_seal_with_other_lsns_than_its_entries_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode_runs = native_seal.encode_runs

    def moved(runs: RunIndex, first_lsn: int) -> bytes:
        lsns = [lsn + bool(at) for at, lsn in enumerate(runs.first_lsns)]
        return encode_runs(RunIndex.of(runs.offsets, lsns, runs.crcs, runs.lengths), first_lsn)

    with walogs.open(tmp_path / "log", sync="none") as wal, monkeypatch.context() as planted:
        for _ in range(3):
            wal.append_batch([b"x" * 40_000] * 2)
        planted.setattr(native_seal, "encode_runs", moved)
        wal.rotate()
    report = walogs.verify(tmp_path / "log")
    assert [(finding.kind, finding.segment, finding.lsn) for finding in report.findings] == [("corrupt", 1, 1)]
    assert "its SEAL says other places, LSNs or lengths than its entries have" in report.findings[0].message
    found = list(walogs.salvage(tmp_path / "log"))
    assert [item.lsn for item in found if isinstance(item, walogs.Entry)] == [1, 2, 3, 4, 5, 6]


def test_a_verify_that_trusts_seals_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "check_completed", lambda *args: [])
    with pytest.raises(AssertionError):
        test_verify_says_what_open_says_and_salvage_has_the_rest(tmp_path, "crc32")


def test_a_salvage_that_ends_at_the_first_gap_is_seen_when_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module.HeaderSearch, "header_after", lambda self, offset: self._size)
    with pytest.raises(AssertionError):
        test_salvage_finds_each_gap_and_no_part_of_a_batch(tmp_path)


def test_a_backup_that_checks_nothing_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_module, "intact_end", lambda *args: 1 << 40)
    with pytest.raises(pytest.fail.Exception):
        test_a_backup_never_copies_damage_and_leaves_nothing_behind(tmp_path)


def test_the_check_that_verify_makes_is_the_one_that_open_makes() -> None:
    assert verify_module.check_completed is recovery.check_completed
    assert DeflateCodec.identity is False


class KeylessCodec(DeflateCodec):
    """A codec that can check but not decode, like an encrypting codec without its key."""

    def decode(self, stored: Buffer, frame: walogs.plugins.FrameContext) -> bytes:
        raise PermissionError("no key")


class RefusingCodec(DeflateCodec):
    """A codec that authenticates, and takes every second frame for forged."""

    def decode(self, stored: Buffer, frame: walogs.plugins.FrameContext) -> bytes:
        if frame.first_lsn % 2 == 0:
            raise walogs.Corrupt("forged", segment=frame.segment, offset=frame.offset, lsn=frame.first_lsn)
        return super().decode(stored, frame)


def test_verify_asks_no_codec_to_decode_also_of_a_damaged_log(tmp_path: Path) -> None:
    seed = seed_of("verify without decoding")
    for turn in range(30):
        rng = random.Random(seed + turn)
        path = tmp_path / str(turn)
        small_log(path, rng, codec=DeflateCodec())
        assert walogs.verify(path, codec=KeylessCodec()).ok
        damaged(path, rng)
        try:
            expected = walogs.verify(path, codec=DeflateCodec())
        except (walogs.LogNotFound, walogs.UnsupportedFormat):
            continue
        found = walogs.verify(path, codec=KeylessCodec())
        assert replace(found, duration_seconds=0) == replace(expected, duration_seconds=0)


def test_salvage_reads_around_what_a_codec_calls_corrupt(tmp_path: Path) -> None:
    with walogs.open(tmp_path, codec=DeflateCodec()) as wal:
        for n in range(1, 7):
            wal.append(b"%d" % n)
    found = list(walogs.salvage(tmp_path, codec=RefusingCodec()))
    assert [item.lsn for item in found if isinstance(item, walogs.Entry)] == [1, 3, 5]
    assert [(item.first_lsn, item.why) for item in found if isinstance(item, walogs.Gap)] == [
        (2, "forged"),
        (4, "forged"),
        (6, "forged"),
    ]
