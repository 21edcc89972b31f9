"""Failing, interrupting and killing one system call of a real process: strace's `inject`, at every call in turn.

An injected error is not carried out: the kernel has changed nothing. strace injects only into what it also traces.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.kit.requirements import require
from tests.system.children import environment, program

SEGMENTS_MAX: Final = 12
CALLS: Final = (
    "pwrite64", "fdatasync", "fsync", "openat", "renameat", "ftruncate", "unlinkat", "mkdir", "pread64", "getdents64",
)  # fmt: skip
LINE: Final = re.compile(r"\d+ +(\w+)\((.*)")
NUMBER: Final = re.compile(r"wal-(\d{6})\.log(\.tmp)?\b")
SAID: Final = re.compile(r'"begin ([\w-]+)\\n"')


def require_strace() -> None:
    require("strace", shutil.which("strace") is not None, "strace is not installed")
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    require("strace", tried.returncode == 0, "strace may not trace here")


@dataclass(frozen=True)
class Place:
    """One system call of the workload, with its number among the calls of its kind, and its file."""

    call: str
    when: int
    verb: str
    """The verb that the workload had begun."""
    target: str
    """`newest`, `older`, `tmp` (segments), `directory`, `LOCK` or `DURABLE`."""


@dataclass
class Ran:
    """A workload that ran under strace: its output, its exit status, and its system calls."""

    status: int
    lines: list[str]
    trace: str
    errors: str


def run_workload(directory: Path, *, inject: str = "", calls: tuple[str, ...] = CALLS) -> Ran:
    """Run `workload.py` on *directory*/log. *inject* is a failure such as `fsync:error=EIO:when=3`, or "" for none."""
    log, output, trace = directory / "log", directory / "said", directory / "trace"
    names = [f"wal-{number:06d}.log{end}" for number in range(1, SEGMENTS_MAX) for end in ("", ".tmp")]
    traced = inject.partition(":")[0] if inject else ",".join((*calls, "write"))
    command = ["strace", "-f", "-y", "-s", "40", "-o", str(trace), "-e", f"trace={traced}"]
    for path in (log, output, *(log / name for name in ("LOCK", "DURABLE", *names))):
        command += ["-P", str(path)]
    if inject:
        command += ["-e", f"inject={inject}"]
    with output.open("w") as said:
        ran = subprocess.run(
            [*command, *program("workload", log)],
            env=environment(),
            stdout=said,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
            check=False,
        )
    return Ran(
        status=ran.returncode,
        lines=output.read_text().splitlines(),
        trace=trace.read_text(),
        errors=ran.stderr,
    )


def places(trace: str) -> list[Place]:
    """Return every system call of a workload that ran without a failure."""
    found: list[Place] = []
    counts: dict[str, int] = {}
    verb, newest = "", 0
    for line in trace.splitlines():
        parts = LINE.match(line)
        if parts is None:
            continue
        call, rest = parts[1], parts[2]
        if call == "write":
            said = SAID.search(rest)
            verb = said[1] if said is not None else verb
            continue
        counts[call] = counts.get(call, 0) + 1
        found.append(Place(call=call, when=counts[call], verb=verb, target=target(rest, newest)))
        if call == "renameat":
            newest = max(newest, *(int(number) for number, _ in NUMBER.findall(rest)))
    return found


def target(arguments: str, newest: int) -> str:
    named = NUMBER.findall(arguments)
    if named:
        number, tmp = named[-1]
        return "tmp" if tmp else "newest" if int(number) == newest else "older"
    return "LOCK" if "/LOCK" in arguments else "DURABLE" if "DURABLE" in arguments else "directory"
