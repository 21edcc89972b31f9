"""The store against a server of S3 (moto), and what the way to it does: lost answers, conflicts, refusals, delays."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore

import walogs
from tests.kit.callers import Callers, queued
from tests.kit.s3_server import Proxy, Script
from walogs_object_store import ObjectStore
from walogs_object_store import address as address_module

Make = Callable[..., ObjectStore]


def entries(store: ObjectStore) -> list[bytes]:
    return [data for _, data in walogs.reader(store=store)]


def test_a_log_in_a_bucket_is_used_like_any_other(make: Make, tmp_path: Path) -> None:
    with pytest.raises(walogs.LogNotFound):
        walogs.reader(store=make())
    with walogs.open(store=make()) as wal:
        assert wal.append(b"one") == 1
        assert list(wal.append_batch([b"two", b"three"])) == [2, 3]
        assert wal.submit(b"four").result(60) == 4
        assert list(wal) == [(1, b"one"), (2, b"two"), (3, b"three"), (4, b"four")]
    with walogs.open(store=make()) as wal:
        assert wal.last_lsn == 4
        assert wal.append(bytes(5 << 20)) == 5, "more than is fetched ahead"
        assert wal.checkpoint(1) == 1
    assert walogs.verify(store=make()).ok
    assert entries(make()) == [b"two", b"three", b"four", bytes(5 << 20)]
    assert walogs.backup(None, tmp_path / "copy", store=make()).last_lsn == 5
    assert [item.lsn for item in walogs.salvage(store=make())] == [2, 3, 4, 5]  # type: ignore[union-attr]


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("number", [2, 5])
def test_an_empty_object_is_damage_like_any_other(make: Make, number: int) -> None:
    """A server refuses to send a range of an object that has no byte."""
    with walogs.open(store=make()) as wal:
        for data in (b"one", b"two", b"three"):
            wal.append(data)
    store = make()
    obstore.put(store._client, store.segment_name(number), b"", use_multipart=False)
    assert store.read(number, 0, 512) == b""
    assert not walogs.verify(store=make()).ok
    assert [found.data for found in walogs.salvage(store=make()) if isinstance(found, walogs.Entry)] != []
    with pytest.raises(walogs.Corrupt) as told:
        walogs.open(store=make())
    assert told.value.segment == number


def test_a_log_in_a_bucket_is_configured_in_a_file(
    address: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "walogs.toml"
    file.write_text(
        f'[log.orders]\npath = "{address}"\n[log.orders.store]\nuse = "object-store"\n'
        f'endpoint = "http://127.0.0.1:{proxy.port}"\ndeadline = "20s"\n'
    )
    monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
    with walogs.open_config(file, log="orders") as wal:
        assert wal.append(b"one") == 1
    with walogs.open_config(file, log="orders") as wal:
        assert list(wal) == [(1, b"one")]


def test_the_environment_can_name_the_server(
    make: Make, address: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"one")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    assert entries(ObjectStore(address)) == [b"one"]
    monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
    assert list(walogs.reader(address)) == [(1, b"one")], "an address needs no name of a store"


@pytest.mark.guarantee("G1", "G19")
def test_a_client_of_local_files_is_refused_because_it_syncs_nothing(tmp_path: Path) -> None:
    store = ObjectStore.over(LocalStore(tmp_path), "local files")
    with pytest.raises(
        walogs.ConfigError, match="promises durable appends, and local files holds them in 'page-cache'"
    ):
        walogs.open(store=store)
    assert list(tmp_path.iterdir()) == []
    with walogs.open(store=store, sync="none") as wal:
        assert wal.append(b"perhaps") == 1


@pytest.mark.guarantee("G1")
def test_a_server_that_hangs_is_asked_again(make: Make, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt takes a part of the deadline: here two seconds, so that a slow machine has many attempts left."""
    monkeypatch.setattr(address_module, "ATTEMPTS", 120)
    with walogs.open(store=make(deadline=240.0)) as wal:
        wal.append(b"before")
        for script in (Script("hang"), Script("hang after")):
            proxy.scripts = [script]
            wal.append(b"meanwhile")
            assert not script.times
        proxy.scripts = [Script("hang", method="GET")]
        assert [data for _, data in wal] == [b"before", b"meanwhile", b"meanwhile"]
    assert entries(make()) == [b"before", b"meanwhile", b"meanwhile"]


