"""A call that waits in an object ends when another thread closes the object, and no wait begins after that."""

from __future__ import annotations

import pytest

from tests.kit.callers import Callers, reached, until
from walogs import Closed
from walogs.foundation import closings as module
from walogs.foundation import wakeups
from walogs.plugins import Closings

WITHIN = (module.__file__, wakeups.__file__)


def test_every_wait_ends_when_the_object_is_closed() -> None:
    closings = Closings("store")
    callers = Callers(*[lambda: closings.pause(3600, 0)] * 3)
    until(lambda: len(closings._waiting) == 3, "three waits")
    closings.end_calls()
    assert [str(error) for error in callers.join()] == ["store was closed by another thread during this call"] * 3
    assert not closings._waiting


def test_no_wait_begins_after_a_close_and_later_calls_wait_again() -> None:
    closings = Closings("store")
    closings.end_calls()
    with pytest.raises(Closed):
        closings.pause(3600, 0)
    with pytest.raises(Closed):
        closings.refuse_since(0)
    closings.pause(0, closings.count)
    closings.pause(-1, closings.count)
    closings.refuse_since(closings.count)


@pytest.mark.guarantee("G18")
def test_a_close_at_any_point_of_a_wait_is_noticed() -> None:
    noticed: list[bool] = []
    while True:
        closings = Closings("store")

        def wait(closings: Closings = closings) -> None:
            try:
                closings.pause(0, 0)
            except Closed:
                noticed[-1] = True

        noticed.append(False)
        if not reached(wait, len(noticed), closings.end_calls, WITHIN):
            break
        assert not closings._waiting
    assert len(noticed) > 6
    assert all(noticed[:-1]), "the last one was not reached"
