"""Whoever looks at a damaged log says the same of it, and that is what docs/format.md says (G2, G6, G14).

Random logs under random damage: open, verify, readers of both kinds, cat, salvage, repair and backup are held against
each other, and against a reader that knows the page and not the code.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.crash.small_logs import disk_with
from tests.differential.lives import Life, damaged, described, lived
from tests.differential.page import Damaged, Opened, Page
from tests.kit.laboratory import amount
from tests.system.children import seed_of
from walogs.assembly.opening import source_of
from walogs.engine import ending, observation, recovery
from walogs.engine.extent_finder import ExtentFinder
from walogs.engine.segment_scan import TailScan
from walogs.formats.segment_format import StopReason
from walogs.inspection.before_damage import entries_before
from walogs.testing import MemoryStore

LOGS: Final = 75
LOGS_OF_A_PART: Final = amount(500, 2000)
"""Of each part in the laboratory."""

REFUSED: Final = (walogs.Corrupt,)


class Case:
    """One damaged directory, and what each way in makes of it."""

    def __init__(self, life: Life, files: dict[str, bytes], path: Path, faults: int) -> None:
        self.life = life
        self.files = files
        self.path = path
        self.is_single = faults < 2

    def store(self) -> Any:
        return MemoryStore(disk_with(self.files))

    def by_the_page(self) -> Opened | Damaged | None:
        try:
            return Page(self.files).opened()
        except Damaged as damage:
            return damage

    def opened(self, **config: Any) -> dict[int, bytes] | walogs.Corrupt:
        try:
            with walogs.open(store=self.store(), **config) as wal:
                assert wal.first_lsn <= wal.next_lsn
                return dict(wal)
        except REFUSED as error:
            return error

    def read(self, visibility: Any) -> dict[int, bytes] | walogs.Corrupt:
        reader = None
        try:
            reader = walogs.reader(store=self.store(), visibility=visibility)
            return dict(reader)
        except walogs.Checkpointed as error:  # what a checkpoint left behind may be read, or be damaged (G11)
            assert reader is not None
            return dict(reader.iter(error.first_lsn))
        except REFUSED as error:
            return error


def judge(case: Case) -> str:
    """Hold everything against everything; what it was."""
    page = case.by_the_page()
    if page is None:
        for way_in in (walogs.reader, walogs.verify, lambda **config: list(walogs.salvage(**config))):
            with pytest.raises(walogs.LogNotFound):
                way_in(store=case.store())  # type: ignore[operator]
        return "no log"
    found = case.opened()
    check_truth(case, found)
    if isinstance(page, Damaged):
        assert isinstance(found, walogs.Corrupt), f"by the page it is damaged: {page}"
        check_refused(case, page, found)
        return "refused"
    assert not isinstance(found, walogs.Corrupt), f"by the page it opens; {found}"
    assert found == page.entries
    check_opening(case, page)
    return "opens"


def check_truth(case: Case, found: dict[int, bytes] | walogs.Corrupt) -> None:
    if not isinstance(found, walogs.Corrupt):
        assert all(case.life.could_be(lsn, data) for lsn, data in found.items()), "that was never appended there"


def check_opening(case: Case, page: Opened) -> None:
    """Nobody sees damage, and everybody the same entries."""
    report = walogs.verify(store=case.store())
    assert report.ok, report.findings
    assert report.last_lsn == page.last_lsn
    assert above(page, case.read("written")) == page.entries
    durable = {lsn: data for lsn, data in page.entries.items() if lsn <= page.durable_lsn}
    assert above(page, case.read("durable")) == durable
    target = case.path / "copy"
    copied = walogs.backup(None, target, store=case.store())
    assert copied.last_lsn == max(durable, default=page.log_first_lsn - 1)
    with walogs.open(target) as wal:
        assert dict(wal) == durable
    salvaged = check_salvage(case)  # also what stands intact after an unfinished write
    assert {lsn: salvaged.get(lsn) for lsn in page.entries} == page.entries
    repaired = walogs.repair(store=case.store(), dry_run=True)
    assert repaired.refusal is None


def above(page: Opened, found: dict[int, bytes] | walogs.Corrupt) -> dict[int, bytes] | walogs.Corrupt:
    """At or above the first LSN: what an interrupted checkpoint left below it is still there."""
    return (
        found
        if isinstance(found, walogs.Corrupt)
        else {n: data for n, data in found.items() if n >= page.log_first_lsn}
    )


def check_refused(case: Case, page: Damaged, found: walogs.Corrupt) -> None:
    """Everybody sees damage, names the same place, and advises what works."""
    if page.segment is not None:
        assert found.segment == page.segment, f"{page}; {found}"
    if page.lsn is not None:  # where the segments before it are damaged too, their SEALs know more than this reader
        assert found.lsn == page.lsn or (not case.is_single and found.lsn > page.lsn), f"{page}; {found}"
    report = walogs.verify(store=case.store())
    assert not report.ok
    places = {(finding.segment, finding.offset) for finding in report.findings}
    are_exchanged = any("names of others" in finding.message for finding in report.findings)  # told as a whole
    is_listed = (found.segment, found.offset) in places
    assert is_listed or are_exchanged or not case.is_single, f"{found}; {report.findings}"
    for visibility in ("durable", "written"):
        seen = case.read(visibility)
        assert isinstance(seen, walogs.Corrupt), f"a reader of what is {visibility} says nothing: {seen}"
    with pytest.raises(walogs.Corrupt):
        walogs.backup(None, case.path / "copy", store=case.store())
    assert not (case.path / "copy").exists()
    check_cat(case, found)
    salvaged = check_salvage(case)
    check_prefix(case, found)
    check_repair(case, salvaged)


def check_cat(case: Case, found: walogs.Corrupt) -> None:
    printed = list(entries_before(source_of(None, walogs.WalConfig(store=case.store())), found, None, None))
    lsns = [lsn for lsn, _ in printed]
    assert lsns == list(range(lsns[0], lsns[0] + len(lsns))) if lsns else True
    assert all(case.life.could_be(lsn, data) for lsn, data in printed)


def check_salvage(case: Case) -> dict[int, bytes]:
    salvaged: dict[int, bytes] = {}
    next_lsn = 0
    if not Page(case.files).segments:
        return salvaged
    for item in walogs.salvage(store=case.store()):
        first, last = (item.lsn, item.lsn) if isinstance(item, walogs.Entry) else (item.first_lsn, item.last_lsn)
        assert first >= next_lsn, "salvage goes back"
        assert last is None or last >= first
        next_lsn = (last if last is not None else first) + 1
        if isinstance(item, walogs.Entry):
            assert case.life.could_be(item.lsn, item.data)
            salvaged[item.lsn] = item.data
    return salvaged


def check_prefix(case: Case, found: walogs.Corrupt) -> None:
    """It is offered where it opens the log, and nowhere else; then what is there is a prefix, and true."""
    cut = case.opened(recovery="prefix")
    assert ('recovery="prefix"' in str(found)) == (not isinstance(cut, walogs.Corrupt)), f"{found}; {cut}"
    check_truth(case, cut)


def check_repair(case: Case, salvaged: dict[int, bytes]) -> None:
    """Either the log opens then, with what was foretold, or it says why it cannot."""
    for keep in (None, "before", "after"):
        disk = disk_with(case.files)
        try:
            foretold = walogs.repair(store=MemoryStore(disk), keep=keep, dry_run=True)  # type: ignore[arg-type]
        except walogs.Corrupt:
            with pytest.raises(walogs.Corrupt):
                walogs.repair(store=MemoryStore(disk), keep=keep)  # type: ignore[arg-type]
            continue
        report = walogs.repair(store=MemoryStore(disk), keep=keep)  # type: ignore[arg-type]
        assert (report.first_lsn, report.last_lsn) == (foretold.first_lsn, foretold.last_lsn)
        with walogs.open(store=MemoryStore(disk)) as wal:
            kept = dict(wal)
        assert list(kept) == list(range(report.first_lsn, report.last_lsn + 1))
        assert all(case.life.could_be(lsn, data) for lsn, data in kept.items())


def judge_one(seed: int, number: int, path: Path) -> str:
    rng = random.Random(f"{seed}, {number}")
    life = lived(rng)
    files, done = damaged(life, rng)
    place = path / str(number)
    place.mkdir()
    try:
        return judge(Case(life, files, place, len(done)))
    except BaseException as error:
        error.add_note(f"seed {seed}, log {number}: {'; '.join(done)} ({described(files)})")
        raise


def judge_many(seed: int, numbers: range, path: Path) -> None:
    tally = Counter(judge_one(seed, number, path) for number in numbers)
    print(f"seed {seed}: {dict(tally)}")
    assert min(tally["opens"], tally["refused"]) > len(numbers) // 10


@pytest.mark.guarantee("G2", "G6", "G14", "G16")
def test_whoever_looks_at_a_damaged_log_says_the_same(tmp_path: Path) -> None:
    judge_many(seed_of("one verdict"), range(LOGS), tmp_path)


@pytest.mark.laboratory
@pytest.mark.timeout(3600)
@pytest.mark.guarantee("G2", "G6", "G14", "G16")
@pytest.mark.parametrize("part", range(3))
def test_whoever_looks_at_thousands_of_damaged_logs_says_the_same(part: int, tmp_path: Path) -> None:
    judge_many(seed_of("one verdict"), range(part * LOGS_OF_A_PART, (part + 1) * LOGS_OF_A_PART), tmp_path)


def test_a_durable_mark_that_ends_inside_padding_makes_the_entries_before_it_durable(tmp_path: Path) -> None:
    assert judge_one(2780248287, 756, tmp_path) == "opens"


# Bugs, planted


def is_seen(seed: int, path: Path, logs: int = 400) -> bool:
    for number in range(logs):
        try:
            judge_one(seed, number, path)
        except (AssertionError, walogs.WalError, pytest.fail.Exception):
            print(f"seen by log {number}")
            return True
    return False


class SearchedWhereSomethingIs(TailScan):
    """It gives up where a frame header's place is zero."""

    def __init__(self, source: Any, segment: Any, end: int, size: int) -> None:
        is_zero = not source.store.read(segment.number, end, min(size, end + 64)).strip(b"\0")
        super().__init__(source, segment, end, end if is_zero else size)


