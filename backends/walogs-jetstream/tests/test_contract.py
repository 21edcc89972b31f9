"""The store is held to the contract of every store, on one server behind a proxy that makes the faults of a network."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from pathlib import Path
from typing import ClassVar, Final

import pytest

from tests.kit.nats_proxy import Proxy, Script
from tests.kit.nats_servers import Server
from tests.kit.temporary import IN_MEMORY
from walogs.testing import StoreContract
from walogs_jetstream import JetStreamStore

STREAMS: Final = itertools.count(1)


@pytest.mark.timeout(1800)
class TestJetStreamStore(StoreContract):
    directory = IN_MEMORY
    faults: ClassVar[frozenset[str]] = frozenset({"no answer", "false conflict", "late"})
    machine: ClassVar = {"max_examples": 10, "stateful_step_count": 20}

    @pytest.fixture(autouse=True)
    def on_a_server(self, server: Server, proxy: Proxy) -> None:
        self.server, self.proxy = server, proxy
        self.streams: defaultdict[Path, str] = defaultdict(lambda: f"contract-{next(STREAMS)}")

    def store(self, place: Path) -> JetStreamStore:
        address = f"nats://127.0.0.1:{self.proxy.port}/{self.streams[place]}"
        return JetStreamStore(address, replicas=1, monitoring=(self.server.monitoring,))

    def arm(self, place: Path, fault: str, step: int, rng: random.Random) -> None:
        what, times = {
            "no answer": (rng.choice(("lost before", "lost after", "unavailable")), 1),
            "false conflict": ("conflict", 1),
            "late": ("late", 1),
        }[fault]
        subject = f"walogs.{self.streams[place]}"
        self.proxy.scripts = [Script(what, subject, skip=step - 1, times=times)]  # type: ignore[arg-type]

    def disarm(self, place: Path) -> None:
        self.proxy.scripts = []
        self.proxy.deliver()
