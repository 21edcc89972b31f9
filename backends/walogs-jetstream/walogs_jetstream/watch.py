"""Wait for the next message of the stream. The server pushes the header of each one, and its bytes are not sent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from nats.js.api import ConsumerConfig, DeliverPolicy

from walogs_jetstream.stream import request

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from walogs_jetstream.address import Address

ASK_SECONDS: Final = 5.0
"""If nothing was pushed for this long, ask the stream where it ends: a consumer can be lost with its server."""


class Watch:
    """The end of the stream, as far as the server has told it over one connection. All threads that wait share one
    consumer. Every method runs on the event loop."""

    def __init__(self, address: Address, client: Client) -> None:
        self._address = address
        self.client = client
        self._is_subscribed = False
        self._subscribing = asyncio.Lock()
        self._newest = 0
        """The number of the newest message that the server has told."""
        self._asked_at = 0.0
        """When the stream was last asked, or pushed something, on the clock of the event loop."""
        self._answered: int | None = None
        """The number for which a wait ended last. If the caller asks for it again, it has found nothing above it."""
        self._moved = asyncio.Event()

    async def wait_beyond(self, number: int, seconds: float) -> bool:
        """Wait at most so many seconds until there is a message above *number*, and return whether there is one."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        async with self._subscribing:
            if not self._is_subscribed:
                await self._subscribe()
            elif number == self._answered:
                await self._ask()
        while self._newest <= number and (now := loop.time()) < until:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(min(until, self._asked_at + ASK_SECONDS) - now, 0)):
                    await self._moved.wait()
                continue
            if loop.time() >= self._asked_at + ASK_SECONDS and await self._ask() > number:
                self._is_subscribed = False  # the consumer did not tell this: the next call makes another one
        is_there = self._newest > number
        self._answered = number if is_there else None
        return is_there

    async def _ask(self) -> int:
        """Ask the stream where it ends."""
        state = (await request(self.client, f"STREAM.INFO.{self._address.stream}"))["state"]
        self._newest, self._asked_at = int(state["last_seq"]), asyncio.get_running_loop().time()
        return self._newest

    async def _subscribe(self) -> None:
        """Have the server push the header of each message that is new."""
        await self.client.jetstream().subscribe(
            self._address.subject,
            stream=self._address.stream,
            cb=self._note,
            ordered_consumer=True,
            headers_only=True,
            deliver_policy=DeliverPolicy.NEW,
            config=ConsumerConfig(),
        )
        await self._ask()  # after that, because what comes in between must not be missed
        self._is_subscribed = True

    async def _note(self, message: Msg) -> None:
        self._newest = max(self._newest, message.metadata.sequence.stream)
        self._asked_at = asyncio.get_running_loop().time()
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
