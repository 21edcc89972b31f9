"""Readers that the tests of reading share."""

from __future__ import annotations

from typing import Any

import walogs
from tests.kit.stores import CODECS, LogFactory


def reader_of(factory: LogFactory, visibility: Any = "durable", **overrides: Any) -> walogs.WalReader:
    overrides.setdefault("codec", CODECS[factory.codec]())
    if factory.shape == "local":
        return walogs.reader(factory.path, visibility=visibility, **overrides)
    return walogs.reader(store=factory.store(), visibility=visibility, **overrides)


def entry(lsn: int) -> bytes:
    return b"%d " % lsn * (lsn % 40)


def reader_of_new(factory: LogFactory, wal: walogs.Wal) -> walogs.WalReader:
    wal.append(entry(1))
    return reader_of(factory)
