"""The requests of many threads. nats-py is asynchronous: each thread waits for its coroutine on the event loop."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import weakref
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nats.errors import NoServersError

from walogs import Closed, UnsafeStore
from walogs.plugins import Attempts, Closings, TurnLock
from walogs_jetstream.failures import FAILURES, final_error, is_answer, shorten
from walogs_jetstream.loop import NatsLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import NoReturn

    from nats.aio.client import Client

    from walogs_jetstream.address import Address
    from walogs_jetstream.options import JetStreamOptions

T = TypeVar("T")

ATTEMPT_SECONDS: Final = 5.0
"""An attempt that has no answer after this long has failed."""
FIRST_PAUSE_SECONDS: Final = 0.02
PAUSE_SECONDS_MAX: Final = 1.0


class Connection:
    """The connection of one store object, which its threads share."""

    def __init__(self, name: str, address: Address, options: JetStreamOptions) -> None:
        self.name = name
        self.options = options
        first = random.randrange(len(address.servers))
        self._servers = itertools.cycle([*address.servers[first:], *address.servers[:first]])
        self._pid = os.getpid()
        self._gate = TurnLock()
        """A thread holds it while it starts or stops the event loop."""
        self._loop: NatsLoop | None = None
        self._end: weakref.finalize[..., Connection] | None = None
        """Stops the event loop, also when nobody uses this object any more."""
        self.closings = Closings(name)
        self._waited_for: set[Future[Any]] = set()
        """The requests that threads wait for."""

    def calls(self) -> Calls:
        """Return what sends the requests of one call, or of one writer, until the connection is closed."""
        return Calls(self, self.closings.count)

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run *coroutine* on the event loop, and wait for nothing. If there is no event loop, drop it."""
        loop = self._loop
        if loop is None or os.getpid() != self._pid:
            coroutine.close()
            return
        try:
            asyncio.run_coroutine_threadsafe(coroutine, loop.loop)
        except RuntimeError:  # it was closed in the meantime
            coroutine.close()

    def run(self, loop: NatsLoop, coroutine: Coroutine[Any, Any, T], closings: int) -> T:
        """Run *coroutine* on the event loop, and return what it returns. An interrupt of this thread cancels it."""
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop.loop)
        except RuntimeError:  # it has ended in the meantime
            coroutine.close()
            self._raise_closed()
        try:
            self._waited_for.add(future)
            self.closings.refuse_since(closings)  # the loop may have ended before it saw the coroutine
            return future.result()
        except CancelledError:
            self._raise_closed()
        except BaseException:
            future.cancel()
            raise
        finally:
            self._waited_for.discard(future)

    def started_loop(self, closings: int) -> NatsLoop:
        """Return the event loop, and start it if there is none. Raises `Closed` if it was stopped since."""
        if os.getpid() != self._pid:
            raise UnsafeStore(
                f"{self.name} was opened before the fork, by the parent of this process: make a store object here"
            )
        with self._gate:
            self.closings.refuse_since(closings)
            if self._loop is None:
                self._loop = NatsLoop(self._servers, self.options)
                self._loop.start()
                self._end = weakref.finalize(self, self._loop.stop)
            return self._loop

    def _raise_closed(self) -> NoReturn:
        raise Closed(f"{self.name} was closed by another thread during this call")

    def close(self) -> None:
        """End the connection, the event loop, and every call that was begun before. A later call makes new ones."""
        if os.getpid() != self._pid:
            return
        with self._gate:
            self.closings.end_calls()
            loop, end = self._loop, self._end
            if loop is None or end is None:
                return
            self._loop = self._end = None
            end()
        loop.wait_for_end()
        for future in list(self._waited_for):
            future.cancel()


class Calls:
    """The requests of one call of the store, or of one writer from `acquire` to `close`.

    When the connection is closed, all of them end with `Closed`: those under way, and those that would follow. A call
    that sends several requests must send them through one object, or the one after a close would connect again, and
    wait for its own deadline.
    """

    def __init__(self, connection: Connection, closings: int) -> None:
        self.connection = connection
        self._closings = closings

    def ask(
        self,
        request: Callable[[Client], Coroutine[Any, Any, T]],
        *,
        about: str,
        waits: float = 0.0,
        may_change: bool = False,
    ) -> T:
        """Return what *request* returns. Call it again after a failure of the server or the network.

        *about* is a part of the subject that the request publishes to. *waits* says how many seconds the request itself
        waits for news. *may_change* says that an attempt without an answer may have changed something.

        Raises what `is_answer` names. Raises `PermissionError`, `NoSpace`, `UnsafeStore` for what no later attempt
        changes, and `Unavailable` when the deadline is over, or if an earlier attempt may have changed something.
        Raises `Closed` when the connection is closed.
        """
        name = self.connection.name
        attempts = Attempts(
            name,
            deadline=self.connection.options.deadline + waits,
            first_pause=FIRST_PAUSE_SECONDS,
            longest_pause=PAUSE_SECONDS_MAX,
            pause=self.pause,
            may_change=may_change,
        )
        while True:
            loop = self.connection.started_loop(self._closings)
            seconds = min(ATTEMPT_SECONDS + waits, max(attempts.seconds_left(), 0.1))
            try:
                return self.connection.run(loop, loop.attempt(request, about, seconds), self._closings)
            except FAILURES as error:
                if is_answer(error):
                    raise
                why = shorten(loop.noted if isinstance(error, NoServersError) and loop.noted else error)
                attempts.raise_or_pause(error, why, final_error(name, error))

    def pause(self, seconds: float) -> None:
        """Wait for so many seconds. Raises `Closed` as soon as the connection is closed."""
        self.connection.closings.pause(seconds, self._closings)
