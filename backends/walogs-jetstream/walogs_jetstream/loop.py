"""The event loop of nats-py in a thread of its own, and the connection that is used on it.

The connection is made at first use. When it is lost or a request gets no answer, the next request makes a new one, to
the next server. nats-py's own reconnecting is off, because it would send what it has buffered long after the caller has
given up.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nats.aio.client import Client
from nats.errors import ConnectionClosedError

from walogs_jetstream.failures import FAILURES, is_answer, is_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from walogs_jetstream.options import JetStreamOptions

T = TypeVar("T")

CONNECT_SECONDS: Final = 5
CLOSE_SECONDS: Final = 5.0
ENDINGS_MAX: Final = 10


class NatsLoop:
    """One event loop, from its start to its end. After `start`, everything but `stop` runs on it."""

    def __init__(self, servers: Iterator[str], options: JetStreamOptions) -> None:
        self._servers = servers
        self._options = options
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="walogs-jetstream", daemon=True)
        self._connecting = asyncio.Lock()
        self._client: Client | None = None
        self._made: set[Client] = set()
        """The connections that are not closed yet."""
        self._closing: set[asyncio.Task[None]] = set()
        self._lost = asyncio.Event()
        """Set when the connection is lost. nats-py would let the requests that are under way wait."""
        self.noted: Exception | None = None
        """What nats-py has last told beside the requests: why an attempt to connect has failed, for example."""
        self._violations: list[Exception] = []
        """What the server has refused for want of a permission. It sends no answer to the request itself."""
        self._told = asyncio.Event()
        """Set when there is a new violation."""

    # In any thread

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Have the loop end, and wait for nothing."""
        with suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self.loop.stop)

    def wait_for_end(self) -> None:
        """Wait until the thread has ended, but not for ever."""
        self._thread.join(2 * CLOSE_SECONDS)

    def _serve(self) -> None:
        """Run the event loop until it is stopped, then close the connections that are open, and end what is left."""
        try:
            self.loop.run_forever()
        finally:
            for client in list(self._made):
                self.loop.run_until_complete(close_quietly(client))
            for _ in range(ENDINGS_MAX):  # a task that is cancelled can begin another one, which closes a connection
                tasks = asyncio.all_tasks(self.loop)
                if not tasks:
                    break
                for task in tasks - self._closing:
                    task.cancel()
                self.loop.run_until_complete(asyncio.wait(tasks, timeout=CLOSE_SECONDS / ENDINGS_MAX))
            self.loop.close()

    # On the loop

    async def attempt(self, request: Callable[[Client], Coroutine[Any, Any, T]], about: str, seconds: float) -> T:
        """Return what *request* returns. If it fails, the connection is not used again.

        *about* is a part of the subject that it publishes to.
        """
        client = None
        try:
            async with asyncio.timeout(seconds):
                client = await self._connected()
                return await self._unless_refused(request(client), about)
        except FAILURES as error:
            if client is not None and not is_answer(error) and self._client is client:
                self._client = None
                self._abandon(client)
            raise

    async def _connected(self) -> Client:
        """Return the connection. Make one if there is none."""
        async with self._connecting:
            client = self._client
            if client is None or not client.is_connected:
                self._client, self.noted = None, None
                self._violations.clear()
                client, self._lost = Client(), asyncio.Event()
                self._made.add(client)
                try:
                    await client.connect(
                        [next(self._servers)],
                        name="walogs",
                        error_cb=self._note,
                        disconnected_cb=set_later(self._lost),
                        allow_reconnect=False,
                        max_reconnect_attempts=1,  # 0 would mean without end
                        reconnect_time_wait=0,
                        connect_timeout=CONNECT_SECONDS,
                        **credentials(self._options),
                    )
                except BaseException:
                    self._abandon(client)
                    raise
                self._client = client
            return client

    async def _unless_refused(self, request: Coroutine[Any, Any, T], about: str) -> T:
        """Return what *request* returns. Raise an error as soon as the connection is lost, or the server says that a
        permission is missing for a subject that contains *about*."""
        answering, losing = asyncio.create_task(request), asyncio.create_task(self._lost.wait())
        try:
            while True:
                told = asyncio.create_task(self._told.wait())
                await asyncio.wait((answering, losing, told), return_when=asyncio.FIRST_COMPLETED)
                told.cancel()
                if answering.done():
                    return answering.result()
                for violation in self._violations:
                    if about.lower() in str(violation).lower():
                        raise violation
                if losing.done():
                    raise ConnectionClosedError
        finally:
            answering.cancel()
            losing.cancel()

    def _abandon(self, client: Client) -> None:
        """Close a connection that is not used any more, and wait for nothing."""
        self._made.discard(client)
        closing = asyncio.create_task(close_quietly(client))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _note(self, error: Exception) -> None:
        """Keep what nats-py tells beside the requests, and wake the requests that it may concern."""
        self.noted = error
        if is_refusal(error):
            self._violations.append(error)
            told, self._told = self._told, asyncio.Event()
            told.set()


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
