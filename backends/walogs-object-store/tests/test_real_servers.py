"""The store on real servers: SeaweedFS, which is killed under load, and rclone, which must be refused.

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
from tests.kit import laboratory, s3_programs, s3_server
from tests.kit.load import Load
from tests.kit.requirements import require
from tests.kit.s3_programs import Server
from tests.system.children import seed_of
from walogs_object_store import ObjectStore

KILLS: Final = laboratory.amount(6, 20)
APPENDERS: Final = 4
MORE: Final = 500
"""So many entries are acknowledged between two kills."""


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def seaweedfs(tmp_path: Path) -> Iterator[Server]:
    require("seaweedfs", s3_programs.program("weed") is not None, "uv run --group remote pytest")
    with s3_programs.running(s3_programs.seaweedfs(tmp_path)) as server:
        s3_programs.make_bucket(server, "walogs")
        yield server


def store_on(server: Server, prefix: str, deadline: float = 600.0) -> ObjectStore:
    return ObjectStore(f"s3://walogs/{prefix}", endpoint=f"http://127.0.0.1:{server.port}", deadline=deadline)


@pytest.mark.guarantee("G1", "G19")
@pytest.mark.timeout(1800)
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(seaweedfs: Server) -> None:
    seed = seed_of("killing SeaweedFS")
    rng = random.Random(seed)
    with (
        walogs.open(store=store_on(seaweedfs, "killed")) as wal,
        Load(wal, seed=seed, threads=APPENDERS) as load,
    ):
        for _ in range(KILLS):
            load.wait_for_more(MORE)
            seaweedfs.kill()
            time.sleep(rng.uniform(0, 0.5))
            seaweedfs.start()
            seaweedfs.wait()
        load.wait_for_more(MORE)
    with walogs.open(store=store_on(seaweedfs, "killed")) as wal:
        load.judge(dict(wal), f"{KILLS} kills")


def test_two_writers_on_a_real_server(seaweedfs: Server) -> None:
    with walogs.open(store=store_on(seaweedfs, "two")) as first:
        first.append(b"first")
        with walogs.open(store=store_on(seaweedfs, "two")) as second:
            with pytest.raises(walogs.Fenced):
                first.append(b"lost")
            assert second.append(b"second") == 2
            assert second.checkpoint(1) == 1
    assert list(walogs.reader(store=store_on(seaweedfs, "two"))) == [(2, b"second")]


def test_a_server_that_ignores_conditions_is_refused(tmp_path: Path) -> None:
    require("rclone", s3_programs.program("rclone") is not None, "uv run --group remote pytest")
    with s3_programs.running(s3_programs.rclone(tmp_path)) as server:
        (tmp_path / "data" / "walogs").mkdir()
        for _ in range(2):
            with pytest.raises(walogs.UnsafeStore, match="created one object twice"):
                walogs.open(store=store_on(server, "refused"))
        assert store_on(server, "refused").segments() == []
