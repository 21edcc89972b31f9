"""Whether every server syncs a message before it acknowledges it.

A server's default is to sync every two minutes: a power cut of all servers then loses what was acknowledged meanwhile.
Only the monitoring address tells how a server is configured (`sync_interval: always` shows as `sync_always`).
"""

from __future__ import annotations

import json
import logging
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from walogs import Unavailable, UnsafeStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REQUEST_SECONDS: Final = 5.0
BYTES_MAX: Final = 16 << 20
AGAIN_SECONDS: Final = 0.5
DIRECTLY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens an address without the proxy that the environment may name, which cannot see the servers' network."""
ADVICE: Final = (
    'Set "sync_interval: always" in the jetstream block of each server. Or accept what the servers do, with'
    ' fsync="trusted"'
)


def refuse_lazy_servers(name: str, addresses: Sequence[str], deadline: float, pause: Callable[[float], None]) -> None:
    """Return if the servers sync every message before they acknowledge it.

    Each server that answers must do so, and more than half of the cluster must answer. Servers that do not answer are
    named in a warning. *pause* waits between two attempts. Raises `UnsafeStore`, or `Unavailable` if too few answer
    within *deadline* seconds.
    """
    if not addresses:
        raise UnsafeStore(
            f"{name}: it is unknown whether the servers sync what they acknowledge. Name the monitoring address of each"
            ' in the option monitoring, such as "http://127.0.0.1:8222", or accept what they do with fsync="trusted".'
            " Nothing was written."
        )
    end = time.monotonic() + deadline
    while True:
        said, silent = asked(addresses)
        lazy = sorted(server for server, (is_lazy, _) in said.items() if is_lazy)
        if lazy:
            raise UnsafeStore(
                f"{name}: {', '.join(lazy)} acknowledges messages that a power cut can take away. Nothing was written."
                f" {ADVICE}."
            )
        cluster = {server for _, members in said.values() for server in members}
        unknown = sorted(cluster - said.keys())
        if said and 2 * len(said) > len(cluster):
            break
        if time.monotonic() > end:
            raise Unavailable(
                f"{name}: only {len(said)} of {len(cluster) or len(addresses)} servers told whether they sync what they"
                f" acknowledge. No answer: {'; '.join(silent) or ', '.join(unknown)}. Nothing was written."
                " Start the servers, or correct their addresses in the option monitoring."
            )
        pause(AGAIN_SECONDS)
    if unknown and not silent:
        raise UnsafeStore(
            f"{name}: the option monitoring does not name the addresses of {', '.join(unknown)}, which are in the same"
            " cluster. Nothing was written."
        )
    if unknown:
        logging.getLogger("walogs").warning(
            "%s: %s did not tell whether they sync what they acknowledge: %s",
            name,
            ", ".join(unknown),
            "; ".join(silent),
        )


def asked(addresses: Sequence[str]) -> tuple[dict[str, tuple[bool, set[str]]], list[str]]:
    """Return ({server: (whether it is lazy, the servers of its cluster)}, why an address did not answer)."""
    said, silent = {}, []
    for address in addresses:
        try:
            server = fetch(address, "/varz")
            jetstream = fetch(address, "/jsz")
            name = str(server["server_name"])
            is_lazy = jetstream["config"].get("sync_always") is not True
            meta = jetstream.get("meta_cluster") or {}
            members = {name, meta.get("leader") or name, *(peer["name"] for peer in meta.get("replicas") or ())}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            silent.append(f"{address} ({error})")
        else:
            said[name] = is_lazy, members
    return said, silent


def fetch(address: str, path: str) -> Any:
    """Return the JSON that a monitoring address has at *path*."""
    try:
        with DIRECTLY.open(f"{address.rstrip('/')}{path}", timeout=REQUEST_SECONDS) as answer:
            return json.loads(answer.read(BYTES_MAX))
    except urllib.error.HTTPError as error:  # it holds the connection
        error.close()
        raise
