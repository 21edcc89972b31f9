"""walogs: a crash-safe write-ahead log. You hand it bytes; it gives them back in order, intact, after a crash.

with walogs.open("orders.wal") as wal:
    lsn = wal.append(b"first")  # durable when it returns
    for lsn, data in wal:
        ...
"""

from typing import TYPE_CHECKING, Any, Final

from walogs.assembly.config import Retention, WalConfig
from walogs.assembly.opening import open
from walogs.errors import (
    Checkpointed,
    Closed,
    ConfigError,
    Corrupt,
    EntryTooLarge,
    Fenced,
    Locked,
    LogNotFound,
    LogRewound,
    NoSpace,
    OutcomeUnknown,
    PluginError,
    Poisoned,
    Reentered,
    StoreError,
    Unavailable,
    UnsafeStore,
    UnsupportedFormat,
    WalError,
)
from walogs.foundation.lazy import lazy_import
from walogs.handles.wal import Wal
from walogs.types import (
    MAX_ENTRY_SIZE,
    Clean,
    Commit,
    Entry,
    Gap,
    TailState,
    TruncatedAt,
)

if TYPE_CHECKING:
    from walogs import events as events
    from walogs import plugins as plugins
    from walogs.assembly.opening import reader
    from walogs.config_file.file import ConfiguredLog, load_config, open_config
    from walogs.defaults.sync_policies import IntervalPolicy
    from walogs.handles.cursor import Cursor
    from walogs.handles.reader import WalReader
    from walogs.inspection.backup import backup
    from walogs.inspection.repair import repair
    from walogs.inspection.salvage import salvage
    from walogs.inspection.salvage_into import salvage_into
    from walogs.inspection.verify import verify

__version__ = "0.1.0.dev0"

LATER: Final = {
    "ConfiguredLog": ("walogs.config_file.file", "ConfiguredLog"),
    "Cursor": ("walogs.handles.cursor", "Cursor"),
    "IntervalPolicy": ("walogs.defaults.sync_policies", "IntervalPolicy"),
    "WalReader": ("walogs.handles.reader", "WalReader"),
    "backup": ("walogs.inspection.backup", "backup"),
    "load_config": ("walogs.config_file.file", "load_config"),
    "open_config": ("walogs.config_file.file", "open_config"),
    "reader": ("walogs.assembly.opening", "reader"),
    "repair": ("walogs.inspection.repair", "repair"),
    "salvage": ("walogs.inspection.salvage", "salvage"),
    "salvage_into": ("walogs.inspection.salvage_into", "salvage_into"),
    "verify": ("walogs.inspection.verify", "verify"),
}
"""Imported when they are asked for: a program that appends does not pay for them."""


MODULES: Final = frozenset({"events", "plugins"})
"""Public modules, imported when they are asked for, so that `import walogs` is enough to use them."""


def __getattr__(name: str) -> Any:
    if name not in LATER and name not in MODULES:
        raise AttributeError(f"module 'walogs' has no attribute {name!r}")
    from importlib import import_module

    with lazy_import:
        if name in MODULES:
            return import_module(f"walogs.{name}")
        module, attribute = LATER[name]
        found = globals()[name] = getattr(import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER, *MODULES})


__all__ = [
    "MAX_ENTRY_SIZE",
    "Checkpointed",
    "Clean",
    "Closed",
    "Commit",
    "ConfigError",
    "ConfiguredLog",
    "Corrupt",
    "Cursor",
    "Entry",
    "EntryTooLarge",
    "Fenced",
    "Gap",
    "IntervalPolicy",
    "Locked",
    "LogNotFound",
    "LogRewound",
    "NoSpace",
    "OutcomeUnknown",
    "PluginError",
    "Poisoned",
    "Reentered",
    "Retention",
    "StoreError",
    "TailState",
    "TruncatedAt",
    "Unavailable",
    "UnsafeStore",
    "UnsupportedFormat",
    "Wal",
    "WalConfig",
    "WalError",
    "WalReader",
    "backup",
    "load_config",
    "open",
    "open_config",
    "reader",
    "repair",
    "salvage",
    "salvage_into",
    "verify",
]
