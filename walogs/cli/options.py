"""The options that several commands have."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from cyclopts import Parameter

AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON.")]
Visibility: TypeAlias = Literal["durable", "written"]
VISIBILITY_HELP: Final = (
    "durable: entries that are known to be synced; written: every intact entry, as the next open returns them."
)
