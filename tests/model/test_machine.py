"""The state machine: over both memory shapes, the local store on a modelled disk, and the local store for real.

It prints what it did: a rule that never ran, or a verdict never reached, proves nothing, and fails the laboratory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import LogMachine

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
    *("backup: refused", "backup: the witness lags"),
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


def run(world: str, examples: int, steps: int) -> Counter[str]:
    own = {"world_name": world, "counts": Counter(), "judged": set()}
    machine: Any = type(f"{world.title()}Machine", (LogMachine,), own)
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
    print(f"\n{world}: {counts['steps']:,} steps")
    for what, count in sorted(counts.items()):
        print(f"{count:9,}  {what}")
    return counts


@pytest.mark.guarantee("G1", "G2", "G3", "G4", "G5", "G7", "G8", "G9", "G10", "G11", "G12", "G14", "G15")
@pytest.mark.parametrize("world", sorted(REACHED))
def test_nothing_acknowledged_is_lost_and_nothing_comes_back(world: str) -> None:
    run(world, examples={"disk": 60, "local": 40, "cloud": 30, "directory": 10}[world], steps=40)


@pytest.mark.laboratory
@pytest.mark.timeout(3600)
@pytest.mark.guarantee("G1", "G2", "G3", "G4", "G5", "G7", "G8", "G9", "G10", "G11", "G12", "G14", "G15")
@pytest.mark.parametrize("world", sorted(REACHED))
def test_at_length_with_every_rule_and_verdict_reached(world: str) -> None:
    counts = run(world, examples={"disk": 2000, "local": 1500, "cloud": 1000, "directory": 200}[world], steps=50)
    assert [what for what in REACHED[world] if not counts[what]] == []
