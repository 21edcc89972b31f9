"""Readers beside a writer: what they see at every step of it, and what they never see (G14)."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests import stores
from tests.codecs import DeflateCodec
from tests.stores import CODECS, LogFactory
from walogs import wal_reader
from walogs.engine import beside
from walogs.testing import (
    CHANGES,
    CloudFault,
    Fault,
    MemoryChainStore,
    MemoryCloud,
    MemoryDisk,
    MemoryStore,
    SimulatedCrash,
)

log_factory, appending_factory = stores.log_factory, stores.appending_factory


def reader_of(factory: LogFactory, upto: Any = "durable", **overrides: Any) -> walogs.WalReader:
    overrides.setdefault("codec", CODECS[factory.codec]())
    if factory.shape == "local":
        return walogs.reader(factory._directory / "log", upto, **overrides)
    return walogs.reader(store=factory.store(), upto=upto, **overrides)


def entry(lsn: int) -> bytes:
    return b"%d " % lsn * (lsn % 40)


# What it reads


@pytest.mark.guarantee("G14")
def test_a_reader_reads_what_the_writer_reads(log_factory: LogFactory) -> None:
    with log_factory.open(max_segment_size=1500) as wal:
        for lsn in range(1, 60):
            wal.append(entry(lsn))
        wal.append_batch([entry(lsn) for lsn in range(60, 90)])
        with reader_of(log_factory) as reader:
            assert list(reader) == list(wal)
            assert list(reader.commits()) == list(wal.commits())
            assert (reader.first_lsn, reader.last_lsn) == (1, 89)
            for start, stop in [(1, 5), (40, 70), (61, 62), (89, 200), (90, None), (10, 10), (None, 3)]:
                assert list(reader.iter(start, stop)) == list(wal.iter(start, stop))
                assert list(reader.commits(start, stop)) == list(wal.commits(start, stop))
            for lsn in (1, 17, 59, 60, 75, 89):
                assert reader.read(lsn) == entry(lsn)
            for lsn in (0, -1, 90):
                with pytest.raises(IndexError):
                    reader.read(lsn)
            for lsn in range(90, 95):
                wal.append(entry(lsn))
                assert reader.last_lsn == lsn
                assert reader.read(lsn) == entry(lsn)


@pytest.mark.guarantee("G14")
def test_below_the_base_a_reader_says_so(log_factory: LogFactory) -> None:
    with log_factory.open(max_segment_size=600) as wal, reader_of_new(log_factory, wal) as reader:
        for lsn in range(2, 60):
            wal.append(entry(lsn))
        walking = reader.iter()
        assert next(walking) == (1, entry(1))
        wal.checkpoint(50)
        assert reader.first_lsn == wal.first_lsn > 1
        assert list(reader) == list(wal)
        for verb in (reader.read, reader.iter, reader.commits, lambda lsn: next(reader.follow(lsn))):
            with pytest.raises(walogs.Checkpointed) as refused:
                verb(wal.first_lsn - 1)
            assert refused.value.base_lsn == wal.first_lsn
        with pytest.raises(walogs.Checkpointed):
            list(walking)


def reader_of_new(factory: LogFactory, wal: walogs.Wal) -> walogs.WalReader:
    wal.append(entry(1))
    return reader_of(factory)


@pytest.mark.guarantee("G1", "G14")
def test_a_reader_sees_what_is_durable_and_only_when_asked_what_is_written(appending_factory: LogFactory) -> None:
    with appending_factory.open(sync="none", max_segment_size=2000) as wal:
        durable, written = reader_of(appending_factory), reader_of(appending_factory, "written")
        for lsn in range(1, 80):
            wal.append(entry(lsn))
            assert durable.last_lsn == wal.durable_lsn
            assert written.last_lsn == wal.last_lsn == lsn
            if lsn % 25 == 0:
                wal.sync()
                assert durable.last_lsn == lsn
        assert list(durable) == list(wal.iter(stop=wal.durable_lsn + 1))
        assert list(written) == list(wal)


@pytest.mark.guarantee("G14")
def test_without_a_witness_the_frames_tell_how_far_they_are_durable(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        for lsn in range(1, 30):
            wal.append(entry(lsn))
        (tmp_path / "DURABLE").unlink()
        with walogs.reader(tmp_path) as reader:
            assert reader.last_lsn == 28  # nothing testifies that the last one was synced
            assert list(reader) == list(wal.iter(stop=29))
            wal.append(entry(30))
            assert reader.last_lsn == 29


@pytest.mark.guarantee("G14")
def test_a_reader_knows_another_codec(tmp_path: Path) -> None:
    with walogs.open(tmp_path, codec=DeflateCodec()) as wal:
        wal.append(b"squeezed" * 100)
        with pytest.raises(walogs.UnsupportedFormat, match="deflate"):
            walogs.reader(tmp_path)
        assert walogs.reader(tmp_path, codec=DeflateCodec()).read(1) == b"squeezed" * 100


# At every step of a writer


def scenario(wal: walogs.Wal) -> None:
    """Appends, batches, rotations, checkpoints; entry(lsn) everywhere."""
    while wal.last_lsn < 24:
        wal.append(entry(wal.next_lsn))
        wal.append_batch([entry(wal.next_lsn + k) for k in range(3)])
        if wal.last_lsn % 3 == 0:
            wal.rotate()
        if wal.last_lsn % 4 == 0:
            wal.checkpoint(wal.last_lsn - 7)


def batches_are_whole(seen: list[tuple[int, bytes]]) -> bool:
    """The scenario commits 1, 3, 1, 3 …: a durable end is after one of them."""
    return not seen or seen[-1][0] % 4 in (0, 1)


class Watch:
    """A reader that stays, and one that is new at each look; what either has seen is true for ever."""

    def __init__(self, make: Callable[[], walogs.WalReader]) -> None:
        self.make = make
        self.stays: walogs.WalReader | None = None
        self.next_lsn = 1

    def look(self) -> int:
        """Everything that can be read now; the last LSN."""
        try:
            fresh = self.make()
        except walogs.Missing:
            return 0
        if self.stays is None:
            self.stays = fresh
        seen = list(fresh)
        first = fresh._bound.base_lsn
        assert [lsn for lsn, _ in seen] == list(range(first, first + len(seen)))
        assert all(data == entry(lsn) for lsn, data in seen)
        assert batches_are_whole(seen)
        self.next_lsn = max(self.next_lsn, self.stays.first_lsn)
        for lsn, data in self.stays.iter(self.next_lsn):
            assert (lsn, data) == (self.next_lsn, entry(lsn))
            self.next_lsn += 1
        assert self.next_lsn - 1 == fresh._bound.last_lsn, "a reader that stays knows as much as a new one"
        return fresh._bound.last_lsn


def stopped_at(step: int, seed: int, place: Any) -> bool:
    """The writer dies at that step, a reader looks, the power fails, another writer recovers and goes on. False: the
    scenario has fewer steps."""
    watch, rng = Watch(place.reader), random.Random(seed)
    place.arm(step, rng)
    died = False
    try:
        wal = place.open()
        watch.look()
        scenario(wal)
        watch.look()
        wal.close()
    except SimulatedCrash:
        died = True
        place.forget()
    place.disarm()
    last_lsn = watch.look()
    place.end(rng)
    assert watch.look() >= last_lsn, "what a reader was shown as durable is gone"
    wal = place.open()
    assert wal.last_lsn >= last_lsn
    assert list(wal) == [(lsn, entry(lsn)) for lsn in range(wal.first_lsn, wal.next_lsn)]
    watch.look()
    while wal.last_lsn % 4:
        wal.append(entry(wal.next_lsn))
        if wal.last_lsn % 4 in (0, 1):
            watch.look()
    scenario(wal)
    watch.look()
    wal.close()
    assert watch.look() == place.last_lsn()
    return died


class OnADisk:
    def __init__(self, power: bool) -> None:
        self.disk = MemoryDisk()
        self.power = power
        self.wal: walogs.Wal | None = None

    def open(self) -> walogs.Wal:
        self.store = MemoryStore(self.disk)
        self.wal = None
        self.wal = walogs.open(store=self.store, max_segment_size=1200)
        return self.wal

    def forget(self) -> None:
        """The process of the last handle is dead."""
        if self.wal is not None:
            self.wal.closed = True

    def reader(self) -> walogs.WalReader:
        return walogs.reader(store=MemoryStore(self.disk))

    def arm(self, step: int, rng: random.Random) -> None:
        self.disk.arm(step, Fault("crash", only=set(CHANGES)), rng=rng)  # of the writer: readers change nothing

    def disarm(self) -> None:
        self.disk.disarm()

    def end(self, rng: random.Random) -> None:
        if self.power:
            self.disk.power_cut(rng)
        else:
            self.store.process.kill()

    def last_lsn(self) -> int:
        with self.open() as wal:
            return wal.last_lsn


@pytest.mark.guarantee("G12", "G14")
def test_a_reader_at_every_step_of_a_writer_that_is_killed_there() -> None:
    step = 1
    while stopped_at(step, step, OnADisk(power=False)):
        step += 1
    print(f"{step} steps")
    assert step > 60


@pytest.mark.guarantee("G4", "G14")
def test_what_a_reader_was_shown_survives_the_loss_of_power() -> None:
    """Each look here is by a reader of the machine that came up again: the one that stays died with the other."""
    step, seed = 1, 7
    while True:
        place, rng = OnADisk(power=True), random.Random(seed * 1000 + step)
        place.arm(step, rng)
        try:
            scenario(place.open())
            died = False
        except SimulatedCrash:
            died = True
        place.forget()
        place.disarm()
        shown = Watch(place.reader).look()
        place.end(rng)
        after = Watch(place.reader)
        after.look()
        with place.open() as wal:
            assert wal.last_lsn >= shown, f"step {step}, seed {seed}: entry {shown} had been shown"
            assert after.look() == wal.last_lsn
        if not died:
            break
        step += 1
    print(f"{step} steps")


@pytest.mark.guarantee("G14")
def test_a_reader_of_a_chain_at_every_step() -> None:
    step, died = 1, True
    while died:
        cloud, rng, died = MemoryCloud(numbers_reused=True), random.Random(step), False
        watch = Watch(lambda cloud=cloud: walogs.reader(store=MemoryChainStore(cloud)))  # type: ignore[misc]
        cloud.arm(step, CloudFault("crash", only=("create", "remove")), rng=rng)
        wal = None
        try:
            wal = walogs.open(store=MemoryChainStore(cloud))
            scenario(wal)
            watch.look()
            wal.close()
        except SimulatedCrash:
            died = True
            if wal is not None:
                wal.closed = True
        cloud.disarm()
        shown = watch.look()
        with walogs.open(store=MemoryChainStore(cloud)) as again:
            assert again.last_lsn >= shown
            watch.look()
            if again.last_lsn % 4 == 0:
                scenario(again)
                assert watch.look() == again.last_lsn
        step += 1
    assert step > 20


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
        with pytest.raises(walogs.CutBelow) as cut:
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
    with pytest.raises(walogs.CutBelow) as cut:
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
    with pytest.raises(walogs.CutBelow) as cut:
        reader.follow(11, timeout=0)
    assert cut.value.end_lsn == 5


def reader_of_ten(path: Path) -> walogs.WalReader:
    """It has been handed out all of them."""
    with walogs.open(path) as wal:
        for lsn in range(1, 11):
            wal.append(b"entry %d" % lsn)
    reader = walogs.reader(path)
    assert [lsn for lsn, _ in reader] == list(range(1, 11))
    return reader


@pytest.mark.guarantee("G14")
def test_a_segment_that_was_cut_to_its_header_and_taken_up_again_holds_other_entries(tmp_path: Path) -> None:
    """Its header is the same, and so is its name: only its first frame tells."""
    reader = reader_of_ten(tmp_path)
    damage(tmp_path, 1, b"entry 1")
    with walogs.open(tmp_path, recovery="prefix") as wal:
        for lsn in range(1, 21):
            wal.append(b"other %d" % lsn)
    assert [path.name for path in tmp_path.glob("wal-*")] == ["wal-000001.log"]
    with pytest.raises(walogs.CutBelow) as cut:
        reader.follow(11, timeout=0)
    assert cut.value.end_lsn == 0
    assert list(reader) == [(lsn, b"other %d" % lsn) for lsn in range(1, 21)]


@pytest.mark.guarantee("G14")
def test_every_iteration_that_was_begun_before_a_cut_ends_with_it(tmp_path: Path) -> None:
    """Not only the verb that saw it first; and one that was handed out nothing does not wait for ever."""
    reader = reader_of_ten(tmp_path)
    following, begun, commits = reader.follow(11, timeout=0), reader.iter(), reader.commits()
    cut_to_five_and_written_anew(tmp_path)
    with pytest.raises(walogs.CutBelow):
        reader.read(1)
    for stale in (following, begun, commits):
        with pytest.raises(walogs.CutBelow) as cut:
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
    with pytest.raises(walogs.CutBelow) as cut:
        got.extend(lsn for lsn, _ in begun)
    assert (got, cut.value.end_lsn) == ([1, 2, 3, 4, 5], 5)


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("base_lsn", [1, 26])
def test_another_log_in_the_place_of_the_one_that_was_read_is_not_gone_on_with(tmp_path: Path, base_lsn: int) -> None:
    reader = reader_of_ten(tmp_path / "log")
    shutil.rmtree(tmp_path / "log")
    with walogs.open(tmp_path / "log") as wal:
        for lsn in range(1, 31):
            wal.append(b"another %d" % lsn)
            if lsn % 5 == 0:
                wal.rotate()
        wal.checkpoint(base_lsn - 1)
        with pytest.raises(walogs.CutBelow) as cut:
            reader.follow(max(11, base_lsn), timeout=0)
        assert cut.value.end_lsn == 0
        assert list(reader) == list(wal)


@pytest.mark.guarantee("G6", "G14")
def test_a_damaged_newest_segment_of_a_chain_is_no_end() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryChainStore(cloud)) as wal:
        wal.append_batch([b"one", b"two"])
        wal.append(b"three")
    newest = max(cloud.objects)
    for offset in (515, 545, 553):  # header, LSN, data
        whole = cloud.objects[newest]
        cloud.objects[newest] = whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :]
        with pytest.raises(walogs.Corrupt) as corrupt:
            walogs.reader(store=MemoryChainStore(cloud))
        assert (corrupt.value.segment, corrupt.value.lsn) == (newest, 3)
        cloud.objects[newest] = whole
    assert walogs.reader(store=MemoryChainStore(cloud)).read(3) == b"three"


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
def test_a_newest_segment_that_is_gone_without_a_witness_is_no_end(tmp_path: Path, kept: int) -> None:
    """With one left, its SEAL testifies a successor; with none, the witness testifies that there was a log."""
    with walogs.open(tmp_path) as wal:
        wal.append(b"first")
        wal.rotate()
        wal.append(b"second")
    for number in (2, 1)[: 2 - kept]:
        (tmp_path / f"wal-{number:06d}.log").unlink()
    if kept:
        (tmp_path / "DURABLE").unlink()
    with pytest.raises(walogs.Corrupt, match="gone"):
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


# What is no log


def test_where_there_is_no_log_a_reader_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(walogs.Missing, match="holds no log"):
        walogs.reader(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
    with pytest.raises(walogs.Missing, match="holds no log"):
        walogs.reader(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError):
        walogs.reader(tmp_path / "file")
    (tmp_path / "crate").mkdir()
    (tmp_path / "crate" / "wal-000001.log").write_bytes(b"")
    with pytest.raises(walogs.UnsupportedFormat, match="Rust crate"):
        walogs.reader(tmp_path / "crate")
    with pytest.raises(walogs.ConfigError, match="upto"):
        walogs.reader(tmp_path, "everything")  # type: ignore[arg-type]


def test_a_closed_reader_says_so(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append_batch([b"one", b"two"])
        reader = walogs.reader(tmp_path)
        walking = reader.iter()
        reader.close()
        reader.close()
        assert reader.closed
        assert "closed" in repr(reader)
        for verb in (lambda: reader.read(1), lambda: next(walking), lambda: reader.last_lsn, lambda: list(reader)):
            with pytest.raises(walogs.Closed):
                verb()
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(reader)


# Following


@pytest.mark.guarantee("G14")
def test_a_follower_gets_every_entry_once_and_in_order(log_factory: LogFactory) -> None:
    with log_factory.open(max_segment_size=1500) as wal:
        wal.append(entry(1))
        reader = reader_of(log_factory)
        got: list[tuple[int, bytes]] = []
        thread = threading.Thread(target=lambda: got.extend(until(reader.follow(poll=0.001), 200)))
        thread.start()
        for lsn in range(2, 201):
            wal.append(entry(lsn))
            if lsn % 50 == 0:
                wal.rotate()
        thread.join(30)
        assert got == [(lsn, entry(lsn)) for lsn in range(1, 201)]


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("upto", ["durable", "written"])
def test_what_is_appended_between_a_look_and_the_wait_is_not_slept_through(log_factory: LogFactory, upto: str) -> None:
    """At every call of a follower's store once; it may wait for one poll, and not for the look that comes every so
    often."""
    with log_factory.open() as wal:
        wal.append(entry(1))
        at = 1
        while True:
            reader = reader_of(log_factory, upto)
            store, calls, last_lsn = CountedCalls(reader._source.store), 0, wal.last_lsn
            reader._source = reader._source._replace(store=store)  # type: ignore[arg-type]
            following = reader.follow(last_lsn + 1, poll=0, timeout=60)

            def append_at(call: int, at: int = at) -> None:
                if call == at:
                    wal.append(entry(2))

            store.before = append_at
            store.count = 0
            assert next(following) == (last_lsn + 1, entry(2))
            calls = store.count
            assert calls < at + 40, f"appended before call {at}, handed out after call {calls}"
            following.close()  # type: ignore[attr-defined]
            at += 1
            if at > 25:
                break


class CountedCalls:
    """A store, and what is to be done before each call of one that reads."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.count = 0
        self.before: Callable[[int], object] = lambda call: None

    def __getattr__(self, name: str) -> Any:
        if name in ("segments", "size", "read", "read_witness"):
            self.count += 1
            self.before(self.count)
        return getattr(self.store, name)


