"""What `import walogs` costs over a bare interpreter, in time and in modules."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

import walogs
from benchmarks.measure import LOOP, Row, Scale, Work, at_most, fixed_loop, interleaved, steadiness

WANTED_LATER: Final = frozenset({"pluggy", "filelock", "json", "uuid", "concurrent.futures", "importlib.metadata"})
IMPORT: Final = "import walogs"


def environment() -> dict[str, str]:
    """A child's: the same walogs, with bytecode written and read."""
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**mine, "PYTHONPATH": str(Path(walogs.__file__).parents[1])}


def started(statement: str) -> Work:
    """Start an interpreter, run this, see it end: the CPU that it used."""
    surroundings, command = environment(), [sys.executable, "-c", statement]

    def work() -> int:
        pid = os.posix_spawn(sys.executable, command, surroundings)
        _, status, used = os.wait4(pid, 0)
        if status:
            raise RuntimeError(f"{statement!r} ended with {os.waitstatus_to_exitcode(status)}")
        return round((used.ru_utime + used.ru_stime) * 1e9)

    return work


def loaded(statement: str) -> set[str]:
    """The modules of a fresh interpreter after *statement*."""
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, env=environment(), check=True, capture_output=True, text=True).stdout.split())


def import_walogs(scale: Scale, place: Path) -> Iterator[Row]:
    """Milliseconds and modules over a bare interpreter."""
    prepared = {
        "walogs": lambda: started(IMPORT),
        "bare": lambda: started("pass"),
        "bare again": lambda: started("pass"),
        LOOP: fixed_loop,
    }
    for start in prepared.values():
        start()()  # the first one writes bytecode
    costs = interleaved(prepared, 1, scale.starts, time.thread_time_ns)
    bare = costs.median("bare") / 1e6
    noise = costs.median("bare again") / 1e6 - bare
    bytecode = "" if Path(cache_from_source(walogs.__file__)).exists() else "; WITHOUT bytecode in place"
    yield Row(
        "import walogs, over a bare interpreter",
        costs.median("walogs") / 1e6 - bare,
        "ms",
        at_most(40),
        f"CPU; bare {bare:.1f}, noise {noise:+.1f}; {scale.starts} pairs{bytecode}",
    )
    yield steadiness(costs, "starts")
    early = loaded(IMPORT) - loaded("pass")
    of_machinery = sorted(early & WANTED_LATER)
    yield Row(
        "modules of plugin machinery that it loads",
        len(of_machinery),
        "",
        at_most(0),
        ", ".join(of_machinery) or f"{len(early)} modules in all, {sum(m.startswith('walogs') for m in early)} of ours",
    )
