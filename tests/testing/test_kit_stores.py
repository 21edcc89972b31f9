"""The contract of stores fails each broken one by one check, and passes those that are not broken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.laboratory import amount
from tests.testing.broken_stores import BROKEN
from tests.testing.kit_local import InADirectory, OnALocalDisk
from tests.testing.kit_places import InACloud, OnADisk, Waiting
from tests.testing.one_check import failures, reduced
from walogs.testing import StoreContract, conform
from walogs.testing.append_checks import AppendChecks
from walogs.testing.segment_checks import SegmentChecks

EACH_BROKEN = pytest.mark.parametrize(
    ("contract", "check"), [pytest.param(*broken, id=broken[0].__name__) for broken in BROKEN]
)


@EACH_BROKEN
def test_a_broken_store_fails_by_the_check_of_its_rule(contract: type[StoreContract], check: str) -> None:
    found = failures(reduced(contract, check))
    print(found.get(check))
    assert list(found) == [check]


@pytest.mark.laboratory
@EACH_BROKEN
def test_a_broken_store_fails_by_no_other_check(contract: type[StoreContract], check: str) -> None:
    assert list(failures(contract())) == [check]


def test_every_check_has_a_store_that_fails_by_it() -> None:
    """What no broken thing fails by may as well not be there. The whole has the state machine's."""
    whole = {name for name in StoreContract.checks() if hasattr(getattr(StoreContract, name), "is_after_the_rest")}
    proven = {check for _, check in BROKEN}
    assert {*StoreContract.checks()} - proven - whole == set()
    assert proven & whole == {"test_the_state_machine"}


SEARCH = {**StoreContract.machine, "max_examples": 8}
LOCK, DECLARED = "test_of_two_who_create_one_number_one_wins", "test_what_is_not_declared_raises"
ANSWER = "test_a_create_without_an_answer_says_so"
WAIT = "test_waiting_ends_when_the_next_segment_is_there"
LARGEST, READ = "test_the_largest_segment_is_as_declared", "test_what_can_be_read_is_durable_where_declared"


class NumbersOnce(InACloud):
    """A removed number is never created again: JetStream."""

    numbers_reused = False


@pytest.mark.guarantee("G19")
@pytest.mark.parametrize(
    ("contract", "skipped"),
    [
        pytest.param(OnADisk, {LOCK, DECLARED, READ, ANSWER, WAIT}, id="memory"),
        pytest.param(OnALocalDisk, {LOCK, DECLARED, READ, ANSWER, WAIT, LARGEST}, id="local on a modelled disk"),
    ],
)
def test_a_store_that_can_be_cut_off_filled_and_failed_is_held_to_everything(contract: Any, skipped: set[str]) -> None:
    outcomes = list(conform(type("Sound", (contract,), {"machine": SEARCH})()))
    assert [outcome for outcome in outcomes if outcome.result == "failed"] == []
    assert {outcome.check for outcome in outcomes if outcome.result == "skipped"} == skipped


class WaitingInACloud(InACloud):
    """Its readers wait for the next segment."""

    store_type = Waiting


@pytest.mark.parametrize("contract", [InACloud, NumbersOnce, WaitingInACloud])
def test_an_immutable_store_is_held_to_what_such_stores_owe(contract: Any) -> None:
    outcomes = list(conform(type("Sound", (contract,), {"machine": SEARCH})()))
    assert [outcome for outcome in outcomes if outcome.result == "failed"] == []
    reasons = {outcome.why for outcome in outcomes if outcome.result == "skipped"}
    waiting = set() if contract is WaitingInACloud else {"it has no wait_beyond()"}
    assert {reason.partition(":")[0] for reason in reasons} == waiting | {
        "the store is not appendable",
        "its exclusion is not a lock",
        "the store keeps no cursors",
        "needs room(place, free)",
        "needs arm(place, 'failed sync', …), and 'failed sync' among its faults",
    }


def test_the_local_store_in_a_real_directory() -> None:
    outcomes = list(conform(type("Sound", (InADirectory,), {"machine": {**SEARCH, "max_examples": 3}})()))
    assert [outcome for outcome in outcomes if outcome.result == "failed"] == []
    assert sum(outcome.result == "passed" for outcome in outcomes) >= 40


def test_a_store_that_promises_nothing_is_not_held_to_power_cuts() -> None:
    class PageCache(OnADisk):
        machine = SEARCH

        def store(self, place: Any) -> Any:
            return self.store_type(self.disk(place), models="page-cache")

    outcomes = {outcome.check: outcome for outcome in conform(PageCache())}
    assert not any(outcome.result == "failed" for outcome in outcomes.values())
    assert "'page-cache'" in outcomes["test_create_is_durable_with_its_name"].why
    assert outcomes["test_the_state_machine"].result == "passed"


@pytest.mark.laboratory
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("contract", [OnADisk, OnALocalDisk, InACloud, InADirectory])
def test_at_length(contract: Any) -> None:
    examples = amount(5, 20) if contract is InADirectory else amount(30, 300)
    machine = {"max_examples": examples, "stateful_step_count": 50}
    assert failures(type("Sound", (contract,), {"machine": machine})()) == {}


class Nameless:
    """A store that fails the check on which all others rest."""

    name = ""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_what_does_not_concern_a_broken_store_says_so_and_not_what_it_would_rest_on() -> None:
    class InPart(InACloud):
        def store(self, place: Any) -> Any:
            return Nameless(super().store(place))

    why = {outcome.check: outcome.why for outcome in conform(InPart()) if outcome.result == "skipped"}
    appending = {name for name in vars(AppendChecks) if name.startswith("test_")}
    assert appending
    assert {why[check] for check in appending} == {"the store is not appendable: its capabilities say so"}
    resting = {text for check, text in why.items() if check in vars(SegmentChecks)}
    assert any(text.startswith("it rests on ") for text in resting)


def test_a_store_that_cannot_even_be_made_leaves_what_it_would_rest_on() -> None:
    class Nowhere(InACloud):
        def store(self, place: Any) -> Any:
            raise RuntimeError("no such driver")

    outcomes = list(conform(Nowhere()))
    assert [outcome.result for outcome in outcomes].count("failed") == 1
    assert {outcome.why.split(",")[0] for outcome in outcomes if outcome.result == "skipped"} == {
        f"it rests on {outcomes[0].check}"
    }
