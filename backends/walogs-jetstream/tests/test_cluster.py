"""The store on three servers that replicate, while they are killed under load.

The killing prints what it tried: how many entries were acknowledged, lost and there twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit import laboratory, nats_servers
from tests.kit.load import Load
from tests.kit.nats_servers import Server
from tests.kit.requirements import require
from tests.system.children import seed_of
from walogs_jetstream import JetStreamStore

KILLS: Final = laboratory.amount(10, 30)
APPENDERS: Final = 4
MORE: Final = 500
"""So many entries are acknowledged between two kills."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    require("nats", nats_servers.program() is not None, "uv run --group remote pytest")
    with nats_servers.running(tmp_path_factory.mktemp("cluster"), 3) as found:
        yield found


def store_on(servers: list[Server], stream: str, **options: object) -> JetStreamStore:
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    given = {"monitoring": tuple(server.monitoring for server in servers), "deadline": 600.0, **options}
    return JetStreamStore(f"nats://{hosts}/{stream}", **given)  # type: ignore[arg-type]


def test_one_lazy_server_of_three_is_refused(tmp_path: Path) -> None:
    require("nats", nats_servers.program() is not None, "uv run --group remote pytest")
    with nats_servers.running(tmp_path, 3, lazy=("n2",)) as servers:
        with pytest.raises(walogs.UnsafeStore, match="n2 acknowledges messages that a power cut can take away"):
            walogs.open(store=store_on(servers, "orders"))
        with pytest.raises(walogs.UnsafeStore, match="does not name the addresses of n2"):
            walogs.open(store=store_on(servers, "orders", monitoring=(servers[0].monitoring, servers[2].monitoring)))


def test_a_log_opens_while_one_of_three_servers_is_down(
    servers: list[Server], caplog: pytest.LogCaptureFixture
) -> None:
    with walogs.open(store=store_on(servers, "one-down")) as wal:
        wal.append(b"one")
    servers[1].kill()
    try:
        with walogs.open(store=store_on(servers, "one-down")) as wal:
            assert wal.append(b"two") == 2
        assert "n2 did not tell whether they sync" in caplog.text
    finally:
        servers[1].start()
        servers[1].wait()
    with walogs.open(store=store_on(servers, "one-down")) as wal:
        assert list(wal) == [(1, b"one"), (2, b"two")]


@pytest.mark.guarantee("G1", "G19")
@pytest.mark.timeout(1800)
def test_nothing_acknowledged_is_lost_when_servers_are_killed(servers: list[Server]) -> None:
    seed = seed_of("killing servers")
    rng, victims = random.Random(seed), []
    with (
        walogs.open(store=store_on(servers, "killed")) as wal,
        Load(wal, seed=seed, threads=APPENDERS) as load,
    ):
        for number in range(KILLS):
            load.wait_for_more(MORE)
            leader = leader_of(servers, "killed")
            others = [server for server in servers if server.name != leader]
            victim = rng.choice(others) if number % 2 else next(s for s in servers if s.name == leader)
            victims.append("leader" if victim.name == leader else "follower")
            victim.kill()
            time.sleep(rng.uniform(0, 0.5))
            victim.start()
            victim.wait()
        load.wait_for_more(MORE)
    with walogs.open(store=store_on(servers, "killed")) as wal:
        load.judge(dict(wal), f"{KILLS} kills, {victims.count('leader')} of leaders")


def leader_of(servers: list[Server], stream: str) -> str:
    """Return the name of the server that leads the stream."""
    until = time.monotonic() + 600
    while True:
        assert time.monotonic() < until, "the stream has no leader"
        for server in servers:
            for account in server.asked("/jsz?streams=1").get("account_details") or ():
                for found in account["stream_detail"]:
                    leader = (found.get("cluster") or {}).get("leader")
                    if found["name"] == stream and leader:
                        return str(leader)
        time.sleep(0.1)
