"""Places where a log is damaged and repaired."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.inspection.damaged_logs import PLACES, Place, settled


@pytest.fixture(params=PLACES)
def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Place]:
    """Return a log in each kind of place."""
    count = iter(range(1000))
    return lambda files, codec="crc32": PLACES[request.param](files, tmp_path / f"log-{next(count)}", codec)


def refuses_a_side_with_nothing(place: Place, side: str, other: str) -> None:
    """Check that a side without intact entries is refused, with nothing changed, and that the other can be kept."""
    state = place.state()
    for dry_run in (True, False):
        with pytest.raises(walogs.Corrupt, match=f'nothing intact lies {side} the damage.*keep="{other}"'):
            place.repair(side, dry_run=dry_run)
    assert place.state() == state
    unasked, asked = place.repair(None, dry_run=True), place.repair(other, dry_run=True)
    assert unasked.sides == asked.sides == (other,)
    assert settled(unasked) == settled(asked)