def test_a_follower_that_waits_asks_for_one_small_thing_a_poll(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        wal.append(entry(1))
        reader = reader_of(log_factory)
        store = CountedCalls(reader._source.store)
        reader._source = reader._source._replace(store=store)  # type: ignore[arg-type]
        waits: list[float] = []
        reader._ended.wait = lambda seconds: waits.append(seconds) or len(waits) == 80  # type: ignore[assignment,func-returns-value]
        following = reader.follow(2, poll=3.0)
        store.count = 0
        reader._ended.is_set = lambda: len(waits) == 80  # type: ignore[method-assign]
        with pytest.raises(walogs.Closed):
            next(following)
        assert waits == [3.0] * 80
        assert store.count < 80 + 40


@pytest.mark.guarantee("G14")
def test_a_reader_remembers_a_bounded_number_of_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal_reader, "HEADERS_KEPT", 8)
    cloud = MemoryCloud()
    with walogs.open(store=MemoryChainStore(cloud)) as wal:
        for lsn in range(1, 60):
            wal.append(entry(lsn))
        with walogs.reader(store=MemoryChainStore(cloud)) as reader:
            assert list(reader) == list(wal)
            assert len(reader._headers) <= 8
            assert [reader.read(lsn) for lsn in range(59, 0, -1)] == [entry(lsn) for lsn in range(59, 0, -1)]
            assert len(reader._headers) <= 8