def sealed_where_the_frames_stop(header: Any, end: int, last_lsn: int, stop: Any, *args: Any) -> Any:
    """A SEAL whose body is damaged, or one that stands further on, testifies to nothing."""
    found = ending.ending_of(header, end, last_lsn, stop, *args)
    return found._replace(is_sealed=stop is StopReason.SEAL)


def every_frame_of_a_run(source: Any, header: Any, seal: Any, run: int) -> int:
    """A SEAL that is intact asks for more than a segment without one."""
    end = INTACT_END(source, header, seal, run)
    if end < seal.offset and run + 1 == len(seal.runs):
        raise source.corrupt("not all frames of the run are intact", header.number, end)
    return end


def segments_below_the_first_lsn_judged(source: Any, readable: Any, numbers: Any, *, from_start: bool) -> Any:
    source.header(numbers[0])
    return WITH_SEGMENTS(source, readable, numbers, from_start=from_start)


def offered_without_a_look(source: Any, ended: Any, mode: Any = "acked", opens: Any = None) -> Any:
    return ending.judge(source, ended, mode, lambda: True)


def stopped_at_the_last_entry(self: ExtentFinder, readable: Any, *, to_end: bool) -> Any:
    """What follows it is not walked."""
    return NEWEST(self, readable, to_end=False)


