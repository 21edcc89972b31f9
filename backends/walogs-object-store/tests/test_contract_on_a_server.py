"""The store is held to the contract of every store on a server, behind a proxy that makes the faults of a network."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from pathlib import Path
from typing import ClassVar, Final

import pytest

from tests.kit import s3_server
from tests.kit.s3_server import Script
from tests.kit.temporary import IN_MEMORY
from walogs.testing import StoreContract
from walogs_object_store import ObjectStore

BUCKETS: Final = itertools.count(1)


@pytest.mark.timeout(1800)
class TestOnAServer(StoreContract):
    directory = IN_MEMORY
    faults: ClassVar[frozenset[str]] = frozenset({"no answer", "false conflict", "late"})
    machine: ClassVar = {"max_examples": 10, "stateful_step_count": 20}

    @pytest.fixture(autouse=True)
    def on_a_server(self, server: int, proxy: s3_server.Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in s3_server.CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        self.port, self.proxy = server, proxy
        self.buckets: defaultdict[Path, str] = defaultdict(self.new_bucket)

    def new_bucket(self) -> str:
        bucket = f"contract-{next(BUCKETS)}"
        s3_server.make_bucket(self.port, bucket)
        return bucket

    def store(self, place: Path) -> ObjectStore:
        endpoint = f"http://127.0.0.1:{self.proxy.port}"
        return ObjectStore(f"s3://{self.buckets[place]}/log", endpoint=endpoint)

    def arm(self, place: Path, fault: str, step: int, rng: random.Random) -> None:
        what, times = {
            "no answer": (rng.choice(("lost before", "lost after")), 1),
            "false conflict": ("409", 1),
            "late": ("late", 1),
        }[fault]
        key = f"/{self.buckets[place]}/log/"
        self.proxy.scripts = [Script(what, within=key, skip=step - 1, times=times)]  # type: ignore[arg-type]

    def disarm(self, place: Path) -> None:
        self.proxy.scripts = []
        self.proxy.deliver()
