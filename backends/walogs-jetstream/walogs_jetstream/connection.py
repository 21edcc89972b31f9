"""One connection to the servers, used by many threads.

nats-py is asynchronous. Its event loop runs in a thread of its own, and each caller waits for its coroutine there. The
connection is made at first use. When it is lost or a request gets no answer, the next attempt makes a new one, to the
next server. nats-py's own reconnecting is off, because it would send what it has buffered long after the caller has
given up.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
import weakref
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nats.aio.client import Client
from nats.errors import ConnectionClosedError

from walogs import Closed, Unavailable, UnsafeStore
from walogs.plugins import TurnLock
from walogs_jetstream.failures import FAILURES, final_error, is_answer, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import NoReturn

    from walogs_jetstream.address import Address
    from walogs_jetstream.options import JetStreamOptions

T = TypeVar("T")

ATTEMPT_SECONDS: Final = 5.0
"""An attempt that has no answer after this long has failed."""
WAIT_SECONDS: Final = 0.02
WAIT_SECONDS_MAX: Final = 1.0
CLOSE_SECONDS: Final = 5.0


class Connection:
    """Send requests, and send them again until the deadline."""

    def __init__(self, name: str, address: Address, options: JetStreamOptions) -> None:
        self._name = name
        self._options = options
        self._servers = list(address.servers)
        self._next = random.randrange(len(self._servers))
        self._pid = os.getpid()
        self._gate = TurnLock()
        """A thread holds it while it starts or stops the event loop."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closings = 0
        """How often the connection was closed. A call that was under way then is not tried again."""
        self._thread: threading.Thread | None = None
        """The thread of the event loop."""
        self._client: Client | None = None
        self._made: set[Client] = set()
        """The connections that are not closed yet."""
        self._closing: set[asyncio.Task[None]] = set()
        self._connecting: asyncio.Lock | None = None
        self._stop: weakref.finalize[..., Connection] | None = None
        self._lost = asyncio.Event()
        """Set when the connection is lost. nats-py would let the requests that are under way wait."""
        self._noted: Exception | None = None
        """What nats-py has last told beside the requests. If a permission is missing, the server sends no answer to the
        request itself."""

    def ask(self, request: Callable[[Client], Coroutine[Any, Any, T]], *, attempt: float = ATTEMPT_SECONDS) -> T:
        """Return what *request* returns. Call it again after a failure of the server or the network.

        Raises what `is_answer` names. Raises `PermissionError`, `NoSpace`, `UnsafeStore` for what no later attempt
        changes, and `Unavailable` when the deadline is over.
        """
        end, wait, closings = time.monotonic() + self._options.deadline, WAIT_SECONDS, self._closings
        while True:
            try:
                return self.run(self._attempt(request, min(attempt, max(end - time.monotonic(), 0.1))))
            except FAILURES as error:
                if is_answer(error):
                    raise
                failed = self._noted or error
                final = final_error(self._name, failed)
                if final is not None:
                    raise final from error
                if time.monotonic() + wait > end:
                    seconds = f"{self._options.deadline:g} seconds"
                    raise Unavailable(f"{self._name} did not answer within {seconds}: {shorten(failed)}") from error
            time.sleep(wait * random.uniform(0.5, 1.0))
            if self._closings != closings:
                self._raise_closed()
            wait = min(2 * wait, WAIT_SECONDS_MAX)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* on the event loop, and return what it returns. An interrupt of this thread cancels it."""
        try:
            loop = self._started_loop()
        except BaseException:
            coroutine.close()
            raise
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        except CancelledError:
            self._raise_closed()
        except BaseException:
            future.cancel()
            raise

    def _raise_closed(self) -> NoReturn:
        raise Closed(f"{self._name} was closed by another thread during this call")

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run *coroutine* on the event loop, and wait for nothing. If there is no event loop, drop it."""
        loop = self._loop
        if loop is None or os.getpid() != self._pid:
            coroutine.close()
            return
        try:
            asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:  # it was closed meanwhile
            coroutine.close()

    async def client(self) -> Client:
        """Return the connection. Make one if there is none."""
        assert self._connecting is not None
        async with self._connecting:
            client = self._client
            if client is None or not client.is_connected:
                self._client, self._noted = None, None
                server = self._servers[self._next % len(self._servers)]
                self._next += 1
                client, self._lost = Client(), asyncio.Event()
                self._made.add(client)
                await client.connect(
                    [server],
                    name="walogs",
                    error_cb=note_weakly(self),
                    disconnected_cb=set_later(self._lost),
                    allow_reconnect=False,
                    max_reconnect_attempts=1,  # 0 would mean without end
                    reconnect_time_wait=0,
                    connect_timeout=int(ATTEMPT_SECONDS),
                    **credentials(self._options),
                )
                self._client = client
            return client

    async def _attempt(self, request: Callable[[Client], Coroutine[Any, Any, T]], seconds: float) -> T:
        """Make one attempt. After it has failed, this connection is not used again."""
        client = None
        try:
            async with asyncio.timeout(seconds):
                client = await self.client()
                return await unless_lost(request(client), self._lost)
        except FAILURES as error:
            if client is not None and not is_answer(error) and self._client is client:
                self._client = None
            raise
        finally:
            for lost in self._made - {self._client}:
                self._made.discard(lost)
                closing = asyncio.create_task(close_quietly(lost))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    def note(self, error: Exception) -> None:
        """Keep what nats-py tells beside the requests. If it is final, end the requests that are under way."""
        self._noted = error
        if final_error(self._name, error) is not None:
            self._lost.set()

    # The event loop

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        if os.getpid() != self._pid:
            raise UnsafeStore(
                f"{self._name} was opened before the fork, by the parent of this process: make a store object here"
            )
        with self._gate:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._connecting = asyncio.Lock()
                self._thread = threading.Thread(
                    target=serve, args=(loop, self._made), name="walogs-jetstream", daemon=True
                )
                self._thread.start()
                self._loop = loop
                self._stop = weakref.finalize(self, stop, loop)
            return self._loop

    def close(self) -> None:
        """End the connection and the event loop. The next request makes new ones."""
        if os.getpid() != self._pid:
            return
        self._closings += 1
        with self._gate:
            thread, end = self._thread, self._stop
            if thread is None or end is None:
                return
            self._loop = self._thread = self._client = None
            end()
            thread.join(2 * CLOSE_SECONDS)


