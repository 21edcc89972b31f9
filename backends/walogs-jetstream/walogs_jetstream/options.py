"""The options of the store, and their checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from walogs.plugins import DEADLINE_SECONDS, Duration, check_deadline, is_server_address

REPLICAS: Final = 3
REPLICAS_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class JetStreamOptions:
    """The options of `JetStreamStore`. Raises `ValueError`."""

    replicas: int = REPLICAS
    """On how many servers the stream is. 1: one server alone."""
    monitoring: tuple[str, ...] = ()
    """The monitoring address of each server, such as `http://n1.example:8222`. An open asks there whether the server
    syncs every message before it acknowledges it."""
    fsync: Literal["required", "trusted"] = "required"
    """`trusted`: the servers are not asked. What is acknowledged is then as durable as they are configured."""
    credentials: str | None = None
    """The path of a file of credentials (`.creds`)."""
    deadline: Duration = DEADLINE_SECONDS
    """How many seconds a call may take, with all its attempts. Then it raises `Unavailable`."""

    def __post_init__(self) -> None:
        count: object = self.replicas
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= REPLICAS_MAX:
            raise ValueError(f"replicas={count!r}: a whole number from 1 to {REPLICAS_MAX}")
        given: object = self.monitoring
        if isinstance(given, str) or not isinstance(given, (tuple, list)) or not all(map(is_server_address, given)):
            raise ValueError(f"monitoring={given!r}: a list of addresses, such as http://127.0.0.1:8222")
        if self.fsync not in ("required", "trusted"):
            raise ValueError(f"fsync={self.fsync!r}: required or trusted")
        path: object = self.credentials
        if path is not None and not (isinstance(path, str) and path):
            raise ValueError(f"credentials={path!r}: the path of a file")
        check_deadline(self.deadline)
