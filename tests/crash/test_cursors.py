"""A commit of a cursor dies, or a sync of it fails, at each of its steps. The position is the old one or the new one.

The local store runs with all its system calls on a modelled disk, beside the model of a store.
"""

from __future__ import annotations

import errno
import itertools
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest

import walogs
from tests.shims.memory_os import ROOT, MemoryOS, run_as
from walogs.defaults.local_store import LocalStore
from walogs.protocols import SegmentStore
from walogs.testing import CHANGES, FAILED_SYNC, Fault, MemoryDisk, MemoryStore, SimulatedCrash

DATA: Final = [b"entry %d." % number * 8 for number in range(1, 21)]
SEGMENT: Final = 900
CRASH: Final = Fault("crash", only=CHANGES)
STEPS_MAX: Final = 60
SEEDS: Final = 8

Start = Callable[[MemoryDisk], SegmentStore]


@pytest.fixture(params=["model", "local"])
def start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Returns a store in a new process on that disk."""

    def started(disk: MemoryDisk) -> SegmentStore:
        if request.param == "model":
            return MemoryStore(disk)
        run_as(MemoryOS(disk), monkeypatch.setattr)
        return LocalStore(ROOT)

    return started


def opened(start: Start, disk: MemoryDisk) -> walogs.Wal:
    return walogs.open(store=start(disk), max_segment_size=SEGMENT)


def filled(start: Start) -> tuple[MemoryDisk, walogs.Wal]:
    """A log with DATA in it."""
    disk = MemoryDisk()
    wal = opened(start, disk)
    for data in DATA:
        wal.append(data)
    return disk, wal


def ends(disk: MemoryDisk, *, is_killed: bool = True) -> Iterator[tuple[str, MemoryDisk]]:
    """Yield what can be left on the disk when its processes have ended: after a kill, and after power cuts."""
    disk.disarm()
    if is_killed:
        twin = disk.clone()
        yield "killed", twin
    for seed, bias in enumerate((0.0, 1.0, *[None] * SEEDS)):
        twin = disk.clone()
        twin.power_cut(random.Random(seed), bias)
        yield f"power cut {seed}", twin


def position_on(start: Start, disk: MemoryDisk) -> int | None:
    """The position of the cursor, as its next owner finds it; None: there is no cursor. Nothing after it is missing."""
    wal = opened(start, disk)
    try:
        store = wal._source.store
        if "mailer" not in store.cursors():  # type: ignore[attr-defined]
            return None
        with wal.cursor("mailer") as cursor:
            position = cursor.position
            assert list(cursor) == list(enumerate(DATA[position:], position + 1))
            if position < len(DATA):
                cursor.commit(position + 1)
                assert cursor.position == position + 1
        return position
    finally:
        abandon(wal)


def abandon(wal: walogs.Wal) -> None:
    """The process ends without closing anything."""
    wal.closed = True
    for cursor in tuple(wal._cursors):
        cursor._closed = True


def dies(disk: MemoryDisk, step: int, fault: Fault, call: Callable[[], object], seed: int = 0) -> bool:
    """Whether *call* ended by the fault at that step. What it raises otherwise is raised."""
    disk.arm(step, fault, rng=random.Random(f"{step} {seed}"))
    try:
        call()
    except (SimulatedCrash, OSError):
        return True
    finally:
        disk.disarm()
    return False


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize("between", [None, 7], ids=["", "after one that is not durable"])
def test_a_durable_commit_leaves_the_old_position_or_the_new_one(start: Start, between: int | None) -> None:
    seen: set[tuple[bool, int | None]] = set()
    for step in range(1, STEPS_MAX):
        disk, wal = filled(start)
        cursor = wal.cursor("mailer")
        cursor.commit(5)
        if between is not None:
            cursor.commit(between, durable=False)
        died = dies(disk, step, CRASH, lambda cursor=cursor: cursor.commit(9))  # type: ignore[misc]
        abandon(wal)
        for how, twin in ends(disk):
            position = position_on(start, twin)
            old = {5, between or 5} if how != "killed" else {between or 5}
            assert position in ({9, *old} if died else {9}), f"step {step}, {how}"
            seen.add((died, position))
        if not died:
            break
    else:
        raise AssertionError("it has too many steps")
    assert {position for died, position in seen if died} == {5, 9} | ({between} if between else set())
    assert step > 4


@pytest.mark.guarantee("G21")
def test_a_commit_that_need_not_be_durable_is_set_back_at_most_to_the_last_durable_one(start: Start) -> None:
    seen: set[int | None] = set()
    for step, seed in itertools.product(range(1, STEPS_MAX), range(SEEDS)):  # each seed writes another prefix
        disk, wal = filled(start)
        cursor = wal.cursor("mailer")
        cursor.commit(5)
        cursor.commit(7, durable=False)
        commit = partial(cursor.commit, 9, durable=False)
        died = dies(disk, step, CRASH, commit, seed)
        abandon(wal)
        for how, twin in ends(disk):
            position = position_on(start, twin)
            assert position in ({5, 7, 9} if died or how != "killed" else {9}), f"step {step}, {how}"
            seen.add(position)
        if not died:
            break
    else:
        raise AssertionError("it has too many steps")
    assert seen == {5, 7, 9}


@pytest.mark.guarantee("G21")
def test_the_first_opening_leaves_no_cursor_or_one_at_the_beginning(start: Start) -> None:
    """And once it has returned, no power cut takes the cursor away."""
    for step in range(1, STEPS_MAX):
        disk, wal = filled(start)
        made: list[walogs.Cursor] = []
        died = dies(disk, step, CRASH, lambda wal=wal, made=made: made.append(wal.cursor("mailer")))  # type: ignore[misc]
        abandon(wal)
        for how, twin in ends(disk):
            assert position_on(start, twin) in ((None, 0) if died else (0,)), f"step {step}, {how}"
        if not died:
            break
    else:
        raise AssertionError("it has too many steps")
    assert step > 5


@pytest.mark.guarantee("G21")
def test_an_opening_makes_durable_what_a_process_that_died_has_left(start: Start) -> None:
    """Otherwise the power cut after it could take all of the cursor, and with it the commits that are not durable."""
    for step in range(1, STEPS_MAX):
        disk, wal = filled(start)
        made: list[walogs.Cursor] = []
        died = dies(disk, step, CRASH, lambda wal=wal, made=made: made.append(wal.cursor("mailer")))  # type: ignore[misc]
        abandon(wal)
        disk.kill()
        wal = opened(start, disk)
        cursor = wal.cursor("mailer")
        cursor.commit(3, durable=False)
        abandon(wal)
        for how, twin in ends(disk):
            assert position_on(start, twin) in (0, 3), f"step {step}, {how}"
        if not died:
            break
    else:
        raise AssertionError("it has too many steps")


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize("fault", [FAILED_SYNC, Fault(errno.EIO, only=CHANGES)], ids=["failed sync", "EIO"])
def test_after_a_failure_at_any_step_the_next_commit_is_durable_again(start: Start, fault: Fault) -> None:
    for step in range(1, STEPS_MAX):
        disk, wal = filled(start)
        cursor = wal.cursor("mailer")
        cursor.commit(5)
        failed = dies(disk, step, fault, lambda cursor=cursor: cursor.commit(9))  # type: ignore[misc]
        assert cursor.position in ((5, 9) if failed else (9,))
        twins = list(ends(disk, is_killed=False))
        cursor.commit(10)
        twins_after = list(ends(disk, is_killed=False))
        abandon(wal)
        for how, twin in twins:
            assert position_on(start, twin) in ((5, 9) if failed else (9,)), f"step {step}, {how}"
        for how, twin in twins_after:
            assert position_on(start, twin) == 10, f"step {step}, {how}"
        if not failed:
            break
    else:
        raise AssertionError("it has too many steps")
    assert step > 1


@pytest.mark.guarantee("G11", "G21")
def test_a_checkpoint_by_the_cursors_never_removes_what_one_may_want_again(start: Start) -> None:
    """At whichever step it dies, and whatever the power cut sets back."""
    removed = 0
    for step in range(1, STEPS_MAX):
        disk, wal = filled(start)
        cursor = wal.cursor("mailer")
        cursor.commit(8)
        cursor.commit(16, durable=False)
        died = dies(disk, step, CRASH, wal.checkpoint)
        abandon(wal)
        for _, twin in ends(disk):
            position = position_on(start, twin)  # which reads all that is after it
            assert position in (8, 16)
        removed += not died and wal.first_lsn > 1
        if not died:
            break
    else:
        raise AssertionError("it has too many steps")
    assert removed
