"""A store that is closed by another thread: each call ends, and nothing connects again for it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

import walogs
from tests.kit.callers import Callers, until
from tests.kit.closing import close_beneath_a_handle, close_in_a_pause
from tests.kit.nats_proxy import Proxy, Script
from walogs_jetstream import JetStreamStore
from walogs_jetstream.connection import Calls, Connection
from walogs_jetstream.loop import NatsLoop

Make = Callable[..., JetStreamStore]

READING: Final[dict[str, Callable[[JetStreamStore], Any]]] = {
    "segments": lambda store: store.segments(),
    "segments_after": lambda store: store.segments_after(1),
    "size": lambda store: store.size(1),
    "read": lambda store: store.read(1),
    "read_many": lambda store: list(store.read_many(range(1, 40))),
    "wait_beyond": lambda store: store.wait_beyond(2, 3600),
    "acquire": lambda store: store.acquire(),
}
WRITING: Final[dict[str, Callable[[JetStreamStore], Any]]] = {
    "create": lambda store: store.create(3, bytes(600)),
    "remove": lambda store: store.remove([1, 2]),
}
VERBS: Final = READING | WRITING


@pytest.fixture
def log(make: Make) -> None:
    """Two messages: a log."""
    with walogs.open(store=make()) as wal:
        wal.append(b"one")


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("verb", VERBS)
def test_a_close_before_any_request_of_a_call_ends_it(
    make: Make, proxy: Proxy, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is closed before the first request of the call, then before the second one, and so on."""
    run = Connection.run
    for at in itertools.count(1):
        store, numbers, closed, started = make(), itertools.count(1), threading.Event(), list[NatsLoop]()
        if verb in WRITING:
            store.acquire()
            proxy.scripts = [Script("conflict")]  # then the stream is asked how far it goes

        with monkeypatch.context() as patch:

            def before(
                connection: Connection,
                *given: Any,
                at: int = at,
                store: JetStreamStore = store,
                numbers: Iterator[int] = numbers,
                closed: threading.Event = closed,
                started: list[NatsLoop] = started,
                patch: pytest.MonkeyPatch = patch,
            ) -> Any:
                if next(numbers) == at:
                    store.close()
                    patch.setattr(NatsLoop, "start", started.append)
                    closed.set()
                return run(connection, *given)

            patch.setattr(Connection, "run", before)
            caller = Callers(lambda store=store: VERBS[verb](store))  # type: ignore[misc]
            if verb == "wait_beyond" and at > 1:  # it would go on for an hour
                until(lambda store=store: store._watch is not None, "the request of the wait")  # type: ignore[misc]
                store.close()
            outcome = caller.join()[0]
        if not closed.is_set():
            assert at > 1
            return
        assert isinstance(outcome, walogs.Closed)
        assert not started


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_no_server_answers_ends_when_the_store_is_closed(
    make: Make, proxy: Proxy, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(deadline=3600.0)
    if verb in WRITING:
        store.acquire()
    proxy.is_refusing = True
    proxy.break_connections()
    close_in_a_pause(store, lambda: VERBS[verb](store), Calls, monkeypatch)


def test_an_open_that_waits_for_a_monitoring_address_ends_when_the_store_is_closed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(monitoring=("http://127.0.0.1:1",), deadline=3600.0)
    close_in_a_pause(store, lambda: walogs.open(store=store), Calls, monkeypatch)


@pytest.mark.guarantee("G7")
def test_a_handle_whose_store_was_closed_refuses_and_writes_nothing(make: Make) -> None:
    close_beneath_a_handle(make)
