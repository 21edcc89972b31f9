"""The power of all servers is cut at once: what was acknowledged before is there.

Each server keeps its messages in a file system of its own, which is shut down without writing its log. That takes away
what was not synced, as a power cut does.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit import laboratory, nats_servers
from tests.kit.nats_servers import Server
from tests.kit.requirements import require
from tests.system.children import seed_of
from tests.system.filesystems import MEBIBYTE, Mounted, mounted, require_file_system
from tests.system.test_lost_page_cache import shut_down
from walogs_jetstream import JetStreamStore

CUTS: Final = laboratory.amount(4, 20)
APPENDERS: Final = 3


@contextmanager
def servers_on_file_systems(
    place: Path, count: int, lazy: tuple[str, ...]
) -> Iterator[tuple[list[Server], list[Mounted]]]:
    """Yield servers and the file systems that they keep everything in."""
    require("nats", nats_servers.program() is not None, "uv run --group remote pytest")
    require_file_system("ext4")
    with ExitStack() as stack:
        disks = []
        for number in range(1, count + 1):
            directory = place / f"disk-{number}"
            directory.mkdir()
            disks.append(stack.enter_context(mounted(directory, "ext4", 64 * MEBIBYTE)))
        servers = stack.enter_context(nats_servers.running(place, count, lazy=lazy, data=[disk.path for disk in disks]))
        yield servers, disks


def store_on(servers: list[Server], fsync: str) -> JetStreamStore:
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    monitoring = tuple(server.monitoring for server in servers)
    return JetStreamStore(
        f"nats://{hosts}/cut",
        replicas=len(servers),
        monitoring=monitoring,
        fsync=fsync,  # type: ignore[arg-type]
        deadline=600.0,
    )


def cut_often(servers: list[Server], disks: list[Mounted], fsync: str) -> tuple[int, int]:
    """Cut the power CUTS times under load. Return how many entries were acknowledged before a cut, and are gone."""
    rng, acknowledged, lost = random.Random(seed_of("power cuts")), 0, 0
    for number in range(CUTS):
        store = store_on(servers, fsync)
        wal = walogs.open(store=store)
        there = append_until_cut(wal, store, servers, disks, f"{number}", rng.randint(20, 200))
        acknowledged += len(there)
        with walogs.open(store=store_on(servers, fsync)) as wal:
            found = dict(wal)
        lost += sum(found.get(lsn) != data for lsn, data in there.items())
    return acknowledged, lost


def append_until_cut(
    wal: walogs.Wal, store: JetStreamStore, servers: list[Server], disks: list[Mounted], name: str, count: int
) -> dict[int, bytes]:
    """Append in threads, cut the power after *count* entries, and start the servers again.

    Return the entries that were acknowledged before the cut began.
    """
    acknowledged: dict[int, bytes] = {}
    is_enough, ends = threading.Event(), threading.Event()

    def append(thread: int) -> None:
        with suppress(walogs.WalError):
            for number in range(1_000_000):
                data = f"{name} {thread} {number}".encode()
                acknowledged[wal.append(data)] = data
                if len(acknowledged) >= count:
                    is_enough.set()
                if ends.is_set():
                    return

    threads = [threading.Thread(target=append, args=(thread,)) for thread in range(APPENDERS)]
    for thread in threads:
        thread.start()
    assert is_enough.wait(600)
    before = dict(acknowledged)
    for disk in disks:
        shut_down(disk)
    for server in servers:
        server.kill()
    ends.set()
    store.close()  # it would wait for the servers, and what it appends after the cut is not looked at
    for thread in threads:
        thread.join()
    with suppress(walogs.WalError):
        wal.close()
    for disk in disks:
        disk.remount()
    for server in servers:
        server.start()
    for server in servers:
        server.wait()
    return before


@pytest.mark.guarantee("G1")
@pytest.mark.timeout(1800)
def test_what_was_acknowledged_is_there_after_a_power_cut_of_all_servers(tmp_path: Path) -> None:
    with servers_on_file_systems(tmp_path, 3, ()) as (servers, disks):
        acknowledged, lost = cut_often(servers, disks, "required")
    print(f"{CUTS} power cuts of three servers: {acknowledged} acknowledged, {lost} lost")
    assert not lost


@pytest.mark.timeout(1800)
def test_this_can_fail_a_server_that_syncs_later_loses_what_it_acknowledged(tmp_path: Path) -> None:
    with servers_on_file_systems(tmp_path, 1, ("n1",)) as (servers, disks):
        acknowledged, lost = cut_often(servers, disks, "trusted")
    print(f"{CUTS} power cuts of a lazy server: {acknowledged} acknowledged, {lost} lost")
    assert lost
