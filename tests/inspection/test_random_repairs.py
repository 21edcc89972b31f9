"""Repairs of random logs with one fault or two."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import walogs
from tests.crash.small_logs import SmallLog
from tests.inspection import damaged_logs as logs
from tests.inspection.damaged_logs import (
    CODECS,
    PLACES,
    LocalPlace,
    Place,
    goes_on,
    nothing_is_destroyed,
    settled,
)
from tests.inspection.repairs import refuses_a_side_with_nothing
from tests.kit.laboratory import amount
from tests.kit.logs import DURABLE_MARK


def dense(lsns: list[int]) -> list[set[int]]:
    """Return each set of LSNs without a gap."""
    found: list[set[int]] = [set()]
    for lsn in lsns:
        if found[-1] and lsn != max(found[-1]) + 1:
            found.append(set())
        found[-1].add(lsn)
    return found


def tried(place: Place, log: SmallLog, keep: str, what: str) -> str:
    """Repair random damage, and check that every entry is accounted for. Return the outcome."""
    try:
        salvaged = place.salvage()
    except (walogs.UnsupportedFormat, walogs.plugins.SegmentNotFound):
        return "not a log"
    intact = {item.lsn for item in salvaged if isinstance(item, walogs.Entry)}
    is_sound = place.verify().ok
    before, state = place.files(), place.state()
    try:
        foretold = place.repair(keep, dry_run=True)
    except walogs.Corrupt:
        assert place.state() == state, what
        if not intact:
            return "nothing"
        other = "after" if keep == "before" else "before"
        refuses_a_side_with_nothing(place, keep, other)
        return tried(place, log, other, what)
    assert place.state() == state, what
    report = place.repair(keep)
    assert settled(report) == settled(foretold), what
    assert (report.refusal is None) == is_sound, what
    written = dict(log.entries)
    if is_sound:
        assert place.state() == state, what
        return "sound"
    kept = set(range(report.first_lsn, report.last_lsn + 1))
    end = max([report.last_lsn, *intact, *written])
    lost = {lsn for gap in report.lost for lsn in range(gap.first_lsn, (gap.last_lsn or end) + 1)}
    dropped = {lsn for first_lsn, last_lsn in report.dropped for lsn in range(first_lsn, last_lsn + 1)}
    assert kept <= intact, what
    assert dropped <= intact, what
    assert not lost & intact, what
    gaps = [item for item in salvaged if isinstance(item, walogs.Gap)]
    assert {gap[1:] for gap in report.lost} <= {gap[1:] for gap in gaps}, what
    unseen = {lsn for lsn in intact | set(written) if lsn >= min(kept | dropped | lost)} - kept - dropped - lost
    looks_torn = DURABLE_MARK not in before and min(unseen, default=0) > max(intact)  # the limit that G6 names
    assert not unseen or looks_torn, what
    stretches = dense(sorted(kept | dropped))
    assert kept <= stretches[0 if keep == "before" else -1] or not kept, what
    nothing_is_destroyed(before, place.files(), what)
    expected = [(item.lsn, item.data) for item in salvaged if isinstance(item, walogs.Entry) and item.lsn in kept]
    assert all(written.get(lsn, data) == data for lsn, data in expected), what
    goes_on(place, expected, what)
    return "lossless" if not lost and not dropped else "repaired"


def random_repairs(seeds: range, shape: str, path: Path) -> dict[str, int]:
    outcomes: dict[str, int] = {}
    for seed in seeds:
        rng = random.Random(seed)
        codec = CODECS[rng.choice(tuple(CODECS))]()
        log = logs.random_log(rng, codec)
        files, faults = log.files, []
        for _ in range(rng.choice((1, 2))):
            fault = logs.random_fault(files, rng)
            faults.append(fault.what)
            files = fault.files
        keep = rng.choice(("before", "after"))
        place = PLACES[shape](files, path / "log", codec)
        outcome = tried(place, log, keep, f"seed {seed}, {keep}, {faults}")
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if isinstance(place, LocalPlace):
            place.log.put({})
    print(f"seeds {seeds}: {outcomes}")
    return outcomes


@pytest.mark.guarantee("G1", "G2", "G6")
@pytest.mark.parametrize("shape", PLACES)
def test_random_logs_with_one_fault_or_two(shape: str, tmp_path: Path) -> None:
    outcomes = random_repairs(range(75), shape, tmp_path)
    assert outcomes["repaired"] > 30
    assert outcomes["lossless"] > 10


@pytest.mark.laboratory
@pytest.mark.timeout(1800)
@pytest.mark.guarantee("G1", "G2", "G6")
@pytest.mark.parametrize("shape", PLACES)
def test_thousands_of_random_logs_with_one_fault_or_two(shape: str, tmp_path: Path) -> None:
    first_seed = random.SystemRandom().randrange(1 << 32)
    print(f"seeds from {first_seed}")
    count = amount(600, 4000)
    assert random_repairs(range(first_seed, first_seed + count), shape, tmp_path)["repaired"] > count / 5
