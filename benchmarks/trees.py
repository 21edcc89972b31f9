"""`python -m benchmarks.trees OTHER [GROUP ...]`: what this tree costs beside another one, in the directory OTHER.

Each round runs this tree once and the other one twice, in processes of their own and in a new order. A ratio is one
round's; the figure is the median of the rounds. The noise is the other tree beside itself. CPU time is measured, except
where callers wait for each other.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks.one_tree import GROUPS, Rows

ROUNDS: Final = 7
THIS: Final = Path(__file__).resolve().parents[1]
HERE: Final = "here"
THERE: Final = "there"
AGAIN: Final = "there again"


class Compared(NamedTuple):
    """One row of both trees, round by round."""

    name: str
    here_ns: float
    there_ns: float
    ratios: list[float]
    """Here ÷ there, by round."""
    noise: list[float]
    """There ÷ there again, by round."""

    def __str__(self) -> str:
        spread = f"{min(self.ratios):.2f}–{max(self.ratios):.2f}"
        noise = f"{median(self.noise):.2f} ({min(self.noise):.2f}–{max(self.noise):.2f})"
        figures = f"{self.there_ns:12,.0f} {self.here_ns:12,.0f}"
        return f"{self.name:42} {figures}   × {median(self.ratios):.2f} ({spread})   noise {noise}"


def run_in(tree: Path, groups: Sequence[str]) -> Rows:
    """Measure one tree in a process of its own, with bytecode in place."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, str(Path(__file__).with_name("one_tree.py")), str(tree), *groups]
    ran = subprocess.run(
        command, env={**environment, "PYTHONPATH": str(tree)}, stdout=subprocess.PIPE, text=True, check=True
    )
    found: Rows = json.loads(ran.stdout)
    return found


def compare(other: Path, groups: Sequence[str], rounds: int) -> list[Compared]:
    """Return every row of these groups. A row that only one of the trees has is left out."""
    trees, order, chance = {HERE: THIS, THERE: other, AGAIN: other}, [HERE, THERE, AGAIN], random.Random(1)
    found: list[dict[str, Rows]] = []
    for _ in range(rounds):
        chance.shuffle(order)
        found.append({name: run_in(trees[name], groups) for name in order})
    names = [name for name in found[0][HERE] if name in found[0][THERE]]
    return [
        Compared(
            name=name,
            here_ns=median(rows[HERE][name] for rows in found),
            there_ns=median(rows[THERE][name] for rows in found),
            ratios=[rows[HERE][name] / rows[THERE][name] for rows in found],
            noise=[rows[THERE][name] / rows[AGAIN][name] for rows in found],
        )
        for name in names
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("benchmarks.trees", description=__doc__)
    parser.add_argument("other", type=Path, metavar="OTHER", help="a clone of the repository, at the commit to compare")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"which rows (all): {', '.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="(%(default)s)")
    options = parser.parse_args(arguments)
    if unknown := set(options.groups) - GROUPS.keys():
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    other = options.other.resolve()
    if not (other / "walogs" / "__init__.py").exists():
        parser.error(f"{other} is not a clone of the repository")
    print(f"{'nanoseconds, an entry or a call':42} {'there':>12} {'here':>12}   here ÷ there")
    for group in options.groups or list(GROUPS):
        print(*compare(other, [group], options.rounds), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
