"""Threads that append while something is killed, and the judgement of what is left of their entries."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final, Self

import walogs

SECONDS: Final = 600
"""A log that has acknowledged nothing for this long does not work any more."""


class Load:
    """Appends from several threads for as long as its block lasts."""

    def __init__(self, wal: walogs.Wal, *, seed: int, threads: int) -> None:
        self._wal = wal
        self._seed = seed
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._append, args=(name,)) for name in range(threads)]
        self.acknowledged: dict[int, bytes] = {}
        self.unknown: list[bytes] = []
        """The entries whose append has raised `OutcomeUnknown`."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _append(self, name: int) -> None:
        count = 0
        while not self._ends.is_set():
            data = b"%d %d %d" % (name, count, self._seed)
            try:
                lsn = self._wal.append(data)
            except walogs.OutcomeUnknown:
                self.unknown.append(data)
                raise
            assert lsn not in self.acknowledged, f"LSN {lsn} was given twice"
            self.acknowledged[lsn] = data
            count += 1

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more entries are acknowledged."""
        until, wanted = time.monotonic() + SECONDS, len(self.acknowledged) + count
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < until, "no entry was acknowledged for ten minutes"
            time.sleep(0.01)

    def judge(self, there: Mapping[int, bytes], what: str) -> None:
        """Check that nothing acknowledged is lost and that nothing is there twice. Print what was tried."""
        lost = {lsn for lsn, data in self.acknowledged.items() if there.get(lsn) != data}
        twice = len(there) - len(set(there.values()))
        tried = f"{len(self.acknowledged)} acknowledged, {len(self.unknown)} unknown"
        print(f"{what}: {tried}, {len(lost)} lost, {twice} twice; seed {self._seed}")
        assert not lost
        assert not twice
        assert len(there) >= len(self.acknowledged)
