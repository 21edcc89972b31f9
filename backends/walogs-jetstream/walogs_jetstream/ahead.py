"""Read many messages: pushed by the server in order, or several with one wait."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import nats.errors
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from walogs_jetstream.failures import FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nats.aio.client import Client
    from nats.js import JetStreamContext

    from walogs_jetstream.address import Address
    from walogs_jetstream.connection import Calls

PUSHED_BYTES_MAX: Final = 48 << 20
"""Pushed messages that wait in the client have at most so many bytes. nats-py then drops some and asks again."""
BATCH_BYTES: Final = 4 << 20
AT_ONCE: Final = 16
STALL_SECONDS: Final = 2.0
"""If no message comes for this long, the stream's leader is asked for the next one."""


async def get_message(client: Client, stream: str, number: int) -> bytes | None:
    """Return the bytes of a message, as the leader of the stream has them. None: it is not there."""
    try:
        found = await client.jetstream(timeout=60).get_msg(stream, number)
    except NotFoundError:
        return None
    return found.data or b""


def read_in_order(calls: Calls, address: Address, numbers: Sequence[int]) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number, the bytes of the message, or None if it is not there) for each of *numbers*, in this order."""
    left = numbers
    if len(numbers) > 2 and numbers[0] < numbers[1]:
        pushed = PushedMessages(calls, address)
        try:
            for at, number in enumerate(numbers):
                data = pushed.take(number)
                if data is None and pushed.is_over:
                    left = numbers[at:]
                    break
                yield number, data if data is not None else read_some(calls, address, [number])[0]
            else:
                return
        finally:
            pushed.close()
    for at in range(0, len(left), AT_ONCE):
        block = left[at : at + AT_ONCE]
        yield from zip(block, read_some(calls, address, block), strict=True)


def read_some(calls: Calls, address: Address, numbers: Sequence[int]) -> list[bytes | None]:
    """Return the bytes of these messages, all requested at the same time. None: a message is not there."""

    async def read(client: Client) -> list[bytes | None]:
        return await asyncio.gather(*(get_message(client, address.stream, number) for number in numbers))

    return calls.ask(read, about=f"STREAM.MSG.GET.{address.stream}")


class PushedMessages:
    """The messages of the stream in ascending order, which the server pushes (an ordered consumer)."""

    def __init__(self, calls: Calls, address: Address) -> None:
        self._calls = calls
        self._address = address
        self._client: Client | None = None
        """The connection over which the server pushes."""
        self._subscription: JetStreamContext.PushSubscription | None = None
        self._held: deque[tuple[int, bytes]] = deque()
        self.is_over = False
        """The server pushed nothing for `STALL_SECONDS`, or has no stream. Nothing more is taken from here."""

    def take(self, number: int) -> bytes | None:
        """Return the bytes of this message, and give up those before it. None: it was not pushed."""
        while True:
            while self._held and self._held[0][0] < number:
                self._held.popleft()
            if self._held:
                first, data = self._held[0]
                return data if first == number else None
            if not self.is_over:
                with suppress(NotFoundError):  # there is no such stream
                    more = self._calls.ask(lambda client: self._next(client, number), about="CONSUMER.")
                    self._held.extend(more)
            if not self._held:
                self.is_over = True
                return None

    async def _next(self, client: Client, number: int) -> list[tuple[int, bytes]]:
        """Return messages that were pushed, from *number* on or before it. Empty: none came for `STALL_SECONDS`."""
        if self._subscription is None or self._client is not client:
            self._subscription = await client.jetstream().subscribe(
                self._address.subject,
                stream=self._address.stream,
                ordered_consumer=True,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                config=ConsumerConfig(opt_start_seq=number),
                pending_bytes_limit=PUSHED_BYTES_MAX,
            )
            self._client = client
        pushed: list[tuple[int, bytes]] = []
        size = 0
        while not pushed or (size < BATCH_BYTES and self._subscription.pending_msgs):
            try:
                message = await self._subscription.next_msg(timeout=STALL_SECONDS)
            except nats.errors.TimeoutError:
                await self._end()
                break
            pushed.append((message.metadata.sequence.stream, message.data))
            size += len(message.data)
        return pushed

    async def _end(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(*FAILURES):
                await subscription.unsubscribe()

    def close(self) -> None:
        """End the pushing. Nothing is waited for: the server notices it by itself, too."""
        if self._subscription is not None:
            self._calls.connection.begin(self._end())