def serve(loop: asyncio.AbstractEventLoop, made: set[Client]) -> None:
    """Run the event loop until it is stopped, then close the connections that are open, and end what is left on it."""
    try:
        loop.run_forever()
    finally:
        for client in list(made):
            loop.run_until_complete(close_quietly(client))
        made.clear()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def stop(loop: asyncio.AbstractEventLoop) -> None:
    with suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(loop.stop)


async def unless_lost(request: Coroutine[Any, Any, T], lost: asyncio.Event) -> T:
    """Return what *request* returns. Raise `ConnectionClosedError` if the connection is lost before that."""
    answering, losing = asyncio.create_task(request), asyncio.create_task(lost.wait())
    try:
        await asyncio.wait((answering, losing), return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        raise ConnectionClosedError
    finally:
        answering.cancel()
        losing.cancel()


def note_weakly(connection: Connection) -> Callable[[Exception], Coroutine[Any, Any, None]]:
    """Return a callback for nats-py. It does not keep a connection alive that nothing else refers to."""
    reference = weakref.ref(connection)

    async def note(error: Exception) -> None:
        found = reference()
        if found is not None:
            found.note(error)

    return note


def set_later(event: asyncio.Event) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return a callback for nats-py that sets *event*."""

    async def set_it() -> None:
        event.set()

    return set_it


async def close_quietly(client: Client) -> None:
    with suppress(*FAILURES):
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.close()


def credentials(options: JetStreamOptions) -> dict[str, Any]:
    """Return how the connection authenticates: as the options say, or with what the `nats` command takes too."""
    found: dict[str, Any] = {}
    path = options.credentials or os.environ.get("NATS_CREDS")
    if path:
        found["user_credentials"] = path
    for key, variable in (("user", "NATS_USER"), ("password", "NATS_PASSWORD"), ("token", "NATS_TOKEN")):
        if value := os.environ.get(variable):
            found[key] = value
    return found
