"""How fast `zstd` is here, and how small: `uv run python plugins/walogs-zstd/throughput.py`. No log, no disk."""

from __future__ import annotations

import json
import random
from time import perf_counter

from walogs.plugins import FrameContext
from walogs_zstd import ZstdCodec

FRAME = FrameContext(
    log_id=bytes(16),
    segment=1,
    salt=1,
    offset=512,
    first_lsn=1,
    entries=1,
    time_ns=5,
    synced=512,
    link=bytes(8),
    body_bytes_max=1 << 30,
)
SECONDS = 0.3


def orders(size: int) -> bytes:
    """JSON lines, as programs log them."""
    rng = random.Random(1)
    lines: list[str] = []
    length = 0
    while length < size:
        order = {
            "order": rng.randrange(10**9),
            "item": rng.choice(("tea", "milk", "bread")),
            "cents": rng.randrange(9999),
        }
        lines.append(json.dumps(order) + "\n")
        length += len(lines[-1])
    return "".join(lines).encode()[:size]


def rate(call: object, size: int) -> float:
    """MB of body a second."""
    assert callable(call)
    calls, began = 0, perf_counter()
    while perf_counter() - began < SECONDS:
        call()
        calls += 1
    return calls * size / (perf_counter() - began) / 1e6


def main() -> None:
    print(f"{'body':>10} {'level':>6} {'stored':>8} {'encode':>12} {'decode':>12}")
    for size in (200, 4096, 1 << 20):
        for kind, body in (("JSON", orders(size)), ("random", random.Random(2).randbytes(size))):
            for level in (-5, 1, 3, 9) if kind == "JSON" else (3,):
                codec = ZstdCodec(level)
                stored = codec.encode(body, FRAME)
                encode = rate(lambda codec=codec, body=body: codec.encode(body, FRAME), size)
                decode = rate(lambda codec=codec, stored=stored: codec.decode(stored, FRAME), size)
                share = f"{len(stored) / size:.0%}"
                print(f"{size:>10} {level:>6} {share:>8} {encode:>7.0f} MB/s {decode:>7.0f} MB/s  {kind}")


if __name__ == "__main__":
    main()
