"""Each verb dies, or a sync fails, at each of its steps. All acknowledged entries come back, and stay."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pytest
from typing_extensions import Buffer

import walogs
from tests.crash.legal import one_commit, several_commits
from tests.crash.small_logs import LOGS, abandon, disk_with, opened, payloads
from tests.crash.sweep import Expected, ModelPlace, Tally, brief, judge_what_is_there
from tests.kit.laboratory import amount
from tests.kit.logs import DURABLE_MARK, Entries, numbered, segment_name, with_byte
from walogs.errors import WalError
from walogs.testing import CHANGES, FAILED_SYNC, Fault, LawBroken, MemoryDisk, MemoryStore, SimulatedCrash

DATA: Final = payloads((60, 700, 300, 5, 500), 91)
BATCH: Final = payloads((9, 800, 0, 300), 92)
SIZE: Final = 900
"""Bytes of a segment: every second entry or so is in another."""
AT_ONCE: Final = b"appended at once " * 1000
"""Reaches into blocks that a window has only just got."""


class Verb(NamedTuple):
    """One call of a log with DATA in it, and what may be there when it did not return."""

    call: Callable[[walogs.Wal], object]
    possible: list[Entries]
    retention: walogs.Retention | None = None
    """What the log that is called has, once DATA is in it."""


KEPT: Final = numbered(1, *DATA)
VERBS: Final = {
    "append": Verb(lambda wal: wal.append(b"next"), [KEPT, numbered(1, *DATA, b"next")]),
    "append that rotates": Verb(lambda wal: wal.append(bytes(600)), [KEPT, numbered(1, *DATA, bytes(600))]),
    "append that grows": Verb(lambda wal: wal.append(b"n" * 70_000), [KEPT, numbered(1, *DATA, b"n" * 70_000)]),
    "batch": Verb(lambda wal: wal.append_batch(BATCH), [KEPT, numbered(1, *DATA, *BATCH)]),
    "rotate": Verb(lambda wal: wal.rotate(), [KEPT]),
    "checkpoint": Verb(lambda wal: wal.checkpoint(3), [KEPT, KEPT[3:]]),
    "checkpoint of everything": Verb(lambda wal: wal.checkpoint(99), [KEPT, KEPT[4:]]),
    "append that is followed by retention": Verb(
        lambda wal: wal.append(bytes(600)),
        # If a segment could not be sealed and trimmed, its window counts, and one more goes.
        [KEPT, numbered(1, *DATA, bytes(600)), *(numbered(1, *DATA, bytes(600))[k:] for k in (3, 5))],
        walogs.Retention(size=8000),
    ),
    "sync": Verb(lambda wal: wal.sync(), [KEPT]),
    "close": Verb(lambda wal: wal.close(), [KEPT]),
}
ENDS: Final[dict[str, Callable[[MemoryDisk], None]]] = {
    "killed": lambda disk: disk.kill(),
    "power cut, nothing kept": lambda disk: disk.power_cut(random.Random(1), 0.0),
    "power cut, everything kept": lambda disk: disk.power_cut(random.Random(2), 1.0),
    **{
        f"power cut {seed}": lambda disk, seed=seed: disk.power_cut(random.Random(seed), 0.5)  # type: ignore[misc]
        for seed in range(10, 14)
    },
}


def filled(sync: str, verb: Verb, *, reopened: bool) -> tuple[MemoryDisk, walogs.Wal]:
    """A log with DATA in it, on a new disk; *reopened*: by a writer that did not make its newest segment."""
    disk = MemoryDisk()
    wal = opened(disk, 93, max_segment_size=SIZE, sync=sync)
    for data in DATA:
        wal.append(data)
    wal.sync()
    if reopened:
        abandon(wal, disk)
    elif verb.retention is not None:
        wal.close()
    if wal.closed:
        wal = opened(disk, 94, max_segment_size=SIZE, sync=sync, retention=verb.retention)
    return disk, wal


def steps_of(disk: MemoryDisk, act: Callable[[], object], fault: Fault) -> int:
    """How many primitives this has at which the fault can happen."""
    before = disk.schedule.count(fault.only)
    act()
    return disk.schedule.count(fault.only) - before


CRASHES: Final = Fault("crash", only=CHANGES)
"""At the steps that change something: a crash at any other leaves what the one before it left."""


def tried(act: Callable[[], object]) -> None:
    """What the faults raise, and what the log makes of them; a `LawBroken` goes through."""
    try:
        act()
    except (SimulatedCrash, OSError, WalError):
        pass


def dies_at_every_step(name: str, sync: str, *, reopened: bool, ends: list[str]) -> None:
    verb, tally = VERBS[name], Tally(f"{name} dies, {sync}")
    disk, wal = filled(sync, verb, reopened=reopened)
    steps = steps_of(disk, lambda: verb.call(wal), CRASHES)
    abandon(wal, disk)
    for step in range(1, steps + 2):
        for how in ends:
            disk, wal = filled(sync, verb, reopened=reopened)
            disk.arm(step, CRASHES, rng=random.Random(step))
            tried(lambda wal=wal: verb.call(wal))  # type: ignore[misc]
            disk.disarm()
            ENDS[how](disk)
            wal.closed = True
            recovered(f"step {step} of {name}, {how}", disk, verb.possible, tally)
    tally.settle()


def fails_at_every_sync(name: str, sync: str, *, reopened: bool, seeds: range) -> None:
    verb, tally = VERBS[name], Tally(f"syncs of {name} fail, {sync}")
    disk, wal = filled(sync, verb, reopened=reopened)
    steps = steps_of(disk, lambda: verb.call(wal), FAILED_SYNC)
    abandon(wal, disk)
    for step in range(1, steps + 2):
        for seed in seeds:
            disk, wal = filled(sync, verb, reopened=reopened)
            disk.arm(step, FAILED_SYNC, rng=random.Random(seed))
            tried(lambda wal=wal: verb.call(wal))  # type: ignore[misc]
            disk.disarm()
            disk.kill()
            wal.closed = True
            handed_out_stays(f"sync {step} of {name}, seed {seed}", disk, verb.possible, tally)
    tally.settle()


@pytest.mark.guarantee("G1", "G2", "G7", "G10", "G11", "G12", "G15")
@pytest.mark.parametrize(("sync", "reopened"), [("fdatasync", False), ("none", True)])
@pytest.mark.parametrize("name", VERBS)
def test_a_verb_can_die_at_every_step(name: str, sync: str, reopened: bool) -> None:
    ends = ["killed", "power cut 10"]
    dies_at_every_step(name, sync, reopened=reopened, ends=ends)


@pytest.mark.guarantee("G3", "G4", "G7", "G8")
@pytest.mark.parametrize("name", VERBS)
def test_each_sync_of_a_verb_can_fail(name: str) -> None:
    fails_at_every_sync(name, "fdatasync", reopened=False, seeds=range(2))


@pytest.mark.laboratory
@pytest.mark.timeout(1800)
@pytest.mark.guarantee("G1", "G2", "G3", "G4", "G7", "G8", "G10", "G11", "G12", "G15")
@pytest.mark.parametrize("reopened", [False, True], ids=["own segment", "another's segment"])
@pytest.mark.parametrize("sync", ["fdatasync", "none"])
@pytest.mark.parametrize("name", VERBS)
def test_a_verb_can_die_and_fail_everywhere(name: str, sync: str, reopened: bool) -> None:
    dies_at_every_step(name, sync, reopened=reopened, ends=list(ENDS))
    fails_at_every_sync(name, sync, reopened=reopened, seeds=range(amount(3, 40)))


def recovered(name: str, disk: MemoryDisk, possible: list[Entries], tally: Tally) -> None:
    """Open what is there: any of these, and however the end was; look twice."""
    place = ModelPlace()
    place.take(disk)
    wal = opened(disk.clone(), 95)
    tail, verdict = wal.tail_state, wal.recovery_report.verdict
    wal.closed = True
    wanted = [
        Expected(entries=entries, refused="", refused_when_read=False, tail=tail, verdict=verdict)
        for entries in possible
    ]
    judge_what_is_there(name, wanted, tally, place)


@pytest.mark.guarantee("G10", "G17")
def test_a_log_can_die_at_every_step_of_being_made() -> None:
    tally = Tally("the first open dies")
    disk = MemoryDisk()

    def made(disk: MemoryDisk) -> None:
        opened(disk, 96).closed = True

    steps = steps_of(disk, lambda disk=disk: made(disk), CRASHES)  # type: ignore[misc]
    for step in range(1, steps + 1):
        for how, end in ENDS.items():
            disk = MemoryDisk()
            disk.arm(step, CRASHES, rng=random.Random(step))
            tried(lambda disk=disk: made(disk))  # type: ignore[misc]
            disk.disarm()
            end(disk)
            recovered(f"step {step}, {how}", disk, [[]], tally)
    tally.settle()


# Recovery


def torn_states(step: int) -> Iterator[tuple[str, dict[str, bytes], Entries]]:
    for made in (one_commit("random", 3, 2), several_commits("one bit a sector", (300, 700), synced_between=True)):
        states = [(name, files) for name, files in made.states() if DURABLE_MARK in files]
        for name, files in states[::step]:
            yield name, files, made.expected(files).entries


@pytest.mark.guarantee("G3", "G4", "G5", "G15")
@pytest.mark.parametrize("mode", ["acked", "prefix"])
def test_a_recovery_can_die_at_every_step(mode: str) -> None:
    tally = Tally(f"a recovery dies, {mode}")
    for name, files, entries in torn_states(17):
        disk = disk_with(files)
        steps = steps_of(disk, lambda disk=disk: abandon(opened(disk, 97, recovery=mode), disk), CRASHES)  # type: ignore[misc]
        for step in range(1, steps + 1):
            for how, end in ENDS.items():
                disk = disk_with(files)
                disk.arm(step, CRASHES, rng=random.Random(step))
                tried(lambda disk=disk: abandon(opened(disk, 97, recovery=mode), disk))  # type: ignore[misc]
                disk.disarm()
                end(disk)
                recovered(f"{name}, step {step}, {how}", disk, [entries], tally)
    tally.settle()


# Syncs that fail: pages clean, not on the disk


def failed_recoveries(step: int, seeds: range, tally: Tally) -> None:
    for name, files, entries in torn_states(step):
        disk = disk_with(files)
        syncs = steps_of(disk, lambda disk=disk: abandon(opened(disk, 98), disk), FAILED_SYNC)  # type: ignore[misc]
        for failing in range(1, syncs + 1):
            for seed in seeds:
                disk = disk_with(files)
                disk.arm(failing, FAILED_SYNC, rng=random.Random(seed))
                tried(lambda disk=disk: abandon(opened(disk, 98), disk))  # type: ignore[misc]
                disk.disarm()
                disk.kill()
                handed_out_stays(f"{name}, sync {failing}, seed {seed}", disk, [entries], tally)


@pytest.mark.guarantee("G3", "G4", "G15")
def test_each_sync_of_a_recovery_can_fail() -> None:
    tally = Tally("syncs of a recovery fail")
    failed_recoveries(23, range(2), tally)
    tally.settle()


@pytest.mark.laboratory
@pytest.mark.timeout(1800)
@pytest.mark.guarantee("G3", "G4", "G15")
def test_each_sync_of_every_recovery_can_fail() -> None:
    tally = Tally("syncs of every recovery fail")
    failed_recoveries(amount(5, 1), range(amount(4, 12)), tally)
    tally.settle()


def handed_out_stays(name: str, disk: MemoryDisk, possible: list[Entries], tally: Tally) -> None:
    """The same boot opens it, perhaps after memory pressure: what it hands out then, and what is appended to it, every
    power cut leaves; and what was cut stays cut."""
    for evicted, appends, bias in itertools.product((False, True), (False, True), (0.0, 1.0)):
        how = f"{name}, evicted {evicted}, appended at once {appends}, bias {bias}"
        tally.tried += 1
        twin = disk.clone()
        if evicted:
            twin.evict(random.Random(5))
        wal = None
        try:
            wal = opened(twin, 99, max_segment_size=SIZE)
            once, verdict = list(wal), wal.recovery_report.verdict
            tally.verdicts[verdict] += 1
            promised = once + ([(wal.append(AT_ONCE), AT_ONCE)] if appends else [])
            twin.power_cut(random.Random(6), bias)
            wal.closed = True
            wal = opened(twin, 100, max_segment_size=SIZE)
            again, verdict = list(wal), wal.recovery_report.verdict
            lsn = wal.append(b"after it")
            twin.power_cut(random.Random(7), bias)
            wal.closed = True
            wal = opened(twin, 101, max_segment_size=SIZE)
            third = list(wal)
            wal.close()
        except (Exception, LawBroken) as error:  # noqa: BLE001  # whatever it is, it is not what the rules say
            tally.wrong.append(f"{how}: {error!r}")
            if wal is not None:
                wal.closed = True
            continue
        if once not in possible:
            tally.wrong.append(f"{how}: {brief(Expected(once))} is not possible")
        if again != promised:
            tally.wrong.append(f"{how}: promised {brief(Expected(promised))}, then {brief(Expected(again))}")
        if verdict != "clean":
            tally.wrong.append(f"{how}: what was cut came back: {verdict}")
        if third != [*again, (lsn, b"after it")] or lsn != (again[-1][0] + 1 if again else 1):
            tally.wrong.append(f"{how}: appended {lsn} to {brief(Expected(again))}: {brief(Expected(third))}")


# The mode `prefix`


def damaged_log(name: str) -> tuple[dict[str, bytes], Entries]:
    """A small log with a flipped bit in its newest segment's first frame, and the entries that are left before it."""
    log = LOGS[name]()
    newest, first = segment_name(log.newest), log.frames(log.newest)[0]
    kept = [entry for entry in log.entries if entry[0] < first.first_lsn]
    return log.with_file(newest, with_byte(log.files[newest], first.offset + 41, 1)), kept


