"""Each system call of a workload fails, is interrupted, or is the last one: the real interpreter, the real kernel.

The workload goes on after a failure, so what it is told to have been acknowledged afterwards is checked as well.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Final

import pytest

from tests.kit.laboratory import IS_LONG
from tests.system.children import quick_directory, seed_of
from tests.system.ledger import Ledger
from tests.system.strace import CALLS, Place, places, require_strace, run_workload

ERRORS: Final[dict[str, tuple[str, ...]]] = {
    "pwrite64": ("EIO", "ENOSPC", "EDQUOT"),
    "fdatasync": ("EIO", "ENOSPC"),  # thin storage below the file system runs out when it is synced
    "fsync": ("EIO",),
    "openat": ("EIO", "EMFILE", "ENOSPC"),
    "renameat": ("EIO", "ENOSPC"),
    "ftruncate": ("EIO",),
    "unlinkat": ("EIO",),
    "mkdir": ("EIO", "ENOSPC"),
    "pread64": ("EIO",),
    "getdents64": ("EIO",),
}
DOCUMENTED: Final = frozenset({"OutcomeUnknown", "Poisoned", "NoSpace", "OSError"})
"""`Corrupt` is not among them, since nothing was damaged. `Locked` is not, since a failed open releases the lock."""
INTERRUPTED: Final = ("pwrite64", "fdatasync", "fsync", "renameat", "ftruncate", "openat")


@dataclass(frozen=True)
class Case:
    place: Place
    what: str
    """The injected fault: `error=EIO`, `signal=INT` or `signal=KILL`."""
    is_sticky: bool = False

    @property
    def injection(self) -> str:
        return f"{self.place.call}:{self.what}:when={self.place.when}{'+' if self.is_sticky else ''}"

    @property
    def must_be_noticed(self) -> bool:
        """Bytes of the segment being written, or of its successor, did not reach the kernel: somebody must be told.

        Not while closing, nor of SEAL, durable mark and LOCK: these are caches and courtesies.
        """
        is_write = self.place.call in ("pwrite64", "fdatasync", "fsync")
        matters = self.place.target in ("newest", "tmp") and self.place.verb != "close"
        return self.what == "error=EIO" and is_write and matters


@cache
def unharmed() -> tuple[Place, ...]:
    with quick_directory() as directory:
        ran = run_workload(directory)
        assert ran.status == 0, ran.errors
        assert ran.lines[-1] == "over"
        assert not [line for line in ran.lines if line.startswith("raised")], ran.lines
        found = places(ran.trace)
    assert {place.call for place in found} == set(CALLS), "the workload makes every kind of call"
    assert {"newest", "older", "tmp", "directory", "LOCK", "DURABLE"} == {place.target for place in found}
    return tuple(found)


def tried(case: Case) -> Counter[str]:
    """Run the workload with that one thing wrong; what it raised. Raises `AssertionError` when a promise is broken."""
    with quick_directory() as directory:
        ran = run_workload(directory, inject=case.injection)
        context = f"{case.injection} ({case.place.verb}, {case.place.target})\n" + "\n".join(ran.lines) + ran.errors
        kind = "INJECTED" if case.what.startswith("error") else "SIG" + case.what.rpartition("=")[2]
        assert kind in ran.trace, f"nothing was injected: {context}"
        ledger = Ledger()
        raised = Counter(words[2] for words in ledger.read(ran.lines) if words[0] == "raised")
        if case.what != "signal=KILL":
            assert ran.lines[-1] == "over", f"it did not come to its end: {context}"
            allowed = DOCUMENTED | ({"KeyboardInterrupt"} if case.what == "signal=INT" else set())
            assert set(raised) <= allowed, context
        if case.must_be_noticed:
            assert raised, f"nobody was told: {context}"
        try:
            ledger.check_log(directory / "log", max_segment_size=1500)
        except BaseException as error:
            error.add_note(context)
            raise
        return raised + Counter(acknowledged=len(ledger.acknowledged))


def try_all(cases: list[Case], name: str) -> Counter[str]:
    with ThreadPoolExecutor(2) as pool:
        raised = sum(pool.map(tried, cases), Counter[str]())
    print(f"{name}: {len(cases)} runs; {dict(raised)}")
    return raised


def sample_of(cases: list[Case], name: str) -> list[Case]:
    """All of them; in the laboratory's sample one of each kind: what goes wrong, with which file, in which verb."""
    if IS_LONG:
        return cases
    kinds: dict[tuple[str, str, str], list[Case]] = {}
    for case in cases:
        kinds.setdefault((case.what, case.place.target, case.place.verb), []).append(case)
    rng = random.Random(seed_of(name))
    return [rng.choice(alike) for alike in kinds.values()]


