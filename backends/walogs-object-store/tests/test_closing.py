"""A store that is closed by another thread: each call ends, and no request is sent after that."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

import walogs
from tests.kit.callers import Callers, until
from tests.kit.closing import close_beneath_a_handle, close_in_a_pause
from tests.kit.s3_server import Proxy, Script
from walogs_object_store import ObjectStore
from walogs_object_store.calls import Calls

Make = Callable[..., ObjectStore]

READING: Final[dict[str, Callable[[ObjectStore], Any]]] = {
    "segments": lambda store: store.segments(),
    "segments_after": lambda store: store.segments_after(1),
    "sizes": lambda store: store.sizes(),
    "size": lambda store: store.size(1),
    "read": lambda store: store.read(1),
    "a part": lambda store: store.read(1, 5, 9),
    "read_many": lambda store: list(store.read_many(range(1, 20))),
    "wait_beyond": lambda store: store.wait_beyond(2, 3600),
    "acquire": lambda store: store.acquire(),
}
WRITING: Final[dict[str, Callable[[ObjectStore], Any]]] = {
    "create": lambda store: store.create(3, bytes(600)),
    "remove": lambda store: store.remove([1]),
}


@pytest.mark.parametrize("verb", [*READING, *WRITING])
def test_a_call_whose_requests_fail_ends_when_the_store_is_closed(make: Make, proxy: Proxy, verb: str) -> None:
    store = make(deadline=3600.0)
    with walogs.open(store=make()) as wal:
        wal.append(b"one")
    if verb in WRITING:
        store.acquire()
    failing = Script("503", times=10**6), *(Script("503", method, times=10**6) for method in ("GET", "HEAD", "POST"))
    proxy.scripts = list(failing)
    caller = Callers(lambda: (READING | WRITING)[verb](store))
    until(lambda: any(script.times < 10**6 for script in failing), "a request that failed")
    store.close()
    assert [type(outcome) for outcome in caller.join()] == [walogs.Closed]


@pytest.mark.parametrize("verb", [*READING, *WRITING])
def test_a_close_before_any_request_of_a_call_ends_it(
    make: Make, proxy: Proxy, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is closed before the first request of the call, then before the second one, and so on."""
    with walogs.open(store=make()) as wal:
        wal.append(b"one")
    ask = Calls.ask
    for at in itertools.count(1):
        store, numbers, closed = make(), itertools.count(1), threading.Event()
        if verb in WRITING:
            store.acquire()

        def asked(
            calls: Calls,
            request: Callable[[], Any],
            *,
            at: int = at,
            store: ObjectStore = store,
            numbers: Iterator[int] = numbers,
            closed: threading.Event = closed,
            **more: Any,
        ) -> Any:
            if next(numbers) == at:  # several threads come here
                store.close()
                proxy.log.clear()
                closed.set()
            return ask(calls, request, **more)

        with monkeypatch.context() as patch:
            patch.setattr(Calls, "ask", asked)
            caller = Callers(lambda store=store: (READING | WRITING)[verb](store))  # type: ignore[misc]
            if verb == "wait_beyond" and at > 3:
                store.close()  # it would go on for an hour
            outcome = caller.join()[0]
        if not closed.is_set():
            assert at > 1
            return
        assert isinstance(outcome, walogs.Closed)
        if verb != "read_many":  # it has sent others at the same time
            assert proxy.log == []


def test_a_wait_for_the_next_object_ends_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    walogs.open(store=make()).close()
    store = make()
    close_in_a_pause(store, lambda: store.wait_beyond(1, 3600.0), Calls, monkeypatch)


@pytest.mark.guarantee("G7")
def test_a_handle_whose_store_was_closed_refuses_and_writes_nothing(make: Make) -> None:
    close_beneath_a_handle(make)
