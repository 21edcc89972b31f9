"""`python -m benchmarks.identity_codec`: what it would cost to call `encode` and `decode` of a codec that does nothing.

The same log is written and walked with the default codec, and with one that does not say that it is the identity. For
the second one, the engine makes a `FrameContext` for every frame and calls the codec. docs/decisions/ has the figures.
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
from benchmarks.machine import describe_machine
from benchmarks.measure import Costs, Work, spread, time_in_turns
from walogs.defaults.crc32_codec import Crc32Codec

ENTRY: Final = bytes(range(128))
BLOCK: Final = 200
BATCH: Final = 1000
WALKED: Final = 100_000
ROUNDS: Final = 7


class AskedCodec(Crc32Codec):
    """A codec that stores the same bytes as the default, and is called for every frame."""

    identity: bool = False


CODECS: Final[dict[str, Callable[[], Crc32Codec]]] = {
    "left out": Crc32Codec,
    "left out again": Crc32Codec,
    "asked": AskedCodec,
}


def appending(place: Path) -> Costs:
    """Measure the CPU time of blocks of appends. No commit waits for a disk."""
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

        return time_in_turns({name: prepared(wal) for name, wal in logs.items()}, ROUNDS, 40, time.thread_time_ns)


def walking(log: Path) -> Costs:
    """Measure the CPU time of walks over a whole sealed segment, from a warm cache."""

    def prepared(codec: Callable[[], Crc32Codec]) -> Callable[[], Work]:
        def work() -> int:
            with walogs.open(log, codec=codec(), verify="last") as wal:
                began = time.thread_time_ns()
                deque(wal, maxlen=0)
                return time.thread_time_ns() - began

        return lambda: work

    return time_in_turns({name: prepared(codec) for name, codec in CODECS.items()}, ROUNDS, 3, time.thread_time_ns)


def write_sealed_log(log: Path, batch: int) -> Path:
    with walogs.open(log, sync="none") as wal:
        for _ in range(WALKED // batch):
            wal.append_batch([ENTRY] * batch)
        wal.rotate()
    return log


def describe_cost(what: str, costs: Costs, entries: int) -> str:
    """Describe the time per entry with and without the calls, the difference, and the noise."""
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
        print(describe_machine(place))
        print(describe_cost("append", appending(place), BLOCK))
        print(describe_cost("walk, sealed, single appends", walking(write_sealed_log(place / "single", 1)), WALKED))
        print(
            describe_cost("walk, sealed, batches of 1,000", walking(write_sealed_log(place / "batches", BATCH)), WALKED)
        )


if __name__ == "__main__":
    main()
