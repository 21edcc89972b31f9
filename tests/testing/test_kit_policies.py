"""The contract of sync policies fails each broken one by one check, and passes those that are not broken."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.kit.callers import Callers
from tests.testing.broken_policies import BROKEN, OfAPolicy
from tests.testing.one_check import failures
from walogs.defaults.sync_policies import FdatasyncPolicy, FsyncPolicy, IntervalPolicy, NoSyncPolicy
from walogs.protocols import Unsynced
from walogs.testing import SyncPolicyContract, conform


@pytest.mark.parametrize(("contract", "check"), [pytest.param(*broken, id=broken[0].__name__) for broken in BROKEN])
def test_a_broken_policy_fails_by_the_check_of_its_rule(contract: type[SyncPolicyContract], check: str) -> None:
    found = failures(contract())
    print(found.get(check))
    assert list(found) == [check]


def test_every_check_has_a_policy_that_fails_by_it() -> None:
    proven = {check for _, check in BROKEN}
    assert {*SyncPolicyContract.checks()} - proven == {"test_a_log_under_it_keeps_its_promise"}


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize(
    "policy",
    [
        FdatasyncPolicy,
        FsyncPolicy,
        NoSyncPolicy,
        IntervalPolicy,
        pytest.param(lambda: IntervalPolicy(time=1e-6, bytes=None, entries=5), id="interval, short"),
        pytest.param(lambda: IntervalPolicy(time=86_400, bytes=1, entries=None), id="interval, long"),
    ],
)
def test_the_policies_that_walogs_brings(policy: Any) -> None:
    class Ours(OfAPolicy):
        policy_type = staticmethod(policy)

    outcomes = list(conform(Ours()))
    assert [outcome for outcome in outcomes if outcome.result == "failed"] == []
    eventually = {"test_eventually_is_explained", "test_eventually_never_leaves"}
    skipped = {"durable": eventually, "eventually": {"test_durable_means_sync"}}
    expected = skipped.get(policy().durability, {*eventually, "test_durable_means_sync"})
    assert {outcome.check for outcome in outcomes if outcome.result == "skipped"} == expected


def test_other_threads_may_read_a_clock_while_a_policy_is_tested() -> None:
    class BesideAnother(FdatasyncPolicy):
        def decide(self, pending: Unsynced) -> Any:
            [now] = Callers(time.time).join()
            assert isinstance(now, float)
            return super().decide(pending)

    class Ours(OfAPolicy):
        policy_type = staticmethod(BesideAnother)

    assert [outcome for outcome in conform(Ours()) if outcome.result == "failed"] == []
