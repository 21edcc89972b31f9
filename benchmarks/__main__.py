"""`python -m benchmarks`: measure, check what was written, and print tables or write the report."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from benchmarks.appending import append, batch
from benchmarks.appending_peers import peers
from benchmarks.callers import callers
from benchmarks.columns import columns
from benchmarks.crowds import crowds
from benchmarks.file_systems import file_systems
from benchmarks.following import follow
from benchmarks.growth import codecs, entry_sizes, grow
from benchmarks.inspecting import inspect
from benchmarks.machine import describe_machine, load
from benchmarks.measure import FULL, LONG, QUICK, Result, Scale, table
from benchmarks.memory import memory
from benchmarks.reading import open_log, read, walk
from benchmarks.remote import remote
from benchmarks.report import Run, missed, read_results, write_report, write_results
from benchmarks.starting import import_walogs
from benchmarks.tasks import tasks

BENCHMARKS: Final[dict[str, Callable[[Scale, Path], Iterator[Result]]]] = {
    "append": append,
    "batch": batch,
    "peers": peers,
    "walk": walk,
    "read": read,
    "columns": columns,
    "open": open_log,
    "inspect": inspect,
    "growth": grow,
    "entry-sizes": entry_sizes,
    "codecs": codecs,
    "crowds": crowds,
    "callers": callers,
    "tasks": tasks,
    "follow": follow,
    "import": import_walogs,
    "memory": memory,
    "file-systems": file_systems,
    "remote": remote,
}
RESULTS: Final = "results.json"
"""The file in the directory of the measurements from which `--from` makes the report again."""


def run(names: Sequence[str], scale: Scale, above: Path) -> dict[str, list[Result]]:
    """Return the results of these benchmarks. Each is measured in an empty directory below *above*. Raise `Differs`."""
    above.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[Result]] = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        place = Path(mkdtemp(prefix=f"{name}-", dir=above))
        try:
            results[name] = list(BENCHMARKS[name](scale, place))
        finally:
            shutil.rmtree(place)
    return results


def arguments_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"which to run: {', '.join(BENCHMARKS)}")
    parser.add_argument("--all", action="store_true", help="run all of them")
    scales = parser.add_mutually_exclusive_group()
    scales.add_argument("--quick", action="store_true", help="smaller and sooner; for trying, not for quoting")
    scales.add_argument("--long", action="store_true", help="more rounds and finer pictures; takes hours")
    parser.add_argument("--report", type=Path, metavar="PAGE", help="write the report, and its pictures beside it")
    parser.add_argument(
        "--from", type=Path, dest="results", metavar="FILE", help="measure nothing: take the results of an earlier run"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path("build/benchmarks"), help="on the disk to be measured (%(default)s)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = arguments_parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if bool(options.only) + options.all + (options.results is not None) != 1:
        parser.error("name the benchmarks, or give --all, or --from a file of results")
    if options.results is None:
        found = measure(options, list(BENCHMARKS) if options.all else options.only)
    else:
        found = read_results(options.results)
    if options.report is not None:
        write_report(found, options.report)
    print(table(found.rows), f"At the end: {found.load}", sep="\n\n")
    print(f"\n{missed(found.rows)}", *(row.name for row in found.rows if row.is_missed), sep="\n  ")
    return 0


def measure(options: argparse.Namespace, names: Sequence[str]) -> Run:
    """Run these benchmarks, at least one, and keep their results in a file."""
    options.directory.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(options.directory)
    print(machine, end="\n\n", flush=True)
    scale = QUICK if options.quick else LONG if options.long else FULL
    results: dict[str, list[Result]] = {}
    for name in names:  # after each, so that a run that was stopped has what it had measured
        results |= run([name], scale, options.directory)
        found = Run(machine=machine, load=load(), results=results)
        write_results(found, options.directory / RESULTS)
    return found


if __name__ == "__main__":
    sys.exit(main())
