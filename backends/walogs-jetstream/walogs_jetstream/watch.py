"""Wait for the next message of the stream. The server pushes the header of each one, and its bytes are not sent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from nats.js.api import ConsumerConfig, DeliverPolicy

from walogs_jetstream.failures import FAILURES
from walogs_jetstream.stream import request

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from walogs_jetstream.address import Address

ASK_SECONDS: Final = 5.0
"""If nothing was pushed for this long, ask the stream where it ends: a consumer can be lost with its server."""


class Watch:
    """The end of the stream, as far as the server has told it. All threads that wait share one consumer.

    Every method runs on the event loop.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client: Client | None = None
        """The connection over which the server pushes."""
        self._subscription: JetStreamContext.PushSubscription | None = None
        self._newest = 0
        self._moved = asyncio.Event()

    async def wait_beyond(self, client: Client, number: int, seconds: float) -> bool:
        """Wait at most so many seconds until there is a message above *number*, and return whether there is one."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        if self._client is not client:
            await self._subscribe(client, number)
        while self._newest <= number and loop.time() < until:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(until - loop.time(), ASK_SECONDS)):
                    await self._moved.wait()
                continue
            if loop.time() < until:
                state = (await request(client, f"STREAM.INFO.{self._address.stream}"))["state"]
                if state["last_seq"] > number:
                    self._client = None  # the consumer did not tell this: the next call makes another one
                    return True
        return self._newest > number

    async def _subscribe(self, client: Client, number: int) -> None:
        if self._subscription is not None:
            with suppress(*FAILURES):
                await self._subscription.unsubscribe()
        self._subscription = await client.jetstream().subscribe(
            self._address.subject,
            stream=self._address.stream,
            cb=self._note,
            ordered_consumer=True,
            headers_only=True,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            config=ConsumerConfig(opt_start_seq=number + 1),
        )
        self._client = client

    async def _note(self, message: Msg) -> None:
        self._newest = max(self._newest, message.metadata.sequence.stream)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
