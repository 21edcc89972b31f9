"""`walogs repair` shows what each side would keep, and repairs the log only when the user has decided."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.cli.commands import (
    ENVIRONMENT,
    Walogs,
    bytes_of,
    ended_on,
    entries_of,
    everything_in,
    forked_on,
    made,
    on_a_terminal,
)
from walogs.defaults.local_store import LocalStore
from walogs.inspection import repair as repair_module

CHOICE: Final = "Keep the entries before the damage, or after it?"
GO_ON: Final = "Repair the log like this?"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log with the entries 1 to 30, of which 15 is damaged."""
    log = made(tmp_path / "x.wal", *(b"entry %d." % n * 3 for n in range(1, 31)), max_segment_size=1200)
    damage(log, b"entry 15.e")
    return log


def damage(log: Path, find: bytes) -> None:
    (file,) = (file for file in log.glob("wal-*.log") if find in file.read_bytes())
    file.write_bytes(file.read_bytes().replace(find, find.upper()))


def third_segment(log: Path) -> int:
    """Return the first entry after the damage that a repair keeps: the first one of a whole segment."""
    return int.from_bytes((log / "wal-000003.log").read_bytes()[64:72], "little")


def lsns_of(log: Path) -> tuple[int, int]:
    with walogs.open(log) as wal:
        return wal.first_lsn, wal.last_lsn


def answered(log: Path, answer: bytes, *options: str) -> tuple[int, str]:
    """Repair on a terminal, and type that. Return (exit status, everything that is shown)."""
    ours, theirs = pty.openpty()
    process = forked_on(theirs, "repair", log, *options, environment={**ENVIRONMENT, "COLUMNS": "300"})
    os.close(theirs)
    os.write(ours, answer)
    return ended_on(ours, process)


@pytest.mark.parametrize(
    ("options", "answer", "kept"),
    [
        ((), b"before\n", "before"),
        ((), b"AFTER\n", "after"),
        (("--keep", "after"), b"yes\n", "after"),
        (("--keep", "before"), b"y\n", "before"),
        (("--yes",), b"", "before"),
        (("--yes", "--keep", "after"), b"", "after"),
    ],
)
def test_on_a_terminal_it_asks_and_does_what_is_answered(
    log: Path, options: tuple[str, ...], answer: bytes, kept: str
) -> None:
    after = third_segment(log)
    status, shown = answered(log, answer, *options)
    assert status == 0, shown
    is_asked = "--yes" not in options
    assert (CHOICE in shown) == (is_asked and not options)
    assert (GO_ON in shown) == (is_asked and bool(options))
    for side, lsns in (("before", "1 to 14"), ("after", f"{after} to 30")):
        assert (f"--keep {side}:\r\n  would be kept: {lsns}" in shown) == is_asked
    assert lsns_of(log) == ((1, 14) if kept == "before" else (after, 30))


@pytest.mark.parametrize("answer", [b"\n", b"no\n", b"yes\n", b"bef\n", b"\x04"])
def test_any_other_answer_changes_nothing(log: Path, answer: bytes) -> None:
    before = everything_in(log)
    status, shown = answered(log, answer)
    assert status == 4, shown
    assert everything_in(log) == before


def test_where_both_sides_keep_the_same_there_is_no_choice(tmp_path: Path) -> None:
    log = made(tmp_path / "x.wal", *(b"entry %d." % n * 3 for n in range(1, 31)), max_segment_size=1200)
    segment = log / "wal-000002.log"
    segment.write_bytes(bytes(100) + segment.read_bytes()[100:])
    status, shown = answered(log, b"yes\n")
    assert status == 0, shown
    assert GO_ON in shown
    assert CHOICE not in shown
    assert shown.count("would be kept: 1 to 30") == 1
    assert lsns_of(log) == (1, 30)


@pytest.mark.parametrize("options", [(), ("--json",), ("--dry-run",), ("--dry-run", "--keep", "after", "--yes")])
def test_in_a_script_nothing_changes_without_a_word_for_it(
    log: Path, command: Walogs, options: tuple[str, ...]
) -> None:
    before = everything_in(log)
    told = command("repair", log, *options)
    assert told.status == 4
    assert everything_in(log) == before
    assert ("--keep before or --keep after" in told.error) == ("--dry-run" not in options)


