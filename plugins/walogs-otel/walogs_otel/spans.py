"""Spans of what is over when it is told: it began so many seconds ago."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from walogs import Corrupt

NANOSECONDS: Final = 1_000_000_000


class Spans:
    """Below the span that is current in the thread that is told: the caller's, for what it commits by itself."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def tell(self, name: str, seconds: float, attributes: Mapping[str, str | int]) -> None:
        """One that ends now."""
        end = time.time_ns()
        start = end - round(seconds * NANOSECONDS)
        self._tracer.start_span(name, attributes=attributes, start_time=start).end(end)

    def damage(self, error: Corrupt, attributes: Mapping[str, str]) -> None:
        """An event of the current span: what the caller is about to be told."""
        trace.get_current_span().record_exception(error, attributes=attributes)
