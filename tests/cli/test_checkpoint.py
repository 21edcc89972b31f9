"""`walogs checkpoint`: what it foretells, what it removes, and what it refuses."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.cli.commands import Walogs, everything_in, made
from walogs.assembly import opening
from walogs.assembly.opening import assemble
from walogs.cli.checkpoint import checkpoint
from walogs.cli.log_argument import NamedLog
from walogs.engine.log_source import Environment
from walogs.testing import MemoryCloud, MemoryImmutableStore

DAY_NS: Final = 86_400 * 10**9


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Five segments or so, of thirty entries."""
    return made(tmp_path / "x.wal", *(b"entry %d." % n * 8 for n in range(1, 31)), max_segment_size=1200)


@pytest.mark.parametrize("lsn", [1, 5, 6, 12, 20, 29, 30])
def test_a_dry_run_foretells_what_is_removed_and_changes_nothing(lsn: int, log: Path, command: Walogs) -> None:
    before = everything_in(log)
    foretold = command("checkpoint", log, "--lsn", str(lsn), "--dry-run", "--json")
    assert everything_in(log) == before
    sizes = {path.name: path.stat().st_size for path in log.glob("wal-*.log")}
    told = command("checkpoint", log, "--lsn", str(lsn), "--json")
    assert (foretold.status, told.status, told.error) == (0, 0, "")
    gone = {name: size for name, size in sizes.items() if not (log / name).exists()}
    with walogs.open(log) as wal:
        first_lsn = wal.first_lsn
        assert wal.last_lsn == 30
        assert [number for number, _ in wal] == list(range(first_lsn, 31))
        assert wal.append(b"more") == 31
    assert first_lsn <= lsn + 1
    assert told.json() == {
        "segments": len(gone),
        "bytes": sum(gone.values()),
        "first_lsn": first_lsn,
        "last_lsn": 30,
        "is_dry_run": False,
        "is_held_by_cursors": False,
    }
    assert foretold.json() == {**told.json(), "is_dry_run": True}


def test_it_says_so_in_words(log: Path, command: Walogs) -> None:
    told = command("checkpoint", log, "--lsn", "1", "--dry-run")
    assert told.out == b"would remove 0 segments, 0 B; the log then begins at entry 1\n"
    with walogs.open(log) as wal:
        first, *_, newest = wal.segments()
    told = command("checkpoint", log, "--lsn", str(first.last_lsn))
    assert told.out.decode().startswith("removed 1 segment, ")
    assert told.out.decode().endswith(f"; the log then begins at entry {first.last_lsn + 1}\n")
    command("checkpoint", log, "--lsn", "30")
    with walogs.open(log) as wal:
        assert wal.first_lsn == newest.first_lsn
        wal.rotate()
    told = command("checkpoint", log, "--lsn", "30")
    assert told.out.endswith(b"; the log then holds no entry\n")


def test_what_is_beyond_the_end_is_refused(log: Path, command: Walogs) -> None:
    """A time or an offset that somebody takes for an LSN does not empty the log."""
    before = everything_in(log)
    for more in ((), ("--dry-run",)):
        told = command("checkpoint", log, "--lsn", "1795896964", *more)
        assert (told.status, told.out) == (2, b"")
        move = f"`walogs checkpoint {log} --lsn 30` gives up all of them."
        assert told.line == f"walogs: --lsn 1795896964: the entries of {log} end at 30. Nothing was removed; {move}"
    assert everything_in(log) == before


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_damaged_log_is_left_alone(more: tuple[str, ...], log: Path, command: Walogs) -> None:
    file = log / "wal-000001.log"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # of its SEAL, which every look reads
    content[60] ^= 1  # of its header
    file.write_bytes(content)
    before = everything_in(log)
    told = command("checkpoint", log, "--lsn", "20", *more)
    assert (told.status, told.out) == (4, b"")
    assert told.line.count("walogs verify") == 1
    assert everything_in(log) == before


