"""`walogs checkpoint`: what it foretells, what it removes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

import walogs
from tests.cli.commands import Walogs, everything_in, made


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