@pytest.mark.parametrize("options", [("--yes",), ("-y",), ("--keep", "before"), ("--keep", "before", "--json")])
def test_in_a_script_keep_or_yes_is_the_word(log: Path, command: Walogs, options: tuple[str, ...]) -> None:
    assert command("repair", log, *options).status == 0
    assert lsns_of(log) == (1, 14)


def test_all_damage_is_named(log: Path, command: Walogs) -> None:
    damage(log, b"entry 5.e")
    damage(log, b"entry 29.e")
    for options in (("--dry-run",), ("--yes",)):
        lines = command("repair", log, *options).out.decode().splitlines()
        found = [line for line in lines if line.startswith("damage: ")]
        assert len(found) == 3
        for lsn, line in zip((29, 15, 5), sorted(found, reverse=True), strict=True):
            assert f"entry {lsn}" in line
        assert lines[:3] == found
    assert entries_of(log) == [b"entry %d." % n * 3 for n in range(1, 5)]


@pytest.mark.guarantee("G13")
def test_a_dry_run_leaves_no_trace_and_needs_no_permission_to_write(log: Path, command: Walogs) -> None:
    (log / "LOCK").unlink()
    before = everything_in(log)
    log.chmod(0o500)
    try:
        for keep in ("before", "after"):
            assert command("repair", log, "--dry-run", "--keep", keep).status == 4
    finally:
        log.chmod(0o700)
    assert not (log / "LOCK").exists()
    after = everything_in(log)
    assert {name: found for name, found in after.items() if name != "."} == {
        name: found for name, found in before.items() if name != "."
    }


def test_a_dry_run_works_while_the_log_is_open(tmp_path: Path, command: Walogs) -> None:
    with walogs.open(tmp_path / "x.wal") as wal:
        wal.append(b"one")
        told = command("repair", tmp_path / "x.wal", "--dry-run")
        assert (told.status, told.out) == (0, b"good: the log opens (1); nothing was changed\n")


def test_exchanged_files_are_told_with_the_way_back(tmp_path: Path, command: Walogs) -> None:
    log = made(tmp_path / "x.wal", *(b"entry %d." % n * 3 for n in range(1, 31)), max_segment_size=1200)
    for old, new in (("wal-000002.log", "x"), ("wal-000003.log", "wal-000002.log"), ("x", "wal-000003.log")):
        (log / old).rename(log / new)
    renaming = "mv -n wal-000002.log exchanged-000002 && mv -n wal-000003.log wal-000002.log"
    (tmp_path / "lines").write_text("a\n")
    assert command("salvage", log).out.count(b"\n") == 30
    for tokens in (
        ("verify",),
        ("info",),
        ("repair", "--dry-run"),
        ("repair",),
        ("repair", "--yes"),
        ("append", "--lines", tmp_path / "lines"),
        ("cat",),
        ("tail",),
        ("backup", tmp_path / "copy"),
    ):
        name, *options = tokens
        told = command(name, log, *options)
        assert told.status == 4
        lines = (told.out.decode() + told.error).splitlines()
        is_info = name == "info"
        moves = [line for line in lines if line.startswith("next " if is_info else "  (cd ")]
        assert renaming in moves[0], tokens
        assert "walogs repair" not in "\n".join(lines), "it would refuse, and name the command that has named it"
        if not is_info:
            typed = moves[0]
    subprocess.run(["/bin/sh", "-c", typed], check=True, timeout=300)
    assert command("verify", log).out.startswith(b"good: 30 entries")
    assert command("append", log, "--lines", tmp_path / "lines").status == 0


def test_on_a_terminal_the_command_that_renames_is_one_line(tmp_path: Path) -> None:
    log = made(tmp_path / "x.wal", *(b"entry %d." % n * 3 for n in range(1, 31)), max_segment_size=1200)
    for old, new in (("wal-000002.log", "x"), ("wal-000003.log", "wal-000002.log"), ("x", "wal-000003.log")):
        (log / old).rename(log / new)
    for tokens in (("verify", log), ("info", log), ("cat", log), ("repair", log)):
        shown = on_a_terminal(*tokens, status=4, columns=60).replace("\r", "")
        (line,) = [line for line in shown.splitlines() if line.startswith("  (cd ")]
        assert line.rstrip().endswith("mv -n exchanged-000002 wal-000003.log)")


