"""How a reader that follows learns of the next message: the server pushes it, and is hardly ever asked."""

from __future__ import annotations

import threading
from collections.abc import Callable

import walogs
from tests.kit.nats_proxy import Proxy
from walogs_jetstream import JetStreamStore
from walogs_jetstream import watch as module

Make = Callable[..., JetStreamStore]


def test_a_follower_that_waits_sends_nothing(make: Make, proxy: Proxy) -> None:
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


def test_a_consumer_that_is_lost_is_noticed(make: Make, proxy: Proxy, monkeypatch) -> None:  # type: ignore[no-untyped-def]
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
