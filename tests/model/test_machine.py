"""The state machine on four places: both memory stores, and LocalStore on a modelled disk and on a real one.

A rule that never ran, or a verdict that was never reached, proves nothing. So the laboratory makes each of them on
purpose, and fails if one is missing.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.kit.laboratory import amount
from tests.model.machine import LogMachine
from tests.model.rare_events import SYNCS, play_round

COMMON = (
    *("append", "append_batch", "sync", "rotate", "checkpoint", "look", "close", "kill", "recover twice"),
    *("submit", "submit: cancelled", "shared commit", "commit thread"),
    *("read beside: durable", "read beside: written"),
    *("backup", "backup before recovery", "backup beside pending entries", "backup beside a reader"),
    *("backup: meanwhile append", "backup: meanwhile append_batch", "backup: meanwhile checkpoint"),
    *("backup: meanwhile rotate", "backup: meanwhile close and reopen", "backup: begun again"),
)

ON_A_DISK = (
    *COMMON,
    *("log inside a log", "verdict clean", "verdict torn", "written again", "checkpoint finished by open"),
    *("power cut", "crash inside recovery", "evict", "writeback that nobody saw fail", "fill the disk"),
    *("arm failed sync", "arm short write", "arm EIO", "arm EIO at a read", "arm ENOSPC", "arm EMFILE", "arm crash"),
    *("append: indefinite", "append: poisoned", "append: refused", "append: crash", "append_batch: indefinite"),
    *("checkpoint: indefinite", "checkpoint: refused", "rotate: refused", "close poisoned", "open failed"),
    *("submit: indefinite", "submit: NoSpace", "submit: Poisoned"),
    *("backup: refused", "backup: the durable mark lags"),
)
REACHED = {
    "disk": ON_A_DISK,
    "local": ON_A_DISK,
    "cloud": (
        *COMMON,
        *("verdict clean", "crash inside recovery", "arm crash", "append: indefinite", "append: crash", "open failed"),
        *("arm lost answer", "arm three lost answers", "arm no answer at all", "arm 409 in disguise"),
        *("fenced by another writer", "checkpoint: indefinite", "late puts arrived"),
        "backup: refused",
    ),
    "directory": (*COMMON, "log inside a log", "verdict clean"),
}


ROUNDS_MAX = 12


def machine_of(world: str) -> Any:
    own = {"world_name": world, "counts": Counter(), "judged": set()}
    return type(f"{world.title()}Machine", (LogMachine,), own)


def run(machine: Any, examples: int, steps: int) -> Counter[str]:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    counts: Counter[str] = machine.counts
    print(f"\n{machine.world_name}: {counts['steps']:,} steps")
    for what, count in sorted(counts.items()):
        print(f"{count:9,}  {what}")
    return counts


@pytest.mark.guarantee("G1", "G2", "G3", "G4", "G5", "G7", "G8", "G9", "G10", "G11", "G12", "G14", "G15")
@pytest.mark.parametrize("world", sorted(REACHED))
def test_nothing_acknowledged_is_lost_and_nothing_comes_back(world: str) -> None:
    run(machine_of(world), examples={"disk": 30, "local": 20, "cloud": 15, "directory": 6}[world], steps=40)


@pytest.mark.laboratory
@pytest.mark.timeout(3600)
@pytest.mark.guarantee("G1", "G2", "G3", "G4", "G5", "G7", "G8", "G9", "G10", "G11", "G12", "G14", "G15")
@pytest.mark.parametrize("world", sorted(REACHED))
def test_every_rule_and_verdict_is_reached_on_purpose(world: str) -> None:
    """The seeds are fixed, so this does not depend on luck."""
    machine = machine_of(world)
    for seed in range(ROUNDS_MAX):
        play_round(machine, seed)
        missing = [what for what in REACHED[world] if not machine.counts[what]]
        if seed >= len(SYNCS) and not missing:
            return
    raise AssertionError(f"never reached: {missing}")


@pytest.mark.laboratory
@pytest.mark.timeout(3600)
@pytest.mark.guarantee("G1", "G2", "G3", "G4", "G5", "G7", "G8", "G9", "G10", "G11", "G12", "G14", "G15")
@pytest.mark.parametrize("world", sorted(REACHED))
def test_at_length(world: str) -> None:
    sample, everything = {"disk": (250, 2000), "local": (150, 1500), "cloud": (150, 1000), "directory": (30, 200)}[
        world
    ]
    run(machine_of(world), amount(sample, everything), steps=50)


def test_a_reader_may_begin_before_a_checkpoint_that_failed_to_remove_segments() -> None:
    """A history that the machine found: the checkpoint is durable, its removal fails, and the process dies."""
    state = machine_of("local")()
    try:
        state.begin(seed=0, segment=1, sync="fdatasync", verify="full")
        for _ in range(6):
            state.append_a_log_inside_the_log()
        state.checkpoint(seed=0)
        state.arm("EMFILE", 12, 0)
        state.look(seed=0)
        state.arm("EIO", 2, 0)
        state.back_up(seed=32257, when="after a checkpoint")
        assert state.counts["checkpoint: refused"] == state.counts["backup beside a reader"] == 1
    finally:
        state.teardown()
