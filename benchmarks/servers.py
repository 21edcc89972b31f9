"""`python -m benchmarks.servers`: one commit on each store, beside the bare client of the same server.

Real servers run on this machine: three of NATS that sync every message, and SeaweedFS. The bare client sends a message
or an object of as many bytes as walogs' commit has, in the same way and in turns with walogs. So the ratio says what
walogs adds. The times in milliseconds are those of this machine without a network.

    uv run --group remote python -m benchmarks.servers
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final, NamedTuple

import obstore
from obstore.store import S3Store

import walogs
from tests.kit import nats_servers, s3_programs, s3_server
from walogs.protocols import SegmentStore
from walogs_jetstream import JetStreamStore
from walogs_object_store import ObjectStore
from walogs_sqlite import SqliteStore

SHAPES: Final = {"1 x 200 B": (1, 200), "100 x 200 B": (100, 200), "1 x 100 kB": (1, 100_000)}
SECONDS: Final = 3.0
TURN: Final = 10
"""So many commits are made before the other one's turn comes."""


class Place(NamedTuple):
    """A store, and how a bare client puts so many bytes into the same server."""

    store: SegmentStore
    put: Callable[[bytes], object] | None


def main() -> int:
    argparse.ArgumentParser(prog="benchmarks.servers", description=__doc__).parse_args()
    os.environ.update(s3_server.CREDENTIALS)
    print(
        "| store | commit | walogs / bare, commits a second | ms a commit, median and p99 |",
        "|---|---|---|---|",
        sep="\n",
    )
    with tempfile.TemporaryDirectory(dir=".") as directory, ExitStack() as stack:
        for name, make in STORES.items():
            place = stack.enter_context(make(Path(directory).resolve() / name))
            with walogs.open(store=place.store) as wal:
                for shape, (count, size) in SHAPES.items():
                    print(f"| {name} | {shape} | {compare(wal, place, count, size)} |", flush=True)
    return 0


def compare(wal: walogs.Wal, place: Place, count: int, size: int) -> str:
    """Return the cells of one row. Raises `SystemExit` if the log does not hold what was appended."""
    entries = [random.Random(number).randbytes(size) for number in range(count)]
    commit_bytes, put = size * count + 600, place.put
    ours: list[float] = []
    bare: list[float] = []
    first_lsn, until = wal.next_lsn, time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        ours += [timed(lambda: wal.append_batch(entries)) for _ in range(TURN)]
        if put is not None:
            bare += [timed(lambda: put(os.urandom(commit_bytes))) for _ in range(TURN)]
    if list(wal.iter(first_lsn)) != list(enumerate(entries * len(ours), first_lsn)):
        raise SystemExit("the log does not hold what was appended")
    ratio = f"{median(bare) / median(ours):.2f}" if bare else ""
    return f"{ratio} | {median(ours) * 1000:.1f}, {quantiles(ours, n=100)[98] * 1000:.1f}"


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# The stores


@contextmanager
def local(place: Path) -> Iterator[Place]:
    from walogs.defaults.local_store import LocalStore

    yield Place(LocalStore(str(place)), None)


@contextmanager
def sqlite(place: Path) -> Iterator[Place]:
    yield Place(SqliteStore(f"{place}.db"), None)


@contextmanager
def jetstream(place: Path, count: int) -> Iterator[Place]:
    with nats_servers.running(place, count) as servers:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        options: dict[str, Any] = {
            "replicas": count,
            "monitoring": tuple(server.monitoring for server in servers),
        }
        store = JetStreamStore(f"nats://{hosts}/orders", **options)
        other = JetStreamStore(f"nats://{hosts}/bare", **options)
        other.acquire()

        def put(data: bytes) -> object:
            return other._connection.calls().ask(
                lambda client: client.jetstream().publish("walogs.bare", data), about="walogs.bare"
            )

        yield Place(store, put)
        other.close()


@contextmanager
def seaweedfs(place: Path) -> Iterator[Place]:
    place.mkdir()
    with s3_programs.running(s3_programs.seaweedfs(place)) as server:
        s3_programs.make_bucket(server, "walogs")
        endpoint = f"http://127.0.0.1:{server.port}"
        bare = S3Store("walogs", prefix="bare", endpoint=endpoint, client_options={"allow_http": True})
        names = iter(range(10**9))

        def put(data: bytes) -> object:
            return obstore.put(bare, f"{next(names):020d}", data, mode="create", use_multipart=False)

        yield Place(ObjectStore("s3://walogs/orders", endpoint=endpoint), put)


STORES: Final[dict[str, Callable[[Path], Any]]] = {
    "local files": local,
    "SQLite": sqlite,
    "JetStream, one server": lambda place: jetstream(place, 1),
    "JetStream, three servers": lambda place: jetstream(place, 3),
    "SeaweedFS": seaweedfs,
}

if __name__ == "__main__":
    sys.exit(main())
