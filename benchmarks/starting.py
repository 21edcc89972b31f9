"""The cost of `import walogs` above a bare interpreter, in time and in modules."""

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
from benchmarks.measure import Row, Scale, Work, at_most, ratio, time_in_turns

WANTED_LATER: Final = frozenset(
    {"concurrent.futures", "dataclasses", "filelock", "importlib.metadata", "inspect", "json", "pluggy", "uuid"}
)
IMPORT: Final = "import walogs"


def environment() -> dict[str, str]:
    """Return the environment of a child that imports the same walogs, and writes and reads bytecode."""
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**mine, "PYTHONPATH": str(Path(walogs.__file__).parents[1])}


def start(statement: str) -> Work:
    """Return work that starts an interpreter and runs this statement. It returns the CPU time that the child used."""
    surroundings, command = environment(), [sys.executable, "-c", statement]

    def work() -> int:
        pid = os.posix_spawn(sys.executable, command, surroundings)
        _, status, used = os.wait4(pid, 0)
        if status:
            raise RuntimeError(f"{statement!r} ended with {os.waitstatus_to_exitcode(status)}")
        return round((used.ru_utime + used.ru_stime) * 1e9)

    return work


def loaded_modules(statement: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after *statement*."""
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, env=environment(), check=True, capture_output=True, text=True).stdout.split())


def import_walogs(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure the milliseconds and the modules above those of a bare interpreter."""
    prepared = {
        "walogs": lambda: start(IMPORT),
        "bare": lambda: start("pass"),
        "bare again": lambda: start("pass"),
    }
    for prepare in prepared.values():
        prepare()()  # the first start writes bytecode
    costs = time_in_turns(prepared, 1, scale.starts, time.thread_time_ns)
    over_bare = costs.differences("walogs", "bare", "bare again")
    bare = costs.median("bare")
    bytecode = "" if Path(cache_from_source(walogs.__file__)).exists() else "; WITHOUT bytecode in place"
    yield ratio(
        "import walogs, over a bare interpreter, ÷ that interpreter",
        [cost / bare for cost in over_bare],
        costs.ratios("bare again", "bare"),
        at_most(3),
        f"CPU; {over_bare[0] / 1e6:.1f} and {bare / 1e6:.1f} ms; {scale.starts} pairs{bytecode}",
    )
    early = loaded_modules(IMPORT) - loaded_modules("pass")
    of_machinery = sorted(early & WANTED_LATER)
    yield Row(
        name="modules of plugin machinery that it loads",
        figure=len(of_machinery),
        unit="",
        limit=at_most(0),
        beside=", ".join(of_machinery)
        or f"{len(early)} modules in all, {sum(m.startswith('walogs') for m in early)} of ours",
    )
