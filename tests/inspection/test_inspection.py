"""verify, salvage and backup: they agree with `open`, lose nothing that is intact, and change nothing."""

from __future__ import annotations

import hashlib
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
from tests import stores
from tests.codecs import DeflateCodec
from tests.stores import CODECS, LogFactory
from tests.system.children import seed_of
from walogs import assembly
from walogs.engine import recovery
from walogs.inspection import backup as backup_module
from walogs.inspection import salvage as salvage_module
from walogs.inspection import verify as verify_module
from walogs.testing import MemoryChainStore, MemoryCloud

log_factory = stores.log_factory


def state(path: Path) -> dict[str, tuple[str, int]]:
    return {
        file.name: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns) for file in path.iterdir()
    }


def small_log(path: Path, rng: random.Random, codec: Any = "crc32") -> list[bytes]:
    """A log of a few segments, sealed and not; its entries."""
    entries: list[bytes] = []
    with walogs.open(path, max_segment_size=rng.choice((700, 1500, 4000)), codec=codec) as wal:
        for _ in range(rng.randrange(4, 14)):
            batch = [rng.randbytes(rng.randrange(60)) for _ in range(rng.randrange(1, 5))]
            wal.append_batch(batch)
            entries += batch
            if rng.random() < 0.2:
                wal.checkpoint(rng.randrange(wal.next_lsn))
    return entries


def damaged(path: Path, rng: random.Random) -> str:
    """One fault somewhere in the log; what it was."""
    files = sorted(path.glob("wal-*.log"))
    file = rng.choice(files)
    data = bytearray(file.read_bytes())
    used = len(data.rstrip(b"\0"))
    kind = rng.choice(("flip", "flip", "zeros", "cut", "gone", "header"))
    at = rng.randrange(512 if kind == "header" else used)
    if kind in ("flip", "header"):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "zeros":
        at -= at % 512
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    elif kind == "cut":
        del data[at:]
    if kind == "gone":
        file.unlink()
    else:
        file.write_bytes(data)
    return f"{kind} at {at} of {file.name}, {len(files)} segments"


def opens(path: Path, codec: Any) -> bool:
    """Whether a copy of this log opens."""
    copy = path.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    try:
        walogs.open(copy, codec=codec).close()
    except walogs.Corrupt:
        return False
    return True


def agree(path: Path, seed: int, codec: Any) -> bool:
    """One fault: verify says what open says; salvage has what was written, and gaps where it has nothing. Whether it
    was damage."""
    rng = random.Random(seed)
    entries = small_log(path, rng, codec)
    what = f"seed {seed}: {damaged(path, rng)}"
    if not any(path.glob("wal-*.log")):
        return False
    before = state(path)
    try:
        report = walogs.verify(path, codec=codec)
        found = list(walogs.salvage(path, codec=codec))
    except (walogs.UnsupportedFormat, walogs.Missing):  # a first segment cut to nothing looks like the crate's
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
    base = random.SystemRandom().randrange(1 << 32)
    print(f"seeds from {base}")
    damage = 0
    for seed in range(base, base + 4000):
        damage += agree(tmp_path / "log", seed, "crc32")
        shutil.rmtree(tmp_path / "log")
    print(f"{damage} of 4000 faults were damage")


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


def test_where_no_header_is_intact_the_witness_tells_of_the_newest_segment(tmp_path: Path) -> None:
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
    assert gaps[-1][:2] == (segments[-1].first_lsn, 30)  # the witness saw them


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
            for _ in range(15 if log_factory.shape == "local" else 5):  # a chain has a segment a commit
                if log_factory.shape == "local":
                    report = walogs.verify(log_factory._directory / "log", codec=codec())
                else:
                    report = walogs.verify(store=log_factory.store(), codec=codec())
                assert report.ok, report
        finally:
            stop.set()
            thread.join()


