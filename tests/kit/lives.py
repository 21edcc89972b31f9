"""A log's life under one codec, and what must be true of it: for any codec, from whatever distribution."""

from __future__ import annotations

import random
from collections.abc import Callable

import walogs
from tests.kit.stores import LogFactory
from tests.system.children import seed_of

MakeCodec = Callable[[], "str | walogs.plugins.Codec"]


def some_data(rng: random.Random) -> bytes:
    """Of every kind: nothing, text that repeats, noise."""
    size = rng.choice((0, 1, 9, 60, 700, 5000))
    return rng.choice((rng.randbytes(size), b"one tea, " * (size // 9), bytes(size)))


def live(factory: LogFactory, codec: MakeCodec, turns: int = 60) -> list[bytes]:
    """Append, batch, rotate, checkpoint, close, kill and reopen as chance has it; compare at every open. What was
    appended."""
    rng = random.Random(seed_of(f"life of {codec()!r} {factory.shape}"))
    expected: list[bytes] = []
    first_lsn = 1
    wal = factory.open(codec=codec(), max_segment_size=8000)
    for turn in range(turns):
        what = rng.choice(("append", "append", "append", "batch", "batch", "rotate", "checkpoint", "close", "kill"))
        if what == "append":
            expected.append(some_data(rng))
            assert wal.append(expected[-1]) == len(expected)
        elif what == "batch":
            entries = [some_data(rng) for _ in range(rng.randrange(1, 9))]
            assert wal.append_batch(entries)[0] == len(expected) + 1
            expected += entries
        elif what == "rotate":
            wal.rotate()
        elif what == "checkpoint" and turn % 3 == 0 and len(expected) >= first_lsn:
            wal.checkpoint(rng.randrange(first_lsn, len(expected) + 1))
        elif what in ("close", "kill"):
            kill(wal) if what == "kill" else wal.close()
            wal = factory.open(codec=codec(), max_segment_size=8000, verify=rng.choice(("full", "last")))
        first_lsn = wal.first_lsn
        if expected[first_lsn - 1 :]:
            lsn = rng.randrange(first_lsn, len(expected) + 1)
            assert wal.read(lsn) == expected[lsn - 1]
    for _ in range(2):
        assert list(wal) == [(lsn, expected[lsn - 1]) for lsn in range(wal.first_lsn, len(expected) + 1)]
        wal.close()
        wal = factory.open(codec=codec())
        expected.append(b"after it was opened again")
        assert wal.append(expected[-1]) == len(expected)
    wal.close()
    return expected


def kill(wal: walogs.Wal) -> None:
    """Its process is gone: nothing more is written, and the lock is free."""
    wal._source.store.close()
    wal.closed = True
