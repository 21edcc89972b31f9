"""Sizes and durations: what is written is what is meant, or it is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walogs.foundation.quantities import BYTES, DURATION, NANOSECONDS, SIZE


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (0, 0),
        (67_108_864, 1 << 26),
        ("64MiB", 1 << 26),
        ("64 MiB", 1 << 26),
        ("1KiB", 1024),
        ("1KB", 1000),
        ("1MB", 10**6),
        ("3GiB", 3 << 30),
        ("3GB", 3 * 10**9),
        ("2TiB", 2 << 40),
        ("2TB", 2 * 10**12),
        ("512B", 512),
        ("1.5KiB", 1536),
        ("0.5GiB", 1 << 29),
        ("0B", 0),
    ],
)
def test_a_size_is_what_it_says(written: object, size: int) -> None:
    read = SIZE.read(written)
    assert read == size
    assert type(read) is int


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (0.0, 0.0),
        ("5ms", 0.005),
        ("5 ms", 0.005),
        ("1.5s", 1.5),
        ("250us", 0.00025),
        ("7ns", 7e-9),
        ("2min", 120.0),
        ("24h", 86_400.0),
        ("7d", 604_800.0),
    ],
)
def test_a_duration_is_what_it_says(written: object, seconds: float) -> None:
    read = DURATION.read(written)
    assert read == seconds
    assert type(read) is float


@pytest.mark.parametrize(
    ("written", "suggestion"),
    [
        ("64M", 'did you mean "64MiB" or "64MB"?'),
        ("64mib", 'did you mean "64MiB"?'),
        ("64kb", 'did you mean "64KB"?'),
        ("64 g", 'did you mean "64 GiB" or "64 GB"?'),
        ("64 MiBB", "no such unit ("),
        ("64 bytes", "no such unit ("),
        ("64", None),
        ("", None),
        ("MiB", None),
        ("-1MiB", None),
        ("+1MiB", None),
        ("1e3MiB", None),
        ("1_000KiB", None),
        ("1  MiB", None),
        (" 1MiB", None),
        ("1MiB ", None),
        ("1MiB\n", None),
        ("1.MiB", None),
        (".5MiB", None),
        ("٣MiB", None),
        ("9" * 5000 + "MiB", None),
        ("0.3KiB", "not a whole number of bytes"),
        (-1, None),
        (10**19, None),
        ("9000000000000000TiB", None),
        (1.0, None),
        (True, None),
        (None, None),
        ([1], None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_size_is_refused_with_what_would_be(written: object, suggestion: str | None) -> None:
    with pytest.raises(ValueError) as refused:
        SIZE.read(written)
    assert "a size: a number of bytes, 0 or more, or text with a unit (B, KiB, MiB, GiB, TiB, KB," in str(refused.value)
    assert (suggestion or "a size") in str(refused.value)
    assert ("did you mean" in str(refused.value)) == ("did you mean" in (suggestion or ""))


@pytest.mark.parametrize(
    ("written", "suggestion"),
    [
        ("5m", 'did you mean "5ms" or "5min"?'),
        ("5S", 'did you mean "5s"?'),
        ("5 sec", "no such unit ("),
        ("1h30min", None),
        ("5", None),
        (5, 'without a unit; did you mean "5ms", "5s" or "5min"?'),
        (0.005, 'without a unit; did you mean "0.005ms", "0.005s" or "0.005min"?'),
        (-0.1, None),
        (math.nan, None),
        (math.inf, None),
        (10**400, None),
        (False, None),
        ({}, None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_duration_is_refused_with_what_would_be(written: object, suggestion: str | None) -> None:
    with pytest.raises(ValueError) as refused:
        DURATION.read(written)
    assert "a duration: text with a unit (ns, us, ms, s, min, h, d)" in str(refused.value)
    assert (suggestion or "a duration") in str(refused.value)


@given(st.integers(0, 10**5), st.sampled_from(sorted(BYTES)))
def test_every_whole_size_of_every_unit(number: int, unit: str) -> None:
    assert SIZE.read(f"{number}{unit}") == number * BYTES[unit] == SIZE.read(f"{number}.0 {unit}")


@given(st.integers(0, 10**6), st.sampled_from(sorted(NANOSECONDS)))
def test_every_whole_duration_of_every_unit(number: int, unit: str) -> None:
    assert DURATION.read(f"{number}{unit}") == number * NANOSECONDS[unit] / 10**9


@given(st.text(max_size=12) | st.integers() | st.floats() | st.none() | st.booleans())
def test_anything_else_is_refused_and_never_guessed(written: object) -> None:
    for quantity in (SIZE, DURATION):
        try:
            read, told = quantity.read(written), quantity.description
        except ValueError as refused:
            read, told = 0, str(refused)
        assert read >= 0
        assert quantity.description in told
