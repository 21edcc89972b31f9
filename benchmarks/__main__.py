"""`python -m benchmarks`: measure, check what was written, print one table."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from benchmarks.appending import append, batch
from benchmarks.callers import callers
from benchmarks.columns import columns
from benchmarks.following import follow
from benchmarks.inspecting import inspect
from benchmarks.machine import describe_machine, load
from benchmarks.measure import FULL, QUICK, Row, Scale, table
from benchmarks.memory import memory
from benchmarks.peers import peers
from benchmarks.reading import open_log, read, walk
from benchmarks.remote import remote
from benchmarks.starting import import_walogs
from benchmarks.tasks import tasks

BENCHMARKS: Final[dict[str, Callable[[Scale, Path], Iterator[Row]]]] = {
    "append": append,
    "batch": batch,
    "walk": walk,
    "columns": columns,
    "open": open_log,
    "import": import_walogs,
    "memory": memory,
    "read": read,
    "callers": callers,
    "follow": follow,
    "inspect": inspect,
    "peers": peers,
    "remote": remote,
    "tasks": tasks,
}


def run(names: Sequence[str], scale: Scale, above: Path) -> list[Row]:
    """Return the rows of these benchmarks. Each is measured in an empty directory below *above*. Raise `Differs`."""
    above.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        place = Path(mkdtemp(prefix=f"{name}-", dir=above))
        try:
            rows += BENCHMARKS[name](scale, place)
        finally:
            shutil.rmtree(place)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"which to run (all): {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="smaller and sooner; for trying, not for quoting")
    parser.add_argument(
        "--directory", type=Path, default=Path("build/benchmarks"), help="on the disk to be measured (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    options.directory.mkdir(parents=True, exist_ok=True)
    print(describe_machine(options.directory), end="\n\n", flush=True)
    rows = run(options.only or list(BENCHMARKS), QUICK if options.quick else FULL, options.directory)
    print(table(rows), f"At the end: {load()}", sep="\n\n")
    missed = [row.name for row in rows if row.figure is not None and row.limit and not row.limit.holds(row.figure)]
    print(f"\n{len(missed)} of {sum(row.limit is not None for row in rows)} targets not met", *missed, sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
