"""A service that takes orders, and journals each one before it answers."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator

import anyio
from orders import Orders
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as Total
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import walogs
import walogs.aio


class Metrics:
    """An observer of the log, whose figures `/metrics` shows. The log calls it in its own threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._entries = Total("journal_entries", "Entries that were appended", registry=self.registry)
        self._commits = Histogram("journal_commit_seconds", "How long commits took", registry=self.registry)

    def __call__(self, event: walogs.events.Event) -> None:
        if isinstance(event, walogs.events.AppendEvent):
            self._entries.inc(event.entries)
            self._commits.observe(event.seconds)


class Service:
    """The routes, and what they share."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.orders = Orders()
        self._wal: walogs.aio.AsyncWal

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Open the log, build the state from it, and follow it as long as the service runs."""
        async with walogs.aio.open(os.environ.get("JOURNAL", "orders.wal"), observers=[self.metrics]) as wal:
            self._wal = wal
            async with anyio.create_task_group() as group:
                group.start_soon(self._follow)
                await self.orders.wait_for(wal.last_lsn)
                yield
                group.cancel_scope.cancel()

    async def _follow(self) -> None:
        async for lsn, data in self._wal.follow():
            self.orders.apply(lsn, json.loads(data))

    async def post_order(self, request: Request) -> Response:
        """Journal an order, and answer with its LSN."""
        try:
            order = json.loads(await request.body())
            item, count = str(order["item"]), int(order["count"])
        except (ValueError, TypeError, LookupError):
            return JSONResponse({"error": 'send {"item": "tea", "count": 1}'}, status_code=400)
        lsn = await self._wal.append(json.dumps({"item": item, "count": count}).encode())
        await self.orders.wait_for(lsn)  # so that this client finds its order in what it reads next
        return JSONResponse({"lsn": lsn}, status_code=201)

    async def get_orders(self, _: Request) -> Response:
        return JSONResponse({str(lsn): order for lsn, order in self.orders.by_lsn.items()})

    async def get_totals(self, _: Request) -> Response:
        return JSONResponse(self.orders.totals)

    async def get_metrics(self, _: Request) -> Response:
        return PlainTextResponse(generate_latest(self.metrics.registry))


service = Service()
app = Starlette(
    lifespan=service.lifespan,
    routes=[
        Route("/orders", service.post_order, methods=["POST"]),
        Route("/orders", service.get_orders),
        Route("/totals", service.get_totals),
        Route("/metrics", service.get_metrics),
    ],
)
