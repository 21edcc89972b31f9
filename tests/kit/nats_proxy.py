"""A proxy before a NATS server, which loses answers, refuses and delays the messages that a client publishes.

It listens on 127.0.0.1 on a free port. It reads what the client sends, command by command, and passes it on. What the
server sends is passed on as it is.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal

What = Literal["lost after", "lost before", "conflict", "full", "unavailable", "late", "unanswered"]

ERRORS: Final = {
    "conflict": {"code": 400, "err_code": 10071, "description": "wrong last sequence: 0"},
    "full": {"code": 503, "err_code": 10077, "description": "maximum bytes exceeded"},
    "unavailable": {"code": 503, "err_code": 10008, "description": "JetStream system temporarily unavailable"},
}
"""What the server would say, by fault."""
SECONDS: Final = 60


@dataclass
class Script:
    """A fault of the messages that are published on one subject."""

    what: What
    subject: str = ""
    """Empty: every subject that begins with `walogs.`."""
    times: int = 1
    """How many messages it concerns."""
    skip: int = 0
    """How many messages come before the first one that it concerns."""

    def concerns(self, subject: str) -> bool:
        """Return whether the message is one of those that it may concern, and count it."""
        if not subject.startswith("walogs.") or self.subject not in ("", subject):
            return False
        self.skip -= 1
        if self.skip >= 0 or not self.times:
            return False
        self.times -= 1
        return True


@dataclass
class Published:
    """A command of a client that publishes a message."""

    raw: bytes
    subject: str
    reply: str


class Proxy:
    """Passes commands on to the server, unless a script says otherwise."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.scripts: list[Script] = []
        self.late: list[Published] = []
        self.requests: list[str] = []
        """The subject of each message."""
        self._mutex = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.is_refusing = False
        """New connections are closed at once."""

    def serve(self) -> None:
        """Accept connections until the proxy is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self.is_refusing:
                    client.close()
                    continue
                thread = threading.Thread(target=self._pass, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def break_connections(self) -> None:
        """End all connections, as a network that fails does."""
        with self._mutex:
            found = list(self._open)
        for one in found:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.break_connections()
        for thread in self._threads:
            thread.join()

    def deliver(self) -> None:
        """Let the late messages arrive, and wait until the server has answered each."""
        with self._mutex:
            late, self.late = self.late, []
        for message in late:
            with socket.create_connection(("127.0.0.1", self._server_port), SECONDS) as server:
                server.sendall(b'CONNECT {"headers":true,"verbose":false}\r\n')
                server.sendall(f"SUB {message.reply} 1\r\n".encode() + message.raw)
                received = b""
                while b"MSG " not in received:
                    received += server.recv(65536)

    def _take(self, subject: str) -> What | None:
        with self._mutex:
            self.requests.append(subject)
            for script in self.scripts:
                if script.concerns(subject):
                    return script.what
        return None

    def _pass(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._server_port), SECONDS) as server:
            with self._mutex:
                self._open |= {client, server}
            way = Way(self, client, server)
            back = threading.Thread(target=way.pass_answers, daemon=True)
            back.start()
            try:
                way.pass_commands()
            finally:
                for one in (client, server):
                    with suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
                back.join()
                with self._mutex:
                    self._open -= {client, server}


class Way:
    """One connection of a client, and its connection to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._sids: dict[str, str] = {}
        """The number of each subscription, by its subject."""
        self._awaited = b""
        """The end of an answer that is swallowed, and with it everything after it."""
        self._answered = threading.Event()

    def pass_answers(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65536):
                if self._awaited:
                    if self._awaited in data:
                        self._answered.set()
                    continue
                self._client.sendall(data)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def pass_commands(self) -> None:
        held = b""
        with suppress(OSError):
            while data := self._client.recv(65536):
                held += data
                while (size := command_bytes(held)) is not None and len(held) >= size:
                    if not self._pass_one(held[:size]):
                        return
                    held = held[size:]

    def _pass_one(self, raw: bytes) -> bool:
        """Pass on one command. Return False if the connection has ended."""
        words = raw.split(b"\r\n", 1)[0].decode().split()
        if words[0].upper() == "SUB":
            self._sids[words[1]] = words[-1]
        if words[0].upper() not in ("PUB", "HPUB"):
            self._server.sendall(raw)
            return True
        has_reply = len(words) == (4 if words[0].upper() == "PUB" else 5)
        message = Published(raw, words[1], words[2] if has_reply else "")
        what = self._proxy._take(message.subject)
        if what is None:
            self._server.sendall(raw)
            return True
        if what == "unanswered":  # the connection stays as it is
            return True
        if what in ERRORS:
            self._answer(message.reply, json.dumps({"error": ERRORS[what]}).encode())
            return True
        if what == "late":
            self._proxy.late.append(message)
        if what == "lost after":
            self._awaited = message.reply.encode()
            self._server.sendall(raw)
            self._answered.wait(SECONDS)
        return False

    def _answer(self, reply: str, content: bytes) -> None:
        sid = next(sid for subject, sid in self._sids.items() if reply.startswith(subject.rstrip("*")))
        self._client.sendall(f"MSG {reply} {sid} {len(content)}\r\n".encode() + content + b"\r\n")


def command_bytes(held: bytes) -> int | None:
    """Return the size of the first command, or None if its line has not arrived."""
    line, found, _ = held.partition(b"\r\n")
    if not found:
        return None
    words = line.split()
    has_payload = words and words[0].upper() in (b"PUB", b"HPUB")
    return len(line) + 2 + (int(words[-1]) + 2 if has_payload else 0)


@contextmanager
def proxy(server_port: int) -> Iterator[Proxy]:
    """Yield a proxy before the server."""
    made = Proxy(server_port)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()
