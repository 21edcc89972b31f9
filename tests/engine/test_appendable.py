"""Open and rotate a log whose store appends, under failures that take two steps."""

from __future__ import annotations

import errno
import itertools
import random
from contextlib import suppress
from pathlib import Path

import pytest

import walogs
from tests.kit.callers import OURS, reached
from walogs.testing import Fault, MemoryDisk, MemoryStore, SimulatedCrash

FAILED_SYNC = Fault(errno.EIO, only=frozenset({"sync"}))
SEEDS = range(60)


def opened(disk: MemoryDisk, **options: object) -> walogs.Wal:
    return walogs.open(store=MemoryStore(disk), **options)  # type: ignore[arg-type]


@pytest.mark.guarantee("G1", "G8")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_clean_close_that_could_not_be_taken_back_vouches_for_nothing(seed: int) -> None:
    """The sync of the durable mark fails at open, that of the window at the append: CLEAN must not come back."""
    rng, disk = random.Random(seed), MemoryDisk()
    with opened(disk) as wal:
        wal.append(b"a")
    disk.arm(1, FAILED_SYNC, rng=rng)
    wal = opened(disk)
    disk.arm(1, FAILED_SYNC, rng=rng)
    with pytest.raises(walogs.Poisoned):
        wal.append(bytes(5000))
    wal.close()
    disk.kill()
    disk.evict(rng)
    with opened(disk) as wal:
        acknowledged = [wal.append(b"ack%03d" % number * 200) for number in range(12)]
        disk.power_cut(rng, bias=0.0)
        wal.closed = True
    for _ in range(2):
        with opened(disk) as wal:
            assert wal.last_lsn == acknowledged[-1]


@pytest.mark.guarantee("G11", "G15")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_while_a_first_lsn_is_rescued_does_not_lose_it(seed: int) -> None:
    rng, disk = random.Random(seed), MemoryDisk()
    with opened(disk) as wal:
        wal.append_batch([b"a", b"b"])
        wal.rotate()
        wal.append(b"c" * 600)
        wal.append(b"d" * 600)
        assert wal.checkpoint(2) == 1
        wal.append(b"e")
    disk.damage("wal-000002.log", 562, b"X")  # rot in "c", before the CHECKPOINT
    for step in range(1, 8):
        twin = disk.clone()
        twin.arm(step, Fault("crash", only=frozenset({"sync"}), moment="before"), rng=rng)
        try:
            opened(twin, recovery="prefix").close()
        except SimulatedCrash:
            pass
        twin.disarm()
        twin.power_cut(rng)
        with opened(twin, recovery="prefix") as wal:
            assert (wal.first_lsn, wal.last_lsn) == (3, 2)
            assert wal.append(b"next") == 3
        with opened(twin) as wal:
            assert list(wal) == [(3, b"next")]


def test_a_first_segment_that_cannot_be_created_is_the_system_s_own_error() -> None:
    disk = MemoryDisk()
    disk.arm(2, Fault(errno.EIO, only=frozenset({"sync_directory"})), rng=random.Random(0))
    with pytest.raises(OSError) as failed:
        opened(disk)
    assert failed.value.errno == errno.EIO
    with opened(disk) as wal:
        assert wal.append(b"a") == 1


def test_a_commit_is_never_earlier_than_a_checkpoint_before_it() -> None:
    from walogs.assembly.config import WalConfig
    from walogs.assembly.opening import assemble
    from walogs.engine.log_source import Environment

    disk, clock = MemoryDisk(), iter(range(100, 1000, 10))
    environment = Environment(clock=lambda: next(clock), entropy=random.Random(0).randbytes, sleep=lambda _: None)
    with assemble(None, WalConfig(store=MemoryStore(disk)), environment) as wal:
        wal.append(b"a")
        wal.rotate()
        wal.append(b"b")
        wal.checkpoint(1)
        last = wal._writer.active.last_commit_ns  # type: ignore[union-attr]
    backwards = environment._replace(clock=lambda: 5)
    with assemble(None, WalConfig(store=MemoryStore(disk)), backwards) as wal:
        wal.append(b"c")
        assert [commit.time_ns >= last for commit in wal.commits(3)] == [True]


@pytest.mark.guarantee("G7", "G18")
def test_an_interrupt_while_the_state_advances_leaves_what_was_acknowledged_readable() -> None:
    """The end, its link and the LSNs agree at every point: else the last entry looks like one of another history."""

    was_delivered, poisoned = True, 0

    def interrupt() -> None:
        nonlocal was_delivered
        was_delivered = True
        raise KeyboardInterrupt

    for at in itertools.count(1):
        if not was_delivered:
            break
        was_delivered = False
        with walogs.open(store=MemoryStore(MemoryDisk())) as wal:
            wal.append(b"kept")
            with suppress(KeyboardInterrupt):
                reached(lambda wal=wal: wal.append(b"interrupted"), at, interrupt, OURS)  # type: ignore[misc]
            entries = list(wal)
            assert entries in ([(1, b"kept")], [(1, b"kept"), (2, b"interrupted")]), f"point {at}"
            try:
                wal.append(b"next")
            except walogs.Poisoned as refused:
                poisoned += 1
                assert entries == [(1, b"kept")], f"point {at}"
                assert "may not be durable" not in str(refused), f"point {at}: {refused}"  # noqa: PT017  # not at every point
    assert poisoned > 5


def test_a_writer_has_few_attributes(tmp_path: Path) -> None:
    """CPython finds the attributes of an object with more than 30 in a slower way, and each append reads twenty."""
    with walogs.open(tmp_path / "log") as wal:
        assert len(vars(wal._writer)) <= 30
