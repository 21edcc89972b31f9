"""What can be chosen, and what is wrong with a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OtelOptions:
    """What is told besides metrics. Raises `ValueError`."""

    spans: bool = False
    """A span for each append, sync, checkpoint and recovery, below the span that is current where it happens."""

    def __post_init__(self) -> None:
        value: object = self.spans
        if type(value) is not bool:
            raise ValueError(f"spans={value!r}: True or False")
