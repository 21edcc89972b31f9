"""The picture of `walogs info`: legible at every width, in every encoding, however many segments there are."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, Final

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.cli.commands import Walogs, made
from walogs.cli.picture import ASCII, BAR_MAX, UNFOLDED_MAX, UNICODE, Fold, bar, draw, fold
from walogs.cli.show import age_words
from walogs.inspection.facts import LogFacts, MissingSegments, NextOpen, SegmentFacts
from walogs.types import Clean, Finding

SECOND: Final = 1_000_000_000
NOW: Final = 1_800_000_000 * SECOND
SIZE: Final = 1000


def segment_facts(number: int, **changes: Any) -> SegmentFacts:
    """Ten entries in 1000 bytes, committed a minute before the next segment's."""
    first_lsn = number * 10 - 9
    values: dict[str, Any] = {
        "number": number,
        "name": f"wal-{number:06d}.log",
        "size": SIZE,
        "end": SIZE,
        "first_lsn": first_lsn,
        "last_lsn": first_lsn + 9,
        "created_ns": NOW,
        "first_commit_ns": NOW,
        "last_commit_ns": NOW - (1000 - number) * 60 * SECOND,
        "is_sealed": True,
        "is_active": False,
        "frees": number * SIZE,
    }
    return SegmentFacts(**{**values, **changes})