@pytest.mark.guarantee("G1")
def test_puts_are_made_as_seldom_as_the_file_says(
    address: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "walogs.toml"
    file.write_text(
        f'[log.orders]\npath = "{address}"\nsync = {{ use = "interval", time = "1h" }}\n'
        f'[log.orders.store]\nuse = "object-store"\nendpoint = "http://127.0.0.1:{proxy.port}"\n'
    )
    monkeypatch.setenv("WALOGS_DISABLED_PLUGINS", "")
    with walogs.open_config(file, log="orders") as wal:
        proxy.log.clear()
        callers = Callers(*[lambda: wal.append(b"by append")] * 5)
        queued(wal, 5)
        futures = [wal.submit(b"by submit") for _ in range(5)]
        assert not any(future.done() for future in futures)
        assert proxy.log == []
        wal.sync()
        assert sorted([*callers.join(), *(future.result(60) for future in futures)]) == [*range(1, 11)]  # type: ignore[type-var]
        assert [method for method, _ in proxy.log] == ["PUT"]
        assert wal.durable_lsn == 10


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
        Script("lost after", key="3"),
        Script("lost before", key="3"),
        Script("lost after", key="3", times=3),
        Script("409", key="3", times=2),
        Script("503", key="3", times=3),
    ],
    ids=lambda script: f"{script.what} x {script.times}",
)
def test_a_commit_survives_what_the_way_does_to_it_and_is_made_once(make: Make, proxy: Proxy, script: Script) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"before")
        proxy.scripts.append(script)
        assert wal.append(b"meanwhile") == 2
        assert script.times == 0
        assert wal.append(b"after") == 3
    assert entries(make()) == [b"before", b"meanwhile", b"after"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("what", ["lost after", "503"])
def test_reading_survives_what_the_way_does_to_it(make: Make, proxy: Proxy, method: str, what: str) -> None:
    with walogs.open(store=make()) as wal:
        wal.append_batch([b"one", b"two"])
    for key in ("", "2"):
        proxy.scripts = [Script(what, method=method, key=key, times=2)]  # type: ignore[arg-type]
        assert entries(make()) == [b"one", b"two"]
        with walogs.open(store=make()) as wal:
            assert wal.last_lsn == 2


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("what", ["late", "lost before", "lost after"])
def test_a_commit_without_an_answer_is_there_or_not_and_never_both(
    make: Make, proxy: Proxy, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make()
    with walogs.open(store=store) as wal:
        wal.append(b"before")
        # Only now, so that no request that is answered can come too late on a slow machine.
        monkeypatch.setattr(store._writer, "_deadline", 0.2)
        proxy.scripts.append(Script(what, key="3", times=1000))  # type: ignore[arg-type]
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
@pytest.mark.parametrize("what", ["403", "expired", "skewed"])
def test_refused_credentials_write_nothing_and_are_not_tried_again(make: Make, proxy: Proxy, what: str) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"before")
        proxy.scripts.append(Script(what, key="3"))  # type: ignore[arg-type]
        with pytest.raises(PermissionError, match="refuses the credentials"):
            wal.append(b"refused")
        assert wal.append(b"after") == 2
    assert entries(make()) == [b"before", b"after"]


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("what", ["403", "expired"])
def test_a_refusal_after_a_lost_answer_does_not_say_that_nothing_was_written(
    make: Make, proxy: Proxy, what: str
) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"before")
        proxy.scripts = [Script("lost after", key="3"), Script(what, key="3", times=100)]  # type: ignore[arg-type]
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(b"there")
    proxy.scripts = []
    assert entries(make()) == [b"before", b"there"]


@pytest.mark.parametrize("what", ["403", "expired"])
def test_a_reader_whose_credentials_are_refused_says_so(make: Make, proxy: Proxy, what: str) -> None:
    with walogs.open(store=make()) as wal:
        wal.append(b"before")
    proxy.scripts.append(Script(what, method="GET", key="", times=1000))  # type: ignore[arg-type]
    with pytest.raises(PermissionError, match="refuses the credentials"):
        walogs.reader(store=make())


class NoRole(BaseHTTPRequestHandler):
    """The server of AWS that knows the credentials of a machine's role, on a machine that has none."""

    def do_PUT(self) -> None:
        self.send_error(404)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def test_credentials_that_are_nowhere_are_told_as_such(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), NoRole)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        for use in (walogs.open, walogs.reader):
            with pytest.raises(PermissionError, match="no credentials are in the environment, and this machine has no"):
                use(store=make())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class ForgetsConditions(Proxy):
    """A server that takes no notice of If-None-Match, as some do."""

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes):  # type: ignore[no-untyped-def]
        kept = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        return super().forward(method, path, kept, body)


def test_a_server_that_creates_an_object_twice_is_refused(make: Make, proxy: Proxy) -> None:
    proxy.__class__ = ForgetsConditions
    for _ in range(2):
        with pytest.raises(walogs.UnsafeStore, match="created one object twice"):
            walogs.open(store=make())
    proxy.__class__ = Proxy
    assert make().segments() == []


def test_a_place_that_is_wrong_says_what_is_wrong(make: Make, address: str, proxy: Proxy) -> None:
    endpoint = f"http://127.0.0.1:{proxy.port}"
    nowhere = ObjectStore("s3://no-such-bucket/log", endpoint=endpoint)
    for call in (lambda: walogs.open(store=nowhere), lambda: walogs.reader(store=nowhere)):
        with pytest.raises(FileNotFoundError, match="there is no such bucket"):
            call()
    with pytest.raises(walogs.Unavailable, match="did not answer within"):
        walogs.open(store=ObjectStore(address, endpoint="http://127.0.0.1:1", deadline=0.1))


@pytest.mark.parametrize("key", ["notes.txt", "7", "00000000000000000001.gz"])
def test_keys_of_something_else_are_refused(make: Make, server: int, address: str, key: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server, timeout=60)
    connection.request("PUT", address.replace("s3:/", "") + f"/{key}", body=b"of somebody else")
    assert connection.getresponse().status == 200
    connection.close()
    with pytest.raises(walogs.UnsafeStore, match=key.replace(".", r"\.")):
        walogs.open(store=make())


def test_an_open_sends_few_requests(make: Make, proxy: Proxy) -> None:
    with walogs.open(store=make()) as wal:
        for number in range(40):
            wal.append(b"%d" % number)
    proxy.log.clear()
    with walogs.open(store=make()) as wal:
        assert wal.last_lsn == 40
    lists = [path for method, path in proxy.log if method == "GET" and "list-type" in path]
    gets = [path for method, path in proxy.log if method == "GET" and "list-type" not in path]
    assert len(gets) == len(set(gets)) == 41
    assert len(lists) <= 3, "one to see whether the place is ours, and two of the engine"
    assert [method for method, _ in proxy.log].count("HEAD") == 0
