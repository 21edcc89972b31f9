"""Processes that these tests start: each has a time limit of its own, and none is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = Path(__file__).parent / "programs"
SECONDS_MAX: Final = 60.0
"""After this long a child hangs: it is killed, and the test fails."""


def seed_of(name: str) -> int:
    """A new seed for *name*, printed, unless `WALOGS_SEED` brings one back."""
    seed = int(os.environ.get("WALOGS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{name}: WALOGS_SEED={seed}")
    return seed


def environment(**more: str) -> dict[str, str]:
    """Children find walogs and these tests where this process does, whatever their directory is."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def program(name: str, *arguments: object) -> list[str]:
    """The command that runs `programs/NAME.py` in the interpreter of this process."""
    return [sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, arguments)]


def run(command: Sequence[str], *, seconds: float = SECONDS_MAX, **more: str) -> subprocess.CompletedProcess[str]:
    """Run to the end and return all it said, whatever its status."""
    return subprocess.run(
        command, env=environment(**more), capture_output=True, text=True, timeout=seconds, check=False
    )


def said(ran: subprocess.CompletedProcess[str]) -> str:
    """For messages of assertions."""
    return f"status {ran.returncode}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"


class Child:
    """A process and what it has said so far, collected while it runs; killed at the latest when its block ends."""

    def __init__(self, command: Sequence[str], **more: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed when the block ends
        self.process = subprocess.Popen(
            command,
            env=environment(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._is_over = False
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                if line.endswith("\n"):  # a killed process may leave half a line: it acknowledges nothing
                    self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def lines(self) -> list[str]:
        """What it has said so far."""
        with self._changed:
            return list(self._lines)

    def wait_for(self, start: str | tuple[str, ...], *, seconds: float = SECONDS_MAX) -> str:
        """The first line that begins so. Raises `AssertionError` when the process ends, or hangs, without it."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or any(x.startswith(start) for x in self._lines), seconds)
            found = next((x for x in self._lines if x.startswith(start)), None)
        assert found is not None, f"{start!r} was not said\n{self.lines()[-5:]}\n{self.errors()}"
        return found

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-3000:]

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Signal it and wait for its end; its status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, *, seconds: float = SECONDS_MAX) -> int:
        """Its status, once it has ended and everything it said is read."""
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self._errors.close()


def forked(body: Callable[[], object], *, seconds: float = SECONDS_MAX) -> int:
    """Run *body* in a fork of this process, which ends without any clean-up; its exit status: 0 if *body* returned.

    A child that hangs is killed, and its status is then -SIGKILL.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException:  # noqa: BLE001  # the child must never return into the test
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextlib.contextmanager
def quick_directory() -> Iterator[Path]:
    """A directory in memory where the machine has one: for what does not depend on the disk, and happens often."""
    memory = Path("/dev/shm")
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="walogs-", dir=base))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
