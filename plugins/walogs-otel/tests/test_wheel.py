"""What a stranger gets: the wheels of walogs and of this, installed, and the observer chosen by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.wheels import CleanEnvironment

PROGRAM = """
import walogs, pathlib
with walogs.open("orders.wal", observers=["otel"]) as wal:
    assert wal.append(b"first") == 1
    assert [type(each).__name__ for each in wal._writer._tell.__self__._observers] == ["OtelObserver"]
import sys, walogs_otel
assert "site-packages" in walogs_otel.__file__
assert "opentelemetry.sdk" not in sys.modules
assert (pathlib.Path(walogs_otel.__file__).parent / "py.typed").exists()
print("watched by its name")
"""


@pytest.mark.wheel
@pytest.mark.timeout(600)
def test_the_wheel_gives_the_observer_by_its_name(tmp_path: Path) -> None:
    environment = CleanEnvironment(tmp_path, "plugins/walogs-otel")
    assert environment.run(PROGRAM) == "watched by its name\n"
