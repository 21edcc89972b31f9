"""The name of this process, for people who ask who writes a log."""

from __future__ import annotations

import os
from typing import Final

HOST: Final = os.uname().nodename.replace(" ", "_") or "localhost"
NAME_BYTES_MAX: Final = 63


def process_name() -> str:
    """Return the id of this process and its host, as `4242@app-1`: at most 63 bytes of UTF-8."""
    return f"{os.getpid()}@{HOST}".encode("utf-8", "replace")[:NAME_BYTES_MAX].decode("utf-8", "ignore")
