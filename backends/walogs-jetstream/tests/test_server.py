"""The store against a server of NATS, and what the way to it does: lost answers, conflicts, refusals, delays."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import nats
import pytest
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

import walogs
from tests.house.source import ROOT
from tests.kit import nats_servers
from tests.kit.nats_proxy import Proxy, Script
from tests.kit.nats_servers import Server
from walogs_jetstream import JetStreamStore
from walogs_jetstream import connection as connection_module
from walogs_jetstream.fsync import fetch

Make = Callable[..., JetStreamStore]


def entries(store: JetStreamStore) -> list[bytes]:
    return [data for _, data in walogs.reader(store=store)]


def stream_of(address: str) -> str:
    return address.rpartition("/")[2]


def on(server: Server, what: Callable[[Any], Any], **login: str) -> Any:
    """Return what *what* returns for a JetStream client of that server."""

    async def run() -> Any:
        client = await nats.connect(f"nats://127.0.0.1:{server.port}", **login)  # type: ignore[arg-type]
        try:
            return await what(client.jetstream(timeout=60))
        finally:
            await client.close()

    return asyncio.run(run())


def test_a_log_in_a_stream_is_used_like_any_other(make: Make, tmp_path: Path) -> None:
    with pytest.raises(walogs.LogNotFound):
        walogs.reader(store=make())
    with walogs.open(store=make()) as wal:
        assert wal.append(b"one") == 1
        assert list(wal.append_batch([b"two", b"three"])) == [2, 3]
        assert wal.submit(b"four").result(60) == 4
        assert list(wal) == [(1, b"one"), (2, b"two"), (3, b"three"), (4, b"four")]
    with walogs.open(store=make()) as wal:
        assert wal.last_lsn == 4
        assert wal.append(bytes(900_000)) == 5
        assert wal.checkpoint(1) == 1
    assert walogs.verify(store=make()).ok
    assert entries(make()) == [b"two", b"three", b"four", bytes(900_000)]
    assert walogs.backup(None, tmp_path / "copy", store=make()).last_lsn == 5
    assert [item.lsn for item in walogs.salvage(store=make())] == [2, 3, 4, 5]  # type: ignore[union-attr]


def test_a_log_in_a_stream_is_configured_in_a_file(
    address: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "walogs.toml"
    file.write_text(
        f'[log.orders]\npath = "{address}"\n[log.orders.store]\nuse = "jetstream"\n'
        f'replicas = 1\nmonitoring = ["{server.monitoring}"]\ndeadline = "20s"\n'
    )
    monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
    with walogs.open_config(file, log="orders") as wal:
        assert wal.append(b"one") == 1
    with walogs.open_config(file, log="orders") as wal:
        assert list(wal) == [(1, b"one")]
    assert list(walogs.reader(address)) == [(1, b"one")], "an address needs no name of a store"


@pytest.mark.guarantee("G13")
def test_the_writer_that_opened_last_fences_the_one_before(make: Make) -> None:
    with walogs.open(store=make()) as first:
        first.append(b"first")
        with walogs.open(store=make()) as second:
            with pytest.raises(walogs.Fenced):
                first.append(b"lost")
            assert second.append(b"second") == 2
        assert entries(make()) == [b"first", b"second"]


@pytest.mark.guarantee("G1", "G19")
@pytest.mark.parametrize(
    "script",
    [
        Script("lost after"),
        Script("lost before"),
        Script("lost after", times=3),
        Script("conflict", times=2),
        Script("unavailable", times=3),
    ],
    ids=lambda script: f"{script.what} x {script.times}",
)
def test_a_commit_survives_what_the_way_does_to_it_and_is_made_once(make: Make, proxy: Proxy, script: Script) -> None:
    script = replace(script)
    with walogs.open(store=make()) as wal:
        wal.append(b"before")
        proxy.scripts.append(script)
        assert wal.append(b"meanwhile") == 2
        assert script.times == 0
        assert wal.append(b"after") == 3
    assert entries(make()) == [b"before", b"meanwhile", b"after"]


def test_a_server_that_hangs_is_asked_again(make: Make, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"before")
        monkeypatch.setattr(connection_module, "ATTEMPT_SECONDS", 1.0)
        proxy.scripts = [script := Script("unanswered")]
        assert wal.append(b"meanwhile") == 2
        assert not script.times
    assert entries(make()) == [b"before", b"meanwhile"]


def test_a_connection_that_breaks_is_made_anew(make: Make, proxy: Proxy) -> None:
    reader = None
    with walogs.open(store=make()) as wal:
        for number in range(1, 21):
            proxy.break_connections()
            assert wal.append(b"%d" % number) == number
            if reader is None:
                reader = walogs.reader(store=make())
            assert [lsn for lsn, _ in reader] == [*range(1, number + 1)]
        proxy.break_connections()
        assert wal.checkpoint(10) == 11, "the fence, and a segment for each entry"


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("what", ["late", "lost before", "lost after"])
def test_a_commit_without_an_answer_is_there_or_not_and_never_both(make: Make, proxy: Proxy, what: str) -> None:
    store = make()
    with walogs.open(store=store) as wal:
        wal.append(b"before")
        # Only now, so that no request that is answered can come too late on a slow machine.
        store._connection.options = replace(store._connection.options, deadline=1.0)
        proxy.scripts.append(Script(what, times=1000))  # type: ignore[arg-type]
        with pytest.raises(walogs.OutcomeUnknown) as unknown:
            wal.append(b"perhaps")
        assert (unknown.value.first_lsn, unknown.value.last_lsn) == (2, 2)
        with pytest.raises(walogs.Poisoned):
            wal.append(b"refused")
    proxy.scripts.clear()
    with walogs.open(store=make()) as wal:
        proxy.deliver()  # its number is taken by the FENCE of this open, or was taken before it
        there = wal.last_lsn
        assert there == (2 if what == "lost after" else 1)
        assert wal.append(b"after") == there + 1
    perhaps = [b"perhaps"] if there == 2 else []
    assert entries(make()) == [b"before", *perhaps, b"after"]


@pytest.mark.guarantee("G7")
def test_a_refusal_after_a_lost_answer_does_not_say_that_nothing_was_written(make: Make, proxy: Proxy) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"before")
        proxy.scripts = [Script("lost after"), Script("full", times=100)]
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(b"there")
    proxy.scripts = []
    assert entries(make()) == [b"before", b"there"]


def test_a_store_that_is_closed_during_calls_of_other_threads(make: Make) -> None:
    """Each call returns or raises `Closed`, and none waits for ever."""
    walogs.open(store=make()).close()
    store, ends, outcomes = make(), threading.Event(), Counter[str]()

    def call() -> None:
        while not ends.is_set():
            try:
                store.segments()
            except walogs.Closed:
                outcomes["closed"] += 1
            else:
                outcomes["good"] += 1

    threads = [threading.Thread(target=call, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for closings in range(20):
        while outcomes["good"] <= closings:
            time.sleep(0.001)
        store.close()
    ends.set()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


def test_a_permission_that_one_thread_lacks_does_no_harm_to_another(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = """authorization { users: [
        {user: writer, password: secret, permissions: {publish: {deny: "$JS.API.CONSUMER.>"}}}
    ] }"""
    monkeypatch.setenv("NATS_USER", "writer")
    monkeypatch.setenv("NATS_PASSWORD", "secret")
    with nats_servers.running(tmp_path, more=users) as (guarded,):
        store = make(f"nats://127.0.0.1:{guarded.port}/orders", monitoring=(guarded.monitoring,))
        ends, refused = threading.Event(), Counter[str]()

        def wait() -> None:
            while not ends.is_set():
                try:
                    store.wait_beyond(10**6, 0.1)
                except PermissionError:
                    refused["times"] += 1

        with walogs.open(store=store) as wal:
            thread = threading.Thread(target=wait)
            thread.start()
            number = 0
            while number < 50 or not refused["times"]:
                number += 1
                assert wal.append(b"%d" % number) == number
            ends.set()
            thread.join()


def test_a_stream_whose_messages_are_all_gone_is_not_taken_for_a_new_log(
    make: Make, address: str, server: Server
) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"one")
    on(server, lambda js: js.purge_stream(stream_of(address)))
    with pytest.raises(walogs.UnsafeStore, match=r"ended at message 2, and all messages were removed"):
        walogs.open(store=make())


def test_many_numbers_of_which_many_are_gone(make: Make, address: str, server: Server) -> None:
    with walogs.open(store=make()) as wal:
        for number in range(8):
            wal.append(b"%d" % number)
        wal.checkpoint(3)
        there = make().segments()
        found = list(make().read_many(range(1, 30)))
        assert [number for number, _, data in found if data is not None] == list(there)
        assert [number for number, _, _ in found] == [*range(1, 30)]
    on(server, lambda js: js.delete_stream(stream_of(address)))
    assert list(make().read_many(range(1, 5))) == [(number, 0, None) for number in range(1, 5)]


@pytest.mark.guarantee("G7")
def test_a_full_stream_refuses_and_the_same_append_works_when_there_is_space(
    make: Make, address: str, server: Server
) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(bytes(1000))
        configuration = on(server, lambda js: js.stream_info(stream_of(address))).config
        on(server, lambda js: js.update_stream(configuration.evolve(max_bytes=8000)))
        for _ in range(2):
            wal.append(bytes(1000))
        with pytest.raises(walogs.NoSpace, match="maximum bytes exceeded"):
            wal.append(bytes(4000))
        there = wal.last_lsn
        assert there == 3
        on(server, lambda js: js.update_stream(configuration.evolve(max_bytes=-1)))
        assert wal.append(b"after") == there + 1
    with walogs.open(store=make()) as wal:
        assert [lsn for lsn, _ in wal] == [*range(1, there + 2)]


@pytest.mark.guarantee("G7")
def test_an_entry_that_the_server_cannot_take_is_refused_by_the_servers_own_number(make: Make, tmp_path: Path) -> None:
    with nats_servers.running(tmp_path, more="max_payload: 65536") as (small,):
        store = make(f"nats://127.0.0.1:{small.port}/orders", monitoring=(small.monitoring,))
        with walogs.open(store=store) as wal:
            assert store.capabilities.segment_bytes_max == 65536 - 512
            with pytest.raises(walogs.EntryTooLarge) as refused:
                wal.append(bytes(65536))
            assert refused.value.max == 65536 - 512
            assert wal.append(bytes(refused.value.max - 1000)) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"storage": StorageType.MEMORY}, "storage is 'memory', not 'file'"),
        ({"max_age": 3600.0}, "max_age is 3600000000000, not 0"),
        ({"discard": DiscardPolicy.OLD, "max_bytes": 10**6}, "discard is 'old', not 'new'"),
        ({"retention": RetentionPolicy.WORK_QUEUE}, "retention is 'workqueue', not 'limits'"),
        ({"allow_rollup_hdrs": True}, "allow_rollup_hdrs is True, not False"),
        ({"subjects": ["others.>"]}, "its subjects are ['others.>']"),
        ({"deny_purge": True, "deny_delete": True}, "deny_purge is True"),
    ],
    ids=str,
)
def test_a_stream_that_could_lose_entries_is_refused(
    make: Make, address: str, server: Server, changes: dict[str, Any], said: str
) -> None:
    stream = stream_of(address)
    wanted = StreamConfig(
        name=stream, subjects=[f"walogs.{stream}"], storage=StorageType.FILE, discard=DiscardPolicy.NEW
    )
    on(server, lambda js: js.add_stream(wanted.evolve(**changes)))
    try:
        with pytest.raises(walogs.UnsafeStore) as refused:
            walogs.open(store=make())
        assert said in str(refused.value)
        assert make().segments() == ()
    finally:
        on(server, lambda js: js.delete_stream(stream))


def test_a_stream_on_fewer_servers_than_asked_for_is_refused(make: Make) -> None:
    walogs.open(store=make()).close()
    with pytest.raises(walogs.UnsafeStore, match=r"on 1 server\(s\), and the option replicas asks for 3"):
        walogs.open(store=make(replicas=3))


def test_one_server_cannot_hold_three_replicas(make: Make) -> None:
    with pytest.raises(walogs.UnsafeStore, match=r"replicas > 1 not supported in non-clustered mode .* replicas = 1"):
        walogs.open(store=make(replicas=3))


def test_a_server_that_syncs_later_is_refused_unless_it_is_trusted(make: Make, tmp_path: Path) -> None:
    with nats_servers.running(tmp_path, lazy=("n1",)) as (lazy,):
        address = f"nats://127.0.0.1:{lazy.port}/orders"
        with pytest.raises(walogs.UnsafeStore, match="n1 acknowledges messages that a power cut can take away"):
            walogs.open(store=make(address, monitoring=(lazy.monitoring,)))
        with pytest.raises(walogs.UnsafeStore, match="in the option monitoring"):
            walogs.open(store=make(address, monitoring=()))
        assert make(address).segments() == (), "no stream was made"
        with walogs.open(store=make(address, monitoring=(), fsync="trusted")) as wal:
            assert wal.append(b"trusted") == 1


def test_a_monitoring_address_that_does_not_answer_is_told(make: Make) -> None:
    with pytest.raises(walogs.Unavailable, match=r"only 0 of 1 servers told .* http://127.0.0.1:1 \(.*Start the"):
        walogs.open(store=make(monitoring=("http://127.0.0.1:1",), deadline=0.2))


def test_a_monitoring_address_that_refuses_holds_no_connection() -> None:
    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.handle_request).start()
        with pytest.raises(HTTPError, match="503") as refused:
            fetch(f"http://127.0.0.1:{server.server_port}", "/varz")
    assert refused.value.closed


def test_refused_credentials_are_not_tried_again(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = """authorization { users: [
        {user: writer, password: secret}
        {user: reader, password: secret, permissions: {publish: {deny: "walogs.>"}}}
    ] }"""
    with nats_servers.running(tmp_path, more=users) as (guarded,):

        def store() -> JetStreamStore:
            return make(f"nats://127.0.0.1:{guarded.port}/orders", monitoring=(guarded.monitoring,))

        with pytest.raises(PermissionError, match="refuses the credentials"):
            walogs.open(store=store())
        monkeypatch.setenv("NATS_USER", "writer")
        monkeypatch.setenv("NATS_PASSWORD", "wrong")
        with pytest.raises(PermissionError, match="refuses the credentials"):
            walogs.open(store=store())
        monkeypatch.setenv("NATS_PASSWORD", "secret")
        with walogs.open(store=store()) as wal:
            assert wal.append(b"one") == 1
        monkeypatch.setenv("NATS_USER", "reader")
        assert entries(store()) == [b"one"]
        with pytest.raises(PermissionError, match=r"(?i)permissions violation for publish"):
            walogs.open(store=store())


def test_a_place_that_is_wrong_says_what_is_wrong(make: Make) -> None:
    with pytest.raises(walogs.Unavailable, match=r"did not answer within 0\.3 seconds"):
        walogs.open(store=make("nats://127.0.0.1:1/orders", fsync="trusted", deadline=0.3))
    with pytest.raises(walogs.Unavailable, match=r"did not answer within 0\.3 seconds"):
        walogs.reader(store=make("nats://no-such-host.invalid/orders", deadline=0.3))


def test_a_server_without_jetstream_is_refused(make: Make, tmp_path: Path) -> None:
    with (
        nats_servers.running(tmp_path, jetstream=False) as (plain,),
        pytest.raises(walogs.WalError, match="JetStream"),
    ):
        walogs.open(store=make(f"nats://127.0.0.1:{plain.port}/orders", fsync="trusted", deadline=5.0))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("orders", "an address as nats://HOST:PORT/STREAM"),
        ("nats://host", "an address as nats://HOST:PORT/STREAM"),
        ("nats://host/", "the name of a stream"),
        ("nats://host/a.b", "the name of a stream"),
        ("nats://host:0/orders", "'host:0' is no server"),
        ("nats://a,b:99999/orders", "'b:99999' is no server"),
        ("nats://user:secret@host/orders", "contains no credentials"),
    ],
)
def test_an_address_that_is_wrong_says_what_is_wrong(address: str, said: str) -> None:
    with pytest.raises(ValueError, match="path") as refused:
        JetStreamStore(address)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"replicas": 0}, "replicas=0"),
        ({"replicas": True}, "replicas=True"),
        ({"monitoring": "http://host:8222"}, "monitoring='http://host:8222'"),
        ({"monitoring": ("host:8222",)}, "monitoring=('host:8222',)"),
        ({"fsync": "never"}, "fsync='never'"),
        ({"credentials": ""}, "credentials=''"),
        ({"deadline": 0}, "deadline=0"),
    ],
    ids=str,
)
def test_an_option_that_is_wrong_says_what_is_wrong(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="=") as refused:
        JetStreamStore("nats://host/orders", **options)
    assert str(refused.value).startswith(said)


def test_messages_of_somebody_else_are_no_log(make: Make, address: str, server: Server) -> None:
    walogs.open(store=make()).close()
    on(server, lambda js: js.publish(f"walogs.{stream_of(address)}", b"of somebody else"))
    with pytest.raises(walogs.WalError, match="message 2"):
        walogs.open(store=make())


def test_a_child_uses_a_store_object_of_its_own(make: Make) -> None:
    store = make()
    with walogs.open(store=store) as wal:
        wal.append(b"of the parent")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with pytest.raises(walogs.UnsafeStore, match="opened before the fork"):
                    store.segments()
                status = 0 if entries(make()) == [b"of the parent"] else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert wal.append(b"of the parent again") == 2


def test_an_open_sends_few_requests(make: Make, proxy: Proxy) -> None:
    with walogs.open(store=make()) as wal:
        for number in range(40):
            wal.append(b"%d" % number)
    proxy.requests.clear()
    with walogs.open(store=make()) as wal:
        assert wal.last_lsn == 40
        assert len(list(wal)) == 40
    sent = [subject.split(".") for subject in proxy.requests if subject.startswith("$JS.API")]
    assert len([words for words in sent if words[2:4] == ["STREAM", "INFO"]]) <= 4
    assert len([words for words in sent if words[2:4] == ["CONSUMER", "CREATE"]]) <= 2
    assert len([words for words in sent if words[2:5] == ["STREAM", "MSG", "GET"]]) <= 50


DROPPED = """
import gc, logging, sys, threading, walogs
from walogs_jetstream import JetStreamStore

logging.getLogger("asyncio").setLevel(logging.ERROR)  # on a busy machine, -X dev warns of what takes 100 ms
address, monitoring = sys.argv[1:]
try:
    walogs.open(store=JetStreamStore(address, replicas=3, monitoring=(monitoring,)))
except walogs.UnsafeStore:
    pass
store = JetStreamStore(address, replicas=1, monitoring=(monitoring,))
assert list(store.segments()) == []
del store
gc.collect()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(60)
        assert not thread.is_alive(), thread
with walogs.open(store=JetStreamStore(address, replicas=1, monitoring=(monitoring,))) as wal:
    wal.append(b"one")
print(threading.active_count())
"""


def test_a_store_that_is_refused_or_dropped_leaves_no_thread_and_no_connection(address: str, server: Server) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", DROPPED, address, server.monitoring],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (ran.stdout, ran.stderr) == ("1\n", "")
