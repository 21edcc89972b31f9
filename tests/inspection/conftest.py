"""A log in each kind of place, for the tests of this folder."""

from __future__ import annotations

from tests.inspection.repairs import place_of

__all__ = ["place_of"]
