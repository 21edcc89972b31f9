"""An immutable-segment store may give unclear answers. Its writer draws the right conclusion from each."""

from __future__ import annotations

import contextlib
import errno
import random
from typing import TYPE_CHECKING, Literal

import pytest

import walogs
from walogs.testing import CloudFault, MemoryCloud, MemoryImmutableStore

if TYPE_CHECKING:
    from typing_extensions import Buffer


class NoSpaceWhileUnderWay(MemoryImmutableStore):
    def create(self, number: int, data: Buffer) -> None:
        if self.cloud.late:
            raise walogs.NoSpace(errno.EDQUOT, "over quota")
        super().create(number, data)


@pytest.mark.guarantee("G7")
def test_room_refused_to_a_second_try_does_not_make_the_first_one_fail() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=NoSpaceWhileUnderWay(cloud)) as wal:
        wal.append(b"one")
        cloud.arm(1, CloudFault("late"), rng=random.Random(1))
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(b"two")
        with pytest.raises(walogs.Poisoned):
            wal.append(b"three")
    assert cloud.deliver()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        assert list(wal) == [(1, b"one"), (2, b"two")]
        assert wal.append(b"three") == 3


@pytest.mark.guarantee("G4", "G19")
def test_an_immutable_store_that_shows_what_is_not_durable_is_refused() -> None:
    from dataclasses import replace

    store = MemoryImmutableStore(MemoryCloud())
    store.capabilities = replace(store.capabilities, exists_means_durable=False)
    with pytest.raises(walogs.ConfigError, match="not durable yet"):
        walogs.open(store=store)


class BesideAWriter(MemoryImmutableStore):
    """While it is read, another writer goes on: a commit for every so many reads."""

    other: walogs.Wal
    READS_A_COMMIT = 10

    def __init__(self, cloud: MemoryCloud) -> None:
        super().__init__(cloud)
        self.reads = 0

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        self.reads += 1
        if self.reads % self.READS_A_COMMIT == 0:
            with contextlib.suppress(walogs.Fenced, walogs.Poisoned):
                self.other.append(b"meanwhile")
        return super().read(number, start, end)


@pytest.mark.guarantee("G13", "G6")
@pytest.mark.parametrize("verify", ["full", "last"])
def test_who_opens_beside_a_writer_that_never_pauses_overtakes_it(verify: Literal["full", "last"]) -> None:
    """What was examined is not examined again: only what came since."""
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as busy:
        for number in range(300):
            busy.append(b"entry %d" % number)
        store = BesideAWriter(cloud)
        store.other = busy
        with walogs.open(store=store, verify=verify) as wal:
            assert store.reads < 2_000
            entries = [data for _, data in wal]
            assert entries[:300] == [b"entry %d" % number for number in range(300)]
            assert set(entries[300:]) == {b"meanwhile"}
            assert wal.append(b"mine") == len(entries) + 1
            with pytest.raises((walogs.Fenced, walogs.Poisoned)):
                busy.append(b"too late")
    for more in (2, 3):
        with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
            assert wal.append(b"again") == len(entries) + more


@pytest.mark.guarantee("G6", "G11")
@pytest.mark.parametrize("numbers_reused", [True, False])
def test_a_fenced_writer_reads_what_another_has_checkpointed(numbers_reused: bool) -> None:
    """It is no damage: the first LSN moved on, and this writer was not told."""
    cloud = MemoryCloud(numbers_reused=numbers_reused)
    with walogs.open(store=MemoryImmutableStore(cloud)) as fenced:
        for number in range(10):
            fenced.append(b"%d" % number)
        reading = iter(fenced)
        assert next(reading) == (1, b"0")
        with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
            wal.checkpoint(8)
        with pytest.raises(walogs.Checkpointed) as told:
            list(reading)
        assert told.value.first_lsn == 9
        with pytest.raises(walogs.Checkpointed):
            fenced.read(3)
        assert fenced.read(9) == b"8"
        del cloud.objects[max(cloud.objects) - 2]
        with pytest.raises(walogs.Corrupt):
            fenced.read(10)
