"""`python -m benchmarks.guard`: fail if fixed work takes more instructions than the stored figures say.

Nothing is timed. valgrind counts the instructions of an interpreter that does the work twice, and of one that does it
four times: the difference is the work alone, without the start and the first time. Where valgrind is missing, calls of
functions are counted instead. The figures depend on the release of Python, so each has its own.

`--write` stores the figures of this tree and this Python in benchmarks/guarded.json, to be committed with the change
that explains them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks.guarded_work import WORK

STORED: Final = Path(__file__).with_name("guarded.json")
TREE: Final = Path(__file__).resolve().parents[1]
PROGRAM: Final = Path(__file__).with_name("guarded_work.py")
TOLERANCE: Final = 0.05
"""Repeated counts of one tree differ by less than 1 %: salts and the addresses of objects are not the same."""
FEW: Final = 2
MANY: Final = 4
COLLECTED: Final = re.compile(r"Collected : (\d+)")
IMPORT: Final = "import"

Figures = dict[str, float]
"""The count of each work, an entry. Of an import, in all."""


def environment() -> dict[str, str]:
    """Return the environment of a child in which nothing is random that can be fixed, and bytecode is in place."""
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**mine, "PYTHONHASHSEED": "0", "PYTHONPATH": str(TREE)}


def said(command: Sequence[str]) -> tuple[str, str]:
    """Return what the command printed, and what it printed as errors."""
    ran = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout, ran.stderr


def instructions(*arguments: str) -> int:
    """Return the instructions of an interpreter with these arguments."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    found = COLLECTED.search(said([*valgrind, *arguments])[1])
    if found is None:
        raise SystemExit("valgrind said nothing of the instructions that it collected")
    return int(found[1])


def instructions_of(name: str) -> float:
    if name == IMPORT:
        return instructions("-P", "-c", "import walogs") - instructions("-P", "-c", "pass")
    few, many = (instructions(str(PROGRAM), name, str(times)) for times in (FEW, MANY))
    return an_entry(name, few, many)


def calls_of(name: str) -> float:
    if name == IMPORT:
        program = "import sys; before = len(sys.modules); import walogs; print(len(sys.modules) - before)"
        return float(said([sys.executable, "-P", "-c", program])[0])
    few, many = (float(said([sys.executable, str(PROGRAM), name, str(times), "calls"])[0]) for times in (FEW, MANY))
    return an_entry(name, few, many)


def an_entry(name: str, few: float, many: float) -> float:
    """Return the count of the work alone, for one of its entries."""
    if many <= few:
        raise SystemExit(f"{name}: doing it {MANY} times took {many:,.0f}, and {FEW} times {few:,.0f}: no figure")
    return (many - few) / (MANY - FEW) / WORK[name][1]


COUNTS: Final[dict[str, Callable[[str], float]]] = {"instructions": instructions_of, "calls": calls_of}
"""What is counted. For an import, `calls` counts the modules that it loads."""


def write_bytecode() -> None:
    """Do each work once, so that no counted interpreter compiles a module."""
    for name in WORK:
        said([sys.executable, str(PROGRAM), name, "1"])


def count(what: str) -> Figures:
    """Return the figures of this tree, with this Python."""
    write_bytecode()
    names = [*WORK, IMPORT]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names, pool.map(COUNTS[what], names), strict=True))


def compare(found: Figures, stored: Mapping[str, float]) -> list[str]:
    """Print each figure beside the stored one. Return the names of those that are too high, or not stored."""
    worse = []
    for name, figure in found.items():
        allowed = stored.get(name)
        if allowed is None or figure > allowed * (1 + TOLERANCE):
            worse.append(name)
        beside = "is not stored" if allowed is None else f"stored {allowed:14,.1f}   × {figure / allowed:.3f}"
        print(f"{name:16} {figure:14,.1f}   {beside}   {'WORSE' if name in worse else ''}".rstrip())
    return worse


def read_stored() -> dict[str, dict[str, Figures]]:
    """Return the stored figures, by release of Python and by what was counted."""
    stored: dict[str, dict[str, Figures]] = json.loads(STORED.read_text()) if STORED.exists() else {}
    return stored


def write(counts: Mapping[str, Figures]) -> None:
    """Store these figures for this Python."""
    stored = read_stored()
    stored.setdefault(platform.python_version(), {}).update(
        {what: {name: round(figure, 1) for name, figure in found.items()} for what, found in counts.items()}
    )
    STORED.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("benchmarks.guard", description=__doc__)
    parser.add_argument("--write", action="store_true", help="store the figures of this tree for this Python")
    parser.add_argument("--calls", action="store_true", help="count calls, even where valgrind is there")
    options = parser.parse_args(arguments)
    what = "calls" if options.calls or shutil.which("valgrind") is None else "instructions"
    if options.write:
        write({each: count(each) for each in (["calls"] if what == "calls" else COUNTS)})
        return 0
    release = platform.python_version()
    print(f"{what} an entry, Python {release}")
    stored = read_stored().get(release, {}).get(what)
    if stored is None:
        print("no figures are stored for this Python: store them with `python -m benchmarks.guard --write`")
        return 1
    worse = compare(count(what), stored)
    if worse:
        print(
            f"{', '.join(worse)}: more than {TOLERANCE:.0%} above the stored figure. If the change is worth it, store"
        )
        print("the new figures with `python -m benchmarks.guard --write`, and say why in the commit.")
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())
