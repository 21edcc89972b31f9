"""A log that a test watches as `walogs top` does, with a clock that the test moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from walogs.assembly.opening import source_of
from walogs.cli.top.samples import Sample, Sampler

DATA: Final = b"x" * 100
FRAME: Final = 152
"""The bytes of a frame with one such entry: header, length, data and check."""


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A log that the test watches."""

    def __init__(self, name: str, source: Any) -> None:
        self.clock = Clock()
        self.source = source
        self.sampler = Sampler(name, source, monotonic=self.clock)

    def after(self, seconds: float = 1.0) -> Sample:
        """Take a sample, so many seconds after the one before."""
        self.clock.now += seconds
        return self.sampler.take()


def watched(log: Path) -> Watched:
    return Watched(str(log), source_of(log, None))


def append(wal: Any, count: int) -> None:
    for _ in range(count):
        wal.append(DATA)
