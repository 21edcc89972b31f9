"""The options of the store, and their checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from walogs.plugins import DEADLINE_SECONDS, Duration, check_deadline, is_server_address

READS_AT_ONCE: Final = 16
READS_AT_ONCE_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class ObjectStoreOptions:
    """The options of `ObjectStore`. Raises `ValueError`."""

    endpoint: str | None = None
    """The address of a server other than the provider's own, such as `https://minio.example:9000`."""
    region: str | None = None
    """The region of an S3 bucket. None: the one that the environment names."""
    deadline: Duration = DEADLINE_SECONDS
    """How many seconds a call may take, with all its attempts. Then it raises `Unavailable`."""
    reads_at_once: int = READS_AT_ONCE
    """How many objects are fetched at the same time when a log is opened or read."""

    def __post_init__(self) -> None:
        if self.endpoint is not None and not is_server_address(self.endpoint):
            raise ValueError(f"endpoint={self.endpoint!r}: http:// or https://, a host, and a port at most")
        region: object = self.region
        if region is not None and not (isinstance(region, str) and region):
            raise ValueError(f"region={self.region!r}: the name of a region")
        check_deadline(self.deadline)
        count: object = self.reads_at_once
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= READS_AT_ONCE_MAX:
            raise ValueError(f"reads_at_once={count!r}: a whole number from 1 to {READS_AT_ONCE_MAX}")
