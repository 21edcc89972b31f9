"""The contract of codecs fails each broken one by one check, and passes those that are not broken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.broken_codecs import BROKEN, OfCrc32, OfDeflate, OfSealing
from tests.testing.one_check import failures, reduced
from walogs.testing import CodecContract, conform
from walogs.testing.memory_use import peak_of

UNDECLARED = {
    "test_a_frame_elsewhere_is_refused",
    "test_an_altered_frame_is_refused",
    "test_a_check_with_a_key_covers_the_header_itself",
    "test_a_check_cannot_be_made_without_its_key",
    "test_what_needs_no_key_is_refused",
    "test_no_nonce_comes_twice",
    "test_a_nonce_is_random_and_no_time",
    "test_the_body_does_not_show",
}
WITHOUT_A_CRC = {"test_a_check_by_crc32_is_one"}
WITHOUT_A_KEY = {
    "test_is_check_tells_its_own_checks",
    "test_a_check_needs_no_key",
    "test_a_wrong_key_is_refused",
    "test_its_parameters_hold_no_secret",
    "test_parameters_that_it_does_not_know_are_refused",
}


EACH_BROKEN = pytest.mark.parametrize(
    ("contract", "check"), [pytest.param(*broken, id=broken[0].__name__) for broken in BROKEN]
)


@EACH_BROKEN
def test_a_broken_codec_fails_by_the_check_of_its_rule(contract: type[CodecContract], check: str) -> None:
    found = failures(reduced(contract, check))
    print(found.get(check))
    assert list(found) == [check]


@pytest.mark.laboratory
@EACH_BROKEN
def test_a_broken_codec_fails_by_no_other_check(contract: type[CodecContract], check: str) -> None:
    assert list(failures(contract())) == [check]


def test_every_check_has_a_codec_that_fails_by_it() -> None:
    proven = {check for _, check in BROKEN}
    assert {*CodecContract.checks()} - proven == {"test_a_log_with_it_comes_back"}


@pytest.mark.parametrize(
    ("contract", "skipped"),
    [
        (OfCrc32, {*UNDECLARED, *WITHOUT_A_KEY, "test_decode_is_bounded_before_it_allocates"}),
        (OfDeflate, {*UNDECLARED, *WITHOUT_A_KEY, *WITHOUT_A_CRC, "test_identity_is_what_it_says"}),
        (OfSealing, {*WITHOUT_A_CRC, "test_identity_is_what_it_says"}),
    ],
)
def test_a_codec_that_is_not_broken_passes(contract: Any, skipped: set[str]) -> None:
    outcomes = list(conform(contract()))
    assert [outcome for outcome in outcomes if outcome.result == "failed"] == []
    assert {outcome.check for outcome in outcomes if outcome.result == "skipped"} == skipped


@pytest.mark.parametrize("is_tracing", [False, True])
def test_memory_is_measured_at_its_peak(is_tracing: bool) -> None:
    import tracemalloc

    if is_tracing:
        tracemalloc.start()
    try:
        assert peak_of(lambda: bytes(20 << 20)) >= 20 << 20
        assert peak_of(lambda: None) < 8 << 20
        assert peak_of(lambda: 1 // 0) < 8 << 20  # what it raises is of no interest
        assert tracemalloc.is_tracing() == is_tracing
    finally:
        tracemalloc.stop()


def test_memory_that_c_takes_is_seen_where_the_kernel_tells() -> None:
    from walogs.testing.memory_use import resident_after_reset

    if resident_after_reset() is None:
        pytest.skip("the peak of resident memory cannot be reset here")
    import mmap

    def outside_python() -> None:
        with mmap.mmap(-1, 24 << 20) as taken:
            for at in range(0, len(taken), mmap.PAGESIZE):
                taken[at] = 1

    assert peak_of(outside_python) >= 20 << 20
