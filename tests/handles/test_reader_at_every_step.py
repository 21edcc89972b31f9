"""A reader at every step of a writer, and the bugs that this must find."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.handles.readers import entry, reader_of_new
from tests.handles.test_reader_and_cuts import (
    test_other_entries_under_the_same_numbers_are_never_taken_for_those_handed_out,
)
from tests.kit.planted_readers import show_unsynced_entries
from tests.kit.stores import LogFactory
from walogs.engine import log_view
from walogs.engine.extent_reader import ExtentReader
from walogs.testing import (
    CHANGES,
    CloudFault,
    Fault,
    MemoryCloud,
    MemoryDisk,
    MemoryImmutableStore,
    MemoryStore,
    SimulatedCrash,
)

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
        except walogs.LogNotFound:
            return 0
        if self.stays is None:
            self.stays = fresh
        seen = list(fresh)
        first = fresh._view.readable.log_first_lsn
        assert [lsn for lsn, _ in seen] == list(range(first, first + len(seen)))
        assert all(data == entry(lsn) for lsn, data in seen)
        assert batches_are_whole(seen)
        self.next_lsn = max(self.next_lsn, self.stays.first_lsn)
        for lsn, data in self.stays.iter(self.next_lsn):
            assert (lsn, data) == (self.next_lsn, entry(lsn))
            self.next_lsn += 1
        assert self.next_lsn - 1 == fresh._view.readable.last_lsn, "a reader that stays knows as much as a new one"
        return fresh._view.readable.last_lsn


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
def test_a_reader_of_immutable_segments_at_every_step() -> None:
    step, died = 1, True
    while died:
        cloud, rng, died = MemoryCloud(numbers_reused=True), random.Random(step), False
        watch = Watch(lambda cloud=cloud: walogs.reader(store=MemoryImmutableStore(cloud)))  # type: ignore[misc]
        cloud.arm(step, CloudFault("crash", only=("create", "remove")), rng=rng)
        wal = None
        try:
            wal = walogs.open(store=MemoryImmutableStore(cloud))
            scenario(wal)
            watch.look()
            wal.close()
        except SimulatedCrash:
            died = True
            if wal is not None:
                wal.closed = True
        cloud.disarm()
        shown = watch.look()
        with walogs.open(store=MemoryImmutableStore(cloud)) as again:
            assert again.last_lsn >= shown
            watch.look()
            if again.last_lsn % 4 == 0:
                scenario(again)
                assert watch.look() == again.last_lsn
        step += 1
    assert step > 20


# Bugs, planted


def is_seen(check: Callable[[], object]) -> bool:
    with suppress(KeyError):
        try:
            check()
        except (AssertionError, walogs.WalError):
            return True
    return False


def test_a_bound_of_everything_written_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    show_unsynced_entries(monkeypatch)
    assert is_seen(test_what_a_reader_was_shown_survives_the_loss_of_power)


def test_no_second_look_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(log_view, "damage_fingerprint", lambda suspicion: None)
    factory = LogFactory("local", "crc32", tmp_path)
    try:
        with factory.open(max_segment_size=600) as wal, reader_of_new(factory, wal) as reader:
            for lsn in range(2, 60):
                wal.append(entry(lsn))
            wal.checkpoint(50)
            with pytest.raises(
                walogs.plugins.SegmentNotFound
            ):  # as if a segment were lost: only a look tells that it was checkpointed
                list(reader._view.read_with_retry(ExtentReader.entries, 1, 30, cuts=0, to_end=True))
    finally:
        factory.close()


def test_a_reader_that_forgets_what_it_handed_out_is_seen_when_planted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(log_view.LogView, "_remember", lambda self, mark: None)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test_other_entries_under_the_same_numbers_are_never_taken_for_those_handed_out(tmp_path)
