"""How a reader that follows learns of the next message: the server pushes it, and is hardly ever asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nats
import pytest

import walogs
from tests.kit.nats_proxy import Proxy
from tests.kit.nats_servers import Server
from walogs_jetstream import JetStreamStore
from walogs_jetstream import watch as module

Make = Callable[..., JetStreamStore]


def on(server: Server, what: Callable[[Any], Any]) -> None:
    async def run() -> None:
        client = await nats.connect(f"nats://127.0.0.1:{server.port}")
        await what(client.jetstream(timeout=60))
        await client.close()

    asyncio.run(run())


def test_a_follower_that_waits_sends_nothing(make: Make, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 3600.0)  # on a slow machine, a wait could last until it asks
    with walogs.open(store=make()) as wal:
        wal.append(b"one")
        beside = make()
        newest = beside.segments()[-1]
        assert not beside.wait_beyond(newest, 0)
        before = len(proxy.requests)
        assert not beside.wait_beyond(newest, 2.0)
        assert len(proxy.requests) - before <= 1, "an answer to the server's flow control at most"
        wal.append(b"two")
        assert beside.wait_beyond(newest, 60)
        assert not beside.wait_beyond(newest + 1, 0)


def test_several_threads_wait_at_once(make: Make) -> None:
    with walogs.open(store=make()) as wal:
        beside, found = make(), []
        newest = beside.segments()[-1]
        threads = [threading.Thread(target=lambda: found.append(beside.wait_beyond(newest, 60))) for _ in range(4)]
        for thread in threads:
            thread.start()
        wal.append(b"one")
        for thread in threads:
            thread.join()
        assert found == [True] * 4


def test_a_consumer_that_is_lost_is_noticed(make: Make, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 0.2)
    with walogs.open(store=make()) as wal:
        beside = make()
        newest = beside.segments()[-1]
        assert not beside.wait_beyond(newest, 0)
        proxy.break_connections()
        wal.append(b"one")
        assert beside.wait_beyond(newest, 60)


def test_a_stream_that_is_not_there_yet_is_waited_for(make: Make) -> None:
    assert not make().wait_beyond(0, 0.05)


def test_following_beside_the_writer(make: Make) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"0")
        seen: list[bytes] = []

        def follow() -> None:
            with walogs.reader(store=make()) as reader:
                for _, data in reader.follow():
                    seen.append(data)
                    if data == b"end":
                        return

        thread = threading.Thread(target=follow)
        thread.start()
        for number in range(1, 30):
            wal.append(b"%d" % number)
        wal.append(b"end")
        thread.join()
    assert seen == [*(b"%d" % number for number in range(30)), b"end"]


def test_waits_for_older_numbers_and_after_a_close(make: Make) -> None:
    with walogs.open(store=make()) as wal:
        for number in range(5):
            wal.append(b"%d" % number)
        beside = make()
        newest = beside.segments()[-1]
        for _ in range(3):
            assert not beside.wait_beyond(newest, 0.05)
            assert beside.wait_beyond(newest - 3, 60), "it was there before the first wait"
            beside.close()


def test_what_is_told_and_not_found_is_asked_again(make: Make, address: str, server: Server) -> None:
    """The stream was deleted and made again, and is shorter now. A wait must not end at once for ever."""
    with walogs.open(store=make()) as wal:
        for number in range(5):
            wal.append(b"%d" % number)
        beside = make()
        assert not beside.wait_beyond(beside.segments()[-1], 0)
        on(server, lambda js: js.delete_stream(address.rpartition("/")[2]))
    walogs.open(store=make()).close()
    assert [beside.wait_beyond(1, 0.01) for _ in range(4)].count(True) <= 1


def test_a_wait_that_is_longer_than_the_deadline_is_no_failure(make: Make) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"one")
        beside = make()
        newest = beside.segments()[-1]
        beside._connection.options = replace(beside._connection.options, deadline=2.0)
        assert not beside.wait_beyond(newest, 4.0)