class Overtaken(MemoryChainStore):
    """A checkpoint comes before one of its reads."""

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
        with walogs.open(store=MemoryChainStore(cloud)) as wal:
            for n in range(12):
                wal.append(b"%d" % n)
            store = Overtaken(cloud, wal, at)
            report = verify_module.beside_a_writer(assembly.source_of(None, walogs.WalConfig(store=store)), None, 0.0)
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
        with pytest.raises(walogs.Missing):
            look(tmp_path / "typo")
    assert list(tmp_path.iterdir()) == []


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


# Backups


@pytest.mark.guarantee("G1", "G14")
@pytest.mark.parametrize("codec", CODECS)
def test_a_backup_opens_and_goes_on(tmp_path: Path, codec: str) -> None:
    for seed in range(25):
        source, copy = tmp_path / f"{seed}", tmp_path / f"{seed}-copy"
        small_log(source, random.Random(seed), CODECS[codec]())
        with walogs.open(source, codec=CODECS[codec]()) as wal:
            wal.append(b"in flight")
            said: list[tuple[int, int]] = []
            report = walogs.backup(source, copy, lambda *done, said=said: said.append(done), codec=CODECS[codec]())
            expected = list(wal)
        assert (report.first_lsn, report.last_lsn) == (wal.first_lsn, wal.last_lsn)
        assert said[-1][0] == said[-1][1] == report.bytes
        assert sorted(said) == said
        assert walogs.verify(copy, codec=CODECS[codec]()).ok
        for n in range(2):
            with walogs.open(copy, codec=CODECS[codec]()) as again:
                assert list(again)[: len(expected)] == expected
                assert again.last_lsn == len(expected) + wal.first_lsn - 1 + n
                again.append(b"on its own")


@pytest.mark.guarantee("G14")
def test_a_backup_of_a_log_that_is_being_written_and_checkpointed(tmp_path: Path) -> None:
    stop = threading.Event()

    def writing() -> None:
        while not stop.is_set():
            wal.append(b"%d" % wal.next_lsn * 20)
            if wal.last_lsn % 40 == 0:
                wal.checkpoint(wal.last_lsn - 200)

    with walogs.open(tmp_path / "log", max_segment_size=3000) as wal:
        for _ in range(300):
            wal.append(b"%d" % wal.next_lsn * 20)
        thread = threading.Thread(target=writing)
        thread.start()
        try:
            for n in range(8):
                acknowledged = wal.durable_lsn
                report = walogs.backup(tmp_path / "log", tmp_path / f"copy-{n}")
                assert report.last_lsn >= acknowledged
                with walogs.open(tmp_path / f"copy-{n}") as copy:
                    assert (copy.first_lsn, copy.last_lsn) == (report.first_lsn, report.last_lsn)
                    assert all(data == b"%d" % lsn * 20 for lsn, data in copy)
        finally:
            stop.set()
            thread.join()


@pytest.mark.guarantee("G1", "G11")
def test_a_backup_carries_the_base_of_a_checkpoint_that_the_witness_has_not_seen(tmp_path: Path) -> None:
    """After a power cut that outran the witness, or where it could not be written."""
    with walogs.open(tmp_path / "log", max_segment_size=1000) as wal:
        for n in range(40):
            wal.append(b"entry %d." % (n + 1) * 4)
        wal.checkpoint(20)
        first_lsn, last_lsn = wal.first_lsn, wal.last_lsn
        assert first_lsn > 1
        shutil.copytree(tmp_path / "log", tmp_path / "unopened")
    (tmp_path / "unopened" / "DURABLE").unlink()
    report = walogs.backup(tmp_path / "unopened", tmp_path / "copy")
    assert (report.first_lsn, report.last_lsn) == (first_lsn, last_lsn)
    assert walogs.verify(tmp_path / "copy").ok
    for n in range(2):
        with walogs.open(tmp_path / "copy") as copy:
            assert (copy.first_lsn, copy.last_lsn) == (first_lsn, last_lsn + n)
            assert all(data == b"entry %d." % lsn * 4 for lsn, data in copy.iter(stop=last_lsn + 1))
            copy.append(b"on its own")


