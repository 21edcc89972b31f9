"""A repair dies or fails at each of its steps. Then the log is refused as before, or it opens as repaired.

A second repair reaches the same end.
"""

from __future__ import annotations

import contextlib
import errno
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

import walogs
from tests.crash.small_logs import SmallLog, environment, files_on
from tests.inspection import damaged_logs as logs
from tests.inspection.damaged_logs import (
    ASIDE,
    ModelPlace,
    goes_on,
    kept_of,
    nothing_is_destroyed,
    with_data_changed,
    with_header_damaged,
    without,
)
from tests.kit.logs import DURABLE_MARK, Entries, Files, segment_name
from tests.shims.memory_os import ROOT, MemoryOS, run_as
from walogs.assembly.opening import source_of
from walogs.inspection import repair as repair_module
from walogs.inspection.repair import repair_source
from walogs.testing import CHANGES, Fault, MemoryDisk, SimulatedCrash

ENDS: Final[dict[str, Callable[[MemoryDisk], None]]] = {
    "killed": lambda disk: disk.kill(),
    "power cut, nothing kept": lambda disk: disk.power_cut(random.Random(1), 0.0),
    "power cut, everything kept": lambda disk: disk.power_cut(random.Random(2), 1.0),
    **{
        f"power cut {seed}": lambda disk, seed=seed: disk.power_cut(random.Random(seed), 0.5)  # type: ignore[misc]
        for seed in range(10, 16)
    },
}


def hot_copy(log: SmallLog) -> Files:
    newest = segment_name(log.newest)
    cut = log.frames(log.newest)[-1].offset
    return {**log.files, newest: log.files[newest][:cut].ljust(len(log.files[newest]), b"\0")}


def damaged() -> Iterator[tuple[str, SmallLog, Files]]:
    """Yield damage of each kind. Together the repairs take every kind of step."""
    plain, checkpointed, unsynced = logs.plain(), logs.checkpointed(), logs.unsynced()
    yield "an entry that the durable mark alone vouches for", unsynced, with_data_changed(unsynced.files, b"entry 6, ")
    yield "an entry of a completed segment", plain, with_data_changed(plain.files, b"entry 11, ")
    yield "an entry of the newest segment", plain, with_data_changed(plain.files, b"entry 22, ")
    yield "two entries", plain, with_data_changed(with_data_changed(plain.files, b"entry 7, "), b"entry 22, ")
    yield "a header", plain, with_header_damaged(plain.files, 3)
    yield "two headers", plain, with_header_damaged(with_header_damaged(plain.files, 2), 4)
    yield "a header, an entry", plain, with_data_changed(with_header_damaged(plain.files, 2), b"entry 11, ")
    yield "a segment that is gone", plain, without(plain.files, segment_name(3))
    yield "the newest is gone", plain, without(plain.files, segment_name(plain.newest))
    yield "an entry, no durable mark", plain, without(with_data_changed(plain.files, b"entry 11, "), DURABLE_MARK)
    yield "a copy of a live log", plain, hot_copy(plain)
    yield "a copy of a live log, a header", plain, with_header_damaged(hot_copy(plain), 2)
    yield "an entry in a copy of a live log", plain, with_data_changed(hot_copy(plain), b"entry 11, ")
    yield "an entry above the first LSN", checkpointed, with_data_changed(checkpointed.files, b"entry 20, ")


DAMAGED: Final = {what: (log, files) for what, log, files in damaged()}
SIDES: Final = [(what, side) for what, (_, files) in DAMAGED.items() for side in ModelPlace(files).repair(None).sides]
"""Each kind of damage, with each side on which intact entries are."""
ERRORS: Final = (errno.EIO, errno.ENOSPC)
"""How a step can fail."""


Checked = set[frozenset[tuple[str, bytes]]]
"""The files of the logs that a test has checked after an interrupted repair.

Most steps leave files that another step leaves, too. A second repair depends on nothing else, since its random numbers
are given and no power cut follows, so checking the same files again would prove nothing.
"""


def repair_on(disk: MemoryDisk, keep: Any) -> walogs.types.RepairReport:
    source = source_of(None, walogs.WalConfig(store=walogs.testing.MemoryStore(disk)))
    return repair_source(source, keep, environment(7), is_dry_run=False)


def held(disk: MemoryDisk) -> Entries | None:
    """Return what a log on a copy of this disk holds; None if it is refused."""
    try:
        with walogs.open(store=walogs.testing.MemoryStore(disk.clone())) as wal:
            return list(wal)
    except walogs.Corrupt:
        return None


