"""An S3 server for tests (moto), and a proxy before it that loses answers, refuses and delays.

Both listen on 127.0.0.1 on free ports, and end with the test run.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal

CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "walogs", "AWS_SECRET_ACCESS_KEY": "walogs-tests", "AWS_REGION": "us-east-1"}
STARTS_WITHIN_SECONDS: Final = 120

What = Literal["lost after", "lost before", "late", "403", "409", "503", "expired", "skewed", "hang", "hang after"]
ERRORS: Final = {
    "403": (403, "AccessDenied"),
    "409": (409, "ConditionalRequestConflict"),
    "503": (503, "SlowDown"),
    "expired": (400, "ExpiredToken"),
    "skewed": (403, "RequestTimeTooSkewed"),
}
"""Status and code of the faults that are answers."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def moto() -> Iterator[int]:
    """Yield the port of an S3 server that keeps everything in memory."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **CREDENTIALS}
    )
    try:
        until = time.monotonic() + STARTS_WITHIN_SECONDS
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.1)
        yield port
    finally:
        server.kill()
        server.wait()


def make_bucket(port: int, bucket: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("PUT", f"/{bucket}")
    assert connection.getresponse().status == 200
    connection.close()


@dataclass
class Script:
    """A fault of the requests with one method, for keys that end with *key* (all keys if it is empty)."""

    what: What
    method: str = "PUT"
    key: str = ""
    times: int = 1
    """How many requests it concerns."""
    skip: int = 0
    """How many such requests come before the first one that it concerns."""
    within: str = ""
    """What the path of the request contains."""

    def concerns(self, method: str, path: str) -> bool:
        """Return whether the request is one of those that it may concern, and count it."""
        if self.method != method or not path.partition("?")[0].endswith(self.key) or self.within not in path:
            return False
        self.skip -= 1
        if self.skip >= 0 or not self.times:
            return False
        self.times -= 1
        return True


class Proxy(ThreadingHTTPServer):
    """Passes requests on to the server, unless a script says otherwise.

    It lets one put through at a time. moto looks whether the object is there and creates it in two steps, so that two
    puts at the same time could both succeed.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server_port: int) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.port = int(self.server_address[1])
        self.server_port_beyond = server_port
        self.scripts: list[Script] = []
        self.late: list[tuple[str, str, dict[str, str], bytes]] = []
        self.log: list[tuple[str, str]] = []
        """(method, path) of each request."""
        self.seconds = 0.0
        """Each request waits so long: the distance to the server."""
        self._mutex = threading.Lock()
        self._one_put = threading.Lock()

    def take(self, method: str, path: str) -> What | None:
        """Return the fault of this request."""
        with self._mutex:
            self.log.append((method, path))
            for script in self.scripts:
                if script.concerns(method, path):
                    return script.what
        return None

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server_port_beyond, timeout=60)
        with self._one_put if method == "PUT" else nullcontext(), closing(connection):
            connection.request(method, path, body=body or None, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def deliver(self) -> None:
        """Let the late requests arrive."""
        with self._mutex:
            late, self.late = self.late, []
        for method, path, headers, body in late:
            self.forward(method, path, headers, body)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no news."""


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "expect")}
        time.sleep(self.server.seconds)
        what = self.server.take(self.command, self.path)
        if what in ERRORS:
            status, code = ERRORS[what]
            self.reply(status, [], f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())
        elif what == "late":
            self.server.late.append((self.command, self.path, headers, body))
            self.close_connection = True
        elif what == "lost before":
            self.close_connection = True
        elif what == "hang":
            self.hang()
        else:
            status, found, content = self.server.forward(self.command, self.path, headers, body)
            if what == "lost after":
                self.close_connection = True
            elif what == "hang after":
                self.hang()
            else:
                self.reply(status, found, content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

    def reply(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), str(len(content)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def hang(self) -> None:
        """Answer nothing until the client has gone."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.recv(1)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def proxy(server_port: int) -> Iterator[Proxy]:
    """Yield a proxy before the server."""
    with Proxy(server_port) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()
