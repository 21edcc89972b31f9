"""The options that several commands have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from cyclopts import Parameter

from walogs.cli.numbers import read_as
from walogs.foundation.quantities import DURATION

if TYPE_CHECKING:
    from datetime import datetime

    from walogs.assembly.config import WalConfig

AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")]
Visibility: TypeAlias = Literal["durable", "written"]
VISIBILITY_HELP: Final = (
    "durable: entries that are known to be synced; written: every intact entry, as the next open returns them."
)
Wait: TypeAlias = Annotated[
    float | None,
    read_as(DURATION, lambda seconds: seconds >= 0, "0 seconds or more"),
    Parameter(
        show_default=False,
        help="How long to wait for the log while another writer has it open: 5s. Without it, the command ends at once.",
    ),
]


def waiting(config: WalConfig, wait: float | None) -> WalConfig:
    """Return *config* with the seconds of --wait, or as it is if the command line has no --wait."""
    return config if wait is None else replace(config, wait=wait)


def in_utc(time: datetime) -> datetime:
    """Return a time of a command line with its time zone. A time without one is in UTC."""
    return time if time.utcoffset() is not None else time.replace(tzinfo=UTC)
