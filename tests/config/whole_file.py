"""A configuration file with every key, and what is said of a wrong value."""

from __future__ import annotations

import os
from typing import Final

import pytest


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WALOGS_LOG__"):
            monkeypatch.delenv(name)


WHOLE: Final = """
[log.orders]
path = "data/orders.wal"
store = "local"
codec = { use = "crc32" }
max_segment_size = "1MiB"
max_entry_size = 1000
max_batch_size = "64KiB"
max_queued_size = "2MB"
recovery = "prefix"
verify = "last"
retention = { size = "10GiB", time = "7d" }
wait = "5s"
change_codec = true
observers = []

[log.orders.sync]
use = "interval"
time = "5ms"
bytes = "none"
entries = 100

[log.metrics]
path = "/elsewhere/metrics.wal"
"""


DURATION: Final = "a duration: text with a unit (ns, us, ms, s, min, h, d)"
