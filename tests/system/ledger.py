"""What was acknowledged, and whether a log still says so: one oracle for every kind of crash in this directory.

An entry is made from its token, a number, and can be told from every other and from garbage without any record of it.
So a log is checked against what was acknowledged alone: what else is in it must be whole entries, each once, in order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import walogs

PREFIX: Final = b"token %010d of thread %02d:"
PREFIX_BYTES: Final = len(PREFIX % (0, 0))
PROBE_THREAD: Final = 99
"""The name of the thread that appends when the ledger checks a log."""
EMPTY_THREAD: Final = 98
"""The name of the thread that appends only empty entries, which all look the same."""


def payload(token: int, thread: int = 0, size: int | None = None) -> bytes:
    """Return the entry made from *token*, which determines its length and bytes. It has at least *size* bytes."""
    if thread == EMPTY_THREAD:
        return b""
    rng = random.Random(token * 100 + thread)
    body = rng.randbytes(rng.choice((0, 1, 30, 200, 700)))
    whole = PREFIX % (token, thread) + body
    return whole if size is None else whole.ljust(size, b".")


def token_of(data: bytes) -> tuple[int, int]:
    """Return the (thread, token) of an entry. Raise `AssertionError` if no thread appended it."""
    if not data:
        return EMPTY_THREAD, 0
    words = data[:PREFIX_BYTES].split()
    assert len(words) == 5, f"no entry of ours: {data[:60]!r}"
    token, thread = int(words[1]), int(words[4].rstrip(b":"))
    made = payload(token, thread)
    assert data[: len(made)] == made, f"the entry of token {token} is not what was appended: {data[:60]!r}"
    assert not data[len(made) :].strip(b"."), f"the entry of token {token} has grown: {data[-60:]!r}"
    return thread, token


@dataclass
class Ledger:
    """The acknowledged entries of one log, over any number of writers, kills and opens."""

    acknowledged: dict[int, tuple[int, int]] = field(default_factory=dict)
    """LSN -> (thread, token)."""
    batches: list[list[tuple[int, int]]] = field(default_factory=list)
    """The batches that were appended. Each must be there as a whole, or not at all."""
    checkpointed: int = 0
    """The highest LSN that was passed to a checkpoint."""
    probes: int = 0

    def acknowledge(self, lsn: int, token: int, thread: int = 0) -> None:
        assert self.acknowledged.get(lsn, (thread, token)) == (thread, token), f"LSN {lsn} was given out twice"
        self.acknowledged[lsn] = thread, token

    def read(self, lines: Iterable[str]) -> list[list[str]]:
        """Record the output of a program of `programs/`. Return the lines that have another meaning."""
        others: list[list[str]] = []
        for line in lines:
            match line.split():
                case ["ack", lsn, token, thread]:
                    self.acknowledge(int(lsn), int(token), int(thread))
                case ["checkpoint", lsn]:
                    self.checkpointed = max(self.checkpointed, int(lsn))
                case ["batch", thread, *tokens]:
                    self.batches.append([(int(thread), int(token)) for token in tokens])
                case words:
                    others.append(words)
        return others

    def check(self, entries: Sequence[tuple[int, bytes]], next_lsn: int) -> None:
        """Check that every acknowledged entry above the checkpoint is there once, in order and intact (G1, G2, G12)."""
        lsns = [lsn for lsn, _ in entries]
        first = lsns[0] if lsns else next_lsn
        assert lsns == list(range(first, next_lsn)), f"the LSNs are not dense: {lsns}, next {next_lsn}"
        assert first <= self.checkpointed + 1, f"begins at {first}; checkpointed up to {self.checkpointed}"
        found = {lsn: token_of(data) for lsn, data in entries}
        for lsn, (thread, token) in self.acknowledged.items():
            if lsn >= first:
                assert found.get(lsn) == (thread, token), f"entry {lsn} was acknowledged: token {token} of {thread}"
        by_thread: dict[int, list[int]] = {}
        for thread, token in found.values():
            by_thread.setdefault(thread, []).append(token)
        for thread, tokens in by_thread.items():
            assert thread == EMPTY_THREAD or tokens == sorted(set(tokens)), (
                f"thread {thread}: out of order, or twice: {tokens}"
            )
        there = set(found.values())
        for batch in self.batches:
            kept = [member for member in batch if member in there]
            assert kept in ([], batch), f"half a batch: {kept} of {batch}"  # a checkpoint takes whole segments

    def probe(self, wal: walogs.Wal) -> int:
        """Append one more entry, record that it was acknowledged, and return its LSN."""
        self.probes += 1
        lsn = wal.append(payload(self.probes, PROBE_THREAD))
        self.acknowledge(lsn, self.probes, PROBE_THREAD)
        return lsn

    def check_log(
        self, path: str | Path, *, looks: int = 2, max_segment_size: int = 64 << 20, store: str = "local"
    ) -> walogs.types.RecoveryReport:
        """Open, check and append, as often as asked. Return the report of the first open."""
        reports: list[walogs.types.RecoveryReport] = []
        before: list[tuple[int, bytes]] | None = None
        for _ in range(looks):
            with walogs.open(path, max_segment_size=max_segment_size, store=store) as wal:
                reports.append(wal.recovery_report)
                entries = list(wal)
                self.check(entries, wal.next_lsn)
                assert before is None or entries == before, "a second open does not find what the first left"
                self.probe(wal)
                before = list(wal)
        return reports[0]
