"""The report holds every row and picture of a run, and the same run gives the same bytes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import BENCHMARKS, RESULTS, main
from benchmarks.measure import Bars, Chart, Line, Result, Row, Scale, at_least, at_most, bar, point
from benchmarks.pictures import COLOURS, LINE_HEIGHT, WIDTH, Axis, draw, labels, spaced
from benchmarks.report import PREFIX, Run, page, read_results, write_report, write_results
from benchmarks.sections import SECTIONS
from tests.house.source import ROOT

CHART: Final = Chart(
    name="growth",
    title="How costs grow",
    x="bytes in the log",
    y="× the smallest",
    x_unit="bytes",
    lines=[
        Line(f"line {place}", [point(2.0**power, [0.9, 1.0 + place / 100, 2.0]) for power in range(4, 34, 2)])
        for place in range(8)
    ],
)
BARS: Final = Bars(
    name="peers",
    title="One append",
    x="time ÷ walogs'",
    bars=[bar("walogs", [0.9, 1, 1.1]), bar("an <other> & longer name of a peer", [2, 2.5, 3.5])],
)
WIDE: Final = BARS._replace(bars=[bar("walogs", [0.9, 1, 1.1]), bar("slow", [250, 300, 310])])
ROWS: Final[list[Result]] = [
    Row(name="fast", figure=0.5, unit="×", limit=at_most(1), noise="1.00", beside="rounds"),
    Row(name="slow", figure=0.25, unit="×", limit=at_least(1), noise="1.00"),
    Row(name="absent", figure=None, beside="it is not installed"),
]
RUN: Final = Run(machine="a machine", load="load 0", results={"append": [BARS, *ROWS], "growth": [CHART]})
SVG: Final = "{http://www.w3.org/2000/svg}"


def test_every_benchmark_stands_in_one_section() -> None:
    assert Counter(group for section in SECTIONS for group in section.groups) == Counter(list(BENCHMARKS))


def test_the_results_come_back_from_their_file(tmp_path: Path) -> None:
    write_results(RUN, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == RUN


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for place in ("one", "two"):
        write_report(RUN, tmp_path / place / "performance.md")
    one, two = (
        {path.relative_to(tmp_path / place): path.read_bytes() for path in (tmp_path / place).rglob("*.*")}
        for place in ("one", "two")
    )
    assert one == two
    assert len(one) == 3


def test_the_page_names_all_that_was_found(tmp_path: Path) -> None:
    write_report(RUN, tmp_path / "performance.md")
    text = (tmp_path / "performance.md").read_text()
    assert "| fast   | 0.50 ×  |" in text
    assert "| absent | skipped |" in text
    assert "1 of 2 targets not met:" in text
    assert text.index("| slow | 0.25 ×") < text.index("## A durable append")
    assert {line for line in text.splitlines() if line.startswith("#")} == {
        "# Performance",
        "## Targets",
        "## A durable append",
        "## How costs grow",
    }
    assert text.endswith("\n")
    assert "\n\n\n" not in text


def test_targets_that_are_met_are_said_to_be() -> None:
    assert "All 1 targets are met.\n" in page(RUN._replace(results={"append": ROWS[:1]}))


def test_a_picture_that_is_made_no_more_is_removed(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in (f"{PREFIX}old.svg", "info.svg"):
        (tmp_path / "pictures" / name).touch()
    write_report(RUN, tmp_path / "performance.md")
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        "info.svg",
        f"{PREFIX}growth.svg",
        f"{PREFIX}peers.svg",
    ]


def test_the_pictures_of_the_committed_page_are_those_that_are_there() -> None:
    text = (ROOT / "docs/performance.md").read_text()
    linked = set(re.findall(rf"\(pictures/({PREFIX}[\w-]+\.svg)\)", text))
    assert {path.name for path in (ROOT / "docs/pictures").glob(f"{PREFIX}*")} == linked


def test_the_command_measures_and_makes_the_page_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(scale: Scale, place: Path) -> Iterator[Result]:
        yield from [BARS, *ROWS]

    for name in BENCHMARKS:
        monkeypatch.setitem(BENCHMARKS, name, measured)
    place, first, second = tmp_path / "measured", tmp_path / "first.md", tmp_path / "second.md"
    assert main(["--all", "--quick", "--directory", str(place), "--report", str(first)]) == 0
    assert main(["--from", str(place / RESULTS), "--report", str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()
    assert first.read_text().count("| fast ") == len(BENCHMARKS)
    assert "not met\n  slow" in capsys.readouterr().out


# Pictures


@pytest.mark.parametrize("picture", [CHART, BARS, WIDE], ids=["chart", "bars", "wide"])
def test_a_picture_is_well_formed_and_within_its_frame(picture: Chart | Bars) -> None:
    root = ElementTree.fromstring(draw(picture))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert width == WIDTH
    for each in root.iter(f"{SVG}text"):
        assert 0 < float(each.attrib["y"]) < height
        taken = 6.5 * len(each.text or "")
        left = float(each.attrib["x"]) - {"start": 0.0, "middle": taken / 2, "end": taken}[each.attrib["text-anchor"]]
        assert left >= 0, each.text
        assert left + taken <= width, each.text


def test_both_modes_have_every_class_that_a_picture_uses() -> None:
    svg = draw(CHART)
    light, _, dark = svg.partition("@media (prefers-color-scheme: dark)")
    for place in range(len(COLOURS)):
        assert all(f".{kind}{place} " in mode for kind in "sf" for mode in (light, dark))


def test_labels_of_lines_do_not_overlap() -> None:
    axis = Axis([0.9, 2.0], 300, 70)
    heights = sorted(labels(CHART.lines, axis))
    assert all(below - above > LINE_HEIGHT - 0.5 for above, below in pairwise(heights))


def test_ticks_are_spaced_and_the_last_one_stays() -> None:
    values = [point.x for point in CHART.lines[0].points]
    found = spaced(values, Axis(values, 74, 570))
    assert found[0] == values[-1]
    assert len(found) < len(values)


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.1), (1, 9), (0.3, 400), (1, 1e5), (2, 2)])
def test_an_axis_has_a_few_round_ticks(low: float, high: float) -> None:
    ticks = Axis([low, high], 0, 100).ticks()
    assert 1 <= len(ticks) <= 8
    assert all(
        re.fullmatch(r"[1235]0*", f"{tick:g}".replace("0.", "").lstrip("0").replace("e+05", "")) for tick in ticks
    )
