"""`python -m benchmarks.identity_codec`: what asking a codec that has nothing to do would cost (`encode`, `decode`).

The same log, written and walked with the default codec as it is, and with one that differs only in not saying that it
is the identity: the engine then makes a `FrameContext` and asks it, for every frame. docs/decisions/ has the figures.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import walogs
from benchmarks.machine import described
from benchmarks.measure import Costs, Work, interleaved, spread
from walogs.defaults.crc32_codec import Crc32Codec

ENTRY: Final = bytes(range(128))
BLOCK: Final = 200
BATCH: Final = 1000
WALKED: Final = 100_000
ROUNDS: Final = 7


class AskedCodec(Crc32Codec):
    """The same bytes; asked for every frame."""

    identity: bool = False


CODECS: Final[dict[str, Callable[[], Crc32Codec]]] = {
    "left out": Crc32Codec,
    "left out again": Crc32Codec,
    "asked": AskedCodec,
}


def appending(place: Path) -> Costs:
    """CPU of blocks of appends. No commit waits for a disk."""
    with ExitStack() as stack:
        logs = {
            name: stack.enter_context(walogs.open(place / name, codec=codec(), sync="none"))
            for name, codec in CODECS.items()
        }

        def prepared(wal: walogs.Wal) -> Callable[[], Work]:
            def work() -> None:
                for _ in range(BLOCK):
                    wal.append(ENTRY)

            return lambda: work

        return interleaved({name: prepared(wal) for name, wal in logs.items()}, ROUNDS, 40, time.thread_time_ns)


def walking(log: Path) -> Costs:
    """CPU of walks over a whole sealed segment, from a warm cache."""

    def prepared(codec: Callable[[], Crc32Codec]) -> Callable[[], Work]:
        def work() -> int:
            with walogs.open(log, codec=codec(), verify="last") as wal:
                began = time.thread_time_ns()
                deque(wal, maxlen=0)
                return time.thread_time_ns() - began

        return lambda: work

    return interleaved({name: prepared(codec) for name, codec in CODECS.items()}, ROUNDS, 3, time.thread_time_ns)


def sealed(log: Path, batch: int) -> Path:
    with walogs.open(log, sync="none") as wal:
        for _ in range(WALKED // batch):
            wal.append_batch([ENTRY] * batch)
        wal.rotate()
    return log


def told(what: str, costs: Costs, entries: int) -> str:
    """ns an entry with and without the calls, what they add, and that of nothing at all."""
    each = {name: costs.median(name) / entries for name in CODECS}
    added, noise = each["asked"] - each["left out"], each["left out again"] - each["left out"]
    ratios = spread(costs.ratios("asked", "left out"))
    return (
        f"{what}: {each['left out']:.0f} ns an entry, {each['asked']:.0f} if it is asked:"
        f" {added:+.0f} ns, × {ratios}; noise {noise:+.0f} ns"
    )


def main() -> None:
    with TemporaryDirectory(dir=".", prefix="benchmark-") as directory:
        place = Path(directory)
        print(described(place))
        print(told("append", appending(place), BLOCK))
        print(told("walk, sealed, single appends", walking(sealed(place / "single", 1)), WALKED))
        print(told("walk, sealed, batches of 1,000", walking(sealed(place / "batches", BATCH)), WALKED))


if __name__ == "__main__":
    main()
