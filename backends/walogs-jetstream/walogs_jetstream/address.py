"""Addresses: `nats://HOST:PORT,HOST:PORT/STREAM` names servers of one cluster and a stream."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

FORM: Final = "nats://HOST:PORT/STREAM, with several servers as nats://HOST:PORT,HOST:PORT/STREAM"
ADDRESS: Final = re.compile(r"(nats|tls)://([^/]+)/([^/]*)/?")
SERVER: Final = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?")
STREAM: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
PORT: Final = 4222


class Address(NamedTuple):
    """The servers that a client can begin with, and the stream."""

    servers: tuple[str, ...]
    stream: str

    @property
    def subject(self) -> str:
        """The subject of every message of the stream."""
        return f"walogs.{self.stream}"


def parse_address(path: object) -> Address:
    """Return the parts of an address. Raise `ValueError` if it is none, or contains credentials."""
    text = str(path)
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(f"path={text!r}: an address as {FORM}")
    scheme, hosts, stream = found.groups()
    if "@" in hosts:
        raise ValueError(
            "path: an address contains no credentials, because messages show it. Set NATS_USER and NATS_PASSWORD, or"
            " NATS_TOKEN, or the option credentials"
        )
    if not STREAM.fullmatch(stream):
        raise ValueError(f"path={text!r}: the name of a stream has letters, digits, - and _ only")
    servers = []
    for host in hosts.split(","):
        one = SERVER.fullmatch(host)
        if one is None or not 1 <= int(one["port"] or PORT) <= 65535:
            raise ValueError(f"path={text!r}: {host!r} is no server; {FORM}")
        servers.append(f"{scheme}://{one['host']}:{one['port'] or PORT}")
    return Address(tuple(servers), stream)