NEWEST: Final = ExtentFinder._newest_extent
INTACT_END: Final = recovery.intact_end
WITH_SEGMENTS: Final = observation.with_segments
BUGS: Final[dict[str, tuple[int, Any, str, Any]]] = {
    "a reader that does not search behind zeros": (30, observation, "TailScan", SearchedWhereSomethingIs),
    "a reader that does not know a damaged SEAL": (5, observation, "ending_of", sealed_where_the_frames_stop),
    "a SEAL that makes the verdict worse": (12, recovery, "intact_end", every_frame_of_a_run),
    "a reader that judges what is below the first LSN": (
        3,
        observation,
        "with_segments",
        segments_below_the_first_lsn_judged,
    ),
    "a reader that stops at the last entry": (1, ExtentFinder, "_newest_extent", stopped_at_the_last_entry),
    "advice that was not tried": (8, recovery, "judge", offered_without_a_look),
    "an open that believes no watermark": (1, recovery, "judge", lambda source, ended, *args: "torn"),
}
"""By name: the seed of the logs, whose first few show the bug, and what is planted where."""


@pytest.mark.parametrize("bug", BUGS)
def test_a_verdict_that_differs_is_seen_when_planted(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed, *planted = BUGS[bug]
    monkeypatch.setattr(*planted)
    assert is_seen(seed, tmp_path)


def test_nothing_is_seen_where_nothing_is_planted(tmp_path: Path) -> None:
    assert not is_seen(7, tmp_path, 40)