def test_beside_a_writer_only_the_dry_run_works(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal:
        assert command("checkpoint", log, "--lsn", "20", "--dry-run").status == 0
        told = command("checkpoint", log, "--lsn", "20")
        assert (told.status, told.out) == (3, b"")
        assert wal.first_lsn == 1


def test_where_there_is_no_log_none_is_made(tmp_path: Path, command: Walogs) -> None:
    told = command("checkpoint", tmp_path / "typo", "--lsn", "1")
    assert (told.status, told.out) == (1, b"")
    assert list(tmp_path.iterdir()) == []
    assert command("checkpoint", tmp_path).status == 2


@pytest.mark.guarantee("G21")
def test_it_can_give_up_what_all_cursors_have_passed(log: Path, command: Walogs) -> None:
    with walogs.open(log) as wal, wal.cursor("mailer") as mailer, wal.cursor("auditor") as auditor:
        mailer.commit(25)
        auditor.commit(13)
    foretold = command("checkpoint", log, "--cursors", "--dry-run", "--json").json()
    by_lsn = command("checkpoint", log, "--lsn", "13", "--dry-run", "--json").json()
    assert foretold == by_lsn
    assert foretold["segments"] > 0
    told = command("checkpoint", log, "--cursors", "--json")
    assert (told.status, told.json()) == (0, {**foretold, "is_dry_run": False})


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_without_cursors_or_with_a_damaged_one_nothing_is_given_up(
    more: tuple[str, ...], log: Path, command: Walogs
) -> None:
    before = everything_in(log)
    told = command("checkpoint", log, "--cursors", *more)
    assert (told.status, told.out) == (2, b"")
    assert told.line == f"walogs: --cursors: {log} has no cursors. Nothing was removed; say --lsn N."
    assert command("checkpoint", log, "--cursors", "--lsn", "3").status == 2
    assert everything_in(log) == before
    with walogs.open(log) as wal, wal.cursor("mailer") as mailer:
        mailer.commit(25)
    (log / "cursors/mailer").write_bytes(b"?")
    told = command("checkpoint", log, "--cursors", *more)
    assert (told.status, told.out) == (4, b"")
    assert "cursors/mailer" in told.line
    with walogs.open(log) as wal:
        assert wal.first_lsn == 1


# By time and by size


@pytest.fixture
def old_log(tmp_path: Path) -> Path:
    """A segment of one entry for each of ten days: the first is nine and a half days old, the last half a day."""
    today, ages = time.time_ns(), iter(range(10, 0, -1))
    clock = [today]
    environment = Environment(clock=lambda: clock[0], entropy=os.urandom, sleep=lambda _: None)
    clock[0] = today - 10 * DAY_NS
    with assemble(tmp_path / "old.wal", None, environment) as wal:
        for age in ages:
            clock[0] = today - age * DAY_NS + DAY_NS // 2
            wal.append(b"x" * 1000)
            if age > 1:
                wal.rotate()
    return tmp_path / "old.wal"


def sizes_in(log: Path) -> list[int]:
    return [path.stat().st_size for path in sorted(log.glob("wal-*.log"))]


def days_ago(days: float) -> str:
    return datetime.fromtimestamp(time.time() - days * 86_400, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("option", "value", "first_lsn"),
    [
        ("--upto", "4", 5),
        ("--before", 3, 8),
        ("--before", 20, 1),
        ("--before", 0, 10),
        ("--keep-time", "7d", 4),
        ("--keep-time", "168h", 4),
        ("--keep-time", "1h", 10),
        ("--keep-time", "30 d", 1),
        ("--keep-size", "1GiB", 1),
        ("--keep-size", "1B", 10),
    ],
)
def test_what_is_old_goes_and_a_dry_run_foretells_it(
    option: str, value: str | float, first_lsn: int, old_log: Path, command: Walogs
) -> None:
    asked = (option, value if isinstance(value, str) else days_ago(value))
    before = everything_in(old_log)
    foretold = command("checkpoint", old_log, *asked, "--dry-run", "--json")
    assert (foretold.status, foretold.error) == (0, "")
    assert everything_in(old_log) == before
    told = command("checkpoint", old_log, *asked, "--json")
    assert (told.status, told.error) == (0, "")
    assert foretold.json() == {**told.json(), "is_dry_run": True}
    assert (told.json()["segments"], told.json()["first_lsn"]) == (first_lsn - 1, first_lsn)
    with walogs.open(old_log) as wal:
        assert [lsn for lsn, _ in wal] == list(range(first_lsn, 11))


def test_a_size_keeps_the_newest_segments_that_fit(old_log: Path, command: Walogs) -> None:
    sizes = sizes_in(old_log)
    wanted = sum(sizes[-4:])
    told = command("checkpoint", old_log, "--keep-size", f"{wanted}B")
    assert (told.status, told.error) == (0, "")
    assert told.out.decode().startswith("removed 6 segments, ")
    assert sizes_in(old_log)[:-1] == sizes[-4:-1]
    assert sizes_in(old_log)[-1] - sizes[-1] == 56  # the newest segment has a CHECKPOINT frame now
    told = command("checkpoint", old_log, "--keep-size", str(sum(sizes_in(old_log)) - 1))
    assert told.out.decode().startswith("removed 1 segment, ")


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--json",)])
def test_exactly_one_bound_is_named(more: tuple[str, ...], old_log: Path, command: Walogs) -> None:
    before = everything_in(old_log)
    named = "--lsn N, --cursors, --before TIME, --keep-size SIZE or --keep-time DURATION"
    told = command("checkpoint", old_log, *more)
    assert (told.status, told.out) == (2, b"")
    assert told.line == f"walogs: which entries are not needed any more? Say one of {named}; --help tells more."
    told = command("checkpoint", old_log, "--lsn", "3", "--keep-time", "7d", *more)
    assert (told.status, told.out) == (2, b"")
    assert told.line == f"walogs: --lsn and --keep-time are given together: say one of {named}. Nothing was removed."
    assert everything_in(old_log) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--before", "yesterday"),
        ("--keep-size", "0"),
        ("--keep-size", "10G"),
        ("--keep-size", "-1"),
        ("--keep-time", "0s"),
        ("--keep-time", "7 days"),
        ("--keep-time", "3"),
        ("--keep-time", "nan"),
    ],
)
def test_what_is_no_bound_is_refused(option: str, value: str, old_log: Path, command: Walogs) -> None:
    before = everything_in(old_log)
    told = command("checkpoint", old_log, option, value)
    assert (told.status, told.out) == (2, b"")
    assert told.line.startswith(f"walogs: {option} ")
    assert everything_in(old_log) == before


