"""Each flipped bit, cut and lost sector in acknowledged bytes is found, and an undamaged log is never refused."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final

import pytest

from tests.crash.damage import DAMAGE, applied, states
from tests.crash.small_logs import LOGS, SmallLog
from tests.crash.sweep import DiskPlace, ModelPlace, Tally, sweep
from tests.kit.laboratory import sampled
from tests.kit.logs import CHECKPOINT, SEAL, numbers_in

MODES: Final = [
    (mode, verify, durable_mark)
    for mode in ("acked", "prefix")
    for verify in ("full", "last")
    for durable_mark in (True, False)
]  # fmt: skip
OTHER_MODES: Final = [mode for mode in MODES if mode[:2] != ("acked", "full")]
STEPS: Final = {"flips": 997, "cuts": 197, "sectors astray": 7, "suffixes": 13}
"""In the default run, every so many-th state of each log is tried; of other kinds of damage all are."""
SAMPLED: Final = {"flips": 53, "cuts": 21, "sectors astray": 9, "suffixes": 9}
"""The laboratory's sample leaves out so many times more of these kinds."""
ON_DISK: Final = ("closed", "segments", "checkpoints")


@pytest.fixture(params=LOGS, scope="module")
def log(request: pytest.FixtureRequest) -> SmallLog:
    return LOGS[request.param]()


def step_for(log: SmallLog, kind: str, times: int) -> int:
    """Another step for each log, so that they do not all leave out the same."""
    return STEPS[kind] * times + 2 * (zlib.crc32(log.name.encode()) % 5) if kind in STEPS else 1


def test_the_logs_hold_what_they_are_named_for() -> None:
    logs = {name: make() for name, make in LOGS.items()}
    kinds = {name: [frame.kind for frame in log.frames(log.newest)] for name, log in logs.items()}
    assert CHECKPOINT in kinds["checkpoints"][1:-1]
    assert kinds["last-checkpoint"][-1] == CHECKPOINT
    assert len(logs["segments"].files) == len(logs["unsealed"].files) == 5
    assert logs["segments"].frames(1)[-1].kind == SEAL != logs["unsealed"].frames(1)[-1].kind
    assert logs["checkpoints"].entries[0][0] > 1
    assert len(numbers_in(logs["checkpoints"].files)) > 1
    assert any(b"\xd7\x57\1\0" in data for _, data in logs["nested"].entries)


@pytest.mark.guarantee("G2", "G5", "G6", "G15")
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_seen_for_what_it_is(log: SmallLog, kind: str) -> None:
    changes = list(DAMAGE[kind](log))
    for at, (mode, verify, durable_mark) in enumerate(MODES):
        tally = Tally(f"{log.name}, {kind}, {mode}, {verify}, durable mark {'there' if durable_mark else 'lost'}")
        is_usual = (mode, verify) == ("acked", "full")
        step = step_for(log, kind, 1) * (1 if is_usual else 4)
        part = changes[0 if is_usual else min(at, len(changes) - 1) :: step]
        sweep(
            log, applied(log, part), tally, ModelPlace(), verify=verify, mode=mode, durable_mark=durable_mark
        ).settle()


@pytest.mark.guarantee("G6", "G17")
@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", ON_DISK)
def test_damage_on_a_real_disk_is_refused_without_touching_a_file(name: str, kind: str, tmp_path: Path) -> None:
    log = LOGS[name]()
    tally = Tally(f"{log.name}, {kind}, on disk")
    sweep(log, states(kind, log, step_for(log, kind, 4)), tally, DiskPlace(tmp_path / "log")).settle()


@pytest.mark.laboratory
@pytest.mark.timeout(1800)
@pytest.mark.guarantee("G2", "G5", "G6", "G15")
@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("durable_mark", [True, False], ids=["durable_mark", "no durable mark"])
def test_all_damage_is_seen_for_what_it_is(log: SmallLog, kind: str, durable_mark: bool) -> None:
    tally = Tally(f"{log.name}, {kind}, acked, full, durable mark {'there' if durable_mark else 'lost'}")
    tried = applied(log, sampled(DAMAGE[kind](log), SAMPLED.get(kind, 1), tally.what))
    sweep(log, tried, tally, ModelPlace(), durable_mark=durable_mark).settle()


@pytest.mark.laboratory
@pytest.mark.timeout(1800)
@pytest.mark.guarantee("G2", "G5", "G6", "G15")
@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize(("mode", "verify", "durable_mark"), OTHER_MODES)
def test_damage_is_seen_in_every_mode(log: SmallLog, kind: str, mode: str, verify: str, durable_mark: bool) -> None:
    tally = Tally(f"{log.name}, {kind}, {mode}, {verify}, durable mark {'there' if durable_mark else 'lost'}")
    step = {"flips": 13, "cuts": 5}.get(kind, 1)
    tried = applied(log, sampled(DAMAGE[kind](log), step * SAMPLED.get(kind, 1), tally.what, step))
    sweep(log, tried, tally, ModelPlace(), verify=verify, mode=mode, durable_mark=durable_mark).settle()


@pytest.mark.laboratory
@pytest.mark.timeout(1800)
@pytest.mark.guarantee("G6", "G17")
@pytest.mark.parametrize("kind", DAMAGE)
def test_much_damage_on_a_real_disk(log: SmallLog, kind: str, tmp_path: Path) -> None:
    tally = Tally(f"{log.name}, {kind}, on disk")
    step = {"flips": 61, "cuts": 23, "suffixes": 3}.get(kind, 1)
    tried = applied(log, sampled(DAMAGE[kind](log), step * SAMPLED.get(kind, 1), tally.what, step))
    sweep(log, tried, tally, DiskPlace(tmp_path / "log")).settle()
