"""What a stranger gets: the wheels of walogs and of this, installed, and the store chosen by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.wheels import CleanEnvironment

PROGRAM = """
import pathlib, walogs
import walogs_jetstream
from walogs_jetstream import JetStreamStore
assert JetStreamStore("nats://127.0.0.1:1/orders").name == "nats://127.0.0.1:1/orders"
try:
    walogs.open("orders", store="jetstream")
except walogs.ConfigError as error:
    assert "nats://HOST:PORT/STREAM" in str(error), error
assert "site-packages" in walogs_jetstream.__file__
assert (pathlib.Path(walogs_jetstream.__file__).parent / "py.typed").exists()
print("chosen by its name")
"""


@pytest.mark.wheel
@pytest.mark.timeout(600)
def test_the_wheel_gives_the_store_by_its_name(tmp_path: Path) -> None:
    environment = CleanEnvironment(tmp_path, "backends/walogs-jetstream")
    assert environment.run(PROGRAM) == "chosen by its name\n"
