"""Stores behind a network that are closed by another thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import walogs
from tests.kit.callers import Callers, until


def close_in_a_pause(store: Any, call: Callable[[], object], calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close the store when *call*, in another thread, waits between two requests. The call ends with `Closed`.

    *calls* is the class whose `pause` waits. It would wait for an hour.
    """
    pause, waited = calls.pause, list[float]()

    def wait(self: Any, seconds: float) -> None:
        waited.append(seconds)
        pause(self, 3600.0)

    monkeypatch.setattr(calls, "pause", wait)
    caller = Callers(call)
    until(lambda: waited, "a wait between two requests")
    store.close()
    assert [type(outcome) for outcome in caller.join()] == [walogs.Closed]


def close_beneath_a_handle(make: Callable[[], Any]) -> None:
    """Close the store of a handle. Its next append fails, and writes nothing: it would connect again otherwise."""
    store = make()
    with walogs.open(store=store) as wal:
        wal.append(b"one")
        store.close()
        with pytest.raises(walogs.OutcomeUnknown) as unknown:
            wal.append(b"two")
        assert isinstance(unknown.value.__cause__, walogs.Closed)
    assert list(walogs.reader(store=make())) == [(1, b"one")]
