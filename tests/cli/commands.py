"""The command line as its users have it: in a process of its own, or, where that does not matter, in this one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import walogs
from tests.house.source import ROOT
from walogs.cli.app import run

PROGRAM: Final = "import sys; from walogs.cli import main; sys.argv[0] = 'walogs'; sys.exit(main())"
COMMAND: Final = [sys.executable, "-W", "error", "-c", PROGRAM]
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}


class Told(NamedTuple):
    """What a command said, and how it ended."""

    status: int
    out: bytes
    error: str

    @property
    def line(self) -> str:
        """The one line on standard error."""
        assert self.error.startswith("walogs: ")
        assert self.error.endswith("\n")
        assert self.error.count("\n") == 1, self.error
        return self.error[:-1]

    def json(self) -> Any:
        return json.loads(self.out)


class Walogs:
    """`walogs("cat", path)` runs the command in this process; `apart` in another."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self.capture = capture

    def __call__(self, *tokens: str | os.PathLike[str]) -> Told:
        self.capture.readouterr()
        status = run([os.fspath(token) for token in tokens])
        out, error = self.capture.readouterr()
        return Told(status, out, error.decode())

    def apart(self, *tokens: str | os.PathLike[str], stdin: bytes = b"", before: str = "") -> Told:
        """*before*: statements that the process runs first."""
        command = [*COMMAND[:-1], before + PROGRAM, *map(os.fspath, tokens)]
        ran = subprocess.run(command, input=stdin, capture_output=True, env=ENVIRONMENT, check=False, timeout=300)
        return Told(ran.returncode, ran.stdout, ran.stderr.decode())


def entries_of(log: Path) -> list[bytes]:
    with walogs.open(log) as wal:
        return [data for _, data in wal]


def made(log: Path, *entries: bytes, **overrides: Any) -> Path:
    with walogs.open(log, **overrides) as wal:
        for entry in entries:
            wal.append(entry)
    return log


def bytes_of(log: Path) -> dict[str, tuple[bytes, int]]:
    """Name to content and mtime of everything in the directory but the lock, which whoever comes signs."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in log.iterdir() if path.name != "LOCK"}


def everything_in(log: Path) -> dict[str, tuple[bytes, int, int]]:
    """Name to content, mtime and ctime of everything in the directory and of the directory: what looking leaves as it
    is."""
    found = {path.name: (path.read_bytes(), path.stat()) for path in log.iterdir()}
    times = {name: (data, status.st_mtime_ns, status.st_ctime_ns) for name, (data, status) in found.items()}
    return {**times, ".": (b"", log.stat().st_mtime_ns, log.stat().st_ctime_ns)}


def on_a_terminal(*tokens: str | Path, status: int = 0, columns: int = 200) -> str:
    """All that a terminal gets from the command, which ends with *status*."""
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    environment.pop("NO_COLOR", None)
    try:
        process = forked_on(theirs, *tokens, environment=environment)
    finally:
        os.close(theirs)
    found, shown = ended_on(ours, process)
    assert found == status, shown
    return shown


def forked_on(terminal: int, *tokens: str | Path, environment: dict[str, str]) -> int:
    """Begin the command on a terminal, in a fork of this process. Return the number of the process.

    A fork has the modules of the command line already. To load them takes longer than what most commands do.
    """
    process = os.fork()
    if process != 0:
        return process
    status = 1
    try:
        for standard in (0, 1, 2):
            os.dup2(terminal, standard)
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            status = run([os.fspath(token) for token in tokens])
    except BaseException:  # noqa: BLE001  # the child must never return into the test
        traceback.print_exc()
    finally:
        os._exit(status)


def ended_on(terminal: int, process: int) -> tuple[int, str]:
    """(exit status, all that the terminal got), when the command that has its other side has ended."""
    with os.fdopen(terminal, "rb", buffering=0) as file:
        shown = b""
        try:
            while piece := file.read(65536):
                shown += piece
        except OSError:  # so Linux says that nobody has the other side any more
            pass
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()
