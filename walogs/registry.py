"""Names to components: the built-in ones, from a plain table, imported only when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from walogs.config import config_error, did_you_mean

BUILT_IN: Final[dict[str, dict[str, str]]] = {
    "store": {"local": "walogs.defaults.local_store:LocalStore"},
    "codec": {"crc32": "walogs.defaults.crc32_codec:Crc32Codec"},
    "sync": {
        "fdatasync": "walogs.defaults.sync_policies:FdatasyncPolicy",
        "fsync": "walogs.defaults.sync_policies:FsyncPolicy",
        "interval": "walogs.defaults.sync_policies:IntervalPolicy",
        "none": "walogs.defaults.sync_policies:NoSyncPolicy",
    },
}


def factory(kind: str, name: str) -> Any:
    """The class behind a name. Raises `ConfigError` that lists what there is."""
    known = BUILT_IN[kind]
    if name not in known:
        raise config_error(f"{kind}={name!r}: no such {kind}{did_you_mean(name, tuple(known))}")
    module, attribute = known[name].split(":")
    return getattr(import_module(module), attribute)