def log_facts(
    count: int, *damaged: int, missing: tuple[MissingSegments, ...] = (), path: str = "/data/orders.wal"
) -> LogFacts:
    """So many segments; each of *damaged* in its middle."""
    segments = [segment_facts(number) for number in range(1, count)]
    newest = segment_facts(count, is_sealed=False, is_active=True, state="active", end=SIZE // 2, frees=None)
    for number in damaged:
        segments[number - 1] = segment_facts(number, state="damaged", damaged_at=(SIZE // 2,))
    findings = tuple(
        Finding(
            kind="corrupt",
            is_damage=True,
            segment=number,
            offset=SIZE // 2,
            lsn=number * 10,
            message=f"wal-{number:06d}.log at byte 500: it is gone.",
        )
        for number in damaged
    )
    gone = {number for row in missing for number in range(row.first_number, row.last_number + 1)}
    ok = not damaged and not missing
    return LogFacts(
        path=path,
        ok=ok,
        verify="full",
        entries=count * 10 - 10 * len(gone),
        first_lsn=1,
        last_lsn=count * 10,
        next_lsn=count * 10 + 1 if ok else None,
        size=count * SIZE,
        is_closed=True,
        recovery=NextOpen(
            verdict="clean" if ok else "corrupt",
            tail_state=Clean(),
            removed_segments=0,
            unsealed_segments=(),
            duration_seconds=0.25,
        ),
        findings=findings,
        segments=tuple(found for found in (*segments, newest) if found.number not in gone),
        missing=missing,
    )


def drawn(facts: LogFacts, width: int = 100, encoding: str = "utf-8", **options: Any) -> str:
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, encoding=encoding, newline="")
    draw(facts, Console(file=text, width=width, **options), NOW)
    text.flush()
    return raw.getvalue().decode(encoding)


def words(picture: str) -> str:
    """Without bars, lines and their breaks."""
    return re.sub(r"[\s─│█░✗▏▎▍▌▋▊▉#X.…-]+", "", picture)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("width", [*range(20, 131, 10), 75, 85, 200, 400])
def test_it_fits_every_width_and_leaves_nothing_out(width: int, encoding: str) -> None:
    facts = log_facts(6, 2, 4, missing=(MissingSegments(first_number=5, last_number=5, first_lsn=41, last_lsn=50),))
    picture = drawn(facts, width, encoding)
    assert max(cell_len(line) for line in picture.splitlines()) <= width
    told = words(picture)
    for fact in ("1to10", "11to20", "41to50", "damagedatbyte500", "sealed", "missing", "active", "1000B"):
        assert fact in told, fact
    for finding in facts.findings:
        assert words(finding.message) in told
    assert told.count("damagedatbyte500") == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_without_utf_8_everything_is_ascii(encoding: str) -> None:
    picture = drawn(log_facts(100, 50, path="/data/ré\u732b.wal"), encoding=encoding)
    assert picture.replace("é", "").isascii()
    assert "###" in picture
    assert "X" in picture
    assert "..." in picture
    assert "\\u732b" in picture


def test_a_console_of_old_windows_gets_ascii_bars() -> None:
    picture = drawn(log_facts(100, 50), legacy_windows=True)
    assert "###" in picture
    assert not set(picture) & set("█▏▎▍▌▋▊▉░✗…")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_without_colour_the_words_say_everything(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = log_facts(6, 2)
    coloured = drawn(facts, encoding=encoding, force_terminal=True, color_system="truecolor")
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = drawn(facts, encoding=encoding, force_terminal=True, color_system="truecolor")
    assert not re.search(r"\x1b\[[0-9;]*[39][0-9]", plain)
    assert re.sub(r"\x1b\[[0-9;]*m", "", plain) == re.sub(r"\x1b\[[0-9;]*m", "", coloured)


# Folding


def test_five_hundred_segments_are_a_screen() -> None:
    picture = drawn(log_facts(500))
    lines = picture.splitlines()
    assert len(lines) < 45
    assert "wal-000001.log" in picture
    assert "wal-000500.log" in picture
    fold = next(line for line in lines if "…" in line)
    assert re.search(r"… 476 segments +464\.8 KiB +81 to 4840 .* sealed", fold), fold


@pytest.mark.parametrize("count", [1, 2, UNFOLDED_MAX - 1, UNFOLDED_MAX, UNFOLDED_MAX + 1, 100, 500])
def test_every_segment_is_in_one_row_and_in_order(count: int) -> None:
    damaged = [number for number in (7, 60, 61, 300) if number < count]
    facts = log_facts(count, *damaged)
    rows = list(fold(facts))
    assert len(rows) <= UNFOLDED_MAX + 5
    numbers: list[int] = []
    for row in rows:
        if isinstance(row, Fold):
            assert len(row.segments) > 1
            assert all(found.state == "sealed" for found in row.segments)
            numbers += [found.number for found in row.segments]
        else:
            assert isinstance(row, SegmentFacts)
            numbers.append(row.number)
    assert numbers == list(range(1, count + 1))


def test_missing_segments_are_never_folded() -> None:
    gone = MissingSegments(first_number=200, last_number=203, first_lsn=1991, last_lsn=2030)
    rows = list(fold(log_facts(500, missing=(gone,))))
    assert gone in rows
    assert "segments 200 to 203" in drawn(log_facts(500, missing=(gone,)), 120)


def test_a_log_that_is_damaged_everywhere_is_still_a_screen() -> None:
    facts = log_facts(500, *range(1, 500))
    picture = drawn(facts)
    assert len(picture.splitlines()) < 100
    assert "464 segments" in picture or re.search(r"… \d+ segments.*damaged", picture)
    assert re.search(r"and 483 more: `walogs verify` lists all of it", picture)


def test_five_hundred_segments_of_a_real_log(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "x.wal", *(b"%d" % number for number in range(500)), max_segment_size=512 + 60, sync="none")
    told = command("info", log)
    lines = told.out.decode().splitlines()
    assert told.status == 0
    assert sum(line.startswith("segment ") for line in lines) == 500  # a pipe gets all of them
    facts = command("info", log, "--json", "--verify", "last").json()
    assert [found["last_lsn"] for found in facts["segments"]] == list(range(1, 501))


# Bars


def test_a_bar_is_as_long_as_its_segment_is_large() -> None:
    lengths = [
        cell_len(bar(segment_facts(1, size=size), 40, 4000, UNICODE, "green").plain) for size in (4000, 2000, 1000, 100)
    ]
    assert lengths == [40, 20, 10, 1]
    assert bar(segment_facts(1, size=1100), 40, 4000, UNICODE, "green").plain == "█" * 11
    assert bar(segment_facts(1, size=1050), 40, 4000, UNICODE, "green").plain == "█" * 10 + "▌"
    assert bar(segment_facts(1, size=1), 40, 4000, UNICODE, "green").plain == "▏"
    assert bar(segment_facts(1, size=1), 40, 4000, ASCII, "green").plain == "#"
    assert bar(segment_facts(1, size=0), 40, 0, ASCII, "green").plain == "#"


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_the_window_of_the_active_segment_is_lighter(glyphs: Any) -> None:
    newest = segment_facts(1, is_active=True, is_sealed=False, state="active", end=250)
    assert bar(newest, 40, SIZE, glyphs, "cyan").plain == glyphs.whole * 10 + glyphs.window * 30


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("offset", [0, 1, 24, 25, 500, 974, 975, 999, 1000, 5000])
def test_damage_is_marked_where_it_is(offset: int, glyphs: Any) -> None:
    shown = bar(segment_facts(1, state="damaged", damaged_at=(offset,)), 40, SIZE, glyphs, "bold red").plain
    assert len(shown) == 40
    assert [at for at, cell in enumerate(shown) if cell == glyphs.damage] == [min(offset // 25, 39)]


def test_an_empty_segment_that_is_damaged_has_its_mark() -> None:
    empty = segment_facts(1, size=0, end=None, first_lsn=None, last_lsn=None, state="damaged", damaged_at=(0,))
    assert bar(empty, BAR_MAX, SIZE, UNICODE, "bold red").plain == "✗"


# Ages


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (0, "0 s"),
        (1, "1 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3 * 60 + 59, "3 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (48 * 3600 - 1, "47 h"),
        (48 * 3600, "2 days"),
        (4000 * 86400, "4,000 days"),
        (-1, "in the future"),
    ],
)
def test_an_age_is_in_the_largest_unit_of_which_there_are_two(seconds: int, age: str) -> None:
    assert age_words(NOW - seconds * SECOND, NOW) == age


def test_no_commit_has_no_age() -> None:
    assert age_words(None, NOW) == "-"
