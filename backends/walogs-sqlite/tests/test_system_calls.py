"""What SQLite asks of the system, and what becomes of an append when it refuses: seen and injected by strace."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.system.children import environment
from tests.system.ledger import Ledger
from tests.system.strace import require_strace

APPENDING: Final = Path(__file__).parent / "programs" / "appending.py"
APPENDS: Final = 5


def traced(path: Path, calls: str, *options: str) -> tuple[list[str], str]:
    """(what the program said, the trace)."""
    require_strace()
    trace = path.with_suffix(".trace")
    command = ["strace", "-f", "-y", "-s", "60", "-o", str(trace), "-e", f"trace={calls}", *options]
    ran = subprocess.run(
        [*command, sys.executable, str(APPENDING), str(path)],
        env=environment(),
        input="3000\n" * APPENDS,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.stdout, ran.stderr
    return ran.stdout.splitlines(), trace.read_text()


@pytest.mark.guarantee("G1")
def test_an_append_that_has_returned_was_written_to_the_wal_and_then_synced(path: Path) -> None:
    lines, trace = traced(path, "pwrite64,fdatasync,fsync,write")
    assert [line.split()[0] for line in lines] == ["ready", *["begin", "ack"] * APPENDS]
    commits = re.split(r"begin \d+", trace)[1:]
    assert len(commits) == APPENDS
    for commit in commits:
        until_acknowledged = commit.partition('"ack')[0]
        calls = re.findall(r"(pwrite64|fdatasync|fsync)\(\d+<([^>]*)>.*= (\d+)", until_acknowledged)
        names = [(call, Path(name).name) for call, name, _ in calls]
        writes = [at for at, found in enumerate(names) if found == ("pwrite64", f"{path.name}-wal")]
        syncs = [at for at, (call, name) in enumerate(names) if call != "pwrite64" and name == f"{path.name}-wal"]
        assert writes, names
        assert syncs, names
        assert syncs[-1] > writes[-1], names
        assert calls[syncs[-1]][2] == "0"


@pytest.mark.guarantee("G7", "G8")
@pytest.mark.parametrize("when", [1, 4, 6, 8])
def test_a_sync_that_fails_makes_the_outcome_unknown_and_is_not_repeated(path: Path, when: int) -> None:
    calls = "fdatasync,fsync"
    lines, _ = traced(path, calls, "-P", f"{path}-wal", "-e", f"inject={calls}:error=EIO:when={when}")
    said = Counter(line.split()[0] for line in lines)
    print(when, dict(said))
    ledger = Ledger()
    ledger.read(line for line in lines if line.startswith("ack"))
    if said["OutcomeUnknown"]:
        after = lines[next(at for at, line in enumerate(lines) if line.startswith("OutcomeUnknown")) + 1 :]
        assert {line.split()[0] for line in after} <= {"begin", "Poisoned"}
    else:
        assert said["ack"] == APPENDS or lines[0].startswith("open:"), lines
    with walogs.open(path, store="sqlite") as wal:
        ledger.check(list(wal), wal.next_lsn)
        assert wal.last_lsn - len(ledger.acknowledged) in (0, 1)
    ledger.check_log(path, store="sqlite")


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("when", [1, 8, 12, 13, 14, 22])
def test_a_write_that_finds_no_space_refuses_one_append_and_loses_nothing(path: Path, when: int) -> None:
    inject = f"inject=pwrite64:error=ENOSPC:when={when}"
    lines, _ = traced(path, "pwrite64", "-P", f"{path}-wal", "-e", inject)
    said = Counter(line.split()[0] for line in lines)
    print(when, dict(said))
    assert not said["OutcomeUnknown"] + said["Poisoned"]
    assert said["NoSpace"] <= 1
    assert said["ack"] + said["NoSpace"] == APPENDS or lines[0].startswith("open: NoSpace")
    ledger = Ledger()
    ledger.read(line for line in lines if line.startswith("ack"))
    with walogs.open(path, store="sqlite") as wal:
        assert len(list(wal)) == wal.last_lsn == said["ack"]
        ledger.check(list(wal), wal.next_lsn)
