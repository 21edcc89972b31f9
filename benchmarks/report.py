"""The report: Markdown with tables and pictures, and the results as JSON, from which it can be made again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.measure import Bar, Bars, Chart, Limit, Line, Point, Result, Row, table
from benchmarks.pictures import draw
from benchmarks.sections import INTRODUCTION, SECTIONS, Section

PICTURES: Final = "pictures"
"""The directory of the pictures, beside the report."""
PREFIX: Final = "performance-"


class Run(NamedTuple):
    """What one run of the benchmarks found."""

    machine: str
    """The description of the machine, in lines."""
    load: str
    """The load of the machine at the end."""
    results: Mapping[str, Sequence[Result]]
    """The rows and pictures, by the name of their benchmark."""

    @property
    def rows(self) -> list[Row]:
        return [result for of in self.results.values() for result in of if isinstance(result, Row)]


def missed(rows: Sequence[Row]) -> str:
    """Say how many targets were not met, and which."""
    names = [row.name for row in rows if row.is_missed]
    return f"{len(names)} of {sum(row.limit is not None for row in rows)} targets not met"


# Markdown


def write_report(run: Run, path: Path) -> None:
    """Write the page and its pictures. Pictures of an earlier report that this one does not have are removed."""
    pictures = path.parent / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob(f"{PREFIX}*.svg"):
        old.unlink()
    for results in run.results.values():
        for result in results:
            if not isinstance(result, Row):
                (pictures / f"{PREFIX}{result.name}.svg").write_text(draw(result), encoding="utf-8")
    path.write_text("\n".join(page(run)), encoding="utf-8")


def page(run: Run) -> Iterator[str]:
    yield INTRODUCTION
    yield f"```text\n{run.machine}\nat the end: {run.load}\n```\n"
    yield from summary(run.rows)
    for section in SECTIONS:
        results = [result for group in section.groups for result in run.results.get(group, ())]
        if results:
            yield from section_of(section, results)


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the targets that were not met, if there are any."""
    yield "## Targets\n"
    short = [row for row in rows if row.is_missed]
    if short:
        yield f"{missed(rows)}:\n\n{table(short)}\n"
    else:
        yield f"All {sum(row.limit is not None for row in rows)} targets are met.\n"


def section_of(section: Section, results: Sequence[Result]) -> Iterator[str]:
    yield f"## {section.title}\n\n{section.before}"
    for result in results:
        if not isinstance(result, Row):
            yield f"![{result.title}]({PICTURES}/{PREFIX}{result.name}.svg)\n"
    yield table([result for result in results if isinstance(result, Row)]) + "\n"
    if section.after:
        yield section.after


# JSON


def write_results(run: Run, path: Path) -> None:
    """Write the results, so that `read_results` gives them again."""
    found = {name: [fields_of(result) for result in of] for name, of in run.results.items()}
    text = json.dumps({"machine": run.machine, "load": run.load, "results": found}, indent=1, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")


def fields_of(result: Result) -> dict[str, Any]:
    if isinstance(result, Row):
        names = ("name", "figure", "unit", "limit", "noise", "beside")
        return {"kind": "row", **{name: getattr(result, name) for name in names}}
    return {"kind": "chart" if isinstance(result, Chart) else "bars", **result._asdict()}


def read_results(path: Path) -> Run:
    """Return the run that `write_results` wrote."""
    told = json.loads(path.read_text(encoding="utf-8"))
    results = {name: [result_of(fields) for fields in of] for name, of in told["results"].items()}
    return Run(machine=told["machine"], load=told["load"], results=results)


def result_of(fields: dict[str, Any]) -> Result:
    kind = fields.pop("kind")
    if kind == "row":
        limit = fields.pop("limit")
        return Row(**fields, limit=None if limit is None else Limit(*limit))
    if kind == "chart":
        lines = [Line(name, [Point(*point) for point in points]) for name, points in fields.pop("lines")]
        return Chart(**fields, lines=lines)
    return Bars(**{**fields, "bars": [Bar(*each) for each in fields["bars"]]})