def test_the_progress_of_a_backup_ends_at_all_of_it_also_where_a_seal_is_missing(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", max_segment_size=1000) as wal:
        for n in range(40):
            wal.append(b"entry %d." % n * 4)
        completed = tmp_path / "log" / wal.segments()[0].name
    completed.write_bytes(completed.read_bytes()[:-8] + bytes(3000))
    assert "unsealed" in {finding.kind for finding in walogs.verify(tmp_path / "log").findings}
    said: list[tuple[int, int]] = []
    report = walogs.backup(tmp_path / "log", tmp_path / "copy", lambda *done: said.append(done))
    assert said[-1] == (report.bytes, report.bytes)
    assert report.bytes == sum(file.stat().st_size for file in (tmp_path / "copy").glob("wal-*"))


def test_the_progress_of_a_check_grows_to_all_that_is_completed(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", max_segment_size=1000) as wal:
        for n in range(40):
            wal.append(b"entry %d." % n * 4)
    said: list[tuple[int, int]] = []
    assert walogs.verify(tmp_path / "log", progress=lambda *done: said.append(done)).ok
    done = [checked for checked, _ in said]
    assert done == sorted(set(done))
    assert len(done) == len(list((tmp_path / "log").glob("wal-*"))) - 1
    assert {total for _, total in said} == {done[-1]}


def test_a_backup_never_copies_damage_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", max_segment_size=1000) as wal:
        for n in range(40):
            wal.append(b"entry %d." % n * 4)
        files = [tmp_path / "log" / segment.name for segment in wal.segments()]
    for file in files:
        whole = file.read_bytes()
        data = bytearray(whole)
        data[600] ^= 1
        file.write_bytes(data)
        with pytest.raises(walogs.Corrupt):
            walogs.backup(tmp_path / "log", tmp_path / "copy")
        file.write_bytes(whole)
        assert [path.name for path in tmp_path.iterdir()] == ["log"]

    def stopped(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walogs.backup(tmp_path / "log", tmp_path / "copy", stopped)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(FileExistsError):
        walogs.backup(tmp_path / "log", tmp_path / "full")
    with pytest.raises(walogs.ConfigError, match="itself"):
        walogs.backup(tmp_path / "log", tmp_path / "log")


def test_damage_to_the_last_entry_of_a_backup_is_seen(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(b"first")
        wal.append(b"the last one")
        walogs.backup(tmp_path / "log", tmp_path / "copy")
    file = tmp_path / "copy" / "wal-000001.log"
    file.write_bytes(file.read_bytes().replace(b"the last one", b"the lost one"))
    with pytest.raises(walogs.Corrupt):
        walogs.open(tmp_path / "copy")


# Bugs, planted


def test_a_verify_that_trusts_seals_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "check_completed", lambda *args: [])
    with pytest.raises(AssertionError):
        test_verify_says_what_open_says_and_salvage_has_the_rest(tmp_path, "crc32")


def test_a_salvage_that_ends_at_the_first_gap_is_seen_when_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(salvage_module, "next_header", lambda source, segment, offset, size: size)
    with pytest.raises(AssertionError):
        test_salvage_finds_each_gap_and_no_part_of_a_batch(tmp_path)


def test_a_backup_that_checks_nothing_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_module, "refuse_damaged_run", lambda *args: None)
    with pytest.raises(pytest.fail.Exception):
        test_a_backup_never_copies_damage_and_leaves_nothing_behind(tmp_path)


def test_the_check_that_verify_makes_is_the_one_that_open_makes() -> None:
    assert verify_module.check_completed is recovery.check_completed
    assert DeflateCodec.identity is False


class KeylessCodec(DeflateCodec):
    """What cannot decode, as an encrypting codec without its key; it can check all the same."""

    def decode(self, stored: Buffer, frame: walogs.FrameContext) -> bytes:
        raise PermissionError("no key")


class RefusingCodec(DeflateCodec):
    """What takes every second frame for forged, as a codec does that authenticates."""

    def decode(self, stored: Buffer, frame: walogs.FrameContext) -> bytes:
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
        except (walogs.Missing, walogs.UnsupportedFormat):
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
