"""Retention: which of the oldest completed segments are beyond the bounds, and what a writer does with them."""

from __future__ import annotations

from typing import Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walogs.engine.retention import lsn_beyond

SECOND: Final = 10**9
NOW: Final = 1_700_000_000 * SECOND


class Segment(NamedTuple):
    last_lsn: int
    size: int
    last_commit_ns: int | None


def aged(*ages: int | None, size: int = 100) -> list[Segment]:
    """Segments of ten entries each, whose last commit was so many seconds ago. None: it holds no entry."""
    found, lsn = [], 0
    for age in ages:
        lsn += 0 if age is None else 10
        found.append(Segment(lsn, size, None if age is None else NOW - age * SECOND))
    return found


@pytest.mark.parametrize(
    ("size", "lsn"), [(1, 30), (99, 30), (100, 30), (149, 30), (150, 20), (249, 20), (250, 10), (350, 0), (1000, 0)]
)
def test_the_oldest_segments_go_until_the_rest_is_small_enough(size: int, lsn: int) -> None:
    """The active segment of 50 bytes counts, and is never given up."""
    assert lsn_beyond(aged(9, 5, 1), 50, NOW, size=size, age_ns=None) == lsn


@pytest.mark.parametrize(("seconds", "lsn"), [(10, 0), (9, 0), (8, 10), (5, 10), (4, 20), (1, 20), (0, 30)])
def test_segments_go_whose_last_entry_is_older_than_the_time(seconds: int, lsn: int) -> None:
    assert lsn_beyond(aged(9, 5, 1), 50, NOW, size=None, age_ns=seconds * SECOND) == lsn


def test_of_two_bounds_either_is_enough() -> None:
    segments = aged(9, 5, 1)
    assert lsn_beyond(segments, 50, NOW, size=250, age_ns=4 * SECOND) == 20
    assert lsn_beyond(segments, 50, NOW, size=150, age_ns=8 * SECOND) == 20
    assert lsn_beyond(segments, 50, NOW, size=1000, age_ns=100 * SECOND) == 0


def test_without_bounds_and_without_segments_nothing_goes() -> None:
    assert lsn_beyond(aged(9, 5, 1), 50, NOW, size=None, age_ns=None) == 0
    assert lsn_beyond([], 50, NOW, size=1, age_ns=0) == 0


def test_a_segment_without_entries_keeps_none_behind_it() -> None:
    assert lsn_beyond(aged(None, 9, None, 5, 1), 50, NOW, size=None, age_ns=4 * SECOND) == 20


def test_a_young_segment_keeps_all_that_follow() -> None:
    """A clock that was wrong has stamped a segment with a time to come: nothing after it goes before it does."""
    assert lsn_beyond(aged(9, -1000, 8, 7), 50, NOW, size=None, age_ns=4 * SECOND) == 10


def test_a_limit_keeps_what_somebody_still_needs() -> None:
    segments = aged(9, 5, 1)
    for at_most in (0, 5, 10, 15, 30, 99):
        assert lsn_beyond(segments, 50, NOW, size=1, age_ns=None, at_most=at_most) == min(at_most, 30)


@given(sizes=st.lists(st.integers(0, 50), max_size=12), active=st.integers(0, 50), size=st.integers(1, 300))
def test_what_is_left_fits_and_no_less_would_do(sizes: list[int], active: int, size: int) -> None:
    segments = [Segment(lsn, each, NOW) for lsn, each in enumerate(sizes, 1)]
    given_up = lsn_beyond(segments, active, NOW, size=size, age_ns=None)
    left = sum(sizes[given_up:]) + active
    assert left <= size or given_up == len(sizes)
    if given_up:
        assert left + sizes[given_up - 1] > size
