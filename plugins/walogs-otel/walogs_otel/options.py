"""The options of the observer, and their checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OtelOptions:
    """The options of `OtelObserver`. Raises `ValueError`."""

    spans: bool = False
    """Make a span for each append, sync, checkpoint and recovery, as a child of the thread's current span."""

    def __post_init__(self) -> None:
        value: object = self.spans
        if type(value) is not bool:
            raise ValueError(f"spans={value!r}: True or False")