def is_as_it_may_be(disk: MemoryDisk, files: Files, expected: Entries, keep: str, what: str, checked: Checked) -> None:
    """Check the log after an interrupted repair, unless it has left files that are in *checked*."""
    left = frozenset(files_on(disk).items())
    if left in checked:
        return
    checked.add(left)
    found = held(disk)
    assert found is None or found == expected, f"{what}: it opens with {[lsn for lsn, _ in found or []]}"
    nothing_is_destroyed(files, files_on(disk), what)
    try:
        repair_on(disk, keep)
    except walogs.Corrupt:  # all that was to be kept is all that is left, and the end is missing still
        assert keep not in repair_on(disk, None).sides, what
    assert held(disk) == expected, f"{what}: repaired again"
    place = ModelPlace({})
    place.disk = disk
    nothing_is_destroyed(files, files_on(disk), what)
    goes_on(place, expected, what)


def expected_of(log: SmallLog, files: Files, keep: str) -> tuple[Entries, int]:
    """Return what the repaired log holds, and how many steps the repair takes."""
    place = ModelPlace(files)
    before = place.disk.schedule.count(CHANGES)
    report = place.repair(keep)
    return kept_of(report, log.entries), place.disk.schedule.count(CHANGES) - before


def dies_at_every_step(what: str, keep: str, checked: Checked, ends: list[str], ends_of_a_step: int) -> None:
    """Die at every step, and then end in so many of *ends*. From step to step the next ones have their turn."""
    log, files = DAMAGED[what]
    expected, steps = expected_of(log, files, keep)
    assert steps >= 1
    for step in range(1, steps + 1):
        crashed = ModelPlace(files).disk
        crashed.arm(step, Fault("crash", only=CHANGES), rng=random.Random(step))
        with pytest.raises(SimulatedCrash):
            repair_on(crashed, keep)
        turn = step + SIDES.index((what, keep))
        for end in [ends[(turn + n) % len(ends)] for n in range(ends_of_a_step)]:
            disk = crashed.clone()
            ENDS[end](disk)
            is_as_it_may_be(disk, files, expected, keep, f"{what}, {keep}, step {step} of {steps}, {end}", checked)


def fails_at_every_step(what: str, keep: str, checked: Checked, errors_of_a_step: int) -> None:
    """Fail at every step with so many of ERRORS. From step to step the next ones have their turn."""
    log, files = DAMAGED[what]
    expected, steps = expected_of(log, files, keep)
    for step in range(1, steps + 1):
        turn = step + SIDES.index((what, keep))
        for number in [ERRORS[(turn + n) % len(ERRORS)] for n in range(errors_of_a_step)]:
            disk = ModelPlace(files).disk
            disk.arm(step, Fault(number, only=CHANGES), rng=random.Random(step))
            with contextlib.suppress(OSError):
                repair_on(disk, keep)
            disk.disarm()
            disk.kill()
            case = f"{what}, {keep}, step {step} of {steps} fails with {errno.errorcode[number]}"
            is_as_it_may_be(disk, files, expected, keep, case, checked)


@pytest.mark.guarantee("G6", "G9", "G15")
@pytest.mark.parametrize(("what", "keep"), SIDES)
def test_a_repair_dies_or_fails_at_any_step(what: str, keep: str) -> None:
    """These are one test, because a step that fails leaves the files of one that dies, most of the time."""
    checked: Checked = set()
    dies_at_every_step(what, keep, checked, ["power cut, everything kept", "power cut 11"], ends_of_a_step=1)
    fails_at_every_step(what, keep, checked, errors_of_a_step=1)


@pytest.mark.laboratory
@pytest.mark.timeout(1800)
@pytest.mark.guarantee("G6", "G9", "G15")
@pytest.mark.parametrize(("what", "keep"), SIDES)
def test_a_repair_dies_or_fails_at_any_step_in_every_way(what: str, keep: str) -> None:
    checked: Checked = set()
    dies_at_every_step(what, keep, checked, list(ENDS), ends_of_a_step=len(ENDS))
    fails_at_every_step(what, keep, checked, errors_of_a_step=len(ERRORS))


@pytest.mark.guarantee("G9")
def test_a_full_disk_refuses_a_repair_and_changes_nothing_but_copies(tmp_path: object) -> None:
    log, files = DAMAGED["an entry of a completed segment"]
    place = ModelPlace(files)
    place.disk.room = place.disk.used
    with pytest.raises(walogs.NoSpace):
        place.repair("before")
    left = place.files()
    assert {name: data for name, data in left.items() if not name.startswith(ASIDE)} == dict(files)
    place.disk.room = None
    report = place.repair("before")
    goes_on(place, kept_of(report, log.entries), "with room again")


