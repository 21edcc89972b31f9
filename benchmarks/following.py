"""A reader in another process that follows: how far it is behind, and what it costs when nothing comes."""

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
"""What the machine alone makes of a process that wakes up as often as a follower: how late it is, and what it costs."""
A_SECOND: Final = 200
PATIENCE_SECONDS: Final = 10.0
"""An entry that has not come by then is missed, and not waited for."""


def started(program: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that has said that it is ready."""
    command = [sys.executable, "-c", program, *arguments]
    process = subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        ended(process)
        raise RuntimeError("the other process did not start; it says why above")
    return process


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last line of it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    return json.loads(process.stdout.readline())  # type: ignore[no-any-return]


def follow(scale: Scale, place: Path) -> Iterator[Row]:
    """Delay behind the append's return at 200 entries a second; then CPU while idle. A process that only sleeps runs
    beside it all the while."""
    count, idle_seconds = scale.blocks * 20, scale.rounds * 1.5
    data, returned = payloads(1, count), list[int]()
    with walogs.open(place / "log") as wal:
        wal.append(data[0])
        returned.append(time.monotonic_ns())
        follower = started(FOLLOWER, str(place / "log"), str(count), str(idle_seconds), str(PATIENCE_SECONDS))
        try:
            sleeper = started(SLEEPER)
            try:
                for entry in data[1:]:
                    time.sleep(1 / A_SECOND)
                    wal.append(entry)
                    returned.append(time.monotonic_ns())
                told, noise = said(follower), said(sleeper)
            finally:
                ended(sleeper)
        finally:
            ended(follower)
    check_log("what was followed", place / "log", count)
    check_entries("the follower", ((lsn, bytes.fromhex(entry)) for _, lsn, entry in told["seen"]), count)
    delays = [seen - back for (seen, _, _), back in zip(told["seen"], returned, strict=True)][1:]
    (half, most), (half_late, most_late) = percentiles(delays), percentiles(noise["late"])
    yield Row("a reader behind the append's return, p99", most, "ms", at_most(20), f"p50 {half:.1f}; {count} entries")
    yield Row("noise: a process that sleeps 10 ms, late, p99", most_late, "ms", None, f"p50 {half_late:.1f}")
    yield Row("a following reader's CPU when idle", told["idle"] * 100, "%", at_most(2), f"{idle_seconds:.0f} s")
    yield Row("noise: CPU of the process that only sleeps", noise["idle"] * 100, "%", None, "10 ms at a time")


def percentiles(nanoseconds: list[int]) -> tuple[float, float]:
    """The 50th and the 99th, in milliseconds."""
    ordered = sorted(nanoseconds)
    return ordered[len(ordered) // 2] / 1e6, ordered[int(len(ordered) * 0.99)] / 1e6
