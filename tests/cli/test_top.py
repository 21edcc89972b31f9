"""`walogs top`: its samples, with a clock that the test moves, and what it prints without a terminal."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.cli.commands import Walogs, everything_in, made
from tests.cli.watching import DATA, FRAME, Watched, append, watched
from tests.house.source import ROOT
from tests.kit.logs import with_byte
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import source_of
from walogs.cli.top.samples import AGE_EVERY_SECONDS, HISTORY_SECONDS, Sample
from walogs.cli.top.words import plain_lines, sparkline
from walogs.defaults.local_store import LocalStore
from walogs.inspection.cursors import look, set_cursor
from walogs.testing import MemoryCloud, MemoryImmutableStore


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "[b]orders.wal"


# Samples


def test_rates_are_the_differences_of_samples(log: Path) -> None:
    with walogs.open(log) as wal:
        append(wal, 3)
        view = watched(log)
        first = view.after()
        assert (first.first_lsn, first.last_lsn, first.entries, first.rates, first.history) == (1, 3, 3, None, ())
        append(wal, 10)
        rates = view.after(2).rates
        assert rates is not None
        assert rates == (5.0, 5.0, 10 * FRAME / 2, 1.0)
        wal.append_batch([DATA] * 30)
        sample = view.after()
        assert sample.rates is not None
        assert sample.rates[:2] == (40 / 3, 11 / 3)
        assert sample.rates.entries_per_commit == 40 / 11
        assert sample.history == (5.0, 30.0)
        assert (sample.last_lsn, sample.problem, sample.notice) == (43, "", None)


def test_what_is_older_than_the_last_seconds_is_not_in_a_rate(log: Path) -> None:
    with walogs.open(log) as wal:
        view = watched(log)
        view.after()
        append(wal, 50)
        view.after()
        for _ in range(5):
            sample = view.after()
        assert sample.rates == (0.0, 0.0, 0.0, None)
        assert sample.history == (50.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        for _ in range(int(HISTORY_SECONDS)):
            sample = view.after()
        assert sample.history == (0.0,) * int(HISTORY_SECONDS)


def test_a_long_time_between_samples_still_gives_a_rate(log: Path) -> None:
    with walogs.open(log) as wal:
        view = watched(log)
        view.after()
        append(wal, 60)
        assert (rates := view.after(30).rates) is not None
        assert rates.entries == 2.0


def test_rates_go_on_across_segments(log: Path) -> None:
    """Some segments begin and end between two samples, and some of them are not sealed yet."""
    with walogs.open(log, max_segment_size=2000) as wal:
        append(wal, 50)
        view = watched(log)
        names = sorted((path.name for path in log.glob("wal-*.log")), reverse=True)
        assert 1 < len(names) <= 10
        assert [segment.name for segment in view.after().newest] == names
        for count in (1, 40, 7, 100):
            before = wal.last_lsn
            append(wal, count)
            sample = view.after(10)
            assert (rates := sample.rates) is not None
            assert rates == (count / 10, count / 10, count * FRAME / 10, 1.0)
            assert sample.last_lsn == before + count
        assert sample.segments == len(list(log.glob("wal-*.log")))
        assert sample.size == sum(path.stat().st_size for path in log.glob("wal-*.log"))
        names = sorted((path.name for path in log.glob("wal-*.log")), reverse=True)[:10]
        assert [segment.name for segment in sample.newest] == names
        assert [segment.size for segment in sample.newest] == [(log / name).stat().st_size for name in names]


def test_the_writer_is_named_and_whether_it_has_the_log_open(log: Path) -> None:
    view = None
    with walogs.open(log):
        view = watched(log)
        writer = view.after().writer
        assert writer is not None
        assert writer.is_open
        assert writer.since_ns is not None
        assert re.fullmatch(r"\d+@.+", writer.name)
    assert (closed := view.after().writer) is not None
    assert closed.is_open is False


def test_nothing_is_changed_by_looking(log: Path) -> None:
    made(log, *[DATA] * 10)
    before = everything_in(log)
    view = watched(log)
    view.after()
    view.after()
    assert everything_in(log) == before


# Cursors


def test_each_cursor_has_its_lag_and_its_owner(log: Path) -> None:
    with walogs.open(log) as wal, wal.cursor("mailer") as mailer:
        append(wal, 10)
        mailer.commit(10)
        view = watched(log)
        (facts,) = view.after().cursors or ()
        assert (facts.name, facts.position, facts.lag_entries, facts.lag_seconds) == ("mailer", 10, 0, 0.0)
        assert facts.is_locked
        append(wal, 4)
        mailer.commit(11)
        sample = view.after()
        (facts,) = sample.cursors or ()
        with walogs.reader(log) as reader:
            (commit,) = reader.commits(11, 12)
        assert (facts.position, facts.lag_entries) == (11, 3)
        assert facts.lag_seconds == (sample.taken_ns - commit.time_ns) / 1e9, "the first commit since the sample before"
    (facts,) = view.after().cursors or ()
    assert (facts.is_locked, facts.owner) == (False, "")


def test_the_lag_from_before_the_first_sample_is_read_from_the_log(log: Path) -> None:
    with walogs.open(log, max_segment_size=2000) as wal, wal.cursor("a") as cursor:
        append(wal, 100)
        times = {commit.first_lsn: commit.time_ns for commit in wal.commits()}
        cursor.commit(30)
        view = watched(log)

        def shown(seconds: float) -> tuple[int | None, int]:
            sample = view.after(seconds)
            (facts,) = sample.cursors or ()
            assert facts.lag_seconds is not None
            return facts.position, sample.taken_ns - round(facts.lag_seconds * 1e9)

        assert shown(1) == (30, pytest.approx(times[31], abs=1000))
        cursor.commit(60)
        assert shown(1) == (60, pytest.approx(times[31], abs=1000)), "read again only after a while"
        assert shown(AGE_EVERY_SECONDS) == (60, pytest.approx(times[61], abs=1000))


def test_a_cursor_that_cannot_continue_says_why(log: Path) -> None:
    with walogs.open(log, max_segment_size=2000) as wal, wal.cursor("a") as cursor:
        append(wal, 100)
        cursor.commit(3)
        view = watched(log)
        view.after()
        wal.checkpoint(50)
        first_lsn = wal.first_lsn
        (facts,) = view.after().cursors or ()
        assert facts.problem == f"a checkpoint has removed the entries up to {first_lsn - 1}"
        assert (facts.lag_entries, facts.lag_seconds) == (None, None)
    file = log / "cursors/a"
    file.write_bytes(b"?" + file.read_bytes()[1:])
    sample = view.after()
    (facts,) = sample.cursors or ()
    assert (facts.position, sample.problem) == (None, "")
    assert "cursors/a in" in facts.problem


def test_a_cursor_that_moved_on_after_the_look_is_not_ahead_of_the_log(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with walogs.open(log) as wal, wal.cursor("a") as cursor:
        append(wal, 1)
        view = watched(log)
        view.after()
        names = LocalStore.cursors

        def moved(store: LocalStore) -> Any:
            cursor.commit(wal.append(DATA))
            return names(store)

        monkeypatch.setattr(LocalStore, "cursors", moved)
        (facts,) = view.after().cursors or ()
        assert (facts.problem, facts.position, facts.lag_entries) == ("", 2, 0)


def test_a_cursor_that_is_ahead_of_the_log_says_so(log: Path) -> None:
    made(log, DATA, DATA)
    view = watched(log)
    view.after()
    set_cursor(view.source, "b", 99, look(view.source).newest.log_id)
    (facts,) = view.after().cursors or ()
    assert facts.problem == "the log ends before that, at 2: it was cut or replaced"


# What happens to a log


def test_a_checkpoint_is_told(log: Path) -> None:
    with walogs.open(log, max_segment_size=2000) as wal:
        append(wal, 100)
        view = watched(log)
        before = view.after()
        wal.checkpoint(50)
        append(wal, 10)
        sample = view.after()
        assert sample.notice is not None
        assert sample.notice.text == f"checkpointed: the log begins at entry {wal.first_lsn} now"
        assert sample.first_lsn == wal.first_lsn
        assert sample.segments < before.segments
        assert sample.rates is not None
        assert sample.rates.entries == 10.0
        assert view.after().notice == sample.notice, "it stays, with its time"


def test_entries_that_a_checkpoint_took_before_they_were_counted_are_in_no_rate(log: Path) -> None:
    with walogs.open(log, max_segment_size=2000) as wal:
        append(wal, 1)
        view = watched(log)
        view.after()
        append(wal, 100)
        wal.checkpoint(wal.last_lsn)
        sample = view.after()
        assert (sample.rates, sample.problem) == (None, "")
        append(wal, 5)
        assert (rates := view.after().rates) is not None
        assert rates.entries == 5.0


def test_damage_is_told_and_the_view_goes_on_when_it_is_repaired(log: Path) -> None:
    made(log, *[DATA] * 10)
    view = watched(log)
    good = view.after()
    file = log / "wal-000001.log"
    content = file.read_bytes()
    file.write_bytes(with_byte(content, 60, 1))
    for _ in range(2):
        sample = view.after()
        assert sample.is_damaged
        assert sample.problem.startswith(f"damaged: wal-000001.log in {log} is corrupt at byte ")
        assert (sample.last_lsn, sample.rates) == (good.last_lsn, None)
    file.write_bytes(content)
    sample = view.after()
    assert (sample.problem, sample.last_lsn, sample.is_damaged) == ("", 10, False)
    assert (sample.rates, sample.history) == (None, ()), "no rate spans the damage"
    assert sample.notice is not None
    assert sample.notice.text == "the log can be read again"


def test_a_log_that_goes_away_is_told_and_another_in_its_place_too(log: Path, tmp_path: Path) -> None:
    made(log, *[DATA] * 10)
    view = watched(log)
    view.after()
    log.rename(tmp_path / "away")
    sample = view.after()
    assert (sample.problem, sample.is_damaged, sample.last_lsn) == ("no log is there now", False, 10)
    (tmp_path / "away").rename(log)
    sample = view.after()
    assert (sample.problem, sample.notice and sample.notice.text) == ("", "the log can be read again")
    shutil.rmtree(log)
    made(log, *[DATA] * 20)
    sample = view.after()
    assert (sample.problem, sample.notice and sample.notice.text) == ("", "another log is in its place now")
    assert (sample.last_lsn, sample.rates) == (20, None)


@pytest.mark.parametrize("more", [0, 50])
def test_a_log_that_is_rewound_is_told(log: Path, tmp_path: Path, more: int) -> None:
    """An older copy takes the place of the log. Its writer may have written more than was lost."""
    made(log, *[DATA] * 10)
    shutil.copytree(log, tmp_path / "older")
    made(log, *[DATA] * 10)
    view = watched(log)
    view.after()
    shutil.rmtree(log)
    shutil.copytree(tmp_path / "older", log)
    if more:
        with walogs.open(log) as wal:
            wal.rotate()
            append(wal, more)
    sample = view.after()
    assert (sample.problem, sample.notice and sample.notice.text) == ("", "rewound: the entries after 10 were cut")
    assert (sample.last_lsn, sample.rates) == (10 + more, None)


def test_after_a_pause_the_rates_begin_anew(log: Path) -> None:
    with walogs.open(log) as wal:
        view = watched(log)
        view.after()
        append(wal, 50)
        view.after()
        append(wal, 50)
        view.sampler.begin_anew()
        sample = view.after(3)
        assert (sample.last_lsn, sample.rates, sample.history, sample.notice) == (100, None, (), None)


# A store of immutable segments


class CountedCloud(MemoryImmutableStore):
    """A store that counts its calls, and the bytes that it returns."""

    def __init__(self, cloud: MemoryCloud) -> None:
        super().__init__(cloud)
        self.calls: list[str] = []
        self.bytes = 0

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        data = super().read(number, start, end)
        self.calls.append("read")
        self.bytes += len(data)
        return data

    def segments(self) -> Any:
        self.calls.append("list")
        return super().segments()

    def segments_after(self, number: int) -> Any:
        self.calls.append("list")
        return super().segments_after(number)

    def sizes(self) -> Mapping[int, int]:
        self.calls.append("list")
        return super().sizes()

    def size(self, number: int) -> int:
        self.calls.append("size")
        return super().size(number)


def test_a_store_of_immutable_segments_is_watched_and_costs_what_is_new() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        append(wal, 300)
        store = CountedCloud(cloud)
        view = Watched("cloud", source_of(None, WalConfig(store=store)))
        sample = view.after()
        readable = sorted(cloud.objects)[1:]
        assert (sample.last_lsn, sample.cursors, sample.segments) == (300, None, len(readable)), (
            "without the first fence"
        )
        assert sample.writer is not None
        assert (sample.writer.is_open, sample.size) == (None, sum(len(cloud.objects[n]) for n in readable))
        store.calls, store.bytes = [], 0
        assert view.after().rates == (0.0, 0.0, 0.0, None)
        assert store.calls == ["list"], "nothing is new"
        before = sum(map(len, cloud.objects.values()))
        append(wal, 20)
        store.calls = []
        assert (rates := view.after(10).rates) is not None
        assert rates == (2.0, 2.0, 2.0 * FRAME, 1.0)
        new = sum(map(len, cloud.objects.values())) - before
        assert store.calls.count("list") <= 4
        assert store.bytes <= 3 * new
        wal.checkpoint(100)
        assert "checkpointed" in str(view.after().notice)
        cloud.objects.clear()
        assert view.after().problem == "no log is there now"


# What it costs


class CountedStore(LocalStore):
    """A local store that counts the bytes that are read, and the segments whose size is asked for."""

    read_bytes = 0
    sizes_asked: tuple[int, ...] = ()

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        data = super().read(number, start, end)
        self.read_bytes += len(data)
        return data

    def size(self, number: int) -> int:
        self.sizes_asked += (number,)
        return super().size(number)


END_BYTES: Final = 3 << 16
"""What a look reads at the end of a log, whatever was written: at most this."""


def test_a_sample_costs_what_is_new_and_not_what_is_there(log: Path) -> None:
    big = b"y" * 10_000
    with walogs.open(log, max_segment_size=200_000) as wal, wal.cursor("a") as cursor:
        for _ in range(200):
            wal.append(big)
        cursor.commit(5)
        store = CountedStore(log)
        view = Watched("x", source_of(None, WalConfig(store=store)))
        view.after()
        for count in (0, 3, 0, 50, 0):
            store.read_bytes, store.sizes_asked = 0, ()
            newest = max(store.segments())
            for _ in range(count):
                wal.append(big)
            assert view.after().problem == ""
            assert store.read_bytes <= count * 10_100 + END_BYTES
            oldest = min(store.segments())
            assert set(store.sizes_asked) - {oldest} <= set(range(newest - 1, max(store.segments()) + 2)), (
                "the last is not there"
            )


# The command


def test_without_a_terminal_it_prints_one_sample(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal, wal.cursor("mailer") as mailer:
        append(wal, 1200)
        mailer.commit(3)
        told = command("top", log)
    assert (told.status, told.error) == (0, "")
    lines = told.out.decode().splitlines()
    assert lines[0] == f"log            {log}"
    assert re.fullmatch(r"writer         \d+@\S+, open now, opened 20\S+ \S+Z \(\d+ s\)", lines[1])
    assert lines[2] == "entries        1 to 1200 (1,200 entries)"
    assert lines[3].startswith("segments       1, ")
    assert re.fullmatch(r" {15}wal-000001\.log  \S+ KiB  \d+ s old", lines[4])
    assert lines[5] == "cursors        1"
    assert lines[6].split() == ["name", "position", "lag", "lag", "time", "owner"]
    assert lines[7].split()[:3] == ["mailer", "3", "1,197"]
    assert len(lines) == 8


def test_its_json_has_one_sample(log: Path, command: Walogs) -> None:
    made(log, *[DATA] * 3)
    facts = command("top", log, "--json").json()
    assert (facts["name"], facts["first_lsn"], facts["last_lsn"], facts["entries"]) == (str(log), 1, 3, 3)
    assert (facts["rates"], facts["cursors"], facts["problem"], facts["notice"]) == (None, [], "", None)
    assert facts["writer"]["is_open"] is False
    assert facts["newest"][0]["name"] == "wal-000001.log"


def test_a_sample_with_everything_is_json(log: Path) -> None:
    with walogs.open(log, max_segment_size=2000) as wal, wal.cursor("a"):
        append(wal, 100)
        view = watched(log)
        view.after()
        wal.checkpoint(50)
        told = json.loads(json.dumps(view.after().as_json()))
        assert set(told["rates"]) == {"entries", "commits", "bytes", "entries_per_commit"}
        assert told["cursors"][0]["name"] == "a"
        assert told["notice"]["text"].startswith("checkpointed")


def test_a_log_that_is_not_there_or_damaged_is_told(log: Path, command: Walogs) -> None:
    told = command("top", log)
    assert (told.status, told.out) == (1, b"")
    assert "there is no log" in told.line
    made(log, *[DATA] * 10)
    file = log / "wal-000001.log"
    content = file.read_bytes()
    file.write_bytes(with_byte(content, 60, 1))
    told = command("top", log)
    assert told.status == 4
    assert told.out.decode().splitlines()[-1].startswith("problem        damaged: wal-000001.log")
    assert command("top", log, "--json").json()["is_damaged"]


@pytest.mark.parametrize("every", ["0", "0.01s", "2h", "x"])
def test_a_wrong_interval_is_refused(log: Path, command: Walogs, every: str) -> None:
    made(log, DATA)
    assert command("top", log, "--every", every).status == 2


def test_without_textual_it_says_what_to_install(log: Path, monkeypatch: pytest.MonkeyPatch, command: Walogs) -> None:
    from walogs.cli.top import command as top_command

    made(log, DATA)
    monkeypatch.setattr(top_command, "is_terminal", lambda _: True)
    monkeypatch.delitem(sys.modules, "walogs.cli.top.screen", raising=False)
    monkeypatch.setitem(sys.modules, "textual", None)
    monkeypatch.setitem(sys.modules, "textual.app", None)
    told = command("top", log)
    assert (told.status, told.out) == (2, b"")
    assert told.line == f"walogs: the live view needs textual: pip install '{ROOT}[tui]'"
    assert command("top", log, "--json").status == 0


def test_the_other_commands_do_not_load_textual(command: Walogs) -> None:
    told = command.apart(before="import sys, walogs.cli.app; sys.exit('textual' in sys.modules); ")
    assert told.status == 0


@pytest.mark.parametrize(
    ("values", "columns", "bars"),
    [
        ([], 10, ""),
        ([1.0], 0, ""),
        ([0, 0], 10, "▁▁"),
        ([0, 1, 2, 4, 8], 10, "▁▂▃▅█"),
        ([0, 0, 8, 8], 2, "▁█"),
        ([5.0], 3, "█"),
    ],
)
def test_bars(values: list[float], columns: int, bars: str) -> None:
    assert sparkline(values, columns) == bars


def test_names_are_printable(log: Path) -> None:
    sample = Sample(name="a\x1b[31m", taken_ns=0, problem="\x07")
    assert not any("\x1b" in line or "\x07" in line for line in plain_lines(sample))
