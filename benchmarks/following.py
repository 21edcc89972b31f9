"""A reader in another process that follows: how far it is behind, and what it costs when nothing comes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import walogs
from benchmarks.measure import Row, Scale, at_most
from benchmarks.payloads import Differs
from benchmarks.starting import environment

FOLLOWER: Final = """
import json, resource, sys, time, walogs
path, last_lsn, idle_seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
seen = []
with walogs.reader(path) as reader:
    following = reader.follow()
    print("ready", flush=True)
    for lsn, data in following:
        seen.append((time.monotonic_ns(), data.decode()))
        if lsn == last_lsn:
            break
    used = resource.getrusage(resource.RUSAGE_SELF)
    before = used.ru_utime + used.ru_stime
    assert list(reader.follow(last_lsn + 1, timeout=idle_seconds)) == []
    used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seen": seen, "idle": (used.ru_utime + used.ru_stime - before) / idle_seconds}), flush=True)
"""
A_SECOND: Final = 200


def follow(scale: Scale, place: Path) -> Iterator[Row]:
    """Delay behind the append's return at 200 entries a second; then CPU while idle."""
    count, idle_seconds = scale.blocks * 20, scale.rounds * 1.5
    returned: list[int] = []
    with walogs.open(place / "log") as wal:
        wal.append(b"0")
        returned.append(time.monotonic_ns())
        command = [sys.executable, "-c", FOLLOWER, str(place / "log"), str(count), str(idle_seconds)]
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            for number in range(1, count):
                time.sleep(1 / A_SECOND)
                wal.append(b"%d" % number)
                returned.append(time.monotonic_ns())
            said = json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    if [data for _, data in said["seen"]] != [str(number) for number in range(count)]:
        raise Differs("the follower was not handed out what was appended")
    delays = sorted((seen - back) / 1e6 for (seen, _), back in zip(said["seen"], returned, strict=True))[1:]
    half, most = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
    yield Row("a reader behind the append's return, p99", most, "ms", at_most(20), f"p50 {half:.1f}; {count} entries")
    yield Row("a following reader's CPU when idle", said["idle"] * 100, "%", at_most(2), f"{idle_seconds:.0f} s")
