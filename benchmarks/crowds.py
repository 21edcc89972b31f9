"""How the rate of one log grows with its callers: threads, futures in flight, and tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.callers import Rate, by_futures, by_threads, take_turns
from benchmarks.measure import Chart, Line, Result, Scale, number, point, ratio
from benchmarks.tasks import by_tasks

SYNCS: Final = {"this disk": None, "a sync of 0.1 ms": 0.0001}
KINDS: Final[dict[str, Callable[..., Rate]]] = {
    "threads": lambda path, count, **given: by_threads(path, threads=count, **given),
    "futures in flight": lambda path, count, **given: by_futures(path, futures=count, **given),
    "tasks": lambda path, count, **given: by_tasks(path, tasks=count, **given),
}
AGAIN: Final = "one thread again"


def crowds(scale: Scale, place: Path) -> Iterator[Result]:
    """Measure the rate of more and more callers ÷ that of one thread, on this disk and with a simulated sync."""
    for name, sync_seconds in SYNCS.items():
        given: dict[str, Any] = {"seconds": scale.turn_seconds, "sync_seconds": sync_seconds}
        kinds: dict[str, Callable[[Path], Rate]] = {
            f"{count} {kind}": partial(run, count=count, **given)
            for kind, run in KINDS.items()
            for count in scale.callers
        }
        kinds[AGAIN] = kinds["1 threads"]
        rates = take_turns(kinds, max(scale.rounds // 2, 1), place)
        found = {kind: [rate.entries_a_second for rate in of] for kind, of in rates.items()}
        one = found["1 threads"]
        noise = [again / first for again, first in zip(found[AGAIN], one, strict=True)]
        over = {kind: [rate / first for rate, first in zip(of, one, strict=True)] for kind, of in found.items()}
        yield Chart(
            name=f"callers-{'disk' if sync_seconds is None else 'sync'}",
            title=f"Many callers of one log, {name}",
            x="callers at once",
            y="entries a second ÷ those of one thread",
            lines=[Line(kind, [point(count, over[f"{count} {kind}"]) for count in scale.callers]) for kind in KINDS],
        )
        most = scale.callers[-1]
        for kind in KINDS:
            yield ratio(f"{name}: {number(most)} {kind} ÷ one thread", over[f"{most} {kind}"], noise)
