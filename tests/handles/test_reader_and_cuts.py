"""What a reader says of entries that were cut, and of damage."""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

import walogs
from tests.handles.readers import entry
from tests.kit.logs import with_byte
from walogs.assembly.opening import ENVIRONMENT, assemble
from walogs.engine.log_source import Environment
from walogs.engine.log_view import LogView
from walogs.testing import (
    MemoryCloud,
    MemoryDisk,
    MemoryImmutableStore,
    MemoryStore,
)

# What was cut, and what is damaged


def damage(path: Path, number: int, find: bytes) -> None:
    file = path / f"wal-{number:06d}.log"
    data = bytearray(file.read_bytes())
    at = data.index(find)
    data[at] ^= 1
    file.write_bytes(data)


@pytest.mark.guarantee("G14")
def test_entries_that_were_handed_out_and_then_cut_are_missed(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        for lsn in range(1, 11):
            wal.append(b"entry %d" % lsn)
    reader = walogs.reader(tmp_path)
    assert len(list(reader)) == 10
    damage(tmp_path, 1, b"entry 6")
    with walogs.open(tmp_path, recovery="prefix") as wal:
        assert wal.last_lsn == 5
        with pytest.raises(walogs.LogRewound) as cut:
            list(reader.follow(11, timeout=0))
        assert cut.value.end_lsn == 5
        assert [lsn for lsn, _ in reader.iter(5)] == [5]


@pytest.mark.guarantee("G14")
def test_other_entries_under_the_same_numbers_are_never_taken_for_those_handed_out(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        for lsn in range(1, 11):
            wal.append(b"entry %d" % lsn)
    reader = walogs.reader(tmp_path)
    following = reader.follow(timeout=0)
    assert [next(following)[0] for _ in range(10)] == list(range(1, 11))
    damage(tmp_path, 1, b"entry 6")
    with walogs.open(tmp_path, recovery="prefix") as wal:
        for lsn in range(6, 30):
            wal.append(b"other %d" % lsn)
    with pytest.raises(walogs.LogRewound) as cut:
        list(following)
    assert cut.value.end_lsn == 5
    assert next(reader.follow(cut.value.end_lsn + 1)) == (6, b"other 6")
    assert pickle.loads(pickle.dumps(cut.value)).end_lsn == 5


def cut_to_five_and_written_anew(path: Path) -> None:
    """Entries 6 to 10 are damaged, cut, and others under those numbers."""
    damage(path, 1, b"entry 6")
    with walogs.open(path, recovery="prefix") as wal:
        for lsn in range(6, 30):
            wal.append(b"other %d" % lsn)


@pytest.mark.guarantee("G14")
def test_what_was_handed_out_is_not_forgotten_when_an_early_entry_is_read_again(tmp_path: Path) -> None:
    reader = reader_of_ten(tmp_path)
    assert reader.read(2) == b"entry 2"
    cut_to_five_and_written_anew(tmp_path)
    with pytest.raises(walogs.LogRewound) as cut:
        reader.follow(11, timeout=0)
    assert cut.value.end_lsn == 5


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("is_gone", [False, True])
def test_what_a_repair_cuts_together_with_whole_segments_is_missed(tmp_path: Path, is_gone: bool) -> None:
    """The segments that are lost were those of later writers, and the writer after the repair uses their numbers and
    epochs again."""
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append_batch([b"1", b"2", b"3"])
    for data in (b"4", b"5"):
        with walogs.open(path) as wal:
            wal.rotate()
            wal.append(data)
    reader = walogs.reader(path)
    assert len(list(reader)) == 5
    for file in sorted(path.glob("wal-*.log"))[1:]:
        if is_gone:
            file.unlink()
        else:
            file.write_bytes(with_byte(file.read_bytes(), 100, 1))
    assert walogs.repair(path, keep="before").last_lsn == 3
    with walogs.open(path) as wal:
        wal.append_batch([b"4 new", b"5 new"])
        for lsn in range(6, 9):
            wal.rotate()
            wal.append(b"%d new" % lsn)
    with pytest.raises(walogs.LogRewound) as told:
        list(reader.iter(6))
    assert told.value.end_lsn == 3
    assert list(reader.iter(4))[:2] == [(4, b"4 new"), (5, b"5 new")]


def test_an_older_copy_of_immutable_segments_is_told_where_it_goes_on_otherwise() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        wal.append(b"1")
        wal.append(b"2")
    older = dict(cloud.objects)
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for lsn in range(3, 6):
            wal.append(b"%d" % lsn)
    reader = walogs.reader(store=MemoryImmutableStore(cloud))
    assert len(list(reader)) == 5
    cloud.objects.clear()
    cloud.objects.update(older)
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        wal.append_batch([b"3 new", b"4 new", b"5 new"])
        for lsn in range(6, 8):
            wal.append(b"%d new" % lsn)
    with pytest.raises(walogs.LogRewound) as told:
        list(reader.iter(6))
    assert told.value.end_lsn == 2


def test_an_interrupt_in_the_middle_hides_no_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of_ten(tmp_path / "log")
    list(reader)
    cut_to_five_and_written_anew(tmp_path / "log")
    record = LogView._record_cut

    def interrupted(self: LogView, end_lsn: int, last_lsn: int) -> walogs.LogRewound:
        record(self, end_lsn, last_lsn)
        raise KeyboardInterrupt

    monkeypatch.setattr(LogView, "_record_cut", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(reader)
    monkeypatch.setattr(LogView, "_record_cut", record)
    with pytest.raises(walogs.LogRewound):
        list(reader)


def reader_of_ten(path: Path) -> walogs.WalReader:
    """It has been handed out all of them."""
    with walogs.open(path) as wal:
        for lsn in range(1, 11):
            wal.append(b"entry %d" % lsn)
    reader = walogs.reader(path)
    assert [lsn for lsn, _ in reader] == list(range(1, 11))
    return reader


@pytest.mark.guarantee("G14")
def test_a_segment_that_was_cut_to_its_header_is_never_written_into_again(tmp_path: Path) -> None:
    """It would hold other entries under the same name and header: a reader could not tell."""
    reader = reader_of_ten(tmp_path)
    damage(tmp_path, 1, b"entry 1")
    with walogs.open(tmp_path, recovery="prefix") as wal:
        for lsn in range(1, 21):
            wal.append(b"other %d" % lsn)
    assert sorted(path.name for path in tmp_path.glob("wal-*")) == ["wal-000001.log", "wal-000002.log"]
    with pytest.raises(walogs.LogRewound) as cut:
        reader.follow(11, timeout=0)
    assert cut.value.end_lsn == 0
    assert list(reader) == [(lsn, b"other %d" % lsn) for lsn in range(1, 21)]


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("seen_before", [True, False], ids=["the cut is seen", "the cut is not seen yet"])
def test_what_was_durable_before_a_cut_vouches_for_nothing_after_it(seen_before: bool) -> None:
    """The segment is used again, and its new entries are not synced: how far the old ones were says nothing of them."""
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal:
        wal.append(b"one")
        wal.rotate()
        for lsn in range(2, 22):
            wal.append(b"entry %d " % lsn * 20)
    reader = walogs.reader(store=MemoryStore(disk))
    assert len(list(reader)) == 21
    damaged = with_byte(MemoryStore(disk).read(2), 560, 1)
    disk.damage("wal-000002.log", 560, damaged[560:561])
    wal = walogs.open(store=MemoryStore(disk), recovery="prefix", sync="none")
    if seen_before:
        with pytest.raises(walogs.LogRewound):
            list(reader.iter(2))
    assert [wal.append(b"not synced") for _ in range(5)] == [2, 3, 4, 5, 6]
    for _ in range(3):
        with suppress(walogs.LogRewound):
            assert list(reader.iter(2)) == []
    assert reader.last_lsn == wal.durable_lsn == 1
    wal.sync()
    assert reader.last_lsn == wal.durable_lsn == 6
    wal.close()


@pytest.mark.guarantee("G14")
def test_another_entry_under_the_very_header_of_the_one_before_is_told(tmp_path: Path) -> None:
    """The clock was set back, so that both have the same time; they have the same length too."""
    times = itertools.chain((2 * 10**18,), itertools.repeat(10**18))
    environment = ENVIRONMENT._replace(clock=lambda: next(times))
    with assemble(str(tmp_path), walogs.WalConfig(), environment) as wal:
        wal.append(b"pay 100 to A")
    reader = walogs.reader(tmp_path)
    assert list(reader) == [(1, b"pay 100 to A")]
    damage(tmp_path, 1, b"pay 100")
    with assemble(str(tmp_path), walogs.WalConfig(recovery="prefix"), environment) as wal:
        wal.append(b"pay 999 to B")
    with pytest.raises(walogs.LogRewound) as cut:
        list(reader)
    assert cut.value.end_lsn == 0
    assert list(reader) == [(1, b"pay 999 to B")]


@pytest.mark.guarantee("G14")
def test_every_iteration_that_was_begun_before_a_cut_ends_with_it(tmp_path: Path) -> None:
    """Not only the verb that saw it first; and one that was handed out nothing does not wait for ever."""
    reader = reader_of_ten(tmp_path)
    following, begun, commits = reader.follow(11, timeout=0), reader.iter(), reader.commits()
    cut_to_five_and_written_anew(tmp_path)
    with pytest.raises(walogs.LogRewound):
        reader.read(1)
    for stale in (following, begun, commits):
        with pytest.raises(walogs.LogRewound) as cut:
            list(stale)
        assert cut.value.end_lsn == 5
    assert reader.read(6) == b"other 6"


@pytest.mark.guarantee("G14")
def test_an_iteration_over_entries_that_were_cut_before_it_came_to_them_ends(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        for lsn in range(1, 11):
            wal.append(b"entry %d" % lsn)
    reader = walogs.reader(tmp_path)
    begun = reader.iter()
    damage(tmp_path, 1, b"entry 6")
    walogs.open(tmp_path, recovery="prefix").close()
    assert reader.last_lsn == 5  # nothing had been handed out, so nothing is missed
    got: list[int] = []
    with pytest.raises(walogs.LogRewound) as cut:
        got.extend(lsn for lsn, _ in begun)
    assert (got, cut.value.end_lsn) == ([1, 2, 3, 4, 5], 5)


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("log_first_lsn", [1, 26])
def test_another_log_in_the_place_of_the_one_that_was_read_is_not_gone_on_with(
    tmp_path: Path, log_first_lsn: int
) -> None:
    reader = reader_of_ten(tmp_path / "log")
    shutil.rmtree(tmp_path / "log")
    with walogs.open(tmp_path / "log") as wal:
        for lsn in range(1, 31):
            wal.append(b"another %d" % lsn)
            if lsn % 5 == 0:
                wal.rotate()
        wal.checkpoint(log_first_lsn - 1)
        with pytest.raises(walogs.LogRewound) as cut:
            reader.follow(max(11, log_first_lsn), timeout=0)
        assert cut.value.end_lsn == 0
        assert list(reader) == list(wal)


@pytest.mark.guarantee("G6", "G14")
def test_a_damaged_newest_immutable_segment_is_no_end() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        wal.append_batch([b"one", b"two"])
        wal.append(b"three")
    newest = max(cloud.objects)
    for offset in (515, 545, 553):  # header, LSN, data
        whole = cloud.objects[newest]
        cloud.objects[newest] = whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :]
        with pytest.raises(walogs.Corrupt) as corrupt:
            walogs.reader(store=MemoryImmutableStore(cloud))
        assert (corrupt.value.segment, corrupt.value.lsn) == (newest, 3)
        cloud.objects[newest] = whole
    assert walogs.reader(store=MemoryImmutableStore(cloud)).read(3) == b"three"


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("size", [0, 100, 512, 600, 50_000, 2_000_000])
def test_a_file_cut_short_while_it_is_read_is_an_error_and_no_crash(tmp_path: Path, size: int) -> None:
    with walogs.open(tmp_path) as wal:
        for _ in range(30):
            wal.append_batch([bytes(1000)] * 100)  # more in all than is read ahead
        reader = walogs.reader(tmp_path)
        walking = reader.iter()
        assert next(walking) == (1, bytes(1000))
        os.truncate(tmp_path / "wal-000001.log", size)
        with pytest.raises(walogs.Corrupt):
            list(walking)
        with pytest.raises(walogs.Corrupt):
            walogs.reader(tmp_path)


@pytest.mark.guarantee("G6", "G14")
@pytest.mark.parametrize("number", [1, 2])
def test_damage_to_what_is_durable_is_corrupt_for_a_reader_too(tmp_path: Path, number: int) -> None:
    with walogs.open(tmp_path) as wal:
        for lsn in range(1, 21):
            wal.append(b"entry %d." % lsn)
            if lsn == 10:
                wal.rotate()
        reader = walogs.reader(tmp_path)
        damage(tmp_path, number, b"entry 5." if number == 1 else b"entry 15.")
        seen: list[int] = []
        for read in (reader, walogs.reader(tmp_path)):
            with pytest.raises(walogs.Corrupt) as corrupt:
                seen.extend(lsn for lsn, data in read if data == b"entry %d." % lsn)
            assert (corrupt.value.segment, corrupt.value.lsn) == (number, 5 if number == 1 else 15)
        assert sorted(seen) == sorted([*range(1, 5 if number == 1 else 15)] * 2)


@pytest.mark.guarantee("G6", "G14")
def test_a_segment_cut_short_or_gone_is_no_end(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log", max_segment_size=1000) as wal:
        for lsn in range(1, 41):
            wal.append(b"entry %d." % lsn * 3)
        numbers = [segment.number for segment in wal.segments()]
        for number in numbers:
            for how in ("cut", "gone"):
                copy = tmp_path / f"{how}-{number}"
                shutil.copytree(tmp_path / "log", copy)
                file = copy / f"wal-{number:06d}.log"
                if how == "gone":
                    file.unlink()
                else:
                    os.truncate(file, 700)
                with pytest.raises(walogs.Corrupt):
                    list(walogs.reader(copy))


@pytest.mark.guarantee("G6", "G14")
@pytest.mark.parametrize("kept", [1, 0])
def test_a_newest_segment_that_is_gone_without_a_durable_mark_is_no_end(tmp_path: Path, kept: int) -> None:
    """With one left, its SEAL testifies a successor; with none, the durable mark testifies that there was a log."""
    with walogs.open(tmp_path) as wal:
        wal.append(b"first")
        wal.rotate()
        wal.append(b"second")
    for number in (2, 1)[: 2 - kept]:
        (tmp_path / f"wal-{number:06d}.log").unlink()
    if kept:
        (tmp_path / "DURABLE").unlink()
    with pytest.raises(walogs.Corrupt, match=r"is missing|are gone"):
        walogs.reader(tmp_path)


@pytest.mark.guarantee("G14")
def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "made", max_segment_size=800) as wal:
        for lsn in range(1, 30):
            wal.append(entry(lsn))
    shutil.copytree(tmp_path / "made", tmp_path / "log")
    (tmp_path / "log" / "LOCK").unlink()
    before = state(tmp_path / "log")
    with walogs.reader(tmp_path / "log") as reader:
        list(reader)
        list(reader.commits())
        reader.read(3)
        list(reader.follow(timeout=0.02))
    assert state(tmp_path / "log") == before


def state(path: Path) -> dict[str, tuple[str, int]]:
    return {
        file.name: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns) for file in path.iterdir()
    }


# A segment that was cut to its header


def cut_to_its_header(store: MemoryStore) -> None:
    """The first frame of the newest segment is damaged on the disk."""
    number = store.segments()[-1]
    byte = store.read(number, 552, 553)[0]
    store.disk.damage(store.segment_name(number), 552, bytes([byte ^ 1]))


@pytest.mark.guarantee("G14")
def test_a_durable_reader_hands_out_nothing_that_a_power_cut_takes_after_a_cut_to_the_header() -> None:
    """What it knew to be durable of the segment vouches for nothing that is written later."""
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk)) as wal:
        wal.append(b"one")
        wal.rotate()
        for k in range(20):
            wal.append(b"old %d " % k * 20)
    reader = walogs.reader(store=MemoryStore(disk))
    assert len(list(reader)) == 21
    cut_to_its_header(MemoryStore(disk))
    wal = walogs.open(store=MemoryStore(disk), recovery="prefix", sync="none")
    for k in range(5):
        wal.append(b"new %d, not synced" % k)
    with pytest.raises(walogs.LogRewound) as cut:
        list(reader.iter(2))
    assert cut.value.end_lsn == 1
    assert list(reader) == [(1, b"one")]
    assert list(walogs.reader(store=MemoryStore(disk), visibility="written"))[1:2] == [(2, b"new 0, not synced")]
    wal.sync()
    assert len(list(reader)) == 6
    wal.closed = True
    disk.power_cut(random.Random(1), 0.0)
    with walogs.open(store=MemoryStore(disk)) as reopened:
        assert len(list(reopened)) == 6


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("back_ns", [0, 365 * 86_400 * 10**9])
def test_a_reader_is_told_of_a_cut_to_the_header_whatever_the_clock_says(tmp_path: Path, back_ns: int) -> None:
    """Where the clock was set back, the first frame of the segment that was cut had the time of its header, and so
    would have the first one of the entries that come instead."""
    times = iter([1_700_000_000 * 10**9, *itertools.repeat(1_700_000_000 * 10**9 - back_ns, 100)])
    environment = Environment(lambda: next(times), os.urandom, lambda _: None)
    with assemble(tmp_path, walogs.WalConfig(), environment) as wal:
        wal.append(b"first")
        wal.rotate()
        wal.append(b"pay 100 to A")
    reader = walogs.reader(tmp_path)
    assert list(reader) == [(1, b"first"), (2, b"pay 100 to A")]
    damage(tmp_path, 2, b"pay 100 to A")
    with assemble(tmp_path, walogs.WalConfig(recovery="prefix"), environment) as wal:
        assert wal.append(b"pay 999 to B") == 2
        with pytest.raises(walogs.LogRewound) as cut:
            list(reader.iter(2))
        assert cut.value.end_lsn == 1
        assert list(reader.iter(2)) == [(2, b"pay 999 to B")]


@pytest.mark.guarantee("G3", "G6")
def test_an_entry_that_was_cut_is_not_believed_where_it_is_put_back(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"first")
        wal.rotate()
        wal.append(b"cut")
    segment = tmp_path / "wal-000002.log"
    whole = segment.read_bytes()
    damage(tmp_path, 2, b"cut")
    with walogs.open(tmp_path, recovery="prefix") as wal:
        wal.append(b"instead")
    segment.write_bytes(whole)
    for way_in in (walogs.open, lambda path: list(walogs.reader(path))):
        with pytest.raises(walogs.Corrupt, match="holds entry 2, and its successor begins at 2"):
            way_in(tmp_path)