@pytest.mark.guarantee("G3", "G6", "G11", "G15")
@pytest.mark.parametrize("name", ["singles", "segments", "far-checkpoint"])
def test_a_cut_by_choice_can_die_at_every_step_and_is_never_silent(name: str) -> None:
    """Damage to acknowledged bytes is refused, or cut on demand and then gone for good: nothing in between.

    A first LSN that only a CHECKPOINT after the cut carries is kept throughout: what is below it may be gone.
    """
    tally = Tally(f"a prefix cut dies, {name}")
    files, kept = damaged_log(name)
    disk = disk_with(files)
    steps = steps_of(disk, lambda: abandon(opened(disk, 102, recovery="prefix"), disk), CRASHES)
    seen = set()
    for step, (how, end) in itertools.product(range(1, steps + 1), ENDS.items()):
        disk = disk_with(files)
        disk.arm(step, CRASHES, rng=random.Random(step))
        tried(lambda disk=disk: abandon(opened(disk, 102, recovery="prefix"), disk))  # type: ignore[misc]
        disk.disarm()
        end(disk)
        for mode in ("acked", "prefix", "acked"):
            tally.tried += 1
            wal = None
            try:
                wal = opened(disk, 103, recovery=mode)
                if list(wal) != kept:
                    tally.wrong.append(f"step {step}, {how}, {mode}: {brief(Expected(list(wal)))}")
                seen.add("cut")
                abandon(wal, disk)
            except walogs.Corrupt as refused:
                seen.add("refused")
                if mode == "prefix" or "cut by choice" in seen:
                    tally.wrong.append(f"step {step}, {how}, {mode}: {refused}")
            if mode == "prefix":
                seen.add("cut by choice")
        seen.discard("cut by choice")
        try:
            wal = opened(disk, 104)
            following = kept[-1][0] + 1 if kept else wal.next_lsn
            if wal.append(b"next") != following or list(wal) != [*kept, (following, b"next")]:
                tally.wrong.append(f"step {step}, {how}, afterwards: {brief(Expected(list(wal)))}")
            wal.close()
        except walogs.Corrupt as refused:
            tally.wrong.append(f"step {step}, {how}, afterwards: {refused}")
    tally.settle()
    assert seen == {"cut", "refused"}


@pytest.mark.guarantee("G6")
def test_the_durable_mark_is_gone_before_anything_is_cut_by_choice() -> None:
    """Otherwise a crash between the two leaves a log that refuses to open, though all it lost was lost by choice."""
    made = one_commit("random", 3, 2)
    damaged = bytearray(made.before["wal-000001.log"])
    damaged[600] ^= 1
    disk = disk_with({"wal-000001.log": bytes(damaged), DURABLE_MARK: made.durable_markes["exact"] or b""})
    calls: list[str] = []

    class Noting(MemoryStore):
        def drop_durable_mark(self) -> None:
            super().drop_durable_mark()
            calls.append(f"drop, durably gone: {disk.durable(DURABLE_MARK) is None}")

        def zero_from(self, number: int, offset: int) -> None:
            calls.append("zero_from")
            super().zero_from(number, offset)

        def write(self, number: int, offset: int, data: Buffer) -> None:
            calls.append("write")
            super().write(number, offset, data)

    with walogs.open(store=Noting(disk), recovery="prefix") as wal:
        assert wal.recovery_report.verdict == "prefix"
        assert isinstance(wal.tail_state, walogs.TruncatedAt)
    assert calls[0] == "drop, durably gone: True"
    assert "zero_from" in calls
