"""`walogs demo` shows what is there, and says so when it is not what was promised."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.cli.commands import COMMAND, ENVIRONMENT, Walogs
from walogs.cli.demo import command as demo
from walogs.cli.demo import flipped_bit
from walogs.cli.demo.command import OpenedLog


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo puts its logs; it kills early here."""
    monkeypatch.setattr(demo, "ENOUGH", 30)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.guarantee("G1", "G5", "G6")
def test_it_shows_a_kill_a_power_cut_and_damage_and_leaves_nothing(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "walogs.py").write_text("raise SystemExit('the wrong walogs')")
    ran = subprocess.run(
        [COMMAND[0], "-P", *COMMAND[1:], "demo"],
        cwd=elsewhere,
        env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    shown = re.sub(r"\s+", " ", ran.stdout)
    acknowledged = int(found(r"acknowledged +(\d+) entries", shown))
    recovered, left = map(int, re.findall(r"recovered +(\d+) entries", shown))
    assert 0 < acknowledged <= recovered <= acknowledged + 1
    assert "A kill tears nothing" in shown
    assert "(simulated)" in shown
    assert left == recovered - 1
    assert f"recovered {left} entries, TruncatedAt(segment=1, offset=" in shown
    assert int(found(r"read back as entry (\d+)", shown)) == recovered
    assert f"(entry {recovered})" in found(r"refused +(Corrupt: .*?) →", shown)
    assert f"SQLite {sqlite3.sqlite_version} 10 of 20 rows come back" in shown
    assert "integrity_check` says: ok" in shown
    assert "(entry 11)" in found(r"walogs +(Corrupt: .*?) salvaged", shown)
    assert "salvaged 19 of 20 entries" in shown


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"{pattern} is not in: {text}"
    return match[1]


def told(command: Walogs) -> tuple[int, str]:
    status, out, error = command("demo")
    return status, re.sub(r"\s+", " ", out.decode() + error)


def test_in_this_process_too(command: Walogs, temporary: Path) -> None:
    status, shown = told(command)
    assert status == 0, shown
    assert list(temporary.iterdir()) == []


def lose_two_frames(log: Path) -> None:
    """What a power cut can do under `sync="none"`, and nothing else may."""
    segment = log / "wal-000001.log"
    with walogs.open(log) as wal:
        overhead = 2 * (demo.FRAME_OVERHEAD_BYTES + 7)
        last = b"".join(wal.read(lsn) for lsn in (wal.last_lsn - 1, wal.last_lsn))
        end = wal.recovery_report.bytes
    data = bytearray(segment.read_bytes())
    lost = min(len(last) + overhead, end - 512)
    data[end - lost : end] = bytes(lost)
    segment.write_bytes(data)
    (log / "DURABLE").unlink()


def after_the_kill(damage: Callable[[Path], None]) -> Callable[..., list[int]]:
    killed = demo.acknowledged_before_the_kill

    def planted(console: object, log: Path) -> list[int]:
        acknowledged = killed(console, log)  # type: ignore[arg-type]
        damage(log)
        return acknowledged

    return planted


def test_an_acknowledged_entry_that_is_lost_is_seen(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "acknowledged_before_the_kill", after_the_kill(lose_two_frames))
    status, shown = told(command)
    assert status == 1
    assert "wrong: acknowledged entries are missing" in shown
    assert "came back" not in shown


def test_a_log_that_is_all_gone_is_seen(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_all(log: Path) -> None:
        for path in log.iterdir():
            path.unlink()

    monkeypatch.setattr(demo, "acknowledged_before_the_kill", after_the_kill(lose_all))
    status, shown = told(command)
    assert status == 1
    assert "wrong: acknowledged entries are missing" in shown


OPENED = demo.reopen


def invented(log: Path) -> OpenedLog:
    found = OPENED(log)
    return found._replace(entries=[*found.entries, b"never", b"appended"])


def altered(log: Path) -> OpenedLog:
    found = OPENED(log)
    return found._replace(entries=[*found.entries[:-1], b"something else"])


def uncut(log: Path) -> OpenedLog:
    found = OPENED(log)
    return found._replace(tail_state=walogs.Clean())


def forgetful(log: Path) -> OpenedLog:
    """Loses the first entry of a torn log."""
    found = OPENED(log)
    return found._replace(entries=found.entries[1:]) if "torn" in log.name else found


def trusting_the_damaged(log: Path) -> OpenedLog:
    """Does not heed the durable mark of a damaged log."""
    if "damaged" in log.name:
        (log / "DURABLE").unlink(missing_ok=True)
    return OPENED(log)


@pytest.mark.parametrize("planted", [invented, altered, uncut, forgetful])
def test_a_planted_recovery_is_seen(
    planted: Callable[[Path], OpenedLog], command: Walogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "reopen", planted)
    status, shown = told(command)
    assert status == 1
    assert "wrong: " in shown
    assert "Every acknowledged entry came back" not in shown


def test_damage_that_is_not_refused_is_seen(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "reopen", trusting_the_damaged)
    status, shown = told(command)
    assert status == 1
    assert "wrong: it was opened, with" in shown


def test_its_json_has_the_facts_and_standard_output_nothing_else(command: Walogs, temporary: Path) -> None:
    told = command("demo", "--json")
    assert (told.status, told.error) == (0, "")
    facts = told.json()
    kill, cut, damage = facts["kill"], facts["power_cut"], facts["damage"]
    assert facts["ok"] is True
    assert 0 < kill["acknowledged"] <= kill["recovered"] <= kill["acknowledged"] + 1
    assert kill["tail_state"]["state"] in ("Clean", "TruncatedAt")
    assert cut["recovered"] == kill["recovered"] - 1
    assert (cut["tail_state"]["state"], cut["tail_state"]["segment"]) == ("TruncatedAt", 1)
    assert cut["appended_lsn"] == damage["lsn"] == kill["recovered"]
    assert f"(entry {kill['recovered']})" in damage["refused"]
    bit = facts["flipped_bit"]
    assert bit["sqlite"] == {"version": sqlite3.sqlite_version, "rows": 10, "integrity_check": "ok"}
    assert (bit["rows"], bit["damaged_row"], bit["lsn"], bit["salvaged"]) == (20, 11, 11, 19)
    assert [part["wrong"] for part in (kill, cut, damage, bit)] == [None] * 4
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("planted", "wrong"),
    [
        (altered, {"kill": "acknowledged entries are missing"}),
        (forgetful, {"kill": None, "power_cut": "the entries before the cut did not come back unchanged"}),
        (trusting_the_damaged, {"kill": None, "power_cut": None, "damage": "it was opened, with"}),
    ],
)
def test_its_json_says_what_was_wrong_and_has_no_later_part(
    planted: Callable[[Path], OpenedLog],
    wrong: dict[str, str | None],
    command: Walogs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "reopen", planted)
    told = command("demo", "--json")
    facts = told.json()
    assert (told.status, facts.pop("ok")) == (1, False)
    assert {name for name, part in facts.items() if part is not None} == set(wrong)
    for name, why in wrong.items():
        found = facts[name]["wrong"]
        assert found is None if why is None else found.startswith(why)


def test_a_flipped_bit_that_walogs_does_not_see_is_seen(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flipped_bit, "flip_bit", lambda path: None)
    status, shown = told(command)
    assert status == 1
    assert "wrong: the damaged log was opened, with 20 entries" in shown
    assert "Every acknowledged entry came back" not in shown


def test_without_sqlite_walogs_answer_is_shown_alone(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    status, shown = told(command)
    assert status == 0, shown
    assert "SQLite this Python was built without it" in shown


def test_a_writer_that_dies_by_itself_is_an_error(
    command: Walogs, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    status, _, error = command("demo")
    assert (status, error) == (1, "walogs: the writing process ended before it was killed.\n")
    assert list(temporary.iterdir()) == []


def test_a_slow_disk_is_not_waited_for(command: Walogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "ENOUGH", 10**9)
    monkeypatch.setattr(demo, "SECONDS_MAX", 0.0)
    status, shown = told(command)
    assert status == 0, shown


def test_an_interrupt_leaves_neither_process_nor_file(
    command: Walogs, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[subprocess.Popen[bytes]] = []

    def interrupted(child: subprocess.Popen[bytes]) -> bytes:
        assert child.stdout is not None
        assert child.stdout.read(1)  # it writes
        children.append(child)
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "read_output", interrupted)
    assert command("demo") == (130, b"", "walogs: interrupted.\n") or children
    assert [child.returncode for child in children] == [-9]
    assert list(temporary.iterdir()) == []


def test_output_that_nobody_reads_is_not_a_success(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path)}
        ran = subprocess.run([*COMMAND, "demo"], stdout=theirs, stderr=subprocess.PIPE, env=environment, check=False)
    finally:
        os.close(theirs)
    assert (ran.returncode, ran.stderr) == (1, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_writer_whose_reader_is_gone_ends(tmp_path: Path) -> None:
    """Nobody is left to kill it when the demo itself was killed."""
    command = [sys.executable, "-m", "walogs.cli.demo.writer", os.fspath(tmp_path / "x.wal")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.readline() == b"1\n"
        writer.stdout.close()
        assert writer.wait(timeout=300) == 1
        assert writer.stderr.read() == b""
