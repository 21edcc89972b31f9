"""Spans that are made when the work is over. Their start is computed from the seconds that the work took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from walogs import Corrupt

NANOSECONDS: Final = 1_000_000_000


class Spans:
    """A tracer of finished work. Each span is a child of the current span of the thread that did the work."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def tell(self, name: str, seconds: float, attributes: Mapping[str, str | int]) -> None:
        """Make a span that ends now and began *seconds* ago."""
        end = time.time_ns()
        start = end - round(seconds * NANOSECONDS)
        self._tracer.start_span(name, attributes=attributes, start_time=start).end(end)

    def damage(self, error: Corrupt, attributes: Mapping[str, str]) -> None:
        """Record an error on the current span, before the caller gets it."""
        trace.get_current_span().record_exception(error, attributes=attributes)
