"""A contract that is reduced to one check, and to those on which the check rests."""

from __future__ import annotations

from typing import TypeVar

from walogs.testing import Contract, conform

C = TypeVar("C", bound=Contract)


def reduced(contract: type[C], check: str) -> C:
    """Return *contract* with one check. `conform` also runs those on which it rests."""
    return type(contract.__name__, (contract,), {"checks": classmethod(lambda _: [check])})()


def failures(contract: Contract) -> dict[str, str]:
    """Return the checks that failed, and why."""
    return {outcome.check: outcome.why for outcome in conform(contract) if outcome.result == "failed"}
