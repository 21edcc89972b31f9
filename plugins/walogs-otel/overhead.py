"""What being watched costs an append: nanoseconds of CPU, with and without, in turns. Prints, and judges nothing.

usage: python overhead.py [ROUNDS [APPENDS]]
"""

from __future__ import annotations

import statistics
import sys
import time

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

import walogs
from walogs.testing import MemoryDisk, MemoryStore
from walogs_otel import OtelObserver


def nanoseconds(observers: list[walogs.events.Observer], appends: int) -> float:
    """Of one append to a store in memory."""
    with walogs.open(store=MemoryStore(MemoryDisk()), observers=observers) as wal:
        began = time.process_time_ns()
        for _ in range(appends):
            wal.append(b"x" * 100)
        return (time.process_time_ns() - began) / appends


def ignore(event: walogs.events.Event) -> None:
    """The observer that costs least."""


def main() -> None:
    rounds, appends = [*map(int, sys.argv[1:]), *(5, 2000)[len(sys.argv) - 1 :]]
    meters, tracers = MeterProvider([InMemoryMetricReader()]), TracerProvider()
    watched: dict[str, list[walogs.events.Observer]] = {
        "nobody": [],
        "an observer that does nothing": [ignore],
        "otel, no SDK": [OtelObserver()],
        "otel, metrics": [OtelObserver(meter_provider=meters)],
        "otel, metrics and spans": [OtelObserver(meter_provider=meters, tracer_provider=tracers, spans=True)],
    }
    found: dict[str, list[float]] = {name: [] for name in watched}
    for _ in range(rounds):
        for name, observers in watched.items():
            found[name].append(nanoseconds(observers, appends))
    for name, times in found.items():
        print(f"{name:32} {statistics.median(times):10,.0f} ns an append (median of {rounds})")


if __name__ == "__main__":
    main()