def test_a_damaged_log_is_left_alone_by_every_bound(old_log: Path, command: Walogs) -> None:
    file = old_log / "wal-000001.log"
    content = bytearray(file.read_bytes())
    content[60] ^= 1
    file.write_bytes(content)
    before = everything_in(old_log)
    for bound in (("--before", days_ago(3)), ("--keep-size", "1KiB"), ("--keep-time", "7d")):
        for more in ((), ("--dry-run",)):
            told = command("checkpoint", old_log, *bound, *more)
            assert (told.status, told.out) == (4, b"")
    assert everything_in(old_log) == before


def test_it_waits_for_the_log_as_long_as_it_is_told(
    old_log: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = walogs.open(old_log)
    environment = opening.ENVIRONMENT._replace(sleep=lambda _: holder.close())
    monkeypatch.setattr(opening, "ENVIRONMENT", environment)
    told = command("checkpoint", old_log, "--lsn", "3", "--wait", "1h", "--json")
    assert (told.status, told.json()["first_lsn"]) == (0, 4)


def test_immutable_segments_go_by_size_too(capsys: pytest.CaptureFixture[str]) -> None:
    cloud = MemoryCloud()

    def log() -> NamedLog:
        return NamedLog(path=None, config=walogs.WalConfig(store=MemoryImmutableStore(cloud)), name="cloud", words=())

    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for _ in range(10):
            wal.append(b"x" * 4096)
    for dry_run in (True, False):
        assert checkpoint(log(), keep_size=4 * 5000, dry_run=dry_run, as_json=True) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["segments"], told["first_lsn"], told["is_dry_run"]) == (6, 7, dry_run)
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        assert [lsn for lsn, _ in wal] == [7, 8, 9, 10]


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize("bound", [("--keep-size", "1B"), ("--keep-time", "1h"), ("--before", days_ago(0))])
def test_what_a_cursor_still_needs_stays_unless_its_lsn_is_named(
    bound: tuple[str, str], old_log: Path, command: Walogs
) -> None:
    with walogs.open(old_log) as wal, wal.cursor("mailer") as cursor:
        cursor.commit(3)
    foretold = command("checkpoint", old_log, *bound, "--dry-run")
    told = command("checkpoint", old_log, *bound, "--json")
    assert (told.json()["first_lsn"], told.json()["is_held_by_cursors"]) == (4, True)
    assert foretold.out.decode().endswith("begins at entry 4; a cursor needs what follows (`walogs cursors`)\n")
    told = command("checkpoint", old_log, "--lsn", "6", "--json")
    assert (told.json()["first_lsn"], told.json()["is_held_by_cursors"]) == (7, False)
