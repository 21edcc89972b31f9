"""The state of the service. It is a function of the log: the same entries in the same order give the same state."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio


class Orders:
    """All orders, and how many of each item were ordered."""

    def __init__(self) -> None:
        self.by_lsn: dict[int, dict[str, Any]] = {}
        self.totals: Counter[str] = Counter()
        self._last_lsn = 0
        self._applied = anyio.Event()

    def apply(self, lsn: int, order: dict[str, Any]) -> None:
        """Apply the order with this LSN. Only the task that follows the log calls this."""
        self.by_lsn[lsn] = order
        self.totals[order["item"]] += order["count"]
        self._last_lsn = lsn
        self._applied.set()
        self._applied = anyio.Event()

    async def wait_for(self, lsn: int) -> None:
        """Wait until the order with this LSN is applied."""
        while self._last_lsn < lsn:
            await self._applied.wait()