@pytest.mark.guarantee("G13")
@pytest.mark.parametrize("options", [(), ("--yes",), ("--keep", "before"), ("--dry-run",)])
def test_a_good_log_is_called_good_beside_its_writer_and_a_damaged_one_is_not_repaired(
    log: Path, tmp_path: Path, command: Walogs, options: tuple[str, ...]
) -> None:
    with walogs.open(tmp_path / "good.wal") as wal:
        wal.append(b"one")
        told = command("repair", tmp_path / "good.wal", *options)
        assert (told.status, told.out) == (0, b"good: the log opens (1); nothing was changed\n")
        assert wal.append(b"two") == 2
    with walogs.open(tmp_path / "held.wal") as wal:
        wal.append(b"entry 15.e")
        damage(tmp_path / "held.wal", b"entry 15.e")
        wal.append(b"another")
        before = everything_in(tmp_path / "held.wal")
        told = command("repair", tmp_path / "held.wal", *options)
        is_asked_for = options in (("--yes",), ("--keep", "before"))
        assert told.status == (3 if is_asked_for else 4), told
        assert everything_in(tmp_path / "held.wal") == before


# One side


def cut(log: Path) -> None:
    """Remove the end of the log, beginning with entry 30."""
    newest = max(log.glob("wal-*.log"))
    content = newest.read_bytes()
    newest.write_bytes(content[: content.index(b"entry 30.")])


def headless(log: Path) -> None:
    (log / "wal-000001.log").unlink()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return made(tmp_path / "good.wal", *(b"entry %d." % n * 3 for n in range(1, 31)), max_segment_size=1200)


@pytest.mark.parametrize(
    ("what", "side", "other", "kept"),
    [(cut, "before", "after", (1, 29)), (headless, "after", "before", (9, 30))],
    ids=["the end is missing", "the beginning is missing"],
)
def test_a_side_where_nothing_is_can_be_neither_chosen_nor_asked_for(
    good: Path, command: Walogs, what: Callable[[Path], None], side: str, other: str, kept: tuple[int, int]
) -> None:
    what(good)
    before = bytes_of(good)
    told = command("repair", good, "--dry-run")
    assert told.status == 4
    assert told.out.decode().count(f"would be kept: {kept[0]} to {kept[1]}\n") == 1
    assert "--keep" not in told.out.decode()
    facts = command("repair", good, "--dry-run", "--json").json()
    assert (facts["sides"], facts["other_side"]) == ([side], None)
    for options in (("--dry-run",), ("--yes",), ("--json",), ()):
        told = command("repair", good, "--keep", other, *options)
        assert told.status == 4
        assert f"nothing intact lies {other} the damage: entries {kept[0]} to {kept[1]} lie {side} it" in told.line
        assert told.out == b""
    told = command("repair", good)
    assert (told.status, told.line) == (4, "walogs: Nothing was changed. Give --yes to repair the log like this.")
    assert bytes_of(good) == before
    status, shown = answered(good, b"yes\n")
    assert status == 0
    assert GO_ON in shown
    assert CHOICE not in shown
    assert lsns_of(good) == kept


def test_yes_alone_keeps_the_side_that_there_is(good: Path, command: Walogs) -> None:
    headless(good)
    assert command("repair", good, "--yes").status == 0
    assert lsns_of(good) == (9, 30)


def test_it_waits_for_the_log_as_long_as_it_is_told(
    log: Path, command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = LocalStore(log)
    holder.acquire()
    assert command("repair", log, "--keep", "before").status == 3
    assert command("repair", log, "--keep", "before", "--wait", "1ms").status == 3
    environment = repair_module.ENVIRONMENT._replace(sleep=lambda _: holder.close())
    monkeypatch.setattr(repair_module, "ENVIRONMENT", environment)
    assert command("repair", log, "--keep", "before", "--wait", "1h").status == 0
    assert lsns_of(log) == (1, 14)