def until(entries: Iterator[tuple[int, bytes]], last_lsn: int) -> Iterator[tuple[int, bytes]]:
    for lsn, data in entries:
        yield lsn, data
        if lsn == last_lsn:
            return


def test_a_follower_ends_when_nothing_comes_or_it_is_closed(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"one")
        reader = walogs.reader(tmp_path)
        assert list(reader.follow(timeout=0)) == [(1, b"one")]
        assert list(reader.follow(2, timeout=0.01)) == []
        failures: list[BaseException] = []

        def follow() -> None:
            try:
                list(reader.follow(2))
            except walogs.Closed as closed:
                failures.append(closed)

        thread = threading.Thread(target=follow)
        thread.start()
        reader.close()
        thread.join(30)
        assert len(failures) == 1


# Bugs, planted


def is_seen(check: Callable[[], object]) -> bool:
    with suppress(KeyError):
        try:
            check()
        except (AssertionError, walogs.WalError):
            return True
    return False


def test_a_bound_of_everything_written_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = beside.bound_of

    def of_everything(source: Any, newest: Any, witness: Any, upto: Any, known: Any, *, from_start: bool) -> Any:
        return honest(source, newest, witness, "written", known, from_start=from_start)

    monkeypatch.setattr(beside, "bound_of", of_everything)
    assert is_seen(test_what_a_reader_was_shown_survives_the_loss_of_power)


def test_no_second_look_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(wal_reader, "evidence", lambda suspicion: None)
    factory = LogFactory("local", "crc32", tmp_path)
    try:
        with factory.open(max_segment_size=600) as wal, reader_of_new(factory, wal) as reader:
            for lsn in range(2, 60):
                wal.append(entry(lsn))
            wal.checkpoint(50)
            with pytest.raises(walogs.Missing):  # as if a segment were lost: only a look tells that it was checkpointed
                list(reader._surely(1, 30, reader._pieces, 0))
    finally:
        factory.close()


def test_a_reader_that_forgets_what_it_handed_out_is_seen_when_planted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(walogs.WalReader, "_remember", lambda self, mark: None)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test_other_entries_under_the_same_numbers_are_never_taken_for_those_handed_out(tmp_path)
