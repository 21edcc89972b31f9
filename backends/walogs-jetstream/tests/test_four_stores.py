"""The program of docs/beyond-one-machine.md runs unchanged on four stores. Only its configuration differs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.house.source import ROOT
from tests.kit import s3_server
from tests.kit.nats_servers import Server
from tests.kit.requirements import require

PAGE = ROOT / "docs" / "beyond-one-machine.md"


@pytest.fixture
def bucket() -> Iterator[str]:
    """The endpoint of a server of S3 that has the bucket `my-bucket`."""
    require("moto", find_spec("moto") is not None, "uv run --group remote pytest")
    with s3_server.moto() as port:
        s3_server.make_bucket(port, "my-bucket")
        yield f"http://127.0.0.1:{port}"


def configuration(kind: str, request: pytest.FixtureRequest) -> str:
    """Return the table of the log in the page's configuration, for a server that runs here."""
    match kind:
        case "directory":
            return 'path = "orders.wal"'
        case "sqlite":
            return 'path = "orders.db"\nstore = "sqlite"'
        case "bucket":
            endpoint = request.getfixturevalue(kind)
            return f'path = "s3://my-bucket/orders"\nstore.use = "object-store"\nstore.endpoint = "{endpoint}"'
        case _:
            server: Server = request.getfixturevalue("server")
            return (
                f'path = "nats://127.0.0.1:{server.port}/four-stores"\n[log.orders.store]\nuse = "jetstream"\n'
                f'replicas = 1\nmonitoring = ["{server.monitoring}"]'
            )


@pytest.mark.parametrize("kind", ["directory", "sqlite", "bucket", "stream"])
def test_one_program_runs_on_four_stores(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    program = next(block for block in blocks(PAGE.read_text()) if block.text.startswith("# orders.py\n"))
    (tmp_path / "orders.py").write_text(program.text)
    (tmp_path / "walogs.toml").write_text(f"[log.orders]\n{configuration(kind, request)}\n")
    environment = {**os.environ, **s3_server.CREDENTIALS, "PYTHONPATH": str(ROOT), "WALOGS_DISABLED_PLUGINS": ""}
    for orders in (["one tea"], ["one tea", "a cake"], ["one tea", "a cake", "two teas"]):
        ran = subprocess.run(
            [sys.executable, "-W", "error", "orders.py", orders[-1]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.splitlines() == [f"{lsn} {order}" for lsn, order in enumerate(orders, 1)]
