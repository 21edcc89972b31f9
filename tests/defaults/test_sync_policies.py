"""Each policy promises what it does, and does it for every commit."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.kit.callers import Clock, made, step, stepped_by_hand, until
from walogs.defaults import local_store
from walogs.defaults.sync_policies import FdatasyncPolicy, FsyncPolicy, IntervalPolicy, NoSyncPolicy
from walogs.protocols import Decision, Durability, SyncDeadline, SyncKind, SyncPolicy, Unsynced
from walogs.testing import MemoryDisk, MemoryStore

PENDING = [Unsynced(1, 48, 5), Unsynced(1, 0, 0), Unsynced(1 << 40, 1 << 50, 9)]


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize(
    ("policy", "name", "durability", "sync_kind", "decision"),
    [
        (FdatasyncPolicy(), "fdatasync", "durable", "data", "sync"),
        (FsyncPolicy(), "fsync", "durable", "full", "sync"),
        (NoSyncPolicy(), "none", "none", "data", "leave"),
    ],
)
def test_a_policy_that_promises_durability_syncs_every_commit(
    policy: SyncPolicy, name: str, durability: str, sync_kind: str, decision: str
) -> None:
    assert isinstance(policy, SyncPolicy)
    assert (policy.name, policy.durability, policy.sync_kind) == (name, durability, sync_kind)
    assert {policy.decide(pending) for pending in PENDING} == {decision}
    assert (policy.durability == "durable") == (decision == "sync")


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize(("sync", "per_append"), [("fdatasync", ["fdatasync"]), ("fsync", ["fsync"]), ("none", [])])
def test_the_kernel_is_asked_for_what_the_policy_says_before_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: str, per_append: list[str]
) -> None:
    made: list[str] = []
    for name in ("fsync", "fdatasync", "pwrite"):
        real = getattr(os, name)

        def recorded(fd: int, *rest: object, name: str = name, real: object = real) -> object:
            if os.readlink(f"/proc/self/fd/{fd}").endswith(".log"):
                made.append(name)
            return real(fd, *rest)  # type: ignore[operator]

        monkeypatch.setattr(local_store.os, name, recorded)
    with walogs.open(tmp_path / "log", sync=sync) as wal:
        for entries in ([b"x"], [b"y", b"z"]):
            made.clear()
            wal.append_batch(entries)
            assert made == ["pwrite", *per_append]
            assert (wal.durable_lsn == wal.last_lsn) == bool(per_append)
        made.clear()
        wal.sync()
        assert made == ([] if per_append else ["fdatasync"])
        assert wal.durable_lsn == wal.last_lsn == 3


class Told:
    """A policy of somebody else's, which decides as the test says."""

    name = "told"
    durability: Durability = "eventually"
    sync_kind: SyncKind = "data"

    def __init__(self, *decisions: Decision) -> None:
        self.decisions = list(decisions)

    def decide(self, pending: Unsynced) -> Decision:
        return self.decisions.pop(0)


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize(
    "later",
    [
        ["leave"],
        [SyncDeadline(9_000)],
        [SyncDeadline(2_000), SyncDeadline(3_000)],
        ["leave", SyncDeadline(9_000), "leave"],
    ],
    ids=["leave", "later", "ever later", "alternating"],
)
def test_a_deadline_once_given_holds_whatever_is_appended_after_it(later: list[Decision]) -> None:
    """`SyncDeadline`: a sync has begun by then, whether or not anything more is appended."""
    clock = Clock()
    with made(MemoryStore(MemoryDisk()), stepped_by_hand, clock, sync=Told(SyncDeadline(1_000), *later)) as wal:
        wal.append(b"1")
        for _ in later:
            wal.append(b"more")
        step(wal)
        assert wal.durable_lsn == 0
        clock.now_ns = 1_000
        step(wal)
        assert wal.durable_lsn == wal.last_lsn


@pytest.mark.parametrize(
    "decision", [SyncDeadline(0), SyncDeadline(-(1 << 70)), SyncDeadline(5)], ids=["now", "long ago", "past"]
)
def test_a_deadline_that_has_passed_is_kept_at_once(decision: SyncDeadline) -> None:
    clock = Clock()
    clock.now_ns = 10
    with made(MemoryStore(MemoryDisk()), stepped_by_hand, clock, sync=Told(decision, SyncDeadline(1 << 80))) as wal:
        wal.append(b"1")
        step(wal)
        assert wal.durable_lsn == 1
        wal.append(b"2")  # as late as never, and that is no error
        step(wal)
        assert wal.durable_lsn == 1


def test_a_deadline_that_comes_nearer_is_kept(tmp_path: Path) -> None:
    """The commit thread sleeps until the first; the second wakes it."""
    import time

    now = time.monotonic_ns()
    policy = Told(SyncDeadline(now + 3_600 * 10**9), SyncDeadline(now + 1_000_000), SyncDeadline(now))
    with walogs.open(tmp_path / "log", sync=policy) as wal:
        wal.append(b"1")
        wal.append(b"2")
        until(lambda: wal.durable_lsn == 2, "the sync")
        wal.append(b"3")
        until(lambda: wal.durable_lsn == 3, "the sync of a deadline in the past")


@pytest.mark.guarantee("G1", "G10")
@pytest.mark.parametrize("verb", ["rotate", "close", "checkpoint", "sync"])
def test_what_an_interval_owes_is_paid_by_whatever_syncs_first(verb: str) -> None:
    clock, disk = Clock(), MemoryDisk()
    wal = made(MemoryStore(disk), stepped_by_hand, clock, sync=IntervalPolicy(time=1))
    wal.append(b"0")
    wal.rotate()
    wal.append(b"1")
    assert wal.durable_lsn == 1
    {"rotate": wal.rotate, "close": wal.close, "checkpoint": lambda: wal.checkpoint(1), "sync": wal.sync}[verb]()
    assert wal.durable_lsn == 2
    if verb != "close":
        clock.now_ns = 2 * 10**9
        syncs = disk.schedule.counts["sync"]
        step(wal)
        assert disk.schedule.counts["sync"] == syncs, "there was nothing to sync any more"
        wal.append(b"2")
        assert wal.durable_lsn == 2
        clock.now_ns += 10**9
        step(wal)
        assert wal.durable_lsn == 3
        wal.close()
    disk.power_cut(random.Random(1), 0.0)
    with walogs.open(store=MemoryStore(disk)) as again:
        assert again.last_lsn == (2 if verb == "close" else 3)
        again.append(b"next")


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"time": -1}, "time=-1"),
        ({"time": float("nan")}, "time=nan"),
        ({"time": float("inf")}, "time=inf"),
        ({"time": 86_401}, "time=86401"),
        ({"time": "1"}, "time='1'"),
        ({"time": None}, "time=None"),
        ({"bytes": 1.5}, "bytes=1.5"),
        ({"bytes": False}, "bytes=False"),
        ({"entries": "9"}, "entries='9'"),
    ],
)
def test_an_interval_that_is_none_is_refused(options: dict[str, Any], phrase: str) -> None:
    with pytest.raises(walogs.ConfigError) as refused:
        IntervalPolicy(**options)
    assert phrase in str(refused.value)
    assert len(refused.value.problems) == 1
