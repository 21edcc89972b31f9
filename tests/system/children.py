"""Run child processes. Each has a time limit of its own, and none survives its test."""

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

from tests.kit.temporary import IN_MEMORY

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = Path(__file__).parent / "programs"
SECONDS_MAX: Final = 300.0
"""A child that runs longer than this is killed, and the test fails."""


def seed_of(name: str) -> int:
    """Return a new seed for *name* and print it. If `WALOGS_SEED` is set, return that seed."""
    seed = int(os.environ.get("WALOGS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"{name}: WALOGS_SEED={seed}")
    return seed


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which a child imports walogs and these tests from the same places, in any directory."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def program(name: str, *arguments: object) -> list[str]:
    """Return the command that runs `programs/NAME.py` in the interpreter of this process."""
    return [sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, arguments)]


def run(command: Sequence[str], *, seconds: float = SECONDS_MAX, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Return its output and its exit status, without checking either."""
    return subprocess.run(
        command, env=environment(**more), capture_output=True, text=True, timeout=seconds, check=False
    )


def said(ran: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a finished command, for the message of an assertion."""
    return f"status {ran.returncode}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"


class Child:
    """A process, with its output so far. It is killed when its `with` block ends, if it still runs."""

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
                if line.endswith("\n"):  # a killed process may leave half a line, which acknowledges nothing
                    self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def lines(self) -> list[str]:
        """Return its output so far."""
        with self._changed:
            return list(self._lines)

    def wait_for(self, start: str | tuple[str, ...], *, seconds: float = SECONDS_MAX) -> str:
        """Return the first line that begins so. Raise `AssertionError` if the process ends or hangs first."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or any(x.startswith(start) for x in self._lines), seconds)
            found = next((x for x in self._lines if x.startswith(start)), None)
        assert found is not None, f"{start!r} was not said\n{self.lines()[-5:]}\n{self.errors()}"
        return found

    def wait_for_count(self, start: str, count: int, *, seconds: float = SECONDS_MAX) -> None:
        """Wait until so many lines begin so. Raise `AssertionError` if the process ends or hangs first."""

        def said() -> int:
            return sum(line.startswith(start) for line in self._lines)

        with self._changed:
            self._changed.wait_for(lambda: self._is_over or said() >= count, seconds)
            found = said()
        assert found >= count, f"{start!r} was said {found} times\n{self.lines()[-5:]}\n{self.errors()}"

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-3000:]

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send it a signal, wait for its end, and return its exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, *, seconds: float = SECONDS_MAX) -> int:
        """Wait for its end, read the rest of its output, and return its exit status."""
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


def let_it_acknowledge(child: Child, rng: random.Random) -> int:
    """Wait for so many acknowledgements, then for no time that is known: what follows hits any moment of an append."""
    count = rng.randint(5, 150)
    child.wait_for_count("ack ", count)
    time.sleep(rng.random() * 0.005)
    return count


@contextlib.contextmanager
def quick_directory() -> Iterator[Path]:
    """A directory in memory where the machine has one: for what does not depend on the disk, and happens often."""
    path = Path(tempfile.mkdtemp(prefix="walogs-", dir=IN_MEMORY))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