def failing(*, is_sticky: bool) -> list[Case]:
    return [Case(place, f"error={error}", is_sticky) for place in unharmed() for error in ERRORS[place.call]]


@pytest.mark.guarantee("G7", "G8", "G9")
def test_a_system_call_that_fails_loses_nothing_acknowledged() -> None:
    require_strace()
    rng = random.Random(seed_of("failing calls"))
    chosen = [rng.choice([case for case in failing(is_sticky=False) if case.place.call == call]) for call in CALLS]
    chosen += rng.sample([case for case in failing(is_sticky=False) if case.must_be_noticed], 4)
    raised = try_all(chosen, "calls that fail once")
    assert raised["acknowledged"] > 0


@pytest.mark.guarantee("G18")
def test_an_interrupt_or_a_kill_at_a_system_call_loses_nothing_acknowledged() -> None:
    require_strace()
    rng = random.Random(seed_of("signals"))
    at = [place for place in unharmed() if place.call in INTERRUPTED]
    committing = [place for place in at if place.call == "fdatasync" and place.verb == "append"]
    chosen = [*rng.sample(at, 4), rng.choice(committing)]
    raised = try_all([Case(place, "signal=INT") for place in chosen], "interrupts")
    assert raised["KeyboardInterrupt"] > 0
    try_all([Case(place, "signal=KILL") for place in rng.sample(unharmed(), 4)], "kills")


@pytest.mark.laboratory
@pytest.mark.guarantee("G7", "G8", "G9")
@pytest.mark.parametrize("call", CALLS)
def test_every_call_that_fails_once_loses_nothing_acknowledged(call: str) -> None:
    require_strace()
    cases = [case for case in failing(is_sticky=False) if case.place.call == call]
    try_all(sample_of(cases, call), f"{call}, failing once")


@pytest.mark.laboratory
@pytest.mark.guarantee("G7", "G8", "G9")
@pytest.mark.parametrize("call", CALLS)
def test_every_call_that_fails_from_then_on_loses_nothing_acknowledged(call: str) -> None:
    require_strace()
    lasting = ("error=EMFILE",) if call == "openat" else ("error=EIO", "error=ENOSPC")
    cases = [case for case in failing(is_sticky=True) if case.place.call == call and case.what in lasting]
    try_all(sample_of(cases, call), f"{call}, failing from then on")


@pytest.mark.laboratory
@pytest.mark.guarantee("G7", "G18")
@pytest.mark.parametrize("call", INTERRUPTED)
def test_an_interrupt_at_every_call_loses_nothing_acknowledged(call: str) -> None:
    require_strace()
    cases = [Case(place, "signal=INT") for place in unharmed() if place.call == call]
    raised = try_all(sample_of(cases, call), f"{call}, interrupted")
    assert raised["KeyboardInterrupt"] > 0


@pytest.mark.laboratory
@pytest.mark.guarantee("G1", "G2", "G8", "G10", "G11", "G15")
@pytest.mark.parametrize("call", CALLS)
def test_a_kill_at_every_call_loses_nothing_acknowledged(call: str) -> None:
    """Claims that a process may die anywhere, and nothing about power."""
    require_strace()
    cases = [Case(place, "signal=KILL") for place in unharmed() if place.call == call]
    try_all(sample_of(cases, call), f"{call}, killed at")
