"""Rare events of the state machine, made on purpose. Chance would reach them only in very long runs.

The machine judges each step here as it does in its random runs.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Final

from tests.model.machine import MEANWHILE, OVERTAKEN, UNRECOVERED, LogMachine

STEPS: Final = range(1, 5)
"""The calls of a verb, counted from its beginning, at which a fault is tried."""
SYNCS: Final = ("fdatasync", "none", "interval")
VERBS: Final[dict[str, Callable[[LogMachine, int], object]]] = {
    "append": LogMachine.append,
    "append_batch": lambda machine, seed: machine.append_batch(seed, 3),
    "checkpoint": lambda machine, _: machine.checkpoint_at(machine.oracle.next_lsn - 2),
    "rotate": lambda machine, _: machine.rotate(),
    "submit": lambda machine, seed: (machine.submit(seed, 3), machine.commit_thread_runs(2000)),
    "close": lambda machine, _: machine.close_and_reopen(),
    "look": LogMachine.look,
    "read beside": lambda machine, _: machine.read_beside("written"),
}


def play_round(machine: type[LogMachine], seed: int) -> None:
    """Make all of them in a new log. The next seed means another sync policy."""
    one = machine()
    try:
        one.begin(seed, 2000, SYNCS[seed % len(SYNCS)], "full")
        make_all(one, seed)
    finally:
        one.teardown()


def several_segments(machine: LogMachine, rng: random.Random) -> None:
    """Give backups and checkpoints something to do."""
    machine.world.disarm()
    if machine.wal is None or machine.wal._writer.is_poisoned:
        machine.abandon()
        machine.reopen()
    machine.checkpoint_at(machine.oracle.next_lsn)  # a long log would make every check slow
    for verb in ("append", "rotate", "append_batch", "rotate", "append", "rotate", "append"):
        machine.do(verb, rng)


def make_all(machine: LogMachine, seed: int) -> None:
    """Make every fault at each of the first steps of every verb, and every kind of backup."""
    rng = random.Random(seed)
    back_up_in_every_way(machine, rng)
    for verb, fault, step in itertools.product(VERBS, machine.world.faults, STEPS):
        fail_a_verb(machine, rng, verb, fault, step)
    for step in range(1, 20) if machine.world.faults else ():
        several_segments(machine, rng)
        machine.arm_crash(rng.getrandbits(32), step)
        if machine.wal is not None:
            machine.append(rng.getrandbits(32))
        machine.crash_inside_recovery(rng.getrandbits(32), step, power=True)
    use_without_faults(machine, rng)
    if machine.world.loses_power:
        lose_power(machine, rng)
    if not machine.world.appends:
        meet_another_writer(machine, rng)


def back_up_in_every_way(machine: LogMachine, rng: random.Random) -> None:
    for when in (None, OVERTAKEN, *UNRECOVERED, *MEANWHILE):
        several_segments(machine, rng)
        machine.back_up(rng.getrandbits(32), when)
    for fault in machine.world.faults:
        several_segments(machine, rng)
        for step in range(1, 30):  # a single failing read is tried again
            machine.arm(fault, step, rng.getrandbits(32))
        machine.back_up_now(rng.getrandbits(32), None)


def fail_a_verb(machine: LogMachine, rng: random.Random, verb: str, fault: str, step: int) -> None:
    several_segments(machine, rng)
    machine.arm(fault, step, rng.getrandbits(32))
    if machine.wal is not None:
        VERBS[verb](machine, rng.getrandbits(32))
    if verb in ("append", "submit"):
        machine.back_up_now(rng.getrandbits(32), None)  # the durable mark may not have been written
        for again in (verb, "close"):  # a poisoned handle refuses the verb
            if machine.wal is not None:
                VERBS[again](machine, rng.getrandbits(32))


def use_without_faults(machine: LogMachine, rng: random.Random) -> None:
    several_segments(machine, rng)
    machine.recover_twice()
    machine.look(rng.getrandbits(32))
    machine.read_beside("durable")
    machine.read_beside("written")
    machine.kill_and_reopen()
    machine.submit(rng.getrandbits(32), 3)
    machine.cancel(rng.getrandbits(32))
    machine.commit_thread_runs(2000)
    machine.commit_thread_runs(2000)  # the interval of a commit above is over
    machine.sync_now()
    if machine.world.appends:
        machine.append_a_log_inside_the_log()


def lose_power(machine: LogMachine, rng: random.Random) -> None:
    for step in range(1, 7):
        several_segments(machine, rng)
        machine.power_cut_in_the_middle_of_a_commit(rng.getrandbits(32), step, 3)
        machine.evict(rng.getrandbits(32))
        machine.fail_writeback(rng.getrandbits(32))
        machine.power_cut(rng.getrandbits(32))
    several_segments(machine, rng)
    machine.fill_the_disk(0)
    for verb in ("append", "rotate", "checkpoint", "submit"):
        if machine.wal is not None:
            machine.submit(rng.getrandbits(32), 5)
            VERBS[verb](machine, rng.getrandbits(32))
    machine.make_room()


def meet_another_writer(machine: LogMachine, rng: random.Random) -> None:
    several_segments(machine, rng)
    machine.another_writer_opens(rng.getrandbits(32))
    for fault in ("late", "late every time"):
        several_segments(machine, rng)
        machine.world.arm(fault, 1, rng)
        machine.append(rng.getrandbits(32))
        machine.world.disarm()
        machine.late_puts_arrive()
