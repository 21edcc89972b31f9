"""Each policy promises what it does, and does it for every commit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import walogs
from walogs.defaults import local_store
from walogs.defaults.sync_policies import FdatasyncPolicy, FsyncPolicy, NoSyncPolicy
from walogs.protocols import Pending, SyncPolicy

PENDING = [Pending(1, 48, 5), Pending(1, 0, 0), Pending(1 << 40, 1 << 50, 9)]


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize(
    ("policy", "name", "promise", "barrier", "decision"),
    [
        (FdatasyncPolicy(), "fdatasync", "durable", "data", "sync"),
        (FsyncPolicy(), "fsync", "durable", "full", "sync"),
        (NoSyncPolicy(), "none", "none", "data", "leave"),
    ],
)
def test_a_policy_that_promises_durability_syncs_every_commit(
    policy: SyncPolicy, name: str, promise: str, barrier: str, decision: str
) -> None:
    assert isinstance(policy, SyncPolicy)
    assert (policy.name, policy.promise, policy.barrier) == (name, promise, barrier)
    assert {policy.decide(pending) for pending in PENDING} == {decision}
    assert (policy.promise == "durable") == (decision == "sync")


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