@pytest.mark.guarantee("G6", "G15")
@pytest.mark.parametrize("keep", ["before", "after"])
@pytest.mark.parametrize("what", ["an entry of a completed segment", "an entry of the newest segment", "two headers"])
def test_the_local_store_dies_at_any_step_of_a_repair(what: str, keep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log, files = DAMAGED[what]
    expected, _ = expected_of(log, files, keep)

    def repair_local(disk: MemoryDisk) -> None:
        with monkeypatch.context() as patch:
            run_as(MemoryOS(disk), patch.setattr)
            repair_source(source_of(ROOT, walogs.WalConfig()), keep, environment(7), is_dry_run=False)  # type: ignore[arg-type]

    disk = ModelPlace(files).disk
    before = disk.schedule.count(CHANGES)
    repair_local(disk)
    steps = disk.schedule.count(CHANGES) - before
    checked: Checked = set()
    for step in range(1, steps + 1):
        crashed = ModelPlace(files).disk
        crashed.arm(step, Fault("crash", only=CHANGES), rng=random.Random(step))
        with pytest.raises(SimulatedCrash):
            repair_local(crashed)
        for end in ("power cut, nothing kept", "power cut 12"):
            disk = crashed.clone()
            ENDS[end](disk)
            case = f"local, {what}, {keep}, step {step} of {steps}, {end}"
            is_as_it_may_be(disk, files, expected, keep, case, checked)


# Readers beside it, and after it


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize(("what", "keep"), SIDES)
def test_a_reader_from_before_never_reads_other_entries_under_its_numbers(what: str, keep: str) -> None:
    log, files = DAMAGED[what]
    repaired = ModelPlace(files)
    repaired.repair(keep)
    for _ in range(3):
        with walogs.open(store=repaired.store(), max_segment_size=1040) as wal:
            for count in range(12):
                wal.append(b"new %d " % count * 5)
            now = dict(wal)
    undamaged = ModelPlace(log.files)
    for read_to in range(log.entries[0][0], log.entries[-1][0] + 1, 2):
        reader = walogs.reader(store=undamaged.store(), visibility="written")
        got = {}
        following = reader.follow(timeout=0)
        for lsn, data in following:
            got[lsn] = data
            if lsn == read_to:
                break
        # The damage, the repair and the appends happen while the reader does not look.
        reader._source.store.disk = repaired.disk  # type: ignore[attr-defined]
        reader._source.store.process = repaired.disk.process()  # type: ignore[attr-defined]
        context = f"{what}, {keep}, read up to {read_to}"
        next_lsn = read_to + 1
        for _ in range(3):
            try:
                for lsn, data in reader.follow(next_lsn, timeout=0):
                    got[lsn], next_lsn = data, lsn + 1
                break
            except walogs.Checkpointed as error:
                next_lsn = error.first_lsn
            except walogs.LogRewound as error:
                got = {lsn: data for lsn, data in got.items() if lsn <= error.end_lsn}
                next_lsn = min(next_lsn, error.end_lsn + 1)  # that iteration had read ahead, and was left
        else:
            pytest.fail(context)
        assert {lsn: data for lsn, data in got.items() if lsn in now} == now, context


# Bugs, planted


def planted(monkeypatch: pytest.MonkeyPatch, change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    monkeypatch.setattr(repair_module, "carry_out", change(repair_module.carry_out))


def seen(test: Callable[..., None], *arguments: Any) -> None:
    def everywhere() -> None:
        for what, keep in SIDES:
            test(what, keep, *arguments)

    with pytest.raises((AssertionError, pytest.fail.Exception, walogs.Corrupt)) as told:
        everywhere()
    print(repr(told.value)[:500])


def test_a_durable_mark_dropped_first_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(carried_out: Callable[..., Any]) -> Callable[..., Any]:
        def first(source: Any, store: Any, *rest: Any) -> Any:
            store.drop_durable_mark()
            return carried_out(source, store, *rest)

        return first

    planted(monkeypatch, change)
    seen(test_a_repair_dies_or_fails_at_any_step)


def test_a_durable_mark_that_stays_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walogs.testing.MemoryStore, "drop_durable_mark", lambda self: None)
    seen(test_a_repair_dies_or_fails_at_any_step)


def test_segments_that_stay_are_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(
        monkeypatch,
        lambda carry: lambda source, store, plan, names: carry(source, store, plan._replace(removed=()), names),
    )
    seen(test_a_repair_dies_or_fails_at_any_step)


def test_a_copy_that_is_not_made_is_seen_when_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_module, "set_aside", lambda store, number, name: name)
    seen(test_a_repair_dies_or_fails_at_any_step)
