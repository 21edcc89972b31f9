"""A reader in another process that follows a log: its delay, and its CPU time while nothing is appended."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import walogs
from benchmarks.measure import Row, Scale, at_most
from benchmarks.payloads import check_entries, check_log, payloads
from benchmarks.starting import environment

FOLLOWER: Final = """
import json, resource, sys, time, walogs
path, last_lsn, idle_seconds, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
seen = []
with walogs.reader(path) as reader:
    following = reader.follow(timeout=patience)
    print("ready", flush=True)
    for lsn, data in following:
        seen.append((time.monotonic_ns(), lsn, data.hex()))
        if lsn == last_lsn:
            break
    used = resource.getrusage(resource.RUSAGE_SELF)
    before = used.ru_utime + used.ru_stime
    assert list(reader.follow(last_lsn + 1, timeout=idle_seconds)) == []
    used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seen": seen, "idle": (used.ru_utime + used.ru_stime - before) / idle_seconds}), flush=True)
"""
SLEEPER: Final = """
import json, resource, select, sys, time
print("ready", flush=True)
late, began, used = [], time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
while not select.select([sys.stdin], [], [], 0)[0]:
    due = time.monotonic_ns() + 10_000_000
    time.sleep(0.01)
    late.append(time.monotonic_ns() - due)
after = resource.getrusage(resource.RUSAGE_SELF)
spent = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
print(json.dumps({"late": late, "idle": spent / (time.monotonic() - began)}), flush=True)
"""
"""A process that only wakes up as often as a follower. Its delay and its CPU time are those of the machine alone."""
NAP_SECONDS: Final = 0.01
A_SECOND: Final = 200
PATIENCE_SECONDS: Final = 10.0
"""An entry that has not come after this time counts as lost."""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process, and wait until it says that it is ready."""
    command = [sys.executable, "-c", program, *arguments]
    process = subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        kill(process)
        raise RuntimeError("the other process did not start; it says why above")
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the last line that the process prints."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    return json.loads(process.stdout.readline())  # type: ignore[no-any-return]


def follow(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure the delay after an append returns, at 200 entries a second, and then the CPU time while idle.

    Two processes that only sleep run beside the follower all the time.
    """
    count, idle_seconds = scale.blocks * 20, scale.idle_seconds
    data, returned = payloads(1, count), list[int]()
    with walogs.open(place / "log") as wal:
        wal.append(data[0])
        returned.append(time.monotonic_ns())
        follower = start(FOLLOWER, str(place / "log"), str(count), str(idle_seconds), str(PATIENCE_SECONDS))
        try:
            sleepers = [start(SLEEPER), start(SLEEPER)]
            try:
                for entry in data[1:]:
                    time.sleep(1 / A_SECOND)
                    wal.append(entry)
                    returned.append(time.monotonic_ns())
                told, (noise, again) = said(follower), map(said, sleepers)
            finally:
                for sleeper in sleepers:
                    kill(sleeper)
        finally:
            kill(follower)
    check_log("what was followed", place / "log", count)
    check_entries("the follower", ((lsn, bytes.fromhex(entry)) for _, lsn, entry in told["seen"]), count)
    delays = [seen - back for (seen, _, _), back in zip(told["seen"], returned, strict=True)][1:]
    (half, most), (half_late, most_late) = percentiles(delays), percentiles(noise["late"])
    nap = NAP_SECONDS * 1e3
    yield Row(
        name="a reader behind the append's return, p99 ÷ a sleep of 10 ms",
        figure=most / nap,
        unit="×",
        limit=at_most(0.3),
        noise=f"{most_late / nap:.3f} late",
        beside=f"{most:.2f} ms, p50 {half:.2f}; a process that only sleeps is {half_late:.2f} ms late; {count} entries",
    )
    yield Row(
        name="a following reader's CPU when idle ÷ that of a process that wakes up every 10 ms",
        figure=told["idle"] / noise["idle"],
        unit="×",
        limit=at_most(4),
        noise=f"{again['idle'] / noise['idle']:.2f}",
        beside=f"{told['idle'] * 100:.2f} % and {noise['idle'] * 100:.2f} %; {idle_seconds:.0f} s",
    )


def percentiles(nanoseconds: list[int]) -> tuple[float, float]:
    """Return the 50th and the 99th percentile, in milliseconds."""
    ordered = sorted(nanoseconds)
    return ordered[len(ordered) // 2] / 1e6, ordered[int(len(ordered) * 0.99)] / 1e6
